//! Whom to ask: the system's resolver, or the server of `--dns`.

use super::error::VerifyError;
use mail_auth::MessageAuthenticator;
use mail_auth::hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::net::{DnsError, NetError};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::hickory_resolver::proto::rr::{Name, RData};
use mail_auth::hickory_resolver::system_conf::read_system_conf;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long one server may take over one query, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// What came of a question for TXT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Texts {
    /// The records, each put together.
    Found(Vec<Vec<u8>>),
    /// No such name, or no TXT there.
    Absent(ResponseCode),
    /// The server has no part in this name.
    Refused,
    /// No answer, or none of use; what the resolver says of it.
    Failed(String),
    /// No name that could be asked for.
    Malformed,
}

/// The DNS, as it is asked for one message.
#[derive(Clone)]
pub(super) struct Dns {
    pub(super) authenticator: MessageAuthenticator,
    /// Was the server named by the operator?
    pub(super) named: bool,
}

impl Dns {
    /// The server at `address`, or those of `/etc/resolv.conf`.
    pub(super) fn new(address: Option<SocketAddr>) -> Result<Self, VerifyError> {
        let (config, mut options) = match address {
            Some(address) => (server(address), ResolverOpts::default()),
            None => read_system_conf().map_err(|error| VerifyError::Resolver(error.to_string()))?,
        };
        options.timeout = PATIENCE;
        options.attempts = ATTEMPTS;
        options.edns0 = true;
        // What /etc/hosts says is nothing that a receiver of the message could see.
        options.use_hosts_file = ResolveHosts::Never;
        let authenticator =
            MessageAuthenticator::new(config, options).map_err(|error| VerifyError::Resolver(error.to_string()))?;
        Ok(Self {
            authenticator,
            named: address.is_some(),
        })
    }

    /// The TXT records at `name`, which is absolute.
    pub(super) async fn texts(&self, name: &str) -> Texts {
        let Ok(name) = Name::from_str_relaxed(name) else {
            return Texts::Malformed;
        };
        match self.authenticator.resolver().txt_lookup(name).await {
            Ok(lookup) => Texts::Found(
                lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::TXT(txt) => Some(txt.txt_data.concat()),
                        _ => None,
                    })
                    .collect(),
            ),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => Texts::Absent(none.response_code),
            Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused))) => Texts::Refused,
            Err(error) => Texts::Failed(error.to_string()),
        }
    }
}

fn server(address: SocketAddr) -> ResolverConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    ResolverConfig::from_parts(None, vec![], vec![server])
}

/// `ADDRESS` or `ADDRESS:PORT`, `[ADDRESS]:PORT` for IPv6.
pub fn server_address(text: &str) -> Result<SocketAddr, String> {
    let alone = text.trim_start_matches('[').trim_end_matches(']');
    match (text.parse::<SocketAddr>(), alone.parse::<IpAddr>()) {
        (Ok(address), _) => Ok(address),
        (_, Ok(address)) => Ok(SocketAddr::new(address, 53)),
        _ => Err("give an address, such as 192.0.2.53, 192.0.2.53:5300 or [2001:db8::53]:5300".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_port_53_unless_it_says_otherwise() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5300", "192.0.2.53:5300"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5300", "[2001:db8::53]:5300"),
        ] {
            assert_eq!(server_address(text).unwrap().to_string(), expected);
        }
        for wrong in ["", "ns.example.org", "192.0.2.53:", "192.0.2.53:dns"] {
            assert!(server_address(wrong).is_err(), "{wrong}");
        }
    }
}
