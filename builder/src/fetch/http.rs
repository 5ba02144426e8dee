//! [`Transport`] over HTTP and TLS, and over `file:` addresses.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName};
use rustix::fs::OFlags;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::transport::{Request, Response, Transport, TransportError};
use crate::diag::causes;

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// What rustls says where a server's certificate is not trusted.
pub(super) const CERTIFICATE: &str = "invalid peer certificate";

/// Pieces of a body that wait for their reader.
const PIECES: usize = 16;

/// Which proxies are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxies {
    /// None.
    None,
    /// Those of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    Environment,
    /// This one for everything.
    All(String),
}

/// How [`HttpTransport`] connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for an answer's head, and for each piece of its body.
    pub idle_timeout: Duration,
    /// Which proxies are used.
    pub proxies: Proxies,
    /// PEM texts of further certificate authorities.
    pub certificates: Vec<Vec<u8>>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(30),
            proxies: Proxies::Environment,
            certificates: Vec::new(),
        }
    }
}

/// Gets `https:` and `http:` addresses over the network, and `file:` addresses from disk.
pub struct HttpTransport {
    client: reqwest::Client,
    /// Those that trust further authorities, by these.
    clients: Mutex<BTreeMap<Arc<[u8]>, reqwest::Client>>,
    options: HttpOptions,
    /// Always there until drop.
    runtime: Option<Runtime>,
    idle_timeout: Duration,
}

