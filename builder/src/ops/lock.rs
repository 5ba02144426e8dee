//! `lock`: pins every input of a spec.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::archive::{Candidate, Index};
use crate::diag::{Problems, Span, Warning};
use crate::digest::Digest;
use crate::engine::local as engine;
use crate::fetch::Fetcher;
use crate::lock::{self, Lock, LockedInput, MetadataSet, Move, PlatformLock};
use crate::package::Limits;
use crate::resolve::{self, ResolveOptions, Update, resolve};
use crate::spec::{ArchiveSpec, Distro, FileSource, Platform};
use crate::store::output::Staging;

use super::local::{self, LocalDeb};
use super::metadata::{Suite, suites};
use super::project::not_in;
use super::{Error, Project, World, fetch, prove, shown};

/// What `lock` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct LockOptions {
    /// Which packages move; `None` moves only what the spec's change touches.
    pub update: Update,
    /// The one variant to lock; the spec and all of its variants where absent.
    pub variant: Option<String>,
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
    /// How many packages are locked, over all platforms and sections.
    pub packages: usize,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Makes or renews the lock of the spec at `path` and of its variants, and writes it beside the spec.
///
/// # Errors
/// Anything that stands between a spec and a proved lock: the spec, the archives' signatures, the network, the
/// resolution, the disk. The lock that stood there stays.
pub fn lock(world: &World<'_>, path: &Path, options: &LockOptions) -> Result<LockOutcome, Problems> {
    let first = Project::read(path, None)?;
    if let Some(name) = &options.variant {
        Project::read(path, Some(name))?;
    }
    // A lock always has the spec's own section, so a first one has all.
    let variant = options.variant.as_deref().filter(|_| first.whole.is_some());
    let mut projects = match variant {
        Some(name) => vec![Project::read(path, Some(name))?],
        None => all(path, first)?,
    };
    let outcome = renew_all(world, &mut projects, &options.update)?;
    if let Update::Some(asked) = &options.update {
        let mut held: BTreeSet<&str> = BTreeSet::new();
        let before = projects.iter().filter_map(|project| project.whole.as_ref());
        for lock in before.chain([&outcome.lock]) {
            held.extend(names(lock));
        }
        let packages: Vec<String> = asked.iter().filter(|name| !held.contains(name.as_str())).cloned().collect();
        if !packages.is_empty() {
            return Err(Error::NotLocked { packages }.into());
        }
    }
    write(&mut projects, outcome, world)
}

/// Reads the variants of a spec that has been read.
pub(super) fn all(path: &Path, first: Project) -> Result<Vec<Project>, Problems> {
    let text = &first.spec.source.text;
    let mut variants: Vec<Project> = Vec::new();
    for name in &first.spec.variants {
        variants.push(Project::of_text(path, text.clone(), Some(name))?);
    }
    Ok(std::iter::once(first).chain(variants).collect())
}

/// Returns the names of all packages of a lock.
fn names(lock: &Lock) -> impl Iterator<Item = &str> {
    let shares = lock.platform.values().chain(lock.variants.values().flat_map(|variant| variant.platform.values()));
    shares.flat_map(|share| &share.packages).map(|package| package.name.as_str())
}

/// Makes the project's section of the lock anew, writes the lock, and leaves it in `project`.
pub(super) fn renew(world: &World<'_>, project: &mut Project, update: &Update) -> Result<LockOutcome, Problems> {
    let projects = std::slice::from_mut(project);
    let outcome = renew_all(world, projects, update)?;
    write(projects, outcome, world)
}

/// A lock that has been made and not written.
pub(super) struct Renewed {
    lock: Lock,
    moved: Vec<Move>,
    sections: Vec<(Lock, Arc<[Index]>)>,
    warnings: Vec<Warning>,
}

/// The indexes that one section was made from, for the next one.
#[derive(Default)]
pub(super) struct Known {
    distro: Option<Distro>,
    archives: BTreeMap<String, ArchiveSpec>,
    platforms: Vec<Platform>,
    indexes: Option<Arc<[Index]>>,
}

impl Known {
    /// Returns the indexes where they are those of this project too: the same archives, and every set that its lock
    /// stands on. Reading a distribution's metadata takes longer than all else.
    fn of(&self, project: &Project, platforms: &[Platform], previous: Option<&Lock>) -> Option<Arc<[Index]>> {
        let indexes = self.indexes.as_ref()?;
        let distro = project.spec.distro.as_ref().map(|distro| distro.value);
        let bare = |archives: &BTreeMap<String, ArchiveSpec>| {
            let mut archives = archives.clone();
            archives.values_mut().for_each(|archive| archive.signed_by.span = Span::default());
            archives
        };
        let has = |set: &MetadataSet| {
            indexes.iter().any(|index| (&index.set.name, index.set.in_release) == (&set.name, set.in_release))
        };
        let fits = self.distro == distro
            && self.platforms == platforms
            && bare(&self.archives) == bare(&project.spec.archives)
            && previous.is_none_or(|lock| lock.archives.iter().all(has));
        fits.then(|| indexes.clone())
    }
}

