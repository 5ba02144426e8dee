//! `why`: why a package or a path is in an image, or why it is not.
//!
//! In: a spec with its lock, and a name. Out: one [`Answer`] per platform. A package is explained from the lock alone;
//! a path by selecting again what a build would select.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::diag::{Problems, Warning};
use crate::engine::local::{self, Selected};
use crate::layer::Workers;
use crate::lock::{Lock, LockedPackage, PlatformLock, Why};
use crate::package::{EntryKind, PackIndex, pack_key};
use crate::rules::implicit::implicit;
use crate::select::{Body, Cause, Reason, Reasons, Selection};
use crate::spec::Platform;
use crate::store::Kind;
use crate::tree::{ImagePath, Origin};

use super::lock::stale;
use super::{Error, Project, World, fetch, shown};

/// The most links that are followed on the way to a path.
const MAX_LINKS: usize = 40;
/// How many other names an answer offers.
const OFFERS: usize = 3;
/// The most chains of reasons that are told.
const MAX_CHAINS: usize = 1000;

/// What `why` is asked beside spec and subject.
#[derive(Debug, Clone, Default)]
pub struct WhyOptions {
    /// Which of the lock's platforms; all where empty.
    pub platforms: Vec<Platform>,
    /// Which variant of the spec; none for the spec itself.
    pub variant: Option<String>,
    /// Every chain of reasons, not the shortest alone.
    pub all: bool,
    /// The subject is a package, and it is told how far it is kept.
    pub package: bool,
}

/// One step of a chain of reasons: what is kept, and because of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A path, or a package.
    pub what: String,
    /// Why it is kept; the next step tells of what this names.
    pub because: String,
}

/// How far a package is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Files and links of it that are in the image.
    pub files: usize,
    /// Their bytes.
    pub size: u64,
    /// The shortest chain from the package to what the spec says.
    pub chain: Vec<Step>,
    /// Every reason.
    pub reasons: Vec<String>,
}

/// What `why` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyOutcome {
    /// What was asked about.
    pub subject: String,
    /// By platform, the answer.
    pub answers: BTreeMap<String, Answer>,
    /// Worth saying.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

impl WhyOutcome {
    /// Returns whether the subject is in the image of any platform.
    pub fn is_in(&self) -> bool {
        self.answers.values().any(|answer| matches!(answer, Answer::Package(_) | Answer::Path(_)))
    }
}

/// Why something is, or is not, in the image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// A package of the lock.
    Package(Box<PackageReason>),
    /// A package that the lock does not hold.
    NoPackage {
        /// What might be meant, as sentences.
        hints: Vec<String>,
    },
    /// A path in the image.
    Path(Box<PathReason>),
    /// A path that the image does not hold.
    NoPath {
        /// The path with links followed.
        path: String,
        /// Why each package that ships it does not bring it, as sentences; empty where none ships it.
        dropped: Vec<String>,
    },
    /// A path that the image does not hold, where nobody can tell what ships it.
    Unknown {
        /// The path.
        path: String,
    },
}

/// Why a package is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageReason {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The reason with its chain: `requested`, `implicit: libc6`, `a > b > c`.
    pub why: String,
    /// The rule's sentence, where a rule brings it or the root of its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Source package.
    pub source: String,
    /// Archive.
    pub archive: String,
    /// Layer.
    pub layer: String,
    /// It serves maintainer scripts alone, and none of its files are kept.
    pub script_only: bool,
    /// How far it is kept, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// Why a path is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathReason {
    /// The path with links followed.
    pub path: String,
    /// Links that were followed on the way, as `/bin -> usr/bin`.
    pub links: Vec<String>,
    /// Where the path itself leads, where it is a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where it comes from, in words.
    pub origin: String,
    /// The version of the package that it comes from, where the SBOM of an image tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The package that ships it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageReason>,
    /// Other packages that ship the same file, which gave way.
    pub replaced: Vec<String>,
    /// Why it is kept.
    pub reason: String,
    /// The shortest chain of reasons, from the path to what the spec says; with `all`, every one, shortest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<Vec<Step>>,
    /// Bytes of a regular file.
    pub size: u64,
    /// Digest of a regular file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
}

