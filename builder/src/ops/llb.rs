//! `llb`: the graph of BuildKit operations that builds a spec.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diag::{Problems, Warning};
use crate::engine::graph::{self, Context, Input};
use crate::llb::Definition;
use crate::lock::Move;
use crate::spec::Platform;
use crate::store::output::Staging;

pub use crate::engine::graph::{Target, Worker};

use super::build::{Revision, refresh, wanted_platforms};
use super::fetch::mirrors;
use super::prove::prove_for_build;
use super::worker::Said;
use super::{Error, Project, World, shown};

/// What `llb` is asked to do.
#[derive(Debug, Clone)]
pub struct LlbOptions {
    /// What the operations run.
    pub worker: Worker,
    /// What the graph ends with.
    pub target: Target,
    /// Write no lock; a stale one is an error.
    pub locked: bool,
    /// A lock that cannot be proved is an error; the documents say that it was. Without it, they say that it was not,
    /// because nobody has tried.
    pub require_proof: bool,
    /// Which of the lock's platforms; all where empty.
    pub platforms: Vec<Platform>,
    /// Which variant of the spec; none for the spec itself.
    pub variant: Option<String>,
    /// The checkout's revision, told in the provenance.
    pub source_revision: Option<Revision>,
}

/// What `llb` did.
#[derive(Debug)]
pub struct LlbOutcome {
    /// The graph.
    pub definition: Definition,
    /// What moved in the lock, where it was renewed.
    pub moved: Vec<Move>,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Returns the graph that builds the spec at `path`, whose bytes are the same for the same lock, mirrors and worker.
///
/// # Errors
/// A lock that is absent or stale and may not be written; a file that BuildKit cannot fetch.
pub fn llb(world: &World<'_>, path: &Path, options: &LlbOptions) -> Result<LlbOutcome, Problems> {
    let mut project = Project::read(path, options.variant.as_deref())?;
    let mut warnings = Vec::new();
    let source = options.source_revision.as_ref().map(|revision| revision.resolve(&project.directory)).transpose()?;
    let moved = refresh(world, path, &mut project, options.locked, &mut warnings)?;
    let lock = project.locked()?;
    wanted_platforms(lock, &options.platforms)?;
    let proved = options.require_proof && prove_for_build(world, &project, true, &mut warnings)?;
    let told = (proved || source.is_some()).then(|| Said::of(proved, source.as_ref()).to_bytes());
    let input = Input {
        spec: &project.spec,
        lock,
        platforms: &options.platforms,
        mirrors: &mirrors(world, &project, Some(lock.source_date))?,
        worker: &options.worker,
        context: Context::default(),
        in_vain: &BTreeMap::new(),
        told: told.as_deref(),
    };
    let definition = graph::whole(&input, options.target)?;
    warnings.extend(world.store.take_warnings());
    Ok(LlbOutcome { definition, moved, warnings })
}

/// Writes a graph to the file at `path`, as a whole or not at all.
///
/// # Errors
/// A place that cannot be written to.
pub fn write_llb(path: &Path, bytes: &[u8]) -> Result<(), Problems> {
    let staging = Staging::file(path)?;
    std::fs::write(staging.path(), bytes).map_err(|source| Error::Write { path: shown(path), source })?;
    Ok(staging.commit()?)
}