/// Makes the sections of `projects`, which are of one spec, the spec itself first where it is among them.
pub(super) fn renew_all(world: &World<'_>, projects: &mut [Project], update: &Update) -> Result<Renewed, Problems> {
    let mut whole: Option<Lock> = projects.first().and_then(|project| project.whole.clone());
    let (mut sections, mut warnings, mut moved) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut known = Known::default();
    for project in projects.iter_mut() {
        let previous = project.lock.clone();
        if previous.is_none() {
            project.whole.clone_from(&whole);
        }
        let (section, indexes) = make(world, project, update, &mut known, &mut warnings)?;
        moved.extend(previous.iter().flat_map(|previous| lock::moved(previous, &section)));
        let variant = project.spec.variant.as_deref();
        match &mut whole {
            Some(whole) => whole.put(variant, section.clone()),
            None => whole = Some(section.clone()),
        }
        sections.push((section, indexes));
    }
    let mut lock = whole.expect("the first section is the spec's own, or a lock was there");
    if let Some(project) = projects.first() {
        lock.variants.retain(|name, _| project.spec.variants.contains(name));
        lock.drop_unused_sets();
    }
    Ok(Renewed { lock, moved: moved.into_iter().collect(), sections, warnings })
}

/// Writes a lock, and leaves its sections in `projects`.
pub(super) fn write(projects: &mut [Project], renewed: Renewed, world: &World<'_>) -> Result<LockOutcome, Problems> {
    let Renewed { lock, moved, sections, mut warnings } = renewed;
    let text = lock.to_text();
    let mut written = false;
    for (project, (section, indexes)) in projects.iter_mut().zip(sections) {
        if !written && project.lock_text.as_deref() != Some(text.as_str()) {
            let staging = Staging::file(&project.lock_path)?;
            std::fs::write(staging.path(), &text)
                .map_err(|source| Error::Write { path: shown(&project.lock_path), source })?;
            staging.commit()?;
            written = true;
        }
        project.lock = Some(section);
        project.whole = Some(lock.clone());
        project.lock_text = Some(text.clone());
        // Made a moment ago from these very indexes: what `build` would prove by reading them again is proved here.
        prove::against(world, project, &indexes)?;
    }
    warnings.dedup();
    let platforms = lock.platform.values().chain(lock.variants.values().flat_map(|variant| variant.platform.values()));
    let packages = platforms.map(|platform| platform.packages.len()).sum();
    Ok(LockOutcome { lock, written, moved, packages, warnings })
}

