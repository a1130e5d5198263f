//! Certificates by openssl, clients by rustls, quinn and h2, and a house with encrypted transports.

use crate::common::signpost::House;
use crate::common::{free_port, wait_for};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in the server's certificate.
pub(crate) const NS1: &str = "ns1.example.org";
/// How long a client waits for what should come.
const PATIENCE: Duration = Duration::from_secs(10);

/// An authority, in a directory of its own.
pub(crate) struct Authority {
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Test Authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let subject = format!("/CN={name}");
        let dir = tempfile::tempdir().unwrap();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        openssl(
            dir.path(),
            [
                "req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", &subject,
            ]
            .into_iter()
            .chain(key),
        );
        Self { dir }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Writes `STEM.pem` and `STEM.key` into `dir`: a certificate for `name` and 127.0.0.1, and its key.
    pub(crate) fn issue(&self, name: &str, dir: &Path, stem: &str) {
        let here = self.dir.path();
        let (pem, key) = (dir.join(format!("{stem}.pem")), dir.join(format!("{stem}.key")));
        let subject = format!("/CN={name}");
        openssl(
            here,
            [
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
            ]
            .map(str::to_owned)
            .into_iter()
            .chain([key.display().to_string()])
            .chain(["-out", "request", "-subj", &subject].map(str::to_owned)),
        );
        std::fs::write(
            here.join("extensions"),
            format!("subjectAltName=DNS:{name},IP:127.0.0.1\n"),
        )
        .unwrap();
        openssl(
            here,
            [
                "x509",
                "-req",
                "-in",
                "request",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
            ]
            .map(str::to_owned)
            .into_iter()
            .chain(["-extfile", "extensions", "-out"].map(str::to_owned))
            .chain([pem.display().to_string()]),
        );
    }

    /// What a client that trusts this authority connects with, showing a certificate if it has one.
    pub(crate) fn client(&self, protocol: &str, own: Option<(&Path, &str)>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.certificate()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some((dir, stem)) => {
                let chain = vec![CertificateDer::from_pem_file(dir.join(format!("{stem}.pem"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(dir.join(format!("{stem}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config
    }
}

fn openssl(dir: &Path, args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) {
    let output = Command::new("openssl").current_dir(dir).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Where the encrypted transports of a house are.
pub(crate) struct Ports {
    pub(crate) dot: SocketAddr,
    pub(crate) doq: SocketAddr,
    pub(crate) doh: SocketAddr,
}

/// A house with a certificate of `authority`, its ports, and `more` in its configuration.
pub(crate) fn house(authority: &Authority, more: &str) -> (House, Ports) {
    let house = House::new("");
    authority.issue(NS1, &house.path(""), "ns1");
    let local = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let ports = Ports {
        dot: local(),
        doq: local(),
        doh: local(),
    };
    write_config(&house, &ports, more);
    (house, ports)
}

/// Everything in `more` before its first table belongs to `[tls]`.
pub(crate) fn write_config(house: &House, ports: &Ports, more: &str) {
    let Ports { dot, doq, doh } = ports;
    house.write_config(&format!(
        "[tls]\ncertificate = \"ns1.pem\"\nkey = \"ns1.key\"\ndot = [\"{dot}\"]\ndoq = [\"{doq}\"]\ndoh = [\"{doh}\"]\n\
         {more}"
    ));
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs what is asynchronous.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(async {
        tokio::time::timeout(PATIENCE * 3, work)
            .await
            .expect("it takes too long")
    })
}

/// A connection by TLS; the error of a handshake is shown when the first octets are read.
pub(crate) async fn connect(server: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from(NS1).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

pub(crate) async fn send(stream: &mut TlsStream<TcpStream>, query: &[u8]) -> std::io::Result<()> {
    let framed = [&(query.len() as u16).to_be_bytes()[..], query].concat();
    stream.write_all(&framed).await?;
    stream.flush().await
}

pub(crate) async fn receive(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// One query by TLS.
pub(crate) fn tls_bytes(server: SocketAddr, config: ClientConfig, query: &[u8]) -> std::io::Result<Vec<u8>> {
    run(async {
        let mut stream = connect(server, config).await?;
        send(&mut stream, query).await?;
        receive(&mut stream).await
    })
}

/// A QUIC client.
pub(crate) fn quic_client(config: ClientConfig) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    endpoint.set_default_client_config(quic_config(config));
    endpoint
}

pub(crate) fn quic_config(config: ClientConfig) -> quinn::ClientConfig {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    quinn::ClientConfig::new(Arc::new(crypto))
}

/// One query by QUIC: all messages of the answer.
pub(crate) fn quic_messages(
    server: SocketAddr,
    config: ClientConfig,
    query: &[u8],
) -> Result<Vec<Vec<u8>>, quinn::ConnectionError> {
    run(async {
        let endpoint = quic_client(config);
        let connection = endpoint.connect(server, NS1).unwrap().await?;
        let (mut send, mut recv) = connection.open_bi().await?;
        let framed = [&(query.len() as u16).to_be_bytes()[..], query].concat();
        let written = send.write_all(&framed).await;
        let _ = send.finish();
        match (written, recv.read_to_end(1 << 24).await) {
            (Ok(()), Ok(octets)) => Ok(messages(&octets)),
            _ => Err(connection.closed().await),
        }
    })
}

fn messages(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = vec![];
    while let Some((len, rest)) = octets.split_first_chunk::<2>() {
        let (message, after) = rest.split_at(usize::from(u16::from_be_bytes(*len)));
        messages.push(message.to_vec());
        octets = after;
    }
    messages
}

/// One request by HTTPS: status, header fields and body.
pub(crate) fn https(
    server: SocketAddr,
    config: ClientConfig,
    request: http::Request<()>,
    body: Option<Vec<u8>>,
) -> (u16, http::HeaderMap, Vec<u8>) {
    run(async {
        let stream = connect(server, config).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let (response, mut stream) = client.send_request(request, body.is_none()).unwrap();
        if let Some(body) = body {
            stream.send_data(body.into(), true).unwrap();
        }
        let (head, mut stream) = response.await.unwrap().into_parts();
        let mut octets = vec![];
        while let Some(chunk) = stream.data().await {
            let chunk = chunk.unwrap();
            let _ = stream.flow_control().release_capacity(chunk.len());
            octets.extend_from_slice(&chunk);
        }
        (head.status.as_u16(), head.headers, octets)
    })
}

/// What kdig says, which must succeed.
pub(crate) fn kdig(server: SocketAddr, args: &[&str]) -> String {
    let output = Command::new("kdig")
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "+retry=0", "+timeout=5"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Waits until new connections show the certificate that is in this file now.
pub(crate) fn wait_for_certificate(server: SocketAddr, authority: &Authority, file: &Path) {
    let wanted = CertificateDer::from_pem_file(file).unwrap();
    wait_for("the new certificate", || {
        (certificate(server, authority) == wanted).then_some(())
    });
}

/// The certificate that a new connection shows.
pub(crate) fn certificate(server: SocketAddr, authority: &Authority) -> CertificateDer<'static> {
    run(async {
        let stream = connect(server, authority.client("dot", None)).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    })
}
