//! What an operator is told of a key's life, and what to do about it. The codes are listed in `docs/errors.md`.

use super::{KeyState, Periods};
use crate::finding::Finding;
use crate::keys::DkimKey;
use crate::name::Name;
use std::time::Duration;

pub(super) fn replaced(owner: &Name, file: &DkimKey) -> Finding {
    Finding::warning(
        "dkim-key-replaced",
        format!(
            "{owner} has another key now{}; mail in flight that was signed with the old one will fail",
            from(file)
        ),
        "give the next key a selector of its own and remove the old file once nothing signs with it",
    )
}

pub(super) fn revoked_with_file(owner: &Name, file: &DkimKey) -> Finding {
    Finding::warning(
        "dkim-key-revoked-present",
        format!("{owner} is revoked, but its key is still there{}", from(file)),
        "stop signing with it and remove the file; a new key wants a new selector",
    )
}

pub(super) fn signs_unseen(owner: &Name) -> Finding {
    Finding::warning(
        "dkim-key-signs-unseen",
        format!("{owner}: the signer signs with this key before every name server was seen to serve it"),
        "next time wait for `signpost key wait DOMAIN SELECTOR --for signing` before switching the signer",
    )
}

pub(super) fn left(owner: &Name) -> Finding {
    Finding::note(
        "dkim-key-left",
        format!("{owner}: the signer has gone on to another key; the record stays for mail in flight"),
    )
}

pub(super) fn back(owner: &Name, why: &str) -> Finding {
    Finding::note("dkim-key-back", format!("{owner}: {why}, so it is live again"))
}

pub(super) fn vanished(owner: &Name, stored: &KeyState, periods: Periods) -> Finding {
    Finding::note(
        "dkim-key-retiring",
        format!(
            "{owner}: {} is gone; the record stays for {}, then it is revoked",
            if stored.source.is_empty() {
                "its file"
            } else {
                &stored.source
            },
            words(periods.retire)
        ),
    )
}

fn from(file: &DkimKey) -> String {
    file.sources
        .first()
        .map(|path| format!(", from {}", path.display()))
        .unwrap_or_default()
}

/// A period in its largest whole unit.
fn words(period: Duration) -> String {
    let seconds = period.as_secs();
    let (count, unit) = [(86_400, "day"), (3600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size))
        .map_or((seconds, "second"), |(size, unit)| (seconds / size, unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
