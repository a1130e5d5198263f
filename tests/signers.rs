//! Keys and switches for real signers: OpenDKIM signs with what [`signpost::signer`] makes and writes, at every moment of
//! a switch; its own `opendkim-testkey` finds the key that Signpost serves; a full disk leaves nothing half done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::netns::Namespace;
use common::signpost::{BINARY, House};
use common::wait_for;
use signpost::config::{self, Reload, Signer};
use signpost::keys::KeyDirectory;
use signpost::mail::dkim::NewKey;
use signpost::name::Name;
use signpost::signer::{self, Fault, SignerError, Switch};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const SIGNER: &str = "\
[[signer]]
kind = \"opendkim\"
key_table = \"KeyTable\"
signing_table = \"SigningTable\"
owner = \"opendkim:opendkim\"
";

const MAIL: &str = "From: joe@example.org\r\nTo: ann@example.net\r\nSubject: rotation\r\n\
                    Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n";

fn org() -> Name {
    Name::from_text("example.org").unwrap()
}

fn signer_of(house: &House) -> Signer {
    let text = fs::read_to_string(house.path("signpost.toml")).unwrap();
    config::parse(&text, &house.path("signpost.toml"))
        .unwrap()
        .signers
        .remove(0)
}

/// What is published for a key.
fn record_of(key_file: &Path) -> String {
    let mut keys = KeyDirectory::new(key_file.parent().unwrap());
    keys.update(key_file, Some(&fs::read(key_file).unwrap()));
    keys.resolve();
    keys.keys_of(&org())[0].record.to_string()
}

fn switch(signer: &Signer, selector: &str, old_selector: Option<&str>, key_file: &Path) -> Result<(), SignerError> {
    let change = Switch {
        domain: &org(),
        selector,
        old_selector,
        algorithm: NewKey::Rsa2048,
        key_file,
        record: &record_of(key_file),
    };
    signer::switch(signer, &change)
}

