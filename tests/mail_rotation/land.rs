//! The land the mail travels: two networks with a cable between them, and the DNS of the receiving one.
//!
//! The sending side (192.0.2.0/24) has the primary name server of example.org and its mail server. The receiving side
//! (198.51.100.0/24) has the secondary, example.net's mail server, and unbound, which asks both name servers, knows
//! the other domains by heart, and which everything else asks.

use crate::common::daemon::{Daemon, Launch};
use crate::common::netns::Namespace;
use crate::common::wait_for;
use std::fs;
use std::path::Path;

pub(crate) const DOMAIN: &str = "example.org";
/// Both name servers of [`DOMAIN`]: ns1, ns2.
pub(crate) const NAME_SERVERS: [&str; 2] = ["192.0.2.53", "198.51.100.53"];
/// Where the secondary fetches the zone, so that this can be cut off while both name servers answer.
pub(crate) const TRANSFERS: &str = "192.0.2.54";
pub(crate) const SENDING_MAIL: &str = "192.0.2.25";
pub(crate) const FORWARDER: &str = "192.0.2.99";
pub(crate) const RECEIVING_MAIL: &str = "198.51.100.25";
pub(crate) const RESOLVER: &str = "198.51.100.1";

/// How long resolvers keep a record of [`ZONE`] or a key in it, and that there is none, in seconds.
pub(crate) const TTL: u64 = 3;
pub(crate) const NEGATIVE_TTL: u64 = 2;

/// The zone, without anything of mail authentication: times a thousandth of the usual.
pub(crate) const ZONE: &str = "\
$TTL 3
@    IN SOA ns1 hostmaster 1 2 1 1209600 2
@    IN NS  ns1
@    IN NS  ns2
@    IN MX  10 mail
ns1  IN A   192.0.2.53
ns2  IN A   198.51.100.53
mail IN A   192.0.2.25
";

pub(crate) struct Land {
    pub(crate) sending: Namespace,
    pub(crate) receiving: Namespace,
}

impl Land {
    pub(crate) fn new() -> Self {
        let land = Self {
            sending: Namespace::new(),
            receiving: Namespace::new(),
        };
        land.sending.connect("cable", &land.receiving, "cable");
        land.sending.resolve_by(RESOLVER);
        let (sending, receiving) = (&land.sending, &land.receiving);
        for (namespace, addresses) in [
            (
                sending,
                [NAME_SERVERS[0], TRANSFERS, SENDING_MAIL, FORWARDER].as_slice(),
            ),
            (receiving, &[NAME_SERVERS[1], RECEIVING_MAIL, RESOLVER]),
        ] {
            for address in addresses {
                namespace.ip(&["address", "add", address, "dev", "cable"]);
            }
        }
        let [ns1, ns2] = NAME_SERVERS;
        sending.ip(&["route", "add", "198.51.100.0/24", "dev", "cable", "src", ns1]);
        receiving.ip(&["route", "add", "192.0.2.0/24", "dev", "cable", "src", ns2]);
        land
    }

    /// Nothing that the secondary sends to where it fetches the zone arrives any more, or again.
    pub(crate) fn cut_transfers(&self, cut: bool) {
        let change = if cut { "add" } else { "del" };
        self.receiving.ip(&["route", change, "blackhole", TRANSFERS]);
    }

    /// Has the receiving side's resolver look up a TXT record, so that it remembers what there is, or that there is
    /// none.
    pub(crate) fn look_up(&self, name: &str) {
        dig(&self.receiving, RESOLVER, name, "TXT");
    }

    /// The TXT record at a name as one name server has it: its strings put together, or nothing.
    pub(crate) fn text_at(&self, server: &str, name: &str) -> String {
        dig(&self.sending, server, name, "TXT")
            .replace("\" \"", "")
            .replace('"', "")
            .trim()
            .to_owned()
    }
}

fn dig(namespace: &Namespace, server: &str, name: &str, record_type: &str) -> String {
    let server = format!("@{server}");
    let output = namespace.output("dig", &[&server, "+short", "+time=1", "+tries=1", name, record_type]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// unbound, which the receiving side and the sender's mail server ask.
pub(crate) fn resolver(land: &Land, dir: &Path) -> Daemon {
    let [ns1, ns2] = NAME_SERVERS;
    let conf = format!(
        "server:\n interface: 127.0.0.1\n interface: {RESOLVER}\n access-control: 0.0.0.0/0 allow\n username: \"\"\n \
         chroot: \"\"\n directory: \"{here}\"\n pidfile: \"\"\n use-syslog: no\n module-config: \"iterator\"\n \
         num-threads: 1\n local-zone: \".\" static\n local-zone: \"{DOMAIN}.\" transparent\n \
         local-data: \"example.net. MX 10 mail.example.net.\"\n local-data: \"mail.example.net. A {RECEIVING_MAIL}\"\n \
         local-data: 'list.example.com. TXT \"v=spf1 ip4:{FORWARDER} -all\"'\n local-data: \"list.example.com. A {FORWARDER}\"\n \
         local-data-ptr: \"{SENDING_MAIL} mail.{DOMAIN}\"\n local-data-ptr: \"{FORWARDER} list.example.com\"\n\
         stub-zone:\n name: \"{DOMAIN}.\"\n stub-addr: {ns1}\n stub-addr: {ns2}\n",
        here = dir.display(),
    );
    let file = dir.join("unbound.conf");
    fs::write(&file, conf).unwrap();
    let mut daemon = Launch::under("unbound", dir, &land.receiving.prefix(), "unbound")
        .args(["-d", "-c"])
        .arg(file)
        .start();
    wait_for("the resolver", || {
        assert!(daemon.is_running(), "{}", daemon.log());
        dig(&land.receiving, RESOLVER, "example.net", "MX")
            .contains("mail")
            .then_some(())
    });
    daemon
}

/// BIND as the second name server: it fetches as often as it may.
pub(crate) fn secondary(land: &Land, dir: &Path) -> Daemon {
    let ns2 = NAME_SERVERS[1];
    let conf = format!(
        "options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\";\n\
         listen-on {{ {ns2}; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no;\n\
         empty-zones-enable no; query-source address {ns2}; transfer-source {ns2};\n\
         min-refresh-time 1; max-refresh-time 2; min-retry-time 1; max-retry-time 2; }};\n\
         controls {{ }};\n\
         zone \"{DOMAIN}\" {{ type secondary; file \"{DOMAIN}.copy\"; primaries {{ {TRANSFERS}; }};\n\
         allow-notify {{ 192.0.2.0/24; }}; }};\n",
        here = dir.display(),
    );
    let file = dir.join("secondary.conf");
    fs::write(&file, conf).unwrap();
    Launch::under("secondary", dir, &land.receiving.prefix(), "named")
        .args(["-g", "-n", "1", "-U", "1", "-c"])
        .arg(file)
        .start()
}

/// Waits until both name servers answer for the zone.
pub(crate) fn wait_for_name_servers(land: &Land) {
    for server in NAME_SERVERS {
        wait_for(&format!("{server} to serve {DOMAIN}"), || {
            dig(&land.sending, server, DOMAIN, "SOA")
                .starts_with("ns1.")
                .then_some(())
        });
    }
}
