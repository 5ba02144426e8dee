//! Builds with BuildKit daemons, one or several, in two phases.
//!
//! First every daemon opens its share of the packages, and only what selection reads of them comes here. Selection runs
//! here; then every daemon gets the plans of its layers, and the layers that the store lacks come here. Which daemon
//! has which share follows from its address and the layer's name alone, so the second phase finds the packages opened
//! where it asks, and a build of tomorrow finds what today's left in their caches. No package is opened on two daemons,
//! unless one is lost: its share then goes to the others.
//!
//! Layers that hold what no daemon may or can fetch (a package of the spec's own directory, or of an archive that asks
//! for a login or has an authority of its own), and all that is not about packages, are made here by the code of a
//! [`local`] build. Nothing of the spec's directory is sent.
//!
//! What a daemon sends is checked as far as that can be done without opening packages: an index is of the package that
//! the lock names and holds together, and a layer's tar is, byte by byte, what its plan says. That an index tells the
//! truth about its package is the daemon's word.

mod daemon;
mod error;
mod job;
mod receive;
mod share;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use crate::buildkit::{self, Address, Event, Limits, Login, Stop, Tls};
use crate::diag::Warning;
use crate::digest::Digest;
use crate::engine::Remote;
use crate::engine::graph::{self, LayerGroup, Planned, Worker};
use crate::engine::local::{self, BuildInput, Packs, Selected};
use crate::fetch::Mirrors;
use crate::image::Image;
use crate::layer::{self, Layer};
use crate::llb::{Definition, Vertex};
use crate::lock::{LockedPackage, PlatformLock};
use crate::package::{PackIndex, pack_key};
use crate::select::LayerPlan;
use crate::spec::Platform;
use crate::store::TemporaryDirectory;

pub use daemon::Daemon;
pub use error::Error;

use job::{Job, Route};
use share::Team;

/// The most bytes of plans in one graph, as long as no single one has more: a daemon takes messages of 16 MiB,
/// and the one in Docker 20.10 of 4.
const MAX_PLANS: usize = 3 << 20;

/// The same where all have to stand in one.
const MAX_GRAPH: usize = 12 << 20;

/// Which daemons build, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Their addresses; Docker's own where there are none.
    pub addresses: Vec<Address>,
    /// The tarsia that they run.
    pub worker: Worker,
    /// Certificates for those reached by TCP.
    pub tls: Tls,
    /// Logins that they may ask for, by the host of a registry: those of the worker and of caches.
    pub logins: BTreeMap<String, Login>,
    /// Random bytes.
    pub seed: [u8; 32],
    /// Caches that they look into, as BuildKit writes them.
    pub cache_from: Vec<String>,
    /// Caches that they write, as BuildKit writes them; `{n}` stands for the daemon's number, the first being 0.
    pub cache_to: Vec<String>,
}

impl Options {
    /// Returns whose word it is what these daemons say of packages: that of this worker at these addresses. What is made
    /// of it must be found by nobody who has not named them.
    pub fn party(&self) -> Digest {
        let mut addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        addresses.sort();
        Digest::of(format!("{}\n{}", self.worker, addresses.join("\n")).as_bytes())
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// A cache that is not written as BuildKit does; one that several daemons would write over each other.
    pub fn check(&self) -> Result<(), Error> {
        daemon::caches(self, 0)?;
        let shared = self.cache_to.iter().find(|cache| !cache.contains(daemon::NUMBER));
        match shared.filter(|_| self.addresses.len() > 1) {
            Some(cache) => Err(Error::SharedCache { cache: cache.clone() }),
            None => Ok(()),
        }
    }
}

/// What a daemon is asked to solve.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The graph.
    pub definition: &'a Definition,
    /// An empty directory, which takes the result.
    pub directory: &'a Path,
    /// How much of it there may be.
    pub limits: Limits,
    /// Whether this is all that the daemon does for a build, so that its caches are worth writing.
    pub is_whole: bool,
    /// Which operations are downloads, and how many bytes each brings.
    pub downloads: &'a BTreeMap<String, u64>,
    /// Hears of the solve.
    pub events: &'a (dyn Fn(&Event) + Sync),
    /// Set once nobody waits for the result any more.
    pub stop: &'a Stop,
}

/// A layer of an earlier platform, as a cache is to hold it.
#[derive(Debug, Clone)]
struct Exported {
    platform: Platform,
    layer: String,
    plan: Vec<u8>,
    /// Bytes of its tar.
    tar: u64,
}

