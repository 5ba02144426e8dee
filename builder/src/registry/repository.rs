//! One repository: requests with the right to make them, documents and blobs.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use zeroize::Zeroizing;

use super::auth::{self, Challenge, TokenAnswer};
use super::wire::{Answer, Ask, Payload, Wire};
use super::{Credential, Error, Registry};
use crate::digest::{Digest, HashingReader};
use crate::image::{DOCKER_LIST, DOCKER_MANIFEST, Descriptor, INDEX, MANIFEST, Reference};

/// The most bytes of a manifest or an index.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;
/// The most bytes of a token service's answer, and of an error's.
const MAX_ANSWER: u64 = 64 << 10;
/// The most redirects that a read follows.
const MAX_REDIRECTS: usize = 5;
/// The longest wait that a registry may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Media types of documents that are asked for: OCI's and Docker's.
const DOCUMENTS: [&str; 4] = [INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// Opens a blob's bytes anew, as often as a push needs them.
pub type BlobSource<'a> = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync + 'a;

/// What a document says of its own type.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnType {
    #[serde(default)]
    media_type: String,
}

/// A manifest or an index as a registry holds it, checked against its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is: by its own word, or by the registry's where it has none.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    /// Returns the descriptor of the document.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }
}

/// A repository of a registry.
pub struct Repository<'a> {
    pub(super) registry: &'a Registry,
    host: String,
    name: String,
    /// The value of `Authorization` that was last taken.
    authorization: Mutex<Option<Zeroizing<String>>>,
}

impl<'a> Repository<'a> {
    pub(super) fn new(registry: &'a Registry, reference: &Reference) -> Self {
        let (host, name) = (reference.host().to_owned(), reference.name().to_owned());
        Self { registry, host, name, authorization: Mutex::new(None) }
    }

