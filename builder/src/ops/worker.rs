//! `worker`: runs one operation of a build graph over files.
//!
//! All but `assemble` are [`engine::worker`](crate::engine::worker)'s; that one holds the image against the spec's
//! contract and writes the documents, as `build` does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::attest::{BUILDER, SourceRevision};
use crate::canon;
use crate::diag::{Problems, Silent, Warning};
use crate::digest::Digest;
use crate::engine::local::{BuildInput, Built, Selected};
use crate::engine::worker as operations;
use crate::evidence;
use crate::image::{Image, ImageIndex, fill_layout};
use crate::layer::{Layer, Workers, layer_key};
use crate::spec::{Compression, Platform};
use crate::store::Store;

use super::Project;
use super::audit::contract_with;
use super::build::{uncovered, unmatched};
use super::evidence::{Told, contents};

pub use crate::engine::worker::{
    Asked, BaseLayer, Contract, Error, Indexes, Job, Output, context_files, needs_local, open_base, open_local,
    platform_directory, rootfs, select,
};

/// As [`engine::worker::open`](crate::engine::worker::open()), with this many threads and bytes of memory.
///
/// # Errors
/// As there.
pub fn open(
    contract: Contract,
    packages: &[Asked],
    input: &Path,
    outputs: (&Path, &Path),
    (threads, memory): (usize, u64),
) -> Result<(), Problems> {
    Ok(operations::open(contract, packages, input, outputs, &Workers::new(threads, memory)?)?)
}

/// As [`engine::worker::layer`](crate::engine::worker::layer()), with this many threads and bytes of memory.
///
/// # Errors
/// As there.
pub fn layer(
    contract: Contract,
    compression: Compression,
    inputs: (&Path, &Path),
    out: &Path,
    (threads, memory): (usize, u64),
) -> Result<(), Problems> {
    Ok(operations::layer(contract, compression, inputs, out, &Workers::new(threads, memory)?)?)
}

/// The most bytes of [`Said`].
const MAX_SAID: u64 = 1 << 20;

/// What the documents say that is neither in the spec nor in its lock: JSON, keys in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Whether whoever made the graph has proved the lock.
    pub proved: bool,
    /// The checkout's revision as `[URI@]COMMIT`, where it is to be told.
    pub source: Option<String>,
}

impl Said {
    /// Returns the bytes of the file `told`.
    pub fn to_bytes(&self) -> Vec<u8> {
        canon::ordered(self)
    }

    /// Returns what is said of a revision.
    pub fn of(proved: bool, source: Option<&SourceRevision>) -> Self {
        let text = |source: &SourceRevision| match &source.uri {
            Some(uri) => format!("{uri}@{}", source.commit),
            None => source.commit.clone(),
        };
        Self { proved, source: source.map(text) }
    }

    fn read(directory: &Path) -> Result<Self, Problems> {
        let path = directory.join("told");
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = operations::read_document(&path, MAX_SAID, "what is told")?;
        let said = serde_json::from_slice(&bytes);
        said.map_err(|error| operations::broken("what is told", error.to_string()).into())
    }

    fn revision(&self) -> Result<Option<SourceRevision>, Problems> {
        let parse =
            |text: &String| SourceRevision::parse(text).map_err(|problem| operations::broken("what is told", problem));
        Ok(self.source.as_ref().map(parse).transpose()?)
    }
}

/// What `assemble` reads, as it is mounted; below each, one directory per platform (`linux-amd64`) where it says so.
#[derive(Debug, Clone, Copy)]
pub struct Assembly<'a> {
    /// The job.
    pub job: &'a Path,
    /// By platform, what [`Indexes::packages`] is of one.
    pub indexes: &'a Path,
    /// The index of the spec's own files.
    pub local: &'a Path,
    /// By platform, the index of the base.
    pub base: &'a Path,
    /// By platform, the base's layers: what `open-base` wrote to `data/base`.
    pub blobs: &'a Path,
    /// By platform and layer, what `layer` wrote.
    pub layers: &'a Path,
    /// What stands beneath the spec's directory.
    pub context: &'a Path,
    /// Holds the file `told`, a [`Said`]; need not be there, and then the lock was not proved.
    pub told: &'a Path,
    /// Threads that work; 0 for one per core.
    pub threads: usize,
    /// Bytes that work may hold.
    pub memory: u64,
}

