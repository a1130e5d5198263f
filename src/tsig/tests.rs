//! Signing and checking, each side against the other; the peers judge both in `tests/`.

use super::*;
use crate::testing::name;
use std::sync::Arc;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "c2VjcmV0LW9mLXR3by1zZXJ2ZXJz";

fn key(algorithm: Algorithm) -> Key {
    Key::new(&name("Hoster"), algorithm, SECRET).unwrap()
}

/// A query for `example.org` SOA in a buffer with room behind it.
fn message(flags: u8) -> (Vec<u8>, usize) {
    let mut message = vec![0x12, 0x34, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(name("example.org").as_wire());
    message.extend([0, 6, 0, 1]);
    let len = message.len();
    message.resize(len + 400, 0);
    (message, len)
}

/// A signed query and the session that waits for its answer.
fn asked(algorithm: Algorithm) -> (Session, Vec<u8>) {
    let (mut query, len) = message(0);
    let (session, len) = Session::ask(Arc::new(key(algorithm)), &mut query, len, NOW).unwrap();
    query.truncate(len);
    (session, query)
}

fn ring(algorithm: Algorithm) -> Keyring {
    [key(algorithm)].into_iter().collect()
}

fn verify(ring: &Keyring, query: &[u8], now: u64) -> Result<Session, Refusal> {
    ring.verify(&SignedQuery::find(query).unwrap().unwrap(), now)
}

#[test]
fn a_query_and_the_messages_of_a_transfer_are_signed_and_believed() {
    for algorithm in Algorithm::ALL {
        let (mut client, query) = asked(algorithm);
        let mut server = verify(&ring(algorithm), &query, NOW + 200).unwrap();
        for number in 0..4 {
            let (mut answer, len) = message(0x80);
            let before = answer[..len].to_vec();
            let len = server.sign(&mut answer, len, NOW + number).unwrap();
            assert_eq!(len, before.len() + server.reserve(), "{algorithm}");
            assert_eq!(client.check(&answer[..len], NOW), Ok(()), "{algorithm} {number}");
            let found = SignedQuery::find(&answer[..len]).unwrap().unwrap();
            assert_eq!(found.stripped(), before);
        }
        assert_eq!(client.end(), Ok(()));
    }
}

#[test]
fn each_changed_octet_is_noticed() {
    let (_, query) = asked(Algorithm::Sha256);
    let ring = ring(Algorithm::Sha256);
    for at in 0..query.len() {
        let mut changed = query.clone();
        changed[at] ^= 0x20;
        let Ok(Some(found)) = SignedQuery::find(&changed) else {
            continue;
        };
        // The ID may be another's, a forwarder's (RFC 8945 §5.5); the names of key and algorithm have no case.
        let is_in_name = |name: &[u8]| {
            let start = query.windows(name.len()).position(|window| window == name).unwrap();
            (start..start + name.len()).contains(&at) && query[at].is_ascii_alphabetic()
        };
        let key_name = name("hoster");
        let is_free = at < 2 || is_in_name(key_name.as_wire()) || is_in_name(Algorithm::Sha256.wire());
        assert_eq!(ring.verify(&found, NOW).is_ok(), is_free, "octet {at}");
    }
}

#[test]
fn the_wrong_key_algorithm_secret_and_time_are_told() {
    let (client, query) = asked(Algorithm::Sha256);
    let told = |ring: &Keyring, now| verify(ring, &query, now).unwrap_err();
    let refusal = told(&Keyring::default(), NOW);
    assert_eq!(refusal.error(), TsigError::BADKEY);
    assert!(refusal.to_string().contains("no [[tsig]] has that name"), "{refusal}");
    let refusal = told(&ring(Algorithm::Sha512), NOW);
    assert_eq!(refusal.error(), TsigError::BADKEY);
    assert!(
        refusal.to_string().contains("ours of that name is of hmac-sha512"),
        "{refusal}"
    );
    let other = Key::new(&name("hoster"), Algorithm::Sha256, "b3RoZXI=").unwrap();
    let refusal = told(&[other].into_iter().collect(), NOW);
    assert_eq!(refusal.error(), TsigError::BADSIG);
    for (now, words) in [
        (NOW + 301, "signed 301 s ago"),
        (NOW - 400, "signed 400 s in the future"),
    ] {
        let refusal = told(&ring(Algorithm::Sha256), now);
        assert_eq!(refusal.error(), TsigError::BADTIME);
        assert!(refusal.to_string().contains(words), "{refusal}");
        // The client hears it signed, and by how much the clocks differ.
        let (mut answer, len) = message(0x80);
        let found = SignedQuery::find(&query).unwrap().unwrap();
        let len = refusal.append_to(&found, &mut answer, len, now).unwrap();
        let told = client.clone().check(&answer[..len], NOW).unwrap_err().to_string();
        let ahead = now.cast_signed() - NOW.cast_signed();
        assert!(told.contains(&format!("differs from ours by {ahead} s")), "{told}");
    }
}

#[test]
fn a_refused_client_is_told_why_without_a_signature() {
    let (mut client, query) = asked(Algorithm::Sha256);
    let found = SignedQuery::find(&query).unwrap().unwrap();
    let refusal = Keyring::default().verify(&found, NOW).unwrap_err();
    let (mut answer, len) = message(0x80);
    let len = refusal.append_to(&found, &mut answer, len, NOW).unwrap();
    let told = client.check(&answer[..len], NOW).unwrap_err();
    assert!(told.to_string().contains("BADKEY"), "{told}");
}

#[test]
fn a_cut_signature_is_refused() {
    let (_, query) = asked(Algorithm::Sha256);
    let mut found = SignedQuery::find(&query).unwrap().unwrap();
    found.mac = &found.mac[..16];
    let refusal = ring(Algorithm::Sha256).verify(&found, NOW).unwrap_err();
    assert_eq!(refusal.error(), TsigError::BADTRUNC);
}

#[test]
fn some_messages_of_a_transfer_may_be_unsigned_but_not_the_first_nor_the_last() {
    let (mut client, query) = asked(Algorithm::Sha256);
    let mut server = verify(&ring(Algorithm::Sha256), &query, NOW).unwrap();
    let (unsigned, unsigned_len) = message(0x80);
    let unsigned = &unsigned[..unsigned_len];
    assert_eq!(client.clone().check(unsigned, NOW), Err(Unverified::Unsigned));
    let (mut answer, len) = message(0x80);
    let len = server.sign(&mut answer, len, NOW).unwrap();
    client.check(&answer[..len], NOW).unwrap();
    client.check(unsigned, NOW).unwrap();
    assert_eq!(client.end(), Err(Unverified::EndUnsigned));
    for _ in 1..MAX_TESTED {
        client.check(unsigned, NOW).unwrap();
    }
    assert_eq!(client.clone().check(unsigned, NOW), Err(Unverified::EndUnsigned));
}

/// RFC 8945 §5.3.1.
const MAX_TESTED: usize = 99;

#[test]
fn a_signature_anywhere_but_at_the_end_is_malformed() {
    let (_, query) = asked(Algorithm::Sha256);
    assert!(SignedQuery::find(&query[..query.len() - 1]).is_err());
    let mut more = query.clone();
    more.push(0);
    assert!(SignedQuery::find(&more).is_err());
    let (plain, len) = message(0);
    assert!(SignedQuery::find(&plain[..len]).unwrap().is_none());
    assert!(SignedQuery::find(&plain[..11]).is_err());
}

#[test]
fn keys_are_read_from_the_files_of_bind_and_knot_and_bare() {
    let hoster = name("hoster.example");
    let wanted = Key::new(&hoster, Algorithm::Sha512, SECRET).unwrap();
    let bind = format!(
        "# by tsig-keygen\nkey \"hoster.example.\" {{\n\talgorithm hmac-sha512;\n\tsecret \"{SECRET}\";\n}};\n"
    );
    let knot = format!(
        "# hmac-sha512:hoster.example.:{SECRET}\nkey:\n- id: hoster.example.\n  algorithm: hmac-sha512\n  secret: {SECRET}\n"
    );
    let two = format!("key other {{ secret \"b3RoZXI=\"; algorithm hmac-md5.sig-alg.reg.int; }}; // one\n{bind}");
    for (text, configured) in [
        (&*bind, None),
        (&bind, Some(Algorithm::Sha512)),
        (&knot, None),
        (&two, None),
        (SECRET, Some(Algorithm::Sha512)),
        (&format!("{SECRET}\n"), Some(Algorithm::Sha512)),
    ] {
        assert_eq!(
            Key::from_file(&hoster, configured, text).as_ref(),
            Ok(&wanted),
            "{text}"
        );
    }
    let slashes = "key k { algorithm hmac-sha256; secret //8=; };";
    assert!(Key::from_file(&name("k"), None, slashes).is_ok());
}

#[test]
fn a_key_file_that_is_none_says_what_is_wrong() {
    let hoster = name("hoster");
    let told = |text: &str, configured| Key::from_file(&hoster, configured, text).unwrap_err().to_string();
    assert!(told("", None).contains("holds no key"));
    assert!(told("key other { secret \"YQ==\"; };", None).contains("no key named `hoster.` in it, but other"));
    assert!(
        told("key hoster { algorithm hmac-sha9; secret \"YQ==\"; };", None).contains("`hmac-sha9` is no algorithm")
    );
    assert!(told("key hoster { algorithm hmac-sha256; };", None).contains("has no secret"));
    assert!(told("key hoster { algorithm hmac-sha256; secret \"?\"; };", None).contains("no base64"));
    let both = told(
        "key hoster { algorithm hmac-sha256; secret \"YQ==\"; };",
        Some(Algorithm::Sha512),
    );
    assert!(both.contains("the file says hmac-sha256"), "{both}");
    assert!(!format!("{:?}", key(Algorithm::Sha256)).contains("c2VjcmV0"));
}
