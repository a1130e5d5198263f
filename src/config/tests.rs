use super::mail_options::MAIL_OPTIONS;
use super::options::{Change, OPTIONS, OptionRow, ZONE_OPTIONS};
use super::signer_options::SIGNER_OPTIONS;
use super::*;
use proptest::prelude::*;
use std::fmt::Write;

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("/etc/signpost/signpost.toml"))
}

fn show(error: &ConfigError) -> String {
    let mut shown = format!("{}[{}]\n", error, error.fault.code());
    if let Some(excerpt) = &error.excerpt {
        let _ = writeln!(shown, "{excerpt}");
    }
    shown
}

#[test]
fn an_empty_file_is_a_good_configuration() {
    let config = read("").unwrap();
    assert_eq!(
        config.listen,
        ["0.0.0.0:53".parse().unwrap(), "[::]:53".parse().unwrap()]
    );
    assert_eq!(config.zones, Path::new("/etc/signpost/zones"));
    assert_eq!(config.keys, Path::new("/etc/signpost/keys"));
    assert_eq!(config.state, Path::new("/var/lib/signpost"));
    assert_eq!((config.workers, config.version, config.identity), (None, None, None));
    assert_eq!(config.max_udp_payload, 1232);
    assert_eq!(config.log.level, LogLevel::Info);
    assert!(ZoneConfig::parse("", Path::new("zones/example.org.toml")).is_ok());
}

#[test]
fn reads_every_option() {
    let config = read(
        r#"
        listen = ["127.0.0.1:5300", "[::1]:5300"]
        zones = "z"
        keys = "/etc/opendkim"
        state = "state"
        workers = 3
        version = "Signpost"
        identity = "ns1.example.org"
        max_udp_payload = 4096
        [tcp]
        connections = 7
        per_client = 2
        idle = "1m"
        [cookies]
        enabled = false
        secret_file = "secrets"
        [rate_limit]
        responses_per_second = 200
        all_per_second = 2000
        slip = 1
        ipv4_prefix = 32
        ipv6_prefix = 64
        [log]
        level = "debug"
        [mail]
        "#,
    )
    .unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.zones, Path::new("/etc/signpost/z"));
    assert_eq!(config.keys, Path::new("/etc/opendkim"));
    assert_eq!(config.state, Path::new("/etc/signpost/state"));
    assert_eq!(config.workers.unwrap().get(), 3);
    assert_eq!(config.version.as_deref(), Some("Signpost"));
    assert_eq!(config.identity, Some(Identity::Text("ns1.example.org".into())));
    assert_eq!(config.max_udp_payload, 4096);
    let tcp = Tcp {
        connections: 7,
        per_client: 2,
        idle: Duration::from_secs(60),
    };
    assert_eq!(config.tcp, tcp);
    let cookies = Cookies {
        enabled: false,
        secret_file: Some("/etc/signpost/secrets".into()),
    };
    assert_eq!(config.cookies, cookies);
    let limit = RateLimit {
        responses_per_second: 200,
        all_per_second: Some(2000),
        slip: 1,
        ipv4_prefix: 32,
        ipv6_prefix: 64,
    };
    assert_eq!(config.rate_limit, Some(limit));
    assert_eq!(
        read("[rate_limit]\nslip = 1\n").unwrap().rate_limit,
        None,
        "no rate, no limit"
    );
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(
        read("identity = \"hostname\"").unwrap().identity,
        Some(Identity::Hostname)
    );
}

#[test]
fn relative_paths_start_at_the_file() {
    let here = parse("keys = \"k\"", Path::new("signpost.toml")).unwrap();
    assert_eq!(
        (here.zones.as_path(), here.keys.as_path()),
        (Path::new("zones"), Path::new("k"))
    );
    let there = parse("", Path::new("demo/signpost.toml")).unwrap();
    assert_eq!(there.zones, Path::new("demo/zones"));
}

