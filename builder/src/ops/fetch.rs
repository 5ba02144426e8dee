//! `fetch`: downloads locked inputs into the store.

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::archives_of;
use crate::diag::Problems;
use crate::engine::farm::Farm;
use crate::fetch::{Fetched, Fetcher, MirrorFlag, MirrorSources, Mirrors, Private, Snapshot, Wanted};
use crate::lock::{Lock, LockedPackage, PlatformLock};
use crate::spec::FileSource;

use super::{Error, Project, World, local};

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

/// Downloads everything that the lock of the spec at `path`, or of its variant, names.
///
/// # Errors
/// No lock, no network, other bytes than the lock says.
pub fn fetch(world: &World<'_>, path: &Path, variant: Option<&str>) -> Result<FetchOutcome, Problems> {
    let project = Project::read(path, variant)?;
    let lock = project.locked()?.clone();
    locked_inputs(world, &project, &lock, &|_| true)
}

/// Returns the mirrors of the project's archives: for its lock, or for the newest state.
///
/// # Errors
/// A certificate authority of the spec that cannot be read.
pub(super) fn mirrors(world: &World<'_>, project: &Project, locked: Option<i64>) -> Result<Mirrors, Problems> {
    let snapshot = match locked {
        _ if world.offline => Snapshot::Never,
        Some(date) => Snapshot::LockedAt(date),
        None => Snapshot::Newest(world.now),
    };
    mirrors_of(project, world.mirrors, world.apt, snapshot)
}

/// Returns the mirrors of the project's archives, out of what is known of mirrors here.
///
/// # Errors
/// A certificate authority of the spec that cannot be read.
pub(super) fn mirrors_of(
    project: &Project,
    flags: &[MirrorFlag],
    apt: &BTreeMap<String, Vec<String>>,
    snapshot: Snapshot,
) -> Result<Mirrors, Problems> {
    let spec = project.spec.archives.iter().map(|(name, archive)| (name.clone(), archive.uri.clone())).collect();
    let mut archives: Vec<&str> = project.spec.archives.keys().map(String::as_str).collect();
    if let Some(distro) = &project.spec.distro {
        archives.extend(archives_of(distro.value).iter().map(|archive| archive.name));
    }
    let mut mirrors = Mirrors::order(&archives, &MirrorSources { flags, spec: &spec, apt, snapshot });
    for (name, archive) in &project.spec.archives {
        let authorities = match &archive.ca {
            Some(path) => Some(project.read_input(&path.value)?.into()),
            None => None,
        };
        if archive.auth || authorities.is_some() {
            mirrors.private.insert(name.clone(), Private { auth: archive.auth, authorities });
        }
    }
    Ok(mirrors)
}

/// Returns a fetcher over the world's store and network.
pub(super) fn fetcher<'a>(world: &'a World<'_>, mirrors: &'a Mirrors) -> Fetcher<'a> {
    Fetcher::new(world.store, world.transport, mirrors, world.fetch, world.clock, world.progress)
        .with_vendor(world.vendor)
}

/// Makes sure that the store has every package and fetched file of a lock, for the platforms that `asked` agrees to.
pub(super) fn locked_inputs(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    asked: &dyn Fn(&str) -> bool,
) -> Result<FetchOutcome, Problems> {
    let mirrors = mirrors(world, project, Some(lock.source_date))?;
    inputs(world, project, lock, &mirrors, asked, &|_, _| true)
}

/// Makes sure that the store has what a build in this process needs, and returns those who build the rest, where the
/// world has daemons for it: what they open is not fetched here.
pub(super) fn build_inputs(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    asked: &dyn Fn(&str) -> bool,
) -> Result<Option<Farm>, Problems> {
    let mirrors = mirrors(world, project, Some(lock.source_date))?;
    let Some(options) = world.daemons else {
        inputs(world, project, lock, &mirrors, asked, &|_, _| true)?;
        return Ok(None);
    };
    let farm = Farm::new(options, mirrors.clone(), world.offline)?;
    inputs(world, project, lock, &mirrors, asked, &|share, package| farm.is_made_here(share, &package.layer))?;
    Ok(Some(farm))
}

/// Makes sure that the store has the fetched files of a lock and those of its packages that `wanted` agrees to.
fn inputs(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    mirrors: &Mirrors,
    asked: &dyn Fn(&str) -> bool,
    wanted: &dyn Fn(&PlatformLock, &LockedPackage) -> bool,
) -> Result<FetchOutcome, Problems> {
    let fetcher = fetcher(world, mirrors);
    local::store(world, project, lock, asked)?;
    let shares = lock.platform.iter().filter(|(name, _)| asked(name)).map(|(_, share)| share);
    let packages = shares.flat_map(|share| share.packages.iter().filter(|package| wanted(share, package)));
    let packages = packages.filter(|package| package.local_path().is_none());
    let wanted: Vec<Wanted> = packages.map(Wanted::package).collect();
    let mut outcome = FetchOutcome { wanted: wanted.len(), ..FetchOutcome::default() };
    // All that cannot be had is told together.
    let mut problems = Vec::new();
    match fetcher.blobs(&wanted) {
        Ok(all) => {
            for (one, _) in wanted.iter().zip(all).filter(|(_, fetched)| *fetched == Fetched::Downloaded) {
                outcome.fetched += 1;
                outcome.bytes += one.size;
            }
        }
        Err(error) => problems.extend(error.into_vec()),
    }
    for file in &project.spec.files {
        if let FileSource::Fetch { url, digest, .. } = &file.value.what {
            outcome.wanted += 1;
            let there = world.store.blob(digest)?.is_some();
            match fetcher.url(url, digest, MAX_FETCHED) {
                Ok(fetched) if !there => {
                    outcome.fetched += 1;
                    outcome.bytes += size(&fetched, url)?;
                }
                Ok(_) => {}
                Err(error) => problems.push(Box::new(error)),
            }
        }
    }
    Problems::from_vec(problems).map_or(Ok(outcome), Err)
}

/// Returns the size of a fetched file.
pub(super) fn size(file: &std::fs::File, name: &str) -> Result<u64, Problems> {
    let metadata = file.metadata().map_err(|source| Error::Read { path: name.to_owned(), source })?;
    Ok(metadata.len())
}
