//! What BuildKit's gateway asks of us: `docker build -f web.yaml`.
//!
//! In: what the client asks for, and a way to BuildKit ([`Bridge`]). Out: names of results, and what BuildKit is to know of
//! them. The spec and its lock are read from the client, everything else is a graph of operations like that of `tarsia
//! llb`, which BuildKit carries out. Nothing is resolved here and no network is used: a lock that is not there, or does not
//! fit, is refused.

mod bridge;
mod client;
mod error;
mod image;
mod options;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::archive::archives_of;
use crate::buildkit::{Reference, Returned};
use crate::diag::{Diagnose, Problems};
use crate::digest::Digest;
use crate::engine::graph::{self, Worker};
use crate::fetch::Snapshot;
use crate::image::Reference as ImageName;
use crate::llb::{Definition, Vertex};
use crate::lock::Lock;
use crate::spec::{Distro, Platform};

use super::Project;
use super::build::wanted_platforms;
use super::fetch::mirrors_of;
use client::Client;
use options::{Options, Target};

pub use bridge::{Bridge, Refused};
pub use error::Error;
pub use options::CacheImport;

/// Annotation of a manifest that BuildKit writes: the digest of the image with the same content that `tarsia build` gives.
const DIGEST: &str = "tarsia.digest";

/// What a frontend is started with.
#[derive(Debug, Clone, Copy)]
pub struct FrontendInput<'a> {
    /// What the client asks for, by key.
    pub options: &'a BTreeMap<String, String>,
    /// The definition of the image that this frontend is (`frontend.bin`), where BuildKit tells it.
    pub image: Option<&'a [u8]>,
    /// The platform that this frontend runs on: the default of an image that runs.
    pub host: Platform,
    /// An empty directory of our own.
    pub room: &'a Path,
}

/// What a frontend hands back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendOutcome {
    /// The results.
    pub returned: Returned,
    /// What BuildKit and its exporters are to know of them.
    pub metadata: BTreeMap<String, Vec<u8>>,
}

/// Does what the client asks for.
///
/// # Errors
/// What is wrong with the spec or its lock, each with its place; an option that cannot be followed; what BuildKit could not
/// carry out, by the name of the package or layer.
pub fn frontend(bridge: &dyn Bridge, input: &FrontendInput<'_>) -> Result<FrontendOutcome, Problems> {
    let options = Options::read(input.options)?;
    if let Some(request) = &options.request {
        return Ok(requests::answer(request)?);
    }
    let worker = worker(bridge, input.image, options.source.as_deref())?;
    let project = Client::new(bridge, &options, input.room).project(&options)?;
    let build = Build { bridge, options: &options, project: &project, worker: &worker };
    match options.target {
        Target::Image => build.image(input.host),
        Target::Oci => build.files(graph::Target::Oci),
        Target::Evidence => build.files(graph::Target::Evidence),
    }
}

/// Returns the image that this frontend is: it runs the operations as well, so that both are of one release.
fn worker(bridge: &dyn Bridge, image: Option<&[u8]>, source: Option<&str>) -> Result<Worker, Error> {
    let wrong = |problem: String| Error::Worker(problem);
    let text = match (image, source) {
        (Some(bytes), _) => {
            let definition = Definition::parse(bytes).map_err(|error| wrong(error.to_string()))?;
            return Ok(Worker::Definition(definition));
        }
        (None, Some(source)) => {
            let name = ImageName::of_registry(source).map_err(|problem| wrong(format!("`{source}`: {problem}")))?;
            let digest = match name.digest() {
                Some(digest) => digest.to_string(),
                // A tag may move between this answer and the operations: they get what it leads to now.
                None => bridge.resolve(source).map_err(|refused| wrong(format!("`{source}`: {}", refused.message)))?,
            };
            format!("{}@{digest}", name.repository())
        }
        (None, None) => return Err(wrong("BuildKit says neither `frontend.bin` nor `source`".to_owned())),
    };
    Worker::parse(&text).map_err(|error| wrong(error.to_string()))
}

/// One build.
struct Build<'a> {
    bridge: &'a dyn Bridge,
    options: &'a Options,
    project: &'a Project,
    worker: &'a Worker,
}