/// Daemons that build together. None is spoken to before there is something for it to do.
pub struct Farm {
    team: Team,
    worker: Worker,
    mirrors: Mirrors,
    /// By daemon, where it gets packages from.
    routes: Mutex<BTreeMap<String, Route>>,
    /// Archives that ask for a login, or have an authority of their own.
    private: BTreeSet<String>,
    /// By daemon, the layers that its caches hold of this build.
    exported: Mutex<BTreeMap<String, Vec<Exported>>>,
    /// Held while a large index is taken.
    large: Mutex<()>,
    offline: bool,
}

impl Farm {
    /// Returns the daemons of `options`, which fetch packages from these mirrors; with `offline` they are never asked.
    ///
    /// # Errors
    /// Options that cannot work.
    pub fn new(options: &Options, mirrors: Mirrors, offline: bool) -> Result<Self, Error> {
        options.check()?;
        Ok(Self::with(daemon::all(options)?, options.worker.clone(), mirrors, offline))
    }

    /// Returns a farm of these daemons.
    pub fn with(daemons: Vec<Box<dyn Daemon>>, worker: Worker, mirrors: Mirrors, offline: bool) -> Self {
        let private = mirrors.private.keys().cloned().collect();
        let mut mirrors = mirrors;
        for all in mirrors.by_archive.values_mut() {
            // What only this machine can read counts only where there is nothing else: then it is said.
            if all.iter().any(|uri| uri.starts_with("http")) {
                all.retain(|uri| uri.starts_with("http"));
            }
        }
        Self {
            team: Team::new(daemons),
            worker,
            mirrors,
            routes: Mutex::default(),
            private,
            exported: Mutex::default(),
            large: Mutex::new(()),
            offline,
        }
    }

    /// Returns whether a layer is made here and its packages are opened here: daemons have neither the spec's directory
    /// nor this machine's logins.
    pub fn is_made_here(&self, share: &PlatformLock, layer: &str) -> bool {
        let own = |package: &LockedPackage| package.local_path().is_some() || self.private.contains(&package.archive);
        share.packages.iter().any(|package| package.layer == layer && own(package))
    }

    /// Returns what is worth saying of the daemons: those that were lost, where others did their work.
    pub fn warnings(&self) -> Vec<Warning> {
        let warning = |reason: String| Warning {
            code: "engine::daemon-lost",
            message: format!("a daemon was lost, and its work went to the others: {reason}"),
            hints: Vec::new(),
        };
        self.team.gone().into_iter().map(warning).collect()
    }

    /// Returns the indexes of the packages that are not opened here, by name: found in the store, or asked for.
    fn open(&self, input: &BuildInput<'_>, platform: Platform) -> Result<BTreeMap<String, PackIndex>, Error> {
        let store = input.store;
        let share = input.lock.platform.get(platform.oci());
        let share = share.ok_or_else(|| local::Error::Platform(platform.oci().to_owned()))?;
        let there: Vec<&LockedPackage> =
            share.packages.iter().filter(|package| !self.is_made_here(share, &package.layer)).collect();
        let known = |package: &&LockedPackage| {
            local::stored_pack(store, &pack_key(&package.digest)).or_else(|| receive::known(store, package))
        };
        let found: Vec<Option<PackIndex>> = input.workers.pool.install(|| there.par_iter().map(known).collect());
        let mut indexes = BTreeMap::new();
        let mut wanted = BTreeSet::new();
        for (package, index) in there.iter().zip(found) {
            match index {
                Some(index) => {
                    indexes.insert(package.name.clone(), index);
                }
                None => {
                    wanted.insert(package.layer.as_str());
                }
            }
        }
        let Some(first) = wanted.first() else { return Ok(indexes) };
        let groups: Vec<LayerGroup> = graph::groups(platform, share)
            .into_iter()
            .filter(|group| group.layers.iter().any(|layer| wanted.contains(layer.as_str())))
            .collect();
        self.reach(|| format!("the packages of layer `{first}`"))?;
        let packages = groups.iter().map(|group| group.packages(share).len() as u64);
        input.progress.start("open", packages.sum());
        let what = |groups: &[&LayerGroup]| {
            let layers = groups.iter().flat_map(|group| &group.layers).map(String::as_str);
            format!("open the packages of {}", listed(layers))
        };
        let opened =
            self.team.run(&groups, &|group| key(platform, &group.layers[0]), &what, &|daemon, groups, stop| {
                let own: Vec<LayerGroup> = groups.iter().map(|group| (*group).clone()).collect();
                let done = |vertex: &Vertex| {
                    let group = own.iter().find(|group| opens(vertex, group));
                    input.progress.advance("open", group.map_or(0, |group| group.packages(share).len() as u64));
                };
                let limits = receive::limits_of_indexes(&own, share);
                let job = Job { input, platform, daemon, is_whole: false, limits, stop, done: &done };
                let room = self.solve(&job, &|input| graph::opens(input, &own))?;
                let packages = own.iter().enumerate().flat_map(|(number, group)| {
                    let directory = room.path().join(number.to_string());
                    group.packages(share).into_iter().map(move |package| (directory.join(&package.name), package))
                });
                let packages: Vec<_> = packages.collect();
                let take = |(path, package): &(PathBuf, &LockedPackage)| {
                    let index = receive::index(store, path, package, daemon.address(), &self.large)?;
                    Ok((package.name.clone(), index))
                };
                let all: Vec<_> = input.workers.pool.install(|| packages.par_iter().map(take).collect());
                // Of several errors always the first.
                all.into_iter().collect::<Result<Vec<_>, Error>>()
            });
        input.progress.finish("open");
        // Of a package that was opened here meanwhile, what is known here counts.
        for (name, index) in opened? {
            indexes.entry(name).or_insert(index);
        }
        Ok(indexes)
    }

