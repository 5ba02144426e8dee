//! What the network looks like from inside: one request, one answer whose body is read as it comes.

use std::io::Read;
use std::time::Duration;

use super::credentials::Access;

/// A request for a file, or for the rest of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `https:`, `http:` or `file:` address.
    pub url: String,
    /// First byte wanted; 0 for the whole file.
    pub offset: u64,
    /// The entity tag that the first bytes came with: where it no longer holds, the whole file is wanted.
    pub if_range: Option<String>,
    /// What the server is shown, and must show.
    pub access: Access,
}

/// The start of an answer.
pub struct Response {
    /// HTTP status; a file that is read from disk has 200, 206 or 404.
    pub status: u16,
    /// Bytes in this body, where the server says.
    pub length: Option<u64>,
    /// `Content-Range`, as sent.
    pub content_range: Option<String>,
    /// `ETag`, as sent.
    pub etag: Option<String>,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// The body.
    pub body: Box<dyn Read + Send>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Asking again would change nothing: the address, or where it leads to, is refused.
    #[error("{0}")]
    Refused(String),
    /// The network did not do it this time.
    #[error("{0}")]
    Failed(String),
}

/// A way to get files by address. Called from many threads at once, never from inside an async runtime.
pub trait Transport: Send + Sync {
    /// Asks for a file and returns the start of the answer, whatever its status.
    fn get(&self, request: &Request) -> Result<Response, TransportError>;
}

/// Time as downloads need it: to wait, to measure, and to read `Retry-After`. It reaches no byte of a result.
pub trait Clock: Sync {
    /// Returns the time since some fixed moment.
    fn elapsed(&self) -> Duration;
    /// Returns seconds since 1970-01-01 UTC.
    fn unix(&self) -> i64;
    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The machine's time, from a moment that the program names.
#[derive(Debug, Clone, Copy)]
pub struct MachineClock {
    start: std::time::Instant,
    unix: i64,
}

impl MachineClock {
    /// Returns a clock that now shows `unix` seconds since 1970-01-01 UTC.
    pub fn starting_at(unix: i64) -> Self {
        Self { start: std::time::Instant::now(), unix }
    }
}

impl Clock for MachineClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix(&self) -> i64 {
        self.unix.saturating_add(i64::try_from(self.elapsed().as_secs()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