/// Explains `subject`, a path where it has a slash, else a package, in the images of the spec at `path`.
///
/// # Errors
/// No lock; a text that is no path; whatever would stop a build from opening its packages.
pub fn why(world: &World<'_>, path: &Path, subject: &str, options: &WhyOptions) -> Result<WhyOutcome, Problems> {
    let project = Project::read(path, options.variant.as_deref())?;
    let lock = project.locked()?;
    let mut warnings = Vec::new();
    let reasons = stale(&project)?;
    if !reasons.is_empty() {
        warnings.push(Warning {
            code: "lock::stale",
            message: format!("`{}` is stale: {}", shown(&project.lock_path), reasons.join("; ")),
            hints: vec![format!("`tarsia lock {}` writes a new one", shown(path))],
        });
    }
    let mut answers = BTreeMap::new();
    for platform in platforms(lock, &options.platforms)? {
        let held = &lock.platform[platform.oci()];
        let answer = if subject.contains('/') && !options.package {
            of_path(world, &project, lock, platform, subject, options.all)?
        } else {
            let mut answer = of_package(world, &project, held, subject);
            if let (Answer::Package(package), true) = (&mut answer, options.package) {
                let selected = selected(world, &project, lock, platform, &|_| Ok(()))?;
                package.kept = Some(kept(&selected.0.selection, subject));
            }
            answer
        };
        answers.insert(platform.oci().to_owned(), answer);
    }
    warnings.extend(world.store.take_warnings());
    Ok(WhyOutcome { subject: subject.to_owned(), answers, warnings })
}

fn platforms(lock: &Lock, wanted: &[Platform]) -> Result<Vec<Platform>, Error> {
    let absent =
        |name: &str| Error::NoPlatform { platform: name.to_owned(), held: lock.platform.keys().cloned().collect() };
    if wanted.is_empty() {
        return lock.platform.keys().map(|name| Platform::from_oci(name).ok_or_else(|| absent(name))).collect();
    }
    match wanted.iter().find(|platform| !lock.platform.contains_key(platform.oci())) {
        Some(platform) => Err(absent(platform.oci())),
        None => Ok(wanted.to_vec()),
    }
}

fn of_package(world: &World<'_>, project: &Project, held: &PlatformLock, name: &str) -> Answer {
    if let Some(package) = find(held, name) {
        return Answer::Package(Box::new(explain(held, package)));
    }
    let mut hints = Vec::new();
    if project.spec.excluded.iter().any(|excluded| excluded.value == name) {
        hints.push(format!("`!{name}` in the spec keeps it out"));
    }
    for package in &held.packages {
        // Only what is at hand: an answer about a package needs no download.
        let pack = world.store.entry(Kind::Packs, &pack_key(&package.digest));
        let pack = pack.and_then(|bytes| PackIndex::from_bytes(&bytes).ok());
        if pack.is_some_and(|pack| provides(&pack, name)) {
            hints.push(format!("`{}` of the lock provides it", package.name));
        }
    }
    if hints.is_empty() {
        hints = near(held, name).into_iter().map(|name| format!("`{name}` is in the lock")).collect();
    }
    Answer::NoPackage { hints }
}

fn find<'a>(held: &'a PlatformLock, name: &str) -> Option<&'a LockedPackage> {
    held.packages.iter().find(|package| package.name == name)
}

/// Returns why a package of the lock is in it.
fn explain(held: &PlatformLock, package: &LockedPackage) -> PackageReason {
    let why = match &package.why {
        Why::Dependency(chain) => format!("{} > {}", chain.join(" > "), package.name),
        other => other.to_string(),
    };
    let root = match &package.why {
        Why::Dependency(chain) => chain.first().and_then(|root| find(held, root)),
        _ => Some(package),
    };
    let rule = root.and_then(|root| match &root.why {
        Why::Implicit(rule) => implicit()
            .find(|entry| entry.rule() == rule && entry.package == root.name)
            .map(|entry| format!("`{}`: {}", root.name, entry.sentence)),
        _ => None,
    });
    PackageReason {
        package: package.name.clone(),
        version: package.version.clone(),
        why,
        rule,
        source: match &package.source_version {
            Some(version) => format!("{} {version}", package.source),
            None => package.source.clone(),
        },
        archive: package.archive.clone(),
        layer: package.layer.clone(),
        script_only: falls_away(package),
        kept: None,
    }
}

/// Returns whether selection keeps nothing of a package because only maintainer scripts use it.
fn falls_away(package: &LockedPackage) -> bool {
    package.script_only && package.why != Why::Requested
}

fn provides(pack: &PackIndex, name: &str) -> bool {
    let provided = pack.field("Provides").unwrap_or_default();
    provided.split(',').any(|one| one.split(['(', ' ', '\n']).find(|word| !word.is_empty()) == Some(name))
}