/// Writes the image of a job to `oci`, as `build` writes a layout, and its documents to `evidence`; returns the image's
/// digest and what is worth saying.
///
/// # Errors
/// A layer that is not the one of its plan, or whose bytes are not its own; an image that breaks the spec's contract;
/// whatever stops a selection or a document; outputs that cannot be written.
pub fn assemble(
    contract: Contract,
    assembly: &Assembly<'_>,
    (oci, evidence): (&Path, &Path),
) -> Result<(Digest, Vec<Warning>), Problems> {
    contract.check()?;
    let job = Job::read(assembly.job)?;
    let said = Said::read(assembly.told)?;
    let revision = said.revision()?;
    let (oci, documents) = (Output::start(oci)?, Output::start(evidence)?);
    let workers = Workers::new(assembly.threads, assembly.memory)?;
    // Documents are made by way of a store; layers are read where they are mounted.
    let store = Store::private(documents.scratch())?;
    let mut blobs = BTreeMap::new();
    let (mut images, mut reports, mut selections, mut sources) =
        (Vec::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
    for &platform in &job.platforms {
        let below = platform_directory(platform);
        let indexes = Indexes {
            packages: &assembly.indexes.join(&below),
            local: assembly.local,
            base: &assembly.base.join(&below),
        };
        let selected = operations::selected(&job, platform, indexes, documents.scratch())?;
        images.push(image(&job, platform, &selected, assembly, &mut blobs)?);
        reports.insert(platform, selected.selection.report.clone());
        // The same for every platform.
        sources.clone_from(&selected.packs.local().sources);
        selections.insert(platform, Some(selected));
    }
    let built = Built { image: ImageIndex::new(images)?, selected: selections, reports, sources };
    let Job { spec, spec_text, lock, lock_text, platforms } = job;
    let project = Project {
        spec,
        spec_text,
        directory: if assembly.context.is_dir() { assembly.context } else { documents.scratch() }.to_owned(),
        lock_path: "lock.toml".into(),
        lock: Some(lock.clone()),
        whole: Some(lock.clone()),
        lock_text: Some(lock_text),
    };
    let input = BuildInput {
        spec: &project.spec,
        lock: &lock,
        platforms: &platforms,
        store: &store,
        workers: &workers,
        directory: &project.directory,
        progress: &Silent,
        remote: None,
    };
    let give = |digest: &Digest| blobs.get(digest).map(File::try_clone).transpose();
    let mut warnings: Vec<Warning> =
        uncovered(Path::new(&project.spec.name), built.reports.values()).into_iter().collect();
    warnings.extend(unmatched(built.reports.values()));
    contract_with(&input, &project.spec.name, &built, &give, &mut warnings)?;
    // Where nothing is taken from an archive, there is nothing to prove.
    let told = Told { proved: said.proved || lock.archives.is_empty(), source: revision.as_ref(), builder: BUILDER };
    let contents = contents(&project, &input, &built, &told)?;
    let stored = |digest: &Digest| store.blob(digest).map_err(io::Error::other);
    evidence::fill(&contents, &stored, &documents.path(""), evidence)?;
    fill_layout(&built.image, &[].into(), &give, &oci.path(""), Path::new("oci"))?;
    warnings.extend(store.take_warnings());
    drop(store);
    Output::commit_all([oci, documents])?;
    Ok((built.digest(), warnings))
}

/// Returns one platform's image of the layers that are mounted, whose files `blobs` takes.
fn image(
    job: &Job,
    platform: Platform,
    selected: &Selected,
    assembly: &Assembly<'_>,
    blobs: &mut BTreeMap<Digest, File>,
) -> Result<Image, Problems> {
    let below = platform_directory(platform);
    if let Some(base) = &selected.base {
        for (number, layer) in base.config.layers.iter().enumerate() {
            let what = format!("layer {number} of the base for {}", platform.oci());
            let path = assembly.blobs.join(&below).join(layer.digest.hex());
            blobs.insert(layer.digest, operations::blob(&path, &what, layer.digest, layer.size)?);
        }
    }
    let mut layers: Vec<Layer> = Vec::new();
    let compression: Compression = job.spec.layers.compression;
    for plan in &selected.selection.layers {
        let what = format!("layer `{}` of {}", plan.name, platform.oci());
        let directory = assembly.layers.join(&below).join(&plan.name);
        let expected = layer_key(plan, compression);
        let (record, blob) = operations::read_layer(&directory, &what)?;
        if record.plan != expected || record.layer.is_none() != plan.is_empty() {
            let (name, platform, found) = (plan.name.clone(), platform.oci().to_owned(), record.plan);
            return Err(Error::OtherPlan { name, platform, found, expected }.into());
        }
        if let (Some(layer), Some(blob)) = (record.layer, blob) {
            if layer.compression != compression {
                return Err(operations::broken(what, "it is encoded in another way than the spec says").into());
            }
            blobs.insert(layer.digest, blob);
            layers.push(layer);
        }
    }
    Ok(selected.image(&job.spec, &job.lock, platform, layers)?)
}
