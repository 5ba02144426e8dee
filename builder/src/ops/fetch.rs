//! `fetch`: downloads locked inputs into the store.

use std::path::Path;

use crate::diag::Problems;
use crate::fetch::{FetchOptions, Fetcher, MirrorSources, Mirrors, Wanted};
use crate::lock::Lock;
use crate::spec::FileSource;

use super::metadata::require_mirror;
use super::{Project, World};

/// The largest file that a spec may fetch, in bytes.
pub(super) const MAX_FETCHED: u64 = 8 << 30;

/// What `fetch` did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchOutcome {
    /// Packages and files that the lock names.
    pub wanted: usize,
    /// Of these, how many had to be downloaded.
    pub fetched: usize,
    /// Bytes downloaded.
    pub bytes: u64,
}

/// Downloads everything that the lock of the spec at `path` names.
///
/// # Errors
/// No lock, no network, other bytes than the lock says.
pub fn fetch(world: &World<'_>, path: &Path) -> Result<FetchOutcome, Problems> {
    let project = Project::read(path)?;
    let lock = project.locked()?.clone();
    locked_inputs(world, &project, &lock, None)
}

/// Returns the mirrors of the project's archives, for a lock of `date`.
pub(super) fn mirrors(world: &World<'_>, project: &Project, date: Option<i64>) -> Mirrors {
    let spec = project.spec.archives.iter().map(|(name, archive)| (name.clone(), archive.uri.clone())).collect();
    Mirrors::order(&MirrorSources { flags: world.mirrors, spec: &spec, apt: world.apt_sources, date: date.unwrap_or(world.now) })
}

/// Returns a fetcher over the world's store and network.
pub(super) fn fetcher<'a>(world: &'a World<'_>, mirrors: &'a Mirrors) -> Fetcher<'a> {
    let options = FetchOptions { offline: world.offline, ..FetchOptions::default() };
    Fetcher::new(world.store, world.transport, mirrors, options, world.progress)
}

/// Makes sure that the store has every package and fetched file of a lock, for one platform or all.
pub(super) fn locked_inputs(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    platform: Option<&str>,
) -> Result<FetchOutcome, Problems> {
    let mirrors = mirrors(world, project, Some(lock.source_date));
    let fetcher = fetcher(world, &mirrors);
    let mut wanted: Vec<Wanted> = Vec::new();
    for (name, held) in &lock.platform {
        if platform.is_some_and(|only| only != name) {
            continue;
        }
        for package in &held.packages {
            let set = lock.archives.iter().find(|set| set.in_release == package.in_release);
            wanted.push(Wanted {
                archive: package.archive.clone(),
                paths: vec![package.path.clone()],
                digest: package.digest,
                size: Some(package.size),
                label: package.name.clone(),
                date: set.map_or(lock.source_date, |set| set.date),
            });
        }
    }
    wanted.sort_by(|a, b| a.digest.cmp(&b.digest));
    wanted.dedup_by(|a, b| a.digest == b.digest);
    let missing: Vec<Wanted> = wanted.iter().filter(|file| !fetcher.has(&file.digest)).cloned().collect();
    if !world.offline {
        for file in &missing {
            require_mirror(&file.archive, mirrors.of(&file.archive))?;
        }
    }
    let mut outcome = FetchOutcome { wanted: wanted.len(), fetched: missing.len(), bytes: 0 };
    outcome.bytes = missing.iter().filter_map(|file| file.size).sum();
    fetcher.blobs(&missing)?;
    for file in &project.spec.files {
        if let FileSource::Fetch { url, digest, .. } = &file.value.what {
            outcome.wanted += 1;
            if !fetcher.has(digest) {
                outcome.fetched += 1;
                outcome.bytes += fetcher.url(url, digest, MAX_FETCHED)?;
            }
        }
    }
    Ok(outcome)
}
