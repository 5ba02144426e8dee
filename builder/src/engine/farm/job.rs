//! One solve of a daemon, and where that daemon gets packages from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use super::{Ask, Daemon};
use crate::buildkit::{self, Event, Limits, Stop};
use crate::digest::Digest;
use crate::engine::graph;
use crate::engine::local::BuildInput;
use crate::fetch::Mirrors;
use crate::llb::{Definition, Vertex};
use crate::lock::LockedPackage;
use crate::spec::Platform;

/// Where one daemon gets packages from: a mirror that is dead to it may be alive to another.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) mirrors: Mirrors,
    /// Archives, and mirrors of them that hung.
    pub(super) hung: BTreeSet<(String, String)>,
    /// Packages that hung, and how often: see [`graph::Input::in_vain`].
    pub(super) in_vain: BTreeMap<Digest, u32>,
}

impl Route {
    /// Leaves out the mirror of an archive that is asked first; one that hangs is put behind the others, and these packages
    /// may still hang there. Returns whether there is one that did not hang.
    pub(super) fn next_mirror(&mut self, archive: &str, hangs: bool, packages: impl Iterator<Item = Digest>) -> bool {
        let Some(all) = self.mirrors.by_archive.get_mut(archive).filter(|all| all.len() > 1) else { return false };
        if !hangs {
            all.remove(0);
            return true;
        }
        packages.for_each(|package| *self.in_vain.entry(package).or_default() += 1);
        self.hung.insert((archive.to_owned(), all[0].clone()));
        all.rotate_left(1);
        all.iter().any(|uri| !self.hung.contains(&(archive.to_owned(), uri.clone())))
    }
}

/// As many bytes as a worker is taken to have.
const WORKER: u64 = 32 << 20;

/// One solve of a daemon.
pub(super) struct Job<'a> {
    pub(super) input: &'a BuildInput<'a>,
    pub(super) platform: Platform,
    pub(super) daemon: &'a dyn Daemon,
    pub(super) is_whole: bool,
    /// How much may come.
    pub(super) limits: Limits,
    pub(super) stop: &'a Stop,
    /// Hears of each operation that is over.
    pub(super) done: &'a (dyn Fn(&Vertex) + Sync),
}

impl Job<'_> {
    /// Solves a graph; `running` are the operations that began and did not end.
    pub(super) fn solve(
        &self,
        definition: &Definition,
        vertices: &BTreeMap<Digest, &Vertex>,
        directory: &Path,
        running: &mut BTreeSet<Digest>,
    ) -> Result<(), buildkit::Error> {
        /// Operations that are over, and those that run.
        #[derive(Default)]
        struct Told {
            over: BTreeSet<Digest>,
            running: BTreeSet<Digest>,
        }
        let told: Mutex<Told> = Mutex::default();
        let of = |text: &str| {
            let digest: Digest = text.parse().ok()?;
            Some((digest, *vertices.get(&digest)?))
        };
        let events = |event: &Event| {
            let (Event::Started { vertex, .. } | Event::Completed { vertex, .. } | Event::Failed { vertex, .. }) =
                event
            else {
                return;
            };
            let Some((digest, vertex)) = of(vertex) else { return };
            let mut told = told.lock().expect("nobody panics while an operation is noted");
            match event {
                Event::Started { .. } => drop(told.running.insert(digest)),
                _ => drop(told.running.remove(&digest)),
            }
            if let Event::Completed { cached, .. } = event
                && told.over.insert(digest)
            {
                let cached = if *cached { ", as it was made before" } else { "" };
                self.input.progress.step(&format!("{}: {}{cached}", self.daemon.address(), vertex.name));
                (self.done)(vertex);
            }
        };
        let Self { is_whole, limits, stop, .. } = *self;
        let downloads = &self.downloads(vertices);
        let solved =
            self.daemon.solve(&Ask { definition, directory, limits, is_whole, downloads, events: &events, stop });
        *running = told.into_inner().expect("nobody panics while an operation is noted").running;
        solved
    }

    /// Returns the operations that fetch something, by digest, and the bytes that each brings, as far as they are known.
    fn downloads(&self, vertices: &BTreeMap<Digest, &Vertex>) -> BTreeMap<String, u64> {
        let sizes: BTreeMap<String, u64> =
            self.packages().map(|package| (graph::fetch_name(package), package.size)).collect();
        let of = |(digest, vertex): (&Digest, &&Vertex)| {
            let is_worker = vertex.name == graph::FETCH_WORKER;
            let size = if is_worker { Some(WORKER) } else { sizes.get(&vertex.name).copied() };
            size.map(|size| (digest.to_string(), size))
        };
        vertices.iter().filter_map(of).collect()
    }

    /// Returns the package that an operation fetches; `None` where it does something else.
    pub(super) fn package(&self, vertex: &Vertex) -> Option<&LockedPackage> {
        self.packages().find(|package| vertex.name == graph::fetch_name(package))
    }

    /// Returns the lock's packages, those of this platform first: where a cache is written, the graph holds others too.
    fn packages(&self) -> impl Iterator<Item = &LockedPackage> {
        let own = self.input.lock.platform.get(self.platform.oci());
        own.into_iter().chain(self.input.lock.platform.values()).flat_map(|share| &share.packages)
    }
}