    /// Brings the layers of these plans into the store, each made by the daemon that opened its packages.
    fn layers(
        &self,
        input: &BuildInput<'_>,
        platform: Platform,
        plans: &[(usize, &LayerPlan)],
    ) -> Result<Vec<(usize, Layer)>, Error> {
        let Some((_, first)) = plans.first() else { return Ok(Vec::new()) };
        self.reach(|| format!("layer `{}`", first.name))?;
        let compression = input.spec.layers.compression;
        let mut sizes = BTreeMap::new();
        for (_, plan) in plans {
            sizes.insert(plan.name.as_str(), layer::tar_size(plan).map_err(local::Error::from)?);
        }
        let share = input.lock.platform.get(platform.oci());
        let groups = share.map(|share| graph::groups(platform, share)).unwrap_or_default();
        let group_of = |plan: &LayerPlan| {
            let group = groups.iter().find(|group| group.layers.contains(&plan.name));
            key(platform, group.map_or(plan.name.as_str(), |group| group.layers[0].as_str()))
        };
        input.progress.start("layer", sizes.values().sum());
        let what = |plans: &[&(usize, &LayerPlan)]| {
            format!("write {}", listed(plans.iter().map(|(_, plan)| plan.name.as_str())))
        };
        let made = self.team.run(plans, &|(_, plan)| group_of(plan), &what, &|daemon, plans, stop| {
            let done = |vertex: &Vertex| {
                let layer = vertex.name.strip_prefix("layer ").and_then(|name| sizes.get(name));
                input.progress.advance("layer", layer.copied().unwrap_or(0));
            };
            let mut made = Vec::new();
            // A cache takes the place of the one before: what it is to hold is asked for at once.
            let exports = daemon.exports();
            let mut earlier = Vec::new();
            if exports {
                earlier = self.exported(daemon);
            }
            for plans in portions(plans, if exports { MAX_GRAPH } else { MAX_PLANS }) {
                let planned =
                    plans.iter().map(|((_, plan), bytes)| Planned { platform, layer: &plan.name, plan: bytes });
                let more = earlier.iter().map(|one: &Exported| Planned {
                    platform: one.platform,
                    layer: &one.layer,
                    plan: &one.plan,
                });
                let planned: Vec<Planned<'_>> = planned.chain(more).collect();
                let tars = plans.iter().filter_map(|((_, plan), _)| sizes.get(plan.name.as_str()).copied());
                let limits = receive::limits_of_layers(tars.chain(earlier.iter().map(|one| one.tar)), exports);
                let job = Job { input, platform, daemon, is_whole: true, limits, stop, done: &done };
                let lower = if exports { graph::layers_and_indexes } else { graph::layers };
                let room = self.solve(&job, &|input| lower(input, &planned)).map_err(|error| match error {
                    Error::Daemon(buildkit::Error::Solve { address, message, .. }) if is_too_large(&message) => {
                        Error::TooLarge {
                            subject: listed(planned.iter().map(|planned| planned.layer)),
                            bytes: planned.iter().map(|planned| planned.plan.len() as u64).sum(),
                            address,
                        }
                    }
                    other => other,
                })?;
                let take = |(place, ((number, plan), _)): (usize, &(&(usize, &LayerPlan), Vec<u8>))| {
                    let directory = room.path().join(place.to_string());
                    let layer = receive::layer(input.store, plan, compression, &directory, daemon.address())?;
                    Ok((*number, layer))
                };
                let layers: Vec<_> = input.workers.pool.install(|| plans.par_iter().enumerate().map(take).collect());
                made.extend(layers.into_iter().collect::<Result<Vec<_>, Error>>()?);
                if exports {
                    let now = plans.into_iter().map(|((_, plan), bytes)| Exported {
                        platform,
                        layer: plan.name.clone(),
                        plan: bytes,
                        tar: sizes.get(plan.name.as_str()).copied().unwrap_or(0),
                    });
                    earlier.extend(now);
                }
            }
            if exports {
                let mut exported = self.exported.lock().expect("nobody panics while a plan is noted");
                exported.insert(daemon.address().to_owned(), earlier);
            }
            Ok(made)
        });
        input.progress.finish("layer");
        made
    }

