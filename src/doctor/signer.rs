//! OpenDKIM as it is configured: its user, its socket, its tables and the keys they name.
//!
//! [`Signer::of`] reads; [`super::opendkim`] and [`super::tables`] judge.

use super::accounts::{Account, Accounts};
use super::conf::{CONF, Conf, DataSet};
use super::machine::Machine;
use super::postfix::files::expand;
use super::postfix::settings::Settings;
use super::postfix::{Listening, socket_node};
use super::socket::Socket;
use super::units::Unit;
use crate::finding::Place;
use std::path::{Path, PathBuf};

/// The settings of Debian's init script.
pub(super) const DEFAULTS: &str = "/etc/default/opendkim";

/// Where Debian's package has it listen, by both names of the folder.
const PACKAGED: [&str; 2] = ["/run/opendkim/opendkim.sock", "/var/run/opendkim/opendkim.sock"];

/// What is behind the name of a file that `signpost setup` replaced.
pub(super) const BACKUP: &str = ".before-signpost-";

/// What OpenDKIM is told.
#[derive(Debug)]
pub(super) struct Signer {
    /// The machine's name of its configuration.
    pub(super) file: PathBuf,
    pub(super) conf: Conf,
    pub(super) unit: Option<Unit>,
    /// The user as it is named, and where; root if nothing names one.
    pub(super) user_name: String,
    pub(super) user_place: Place,
    /// `None`: the machine has no such user.
    pub(super) user: Option<Account>,
    /// Its group's name.
    pub(super) group: String,
    /// The socket as it is written, and where; `None` if nothing says.
    pub(super) socket: Option<(String, Place)>,
}

impl Signer {
    /// `None` where OpenDKIM has no configuration.
    pub(super) fn of(machine: &Machine, accounts: &Accounts) -> Option<Self> {
        let unit = Unit::of(machine, "opendkim.service");
        let named = unit.as_ref().and_then(|unit| unit.argument("-x"));
        let file = PathBuf::from(named.unwrap_or(CONF));
        if !machine.has(&file) {
            return None;
        }
        let conf = Conf::read(machine, &file);
        Some(Self::told(machine, accounts, (file, conf), unit))
    }

    /// By this configuration, whatever there is.
    pub(super) fn told(
        machine: &Machine,
        accounts: &Accounts,
        (file, conf): (PathBuf, Conf),
        unit: Option<Unit>,
    ) -> Self {
        let whole_file = || Place::file(machine.here(&file));
        let from_unit = |name: &str| {
            let unit = unit.as_ref()?;
            let (value, place) = unit.get(name)?;
            Some((value.to_owned(), place.clone()))
        };
        let set = |name: &str| Some((conf.value(name)?.to_owned(), conf.get(name)?.place(machine)));
        let (written, user_place) = set("UserID")
            .or_else(|| from_unit("User"))
            .unwrap_or_else(|| ("root".to_owned(), whole_file()));
        let (user_name, group) = match written.split_once(':') {
            Some((user, group)) => (user.to_owned(), Some(group.to_owned())),
            None => (written, from_unit("Group").map(|(group, _)| group)),
        };
        let mut user = accounts.user(&user_name);
        if let (Some(user), Some(gid)) = (&mut user, group.as_deref().and_then(|group| accounts.group(group))) {
            user.groups.insert(gid);
        }
        let socket = match &unit {
            Some(unit) => unit
                .argument("-p")
                .zip(unit.get("ExecStart"))
                .map(|(socket, (_, place))| (socket.to_owned(), place.clone())),
            None => default_socket(machine),
        };
        Self {
            socket: socket.or_else(|| set("Socket")),
            group: group.unwrap_or_else(|| user_name.clone()),
            user_name,
            user_place,
            user,
            unit,
            conf,
            file,
        }
    }

    /// What Postfix has to reach; `None` if that cannot be told.
    pub(super) fn listening(&self, accounts: &Accounts) -> Option<Listening> {
        let (socket, _) = self.socket.as_ref()?;
        let umask = self.conf.value("UMask");
        let umask = umask
            .and_then(|value| u32::from_str_radix(value, 8).ok())
            .unwrap_or(0o022);
        let user = self.user.as_ref()?;
        let gid = accounts.group(&self.group)?;
        Some(Listening {
            socket: Socket::of_milter(socket)?,
            group: self.group.clone(),
            node: socket_node(user.uid, gid, umask),
        })
    }

    /// The socket, if Postfix can reach it from whatever roots it has.
    pub(super) fn for_postfix(&self, machine: &Machine) -> Option<Socket> {
        let (written, _) = self.socket.as_ref()?;
        let socket = Socket::of_milter(written)?;
        let postfix = Settings::of(machine).unwrap_or_default();
        let roots = ["smtpd", "cleanup"].map(|program| postfix.chroot(program));
        let is_hidden = match &socket {
            Socket::Inet { .. } => false,
            Socket::Unix(path) => roots.iter().flatten().any(|queue| !path.starts_with(queue)),
        };
        (!is_hidden).then_some(socket)
    }

    /// Where it listened before, or would as it comes: no other milter does there.
    pub(super) fn former_sockets(&self, machine: &Machine) -> Vec<Socket> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let mut backups = machine.entries(folder);
        backups.retain(|path| path.to_string_lossy().contains(&format!("/{name}{BACKUP}")));
        let confs = backups.iter().map(|path| Conf::read(machine, path));
        let set = confs.filter_map(|conf| Socket::of_milter(conf.value("Socket")?));
        let unheeded = self.conf.value("Socket").and_then(Socket::of_milter);
        let packaged = PACKAGED.map(|path| Socket::Unix(path.into()));
        set.chain(unheeded).chain(packaged).collect()
    }

    /// The file of a data set of opendkim.conf, and where it is named.
    pub(super) fn file_of(&self, machine: &Machine, option: &str) -> Option<(PathBuf, Place)> {
        match self.conf.data_set(option)? {
            (setting, DataSet::File { path, .. }) => Some((self.absolute(&path), setting.place(machine))),
            _ => None,
        }
    }

    /// A path as OpenDKIM takes it: relative ones start at `BaseDirectory`.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        Path::new(self.conf.value("BaseDirectory").unwrap_or("/")).join(path)
    }
}

/// `SOCKET=` of Debian's init script, and where it stands.
pub(super) fn default_socket(machine: &Machine) -> Option<(String, Place)> {
    let file = Path::new(DEFAULTS);
    let text = machine.text(file)?;
    let mut found = None;
    let mut known: Vec<(&str, String)> = vec![("NAME", "opendkim".to_owned())];
    for (number, line) in (1..).zip(text.lines()) {
        let Some((name, value)) = line.trim().split_once('=').filter(|(name, _)| !name.starts_with('#')) else {
            continue;
        };
        let look_up = |name: &str| {
            let last = known.iter().rev().find(|(known, _)| *known == name);
            last.map(|(_, value)| value.clone())
        };
        let value = expand(value.trim_matches(['"', '\'']), &look_up);
        if name == "SOCKET" {
            found = Some((value.clone(), Place::line(machine.here(file), number)));
        }
        known.push((name, value));
    }
    found
}
