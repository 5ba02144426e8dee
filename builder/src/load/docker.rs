//! A Docker daemon, spoken to over its socket (Docker Engine API: `GET /_ping`, `POST /images/load`).
//!
//! The archive is made while it is sent: nothing of it is written to disk here, and a piece at a time is in memory.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;

use crate::image::{self, BlobSource, Image, Reference, write_docker_archive};

use super::{Engines, Error};

/// The longest wait for a daemon to say that it is there.
const PING: Duration = Duration::from_secs(10);
/// Bytes of the archive in one piece.
const PIECE: usize = 256 << 10;
/// Pieces that wait to be sent.
const PIECES: usize = 4;
/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 1 << 20;
/// A path on the daemon's socket; the host is nobody's.
const PING_PATH: &str = "http://docker/_ping";
const LOAD_PATH: &str = "http://docker/images/load?quiet=1";

/// A Docker daemon that answers.
#[derive(Debug)]
pub struct Docker {
    socket: PathBuf,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Docker {
    /// Returns the daemon at `DOCKER_HOST`, else at the first of the known sockets that is there.
    ///
    /// # Errors
    /// There is none, or it does not answer.
    pub fn find(engines: &Engines) -> Result<Self, Error> {
        let socket = match &engines.docker_host {
            Some(address) => match address.strip_prefix("unix://") {
                Some(path) if !path.is_empty() => PathBuf::from(path),
                _ => return Err(Error::DockerHost { address: address.clone() }),
            },
            None => {
                let known = &engines.docker_sockets;
                let found = known.iter().find(|path| path.metadata().is_ok_and(|meta| meta.file_type().is_socket()));
                found.cloned().ok_or_else(|| Error::NoDaemon { sockets: known.clone() })?
            }
        };
        let failed = |problem: String| Error::Daemon { socket: socket.clone(), problem };
        let client = reqwest::Client::builder()
            .user_agent(concat!("tarsia/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .unix_socket(socket.as_path())
            .build()
            .map_err(|error| failed(causes(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(causes(&error)))?;
        let docker = Self { socket, client, runtime };
        docker.ping()?;
        Ok(docker)
    }

    /// Returns the daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn ping(&self) -> Result<(), Error> {
        // The timer is the runtime's: made on it.
        let answered = self.runtime.block_on(async { self.client.get(PING_PATH).timeout(PING).send().await });
        match answered {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(self.failed(format!("it answers {}", answer.status()))),
            Err(error) => Err(self.failed(causes(&error.without_url()))),
        }
    }

    /// Loads an image under these names.
    ///
    /// # Errors
    /// A blob that is missing or does not hold, or what the daemon says.
    pub fn load(&self, image: &Image, names: &BTreeSet<Reference>, blobs: &BlobSource<'_>) -> Result<(), Error> {
        let (sender, receiver) = mpsc::channel(PIECES);
        let pieces = Pieces(Arc::new(Mutex::new(receiver)));
        let taken = pieces.clone();
        let body = reqwest::Body::wrap_stream(pieces);
        let request = self.client.post(LOAD_PATH).header("Content-Type", "application/x-tar").body(body);
        let (answered, written) = std::thread::scope(|scope| {
            let answered = scope.spawn(|| {
                let answered = self.runtime.block_on(answer(request));
                // A daemon may answer before it has taken all: whoever waits to send more is told.
                taken.lock().close();
                answered
            });
            let written = write(image, names, blobs, sender);
            (answered.join().unwrap_or_else(|_| Err("the connection broke".to_owned())), written)
        });
        match (answered, written) {
            (Ok((status, text)), written) => {
                if let Some(message) = refusal(status, &text) {
                    return Err(Error::Refused { socket: self.socket.clone(), message });
                }
                match written {
                    Err(error) if !is_unsent(&error) => Err(error.into()),
                    _ => Ok(()),
                }
            }
            // What could not be read here is the reason, unless it is that nobody took it there.
            (Err(_), Err(error)) if !is_unsent(&error) => Err(error.into()),
            (Err(problem), _) => Err(self.failed(problem)),
        }
    }

    fn failed(&self, problem: String) -> Error {
        Error::Daemon { socket: self.socket.clone(), problem }
    }
}

/// Sends a request, and returns the status and the text of its answer.
async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, String), String> {
    let said = |error: reqwest::Error| causes(&error.without_url());
    let mut answer = request.send().await.map_err(said)?;
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(said)? {
        if text.len() + piece.len() > MAX_ANSWER {
            return Err(format!("its answer has more than {MAX_ANSWER} bytes"));
        }
        text.extend_from_slice(&piece);
    }
    Ok((answer.status().as_u16(), String::from_utf8_lossy(&text).into_owned()))
}

/// Writes the archive into a channel.
fn write(
    image: &Image,
    names: &BTreeSet<Reference>,
    blobs: &BlobSource<'_>,
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
) -> Result<(), image::Error> {
    let mut out = BufWriter::with_capacity(PIECE, Sending(sender));
    let written = write_docker_archive(image, names, blobs, &mut out, "docker-daemon:");
    // Dropped without what is still in its buffer; an error in the stream breaks the request off.
    let (Sending(sender), _) = out.into_parts();
    if written.is_err() {
        let _ = sender.blocking_send(Err(io::ErrorKind::InvalidData.into()));
    }
    written
}

/// Returns whether an error is that the daemon took no more.
fn is_unsent(error: &image::Error) -> bool {
    matches!(error, image::Error::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

struct Sending(mpsc::Sender<io::Result<Vec<u8>>>);

impl Write for Sending {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(buffer.to_vec()));
        sent.map(|()| buffer.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The pieces of a body as they come; clones share them.
#[derive(Clone)]
struct Pieces(Arc<Mutex<mpsc::Receiver<io::Result<Vec<u8>>>>>);

impl Pieces {
    fn lock(&self) -> MutexGuard<'_, mpsc::Receiver<io::Result<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl futures_core::Stream for Pieces {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lock().poll_recv(context)
    }
}

/// A line of an answer.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// Returns why an image was not loaded: a daemon may say so in an answer that begins well.
fn refusal(status: u16, text: &str) -> Option<String> {
    let lines = serde_json::Deserializer::from_str(text).into_iter::<Line>();
    let told = lines.map_while(Result::ok).find_map(|line| line.error.or(line.message));
    match (status, told) {
        (200..=299, told) => told,
        (_, Some(told)) => Some(told),
        (status, None) => Some(format!("it answers {status}: {}", text.trim())),
    }
}

/// Returns what an error says, with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_wherever_the_daemon_says_it() {
        for (status, text, told) in [
            (200, "{\"stream\":\"Loaded image: web:latest\\n\"}\r\n", None),
            (200, "", None),
            (200, "{\"stream\":\"a\"}\n{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\n", Some("no")),
            (500, "{\"message\":\"no space\"}", Some("no space")),
            (502, "gone\n", Some("it answers 502: gone")),
        ] {
            assert_eq!(refusal(status, text).as_deref(), told);
        }
    }
}
