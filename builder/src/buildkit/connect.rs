//! Connections to daemons: sockets, TCP with TLS of both sides, and the upgrade that a Docker daemon wants.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};

use super::address::{Host, Place};
use super::{Address, Error, Unreachable};
use crate::diag::causes;

/// Bytes that a daemon may send ahead, in one stream and in all.
const STREAM_WINDOW: u32 = 4 << 20;
const WINDOW: u32 = 16 << 20;

/// How both sides of a TCP connection prove who they are: the texts of PEM files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that a daemon's certificate is from; without any there is no TLS.
    pub authority: Option<Vec<u8>>,
    /// This side's certificate.
    pub certificate: Option<Vec<u8>>,
    /// Its private key.
    pub key: Option<Vec<u8>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("authority", &self.authority.is_some()).finish_non_exhaustive()
    }
}

impl Tls {
    /// Returns what TLS takes, where it is wanted.
    fn parts(&self, address: &Address) -> Result<Option<Parts<'_>>, Error> {
        let refused = |problem: &str| Error::Tls { address: address.to_string(), problem: problem.to_owned() };
        let own = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate.as_slice(), key.as_slice())),
            (None, None) => None,
            _ => return Err(refused("a certificate and its key are given together")),
        };
        match &self.authority {
            Some(authority) => Ok(Some(Parts { authority, own })),
            None if own.is_some() => Err(refused("the authority that the daemon's certificate is from is missing")),
            None => Ok(None),
        }
    }
}

/// The parts of [`Tls`] that belong together.
struct Parts<'a> {
    authority: &'a [u8],
    /// Certificate and key.
    own: Option<(&'a [u8], &'a [u8])>,
}

