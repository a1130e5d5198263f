//! Clocks that differ, and signatures that do not come.

use crate::common::signpost::House;
use crate::common::transfers::{AXFR, KEY_NAME, OBSERVER, SECRET, TsigKey, connect_from, receive, send};
use crate::common::wire::{Query, SERVFAIL, SOA, name};
use crate::fake::{FakePrimary, Script, answer, apex_of, good, version};
use crate::{ZONE, house_fed_by, wait_for_version};
use signpost::name::Name;
use signpost::tsig::{Algorithm, Key, Keyring, Session, SignedQuery};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const KEY: TsigKey = TsigKey {
    algorithm: "hmac-sha256",
    secret: SECRET,
};

fn key() -> Key {
    Key::new(&Name::from_text(KEY_NAME).unwrap(), Algorithm::Sha256, SECRET).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Gives version 1 signed by a clock that is so many seconds ahead.
fn signs(ahead: i64) -> Script {
    Arc::new(move |question, stream| {
        let signed = SignedQuery::find(question).unwrap().expect("a signed question");
        let mut session = Keyring::from_iter([key()]).verify(&signed, now()).unwrap();
        let mut message = answer(question, &version(&apex_of(question), 1));
        let len = message.len();
        message.resize(len + 512, 0);
        let len = session
            .sign(&mut message, len, now().wrapping_add_signed(ahead))
            .unwrap();
        let _ = send(stream, &message[..len]);
    })
}

#[test]
fn a_primary_whose_clock_is_wrong_is_not_believed() {
    for (script, reason) in [
        (
            signs(-3600),
            "the answer was signed 3600 s ago; the clocks of the two servers differ",
        ),
        (signs(4000), "s in the future; the clocks of the two servers differ"),
        (good(1), "the answer is not signed, though the query was"),
    ] {
        let primary = FakePrimary::new(1);
        primary.play(1, script);
        let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], &KEY.toml(), Some(KEY_NAME));
        house.start(&[]);
        house.wait_for_log(0, reason);
        assert_eq!(house.ask(ZONE, SOA).rcode, SERVFAIL);
        primary.play(1, signs(100));
        wait_for_version(&house, ZONE, 1);
    }
}

#[test]
fn a_secondary_whose_clock_is_wrong_is_told() {
    let mut house = House::new(&format!(
        "{}[transfer]\nallow = [{{ key = \"{KEY_NAME}\" }}]\nnotify_nameservers = false\n",
        KEY.toml()
    ));
    house.write(
        "zones/own.test.zone",
        "@ 300 SOA ns h 1 86400 86400 86400 1\n@ 300 NS ns\nns 300 A 192.0.2.1\n",
    );
    house.start(&["own.test"]);
    let ask = |ahead: i64| {
        let mut query = Query::new(name("own.test"), AXFR).encode();
        let len = query.len();
        query.resize(len + 512, 0);
        let (mut session, len) =
            Session::ask(Arc::new(key()), &mut query, len, now().wrapping_add_signed(ahead)).unwrap();
        let mut stream = connect_from(OBSERVER, house.address).unwrap();
        send(&mut stream, &query[..len]).unwrap();
        let answer = receive(&mut stream).unwrap();
        let checked = session.check(&answer, now()).map_err(|error| error.to_string());
        (answer[3] & 15, checked)
    };
    assert_eq!(ask(0), (0, Ok(())));
    let mark = house.log_mark();
    let (rcode, told) = ask(-1000);
    assert_eq!(rcode, 9, "NOTAUTH");
    // RFC 8945 §5.2.3: the time of the server is in the answer.
    assert!(
        told.unwrap_err()
            .contains("BADTIME: its clock differs from ours by 0 s")
    );
    let log = house.wait_for_log(mark, "the clocks of the two servers differ");
    assert!(
        log.contains("it was signed 1000 s ago") || log.contains("it was signed 1001 s ago"),
        "{log}"
    );
}
