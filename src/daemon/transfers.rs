//! Who may fetch zones and by which keys: from the configuration and the zones' own files into what the workers see.

use super::zones::ZoneFiles;
use crate::config::{Config, TransferTable, TsigKey};
use crate::exchange::Refresher;
use crate::finding::{Finding, Place};
use crate::name::Name;
use crate::publish::Journal;
use crate::throttle::Throttle;
use crate::transfer::{Heard, Inbox, Ledger, Policies, SharedPolicies, Transfers};
use crate::tsig::{Keyring, SharedKeyring};
use crate::watch::{self, RootId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The files of keys.
pub(super) const TSIG_KEYS: RootId = RootId(6);

/// A key file is no longer.
const MAX_LEN: u64 = 64 << 10;

/// Policies and keys in force, and what they were made of.
pub(super) struct TransferRules {
    policies: SharedPolicies,
    keys: SharedKeyring,
    /// `[transfer]` of `signpost.toml` and the `[[tsig]]` tables as they were read last.
    default: TransferTable,
    tsig: Vec<TsigKey>,
    /// Are clients asked for certificates?
    client_ca: bool,
}

impl TransferRules {
    /// With what the configuration says; what is wrong with its key files is returned.
    pub(super) fn new(config: &Config) -> (Self, Vec<Finding>) {
        let mut rules = Self {
            policies: SharedPolicies::default(),
            keys: SharedKeyring::default(),
            default: TransferTable::default(),
            tsig: vec![],
            client_ca: false,
        };
        let mut findings = vec![];
        rules.follow_config(config, &mut findings);
        (rules, findings)
    }

    /// The policies in force, now and later.
    pub(super) fn policies(&self) -> SharedPolicies {
        Arc::clone(&self.policies)
    }

    /// The keys in force, now and later.
    pub(super) fn keys(&self) -> SharedKeyring {
        Arc::clone(&self.keys)
    }

    /// What the workers need.
    pub(super) fn transfers(&self, journal: Journal, ledger: Ledger, inbox: Inbox) -> Transfers {
        Transfers {
            policies: self.policies(),
            keys: self.keys(),
            journal: Some(journal),
            ledger,
            inbox: Some(inbox),
        }
    }

    /// The files of keys to be watched.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.tsig
            .iter()
            .filter_map(|key| key.file().map(Path::to_owned))
            .collect()
    }

    /// Takes over what changed: the server's configuration, and the files of the zones `touched`. Says whether there
    /// are other key files to be watched.
    pub(super) fn refresh<'n>(
        &mut self,
        config: &Config,
        zones: &ZoneFiles,
        touched: impl Iterator<Item = &'n Name>,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let files = self.files();
        let all = self.follow_config(config, findings);
        let policies = self.policies.load();
        let own = |apex: &Name| zones.get(apex).and_then(|source| source.transfer());
        let mut changed = vec![];
        for apex in touched {
            let policy = own(apex).map(|table| self.default.with(table));
            if policy.as_ref() != policies.own.get(apex).map(|policy| &**policy) {
                if let Some(table) = own(apex)
                    && let Some(file) = zones.get(apex).and_then(|source| source.policy_file())
                {
                    findings.extend(self.faults(table, file));
                }
                changed.push((apex.clone(), policy));
            }
        }
        if all || !changed.is_empty() {
            let mut next = Policies::clone(&policies);
            next.default = Arc::new(self.default.with(&TransferTable::default()));
            for (apex, policy) in changed {
                match policy {
                    Some(policy) => next.own.insert(apex, Arc::new(policy)),
                    None => next.own.remove(&apex),
                };
            }
            self.policies.store(Arc::new(next));
        }
        files != self.files()
    }

    /// Takes over `[transfer]` and `[[tsig]]` if they changed; says whether they did.
    fn follow_config(&mut self, config: &Config, findings: &mut Vec<Finding>) -> bool {
        let client_ca = config.tls.client_ca.is_some();
        if self.default == config.transfer && self.tsig == config.tsig && self.client_ca == client_ca {
            return false;
        }
        self.client_ca = client_ca;
        self.default = config.transfer.clone();
        self.tsig = config.tsig.clone();
        findings.extend(self.read_keys());
        findings.extend(self.faults(&self.default, &config.path));
        let default = self.default.with(&TransferTable::default());
        self.policies.rcu(|policies| Policies {
            default: Arc::new(default.clone()),
            ..Policies::clone(policies)
        });
        true
    }

    /// Reads the key files. A key that cannot be read any more stays as it was.
    pub(super) fn read_keys(&self) -> Vec<Finding> {
        let before = self.keys.load();
        let mut findings = vec![];
        let mut keys = vec![];
        for wanted in &self.tsig {
            match read_key(wanted) {
                Ok(key) => {
                    findings.extend(weak(&key, wanted.file()));
                    keys.push(key);
                }
                Err(finding) => {
                    findings.push(finding);
                    keys.extend(before.get(&wanted.name).map(|key| (**key).clone()));
                }
            }
        }
        self.keys.store(Arc::new(Keyring::from_iter(keys)));
        findings
    }

    /// What a table asks for that there is not.
    fn faults(&self, table: &TransferTable, file: &Path) -> impl Iterator<Item = Finding> + use<> {
        let no_certificates = (table.wants_certificates() && !self.client_ca).then(|| {
            let what = "[transfer] allow demands a certificate, and clients are not asked for one";
            let cure = "name the authority that has signed it in `[tls] client_ca`; the entry fits nobody until then";
            Finding::error("tls-client-ca", what, cure).at(Place::file(file))
        });
        self.unknown_key(table, file).into_iter().chain(no_certificates)
    }

    /// A key that is named and that there is not.
    fn unknown_key(&self, table: &TransferTable, file: &Path) -> Option<Finding> {
        let known: BTreeSet<&Name> = self.tsig.iter().map(|key| &key.name).collect();
        let missing = table.keys().find(|key| !known.contains(key))?;
        let what = format!("[transfer] names the key {missing}, and no [[tsig]] in signpost.toml has that name");
        let cure = "add the [[tsig]], or correct the name; what needs the key does not work until then";
        Some(Finding::error("tsig-key-unknown", what, cure).at(Place::file(file)))
    }
}