/// OpenDKIM, started anew, on one mail; what it says. As its own user, who alone may read the keys.
fn opendkim(house: &House, conf: &str, mail: &str) -> String {
    // Anybody may write to /tmp, where the directories of tests are: OpenDKIM would trust no key below it.
    house.write("opendkim.conf", format!("Syslog no\nRequireSafeKeys no\n{conf}"));
    house.write("mail.eml", mail);
    let mut opendkim = Command::new("setpriv");
    opendkim
        .args(["--reuid=opendkim", "--regid=opendkim", "--clear-groups"])
        .args(["opendkim", "-vv", "-x"])
        .arg(house.path("opendkim.conf"))
        .arg("-t")
        .arg(house.path("mail.eml"));
    let output = opendkim.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Signs a mail by the tables and verifies it.
fn signs_with(house: &House, keys: &[(&str, &PathBuf)]) -> Result<String, String> {
    let path = |file: &str| house.path(file).display().to_string();
    let (keys_table, signing_table) = (path("KeyTable"), path("SigningTable"));
    let conf = format!("Mode s\nKeyTable refile:{keys_table}\nSigningTable refile:{signing_table}\n");
    let said = opendkim(house, &conf, MAIL);
    let header = said.split_once("hvalue='").and_then(|(_, rest)| rest.split_once('\''));
    let (header, _) = header.ok_or(said.clone())?;
    verified(
        house,
        keys,
        &format!("DKIM-Signature: {}\r\n{MAIL}", header.replace('\n', "\r\n")),
    )
}

/// Verifies a signed mail against these records; the selector if it passes.
fn verified(house: &House, keys: &[(&str, &PathBuf)], signed: &str) -> Result<String, String> {
    let row = |(selector, record): &(&str, String)| format!("{selector}._domainkey.example.org {record}\n");
    let records = keys.iter().map(|(selector, file)| (*selector, record_of(file)));
    house.write("records", records.map(|record| row(&record)).collect::<String>());
    let said = opendkim(
        house,
        &format!("Mode v\nTestDNSData file:{}\n", house.path("records").display()),
        signed,
    );
    let passed = said
        .split_once("verification (s=")
        .filter(|(_, rest)| rest.contains(") succeeded"));
    let (_, rest) = passed.ok_or(said.clone())?;
    Ok(rest.split(',').next().unwrap().to_owned())
}

#[test]
fn opendkim_signs_with_the_key_of_its_selector_at_every_moment_of_a_switch() {
    let house = House::new(SIGNER);
    fs::set_permissions(house.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    house.write("KeyTable", "# keys\n");
    house.write("SigningTable", "# whose mail\n");
    let mut signer = signer_of(&house);
    let old = signer::make(&signer, &org(), "a", NewKey::Rsa2048).unwrap();
    let found = old.metadata().unwrap();
    assert!(found.uid() != 0 && found.gid() != 0, "given to opendkim");
    switch(&signer, "a", None, &old).unwrap();
    assert_eq!(signs_with(&house, &[("a", &old)]).as_deref(), Ok("a"));
    let new = signer::make(&signer, &org(), "b", NewKey::Rsa2048).unwrap();
    let both = [("a", &old), ("b", &new)];
    assert_eq!(signs_with(&house, &both).as_deref(), Ok("a"));
    let signing_before = fs::read_to_string(house.path("SigningTable")).unwrap();
    switch(&signer, "b", Some("a"), &new).unwrap();
    assert_eq!(signs_with(&house, &both).as_deref(), Ok("b"));
    // Between the two writes, as a crash would leave it: the KeyTable has both.
    house.write("SigningTable", &signing_before);
    assert_eq!(signs_with(&house, &both).as_deref(), Ok("a"));
    // It is finished. A reload that fails changes nothing of that.
    signer.reload = Some(Reload::Command(vec!["/bin/false".to_owned()]));
    assert_eq!(switch(&signer, "b", Some("a"), &new).unwrap_err().fault, Fault::Reload);
    assert_eq!(signs_with(&house, &both).as_deref(), Ok("b"));
    // The old key is in no table and can go.
    signer.reload = None;
    signer::retire(&signer, &org(), "a").unwrap();
    signer::discard(&old, "", None).unwrap();
    assert_eq!(signs_with(&house, &[("b", &new)]).as_deref(), Ok("b"));
}

/// What an MTA does with one mail, for miltertest(8); prints the signature that the milter adds.
const MTA: &str = r#"
conn = mt.connect("local:" .. socket, 40, 0.25)
assert(conn ~= nil, "no connection")
mt.conninfo(conn, "localhost", "127.0.0.1")
mt.mailfrom(conn, "joe@example.org")
mt.rcptto(conn, "ann@example.net")
mt.header(conn, "From", "joe@example.org")
mt.header(conn, "Subject", "rotation")
mt.header(conn, "Date", "Tue, 24 Nov 2026 12:00:00 +0000")
mt.eoh(conn)
mt.bodystring(conn, "hello\r\n")
mt.eom(conn)
mt.echo(mt.getheader(conn, "DKIM-Signature", 0))
mt.disconnect(conn)
"#;

#[test]
fn a_running_opendkim_takes_the_new_key_by_sigusr1() {
    let house = House::new(SIGNER);
    house.write("KeyTable", "");
    house.write("SigningTable", "");
    house.write("mta.lua", MTA);
    // For its socket and its number; the keys are below `keys`, which others can pass.
    house.write("run/x", "");
    for directory in ["", "run"] {
        fs::set_permissions(house.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (socket, pid_file) = (house.path("run/socket"), house.path("run/opendkim.pid"));
    let conf = format!(
        "Mode s\nSyslog no\nRequireSafeKeys no\nKeyTable refile:{}\nSigningTable refile:{}\nPidFile {}\nSocket local:{}\n",
        house.path("KeyTable").display(),
        house.path("SigningTable").display(),
        pid_file.display(),
        socket.display()
    );
    house.write("opendkim.conf", conf);
    let mut signer = signer_of(&house);
    let old = signer::make(&signer, &org(), "a", NewKey::Rsa2048).unwrap();
    switch(&signer, "a", None, &old).unwrap();
    let user = old.metadata().unwrap();
    chown(house.path("run"), Some(user.uid()), Some(user.gid())).unwrap();
    let mut opendkim = Command::new("setpriv");
    opendkim
        .args(["--reuid=opendkim", "--regid=opendkim", "--clear-groups"])
        .args(["opendkim", "-f", "-x"])
        .arg(house.path("opendkim.conf"));
    let mut running = Running(opendkim.spawn().unwrap());
    wait_for("OpenDKIM", || socket.exists().then_some(()));
    wait_for("its number", || {
        fs::read_to_string(&pid_file).ok().filter(|text| text.ends_with('\n'))
    });
    let mta = || {
        let mut mta = Command::new("miltertest");
        mta.arg("-D")
            .arg(format!("socket={}", socket.display()))
            .arg("-s")
            .arg(house.path("mta.lua"));
        let output = mta.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let signed = mta();
    assert!(signed.contains("s=a;"), "{signed}");
    signer.reload = Some(Reload::PidFile(pid_file));
    let new = signer::make(&signer, &org(), "b", NewKey::Rsa2048).unwrap();
    switch(&signer, "b", Some("a"), &new).unwrap();
    // A signal takes its time; until then it is the old key.
    wait_for("a signature with the new key", || {
        let signed = mta();
        assert!(signed.contains("s=a;") || signed.contains("s=b;"), "{signed}");
        signed.contains("s=b;").then_some(())
    });
    assert!(running.0.try_wait().unwrap().is_none());
    drop(running);
    // Gone: its number may be that of another soon.
    assert_eq!(switch(&signer, "b", Some("a"), &new).unwrap_err().fault, Fault::Reload);
}

/// Exim as Debian has it, without its package, which does not go together with that of another mail server; `None`
/// where it cannot be had.
fn exim(house: &House) -> Option<Command> {
    let folder = house.path("exim");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let script = "cd \"$0\" && apt-get download -q exim4-daemon-light libidn12 && \
                  for package in *.deb; do dpkg-deb -x $package . || exit 1; done";
    let mut fetch = Command::new("sh");
    let fetched = fetch.args(["-c", script]).arg(&folder).output().unwrap();
    if !fetched.status.success() {
        return None;
    }
    // It runs as a user of this name only.
    for (file, row) in [
        ("passwd", "Debian-exim:x:61234:61234::/:/bin/false\n"),
        ("group", "Debian-exim:x:61234:\n"),
    ] {
        let before = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        house.write(&format!("exim/{file}"), before + row);
    }
    // And starts itself anew as one that has root's rights, which takes libraries by the system's cache alone.
    let script = "ldconfig -C \"$0/ld.so.cache\" \"$0\"/usr/lib/*-linux-gnu && \
                  for file in passwd group ld.so.cache; do mount --bind \"$0/$file\" /etc/$file || exit 1; done; \
                  exec \"$0/usr/sbin/exim4\" \"$@\"";
    let mut exim = Command::new("unshare");
    exim.args(["--mount", "sh", "-c", script]).arg(folder);
    Some(exim)
}

/// Takes one mail by SMTP.
fn take_mail(listener: &TcpListener) -> String {
    listener.set_nonblocking(true).unwrap();
    let (mut stream, _) = wait_for("Exim", || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let mut mail = String::new();
    stream.write_all(b"220 test\r\n").unwrap();
    while let Some(line) = lines.next() {
        if line == "DATA" {
            stream.write_all(b"354 go on\r\n").unwrap();
            for line in lines.by_ref().take_while(|line| line != ".") {
                mail += line.strip_prefix('.').unwrap_or(&line);
                mail += "\r\n";
            }
        }
        stream.write_all(b"250 ok\r\n").unwrap();
    }
    mail
}

#[test]
fn exim_signs_by_the_recipe_of_the_manual() {
    let house = House::new(
        "[[signer]]\nkind = \"exim\"\nselectors = \"dkim_selectors\"\nowner = \":61234\"\nmode = \"0640\"\n",
    );
    fs::set_permissions(house.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let Some(mut exim) = exim(&house) else {
        eprintln!("skipped: apt-get cannot download exim4-daemon-light");
        return;
    };
    let signer = signer_of(&house);
    house.write("dkim_selectors", "");
    let rsa = signer::make(&signer, &org(), "a", NewKey::Rsa2048).unwrap();
    let ed = signer::make(&signer, &org(), "ed", NewKey::Ed25519).unwrap();
    switch(&signer, "a", None, &rsa).unwrap();
    switch(&signer, "ed", None, &ed).unwrap();
    let manual = include_str!("../docs/signers.md");
    let recipe = manual.lines().filter(|line| line.starts_with("    dkim_"));
    let recipe = recipe.collect::<Vec<_>>().join("\n");
    let recipe = recipe.replace(
        "/etc/exim4/dkim_selectors",
        house.path("dkim_selectors").to_str().unwrap(),
    );
    let recipe = recipe.replace("/etc/signpost/keys", house.path("keys").to_str().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    house.write("spool/x", "");
    chown(house.path("spool"), Some(61_234), Some(61_234)).unwrap();
    house.write(
        "exim.conf",
        format!(
            "primary_hostname = mail.example.org\nspool_directory = {spool}\nlog_file_path = {spool}/%slog\n\
             exim_path = {program}\n\
             keep_environment =\nbegin routers\nout:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  \
             self = send\n  transport = out\nbegin transports\nout:\n  driver = smtp\n  port = {port}\n  \
             allow_localhost\n{recipe}\n",
            spool = house.path("spool").display(),
            program = house.path("exim/usr/sbin/exim4").display(),
            port = listener.local_addr().unwrap().port(),
        ),
    );
    exim.arg("-C").arg(house.path("exim.conf"));
    exim.args(["-odf", "-f", "joe@example.org", "ann@example.net"]);
    let mut send = |mail: &str| {
        house.write("mail.eml", mail);
        exim.stdin(File::open(house.path("mail.eml")).unwrap());
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| take_mail(&listener));
            let output = exim.output().unwrap();
            let log = fs::read_to_string(house.path("spool/mainlog")).unwrap_or_default();
            assert!(
                output.status.success() && log.contains("Completed"),
                "{output:?}\n{log}"
            );
            taken.join().unwrap()
        })
    };
    let signed = send(MAIL);
    for words in ["s=a;", "s=ed;", "a=rsa-sha256", "a=ed25519-sha256"] {
        assert!(signed.contains(words), "{words}: {signed}");
    }
    assert_eq!(verified(&house, &[("a", &rsa)], &signed).as_deref(), Ok("a"));
    let unsigned = send(&MAIL.replace("joe@example.org", "joe@example.com"));
    assert!(
        unsigned.contains("example.com") && !unsigned.contains("DKIM-Signature"),
        "{unsigned}"
    );
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const ZONE: &str = "\
$TTL 1h
@     IN SOA ns hostmaster 2026111501 3h 1h 2w 1h
      IN NS  ns
      IN MX  10 mail
ns    IN A   192.0.2.1
mail  IN A   192.0.2.1
";

#[test]
fn opendkim_testkey_finds_the_key_that_is_made_and_served() {
    let house = House::new("");
    house.write("zones/example.org.zone", ZONE);
    house.replace(
        "signpost.toml",
        format!("listen = [\"127.0.0.1:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n{SIGNER}"),
    );
    let key = signer::make(&signer_of(&house), &org(), "2026a", NewKey::Rsa4096).unwrap();
    house.write(
        "delegation.conf",
        "server:\n    do-not-query-localhost: no\nstub-zone:\n    name: example.org\n    stub-addr: 127.0.0.1\n",
    );
    house.write(
        "opendkim.conf",
        format!(
            "Syslog yes\nResolverConfiguration {}\n",
            house.path("delegation.conf").display()
        ),
    );
    let namespace = Namespace::new();
    let config = house.path("signpost.toml");
    let arguments = ["--config", config.to_str().unwrap()];
    let _signpost = namespace.start("signpost", &house.path("state"), BINARY, arguments);
    wait_for("an answer on port 53 of the namespace", || {
        let output = namespace.output(
            "dig",
            &["+short", "+tries=1", "+time=1", "@127.0.0.1", "example.org", "SOA"],
        );
        output.stdout.starts_with(b"ns.").then_some(())
    });
    let conf = house.path("opendkim.conf");
    let arguments = [
        "-x",
        conf.to_str().unwrap(),
        "-d",
        "example.org",
        "-s",
        "2026a",
        "-k",
        key.to_str().unwrap(),
        "-vvv",
    ];
    let output = namespace.output("opendkim-testkey", &arguments);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("key OK"), "{said}");
}

/// A file system of a few pages, mounted over a directory until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(directory: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&directory);
        assert!(mount.status().unwrap().success(), "mounting a tmpfs needs root");
        Self(directory)
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        let _ = std::io::copy(&mut std::io::repeat(7), &mut filler);
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_no_half_key_and_no_half_table() {
    let house = House::new(
        &SIGNER
            .replace("\"KeyTable\"", "\"disk/KeyTable\"")
            .replace("\"SigningTable\"", "\"disk/SigningTable\""),
    );
    fs::create_dir(house.path("disk")).unwrap();
    let disk = SmallDisk::mount(house.path("disk"));
    let mut signer = signer_of(&house);
    signer.keys = house.path("disk/{domain}.{selector}.private").display().to_string();
    // Long enough to want a page of its own for the new version.
    let table = "# a comment of some length, again and again\n".repeat(300);
    house.write("disk/KeyTable", &table);
    house.write("disk/SigningTable", "");
    let key = signer::make(&signer, &org(), "a", NewKey::Rsa2048).unwrap();
    disk.fill();
    let before = disk.files();
    let told = signer::make(&signer, &org(), "b", NewKey::Rsa2048).unwrap_err();
    assert_eq!(told.fault, Fault::Full, "{told}");
    assert!(told.to_string().contains("make room on the disk"), "{told}");
    assert_eq!(disk.files(), before);
    let told = switch(&signer, "a", None, &key).unwrap_err();
    assert_eq!((told.fault, disk.files()), (Fault::Full, before));
    assert_eq!(fs::read_to_string(house.path("disk/KeyTable")).unwrap(), table);
    assert_eq!(fs::read_to_string(house.path("disk/SigningTable")).unwrap(), "");
    disk.free();
    signer::make(&signer, &org(), "b", NewKey::Rsa2048).unwrap();
    switch(&signer, "a", None, &key).unwrap();
    assert_eq!(
        fs::read_to_string(house.path("disk/SigningTable")).unwrap(),
        "*@example.org a._domainkey.example.org\n"
    );
}

/// Runs the test [`as_somebody_else`] of this program as nobody, on a house of nobody's.
fn run_as_nobody(house: &House, capabilities: &str) -> Result<(), String> {
    let program = house.path("signers");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([
            format!("--inh-caps={capabilities}"),
            format!("--ambient-caps={capabilities}"),
        ])
        .arg(program)
        .args(["--ignored", "--exact", "as_somebody_else", "--nocapture"])
        .env("SIGNPOST_TEST_HOUSE", house.path(""))
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
    }
}

#[test]
#[ignore = "what another user may do; run by the test of that"]
fn as_somebody_else() {
    let house = PathBuf::from(std::env::var_os("SIGNPOST_TEST_HOUSE").unwrap());
    let text = fs::read_to_string(house.join("signpost.toml")).unwrap();
    let signer = config::parse(&text, &house.join("signpost.toml"))
        .unwrap()
        .signers
        .remove(0);
    let key = signer::make(&signer, &org(), "a", NewKey::Rsa2048).unwrap_or_else(|error| panic!("{error}"));
    switch(&signer, "a", None, &key).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_signpost_may_not_do_is_told_and_three_capabilities_are_enough() {
    let house = House::new(SIGNER);
    house.write("KeyTable", "# of root\n");
    house.write("SigningTable", "");
    // Not the mode of a new file.
    fs::set_permissions(house.path("KeyTable"), fs::Permissions::from_mode(0o664)).unwrap();
    for directory in ["", "keys"] {
        chown(house.path(directory), Some(65_534), Some(65_534)).unwrap();
    }
    let told = run_as_nobody(&house, "-all").unwrap_err();
    assert!(
        told.contains("give it to its owner") && told.contains("grant Signpost CAP_CHOWN"),
        "{told}"
    );
    // The keys are its own, the tables are not.
    house.write_config(&SIGNER.replace("owner", "# owner"));
    let told = run_as_nobody(&house, "-all").unwrap_err();
    assert!(told.contains("KeyTable") && told.contains("a table by chown"), "{told}");
    assert_eq!(fs::read_to_string(house.path("KeyTable")).unwrap(), "# of root\n");
    let key = house.path("keys/example.org/a.private");
    assert_eq!(key.metadata().unwrap().uid(), 65_534);
    fs::remove_dir_all(house.path("keys/example.org")).unwrap();
    // Those of systemd/switch-signer.conf, and without the last of them.
    fs::copy("/bin/sleep", house.path("opendkim")).unwrap();
    let mut opendkim = Running(Command::new(house.path("opendkim")).arg("1000").spawn().unwrap());
    house.write("pid", opendkim.0.id().to_string());
    house.write_config(&format!("{SIGNER}pid_file = \"pid\"\n"));
    let told = run_as_nobody(&house, "-all,+chown,+dac_override").unwrap_err();
    assert!(told.contains("grant Signpost CAP_KILL"), "{told}");
    fs::remove_dir_all(house.path("keys/example.org")).unwrap();
    run_as_nobody(&house, "-all,+chown,+dac_override,+kill").unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(opendkim.0.wait().unwrap().signal(), Some(libc::SIGUSR1));
    let uid = |file: &Path| file.metadata().unwrap().uid();
    assert!(uid(&key) != 65_534 && uid(&key) != 0);
    let table = house.path("KeyTable");
    assert_eq!((uid(&table), table.metadata().unwrap().mode() & 0o777), (0, 0o664));
}
