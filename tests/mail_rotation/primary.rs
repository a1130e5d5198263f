//! The primary name server of example.org: Signpost or BIND, to be killed and started again on what it left.

use crate::common::daemon::{Daemon, Launch};
use crate::common::signpost::{BINARY, House};
use crate::land::{DOMAIN, Land, NAME_SERVERS, TRANSFERS, TTL, ZONE, wait_for_name_servers};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub(crate) const SPF: &str = "v=spf1 mx -all";
/// The key of rndc, for servers of which nobody outside of the test's network knows.
const RNDC: &str = "key \"rndc\" { algorithm hmac-sha256; secret \"c2lnbnBvc3QgdGVzdHMgYW5kIHRoZWlyIHBlZXJz\"; };\n";

pub(crate) struct Primary {
    daemon: Daemon,
    launch: Box<dyn Fn() -> Daemon>,
}

impl Primary {
    /// Signpost: the zone file has no mail record in it, the policy two, and the keys are those of the directory.
    /// `rotation` is the text of `[mail.dkim.rotation]`, `signers` all of the signers'.
    pub(crate) fn signpost(land: &Land, house: &House, rotation: &str, signers: &str) -> Self {
        house.write(&format!("zones/{DOMAIN}.zone"), ZONE);
        let [ns1, ns2] = NAME_SERVERS;
        house.replace(
            "signpost.toml",
            format!(
                "listen = [\"{ns1}:53\", \"{TRANSFERS}:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n\
                 [mail.spf]\nrecord = \"{SPF}\"\nttl = \"{TTL}s\"\n[mail.dmarc]\npolicy = \"reject\"\nttl = \"{TTL}s\"\n\
                 [mail.dkim]\nttl = \"{TTL}s\"\n\
                 [mail.dkim.rotation]\n{rotation}[transfer]\nallow = [\"{ns2}\"]\n{signers}"
            ),
        );
        let (dir, prefix) = (house.path(""), land.sending.prefix());
        Self::start(move || {
            Launch::under("signpost", &dir, &prefix, BINARY)
                .current_dir(&dir)
                .start()
        })
    }

    /// BIND as the tutorial has it, with rndc, and a secondary that is told of changes. The zone has the keys of these
    /// selectors.
    pub(crate) fn bind(land: &Land, house: &House, keys: &Path, selectors: &[String]) -> Self {
        paste(&house.path(""), 1, keys, selectors);
        let [ns1, ns2] = NAME_SERVERS;
        let here = house.path("");
        let conf = format!(
            "{RNDC}options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\";\n\
             listen-on {{ {ns1}; {TRANSFERS}; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;\n\
             allow-transfer {{ {ns2}; }}; notify yes; notify-source {ns1}; empty-zones-enable no; }};\n\
             controls {{ inet 127.0.0.1 port 953 allow {{ 127.0.0.1; }} keys {{ \"rndc\"; }}; }};\n\
             zone \"{DOMAIN}\" {{ type primary; file \"{DOMAIN}.hosts\"; }};\n",
            here = here.display(),
        );
        house.write("named.conf", conf);
        house.write(
            "rndc.conf",
            format!("{RNDC}options {{ default-key \"rndc\"; default-server 127.0.0.1; default-port 953; }};\n"),
        );
        let prefix = land.sending.prefix();
        Self::start(move || {
            Launch::under("bind", &here, &prefix, "named")
                .args(["-g", "-n", "1", "-U", "1", "-c"])
                .arg(here.join("named.conf"))
                .start()
        })
    }

    fn start(launch: impl Fn() -> Daemon + 'static) -> Self {
        Self {
            daemon: launch(),
            launch: Box::new(launch),
        }
    }

    /// `kill -9`, and a new one on the same files.
    pub(crate) fn kill_and_start(&mut self, land: &Land) {
        self.daemon.kill();
        self.daemon = (self.launch)();
        wait_for_name_servers(land);
    }
}

/// The zone as people have it in BIND: the mail records by hand, and what opendkim-genkey wrote pasted to the end.
pub(crate) fn paste(dir: &Path, serial: u32, keys: &Path, selectors: &[String]) {
    let mut text = ZONE.replace(" hostmaster 1 ", &format!(" hostmaster {serial} "));
    writeln!(text, "@ IN TXT \"{SPF}\"\n_dmarc IN TXT \"v=DMARC1; p=reject\"").unwrap();
    for selector in selectors {
        text.push_str(&fs::read_to_string(keys.join(format!("{selector}.txt"))).unwrap());
    }
    fs::write(dir.join(format!("{DOMAIN}.hosts")), text).unwrap();
}

/// `rndc reload`, which must succeed.
pub(crate) fn rndc_reload(land: &Land, dir: &Path) {
    let conf = dir.join("rndc.conf");
    let output = land.sending.output("rndc", &["-c", conf.to_str().unwrap(), "reload"]);
    assert!(output.status.success(), "{output:?}");
}
