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
mod receive;
mod share;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::buildkit::{self, Address, Event, Tls};
use crate::diag::Warning;
use crate::engine::Remote;
use crate::engine::graph::{self, Worker};
use crate::engine::local::{self, BuildInput, Packs, Selected};
use crate::fetch::Mirrors;
use crate::image::Image;
use crate::layer::{self, Layer};
use crate::llb::Definition;
use crate::lock::{LockedPackage, PlatformLock};
use crate::package::{PackIndex, pack_key};
use crate::select::LayerPlan;
use crate::spec::Platform;

pub use daemon::Daemon;
pub use error::Error;

use share::Team;

/// Which daemons build, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Their addresses; Docker's own where there are none.
    pub addresses: Vec<Address>,
    /// The tarsia that they run.
    pub worker: Worker,
    /// Certificates for those reached by `tcp://`.
    pub tls: Tls,
    /// Caches that they look into, as BuildKit writes them.
    pub cache_from: Vec<String>,
    /// Caches that they write, as BuildKit writes them; `{n}` stands for the daemon's number, the first being 1.
    pub cache_to: Vec<String>,
}

impl Options {
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
    /// Whether this is all that the daemon does for a build, so that its caches are worth writing.
    pub is_whole: bool,
    /// Hears of the solve.
    pub events: &'a (dyn Fn(&Event) + Sync),
    /// Set once nobody waits for the result any more.
    pub stop: &'a AtomicBool,
}

/// Daemons that build together. None is spoken to before there is something for it to do.
pub struct Farm {
    team: Team,
    worker: Worker,
    mirrors: Mirrors,
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
        Self { team: Team::new(daemons), worker, mirrors, offline }
    }

    /// Returns whether a layer is made here and its packages are opened here: daemons have neither the spec's directory
    /// nor this machine's logins.
    pub fn is_made_here(&self, share: &PlatformLock, layer: &str) -> bool {
        let own = |package: &LockedPackage| {
            package.local_path().is_some() || self.mirrors.private.contains_key(&package.archive)
        };
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
        let found: Vec<Option<PackIndex>> =
            input.workers.pool.install(|| there.par_iter().map(known).collect());
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
        let graph = self.graph(input, platform);
        let groups = graph.groups();
        let groups: Vec<_> =
            groups.into_iter().filter(|group| group.layers.iter().any(|layer| wanted.contains(layer.as_str()))).collect();
        let Some(first) = wanted.first() else { return Ok(indexes) };
        self.reach(|| format!("the packages of layer `{first}`"))?;
        let count = groups.iter().map(|group| group.packages.len() as u64).sum();
        input.progress.start("open", count);
        let opened = self.team.run(&groups, &|group| key(platform, &group.layers[0]), &|daemon, groups, stop| {
            let definition = graph.opens(groups)?;
            let done = |name: &str| {
                let group = groups.iter().find(|group| group.is_open(name));
                input.progress.advance("open", group.map_or(0, |group| group.packages.len() as u64));
            };
            let room = solve(input, daemon, &definition, false, stop, &done)?;
            let packages = groups.iter().enumerate().flat_map(|(number, group)| {
                let directory = room.path().join(number.to_string());
                group.packages.iter().map(move |package| (directory.join(&package.name), *package))
            });
            let packages: Vec<_> = packages.collect();
            let take = |(path, package): &(std::path::PathBuf, &LockedPackage)| {
                let index = receive::index(store, path, package, daemon.address())?;
                Ok((package.name.clone(), index))
            };
            input.workers.pool.install(|| packages.par_iter().map(take).collect::<Result<Vec<_>, Error>>())
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
        let graph = self.graph(input, platform);
        let groups = graph.groups();
        let group_of = |plan: &LayerPlan| {
            let group = groups.iter().find(|group| group.layers.contains(&plan.name));
            key(platform, group.map_or(plan.name.as_str(), |group| group.layers[0].as_str()))
        };
        input.progress.start("layer", sizes.values().sum());
        let made = self.team.run(plans, &|(_, plan)| group_of(plan), &|daemon, plans, stop| {
            let own: Vec<&LayerPlan> = plans.iter().map(|(_, plan)| *plan).collect();
            let definition = graph.layers(&own)?;
            let done = |name: &str| {
                let layer = name.strip_prefix("layer ").and_then(|name| sizes.get(name));
                input.progress.advance("layer", layer.copied().unwrap_or(0));
            };
            let room = solve(input, daemon, &definition, true, stop, &done)?;
            let take = |(number, plan): &&(usize, &LayerPlan)| {
                let directory = room.path().join(&plan.name);
                Ok((*number, receive::layer(input.store, plan, compression, &directory, daemon.address())?))
            };
            input.workers.pool.install(|| plans.par_iter().map(take).collect::<Result<Vec<_>, Error>>())
        });
        input.progress.finish("layer");
        made
    }

    /// Refuses to ask anybody where no network may be used.
    fn reach(&self, what: impl FnOnce() -> String) -> Result<(), Error> {
        if self.offline { Err(Error::Offline { what: what() }) } else { Ok(()) }
    }

    fn graph<'a>(&'a self, input: &BuildInput<'a>, platform: Platform) -> graph::Lowering<'a> {
        todo!()
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

/// Returns what a layer's share is told by.
fn key(platform: Platform, layer: &str) -> String {
    format!("{} {layer}", platform.oci())
}

/// Has a daemon solve a graph, and returns the directory that holds the result until it is dropped. `done` hears of each
/// operation that is over by its name.
fn solve(
    input: &BuildInput<'_>,
    daemon: &dyn Daemon,
    definition: &Definition,
    is_whole: bool,
    stop: &AtomicBool,
    done: &(dyn Fn(&str) + Sync),
) -> Result<crate::store::TemporaryDirectory, Error> {
    let room = input.store.temporary_directory()?;
    let vertices = definition.vertices();
    let over: Mutex<BTreeSet<String>> = Mutex::default();
    let events = |event: &Event| {
        todo!()
    };
    let ask = Ask { definition, directory: room.path(), is_whole, events: &events, stop };
    daemon.solve(&ask).map_err(|error| failed(&vertices, error))?;
    Ok(room)
}