/// Makes a project's section of a lock without writing it, and returns it with the indexes that it was made from.
pub(super) fn make(
    world: &World<'_>,
    project: &Project,
    update: &Update,
    known: &mut Known,
    warnings: &mut Vec<Warning>,
) -> Result<(Lock, Arc<[Index]>), Problems> {
    let platforms = project.platforms(world);
    let previous = project.previous();
    let previous = previous.as_ref();
    let debs = local::read(project)?;
    let (slices, _) = crate::package::local::slices(&project.spec, &project.directory)?;
    let mirrors = fetch::mirrors(world, project, previous.map(|lock| lock.source_date))?;
    let fetcher = fetch::fetcher(world, &mirrors);
    let indexes: Arc<[Index]> = if project.spec.packages.is_empty() && debs.is_empty() {
        Arc::new([])
    } else if let Some(indexes) = known.of(project, &platforms, previous) {
        indexes
    } else {
        let indexes: Arc<[Index]> = indexes(world, project, &fetcher, &platforms, update, warnings)?.into();
        *known = Known {
            distro: project.spec.distro.as_ref().map(|distro| distro.value),
            archives: project.spec.archives.clone(),
            platforms: platforms.clone(),
            indexes: Some(indexes.clone()),
        };
        indexes
    };

    let mut locked: BTreeMap<String, PlatformLock> = BTreeMap::new();
    for platform in &platforms {
        let before = previous.and_then(|lock| lock.platform.get(platform.oci()));
        let local = local::for_platform(project, &debs, *platform, &platforms)?;
        let spec = super::slices::with_packages(&project.spec, &slices, *platform)?;
        let spec = resolve::with_local(&spec, &local);
        let local: Vec<Candidate> = local.into_iter().map(|(_, candidate)| candidate).collect();
        let base = engine::open_base(&project.spec, &project.directory, None, world.store, *platform)?;
        let installed = base.map(|base| resolve::installed(&base.index.installed_stanzas())).unwrap_or_default();
        let options = ResolveOptions { previous: before, update: update.clone(), local: &local, installed: &installed };
        locked.insert(platform.oci().to_owned(), resolve(&spec, *platform, &indexes, &options)?);
    }
    let used: BTreeSet<(&str, Option<Digest>)> = locked
        .values()
        .flat_map(|platform| &platform.packages)
        .map(|package| (package.archive.as_str(), package.in_release))
        .collect();
    let mut archives: Vec<_> = indexes
        .iter()
        .filter(|index| used.contains(&(index.set.name.as_str(), Some(index.set.in_release))))
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
        inputs: inputs(project, &debs, &fetcher)?,
        platform: locked,
        variants: BTreeMap::new(),
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
    let previous = project.previous();
    let previous = previous.as_ref();
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

/// Digests what the spec names beside packages of archives: fetched files, keys, certificates, local packages.
fn inputs(project: &Project, debs: &[LocalDeb], fetcher: &Fetcher<'_>) -> Result<Vec<LockedInput>, Problems> {
    let mut inputs: Vec<LockedInput> = local::inputs(debs).collect();
    for (kind, name) in local_inputs(project)? {
        let bytes = project.read_input(&name)?;
        inputs.push(LockedInput { kind: kind.to_owned(), name, digest: Digest::of(&bytes), size: bytes.len() as u64 });
    }
    if let (Some(base), Some((digest, size))) =
        (&project.spec.base, engine::base_digest(&project.spec, &project.directory)?)
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

/// Returns the keys, certificates and files of rules that the spec names, as (kind, path).
pub(super) fn local_inputs(project: &Project) -> Result<Vec<(&'static str, String)>, Problems> {
    let keys = project.spec.archives.values().map(|archive| ("key", archive.signed_by.value.clone()));
    let certificates = project.spec.certificates.iter().map(|path| ("certificate", path.value.clone()));
    let rules = crate::package::local::rule_files(&project.spec, &project.directory)?;
    let slices = super::slices::files(project)?.into_iter().map(|path| ("slices", path));
    Ok(keys.chain(certificates).chain(rules.into_iter().map(|path| ("rules", path))).chain(slices).collect())
}

/// Returns why the project's lock does not fit its spec; empty where it does.
pub(super) fn stale(project: &Project) -> Result<Vec<String>, Problems> {
    reasons(project, true)
}

/// As [`stale`]. Packages and bases beneath the spec's directory are looked at where `whole` says so: whoever opens them
/// holds them against the lock as well.
pub(super) fn reasons(project: &Project, whole: bool) -> Result<Vec<String>, Problems> {
    let Some(lock) = &project.lock else {
        let variant = project.spec.variant.as_deref().filter(|_| project.whole.is_some());
        return Ok(vec![variant.map_or_else(|| "there is none".to_owned(), not_in)]);
    };
    let mut reasons = resolve::stale(lock, &project.spec);
    let mut compare = |kind: &str, name: &str, digest: Digest| {
        let locked = lock.inputs.iter().find(|input| input.kind == kind && input.name == name);
        match locked {
            None => reasons.push(format!("{kind} `{name}` is not in it")),
            Some(input) if input.digest != digest => reasons.push(format!("{kind} `{name}` has other bytes")),
            Some(_) => {}
        }
    };
    let local = local_inputs(project)?;
    for (kind, name) in &local {
        compare(kind, name, Digest::of(&project.read_input(name)?));
    }
    for deb in project.spec.debs.iter().filter(|_| whole) {
        let path = &deb.value.path;
        let (digest, _) = local::digest_of(&project.open_package(path)?, Limits::default().max_packed)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        compare("package", path, digest);
    }
    let gone = lock.inputs.iter().filter(|input| matches!(input.kind.as_str(), "rules" | "slices"));
    let gone = gone.filter(|input| !local.iter().any(|(kind, name)| *kind == input.kind && *name == input.name));
    reasons.extend(gone.map(|input| format!("{} `{}` are gone", input.kind, input.name)));
    if let Some(base) = project.spec.base.as_ref().filter(|_| whole) {
        let digest = engine::base_digest(&project.spec, &project.directory)?.map(|(digest, _)| digest);
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
