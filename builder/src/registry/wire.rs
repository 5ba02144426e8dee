//! One HTTP request and its answer. Redirects are not followed here: who asks decides what may travel along.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Frame, SizeHint};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::{Error, Options};
use crate::diag::causes;

/// Bytes of a body that are handed over at once.
const PIECE: usize = 128 << 10;
/// Pieces that wait for their reader.
const PIECES: usize = 8;

/// Connections, and the threads that serve them.
pub(super) struct Wire {
    client: reqwest::Client,
    /// Always there until drop.
    runtime: Option<Runtime>,
    idle_timeout: Duration,
}

/// A request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Payload<'a>,
}

/// What a request carries.
pub(super) enum Payload<'a> {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// What a reader gives, and how many bytes that is.
    Stream(Box<dyn Read + Send>, u64),
}

/// An answer, its body not yet read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Box<dyn Read + Send>,
}

impl Answer {
    /// Returns a header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Broken(pub(super) String);

impl Wire {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let refused = |error: &dyn std::error::Error| Error::Client(causes(error));
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("tarsia/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .referer(false)
            .redirect(reqwest::redirect::Policy::none());
        for text in &options.certificates {
            for certificate in reqwest::Certificate::from_pem_bundle(text).map_err(|error| refused(&error))? {
                client = client.add_root_certificate(certificate);
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(|error| refused(&error))?;
        let client = client.build().map_err(|error| refused(&error))?;
        Ok(Self { client, runtime: Some(runtime), idle_timeout: options.idle_timeout })
    }

    /// Sends a request and returns the answer's head with a reader of its body.
    pub(super) fn send(&self, ask: Ask<'_>) -> Result<Answer, Broken> {
        let runtime = self.runtime.as_ref().ok_or_else(|| Broken("the network is shut".to_owned()))?;
        let idle = self.idle_timeout;
        let moved = Arc::new(AtomicU64::new(0));
        let mut request = self.client.request(ask.method, ask.url).headers(ask.headers);
        match ask.body {
            Payload::None => {}
            Payload::Bytes(bytes) => request = request.body(bytes.to_vec()),
            Payload::Stream(reader, length) => {
                request = request.body(reqwest::Body::wrap(Stream::start(reader, length, moved.clone())));
            }
        }
        let answered = runtime.block_on(async {
            let mut sent = std::pin::pin!(request.send());
            let mut before = 0;
            loop {
                match tokio::time::timeout(idle, &mut sent).await {
                    Ok(answered) => return answered.map_err(|error| Broken(causes(&error.without_url()))),
                    Err(_) => {
                        let now = moved.load(Ordering::Relaxed);
                        if now == before {
                            return Err(Broken(format!("nothing moved for {} s", idle.as_secs())));
                        }
                        before = now;
                    }
                }
            }
        });
        let mut answer = answered?;
        let (sender, receiver) = mpsc::channel(PIECES);
        let (status, headers) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()));
        runtime.spawn(async move {
            loop {
                let piece = match tokio::time::timeout(idle, answer.chunk()).await {
                    Ok(Ok(Some(piece))) => Ok(piece.to_vec()),
                    Ok(Ok(None)) => Ok(Vec::new()),
                    Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::ConnectionReset, causes(&error.without_url()))),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                };
                let last = piece.as_ref().map_or(true, Vec::is_empty);
                // A reader that is gone wants no more.
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(Answer { status, headers, body: Box::new(Pieces { receiver, piece: Vec::new(), read: 0, over: false }) })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A body that is read on a thread of its own and sent by the client's.
struct Stream {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    rest: u64,
    moved: Arc<AtomicU64>,
}

impl Stream {
    fn start(mut reader: Box<dyn Read + Send>, length: u64, moved: Arc<AtomicU64>) -> Self {
        let (sender, receiver) = mpsc::channel(PIECES);
        std::thread::spawn(move || {
            let mut rest = length;
            while rest > 0 {
                let mut piece = vec![0; usize::try_from(rest).map_or(PIECE, |rest| rest.min(PIECE))];
                let read = reader.read_exact(&mut piece);
                rest -= piece.len() as u64;
                let failed = read.is_err();
                if sender.blocking_send(read.map(|()| piece)).is_err() || failed {
                    return;
                }
            }
        });
        Self { receiver, rest: length, moved }
    }
}

impl http_body::Body for Stream {
    type Data = bytes::Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest == 0 {
            return Poll::Ready(None);
        }
        match self.receiver.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(piece))) => {
                self.rest = self.rest.saturating_sub(piece.len() as u64);
                self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest)
    }
}

/// A body that arrives on another thread.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    read: usize,
    over: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.over && self.read == self.piece.len() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => {
                    self.over = piece.is_empty();
                    self.piece = piece;
                    self.read = 0;
                }
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        let rest = &self.piece[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}
