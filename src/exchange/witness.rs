//! Do all name servers of a zone serve a DKIM key? They are asked as a resolver would ask them: TXT, without signature,
//! by UDP, and by TCP what UDP has no room for (RFC 1035 §4.2.2).
//!
//! Asked are the name servers of the apex, this one among them, and the secondaries that are told of changes. One that
//! has no address, does not answer, or answers otherwise than with the record that is served here is a witness against.

use super::primary::{Failure, ask_by_stream, ask_by_udp, question};
use super::{DNS_PORT, Shared};
use crate::message::{Message, Part, Rcode, flags};
use crate::name::Name;
use crate::record::RecordType;
use crate::transfer::{Fault, Remote};
use serde::Serialize;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a server may take, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;

/// A key, where it is to be, and how it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// The zone it stands in.
    pub apex: Name,
    /// The signing domain.
    pub domain: Name,
    /// The selector.
    pub selector: String,
    /// `selector._domainkey.domain`.
    pub owner: Name,
    /// The tag list.
    pub record: Arc<str>,
}

/// What one name server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Its name, and its address if it has one.
    pub server: String,
    /// Why it is a witness against; `None` if it serves the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A server to ask.
#[derive(Debug, Clone)]
enum Server {
    At(Option<Name>, Remote),
    Nowhere(Name),
}

impl Shared {
    /// Asks all name servers of the key's zone.
    pub(super) async fn witnesses(self: &Arc<Self>, sought: Sought) -> Vec<Witness> {
        let sought = Arc::new(sought);
        let mut asked = JoinSet::new();
        for server in self.servers_of(&sought.apex).await {
            let (shared, sought) = (Arc::clone(self), Arc::clone(&sought));
            asked.spawn(async move { shared.heard_from(server, &sought).await });
        }
        let heard = asked.join_all().await;
        // A host without IPv6 hears of a server that has both by its other address.
        let is_heard = |name: &Option<Name>| heard.iter().any(|other| other.reached && other.name == *name);
        let counts = |heard: &&Heard| heard.reached || heard.name.is_none() || !is_heard(&heard.name);
        let mut witnesses: Vec<Witness> = heard.iter().filter(counts).map(|heard| heard.witness.clone()).collect();
        witnesses.sort_by(|a, b| a.server.cmp(&b.server));
        witnesses
    }

    async fn heard_from(&self, server: Server, sought: &Sought) -> Heard {
        let (name, remote) = match server {
            Server::At(name, remote) => (name, remote),
            Server::Nowhere(name) => {
                let witness = Witness {
                    server: name.to_string(),
                    problem: Some("it has no address".into()),
                };
                return Heard {
                    name: Some(name),
                    reached: true,
                    witness,
                };
            }
        };
        let texts = self.texts_at(&remote, &sought.owner).await;
        Heard {
            reached: !matches!(&texts, Err(Failure::Io(error)) if is_no_way(error)),
            witness: Witness {
                server: name
                    .as_ref()
                    .map_or_else(|| remote.to_string(), |name| format!("{name} ({remote})")),
                problem: problem_with(texts, sought),
            },
            name,
        }
    }

    async fn servers_of(&self, apex: &Name) -> Vec<Server> {
        let mut told: Vec<Remote> = self.policies.load().of(apex).notify.clone();
        let mut servers = vec![];
        let Some(zone) = self.zones.load().get(apex).cloned() else {
            return servers;
        };
        for (name, addresses) in self.nameservers.all(self, &zone).await {
            if addresses.is_empty() {
                servers.push(Server::Nowhere(name.clone()));
            }
            for ip in addresses {
                let remote = told
                    .iter()
                    .position(|remote| remote.address.ip() == ip && remote.tls.is_none());
                let remote = match remote {
                    Some(at) => told.swap_remove(at),
                    None => plain(SocketAddr::new(ip, self.our_port(ip).unwrap_or(DNS_PORT))),
                };
                told.retain(|remote| remote.address.ip() != ip);
                servers.push(Server::At(Some(name.clone()), remote));
            }
        }
        servers.extend(told.into_iter().map(|remote| Server::At(None, remote)));
        servers
    }

