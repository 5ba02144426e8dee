//! The only user of the network before publishing.
//!
//! Names, sizes and digests come in; checked blobs stand in the store afterwards. Archive metadata is asked for by
//! name at lock time (whoever asks verifies its signature), all else by digest: from the store, from vendored inputs,
//! then from the network. Bytes are hashed and counted on the way, and never more of them are read than were promised.
//! Which versions are wanted, and whether a lock is true, is decided elsewhere.

pub mod apt_sources;
mod credentials;
mod download;
mod error;
mod http;
mod mirrors;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use credentials::{Access, Credentials, Login};
pub use error::{Error, Failure, Known};
pub use http::{HttpOptions, HttpTransport, Proxies};
pub use mirrors::{MirrorFlag, MirrorSources, Mirrors, Private, Snapshot, published};
pub use transport::{Clock, MachineClock, Request, Response, Transport, TransportError};

use crate::diag::{Problems, Progress};
use crate::digest::Digest;
use crate::kit::Kit;
use crate::lock::{LockedPackage, PackagesFile, suite_directory};
use crate::store::{BlobWriter, Store};
use download::{Address, Expected, Tools, download, local};

/// The most bytes of an InRelease file.
pub const MAX_IN_RELEASE: u64 = 4 << 20;

/// The stage that progress is told of; it counts bytes.
const STAGE: &str = "fetch";

/// A server that takes longer than this to fail hangs, or wants to be left alone for long: a connection that is refused is
/// so sooner, with all pauses between attempts.
const HANGS: Duration = Duration::from_secs(20);

/// How downloads are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// Use the store alone.
    pub offline: bool,
    /// Downloads at once.
    pub parallel: usize,
    /// Attempts per address that bring nothing new.
    pub attempts: u32,
    /// Bytes a second below which a download is too slow.
    pub low_speed: u64,
    /// How long it may be too slow.
    pub low_speed_time: Duration,
    /// Logins for archives that ask for them.
    pub credentials: Credentials,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            offline: false,
            parallel: 6,
            attempts: 5,
            low_speed: 1024,
            low_speed_time: Duration::from_secs(30),
            credentials: Credentials::default(),
        }
    }
}

/// A file of an archive, known by digest and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The archive's name.
    pub archive: String,
    /// Path below the archive's base.
    pub path: String,
    /// Path below the archive's base that names the digest; asked for first.
    pub by_hash: Option<String>,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What a person knows it as.
    pub label: String,
    /// Who says what its digest is: `the lock`.
    pub promised_by: &'static str,
}

impl Wanted {
    /// Returns the `.deb` of a locked package.
    pub fn package(package: &LockedPackage) -> Self {
        Self {
            archive: package.archive.clone(),
            path: package.path.clone(),
            by_hash: None,
            digest: package.digest,
            size: package.size,
            label: format!("{} {}", package.name, package.version),
            promised_by: "the lock",
        }
    }

    /// Returns a Packages file of a suite; `by_hash` is its path below the suite that names its digest, where the
    /// archive has such.
    pub fn packages_file(archive: &str, suite: &str, file: &PackagesFile, by_hash: Option<&str>) -> Self {
        Self {
            archive: archive.to_owned(),
            path: format!("{}{}", suite_directory(suite), file.path),
            by_hash: by_hash.map(|path| format!("{}{path}", suite_directory(suite))),
            digest: file.digest,
            size: file.size,
            label: format!("{archive} {suite} {}", file.path),
            promised_by: "its signed Release",
        }
    }
}

/// Where a blob came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was in the store.
    Present,
    /// It was brought: from vendored inputs, or from the network.
    Downloaded,
}

/// Brings files into the store.
pub struct Fetcher<'a> {
    tools: Tools<'a>,
    mirrors: &'a Mirrors,
    vendor: Option<&'a Kit>,
    /// Servers that used up their attempts, and how long that took; each gets only one more per file.
    down: Mutex<BTreeMap<String, Duration>>,
}