/// When a connection last brought a byte.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    begin: Instant,
    milliseconds: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn now() -> Self {
        Self { begin: Instant::now(), milliseconds: Arc::default(), connections: Arc::default() }
    }

    fn note(&self) {
        let passed = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(passed, Ordering::Relaxed);
    }

    /// Returns whether one connection after the other was made, so that each was hung up on.
    pub(super) fn hung_up(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 1
    }

    /// Returns for how long nothing came.
    pub(super) fn silence(&self) -> Duration {
        self.begin.elapsed().saturating_sub(Duration::from_millis(self.milliseconds.load(Ordering::Relaxed)))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that notes when it was heard of.
pub(super) struct Connection {
    inner: Box<dyn Stream>,
    heard: Heard,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.note();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// How a connection is made, as often as one is needed.
#[derive(Clone)]
enum Way {
    Unix(PathBuf),
    Tcp(Host),
    /// A Docker daemon turns a connection of its own API into one of BuildKit.
    Upgrade(reqwest::Client, String),
}

#[derive(Clone)]
struct Connector {
    way: Way,
    limit: Duration,
    heard: Heard,
}

impl Connector {
    async fn connect(self) -> io::Result<TokioIo<Connection>> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", self.limit.as_secs()));
        let inner = timeout(self.limit, self.way.open()).await.map_err(|_| late())??;
        self.heard.note();
        self.heard.connections.fetch_add(1, Ordering::Relaxed);
        Ok(TokioIo::new(Connection { inner, heard: self.heard }))
    }
}

impl Way {
    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp(host) => {
                let stream = TcpStream::connect((host.name.as_str(), host.port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Upgrade(client, url) => match upgrade(client, url).await? {
                Asked::Upgraded(stream) => Ok(Box::new(stream)),
                Asked::Status(status) => Err(foreign(&format!("it answers {status} where a Docker daemon upgrades"))),
                Asked::Other(problem) => Err(foreign(&problem)),
            },
        }
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// What comes of asking for an upgrade.
enum Asked {
    Upgraded(reqwest::Upgraded),
    Status(u16),
    Other(String),
}

/// Asks a Docker daemon for BuildKit (Docker Engine API, `POST /grpc`).
async fn upgrade(client: &reqwest::Client, url: &str) -> io::Result<Asked> {
    let request = client.post(url).header("Connection", "Upgrade").header("Upgrade", "h2c");
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let error = error.without_url();
            let text = causes(&error);
            // What no connection was made for is nobody's answer.
            return match kind(&error) {
                Some(kind) if error.is_connect() => Err(io::Error::new(kind, text)),
                _ if error.is_connect() => Err(io::Error::other(text)),
                _ => Ok(Asked::Other(text)),
            };
        }
    };
    match answer.status().as_u16() {
        101 => answer.upgrade().await.map(Asked::Upgraded).map_err(|error| io::Error::other(causes(&error))),
        status => Ok(Asked::Status(status)),
    }
}

fn foreign(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

/// Connects, after finding out who listens where an address does not say it; tells whether it is a Docker daemon.
pub(super) async fn connect(
    address: &Address,
    tls: &Tls,
    limit: Duration,
    heard: &Heard,
) -> Result<(Channel, bool), Error> {
    let mut endpoint = Endpoint::from_static("http://buildkit");
    let way = match address.place() {
        Place::Unix(path) => who(address, path, limit).await?,
        Place::DockerUnix(path) => {
            Way::Upgrade(docker(address, Some(path), &Tls::default())?, docker_url("http", "docker"))
        }
        Place::DockerTcp(host) => {
            let scheme = if tls.parts(address)?.is_some() { "https" } else { "http" };
            Way::Upgrade(docker(address, None, tls)?, docker_url(scheme, &host.to_string()))
        }
        Place::Tcp(host) => {
            if let Some(Parts { authority, own }) = tls.parts(address)? {
                let refused =
                    |error: &dyn StdError| Error::Tls { address: address.to_string(), problem: causes(error) };
                let mut config =
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name(&host.name);
                if let Some((certificate, key)) = own {
                    config = config.identity(Identity::from_pem(certificate, key));
                }
                endpoint = Endpoint::from_shared(format!("https://{host}")).map_err(|error| refused(&error))?;
                endpoint = endpoint.tls_config(config).map_err(|error| refused(&error))?;
            }
            Way::Tcp(host.clone())
        }
    };
    let is_docker = matches!(way, Way::Upgrade(..));
    let connector = Connector { way, limit, heard: heard.clone() };
    let channel = endpoint
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .connect_timeout(limit)
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(address, &error, tls))?;
    Ok((channel, is_docker))
}

/// Finds out who listens at a socket: a Docker daemon speaks HTTP/1.1, buildkitd does not.
async fn who(address: &Address, path: &Path, limit: Duration) -> Result<Way, Error> {
    let client = docker(address, Some(path), &Tls::default())?;
    let url = docker_url("http", "docker");
    let silent = || Error::Connect {
        address: address.to_string(),
        why: Unreachable::Silent,
        problem: format!("no answer within {} s", limit.as_secs()),
    };
    match timeout(limit, upgrade(&client, &url)).await.map_err(|_| silent())? {
        Ok(Asked::Upgraded(_)) => Ok(Way::Upgrade(client, url)),
        Ok(Asked::Other(_)) => Ok(Way::Unix(path.to_owned())),
        Ok(Asked::Status(status)) => Err(Error::Connect {
            address: address.to_string(),
            why: Unreachable::Foreign,
            problem: format!("it speaks HTTP, and answers {status} where a Docker daemon has BuildKit"),
        }),
        Err(error) => Err(unreachable(address, &error, &Tls::default())),
    }
}

/// Returns a client of a Docker daemon.
fn docker(address: &Address, socket: Option<&Path>, tls: &Tls) -> Result<reqwest::Client, Error> {
    let refused = |error: reqwest::Error| Error::Tls { address: address.to_string(), problem: causes(&error) };
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("tarsia/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none());
    if let Some(socket) = socket {
        client = client.unix_socket(socket);
    }
    if let Some(Parts { authority, own }) = tls.parts(address)? {
        client = client.tls_built_in_root_certs(false);
        for certificate in reqwest::Certificate::from_pem_bundle(authority).map_err(refused)? {
            client = client.add_root_certificate(certificate);
        }
        if let Some((certificate, key)) = own {
            let both = [key, b"\n", certificate].concat();
            client = client.identity(reqwest::Identity::from_pem(&both).map_err(refused)?);
        }
    }
    client.build().map_err(refused)
}

fn docker_url(scheme: &str, host: &str) -> String {
    format!("{scheme}://{host}/grpc")
}

/// Returns an error of connecting as one that says what kind it is.
pub(super) fn unreachable(address: &Address, error: &(dyn StdError + 'static), tls: &Tls) -> Error {
    use io::ErrorKind as Kind;
    let problem = causes(error);
    let says = |words: &[&str]| words.iter().any(|word| problem.contains(word));
    let why = match kind(error) {
        _ if says(&["InvalidContentType"]) => Unreachable::Foreign,
        _ if says(&["certificate", "fatal alert", "handshake"]) => Unreachable::Untrusted,
        Some(Kind::NotFound) => Unreachable::Absent,
        Some(Kind::PermissionDenied) => Unreachable::Forbidden,
        Some(Kind::TimedOut) => Unreachable::Silent,
        Some(Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable) => {
            Unreachable::Refused
        }
        _ if says(&["failed to lookup address"]) => Unreachable::Refused,
        _ if says(&["timed out", "deadline"]) => Unreachable::Silent,
        // Who has the certificate, and hangs up on the first word, does not trust this side.
        _ if *tls == Tls::default() => Unreachable::Foreign,
        _ => Unreachable::Untrusted,
    };
    Error::Connect { address: address.to_string(), why, problem }
}

/// Returns the kind of the first error of the system among an error and its causes.
fn kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>().filter(|found| found.kind() != io::ErrorKind::Other) {
            return Some(found.kind());
        }
        next = error.source();
    }
    None
}