/// Where the workers tell what other servers said: NOTIFYs go to who fetches zones, all else into the log, a
/// line a second at most, for anybody may send a message that is not believed.
pub(super) fn inbox(refresher: Refresher) -> Inbox {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
    static UNREADABLE: Throttle = Throttle::new(Duration::from_secs(1));
    Arc::new(move |heard| match heard {
        Heard::Notified { apex, by } => refresher.notified(apex, by),
        Heard::Disbelieved { from, what, reason } => {
            if let Some(untold) = THROTTLE.admit(Instant::now()) {
                tracing::info!(from = from.map(tracing::field::display), %reason, untold, "{what}");
            }
        }
        Heard::Unreadable { apex, reason } => {
            if let Some(untold) = UNREADABLE.admit(Instant::now()) {
                tracing::warn!(zone = %apex, %reason, untold, "the journal cannot be read; the whole zone is sent");
            }
        }
    })
}

fn read_key(wanted: &TsigKey) -> Result<crate::tsig::Key, Finding> {
    let text = |path: &Path| {
        let octets = watch::read_file(path, MAX_LEN).map_err(|error| format!("it cannot be read: {error}"))?;
        let text = std::str::from_utf8(&octets).map_err(|_| "it is no text".to_owned())?;
        Ok(Zeroizing::new(text.to_owned()))
    };
    wanted.key(text).map_err(|what| {
        let what = format!("there is no key {} in this file: {what}", wanted.name);
        let cure = "put the key there, as tsig-keygen or keymgr -t prints it, and let Signpost read the file; \
                    the key that was known stays in force";
        let finding = Finding::error("tsig-key-file", what, cure);
        match wanted.file() {
            Some(file) => finding.at(Place::file(file)),
            None => finding,
        }
    })
}

fn weak(key: &crate::tsig::Key, file: Option<&Path>) -> Option<Finding> {
    let algorithm = Some(key.algorithm()).filter(|algorithm| algorithm.is_weak())?;
    let what = format!("the key {} is of {algorithm}, which is broken or nearly so", key.name());
    let finding = Finding::warning(
        "tsig-key-weak",
        what,
        "agree on a new key of hmac-sha256 with the other server",
    );
    Some(match file {
        Some(file) => finding.at(Place::file(file)),
        None => finding,
    })
}
