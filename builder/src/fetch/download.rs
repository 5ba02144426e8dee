//! One file from one address: attempts, resumption, bounds.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::credentials::Access;
use super::error::{Error, Failure};
use super::transport::{Clock, Request, Response, Transport, TransportError};
use super::{FetchOptions, STAGE};
use crate::diag::Progress;
use crate::digest::Digest;
use crate::store::{self, BlobWriter, Store};

/// The longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The first pause between two attempts; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// An attempt that brought this many new bytes starts the count of attempts anew.
const HEADWAY: u64 = 64 << 10;

/// What is known of a file before it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) digest: Option<Digest>,
    pub(super) size: Option<u64>,
    /// The most bytes that are read where the size is not known.
    pub(super) limit: u64,
}

impl Expected {
    fn most(&self) -> u64 {
        self.size.unwrap_or(self.limit)
    }
}

/// Where a file is asked for, and how.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) access: Access,
    /// The archive it is asked for, where it is one's, and whether that has logins.
    pub(super) archive: Option<(String, bool)>,
}

/// What downloads are made with.
pub(super) struct Tools<'a> {
    pub(super) store: &'a Store,
    pub(super) transport: &'a dyn Transport,
    pub(super) clock: &'a dyn Clock,
    pub(super) progress: &'a dyn Progress,
    pub(super) options: &'a FetchOptions,
}

/// How an attempt ended.
enum Step {
    Complete,
    /// This address will not do.
    Over(Failure),
    /// It may go better next time, after the pause that the server asked for.
    Again(String, Option<Duration>),
}

/// A download in progress.
struct Download<'a> {
    tools: &'a Tools<'a>,
    address: &'a Address,
    expected: Expected,
    writer: BlobWriter,
    /// Most bytes there ever were, restarts included.
    furthest: u64,
    etag: Option<String>,
    /// Whether the bytes come from more than one answer.
    patched: bool,
}

/// Downloads the file at `address` in at most `attempts` attempts without headway. The writer holds the bytes that were expected, not
/// committed yet.
pub(super) fn download(
    tools: &Tools<'_>,
    address: &Address,
    expected: Expected,
    attempts: u32,
) -> Result<Result<BlobWriter, Failure>, Error> {
    let writer = tools.store.write_blob()?;
    let mut download = Download { tools, address, expected, writer, furthest: 0, etag: None, patched: false };
    let mut failed = 0;
    loop {
        let before = download.furthest;
        let (why, wait) = match download.attempt()? {
            Step::Complete => match download.mismatch() {
                None => return Ok(Ok(download.writer)),
                // Two answers may have been about two files.
                Some(_) if download.patched => {
                    download.restart()?;
                    ("pieces of different files".to_owned(), None)
                }
                Some(actual) => return Ok(Err(Failure::Digest(actual))),
            },
            Step::Over(failure) => return Ok(Err(failure)),
            Step::Again(why, wait) => (why, wait),
        };
        failed = if download.furthest >= before.saturating_add(HEADWAY) { 1 } else { failed + 1 };
        if failed >= attempts {
            return Ok(Err(Failure::Network(why)));
        }
        tools.clock.sleep(wait.unwrap_or_else(|| pause(failed)));
    }
}

/// Reads a file of `length` bytes that is on disk, as if it came from a mirror that is asked once.
pub(super) fn local(
    tools: &Tools<'_>,
    length: u64,
    body: impl Read + Send + 'static,
    expected: Expected,
) -> Result<Result<BlobWriter, Failure>, Error> {
    let writer = tools.store.write_blob()?;
    let address = Address { url: String::new(), access: Access::default(), archive: None };
    let mut download = Download { tools, address: &address, expected, writer, furthest: 0, etag: None, patched: false };
    if let Some(failure) = download.wrong_size(length) {
        return Ok(Err(failure));
    }
    let body = Box::new(body);
    let response =
        Response { status: 200, length: Some(length), content_range: None, etag: None, retry_after: None, body };
    Ok(match download.receive(response, Some(length))? {
        Step::Complete => match download.mismatch() {
            None => Ok(download.writer),
            Some(actual) => Err(Failure::Digest(actual)),
        },
        Step::Over(failure) => Err(failure),
        Step::Again(why, _) => Err(Failure::Network(why)),
    })
}

/// Returns the pause after this many failures: 0.5 s, 1 s, 2 s, … up to the longest that a server may ask for.
fn pause(failed: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(MAX_RETRY_AFTER)
}