    /// Returns host and name, as messages show them.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    /// Returns the manifest or index under a tag or digest; `None` where there is none.
    ///
    /// # Errors
    /// Where the registry fails, or gives other bytes than the digest names.
    pub fn document(&self, which: &str) -> Result<Option<Document>, Error> {
        let mut headers = HeaderMap::new();
        for kind in DOCUMENTS {
            headers.append(header::ACCEPT, HeaderValue::from_static(kind));
        }
        let answer =
            self.request("read", Method::GET, self.url(&["manifests", which])?, &headers, &|| Ok(Payload::None))?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused("read", answer)),
        }
        let said =
            answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = self.bounded(answer, MAX_DOCUMENT)?;
        let own = serde_json::from_slice::<OwnType>(&bytes).map(|own| own.media_type).unwrap_or_default();
        let media_type = if own.is_empty() { said } else { own };
        if let Ok(wanted) = which.parse::<Digest>() {
            let found = Digest::of(&bytes);
            if found != wanted {
                return Err(Error::Mismatch { place: self.place(), wanted, found: found.to_string() });
            }
        }
        Ok(Some(Document { media_type, bytes }))
    }

    /// Returns the digest under a tag, by its bytes; `None` where there is no such tag.
    ///
    /// # Errors
    /// As [`Repository::document`].
    pub fn resolve(&self, tag: &str) -> Result<Option<Digest>, Error> {
        Ok(self.document(tag)?.map(|document| Digest::of(&document.bytes)))
    }

    /// Returns whether the manifest or index `digest` is there.
    ///
    /// # Errors
    /// Where the registry fails.
    pub fn has_document(&self, digest: &Digest) -> Result<bool, Error> {
        let mut headers = HeaderMap::new();
        for kind in DOCUMENTS {
            headers.append(header::ACCEPT, HeaderValue::from_static(kind));
        }
        let url = self.url(&["manifests", &digest.to_string()])?;
        self.there(self.request("read", Method::HEAD, url, &headers, &|| Ok(Payload::None))?)
    }

    /// Returns whether the blob `digest` is there.
    ///
    /// # Errors
    /// Where the registry fails.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let url = self.url(&["blobs", &digest.to_string()])?;
        self.there(self.request("read", Method::HEAD, url, &HeaderMap::new(), &|| Ok(Payload::None))?)
    }

    fn there(&self, answer: Answer) -> Result<bool, Error> {
        match answer.status {
            // A blob may stand elsewhere: who sends there knows of it.
            200..=399 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused("read", answer)),
        }
    }

    /// Writes a manifest or an index under its digest or a tag. Returns whether the registry says that it has taken note
    /// of the document's subject (`OCI-Subject`).
    ///
    /// # Errors
    /// Where the registry fails or refuses.
    pub fn put_document(&self, which: &str, media_type: &str, bytes: &[u8]) -> Result<bool, Error> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_str(media_type).map_err(|_| self.strange("a media type is none"))?;
        headers.insert(header::CONTENT_TYPE, kind);
        let url = self.url(&["manifests", which])?;
        let answer = self.request("push to", Method::PUT, url, &headers, &|| Ok(Payload::Bytes(bytes)))?;
        if !matches!(answer.status, 200..=202) {
            return Err(self.refused("push to", answer));
        }
        if let Some(said) = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok()) {
            let wanted = Digest::of(bytes);
            if said != wanted {
                return Err(Error::Mismatch { place: self.place(), wanted, found: said.to_string() });
            }
        }
        Ok(answer.header("oci-subject").is_some())
    }

    /// Writes a blob's bytes to `sink`. When this returns well, they were the ones that the descriptor names.
    ///
    /// # Errors
    /// Where the registry fails or gives other bytes, or the sink takes none.
    pub fn blob(&self, descriptor: &Descriptor, sink: &mut dyn io::Write) -> Result<(), Error> {
        let url = self.url(&["blobs", &descriptor.digest.to_string()])?;
        let answer = self.follow(self.request("read", Method::GET, url, &HeaderMap::new(), &|| Ok(Payload::None))?)?;
        match answer.status {
            200 => {}
            404 => return Err(Error::Absent { place: self.place(), what: format!("blob {}", descriptor.digest) }),
            _ => return Err(self.refused("read", answer)),
        }
        let mut body = HashingReader::new(answer.body.take(descriptor.size.saturating_add(1)));
        io::copy(&mut body, sink).map_err(|error| self.unreachable("read", error.to_string()))?;
        let (found, size) = body.finish();
        let wrong = if size != descriptor.size {
            format!("{size} bytes or more in place of {}", descriptor.size)
        } else if found != descriptor.digest {
            found.to_string()
        } else {
            return Ok(());
        };
        Err(Error::Mismatch { place: self.place(), wanted: descriptor.digest, found: wrong })
    }

    /// Follows redirects of a read; nothing that says who asks goes along.
    fn follow(&self, mut answer: Answer) -> Result<Answer, Error> {
        let mut at = self.url(&[])?;
        for _ in 0..MAX_REDIRECTS {
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = answer.header("location").and_then(|to| at.join(to).ok());
            let next = next.ok_or_else(|| self.strange("it redirects to no address"))?;
            let leaves = at.scheme() == "https" && next.scheme() != "https";
            if leaves || !matches!(next.scheme(), "http" | "https") {
                return Err(self.strange("it redirects from https to something else"));
            }
            let ask = Ask { method: Method::GET, url: next.clone(), headers: HeaderMap::new(), body: Payload::None };
            answer = self.wire("read")?.send(ask).map_err(|broken| self.unreachable("read", broken.0))?;
            at = next;
        }
        Err(self.strange("it redirects without an end"))
    }

    /// Returns the address of something below the repository; the API's root where `parts` is empty.
    pub(super) fn url(&self, parts: &[&str]) -> Result<Url, Error> {
        let scheme = if self.registry.options.plain_http || is_loopback(&self.host) { "http" } else { "https" };
        let mut text = format!("{scheme}://{}/v2/", self.host);
        if !parts.is_empty() {
            text.push_str(&self.name);
            for part in parts {
                text.push('/');
                text.push_str(part);
            }
        }
        Url::parse(&text).map_err(|error| self.strange(&format!("its address is not valid: {error}")))
    }

    /// Makes a request, logging in where that is asked for, and again after failures that may pass.
    ///
    /// `body` is opened anew for each try. Requests that change something are tried again like the others: each is
    /// idempotent (OCI distribution-spec 1.1), but for the start of an upload, of which one too many is harmless.
    pub(super) fn request<'b>(
        &self,
        doing: &'static str,
        method: Method,
        url: Url,
        headers: &HeaderMap,
        body: &dyn Fn() -> Result<Payload<'b>, Error>,
    ) -> Result<Answer, Error> {
        let mut pause = self.registry.options.pause;
        let mut tries = 0;
        let mut logged_in = false;
        loop {
            let headers = self.with_right(&url, headers.clone())?;
            let ask = Ask { method: method.clone(), url: url.clone(), headers, body: body()? };
            let wait = match self.wire(doing)?.send(ask) {
                Ok(answer) if answer.status == 401 && !logged_in && self.is_own(&url)? => {
                    self.log_in(doing, &answer, method != Method::GET && method != Method::HEAD)?;
                    logged_in = true;
                    continue;
                }
                Ok(answer) if is_passing(answer.status) && tries < self.registry.options.retries => {
                    answer.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs)
                }
                Ok(answer) => return Ok(answer),
                Err(broken) if tries >= self.registry.options.retries => return Err(self.unreachable(doing, broken.0)),
                Err(_) => None,
            };
            tries += 1;
            thread::sleep(wait.unwrap_or(pause).min(MAX_PAUSE));
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Returns the connections, where the network may be used.
    pub(super) fn wire(&self, doing: &'static str) -> Result<Arc<Wire>, Error> {
        if self.registry.options.offline {
            return Err(Error::Offline { doing, place: self.place() });
        }
        self.registry.wire()
    }

    /// Adds the right that was gained before, where the address is the registry's own.
    pub(super) fn with_right(&self, url: &Url, mut headers: HeaderMap) -> Result<HeaderMap, Error> {
        if self.is_own(url)?
            && let Some(value) = self.authorization()
        {
            let mut value = HeaderValue::from_str(&value).map_err(|_| self.strange("a credential is no text"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Returns whether an address is the registry's own: only there its credential goes.
    pub(super) fn is_own(&self, url: &Url) -> Result<bool, Error> {
        Ok(self.url(&[])?.origin() == url.origin())
    }

    fn authorization(&self) -> Option<Zeroizing<String>> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers a challenge; what is asked for is pulling, and pushing where `write` says so.
    pub(super) fn log_in(&self, doing: &'static str, answer: &Answer, write: bool) -> Result<(), Error> {
        let credential = self.registry.credentials.find(&self.host, &self.name)?;
        let known = credential.is_some();
        let challenges =
            answer.headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let value = match Challenge::parse(challenges) {
            Some(Challenge::Basic) => credential.as_ref().and_then(auth::basic),
            Some(Challenge::Bearer { realm, service }) => {
                Some(self.token(doing, &realm, service.as_deref(), credential.as_ref(), write)?)
            }
            None => None,
        };
        let value = value.ok_or_else(|| Error::Unauthorized { doing, place: self.place(), known })?;
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    /// Gets a token from a token service. Without a credential any service is asked, since nothing is given away.
    fn token(
        &self,
        doing: &'static str,
        realm: &str,
        service: Option<&str>,
        credential: Option<&Credential>,
        write: bool,
    ) -> Result<Zeroizing<String>, Error> {
        let mut url = Url::parse(realm).map_err(|_| self.strange("its token service has no valid address"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let plain = url.scheme() == "http";
        let own = auth::is_own_realm(&self.url(&[])?, &url);
        if !matches!(url.scheme(), "http" | "https") || plain && !own && !is_loopback(&host) {
            return Err(Error::Realm { place: self.place(), realm: host });
        }
        if credential.is_some() && !own && (plain || !self.registry.options.token_hosts.contains(&host)) {
            return Err(Error::Realm { place: self.place(), realm: host });
        }
        let scope = format!("repository:{}:{}", self.name, if write { "pull,push" } else { "pull" });
        let mut headers = HeaderMap::new();
        let mut form = None;
        match credential {
            Some(Credential::Identity(token)) => {
                let mut body =
                    form_urlencoded(&[("grant_type", "refresh_token"), ("scope", &scope), ("client_id", "tarsia")]);
                if let Some(service) = service {
                    body.push('&');
                    body.push_str(&form_urlencoded(&[("service", service)]));
                }
                body.push('&');
                body.push_str(&form_urlencoded(&[("refresh_token", token)]));
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                form = Some(Zeroizing::new(body));
            }
            other => {
                let mut query = url.query_pairs_mut();
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                query.append_pair("scope", &scope);
                drop(query);
                if let Some(value) = other.and_then(auth::basic) {
                    let mut value =
                        HeaderValue::from_str(&value).map_err(|_| self.strange("a credential is no text"))?;
                    value.set_sensitive(true);
                    headers.insert(header::AUTHORIZATION, value);
                }
            }
        }
        let (method, body) = match &form {
            Some(form) => (Method::POST, Payload::Bytes(form.as_bytes())),
            None => (Method::GET, Payload::None),
        };
        let answer = self
            .wire(doing)?
            .send(Ask { method, url, headers, body })
            .map_err(|broken| self.unreachable("log in to", broken.0))?;
        match answer.status {
            200 => {}
            401 | 403 => return Err(Error::Unauthorized { doing, place: self.place(), known: credential.is_some() }),
            _ => return Err(self.refused("log in to", answer)),
        }
        let bytes = Zeroizing::new(self.bounded(answer, MAX_ANSWER)?);
        let token = serde_json::from_slice::<TokenAnswer>(&bytes).ok().and_then(TokenAnswer::token);
        let token = token.ok_or_else(|| self.strange("its token service gives no token"))?;
        Ok(Zeroizing::new(format!("Bearer {}", *token)))
    }

    /// Reads a whole body of at most `limit` bytes.
    pub(super) fn bounded(&self, answer: Answer, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut body = answer.body.take(limit + 1);
        body.read_to_end(&mut bytes).map_err(|error| self.unreachable("read", error.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(self.strange(&format!("an answer has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    pub(super) fn refused(&self, doing: &'static str, answer: Answer) -> Error {
        let status = answer.status;
        let mut bytes = Vec::new();
        // The status says enough where the text breaks off.
        let _ = answer.body.take(MAX_ANSWER).read_to_end(&mut bytes);
        match status {
            401 => Error::Unauthorized { doing, place: self.place(), known: self.authorization().is_some() },
            _ => Error::Refused { doing, place: self.place(), status, message: message(&bytes) },
        }
    }

    pub(super) fn unreachable(&self, doing: &'static str, problem: String) -> Error {
        Error::Unreachable { doing, place: self.place(), problem }
    }

    pub(super) fn strange(&self, problem: &str) -> Error {
        Error::Answer { place: self.place(), problem: problem.to_owned() }
    }
}

/// Returns the words of a registry's error (OCI distribution-spec 1.1, error codes), without what could move a cursor.
fn message(bytes: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let said = serde_json::from_slice::<Errors>(bytes).ok().and_then(|errors| errors.errors.into_iter().next());
    let text = said.map_or_else(String::new, |one| format!("{} {}", one.code, one.message));
    text.chars().filter(|character| !character.is_control()).take(300).collect::<String>().trim().to_owned()
}

/// Returns whether a failure with this status may pass.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Returns whether a host, with or without a port, is this machine: plain HTTP is spoken there.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns pairs as a form's body.
fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("form:").expect("a scheme alone is an address");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}
