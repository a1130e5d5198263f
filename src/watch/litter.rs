//! Which names are by-products of editors, packagers and copying tools.

use std::path::{Component, Path};

/// Whether a path below a root is litter: left by a tool on its way, not meant to be read.
///
/// Give the path relative to the root: a root that itself lies below a dot directory is no litter.
///
/// | litter | whose |
/// |---|---|
/// | a component that begins with `.` | hidden files, Vim's `.x.swp`, Emacs' `.#x`, rsync's `.x.Zt5`, Kubernetes' `..data` |
/// | `*~` | backups of Vim, Emacs, nano, `cp -b` |
/// | `#*#` | Emacs' autosave |
/// | `*.swp` `*.swo` `*.swx` | Vim |
/// | `4913` and up to `5036`, in steps of 123 | Vim asking whether it may create files here |
/// | `*.dpkg-*` `*.ucf-*` | Debian's configuration file handling |
/// | `*.rpmnew` `*.rpmsave` `*.rpmorig` | RPM's |
/// | `*.tmp` | everybody who renames into place |
///
/// # Examples
///
/// ```
/// use signpost::watch::is_litter;
/// use std::path::Path;
/// assert!(is_litter(Path::new("example.org/.mail.txt.swp")));
/// assert!(!is_litter(Path::new("example.org/mail.txt")));
/// ```
pub fn is_litter(below_root: &Path) -> bool {
    below_root.components().any(|component| match component {
        Component::Normal(name) => is_litter_name(name.as_encoded_bytes()),
        _ => false,
    })
}

fn is_litter_name(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 8] = [
        b"~",
        b".swp",
        b".swo",
        b".swx",
        b".tmp",
        b".rpmnew",
        b".rpmsave",
        b".rpmorig",
    ];
    name.starts_with(b".")
        || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || matches!(name, b"4913" | b"5036")
        || contains(name, b".dpkg-")
        || contains(name, b".ucf-")
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_litter_from_keys_and_zones() {
        for litter in [
            ".hidden",
            "..data/mail",
            "a/..2026_01_01/mail",
            "mail.txt~",
            "#mail.txt#",
            ".#mail.txt",
            ".mail.txt.swp",
            "mail.swp",
            "4913",
            "5036",
            "x.zone.dpkg-new",
            "x.zone.dpkg-old",
            "x.zone.ucf-dist",
            "x.zone.rpmsave",
            "mail.tmp",
        ] {
            assert!(is_litter(Path::new(litter)), "{litter}");
        }
        for kept in [
            "mail",
            "example.org.zone",
            "example.org/2026b.private",
            "#",
            "a#b",
            "49130",
            "tmp",
            "dpkg-old",
            "2026b._domainkey.example.org.pem",
        ] {
            assert!(!is_litter(Path::new(kept)), "{kept}");
        }
    }
}