    /// Returns what a daemon's caches hold of this build so far.
    fn exported(&self, daemon: &dyn Daemon) -> Vec<Exported> {
        let exported = self.exported.lock().expect("nobody panics while a plan is noted");
        exported.get(daemon.address()).cloned().unwrap_or_default()
    }

    /// Refuses to ask anybody where no network may be used.
    fn reach(&self, what: impl FnOnce() -> String) -> Result<(), Error> {
        if self.offline { Err(Error::Offline { what: what() }) } else { Ok(()) }
    }

    /// Has a daemon solve a graph, and returns the directory that holds the result until it is dropped. Where a mirror does
    /// not give a package, the next one of its archive is asked.
    fn solve(
        &self,
        job: &Job<'_>,
        lower: &dyn Fn(&graph::Input<'_>) -> Result<Definition, graph::Error>,
    ) -> Result<TemporaryDirectory, Error> {
        let mut first = None;
        loop {
            let Route { mirrors, in_vain, .. } = self.route(job.daemon, |route| route.clone());
            let platforms = [job.platform];
            let definition = lower(&graph::Input {
                spec: job.input.spec,
                lock: job.input.lock,
                platforms: &platforms,
                mirrors: &mirrors,
                worker: &self.worker,
                context: graph::Context::default(),
                in_vain: &in_vain,
                told: None,
            })?;
            let vertices = definition.vertices();
            let room = job.input.store.temporary_directory()?;
            let mut running = BTreeSet::new();
            let Err(error) = job.solve(&definition, &vertices, room.path(), &mut running) else { return Ok(room) };
            let archive = vertex_of(&vertices, &error).and_then(|vertex| job.package(vertex)).map(|one| &one.archive);
            let stalled = matches!(error, buildkit::Error::Stalled { .. });
            let running = if stalled { running } else { BTreeSet::new() };
            let running = running.iter().filter_map(|vertex| job.package(vertices.get(vertex)?));
            let next = |archive: &String| {
                self.route(job.daemon, |route| {
                    route.next_mirror(archive, stalled, running.map(|package| package.digest))
                })
            };
            match archive {
                Some(archive) if next(archive) => {
                    job.input.progress.step(&format!("{error}; the next mirror of `{archive}` is asked"));
                    if !stalled {
                        first.get_or_insert_with(|| failed(&vertices, error));
                    }
                }
                // That a mirror hangs which was known to says less than why another one was left.
                _ => return Err(first.filter(|_| stalled).unwrap_or_else(|| failed(&vertices, error))),
            }
        }
    }

    /// Calls `work` with where a daemon gets packages from.
    fn route<T>(&self, daemon: &dyn Daemon, work: impl FnOnce(&mut Route) -> T) -> T {
        let mut routes = self.routes.lock().expect("nobody panics while a mirror is left out");
        let new = || Route { mirrors: self.mirrors.clone(), hung: BTreeSet::new(), in_vain: BTreeMap::new() };
        work(routes.entry(daemon.address().to_owned()).or_insert_with(new))
    }
}

impl Remote for Farm {
    fn select(&self, input: &BuildInput<'_>, platform: Platform) -> Result<Selected, local::Error> {
        let given = self.open(input, platform)?;
        local::select_of(input, platform, Packs::of_indexes(input, platform, given)?)
    }