impl<'a> Fetcher<'a> {
    /// Returns a fetcher; nothing is asked for yet.
    pub fn new(
        store: &'a Store,
        transport: &'a dyn Transport,
        mirrors: &'a Mirrors,
        options: &'a FetchOptions,
        clock: &'a dyn Clock,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            tools: Tools { store, transport, clock, progress, options },
            mirrors,
            vendor: None,
            down: Mutex::default(),
        }
    }

    /// Returns the fetcher, which asks these vendored inputs before the network for all that is known by digest.
    pub fn with_vendor(self, vendor: Option<&'a Kit>) -> Self {
        Self { vendor, ..self }
    }

    /// Returns a file of at most `limit` bytes that an archive has under this name now, and puts it into the store.
    pub fn metadata(&self, archive: &str, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.metadata_where(archive, path, limit, &mut |_| Ok(()))
    }

    /// As [`Fetcher::metadata`], from the first mirror whose file `accept` agrees to; it says why not.
    ///
    /// A mirror may be stale, or no mirror of this archive at all.
    pub fn metadata_where(
        &self,
        archive: &str,
        path: &str,
        limit: u64,
        accept: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Vec<u8>, Error> {
        let label = format!("{archive} {path}");
        if self.tools.options.offline {
            return Err(Error::Offline { missing: vec![label] });
        }
        let urls = self.urls(archive, &[path], &label)?;
        let expected = Expected { digest: None, size: None, limit };
        let mut tried = Vec::new();
        for address in urls {
            let failure = match self.drawn(0, || self.from(&address, expected))? {
                Ok(mut writer) => {
                    let bytes = writer.read_back()?;
                    match accept(&bytes) {
                        Ok(()) => {
                            writer.commit(None)?;
                            return Ok(bytes);
                        }
                        Err(why) => Failure::Rejected(why),
                    }
                }
                Err(failure) => failure,
            };
            tried.push((shown(&address.url), failure));
        }
        Err(Error::Unavailable { label, tried })
    }

    /// Returns the whole of a file of at most `limit` bytes that is in the store or among the vendored inputs; `None`
    /// where neither has it. The network is not asked.
    pub fn held(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let store = self.tools.store;
        if let Some(bytes) = store.blob_bytes(digest, limit)? {
            return Ok(Some(bytes));
        }
        let expected = Expected { digest: Some(*digest), size: None, limit };
        match self.vendored(expected)? {
            Some(Ok(writer)) => {
                writer.commit(Some(digest))?;
                Ok(store.blob_bytes(digest, limit)?)
            }
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// Returns a file of an archive, from the store, the vendored inputs, or else from the first mirror that has it.
    pub fn blob(&self, wanted: &Wanted) -> Result<File, Error> {
        if let Some(file) = self.tools.store.blob(&wanted.digest)? {
            return Ok(file);
        }
        self.drawn(wanted.size, || self.bring(wanted))?;
        self.stored(&wanted.digest, &wanted.label)
    }

    /// Brings files into the store, several at once and the largest first; answers in the order of `wanted`.
    ///
    /// Goes on after a file that cannot be had, so that all of them are told together, but not after the store fails.
    pub fn blobs(&self, wanted: &[Wanted]) -> Result<Vec<Fetched>, Problems> {
        let mut fetched = Vec::with_capacity(wanted.len());
        let mut missing: Vec<&Wanted> = Vec::new();
        let mut digests = BTreeSet::new();
        for one in wanted {
            if self.tools.store.blob(&one.digest).map_err(Error::from)?.is_some() {
                fetched.push(Fetched::Present);
            } else {
                fetched.push(Fetched::Downloaded);
                if digests.insert(one.digest) {
                    missing.push(one);
                }
            }
        }
        if missing.is_empty() {
            return Ok(fetched);
        }
        if self.tools.options.offline {
            let mut absent = Vec::new();
            for one in &missing {
                if !self.is_vendored(&one.digest)? {
                    absent.push(one.label.clone());
                }
            }
            if !absent.is_empty() {
                return Err(self.offline(absent).into());
            }
        }
        let total = missing.iter().fold(0_u64, |sum, one| sum.saturating_add(one.size));
        let problems = self.drawn(total, || self.bring_all(&missing));
        match Problems::from_vec(problems.into_iter().map(|error| Box::new(error) as _).collect()) {
            Some(problems) => Err(problems),
            None => Ok(fetched),
        }
    }

    /// Returns the file at an address, from the store, the vendored inputs, or else from there, if it has this digest
    /// and at most `limit` bytes.
    pub fn url(&self, url: &str, digest: &Digest, limit: u64) -> Result<File, Error> {
        if let Some(file) = self.tools.store.blob(digest)? {
            return Ok(file);
        }
        let label = shown(url);
        let expected = Expected { digest: Some(*digest), size: None, limit };
        let address = Address { url: url.to_owned(), access: Access::default(), archive: None };
        let addresses = || Ok(vec![address.clone()]);
        let writer = self.drawn(0, || self.first(&label, "the spec", &addresses, expected))?;
        writer.commit(Some(digest))?;
        self.stored(digest, &label)
    }

    /// Returns the errors of all downloads, in the order of `missing`.
    fn bring_all(&self, missing: &[&Wanted]) -> Vec<Error> {
        let mut order: Vec<usize> = (0..missing.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(missing[index].size));
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let errors = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.tools.options.parallel.clamp(1, missing.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed)
                        && let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if let Err(error) = self.bring(missing[index]) {
                            stop.fetch_or(matches!(error, Error::Store(_)), Ordering::Relaxed);
                            errors.lock().unwrap_or_else(PoisonError::into_inner).push((index, error));
                        }
                    }
                });
            }
        });
        let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        errors.sort_by_key(|(index, _)| *index);
        errors.into_iter().map(|(_, error)| error).collect()
    }

    fn bring(&self, wanted: &Wanted) -> Result<(), Error> {
        let paths: Vec<&str> = wanted.by_hash.as_deref().into_iter().chain([wanted.path.as_str()]).collect();
        let urls = || self.urls(&wanted.archive, &paths, &wanted.label);
        let expected = Expected { digest: Some(wanted.digest), size: Some(wanted.size), limit: wanted.size };
        self.first(&wanted.label, wanted.promised_by, &urls, expected)?.commit(Some(&wanted.digest))?;
        Ok(())
    }

    fn is_vendored(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(match self.vendor {
            Some(vendor) => vendor.blob(digest)?.is_some(),
            None => false,
        })
    }

    fn offline(&self, missing: Vec<String>) -> Error {
        match self.vendor {
            Some(vendor) => Error::NotVendored { missing, vendor: vendor.name().to_owned() },
            None => Error::Offline { missing },
        }
    }

    /// Reads a file from the vendored inputs; `None` where they do not have it. They are believed as little as a mirror.
    fn vendored(&self, expected: Expected) -> Result<Option<Result<BlobWriter, Failure>>, Error> {
        let (Some(vendor), Some(digest)) = (self.vendor, expected.digest) else { return Ok(None) };
        let Some(body) = vendor.blob(&digest)? else { return Ok(None) };
        local(&self.tools, body.size(), body, expected).map(Some)
    }

    /// Returns the addresses of a file at every mirror of an archive: all paths at the best mirror first.
    fn urls(&self, archive: &str, paths: &[&str], label: &str) -> Result<Vec<Address>, Error> {
        let by_path: Vec<_> = paths.iter().map(|path| self.mirrors.urls(archive, path)).collect();
        let mirrors = by_path.iter().map(Vec::len).max().unwrap_or(0);
        if mirrors == 0 {
            return Err(Error::NoMirror { label: label.to_owned(), archive: archive.to_owned() });
        }
        let urls = (0..mirrors).flat_map(|mirror| by_path.iter().filter_map(move |urls| urls.get(mirror).cloned()));
        Ok(urls.map(|url| self.address(archive, url)).collect())
    }

    /// Returns how an archive's file is asked for: a login goes along only where the archive has them.
    fn address(&self, archive: &str, url: String) -> Address {
        let private = self.mirrors.private.get(archive);
        let has_logins = private.is_some_and(|private| private.auth);
        let login = if has_logins { self.tools.options.credentials.of(&url).cloned() } else { None };
        let authorities = private.and_then(|private| private.authorities.clone());
        Address { url, access: Access { login, authorities }, archive: Some((archive.to_owned(), has_logins)) }
    }

    /// Returns a file from the vendored inputs, or from the first address that gives it.
    fn first(
        &self,
        label: &str,
        promised_by: &'static str,
        urls: &dyn Fn() -> Result<Vec<Address>, Error>,
        expected: Expected,
    ) -> Result<BlobWriter, Error> {
        let mut tried = Vec::new();
        match (self.vendored(expected)?, self.vendor) {
            (Some(Ok(writer)), _) => return Ok(writer),
            (Some(Err(failure)), Some(vendor)) => tried.push((vendor.name().to_owned(), failure)),
            _ if self.tools.options.offline => return Err(self.offline(vec![label.to_owned()])),
            _ => {}
        }
        let mut urls = if self.tools.options.offline { Vec::new() } else { urls()? };
        // Who hangs is asked again once nobody else gives the file.
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner).clone();
        urls.sort_by_key(|address| down.get(server(&address.url)).is_some_and(|took| *took > HANGS));
        for address in urls {
            match self.from(&address, expected)? {
                Ok(writer) => return Ok(writer),
                Err(failure) => tried.push((shown(&address.url), failure)),
            }
        }
        let label = label.to_owned();
        match expected.digest {
            Some(expected) if tried.iter().any(|(_, failure)| matches!(failure, Failure::Digest(_))) => {
                Err(Error::Mismatch { label, expected, promised_by, tried })
            }
            _ => Err(Error::Unavailable { label, tried }),
        }
    }

    fn from(&self, address: &Address, expected: Expected) -> Result<Result<BlobWriter, Failure>, Error> {
        let server = server(&address.url);
        let is_down = self.down.lock().unwrap_or_else(PoisonError::into_inner).contains_key(server);
        let attempts = if is_down { 1 } else { self.tools.options.attempts };
        let start = self.tools.clock.elapsed();
        let result = match (download(&self.tools, address, expected, attempts)?, &address.archive) {
            (Err(Failure::Status(401)), Some((archive, asks))) => Err(denied(401, archive, *asks, address)),
            (Err(Failure::Status(403)), Some((archive, true))) => Err(denied(403, archive, true, address)),
            (result, _) => result,
        };
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Err(Failure::Network(_)) => {
                let took = self.tools.clock.elapsed().saturating_sub(start);
                // The longest counts: where there is one attempt only, it may be over sooner.
                down.entry(server.to_owned()).and_modify(|longest| *longest = took.max(*longest)).or_insert(took);
            }
            _ => {
                down.remove(server);
            }
        }
        Ok(result)
    }

    /// Runs `work` as a stage that progress is told of; a `total` of 0 is not known.
    fn drawn<T>(&self, total: u64, work: impl FnOnce() -> T) -> T {
        self.tools.progress.start(STAGE, total);
        let result = work();
        self.tools.progress.finish(STAGE);
        result
    }

    fn stored(&self, digest: &Digest, label: &str) -> Result<File, Error> {
        self.tools.store.blob(digest)?.ok_or_else(|| Error::Lost { label: label.to_owned() })
    }
}

/// Returns that a server lets nobody in, or not this one.
fn denied(status: u16, archive: &str, asks: bool, address: &Address) -> Failure {
    let server = server(&address.url);
    Failure::Denied {
        status,
        archive: archive.to_owned(),
        host: server.split_once("://").map_or(server, |(_, host)| host).rsplit('@').next().unwrap_or(server).to_owned(),
        login: match (&address.access.login, asks) {
            (Some(_), _) => Known::Refused,
            (None, true) => Known::None,
            (None, false) => Known::NotAsked,
        },
    }
}

/// Returns the scheme, host and port of an address.
fn server(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    url[host..].find('/').map_or(url, |path| &url[..host + path])
}

/// Returns an address without the credentials in it.
fn shown(url: &str) -> String {
    let server = server(url);
    match (server.find("://"), server.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}{}", &url[..scheme + 3], &url[at + 1..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
