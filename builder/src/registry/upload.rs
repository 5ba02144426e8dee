//! Uploads of blobs (OCI distribution-spec 1.1, pushing blobs).

use std::io::{self, Read};
use std::thread;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::Error;
use super::repository::{BlobSource, Repository, is_passing};
use super::wire::{Answer, Ask, Payload};
use crate::digest::Digest;

/// What a push of a blob came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Present,
    /// The registry took it from another repository of its own.
    Mounted,
    /// These many bytes were sent.
    Uploaded(u64),
}

/// Where an upload stands.
enum State {
    /// It goes on at this address and offset.
    Open(Url, u64),
    /// The registry has the blob.
    Done,
    /// The registry knows nothing of it any more.
    Lost,
}

impl Repository<'_> {
    /// Brings the blob `digest` of `size` bytes into the repository, unless it is there; from the repository `from` of
    /// the same registry where that is named and has it.
    ///
    /// An upload that breaks off goes on where the registry says it stands. The registry checks the digest at the end.
    ///
    /// # Errors
    /// Where the registry fails or refuses, or `open` gives no bytes, or other ones.
    pub fn push_blob(
        &self,
        digest: &Digest,
        size: u64,
        from: Option<&str>,
        open: &BlobSource<'_>,
    ) -> Result<Pushed, Error> {
        if self.has_blob(digest)? {
            return Ok(Pushed::Present);
        }
        let options = &self.registry.options;
        let (mut tries, mut pause) = (0, options.pause);
        let mut state = State::Lost;
        let mut mount = from;
        loop {
            let (place, offset) = match state {
                State::Done => return Ok(Pushed::Uploaded(size)),
                State::Open(place, offset) => (place, offset),
                State::Lost => match self.start(digest, mount.take())? {
                    Some(place) => (place, 0),
                    None => return Ok(Pushed::Mounted),
                },
            };
            match self.send(&place, digest, size, offset, open)? {
                Ok(()) => return Ok(Pushed::Uploaded(size)),
                Err(problem) if tries >= options.retries => return Err(problem),
                Err(_) => {}
            }
            tries += 1;
            thread::sleep(pause);
            pause *= 2;
            state = self.standing(&place, digest, size)?;
        }
    }

    /// Starts an upload and returns where it goes on; `None` where the registry has mounted the blob.
    fn start(&self, digest: &Digest, from: Option<&str>) -> Result<Option<Url>, Error> {
        let mut url = self.url(&["blobs", "uploads", ""])?;
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = self.request("push to", Method::POST, url.clone(), &headers, &|| Ok(Payload::None))?;
        match answer.status {
            201 if from.is_some() => Ok(None),
            202 => Ok(Some(self.location(&url, &answer)?)),
            _ => Err(self.refused("push to", answer)),
        }
    }

    /// Sends what is left and closes the upload. A failure that may pass is the inner error.
    fn send(
        &self,
        place: &Url,
        digest: &Digest,
        size: u64,
        offset: u64,
        open: &BlobSource<'_>,
    ) -> Result<Result<(), Error>, Error> {
        let reader = |source: io::Error| Error::Blob { digest: *digest, source };
        let mut at = place.clone();
        if offset < size {
            let mut bytes = open().map_err(reader)?;
            if offset > 0 {
                let skipped = io::copy(&mut bytes.by_ref().take(offset), &mut io::sink()).map_err(reader)?;
                if skipped != offset {
                    return Err(reader(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            if offset > 0 {
                let range = HeaderValue::from_str(&format!("{offset}-{}", size - 1)).expect("a range is plain text");
                headers.insert(header::CONTENT_RANGE, range);
            }
            let answer = match self.once(Method::PATCH, at.clone(), headers, Payload::Stream(bytes, size - offset))? {
                Ok(answer) => answer,
                Err(problem) => return Ok(Err(problem)),
            };
            match answer.status {
                202 | 204 => at = self.location(&at, &answer)?,
                // What was sent is not what the registry expected here, or it knows nothing of the upload any more: it is
                // asked where it stands.
                404 | 416 => return Ok(Err(self.refused("push to", answer))),
                status if is_passing(status) => return Ok(Err(self.refused("push to", answer))),
                _ => return Err(self.refused("push to", answer)),
            }
        }
        at.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = match self.once(Method::PUT, at, headers, Payload::None)? {
            Ok(answer) => answer,
            Err(problem) => return Ok(Err(problem)),
        };
        match answer.status {
            201 | 204 => Ok(Ok(())),
            404 => Ok(Err(self.refused("push to", answer))),
            status if is_passing(status) => Ok(Err(self.refused("push to", answer))),
            _ => Err(self.refused("push to", answer)),
        }
    }

    /// Asks where an upload stands after it broke off.
    fn standing(&self, place: &Url, digest: &Digest, size: u64) -> Result<State, Error> {
        let answer = self.request("push to", Method::GET, place.clone(), &HeaderMap::new(), &|| Ok(Payload::None))?;
        if answer.status == 204 || answer.status == 202 {
            let end = answer.header("range").and_then(|range| range.strip_prefix("0-")?.parse::<u64>().ok());
            // `0-0` is what registries say of nothing, and of one byte; one byte is sent again.
            let offset = end.map_or(0, |end| if end == 0 { 0 } else { end.saturating_add(1) });
            if offset <= size && offset > 0 {
                return Ok(State::Open(self.location(place, &answer)?, offset));
            }
            return Ok(State::Lost);
        }
        // The last answer may have been lost on its way.
        Ok(if self.has_blob(digest)? { State::Done } else { State::Lost })
    }

    /// Makes one request with a right that was gained before. The inner error is a connection that broke, or a right that
    /// had run out and was gained anew.
    fn once(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Payload<'_>,
    ) -> Result<Result<Answer, Error>, Error> {
        let headers = self.with_right(&url, headers)?;
        let own = self.is_own(&url)?;
        match self.wire("push to")?.send(Ask { method, url, headers, body }) {
            // A token may have run out since the upload began: with a new one, it goes on.
            Ok(answer) if answer.status == 401 && own => {
                self.log_in("push to", &answer, true)?;
                Ok(Err(self.refused("push to", answer)))
            }
            sent => Ok(sent.map_err(|broken| self.unreachable("push to", broken.0))),
        }
    }

    /// Returns where an answer says that an upload goes on.
    fn location(&self, at: &Url, answer: &Answer) -> Result<Url, Error> {
        let next = answer.header("location").and_then(|to| at.join(to).ok());
        let next = next.ok_or_else(|| self.strange("it says not where an upload goes on"))?;
        if !matches!(next.scheme(), "http" | "https") || at.scheme() == "https" && next.scheme() != "https" {
            return Err(self.strange("its upload goes on at no https address"));
        }
        Ok(next)
    }
}