impl Download<'_> {
    fn attempt(&mut self) -> Result<Step, Error> {
        if self.writer.length() > 0 && self.expected.digest.is_none() && self.etag.is_none() {
            // Nothing would tell whether the rest is of the same file.
            self.restart()?;
        }
        let offset = self.writer.length();
        let request = Request {
            url: self.address.url.clone(),
            offset,
            if_range: self.etag.clone(),
            access: self.address.access.clone(),
        };
        let response = match self.tools.transport.get(&request) {
            Ok(response) => response,
            Err(TransportError::Refused(why)) => return Ok(Step::Over(Failure::Refused(why))),
            Err(TransportError::Failed(why)) => return Ok(Step::Again(why, None)),
        };
        let total = match (response.status, offset) {
            (200, _) => {
                if offset > 0 {
                    self.restart()?;
                }
                self.etag = response.etag.clone().filter(|tag| tag.starts_with('"'));
                response.length
            }
            (206, 1..) => match response.content_range.as_deref().and_then(content_range) {
                Some((start, total)) if start == offset => {
                    self.patched = true;
                    total.or_else(|| response.length.and_then(|length| length.checked_add(offset)))
                }
                _ => {
                    self.restart()?;
                    return Ok(Step::Again("it answered with another range than asked for".to_owned(), None));
                }
            },
            (416, 1..) => {
                self.restart()?;
                return Ok(Step::Again("it does not have the range asked for".to_owned(), None));
            }
            (status @ (408 | 425 | 429 | 500 | 502 | 503 | 504), _) => {
                let wait = response.retry_after.as_deref().and_then(|text| retry_after(text, self.tools.clock.unix()));
                return Ok(Step::Again(format!("HTTP status {status}"), wait));
            }
            (status, _) => return Ok(Step::Over(Failure::Status(status))),
        };
        if let Some(total) = total
            && let Some(failure) = self.wrong_size(total)
        {
            return Ok(Step::Over(failure));
        }
        self.receive(response, total)
    }

    /// Reads a body to its end, and never more than one byte above what is allowed.
    fn receive(&mut self, response: Response, total: Option<u64>) -> Result<Step, Error> {
        let Tools { clock, progress, options, .. } = *self.tools;
        let most = self.expected.most();
        let mut body = response.body.take(most.saturating_add(1).saturating_sub(self.writer.length()));
        let mut buffer = vec![0; 64 << 10];
        let mut window = (clock.elapsed(), 0_u64);
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // All of it is here; how the connection ended does not matter.
                Err(_) if self.expected.size.or(total) == Some(self.writer.length()) => break,
                Err(error) => return Ok(Step::Again(error.to_string(), None)),
            };
            self.writer.write_all(&buffer[..count]).map_err(|error| self.unwritten(error))?;
            let length = self.writer.length();
            if length > most {
                return Ok(Step::Over(Failure::Size(format!("it has more than {most} bytes"))));
            }
            progress.advance(STAGE, length.saturating_sub(self.furthest));
            self.furthest = self.furthest.max(length);
            window.1 += count as u64;
            let passed = clock.elapsed().saturating_sub(window.0);
            if passed >= options.low_speed_time {
                if window.1 < options.low_speed.saturating_mul(passed.as_secs()) {
                    let why = format!("it sent {} bytes in {} s", window.1, passed.as_secs());
                    return Ok(Step::Again(why, None));
                }
                window = (clock.elapsed(), 0);
            }
        }
        let length = self.writer.length();
        match self.expected.size.or(total) {
            Some(size) if length < size => Ok(Step::Again(format!("it ended after {length} of {size} bytes"), None)),
            _ => Ok(Step::Complete),
        }
    }

    fn wrong_size(&self, total: u64) -> Option<Failure> {
        match self.expected.size {
            Some(size) if size != total => Some(Failure::Size(format!("it has {total} bytes, expected {size}"))),
            None if total > self.expected.limit => {
                Some(Failure::Size(format!("it has {total} bytes, allowed are {}", self.expected.limit)))
            }
            _ => None,
        }
    }

    fn mismatch(&self) -> Option<Digest> {
        let expected = self.expected.digest?;
        let actual = self.writer.digest();
        (actual != expected).then_some(actual)
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.etag = None;
        self.patched = false;
        Ok(self.writer.restart()?)
    }

    fn unwritten(&self, error: io::Error) -> Error {
        Error::Store(store::Error::write(
            format!("`{}`", super::shown(&self.address.url)),
            self.tools.store.root(),
            error,
        ))
    }
}

/// Reads `bytes START-END/TOTAL` and returns start and total (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let total: Option<u64> = if total == "*" { None } else { Some(total.parse().ok()?) };
    // A range that stops before the end is none that was asked for.
    (start <= end && total.is_none_or(|total| end.checked_add(1) == Some(total))).then_some((start, total))
}

/// Reads `Retry-After`, seconds or a date (RFC 9110, 10.2.3), and returns the wait from `now`.
fn retry_after(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let then =
                jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?.as_second();
            u64::try_from(then.saturating_sub(now)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_ask_for_a_short_wait() {
        let now = 784_111_777;
        for (text, seconds) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("86400", Some(60)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:49:27 GMT", Some(60)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_range_is_the_rest_of_the_file_or_none() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for wrong in ["", "bytes 5-8/10", "bytes 9-5/10", "bytes */10", "bytes 5-18446744073709551615/0", "5-9/10"] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let all: Vec<_> = [1, 2, 3, 4, 9, 40].into_iter().map(|failed| pause(failed).as_millis()).collect();
        assert_eq!(all, [500, 1000, 2000, 4000, 60000, 60000]);
    }
}
