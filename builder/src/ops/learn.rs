//! `learn`: proposes what a traced run of the image asked for and did not find.
//!
//! In: a spec with its lock, and what is to be run. Out: per platform, entries for `also` and `files`, each with who
//! asked for what, and in which locked package it is. Nothing is changed: what goes into an image is decided by who
//! writes its spec.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::container::{Asked, Job, Traced};
use crate::diag::{Problems, Warning};
use crate::engine::local::{self, Selected};
use crate::image::Rootfs;
use crate::lock::Move;
use crate::package::{EntryKind, PackIndex};
use crate::rules::{complaints, probes};
use crate::select::Selection;
use crate::spec::{Spanned, Trial};

use super::run::{self, Ready, RunOptions, job};
use super::{Project, World, shown};

/// From how many files of one directory on the directory is proposed, where they are at least half of what it lacks.
const GROUP: usize = 3;
/// The most links that are followed from a file that is proposed.
const MAX_LINKS: usize = 40;

/// What is traced.
#[derive(Debug, Clone, Default)]
pub struct LearnOptions {
    /// The program in place of the image's entrypoint.
    pub entrypoint: Option<String>,
    /// Arguments in place of the image's; without these and an entrypoint, what the spec's checks run, and without
    /// those, the image as it is.
    pub args: Option<Vec<String>>,
    /// Seconds that a run may take before it is stopped as a service is.
    pub timeout: u32,
}

/// What `learn` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// The spec as the user named it.
    pub spec: String,
    /// Digest of the whole image.
    pub digest: String,
    /// One per platform.
    pub images: Vec<LearnedImage>,
    /// What moved in the lock, where it was renewed.
    #[serde(skip)]
    pub moved: Vec<Move>,
    /// Worth saying.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// What the runs of one platform's image asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LearnedImage {
    /// `linux/amd64`.
    pub platform: String,
    /// What was run, and its exit status.
    pub runs: Vec<(Vec<String>, Option<i32>)>,
    /// Entries for `also`, the surest first.
    pub also: Vec<Proposal>,
    /// Directories that something was to be made in, for `files`.
    pub directories: Vec<String>,
    /// What no locked package ships: programs and libraries that were found nowhere else, by name.
    pub nowhere: BTreeMap<String, BTreeSet<Asked>>,
    /// What was asked for in passing: why, what brings it, and how much.
    pub passing: Vec<Passing>,
}

/// One entry for `also`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The glob.
    pub also: String,
    /// Packages of the lock that ship it.
    pub packages: BTreeSet<String>,
    /// What was asked for, and how.
    pub asked: BTreeMap<String, BTreeSet<Asked>>,
    /// Bytes that it adds, without what that needs in turn.
    pub size: u64,
    /// The entry of `never` that drops it, which has the last word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never: Option<String>,
}

/// What was asked for in passing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passing {
    /// Why it means nothing.
    pub why: String,
    /// The feature that brings it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// How many files of locked packages.
    pub count: usize,
}

/// Builds the spec at `path` into the store, runs its image under a tracer, and proposes what it lacked.
///
/// # Errors
/// No runtime or no tracer; whatever would stop a build.
pub fn learn(
    world: &World<'_>,
    path: &Path,
    options: &RunOptions<'_>,
    what: &LearnOptions,
) -> Result<Learned, Problems> {
    let project = Project::read(path, options.variant.as_deref())?;
    let mut trials: Vec<Trial> = Vec::new();
    if what.args.is_none() && what.entrypoint.is_none() {
        let own = project.spec.checks.iter().flat_map(|checks| &checks.run);
        trials.extend(own.map(|Spanned { value, .. }| value.clone()));
    }
    if trials.is_empty() {
        trials.push(Trial {
            entrypoint: what.entrypoint.clone().map(|program| vec![program]),
            args: what.args.clone(),
            timeout: Some(what.timeout),
            ..Trial::default()
        });
    }
    let mut images = Vec::new();
    let prepared = run::each(world, path, project, options, true, &mut |ready, warnings| {
        world.progress.start("learn", trials.len() as u64);
        let (mut all, mut runs) = (Traced::default(), Vec::new());
        for trial in &trials {
            let job = job(&ready.bundle, trial)?;
            let traced = ready.bundle.trace(&job)?;
            warnings.extend(remarks(&job, &traced));
            runs.push((job.arguments, traced.ran.exit));
            for (path, how) in traced.absent {
                all.absent.entry(path).or_default().extend(how);
            }
            all.found.extend(traced.found);
            all.ran.stderr.extend(traced.ran.stderr);
            world.progress.advance("learn", 1);
        }
        world.progress.finish("learn");
        images.push(of_image(ready, &all, runs)?);
        Ok(())
    })?;
    let (spec, digest) = (shown(path), prepared.digest.to_string());
    Ok(Learned { spec, digest, images, moved: prepared.moved, warnings: prepared.warnings })
}