impl Build<'_> {
    /// Makes the layout, or the documents, that a local build writes.
    fn files(&self, target: graph::Target) -> Result<FrontendOutcome, Problems> {
        let platforms = wanted_platforms(self.project.locked()?, &self.options.platforms)?;
        let (_, result) = self.whole(&platforms, target)?;
        let mut metadata = BTreeMap::new();
        if target == graph::Target::Oci {
            let (digest, _) = image::read(self.bridge, &result, &platforms)?;
            metadata.insert(format!("frontend.{DIGEST}"), digest.to_string().into_bytes());
        }
        Ok(FrontendOutcome { returned: Returned::One(result), metadata })
    }

    /// Makes an image that BuildKit stores, for each platform.
    fn image(&self, host: Platform) -> Result<FrontendOutcome, Problems> {
        let asked = if self.options.platforms.is_empty() { &[host][..] } else { &self.options.platforms };
        let platforms = wanted_platforms(self.project.locked()?, asked)?;
        let (whole, layout) = self.whole(&platforms, graph::Target::Oci)?;
        let (digest, images) = image::read(self.bridge, &layout, &platforms)?;
        let mut metadata = BTreeMap::from([(format!("frontend.{DIGEST}"), digest.to_string().into_bytes())]);
        let mut results = BTreeMap::new();
        for image in &images {
            let result = match image::stacked(&whole, self.worker, image) {
                Some(stacked) => self.solve(&stacked).map_err(|failed| failed.error)?,
                None => Reference::default(),
            };
            let name = image.platform.oci();
            let config = image::labelled(&image.config, &self.options.labels)?;
            let alone = images.len() == 1 && !self.options.list;
            let key = if alone { String::new() } else { format!("/{name}") };
            metadata.insert(format!("containerimage.config{key}"), config);
            let key = if alone { String::new() } else { format!("[{name}]") };
            metadata.insert(format!("annotation-manifest{key}.{DIGEST}"), image.digest.to_string().into_bytes());
            results.insert(name.to_owned(), result);
        }
        let returned = match results.pop_first() {
            Some((_, result)) if results.is_empty() && !self.options.list => Returned::One(result),
            first => {
                metadata.insert("refs.platforms".to_owned(), image::platforms(&images));
                Returned::Platforms(first.into_iter().chain(results).collect())
            }
        };
        Ok(FrontendOutcome { returned, metadata })
    }

    /// Makes an image's layout, or what stands beside it; returns the graph that was solved, too. Where a mirror does not
    /// give a package, the next one of its archive is asked.
    fn whole(&self, platforms: &[Platform], target: graph::Target) -> Result<(Definition, Reference), Problems> {
        let lock = self.project.locked()?;
        // Mirrors of the builder's machine are not known, and those of the client's need not be for it.
        let snapshot = Snapshot::LockedAt(lock.source_date);
        let mut mirrors = mirrors_of(self.project, &self.options.mirrors, &BTreeMap::new(), snapshot)?;
        for all in mirrors.by_archive.values_mut().filter(|all| all.iter().any(|uri| is_http(uri))) {
            all.retain(|uri| is_http(uri));
        }
        // Arguments are shared by specs of which some have no distribution: its archives are no slip.
        let of_distro =
            |name: &str| Distro::ALL.iter().any(|distro| archives_of(*distro).iter().any(|one| one.name == name));
        let named: BTreeSet<&String> =
            self.options.mirrors.iter().filter_map(|mirror| mirror.archive.as_ref()).collect();
        let unknown = named.into_iter().filter(|name| !mirrors.by_archive.contains_key(*name) && !of_distro(name));
        let known: Vec<String> = mirrors.by_archive.keys().cloned().collect();
        let error = |archive: &String| -> Box<dyn Diagnose> {
            Box::new(Error::Archive { archive: archive.clone(), known: known.clone() })
        };
        if let Some(problems) = Problems::from_vec(unknown.map(error).collect()) {
            return Err(problems);
        }
        let (spec, worker) = (&self.project.spec, self.worker);
        let context = graph::Context { name: &self.options.local, directory: self.options.directory() };
        let mut in_vain: BTreeMap<Digest, u32> = BTreeMap::new();
        let mut first = None;
        loop {
            let input = graph::Input {
                spec,
                lock,
                platforms,
                mirrors: &mirrors,
                worker,
                context,
                in_vain: &in_vain,
                told: None,
            };
            let definition = graph::whole(&input, target)?;
            let failed = match self.solve(&definition) {
                Ok(result) => return Ok((definition, result)),
                Err(failed) => failed,
            };
            let archive = failed.vertex.as_ref().and_then(|vertex| archive_of(lock, vertex)).map(str::to_owned);
            let others = archive.as_ref().and_then(|archive| mirrors.by_archive.get_mut(archive));
            match (archive, others.filter(|all| all.len() > 1)) {
                (Some(archive), Some(all)) => {
                    drop(all.remove(0));
                    // All of them failed with the job.
                    let packages = lock.platform.values().flat_map(|share| &share.packages);
                    for package in packages.filter(|package| package.archive == archive) {
                        *in_vain.entry(package.digest).or_default() += 1;
                    }
                    first.get_or_insert(failed.error);
                }
                // What names an operation says more than what names none.
                _ => return Err(first.filter(|_| failed.vertex.is_none()).unwrap_or(failed.error).into()),
            }
        }
    }

    /// Has BuildKit carry out a graph.
    fn solve(&self, definition: &Definition) -> Result<Reference, Failed> {
        let bytes = if self.options.no_cache { definition.uncached().bytes() } else { definition.bytes() };
        self.bridge.solve(&bytes, &self.options.cache_imports).map_err(|refused| {
            let digest = refused.vertex.as_deref().and_then(|text| text.parse::<Digest>().ok());
            let vertex = digest.and_then(|digest| definition.vertices().get(&digest).copied().cloned());
            let what = vertex.as_ref().map_or("the graph", |vertex| vertex.subject.as_str()).to_owned();
            Failed { error: Error::Solve { what, problem: refused.message }, vertex }
        })
    }
}

/// A graph that was not carried out.
struct Failed {
    error: Error,
    /// Which operation it was, where BuildKit says so.
    vertex: Option<Vertex>,
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

/// Returns the archive of the package that an operation fetches; `None` where it does something else.
fn archive_of<'a>(lock: &'a Lock, vertex: &Vertex) -> Option<&'a str> {
    let packages = lock.platform.values().flat_map(|share| &share.packages);
    let mut fetched = packages.filter(|package| vertex.name == graph::fetch_name(package));
    fetched.next().map(|package| package.archive.as_str())
}
