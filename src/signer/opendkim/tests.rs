use super::*;
use crate::mail::dkim::NewKey;
use crate::testing::name;
use proptest::prelude::*;

/// Both tables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    keys: String,
    signing: String,
}

fn pair(keys: &str, signing: &str) -> Pair {
    Pair {
        keys: keys.to_owned(),
        signing: signing.to_owned(),
    }
}

impl Pair {
    fn tables<T>(&self, ask: impl FnOnce(&Tables<'_>) -> Result<T, SignerError>) -> Result<T, SignerError> {
        let keys = (Path::new("KeyTable"), self.keys.as_bytes());
        let signing = (Path::new("SigningTable"), self.signing.as_bytes());
        ask(&Tables::read(keys, signing)?)
    }

    /// The tables after each write of a switch.
    fn switched(&self, domain: &str, old: Option<&str>, new: &str) -> Result<[Self; 2], SignerError> {
        let key_file = format!("/k/{new}.private");
        let domain = name(domain);
        let switch = Switch {
            domain: &domain,
            selector: new,
            old_selector: old,
            algorithm: NewKey::Rsa2048,
            key_file: Path::new(&key_file),
            record: "",
        };
        let text = |new: Vec<u8>| String::from_utf8(new).unwrap();
        let first = Self {
            keys: text(self.tables(|tables| tables.with_key(&switch))?),
            ..self.clone()
        };
        let second = Self {
            signing: text(first.tables(|tables| tables.with_signing(&switch))?),
            ..first.clone()
        };
        Ok([first, second])
    }

    /// The signing domain, selector and key of each sender's rows, read by rules of their own.
    fn resolved(&self) -> Vec<(String, Option<[String; 3]>)> {
        let words = |line: &str| {
            let line = line.split('#').next().unwrap().trim().to_owned();
            let (first, rest) = line.split_once(char::is_whitespace)?;
            Some((first.to_owned(), rest.trim().to_owned()))
        };
        let keys: Vec<_> = self.keys.lines().filter_map(words).collect();
        let signing = self.signing.lines().filter_map(words);
        signing
            .map(|(pattern, key_name)| {
                let found = keys.iter().find(|(name, _)| *name == key_name);
                let parts = found.map(|(_, value)| {
                    let mut parts = value.splitn(3, ':').map(str::to_owned);
                    [(); 3].map(|()| parts.next().unwrap())
                });
                (pattern, parts)
            })
            .collect()
    }
}

fn refused(keys: &str, signing: &str, old: Option<&str>) -> String {
    pair(keys, signing)
        .switched("example.org", old, "new")
        .unwrap_err()
        .to_string()
}

#[test]
fn a_row_whose_name_has_the_selector_gets_one_beside_it() {
    let before = pair(
        "# keys of ours\n  old._domainkey.example.org\texample.org:old:/k/old.private  # made by hand\nother example.net:old:/k/x\n",
        "*@example.org \t old._domainkey.example.org # all of us\njoe@example.org old._domainkey.example.org:joe\n*@example.net other",
    );
    let [first, second] = before.switched("example.org", Some("old"), "new").unwrap();
    assert_eq!(
        first.keys,
        "# keys of ours\n  old._domainkey.example.org\texample.org:old:/k/old.private  # made by hand\n  \
         new._domainkey.example.org\texample.org:new:/k/new.private\nother example.net:old:/k/x\n"
    );
    assert_eq!(
        second.signing,
        "*@example.org \t new._domainkey.example.org # all of us\njoe@example.org new._domainkey.example.org:joe\n*@example.net other"
    );
    // Again, and after a crash between the two.
    assert_eq!(second.switched("example.org", Some("old"), "new").unwrap()[1], second);
    assert_eq!(first.switched("example.org", Some("old"), "new").unwrap()[1], second);
    let retired = second
        .tables(|tables| tables.without_key(&name("example.org"), "old"))
        .unwrap();
    assert_eq!(
        String::from_utf8(retired).unwrap(),
        "# keys of ours\n  new._domainkey.example.org\texample.org:new:/k/new.private\nother example.net:old:/k/x\n"
    );
    let early = first
        .tables(|tables| tables.without_key(&name("example.org"), "old"))
        .unwrap_err();
    assert_eq!(early.to_string().split(": ").next(), Some("SigningTable:1"), "{early}");
}

#[test]
fn a_row_of_any_other_name_is_changed_in_its_place() {
    let before = pair(
        "default\texample.org:old:/k/old.private # since 2019\r\n",
        "*@example.org default\r\n*@example.com default\r\n",
    );
    let [first, second] = before.switched("example.org", Some("old"), "new").unwrap();
    assert_eq!(first.keys, "default\texample.org:new:/k/new.private # since 2019\r\n");
    assert_eq!(
        second,
        Pair {
            signing: before.signing,
            ..first
        }
    );
    assert_eq!(second.switched("example.org", Some("old"), "new").unwrap()[1], second);
}

#[test]
fn what_people_copied_into_a_row_does_no_harm() {
    let before = pair(
        "x refile:example.org : old._domainkey : /k/old.private\n",
        "*@example.org x\n",
    );
    let [first, _] = before.switched("example.org", Some("old"), "new").unwrap();
    assert_eq!(first.keys, "x example.org:new:/k/new.private\n");
}

#[test]
fn a_new_domain_is_added_as_the_table_says_everybody() {
    let of = |keys: &str, signing: &str| {
        let [_, second] = pair(keys, signing).switched("example.org", None, "new").unwrap();
        (second.keys, second.signing)
    };
    let row = "new._domainkey.example.org example.org:new:/k/new.private\n";
    assert_eq!(
        of("", ""),
        (row.to_owned(), "*@example.org new._domainkey.example.org\n".to_owned())
    );
    // A plain table; one whose last line has no break.
    let (keys, signing) = of("a example.net:a:/k/a", "example.net a");
    assert_eq!(keys, format!("a example.net:a:/k/a\n{row}"));
    assert_eq!(signing, "example.net a\nexample.org new._domainkey.example.org\n");
    // The first row that fits counts.
    let (_, signing) = of("a example.net:a:/k/a\n", "# all\n* a\n");
    assert_eq!(signing, "# all\n*@example.org new._domainkey.example.org\n* a\n");
    // Beside the key there is.
    let (keys, signing) = of(
        "x example.org:rsa:/k/rsa\ny example.net:a:/a\n",
        "*@example.org x\n*@example.net y\n",
    );
    assert_eq!(keys, format!("x example.org:rsa:/k/rsa\n{row}y example.net:a:/a\n"));
    assert_eq!(
        signing,
        "*@example.org x\n*@example.org new._domainkey.example.org\n*@example.net y\n"
    );
}

#[test]
fn what_stands_for_many_or_holds_the_key_itself_is_not_touched() {
    for (keys, signing, words) in [
        (
            "all %:old:/k/%/old.private\n",
            "*@example.org all\n",
            "KeyTable:1: mail of example.org is signed by way of this row, whose %",
        ),
        (
            "all example.org:old:/k/%/old\n",
            "*@example.org all\n",
            "whose % stands for many domains; write `SELECTOR._domainkey",
        ),
        (
            "old.example.org example.org:old:/k/o\n",
            "*@example.org old.%\n",
            "SigningTable:1: mail",
        ),
        (
            "x example.org:old\n",
            "*@example.org x\n",
            "KeyTable:1: mail of example.org is signed by way of this row, which cannot be read",
        ),
    ] {
        let told = refused(keys, signing, Some("old"));
        assert!(told.contains(words), "{keys}: {told}");
    }
    let mut key = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    key.extend(
        ed25519_dalek::SigningKey::from_bytes(&[7; 32])
            .verifying_key()
            .as_bytes(),
    );
    use base64::Engine;
    let key = base64::engine::general_purpose::STANDARD.encode(key);
    let told = refused(&format!("x example.org:old:{key}\n"), "*@example.org x\n", Some("old"));
    assert!(
        told.contains("which has the key itself in it") && !told.contains(&key),
        "{told}"
    );
    assert!(refused("x\0y", "", None).contains("it is no text"));
}

#[test]
fn what_somebody_else_decided_is_not_undone() {
    let told = refused("x example.org:third:/k/third\n", "*@example.org x\n", Some("old"));
    assert!(
        told.contains("not signed with selector old but with third: somebody else changed it"),
        "{told}"
    );
    assert!(refused("", "", Some("old")).contains("with no key of its own"));
    let told = refused("x example.org:new:/elsewhere\n", "*@example.org x\n", Some("old"));
    assert!(
        told.contains("KeyTable:1: selector new has another key here than /k/new.private"),
        "{told}"
    );
    let told = refused(
        "old example.org:old:/k/old\nnew example.net:x:/k/x\n",
        "*@example.org old\n",
        Some("old"),
    );
    assert!(told.contains("KeyTable:2: the name `new`"), "{told}");
}

#[test]
fn a_row_that_is_taken_out_again_before_it_is_named_is_not_named() {
    let key_row = "old example.org:old:/k/old\n";
    let before = pair(key_row, "*@example.org old\n");
    let domain = name("example.org");
    for old_selector in [Some("old"), None] {
        let switch = Switch {
            domain: &domain,
            selector: "new",
            old_selector,
            algorithm: NewKey::Rsa2048,
            key_file: Path::new("/k/new"),
            record: "",
        };
        let told = before.tables(|tables| tables.with_signing(&switch)).unwrap_err();
        assert_eq!(told.fault, Fault::Busy, "{told}");
    }
}

#[test]
fn what_is_in_use_is_read_out_of_both_tables() {
    let tables = pair(
        "a example.org:2026A:/k/a\nb example.org:ed:/k/b\nc example.org:unused:/k/c\nall %:mail:/k/%\n",
        "*@example.org a\njoe@example.org b\n*@example.net all\n* all\n*@example.com missing\n",
    );
    let found = tables.tables(|tables| Ok(tables.in_use())).unwrap();
    let found: Vec<String> = found
        .iter()
        .map(|(domain, selectors)| format!("{domain} {selectors:?}"))
        .collect();
    assert_eq!(found, ["example.net. {\"mail\"}", "example.org. {\"2026a\", \"ed\"}"]);
}

#[test]
fn only_a_whole_part_of_a_name_is_the_selector() {
    for (name, expected) in [
        ("a._domainkey.example.org", Some("b._domainkey.example.org")),
        ("key-a.a", Some("key-a.b")),
        ("example.org/A", Some("example.org/b")),
        ("a", Some("b")),
        ("alpha", None),
        ("x_a", None),
    ] {
        assert_eq!(renamed(name, "a", "b").as_deref(), expected, "{name}");
    }
}

/// How a row of a table may look: a comment, or words with blanks around.
fn foreign_line() -> impl Strategy<Value = (String, String)> {
    let blanks = "[ \t]{1,3}";
    let row = (0u32..50, blanks, "( # [a-z ]{0,9})?").prop_map(|(n, blanks, comment)| {
        let keys = format!("k{n}.x{blanks}d{n}.test:s{n}:/k/s{n}.private{comment}");
        (keys, format!("*@d{n}.test{blanks}k{n}.x{comment}"))
    });
    let comment = "(#[a-z:/ ]{0,12}|[ \t]{0,2})".prop_map(|text: String| (text.clone(), text));
    prop_oneof![3 => row, 1 => comment]
}

proptest! {
    #[test]
    fn a_switch_changes_no_other_byte_and_every_moment_has_selector_and_key_of_one(
        front in prop::collection::vec(foreign_line(), 0..6),
        back in prop::collection::vec(foreign_line(), 0..6),
        row_name in prop::sample::select(vec!["old._domainkey.example.org", "default", "old", "example.org"]),
        blanks in "[ \t]{1,3}",
        comment in "( # [a-z ]{0,9})?",
        senders in prop::sample::subsequence(vec!["*@example.org", "*@sub.example.org", "joe@example.net"], 1..=3),
        crlf: bool,
        ends: bool,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let own_key = format!("{row_name}{blanks}example.org:old:/k/old.private{comment}");
        let own_signing = senders.iter().map(|sender| format!("{sender}{blanks}{row_name}{comment}"));
        let lines = |pick: fn(&(String, String)) -> &String, own: Vec<String>| {
            let lines: Vec<String> = front.iter().map(pick).cloned().chain(own).chain(back.iter().map(pick).cloned()).collect();
            lines.join(end) + if ends { end } else { "" }
        };
        let before = Pair {
            keys: lines(|line| &line.0, vec![own_key]),
            signing: lines(|line| &line.1, own_signing.collect()),
        };
        let states = before.switched("example.org", Some("old"), "new").unwrap();
        for state in &states {
            for (sender, key) in state.resolved() {
                let [_, selector, path] = key.unwrap_or_else(|| panic!("{sender} names no key in {state:?}"));
                prop_assert_eq!(path, format!("/k/{selector}.private"), "{:?}", state);
            }
            // Done from there, after a crash, it comes out the same.
            prop_assert_eq!(&state.switched("example.org", Some("old"), "new").unwrap()[1], &states[1]);
        }
        let selectors: Vec<String> = states[1].resolved().into_iter()
            .filter_map(|(_, key)| key).filter(|key| key[0] == "example.org").map(|key| key[1].clone()).collect();
        prop_assert_eq!(selectors, vec!["new"; senders.len()]);
        // Undone word by word, the tables are what they were but for the row beside.
        let back_again = |text: &str| text.replace(":new:/k/new.private", ":old:/k/old.private").replace("new._domainkey", "old._domainkey");
        let undone: Vec<String> = states[1].keys.split_inclusive('\n').map(back_again).collect();
        let known: Vec<&str> = before.keys.split_inclusive('\n').collect();
        let behind = known.len() - front.len() - 1;
        let kept = undone.iter().zip(&known).take(front.len()).all(|(new, old)| new == old)
            && undone.iter().rev().zip(known.iter().rev()).take(behind).all(|(new, old)| new == old);
        prop_assert!(kept, "{:?} became {:?}", before, states[1]);
        let foreign = |text: &str| text.split_inclusive('\n').filter(|line| !line.contains("example")).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(foreign(&states[1].signing), foreign(&before.signing));
        // And the old key goes, leaving nothing of it.
        if states[1].keys.contains("/k/old.private") {
            let retired = states[1].tables(|tables| tables.without_key(&name("example.org"), "old")).unwrap();
            let retired = Pair { keys: String::from_utf8(retired).unwrap(), ..states[1].clone() };
            prop_assert!(!retired.keys.contains("/k/old.private"));
            prop_assert_eq!(retired.resolved(), states[1].resolved());
        }
    }

    #[test]
    fn any_bytes_are_changed_or_refused(keys in prop::collection::vec(any::<u8>(), 0..120), signing in "[ -~\n\t]{0,120}") {
        let tables = Tables::read((Path::new("k"), &keys), (Path::new("s"), signing.as_bytes()));
        let domain = name("example.org");
        for old_selector in [None, Some("old")] {
            let switch = Switch { domain: &domain, selector: "new", old_selector, algorithm: NewKey::Rsa2048, key_file: Path::new("/k/new"), record: "" };
            if let Ok(tables) = &tables {
                let _ = (tables.with_key(&switch), tables.with_signing(&switch), tables.without_key(&domain, "old"));
            }
        }
    }
}