impl HttpTransport {
    /// Returns a transport with connections and threads of its own.
    pub fn new(options: &HttpOptions) -> Result<Self, TransportError> {
        let client = client(options, None)?;
        let refused = |error: io::Error| TransportError::Refused(format!("cannot use the network: {}", causes(&error)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fetch")
            .enable_all()
            .build()
            .map_err(refused)?;
        let clients = Mutex::default();
        Ok(Self {
            client,
            clients,
            options: options.clone(),
            runtime: Some(runtime),
            idle_timeout: options.idle_timeout,
        })
    }

    /// Returns the client that trusts what the request says.
    fn client(&self, request: &Request) -> Result<reqwest::Client, TransportError> {
        let Some(authorities) = &request.access.authorities else { return Ok(self.client.clone()) };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(authorities) {
            return Ok(client.clone());
        }
        let client = client(&self.options, Some(authorities))?;
        clients.insert(authorities.clone(), client.clone());
        Ok(client)
    }

    fn http(&self, url: reqwest::Url, request: &Request) -> Result<Response, TransportError> {
        let runtime = self.runtime.as_ref().ok_or_else(|| TransportError::Refused("the network is shut".to_owned()))?;
        let mut asked = self.client(request)?.get(url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(login) = &request.access.login {
            asked = asked.basic_auth(&login.user, Some(&login.password));
        }
        if request.offset > 0 {
            asked = asked.header(header::RANGE, format!("bytes={}-", request.offset));
            if let Some(tag) = &request.if_range {
                asked = asked.header(header::IF_RANGE, tag);
            }
        }
        let idle = self.idle_timeout;
        let answered = runtime.block_on(async { tokio::time::timeout(idle, asked.send()).await });
        let mut answer = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_redirect() || error.is_builder() => {
                return Err(TransportError::Refused(causes(&error.without_url())));
            }
            Ok(Err(error)) => {
                let why = causes(&error.without_url());
                // Who is not trusted now will not be in a second.
                let final_word = why.contains(CERTIFICATE);
                return Err(if final_word { TransportError::Refused(why) } else { TransportError::Failed(why) });
            }
            Err(_) => return Err(TransportError::Failed(format!("no answer within {} s", idle.as_secs()))),
        };
        let headers = answer.headers();
        let text = |name: HeaderName| header_text(headers, name);
        let (content_range, etag) = (text(header::CONTENT_RANGE), text(header::ETAG));
        let (retry_after, length) = (text(header::RETRY_AFTER), answer.content_length());
        let status = answer.status().as_u16();
        let (sender, receiver) = mpsc::channel(PIECES);
        runtime.spawn(async move {
            loop {
                let piece = match tokio::time::timeout(idle, answer.chunk()).await {
                    Ok(Ok(Some(piece))) => Ok(piece),
                    Ok(Ok(None)) => Ok(Default::default()),
                    Ok(Err(error)) => {
                        let text = causes(&error.without_url());
                        Err(io::Error::new(io::ErrorKind::ConnectionReset, text))
                    }
                    Err(_) => {
                        Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing came for {} s", idle.as_secs())))
                    }
                };
                let last = piece.as_ref().map_or(true, |piece| piece.is_empty());
                // A reader that is gone wants no more.
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        });
        let body = Box::new(Body { receiver, piece: Default::default(), read: 0, over: false });
        Ok(Response { status, length, content_range, etag, retry_after, body })
    }
}

/// Returns a client that trusts the machine's authorities, those of the options, and these.
fn client(options: &HttpOptions, authorities: Option<&[u8]>) -> Result<reqwest::Client, TransportError> {
    let refused = |what: &str, error: &dyn std::error::Error| {
        TransportError::Refused(format!("cannot use {what}: {}", causes(error)))
    };
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("tarsia/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .referer(false)
        .redirect(reqwest::redirect::Policy::custom(redirect));
    match &options.proxies {
        Proxies::Environment => {}
        Proxies::None => client = client.no_proxy(),
        Proxies::All(address) => {
            let proxy = reqwest::Proxy::all(address).map_err(|error| refused("the proxy", &error))?;
            client = client.no_proxy().proxy(proxy);
        }
    }
    for text in options.certificates.iter().map(Vec::as_slice).chain(authorities) {
        let all = reqwest::Certificate::from_pem_bundle(text).map_err(|error| refused("a certificate", &error))?;
        if all.is_empty() {
            return Err(TransportError::Refused("cannot use a certificate: its file holds none".to_owned()));
        }
        for certificate in all {
            client = client.add_root_certificate(certificate);
        }
    }
    client.build().map_err(|error| refused("the network", &error))
}

impl Transport for HttpTransport {
    fn get(&self, request: &Request) -> Result<Response, TransportError> {
        let url = reqwest::Url::parse(&request.url)
            .map_err(|error| TransportError::Refused(format!("the address is not valid: {error}")))?;
        match url.scheme() {
            "http" | "https" => self.http(url, request),
            "file" => match url.to_file_path() {
                Ok(path) => file(&path, request.offset),
                Err(()) => Err(TransportError::Refused("the address names no file of this machine".to_owned())),
            },
            other => Err(TransportError::Refused(format!("the scheme `{other}` is not supported"))),
        }
    }
}

impl Drop for HttpTransport {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Follows a redirect unless it is refused. Credentials are dropped by `reqwest` where the origin changes.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    match refusal(attempt.previous(), attempt.url()) {
        Some(why) => attempt.error(why),
        None => attempt.follow(),
    }
}

/// Returns why a redirect is not followed: it is one too many, or leaves TLS.
fn refusal(previous: &[reqwest::Url], next: &reqwest::Url) -> Option<String> {
    if previous.len() > MAX_REDIRECTS {
        return Some(format!("more than {MAX_REDIRECTS} redirects"));
    }
    let leaves_tls = next.scheme() != "https" && previous.iter().any(|url| url.scheme() == "https");
    leaves_tls.then(|| "a redirect from https to plain http".to_owned())
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A body that arrives on another thread.
struct Body<B> {
    receiver: mpsc::Receiver<io::Result<B>>,
    piece: B,
    read: usize,
    over: bool,
}

impl<B: AsRef<[u8]>> Read for Body<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while !self.over && self.read == self.piece.as_ref().len() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => {
                    self.over = piece.as_ref().is_empty();
                    self.piece = piece;
                    self.read = 0;
                }
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        let rest = &self.piece.as_ref()[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

/// Answers from disk as a server would.
fn file(path: &Path, offset: u64) -> Result<Response, TransportError> {
    let failed = |error: io::Error| TransportError::Refused(error.to_string());
    let answer = |status, length, content_range, body| Response {
        status,
        length: Some(length),
        content_range,
        etag: None,
        retry_after: None,
        body,
    };
    // What is no regular file must not be waited for.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let mut file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(answer(404, 0, None, Box::new(io::empty())));
        }
        Err(error) => return Err(failed(error)),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(TransportError::Refused("it is not a regular file".to_owned()));
    }
    if offset == 0 || offset >= meta.len() {
        return Ok(answer(200, meta.len(), None, Box::new(file)));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let range = format!("bytes {offset}-{}/{}", meta.len() - 1, meta.len());
    Ok(answer(206, meta.len() - offset, Some(range), Box::new(file)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    fn transport() -> HttpTransport {
        HttpTransport::new(&HttpOptions { proxies: Proxies::None, ..HttpOptions::default() }).unwrap()
    }

    fn request(url: &str, offset: u64) -> Request {
        Request {
            url: url.to_owned(),
            offset,
            if_range: (offset > 0).then(|| "\"tag\"".to_owned()),
            access: Default::default(),
        }
    }

    /// Serves one answer per connection and returns the requests' heads.
    fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                heads.push(String::from_utf8(head).unwrap().to_lowercase());
                connection.write_all(answer.as_bytes()).unwrap();
            }
            heads
        });
        (base, served)
    }

    fn body(response: Response) -> io::Result<String> {
        let mut text = String::new();
        let mut body = response.body;
        body.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_cut_body_is_an_error_and_its_rest_can_be_asked_for() {
        let (base, served) = serve(vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"tag\"\r\nConnection: close\r\n\r\nhello".to_owned(),
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\nConnection: close\r\n\r\nworld"
                .to_owned(),
        ]);
        let transport = transport();
        let url = format!("{base}/file");
        let first = transport.get(&request(&url, 0)).unwrap();
        assert_eq!((first.status, first.length, first.etag.as_deref()), (200, Some(10), Some("\"tag\"")));
        let mut start = [0; 5];
        let mut cut = first.body;
        cut.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"hello");
        assert!(cut.read(&mut start).is_err());
        let rest = transport.get(&request(&url, 5)).unwrap();
        assert_eq!((rest.status, rest.content_range.as_deref()), (206, Some("bytes 5-9/10")));
        assert_eq!(body(rest).unwrap(), "world");
        let heads = served.join().unwrap();
        assert!(heads[0].contains(concat!("user-agent: tarsia/", env!("CARGO_PKG_VERSION"))), "{}", heads[0]);
        assert!(!heads[0].contains("range:"), "{}", heads[0]);
        assert!(heads[1].contains("range: bytes=5-\r\n") && heads[1].contains("if-range: \"tag\""), "{}", heads[1]);
    }

    #[test]
    fn redirects_are_followed_without_credentials_and_not_for_ever() {
        let (there, end) =
            serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned()]);
        let moved =
            format!("HTTP/1.1 302 Found\r\nLocation: {there}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let (base, _) = serve(vec![moved]);
        let url = base.replace("http://", "http://user:password@") + "/file";
        assert_eq!(body(transport().get(&request(&url, 0)).unwrap()).unwrap(), "ok");
        assert!(!end.join().unwrap()[0].contains("authorization"));

        let again = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (base, served) = serve(vec![again.to_owned(); MAX_REDIRECTS + 1]);
        let error = transport().get(&request(&(base + "/file"), 0)).err().unwrap();
        assert!(matches!(&error, TransportError::Refused(why) if why.contains("more than 5 redirects")), "{error}");
        assert_eq!(served.join().unwrap().len(), MAX_REDIRECTS + 1);
    }

    #[test]
    fn a_redirect_never_leaves_tls() {
        let urls = |all: &[&str]| all.iter().map(|url| reqwest::Url::parse(url).unwrap()).collect::<Vec<_>>();
        let [plain, safe] = &urls(&["http://example.org/", "https://example.org/"])[..] else { unreachable!() };
        assert_eq!(refusal(std::slice::from_ref(safe), safe), None);
        assert_eq!(refusal(std::slice::from_ref(plain), plain), None);
        assert_eq!(refusal(std::slice::from_ref(plain), safe), None);
        for previous in [&[safe.clone()][..], &[plain.clone(), safe.clone()]] {
            assert_eq!(refusal(previous, plain).as_deref(), Some("a redirect from https to plain http"));
        }
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let options =
            HttpOptions { proxies: Proxies::None, idle_timeout: Duration::from_millis(50), ..HttpOptions::default() };
        let error = HttpTransport::new(&options).unwrap().get(&request(&url, 0)).err().unwrap();
        assert!(matches!(error, TransportError::Failed(_)), "{error}");
    }

    #[test]
    fn files_are_served_like_addresses() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a file");
        std::fs::write(&path, "hello").unwrap();
        let base = reqwest::Url::from_directory_path(room.path()).unwrap().to_string();
        let transport = transport();
        let url = format!("{base}a%20file");
        assert_eq!(body(transport.get(&request(&url, 0)).unwrap()).unwrap(), "hello");
        let rest = transport.get(&request(&url, 2)).unwrap();
        assert_eq!((rest.status, rest.content_range.as_deref()), (206, Some("bytes 2-4/5")));
        assert_eq!(body(rest).unwrap(), "llo");
        assert_eq!(transport.get(&request(&format!("{base}none"), 0)).unwrap().status, 404);
        for refused in [base.as_str(), "ftp://example.org/x", "nothing", "file://elsewhere.example.org/x"] {
            assert!(matches!(transport.get(&request(refused, 0)), Err(TransportError::Refused(_))), "{refused}");
        }
    }
}