    /// The port that we listen on at this address, if it is one of ours.
    fn our_port(&self, ip: IpAddr) -> Option<u16> {
        let ours = self.listen.iter().find(|listen| listen.ip() == ip);
        ours.map(SocketAddr::port)
    }

    /// The TXT records at a name, each in one piece.
    async fn texts_at(&self, remote: &Remote, owner: &Name) -> Result<Vec<Vec<u8>>, Failure> {
        let remote = &Remote {
            key: None,
            ..remote.clone()
        };
        if remote.tls.is_none() {
            for _ in 0..ATTEMPTS {
                let (question, _) = question(self, remote, owner, RecordType::TXT, None, false)?;
                if let Some(answer) = ask_by_udp(self, remote, &question, PATIENCE).await? {
                    match texts_in(&answer, owner)? {
                        Answer::Texts(texts) => return Ok(texts),
                        Answer::Truncated => break,
                    }
                }
            }
        }
        let (question, _) = question(self, remote, owner, RecordType::TXT, None, false)?;
        let by_stream = tokio::time::timeout(PATIENCE, ask_by_stream(self, remote, &question)).await;
        let answer = by_stream.map_err(|_| Failure::Silent)??;
        match texts_in(&answer, owner)? {
            Answer::Texts(texts) => Ok(texts),
            Answer::Truncated => Err(Failure::Silent),
        }
    }
}

/// What came of asking at one address.
#[derive(Debug)]
struct Heard {
    name: Option<Name>,
    /// Is there a way from here to the address?
    reached: bool,
    witness: Witness,
}

/// What is wrong with what a server says.
fn problem_with(texts: Result<Vec<Vec<u8>>, Failure>, sought: &Sought) -> Option<String> {
    match texts {
        Err(Failure::Io(error)) if is_no_way(&error) => {
            Some("this machine has no way to that address; give it one, or take the address out of the zone".into())
        }
        Err(error) => Some(error.to_string()),
        Ok(texts) => match texts.as_slice() {
            [] => Some("it does not have the record".into()),
            [text] if **text == *sought.record.as_bytes() => None,
            [_] => Some("it has another record".into()),
            _ => Some("it has several records, of which verifiers may take any (RFC 6376 §3.6.2.2)".into()),
        },
    }
}

/// Has this machine no address or no route of that family?
fn is_no_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable
    )
}

enum Answer {
    Texts(Vec<Vec<u8>>),
    Truncated,
}

fn texts_in(bytes: &[u8], owner: &Name) -> Result<Answer, Failure> {
    let message = Message::read(bytes).map_err(Fault::from)?;
    if message.flags & flags::TC != 0 {
        return Ok(Answer::Truncated);
    }
    match message.rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => {}
        other => return Err(Fault::Answered(other).into()),
    }
    if message.flags & flags::AA == 0 {
        return Err(Failure::NotAuthoritative);
    }
    let mut texts = vec![];
    for record in message.records() {
        let record = record.map_err(Fault::from)?;
        if record.part == Part::Answer && record.rtype == RecordType::TXT && record.owner == *owner {
            texts.push(in_one_piece(&record.rdata().map_err(Fault::from)?));
        }
    }
    Ok(Answer::Texts(texts))
}

/// The character-strings of a TXT record, joined (RFC 6376 §3.6.2.2).
fn in_one_piece(rdata: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(rdata.len());
    let mut rest = rdata;
    while let Some((len, more)) = rest.split_first() {
        let (string, more) = more.split_at(usize::from(*len).min(more.len()));
        text.extend_from_slice(string);
        rest = more;
    }
    text
}

fn plain(address: SocketAddr) -> Remote {
    Remote {
        address,
        key: None,
        tls: None,
    }
}