/// Says what a person should know of a run before what it asked for is believed.
fn remarks(job: &Job<'_>, traced: &Traced) -> Vec<Warning> {
    let command = job.arguments.join(" ");
    let mut all = Vec::new();
    let mut say = |code, message| all.push(Warning { code, message, hints: Vec::new() });
    match (&traced.ran.refused, traced.ran.exit) {
        (Some(why), _) => say("learn::refused", format!("`{command}` could not be started: {why}")),
        (None, Some(exit)) if exit != 0 && !traced.ran.timed_out && job.listening.is_none() => {
            let said = String::from_utf8_lossy(&traced.ran.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned();
            say("learn::failed", format!("`{command}` ended with exit status {exit}, and said at last: {last}"));
        }
        _ => {}
    }
    if traced.cut {
        say("learn::cut", format!("`{command}` asked for more files than are kept"));
    }
    all
}

fn of_image(
    ready: &Ready<'_>,
    traced: &Traced,
    runs: Vec<(Vec<String>, Option<i32>)>,
) -> Result<LearnedImage, Problems> {
    let again;
    let selected: &Selected = match ready.built.selected.get(&ready.platform) {
        Some(Some(selected)) => selected,
        _ => {
            again = local::select(ready.input, ready.platform)?;
            &again
        }
    };
    let universe = Universe::of(selected.packs.indexes(), &selected.selection);
    let platform = ready.platform.oci().to_owned();
    Ok(LearnedImage { platform, runs, ..propose(&universe, ready.bundle.tree(), traced) })
}

/// Returns what is proposed for the files that were asked for.
fn propose(universe: &Universe<'_>, tree: &Rootfs<()>, traced: &Traced) -> LearnedImage {
    let mut wanted: BTreeMap<String, BTreeMap<String, BTreeSet<Asked>>> = BTreeMap::new();
    let mut directories = BTreeSet::new();
    let mut nowhere: BTreeMap<String, BTreeSet<Asked>> = BTreeMap::new();
    let mut passing: BTreeMap<&str, (Option<&str>, usize)> = BTreeMap::new();
    let found: BTreeSet<&str> = traced.found.iter().map(|path| last(path)).collect();
    for (asked, how) in &traced.absent {
        // A link that leads nowhere stands there, and its target is what lacks.
        let Some(path) = tree.resolve(asked).filter(|path| !tree.nodes.contains_key(path)) else { continue };
        let shipped = universe.files.contains_key(path.as_str());
        if let Some(probe) = probes::passing(&path).or_else(|| probes::passing(asked.trim_start_matches('/'))) {
            if shipped {
                passing.entry(probe.why).or_insert((probe.feature, 0)).1 += 1;
            }
            continue;
        }
        if shipped {
            for path in universe.with_targets(&path, tree) {
                wanted.entry(path).or_default().entry(asked.clone()).or_default().extend(how);
            }
        } else if how.contains(&Asked::Make) {
            directories.insert(format!("/{path}"));
        } else {
            let name = last(&path);
            let library = name.contains(".so") && (name.ends_with(".so") || name.contains(".so."));
            if (how.contains(&Asked::Run) || library && how.contains(&Asked::Open)) && !found.contains(name) {
                nowhere.entry(name.to_owned()).or_default().extend(how);
            }
        }
    }
    for path in universe.complained_of(&String::from_utf8_lossy(&traced.ran.stderr), tree) {
        wanted.entry(path.clone()).or_default().entry(format!("/{path}")).or_default().insert(Asked::Open);
    }
    // A program that some directory of PATH has in a locked package is no longer lacking.
    let proposed: BTreeSet<&str> = wanted.keys().map(|path| last(path)).collect();
    nowhere.retain(|name, _| !proposed.contains(name.as_str()));
    let passing = passing.into_iter().map(|(why, (feature, count))| Passing {
        why: why.to_owned(),
        feature: feature.map(str::to_owned),
        count,
    });
    LearnedImage {
        platform: String::new(),
        runs: Vec::new(),
        also: universe.grouped(wanted),
        directories: directories.into_iter().collect(),
        nowhere,
        passing: passing.collect(),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What the locked packages ship, by path after the merge of /usr.
struct Universe<'a> {
    files: BTreeMap<String, Shipped<'a>>,
    selection: &'a Selection,
}

struct Shipped<'a> {
    packages: BTreeSet<&'a str>,
    kind: &'a EntryKind,
}

impl<'a> Universe<'a> {
    fn of(packs: &'a BTreeMap<String, PackIndex>, selection: &'a Selection) -> Self {
        let mut files: BTreeMap<String, Shipped<'a>> = BTreeMap::new();
        for (package, index) in packs {
            for entry in &index.entries {
                let merged = merged(&entry.path);
                let shipped = Shipped { packages: BTreeSet::new(), kind: &entry.kind };
                files.entry(merged).or_insert(shipped).packages.insert(package);
            }
        }
        Self { files, selection }
    }

    /// Returns the path, and where it leads within what packages ship and the image lacks.
    fn with_targets(&self, path: &str, tree: &Rootfs<()>) -> Vec<String> {
        let mut all = vec![path.to_owned()];
        while all.len() < MAX_LINKS {
            let last = all.last().expect("it begins with one");
            let Some(Shipped { kind: EntryKind::Symlink(target), .. }) = self.files.get(last) else { break };
            let text = if target.starts_with('/') { target.clone() } else { format!("{}/{target}", parent(last)) };
            let Some(next) = tree.resolve(&text).filter(|next| !tree.nodes.contains_key(next)) else { break };
            if !self.files.contains_key(&next) || all.contains(&next) {
                break;
            }
            all.push(next);
        }
        all
    }

    /// Returns what a program says it lacks, of what packages ship; of a Python package, its directory.
    fn complained_of(&self, text: &str, tree: &Rootfs<()>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for ends in complaints::complaints(text) {
            let lacking = self.files.keys().filter(|path| !tree.nodes.contains_key(path.as_str()));
            for path in lacking.filter(|path| ends.iter().any(|end| complaints::ends_so(path, end))) {
                all.insert(path.strip_suffix("/__init__.py").unwrap_or(path).to_owned());
            }
        }
        all
    }

    /// Returns one entry per path, or per directory where most of what it lacks was asked for; what was run or opened
    /// first.
    fn grouped(&self, wanted: BTreeMap<String, BTreeMap<String, BTreeSet<Asked>>>) -> Vec<Proposal> {
        let mut by_parent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in wanted.keys() {
            by_parent.entry(parent(path).to_owned()).or_default().push(path.clone());
        }
        let mut proposals = Vec::new();
        for (directory, paths) in by_parent {
            let below = self.lacking(&directory);
            let whole = paths.len() >= GROUP && 2 * paths.len() >= below.len() && !directory.is_empty();
            let asked = |paths: &[String]| {
                let mut all: BTreeMap<String, BTreeSet<Asked>> = BTreeMap::new();
                for (asked, how) in paths.iter().flat_map(|path| &wanted[path]) {
                    all.entry(asked.clone()).or_default().extend(how);
                }
                all
            };
            if whole {
                proposals.push(self.proposal(format!("/{directory}/**"), &below, asked(&paths)));
                continue;
            }
            for path in paths {
                let below = self.lacking(&path);
                let directory = matches!(self.files[&path].kind, EntryKind::Directory);
                let glob = if directory && !below.is_empty() { format!("/{path}/**") } else { format!("/{path}") };
                let asked = asked(std::slice::from_ref(&path));
                let lacking = if directory && !below.is_empty() { below } else { vec![path.as_str()] };
                proposals.push(self.proposal(glob, &lacking, asked));
            }
        }
        let rank = |proposal: &Proposal| proposal.asked.values().flatten().min().copied();
        proposals.sort_by(|a, b| (rank(a), &a.also).cmp(&(rank(b), &b.also)));
        proposals
    }

    /// Returns what packages ship below a directory and the image lacks.
    fn lacking(&self, directory: &str) -> Vec<&str> {
        let prefix = format!("{directory}/");
        let below = self.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let lacking = below.filter(|(path, shipped)| {
            *shipped.kind != EntryKind::Directory && !self.selection.nodes.contains_key(path.as_str())
        });
        lacking.map(|(path, _)| path.as_str()).collect()
    }

    fn proposal(&self, also: String, paths: &[&str], asked: BTreeMap<String, BTreeSet<Asked>>) -> Proposal {
        let shipped = || paths.iter().filter_map(|path| self.files.get(*path));
        let size = shipped().map(|shipped| match shipped.kind {
            EntryKind::File(facts) => facts.size,
            _ => 0,
        });
        Proposal {
            packages: shipped().flat_map(|shipped| &shipped.packages).map(|name| (*name).to_owned()).collect(),
            size: size.sum(),
            never: paths.iter().find_map(|path| self.selection.dropped.get(*path)).cloned(),
            also,
            asked,
        }
    }
}

/// Returns where a path stands in an image with a merged /usr.
fn merged(path: &str) -> String {
    let first = path.split('/').next().unwrap_or_default();
    let moved = matches!(first, "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32") && path.len() > first.len();
    if moved { format!("usr/{path}") } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_a_merged_usr() {
        for (path, expected) in
            [("bin/cat", "usr/bin/cat"), ("bin", "bin"), ("library/x", "library/x"), ("lib64/ld", "usr/lib64/ld")]
        {
            assert_eq!(merged(path), expected);
        }
    }
}
