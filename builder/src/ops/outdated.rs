//! `outdated`: shows what an update would move.

use std::path::Path;

use crate::diag::{Problems, Warning};
use crate::lock::{self, Move};
use crate::resolve::Update;

use super::lock::{Known, make};
use super::{Project, World};

/// What an update of everything would do.
#[derive(Debug)]
pub struct Outdated {
    /// What would move.
    pub moved: Vec<Move>,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Resolves the spec at `path`, with `variant` on top, against the newest metadata, and writes nothing but the store.
pub fn outdated(world: &World<'_>, path: &Path, variant: Option<&str>) -> Result<Outdated, Problems> {
    let project = Project::read(path, variant)?;
    let previous = project.locked()?.clone();
    let mut warnings = Vec::new();
    let (newest, _) = make(world, &project, &Update::All, &mut Known::default(), &mut warnings)?;
    Ok(Outdated { moved: lock::moved(&previous, &newest), warnings })
}