    fn write(&self, input: &BuildInput<'_>, platform: Platform, selected: &Selected) -> Result<Image, local::Error> {
        let share = input.lock.platform.get(platform.oci());
        let share = share.ok_or_else(|| local::Error::Platform(platform.oci().to_owned()))?;
        let compression = input.spec.layers.compression;
        let (mut layers, mut here, mut there) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (number, plan) in selected.plans().enumerate() {
            let is_of_lock = share.layers.contains(&plan.name);
            match local::known_layer(input.store, plan, compression)? {
                Some(layer) => {
                    layers.insert(number, layer);
                }
                None if is_of_lock && !self.is_made_here(share, &plan.name) => there.push((number, plan)),
                None => here.push((number, plan)),
            }
        }
        let plans: Vec<&LayerPlan> = here.iter().map(|(_, plan)| *plan).collect();
        let written = local::write_layers(input, &plans, &|key| selected.packs.data(input.store, key))?;
        layers.extend(here.iter().map(|(number, _)| *number).zip(written));
        layers.extend(self.layers(input, platform, &there)?);
        selected.image(input.spec, input.lock, platform, layers.into_values().collect())
    }
}

/// Names layers, the first few of many.
fn listed<'a>(layers: impl Iterator<Item = &'a str>) -> String {
    /// How many are named.
    const NAMED: usize = 3;
    let all: Vec<String> = layers.map(|layer| format!("`{layer}`")).collect();
    let word = if all.len() == 1 { "layer" } else { "layers" };
    match all.len().saturating_sub(NAMED) {
        0 => format!("{word} {}", all.join(", ")),
        more => format!("{word} {} and {more} more", all[..NAMED].join(", ")),
    }
}

/// Returns what a layer's share is told by.
fn key(platform: Platform, layer: &str) -> String {
    format!("{} {layer}", platform.oci())
}

/// Returns whether an operation opens the packages of a group.
fn opens(vertex: &Vertex, group: &LayerGroup) -> bool {
    let layers = vertex.name.strip_prefix("open ").and_then(|name| name.split_once(": "));
    layers.is_some_and(|(layers, _)| layers == group.layers.join(", "))
}

/// Numbered plans with their bytes, for one graph.
type Portion<'p, P> = Vec<(&'p (usize, P), Vec<u8>)>;

/// Puts plans together, at most this many bytes of them unless one alone has more, each with its bytes.
fn portions<'p, P: Borrow<LayerPlan>>(plans: &[&'p (usize, P)], most: usize) -> Vec<Portion<'p, P>> {
    let mut portions: Vec<Vec<_>> = Vec::new();
    let mut left = 0;
    for plan in plans {
        let bytes = plan.1.borrow().to_bytes();
        if portions.is_empty() || bytes.len() > left {
            portions.push(Vec::new());
            left = most;
        }
        left = left.saturating_sub(bytes.len());
        portions.last_mut().expect("one was put there").push((*plan, bytes));
    }
    portions
}

/// Returns the operation that an error is about.
fn vertex_of<'v>(vertices: &BTreeMap<Digest, &'v Vertex>, error: &buildkit::Error) -> Option<&'v Vertex> {
    let digest: Digest = error.failure()?.vertex.parse().ok()?;
    vertices.get(&digest).copied()
}

/// Returns a daemon's error as one about what the operation is for.
fn failed(vertices: &BTreeMap<Digest, &Vertex>, error: buildkit::Error) -> Error {
    let vertex = vertex_of(vertices, &error).cloned();
    let (Some(vertex), buildkit::Error::Solve { address, message, failure: Some(failure), .. }) = (vertex, &error)
    else {
        return Error::Daemon(error);
    };
    if share::is_stumble(&error) {
        return Error::Daemon(error);
    }
    let said = |word: &str| {
        let lines = failure.log.iter().filter_map(|line| line.trim().strip_prefix(word));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let hints = said("hint: ");
    // What the worker says, as `cli::render` writes it; else the last that anybody said.
    let last = failure.log.iter().rev().find(|line| !line.trim().is_empty());
    let own = said("error: ").into_iter().next().or_else(|| last.cloned());
    let problem = match own {
        Some(own) => format!("{own} ({message})"),
        None => message.clone(),
    };
    Error::Operation { verb: verb(&vertex), subject: vertex.subject, address: address.clone(), problem, hints }
}

/// Returns whether a daemon did not take a graph for its size.
fn is_too_large(message: &str) -> bool {
    message.contains("received message larger than max") || message.contains("message size too large")
}

/// Returns what an operation does with its subject.
fn verb(vertex: &Vertex) -> &'static str {
    match vertex.subject.as_str() {
        "the worker" => "fetch",
        package if package.starts_with("package `") => "fetch",
        packages if packages.starts_with("the packages of ") => "open",
        layer if layer.starts_with("layer `") => "write",
        _ => "make",
    }
}