/// Returns the names of the lock that are nearest to `name`.
fn near<'a>(held: &'a PlatformLock, name: &str) -> Vec<&'a str> {
    let allowed = if name.len() < 5 { 1 } else { 2 };
    let mut found: Vec<(usize, &str)> = held
        .packages
        .iter()
        .filter_map(|package| {
            let other = package.name.as_str();
            let begins = name.len() >= 3 && (other.starts_with(name) || name.starts_with(other));
            let distance = distance(name, other);
            (begins || distance <= allowed).then_some((distance, other))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(OFFERS).map(|(_, name)| name).collect()
}

/// Returns the edit distance of two names; of long ones, that of their first 128 bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(128)], &b.as_bytes()[..b.len().min(128)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Explains a path in the image of one platform, also one that is not there.
pub(super) fn of_path(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    platform: Platform,
    subject: &str,
    all: bool,
) -> Result<Answer, Problems> {
    let no_path = |problem: &str| Error::NoPath { path: subject.to_owned(), problem: problem.to_owned() };
    let path = ImagePath::parse(subject.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(subject))
        .map_err(|error| no_path(&format!("it {}", error.problem)))?;
    if path.is_root() {
        return Err(no_path("it is the root, which every image has").into());
    }
    let absent = |(selected, input): (&Selected, &local::BuildInput<'_>)| {
        let (real, _) = Places::of(&selected.selection).follow(&path);
        if selected.selection.nodes.contains_key(&real) {
            return Ok(Vec::new());
        }
        Ok(local::absent(input, platform, selected, &real)?)
    };
    let (selected, absent) = selected(world, project, lock, platform, &absent)?;
    Ok(explain_path(&lock.platform[platform.oci()], &selected, &absent, &path, all))
}

/// What is asked of a selection beside what it is.
type More<'a, T> = &'a dyn Fn((&Selected, &local::BuildInput<'_>)) -> Result<T, Problems>;

/// Selects what a build would select, and asks more of it.
fn selected<T>(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    platform: Platform,
    more: More<'_, T>,
) -> Result<(Selected, T), Problems> {
    fetch::locked_inputs(world, project, lock, &|name| name == platform.oci())?;
    let workers = Workers::new(world.threads, world.memory)?;
    let platforms = [platform];
    let input = local::BuildInput {
        spec: &project.spec,
        lock,
        platforms: &platforms,
        store: world.store,
        workers: &workers,
        directory: &project.directory,
        progress: world.progress,
        remote: None,
    };
    let selected = local::select(&input, platform)?;
    let more = more((&selected, &input))?;
    Ok((selected, more))
}

/// Returns how far a package is kept.
fn kept(selection: &Selection, name: &str) -> Kept {
    let of = |kept: &&crate::select::Kept| matches!(&kept.origin, Origin::Package(owner) if owner == name);
    let places = Places::of(selection);
    let files = selection.nodes.iter().filter(|(path, kept)| {
        of(kept) && places.0.get(path.as_str()).is_some_and(|place| *place.body != Body::Directory)
    });
    let (files, size) = files.fold((0, 0), |(files, size), (_, kept)| (files + 1, size + kept.size));
    let reasons = selection.reasons.packages.get(name).map(Vec::as_slice).unwrap_or_default();
    Kept {
        files,
        size,
        chain: steps(&selection.reasons.package_chain(name)),
        reasons: reasons.iter().map(ToString::to_string).collect(),
    }
}

/// Returns a chain in words.
pub(super) fn steps(chain: &[(Cause, Reason)]) -> Vec<Step> {
    let what = |cause: &Cause| match cause {
        Cause::File(path) => path.to_string(),
        Cause::Package(name) => format!("package {name}"),
        Cause::Spec(entry) | Cause::Rule(entry) => entry.clone(),
    };
    chain.iter().map(|(cause, reason)| Step { what: what(cause), because: reason.to_string() }).collect()
}

/// Returns the chains of reasons of a path: the shortest, or all.
pub(super) fn chains(reasons: &Reasons, path: &ImagePath, all: bool) -> Vec<Vec<Step>> {
    let found = if all { reasons.chains(path, MAX_CHAINS) } else { vec![reasons.chain(path)] };
    found.iter().map(|chain| steps(chain)).filter(|chain| !chain.is_empty()).collect()
}

fn explain_path(
    held: &PlatformLock,
    selected: &Selected,
    absent: &[(String, String)],
    path: &ImagePath,
    all: bool,
) -> Answer {
    let places = Places::of(&selected.selection);
    let (path, links) = places.follow(path);
    let indexes = selected.packs.indexes();
    let Some(kept) = selected.selection.nodes.get(&path) else {
        let never = selected.selection.dropped.get(&path);
        let dropped = absent.iter().map(|(name, why)| {
            let version = find(held, name).map_or("", |package| package.version.as_str());
            let why = match never {
                Some(never) => format!("`{never}` of the spec drops it"),
                None => why.clone(),
            };
            format!("`{name}` {version} ships it: {why}")
        });
        let mut dropped: Vec<String> = dropped.collect();
        if let Some(never) = never.filter(|_| dropped.is_empty()) {
            dropped.push(format!("`{never}` of the spec drops it"));
        }
        return Answer::NoPath { path: path.to_string(), dropped };
    };
    let (origin, package) = match &kept.origin {
        Origin::Package(name) => (format!("package `{name}`"), find(held, name).map(|package| explain(held, package))),
        Origin::Derived(rule) => (format!("made by rule `{rule}`"), None),
        Origin::Spec(entry) => (format!("`{entry}` of the spec"), None),
        Origin::Base => ("the base image".to_owned(), None),
    };
    let place = places.0.get(path.as_str());
    let is_directory = place.is_some_and(|place| *place.body == Body::Directory);
    let own = match &kept.origin {
        Origin::Package(name) => Some(name.as_str()),
        _ => None,
    };
    let replaced = held.packages.iter().filter(|package| {
        !is_directory
            && own != Some(package.name.as_str())
            && !falls_away(package)
            && indexes.get(&package.name).and_then(|index| ships(index, path.as_str())) == Some(false)
    });
    Answer::Path(Box::new(PathReason {
        path: path.to_string(),
        links,
        target: match place.map(|place| place.body) {
            Some(Body::Symlink(target)) => Some(target.clone()),
            _ => None,
        },
        origin,
        version: package.as_ref().map(|package| package.version.clone()),
        package,
        replaced: replaced.map(|package| package.name.clone()).collect(),
        reason: kept.reason.clone(),
        // That a package is kept whole says it all.
        chains: if kept.reason.starts_with("keep: ") && !all {
            Vec::new()
        } else {
            chains(&selected.selection.reasons, &path, all)
        },
        size: kept.size,
        digest: kept.digest.map(|digest| digest.to_string()),
        layer: place.map(|place| place.layer.to_owned()),
    }))
}

/// Returns whether a package ships `path`, before or after the merge of /usr: `Some(true)` as a directory.
fn ships(index: &PackIndex, path: &str) -> Option<bool> {
    let before = path
        .strip_prefix("usr/")
        .filter(|rest| rest.starts_with("bin/") || rest.starts_with("sbin/") || rest.starts_with("lib"));
    let entry = index.entries.iter().find(|entry| entry.path == path || Some(entry.path.as_str()) == before)?;
    Some(entry.kind == EntryKind::Directory)
}

/// What stands at each path, and in which layer.
struct Places<'a>(BTreeMap<&'a str, Placed<'a>>);

struct Placed<'a> {
    layer: &'a str,
    body: &'a Body,
}

impl<'a> Places<'a> {
    fn of(selection: &'a Selection) -> Self {
        let mut places = BTreeMap::new();
        // Ancestors first: where a layer has a path for its own sake, that is its layer.
        for plan in &selection.layers {
            for entry in &plan.directories {
                places.entry(entry.path.as_str()).or_insert(Placed { layer: &plan.name, body: &entry.body });
            }
        }
        for plan in &selection.layers {
            for entry in plan.groups.iter().flat_map(|group| &group.entries) {
                places.insert(entry.path.as_str(), Placed { layer: &plan.name, body: &entry.body });
            }
        }
        Self(places)
    }

    /// Returns the path with the links on the way to it followed (not the path itself), and those links in words.
    fn follow(&self, path: &ImagePath) -> (ImagePath, Vec<String>) {
        let mut path = path.clone();
        let mut links = Vec::new();
        while links.len() < MAX_LINKS {
            let link = path.ancestors().find_map(|ancestor| match self.0.get(ancestor.as_str())?.body {
                Body::Symlink(target) => Some((ancestor, target)),
                _ => None,
            });
            let Some((link, target)) = link else { break };
            let rest = &path.as_str()[link.as_str().len()..];
            let Some(next) = resolve(&link, target).and_then(|base| ImagePath::parse(&format!("{base}{rest}")).ok())
            else {
                break;
            };
            links.push(format!("{link} -> {target}"));
            path = next;
        }
        (path, links)
    }
}

/// Returns where a link leads, without a leading slash; `None` out of the image.
fn resolve(link: &ImagePath, target: &str) -> Option<String> {
    let parent = link.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { parent.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_within_the_image() {
        let path = |text| ImagePath::parse(text).unwrap();
        for (link, target, expected) in [
            ("bin", "usr/bin", Some("usr/bin")),
            ("var/run", "/run", Some("run")),
            ("usr/lib/x", "../share/x", Some("usr/share/x")),
            ("a", "../../b", Some("b")),
            ("a", "/", None),
        ] {
            assert_eq!(resolve(&path(link), target).as_deref(), expected, "{link} -> {target}");
        }
    }

    #[test]
    fn distances_are_edits() {
        for (a, b, edits) in [("", "ab", 2), ("libsll3", "libssl3", 1), ("bash", "dash", 1), ("x", "x", 0)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