#[test]
fn an_error_names_the_place_shows_the_line_and_knows_the_cure() {
    let cases = [
        // Unknown keys: the nearest, the right table, the right file.
        "lisen = [\"192.0.2.1:53\"]\n",
        "udp-payload = 1232\n",
        "colour = \"blue\"\n",
        "[tcp]\nidel = \"10s\"\n",
        "[tcp]\nidle = \"10s\"\nkeys = \"keys\"\n",
        "[log]\nlevl = \"info\"\n",
        "[mial.spf]\n",
        // Wrong types.
        "listen = \"0.0.0.0:53\"\n",
        "listen = [53]\n",
        "workers = \"four\"\n",
        "zones = [\"a\", \"b\"]\n",
        "tcp = 5\n",
        "[tcp]\nidle = 10\n",
        "version = true\nworkers = 1.5\n",
        // Values that cannot be meant.
        "listen = [\n  \"192.0.2.1:53\",\n  \"2001:db8::1\",\n]\n",
        "listen = [\"ns1.example.org:53\"]\n",
        "listen = [\"192.0.2.1:99999\"]\n",
        "listen = []\n",
        "listen = [\"192.0.2.1:53\", \"192.0.2.1:53\"]\n",
        "workers = 0\n",
        "max_udp_payload = 65535\n",
        "zones = \"\"\n",
        "[tcp]\nidle = \"10\"\n",
        "[log]\nlevel = \"inf\"\n",
        "[cookies]\nsecret_file = \"\"\n",
        "[cookies]\nenabled = \"yes\"\n",
        "[rate_limit]\nresponses_per_second = 0\n",
        "[rate_limit]\nipv4_prefix = 33\n",
        "[tls]\ncertficate = \"a.pem\"\n",
        "[tls]\ndot = \"::\"\n",
        "[tls]\ndot = [\"::\"]\n",
        "[[signer]]\nkind = \"opendkim\"\n",
        "[[signer]]\nkind = \"open-dkim\"\n",
        "[signer]\nkind = \"hook\"\n",
        "[[signer]]\nkind = \"hook\"\nhook = \"systemctl reload x\"\n",
        "[[signer]]\nkind = \"hook\"\nhok = []\n",
        "zones = \"z\"\n[[signer]]\nkind = \"hook\"\nhook = [\"x\"]\nkeys = \"/srv/{domain}/{selector}.private\"\n",
        // Of another file.
        "[zone]\nnameservers = [\"ns1.example.org\"]\n",
        // No TOML.
        "listen = [\"192.0.2.1:53\"\nzones = \"z\"\n",
        "zones = zones\n",
        "zones\n",
        "zones = \"a\"\nkeys = \"b\"\nzones = \"c\"\n",
        "[tcp]\n[tcp]\n",
        "version = \"no end\n",
        "\u{0}\u{1}\u{2}\n",
    ];
    let shown: String = cases.iter().map(|text| show(&read(text).unwrap_err()) + "\n").collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn an_error_in_a_zone_file_knows_what_belongs_elsewhere() {
    let cases = [
        "listen = []\n",
        "[mial]\n",
        "colour = \"blue\"\n",
        "[zon]\n",
        "[zone]\n",
        "# nobody\n[zone]\nttl = \"1h\"\n",
        "[zone]\nnameserver = [\"ns1.example.org\"]\n",
        "[zone]\nnameservers = \"ns1.example.org\"\n",
        "[zone]\nnameservers = []\n",
        "[zone]\nnameservers = [\"192.0.2.1\"]\n",
        "[zone]\nnameservers = [\"ns1\"]\n",
        "[zone]\nnameservers = [\"ns1..example.org\"]\n",
        "[zone]\nnameservers = [\"ns1.example.org\", \"NS1.example.org.\"]\n",
        "[zone]\nnameservers = [\"ns1.example.org\"]\nhostmaster = \"hostmaster.example.org\"\n",
        "[zone]\nnameservers = [\"ns1.example.org\"]\nrefresh = \"4\"\n",
        "[zone]\nnameservers = [\"ns1.example.org\"]\nminimum = -1\n",
        "[zone]\nnameservers = [\"ns1.example.org\"]\nexpire = true\n",
    ];
    let shown: String = cases
        .iter()
        .map(|text| show(&ZoneConfig::parse(text, Path::new("zones/example.org.toml")).unwrap_err()) + "\n")
        .collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn an_error_in_the_mail_policy_is_told_like_any_other() {
    let unknown = read("[mail]\nnonsense = 1\n").unwrap_err();
    assert_eq!(
        (unknown.fault, unknown.what.as_str()),
        (Fault::UnknownKey, "there is no key `nonsense` in [mail]")
    );
    assert_eq!(unknown.place.unwrap().to_string(), "/etc/signpost/signpost.toml:2:1");
    let wrong = ZoneConfig::parse("mail = 3\n", Path::new("zones/example.org.toml")).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "zones/example.org.toml:1:8: `mail` wants a table, not the number 3; write `[mail]` and its keys below it"
    );
}

#[test]
fn a_zone_without_a_file_has_the_defaults() {
    let config = read("[mail]\n").unwrap();
    assert_eq!(
        config.policy_for(&ZoneConfig::default()).unwrap(),
        MailPolicy::default()
    );
}

/// The line `key = value` in its table.
fn in_table(row: &OptionRow, line: &str) -> String {
    match row.key.rsplit_once('.') {
        Some((table, _)) => format!("[{table}]\n{line}\n"),
        None => format!("{line}\n"),
    }
}

#[test]
fn every_row_of_the_tables_is_true() {
    for row in OPTIONS.iter().chain(MAIL_OPTIONS) {
        let key = row.key.rsplit('.').next().unwrap();
        assert!(row.example.starts_with(&format!("{key} = ")), "{}", row.example);
        // What listens needs a certificate, and that its key.
        let pair = ["certificate = \"x\"", "key = \"x\""];
        let pair = pair.into_iter().filter(|line| !line.starts_with(key));
        let with = pair.filter(|_| row.key.starts_with("tls."));
        let lines: Vec<&str> = std::iter::once(row.example).chain(with).collect();
        let right = read(&in_table(row, &lines.join("\n")));
        assert!(right.is_ok(), "{}: {}", row.example, right.unwrap_err());
        let wrong = read(&in_table(row, &format!("{key} = 1979-05-27"))).unwrap_err();
        // A table of free names takes the date for one of its rows.
        assert!(
            row.key == "mail.spf.hosts" || wrong.fault == Fault::WrongType,
            "{wrong}"
        );
        assert!(row.key == "mail.spf.hosts" || wrong.what.contains(row.wants), "{wrong}");
    }
}

#[test]
fn every_row_of_a_zone_s_table_is_true() {
    let path = Path::new("zones/_dmarc.example.org.toml");
    let apex = |lines: &str| ZoneConfig::parse(&format!("[zone]\n{lines}"), path).map(|zone| zone.apex.unwrap());
    let servers = "nameservers = [\"ns1.example.org\"]\n";
    for row in ZONE_OPTIONS {
        let key = row.key.strip_prefix("zone.").unwrap();
        let others = if key == "nameservers" { "" } else { servers };
        assert!(row.example.starts_with(&format!("{key} = ")), "{}", row.example);
        assert!(apex(&format!("{others}{}\n", row.example)).is_ok(), "{}", row.example);
        let wrong = apex(&format!("{others}{key} = 1979-05-27\n")).unwrap_err();
        assert!(
            wrong.fault == Fault::WrongType && wrong.what.contains(row.wants),
            "{wrong}"
        );
        if row.default.starts_with('"') || row.default == "1" {
            let written = apex(&format!("{servers}{key} = {}\n", row.default)).unwrap();
            assert_eq!(written, apex(servers).unwrap(), "{key}");
        }
    }
    let unknown = apex(&format!("{servers}qqqqq = 1\n")).unwrap_err();
    for key in unknown.cure.split('`').skip(1).step_by(2) {
        assert!(
            options::row(&format!("zone.{key}")).is_some(),
            "{key} is not in the table"
        );
    }
    assert_eq!(unknown.cure.split('`').skip(1).step_by(2).count(), ZONE_OPTIONS.len());
}

#[test]
fn every_row_of_a_signer_s_table_is_true() {
    // Two ways to reload are one too many, and each kind has its own files.
    let whole = |row: &OptionRow, line: &str| {
        let lines: &[&str] = match row.key {
            "signer.selector_map" => &["kind = 'rspamd'", "selector_map = 'x'"],
            "signer.selectors" => &["kind = 'exim'", "selectors = 'x'"],
            _ => &["kind = 'opendkim'", "key_table = 'x'", "signing_table = 'x'"],
        };
        let key = row.key.strip_prefix("signer.").unwrap();
        let others: Vec<&str> = lines
            .iter()
            .copied()
            .filter(|other| !other.starts_with(&format!("{key} ")))
            .collect();
        format!("[[signer]]\n{}\n{line}\n", others.join("\n"))
    };
    for row in SIGNER_OPTIONS {
        let key = row.key.strip_prefix("signer.").unwrap();
        assert!(row.example.starts_with(&format!("{key} = ")), "{}", row.example);
        let right = read(&whole(row, row.example));
        assert!(right.is_ok(), "{}: {}", row.example, right.unwrap_err());
        let wrong = read(&whole(row, &format!("{key} = 1979-05-27"))).unwrap_err();
        assert!(
            wrong.fault == Fault::WrongType && wrong.what.contains(row.wants),
            "{wrong}"
        );
    }
    let unknown = read("[[signer]]\nqqqqq = 1\n").unwrap_err();
    let known: Vec<&str> = unknown.cure.split('`').skip(1).step_by(2).collect();
    assert_eq!(known.len(), SIGNER_OPTIONS.len(), "{unknown}");
    for key in known {
        assert!(
            options::row(&format!("signer.{key}")).is_some(),
            "{key} is not in the table"
        );
    }
}

#[test]
fn every_default_in_the_table_is_in_force() {
    for row in OPTIONS {
        // One that is written in words is none in TOML.
        let plain = row.default == "true" || row.default.parse::<u32>().is_ok();
        if !row.default.starts_with(['"', '[']) && !plain {
            continue;
        }
        let key = row.key.rsplit('.').next().unwrap();
        let written = read(&in_table(row, &format!("{key} = {}", row.default))).unwrap();
        let silent = read("").unwrap();
        let mail = silent.mail.clone();
        assert_eq!(
            format!("{:?}", Config { mail, ..written }),
            format!("{silent:?}"),
            "{}",
            row.key
        );
    }
}

#[test]
fn the_tables_lack_no_option() {
    let tables = ["tcp", "cookies", "rate_limit", "tls", "transfer", "log", "mail"]
        .map(str::to_owned)
        .into_iter();
    let of_mail = MAIL_OPTIONS
        .iter()
        .filter_map(|row| row.key.rsplit_once('.'))
        .map(|(table, _)| table.to_owned());
    let tables: std::collections::BTreeSet<String> = tables.chain(of_mail).chain([String::new()]).collect();
    for table in &tables {
        let (header, prefix) = match table.as_str() {
            "" => (String::new(), String::new()),
            table => (format!("[{table}]\n"), format!("{table}.")),
        };
        let error = read(&format!("{header}qqqqq = 1\n")).unwrap_err();
        let known: Vec<&str> = error.cure.split('`').skip(1).step_by(2).collect();
        assert!(!known.is_empty(), "{error}");
        for key in known {
            let path = format!("{prefix}{key}");
            // `ttl` is described once; the three of DMARC are known only to be refused.
            let elsewhere = ["ttl", "pct", "rf", "ri"].contains(&key) || tables.contains(&path);
            assert!(elsewhere || options::row(&path).is_some(), "{path} is not in a table");
        }
    }
}

#[test]
fn tells_which_changes_need_a_restart() {
    let old = read("").unwrap();
    assert!(Config::restart_needed(&old, &read("# new\n[mail.spf]\nrecord = \"v=spf1 -all\"\n").unwrap()).is_empty());
    let new = read(
        "listen = [\"192.0.2.1:53\"]\nzones = \"other\"\nkeys = \"other\"\nstate = \"other\"\nworkers = 9\n\
         version = \"x\"\nidentity = \"x\"\nmax_udp_payload = 512\n\
         [tcp]\nconnections = 1\nper_client = 1\nidle = \"1s\"\n\
         [cookies]\nenabled = false\nsecret_file = \"x\"\n\
         [rate_limit]\nresponses_per_second = 1\nall_per_second = 1\nslip = 1\nipv4_prefix = 32\nipv6_prefix = 64\n\
         [tls]\ncertificate = \"x\"\nkey = \"x\"\ndot = [\"::\"]\ndoq = [\"::\"]\ndoh = [\"::\"]\n[log]\nlevel = \"trace\"\n",
    )
    .unwrap();
    let expected: Vec<&str> = OPTIONS
        .iter()
        .filter(|row| row.change == Change::Restart)
        .map(|row| row.key)
        .collect();
    assert_eq!(Config::restart_needed(&old, &new), expected);
}

#[test]
fn an_error_becomes_a_finding_with_its_code() {
    let finding = read("workers = 0").unwrap_err().finding();
    assert_eq!(
        (finding.code, finding.place.unwrap().line),
        ("config-bad-value", Some(1))
    );
    assert!(!finding.what.is_empty() && !finding.cure.is_empty());
    let mut codes: Vec<&str> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Fault::ALL.len());
}

