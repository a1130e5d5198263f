//! Users and groups by name, from `/etc/passwd` and `/etc/group`.

use super::error::{Fault, SignerError};
use rustix::fs::{Gid, Uid};
use std::fs;
use std::path::Path;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Whom a file is given to; `None` leaves what it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: Option<Uid>,
    pub(super) group: Option<Gid>,
}

impl Owner {
    /// Looks up `user`, `user:group` or `:group`, by name or by number. A user without a group brings his own.
    pub(super) fn look_up(owner: &str) -> Result<Self, SignerError> {
        let read = |file: &str| {
            fs::read_to_string(file)
                .map_err(|error| SignerError::io(Path::new(file), "read the users of this machine", error))
        };
        Self::among(owner, &read(PASSWD)?, &read(GROUP)?)
    }

    fn among(owner: &str, passwd: &str, groups: &str) -> Result<Self, SignerError> {
        let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
        let (mut found, mut of_user) = (Self::default(), None);
        if !user.is_empty() {
            // name:password:uid:gid:…
            let row = row(passwd, user);
            let number = |at: usize| row.as_ref().and_then(|row| row.get(at)?.parse().ok());
            let uid = number(2)
                .or_else(|| user.parse().ok())
                .ok_or_else(|| unknown("user", user, PASSWD))?;
            found.user = Some(Uid::from_raw(uid));
            of_user = number(3);
        }
        if !group.is_empty() {
            // name:password:gid:…
            let gid = row(groups, group).and_then(|row| row.get(2)?.parse().ok());
            let gid = gid.or_else(|| group.parse().ok());
            of_user = Some(gid.ok_or_else(|| unknown("group", group, GROUP))?);
        }
        found.group = of_user.map(Gid::from_raw);
        Ok(found)
    }
}

fn row<'t>(table: &'t str, name: &str) -> Option<Vec<&'t str>> {
    let rows = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    rows.into_iter().find(|row| row.first() == Some(&name))
}

fn unknown(what: &str, name: &str, file: &str) -> SignerError {
    SignerError::new(
        Fault::Owner,
        format!("there is no {what} `{name}` for the keys to belong to"),
        format!("correct `owner` of [[signer]], or install the signer, which makes its {what}"),
    )
    .at(Path::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_known_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nopendkim:x:105:113::/run/opendkim:/usr/sbin/nologin\n";
        let groups = "root:x:0:\nmail:x:8:\nopendkim:x:113:postfix\n";
        let of = |owner: &str| {
            let found = Owner::among(owner, passwd, groups)?;
            Ok::<_, SignerError>((found.user.map(Uid::as_raw), found.group.map(Gid::as_raw)))
        };
        assert_eq!(of("opendkim").unwrap(), (Some(105), Some(113)));
        assert_eq!(of("opendkim:mail").unwrap(), (Some(105), Some(8)));
        assert_eq!(of(":mail").unwrap(), (None, Some(8)));
        assert_eq!(of("1000:1001").unwrap(), (Some(1000), Some(1001)));
        assert_eq!(of("1000").unwrap(), (Some(1000), None));
        let error = of("postfix").unwrap_err();
        assert_eq!(error.fault, Fault::Owner);
        assert!(error.to_string().contains("no user `postfix`"), "{error}");
        assert!(of("root:nobody").unwrap_err().what.contains("no group `nobody`"));
    }
}
