//! `lock`: pins every input of a spec.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::archive::Index;
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::engine::local;
use crate::fetch::Fetcher;
use crate::lock::{self, Lock, LockedInput, Move, PlatformLock};
use crate::resolve::{self, ResolveOptions, Update, resolve};
use crate::spec::{FileSource, Platform};
use crate::store::output::Staging;

use super::metadata::{Suite, suites};
use super::{Error, Project, World, fetch, prove, shown};

/// What `lock` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct LockOptions {
    /// Which packages move; `None` moves only what the spec's change touches.
    pub update: Update,
}

/// What `lock` did.
#[derive(Debug)]
pub struct LockOutcome {
    /// The lock.
    pub lock: Lock,
    /// Whether the file was written: not where nothing moved.
    pub written: bool,
    /// What moved against the lock that stood there; empty for a first lock.
    pub moved: Vec<Move>,
    /// How many packages are locked, over all platforms.
    pub packages: usize,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Makes or renews the lock of the spec at `path`, and writes it beside the spec.
///
/// # Errors
/// Anything that stands between a spec and a proved lock: the spec, the archives' signatures, the network, the
/// resolution, the disk. The lock that stood there stays.
pub fn lock(world: &World<'_>, path: &Path, options: &LockOptions) -> Result<LockOutcome, Problems> {
    let mut project = Project::read(path)?;
    renew(world, &mut project, &options.update)
}

/// Makes the project's lock anew, writes it, and leaves it in `project`.
pub(super) fn renew(world: &World<'_>, project: &mut Project, update: &Update) -> Result<LockOutcome, Problems> {
    let mut warnings = Vec::new();
    let (lock, indexes) = make(world, project, update, &mut warnings)?;
    let text = lock.to_text();
    let written = project.lock_text.as_deref() != Some(text.as_str());
    if written {
        let staging = Staging::file(&project.lock_path)?;
        std::fs::write(staging.path(), &text)
            .map_err(|source| Error::Write { path: shown(&project.lock_path), source })?;
        staging.commit()?;
    }
    let moved = project.lock.as_ref().map(|previous| lock::moved(previous, &lock)).unwrap_or_default();
    let packages = lock.platform.values().map(|platform| platform.packages.len()).sum();
    project.lock = Some(lock.clone());
    project.lock_text = Some(text);
    // Made a moment ago from these very indexes: what `build` would prove by reading them again is proved here.
    prove::against(world, project, &indexes)?;
    Ok(LockOutcome { lock, written, moved, packages, warnings })
}

/// Makes a lock without writing it, and returns it with the indexes that it was made from.
pub(super) fn make(
    world: &World<'_>,
    project: &Project,
    update: &Update,
    warnings: &mut Vec<Warning>,
) -> Result<(Lock, Vec<Index>), Problems> {
    let platforms = project.platforms(world);
    let previous = project.lock.as_ref();
    let mirrors = fetch::mirrors(world, project, previous.map(|lock| lock.source_date))?;
    let fetcher = fetch::fetcher(world, &mirrors);
    let indexes = if project.spec.packages.is_empty() {
        Vec::new()
    } else {
        indexes(world, project, &fetcher, &platforms, update, warnings)?
    };

    let mut locked: BTreeMap<String, PlatformLock> = BTreeMap::new();
    for platform in &platforms {
        let before = previous.and_then(|lock| lock.platform.get(platform.oci()));
        let base = local::open_base(&project.spec, &project.directory, None, world.store, *platform)?;
        let installed = base.map(|base| resolve::installed(&base.index.installed_stanzas())).unwrap_or_default();
        let options = ResolveOptions { previous: before, update: update.clone(), installed: &installed };
        locked.insert(platform.oci().to_owned(), resolve(&project.spec, *platform, &indexes, &options)?);
    }
    if let Update::Some(asked) = update {
        let shares = previous.iter().flat_map(|lock| lock.platform.values()).chain(locked.values());
        let held: BTreeSet<&str> =
            shares.flat_map(|share| &share.packages).map(|package| package.name.as_str()).collect();
        let packages: Vec<String> = asked.iter().filter(|name| !held.contains(name.as_str())).cloned().collect();
        if !packages.is_empty() {
            return Err(Error::NotLocked { packages }.into());
        }
    }
    let used: BTreeSet<(&str, Digest)> = locked
        .values()
        .flat_map(|platform| &platform.packages)
        .map(|package| (package.archive.as_str(), package.in_release))
        .collect();
    let mut archives: Vec<_> = indexes
        .iter()
        .filter(|index| used.contains(&(index.set.name.as_str(), index.set.in_release)))
        .map(|index| index.set.clone())
        .collect();
    archives.sort_by(|a, b| (&a.name, &a.suite, a.in_release).cmp(&(&b.name, &b.suite, b.in_release)));
    archives.dedup();
    let newest = archives.iter().map(|set| set.date).max().unwrap_or(0);
    let lock = Lock {
        version: lock::VERSION,
        revision: lock::REVISION,
        tarsia: env!("CARGO_PKG_VERSION").to_owned(),
        encoding: lock::ENCODING,
        rules: lock::RULES,
        spec: project.spec.digest,
        keep: project.spec.keep.as_str().to_owned(),
        source_date: world.source_date_epoch.unwrap_or(newest),
        source_date_given: world.source_date_epoch.is_some(),
        archives,
        inputs: inputs(project, &fetcher)?,
        platform: locked,
    };
    Ok((lock, indexes))
}

/// Returns the indexes to resolve against: the sets that the lock stands on where only the spec changed, else the
/// newest of every suite, with the locked ones beside them where only some packages move.
fn indexes(
    world: &World<'_>,
    project: &Project,
    fetcher: &Fetcher<'_>,
    platforms: &[Platform],
    update: &Update,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Index>, Problems> {
    let suites = suites(project)?;
    world.progress.start("metadata", suites.len() as u64);
    let mut indexes = Vec::new();
    let previous = project.lock.as_ref();
    if !matches!(update, Update::All)
        && let Some(previous) = previous
    {
        match locked_indexes(world, fetcher, &suites, previous, platforms)? {
            Ok(found) => indexes = found,
            Err(missing) => warnings.push(Warning {
                code: "lock::metadata-gone",
                message: format!("{missing} can no longer be had; the newest metadata stands in"),
                hints: Vec::new(),
            }),
        }
    }
    // A spec change is resolved against the locked sets alone, if every suite is among them.
    let covered: BTreeSet<(String, String)> =
        indexes.iter().map(|index| (index.set.name.clone(), index.set.suite.clone())).collect();
    let settled = matches!(update, Update::None) && !indexes.is_empty();
    for suite in &suites {
        if !(settled && covered.contains(&(suite.archive.clone(), suite.suite.clone()))) {
            let index = suite.newest(fetcher, platforms, previous, world.now)?;
            if !indexes.iter().any(|known| known.set == index.set) {
                indexes.push(index);
            }
        }
        world.progress.advance("metadata", 1);
    }
    world.progress.finish("metadata");
    Ok(indexes)
}

/// Returns the indexes of every set of a lock, or the name of one that cannot be had.
fn locked_indexes(
    world: &World<'_>,
    fetcher: &Fetcher<'_>,
    suites: &[Suite],
    lock: &Lock,
    platforms: &[Platform],
) -> Result<Result<Vec<Index>, String>, Problems> {
    let mut indexes = Vec::new();
    for set in &lock.archives {
        let wanted = |platform: &Platform| {
            let part = format!("binary-{}/", platform.architecture());
            // The list of a flat archive is of every architecture.
            set.packages.iter().any(|file| file.path.contains(&part) || !file.path.contains("binary-"))
        };
        if !platforms.iter().all(wanted) {
            continue;
        }
        let Some(suite) = suites.iter().find(|suite| suite.archive == set.name && suite.suite == set.suite) else {
            continue;
        };
        match suite.locked(fetcher, set, world.now)? {
            Ok(index) => indexes.push(index),
            Err(_) => return Ok(Err(format!("the locked metadata of `{}` ({})", set.suite, set.in_release))),
        }
    }
    Ok(Ok(indexes))
}

/// Digests what the spec names beside packages: fetched files, keys, certificates.
fn inputs(project: &Project, fetcher: &Fetcher<'_>) -> Result<Vec<LockedInput>, Problems> {
    let mut inputs = Vec::new();
    for (kind, name) in local_inputs(project) {
        let bytes = project.read_input(name)?;
        inputs.push(LockedInput {
            kind: kind.to_owned(),
            name: name.to_owned(),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        });
    }
    if let (Some(base), Some((digest, size))) =
        (&project.spec.base, local::base_digest(&project.spec, &project.directory)?)
    {
        inputs.push(LockedInput { kind: "base".to_owned(), name: base.text.clone(), digest, size });
    }
    for file in &project.spec.files {
        if let FileSource::Fetch { url, digest, .. } = &file.value.what {
            let size = fetch::size(&fetcher.url(url, digest, fetch::MAX_FETCHED)?, url)?;
            inputs.push(LockedInput { kind: "fetch".to_owned(), name: url.clone(), digest: *digest, size });
        }
    }
    inputs.sort();
    inputs.dedup();
    Ok(inputs)
}

/// Returns the keys and certificates that the spec names, as (kind, path).
pub(super) fn local_inputs(project: &Project) -> Vec<(&'static str, &str)> {
    let keys = project.spec.archives.values().map(|archive| ("key", archive.signed_by.value.as_str()));
    let certificates = project.spec.certificates.iter().map(|path| ("certificate", path.value.as_str()));
    keys.chain(certificates).collect()
}

/// Returns why the project's lock does not fit its spec; empty where it does.
pub(super) fn stale(project: &Project) -> Result<Vec<String>, Problems> {
    let Some(lock) = &project.lock else { return Ok(vec!["there is none".to_owned()]) };
    let mut reasons = resolve::stale(lock, &project.spec);
    for (kind, name) in local_inputs(project) {
        let digest = Digest::of(&project.read_input(name)?);
        let locked = lock.inputs.iter().find(|input| input.kind == kind && input.name == name);
        match locked {
            None => reasons.push(format!("{kind} `{name}` is not in it")),
            Some(input) if input.digest != digest => reasons.push(format!("{kind} `{name}` has other bytes")),
            Some(_) => {}
        }
    }
    if let Some(base) = &project.spec.base {
        let digest = local::base_digest(&project.spec, &project.directory)?.map(|(digest, _)| digest);
        let locked = lock.inputs.iter().find(|input| input.kind == "base" && input.name == base.text);
        match locked {
            None => reasons.push(format!("base `{}` is not in it", base.text)),
            Some(input) if Some(input.digest) != digest => {
                reasons.push(format!("base `{}` is another image", base.text))
            }
            Some(_) => {}
        }
    }
    Ok(reasons)
}