#[test]
fn refuses_a_text_far_too_large() {
    let error = read(&"#\n".repeat(1 << 20)).unwrap_err();
    assert_eq!(error.fault, Fault::TooLarge);
}

#[test]
fn survives_deep_nesting() {
    let deep = format!("version = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(&deep).is_err());
    let tables = format!("[{}]\n", vec!["a"; 50_000].join("."));
    assert!(read(&tables).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_place_inside_of_it(text in "\\PC{0,60}|([a-z_.\\[\\]= \"0-9:{}\n]{0,80})") {
        if let Err(error) = read(&text) {
            let line = error.place.as_ref().and_then(|place| place.line);
            prop_assert!(line.is_none_or(|line| line as usize <= text.split('\n').count()), "{error}");
            prop_assert!(!error.cure.is_empty(), "{error}");
        }
    }

    #[test]
    fn a_slip_in_a_key_is_known_again(at in 0usize..OPTIONS.len(), slip in 0usize..14) {
        let row = &OPTIONS[at];
        let (table, key) = row.key.split_once('.').unwrap_or(("", row.key));
        let mut slipped: Vec<char> = key.chars().collect();
        let slip = slip % (slipped.len() - 1);
        slipped.swap(slip, slip + 1);
        let slipped: String = slipped.into_iter().collect();
        prop_assume!(slipped != key);
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let error = read(&format!("{header}{slipped} = 1\n")).unwrap_err();
        prop_assert_eq!(error.fault, Fault::UnknownKey);
        prop_assert!(error.cure.contains(&format!("`{key}`")), "{}", error);
    }
}
