//! `check`: checks a spec and its lock without building.

use std::path::Path;

use crate::diag::{Problems, Warning};
use crate::engine::local::{self, Selected};
use crate::layer::Workers;
use crate::select::{self, Forgotten, Report, Suggestion};
use crate::spec::{Platform, Spec};

use super::build::{hints, unhandled, unmatched};
use super::lock::stale;
use super::prove::{Proof, prove};
use super::{Error, Project, World, fetch, shown};

/// What `check` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Prove the lock against the signed archives.
    pub proof: bool,
    /// Which of the lock's platforms; all where empty.
    pub platforms: Vec<Platform>,
    /// Which variant of the spec; none for the spec itself.
    pub variant: Option<String>,
}

/// What `check` found; what is wrong is an error instead.
#[derive(Debug)]
pub struct CheckOutcome {
    /// Locked packages over all platforms checked; `None` where there is no lock.
    pub packages: Option<usize>,
    /// Whether the lock was proved.
    pub proved: bool,
    /// By platform, what selection has to say: classes dropped, scripts unhandled, notes.
    pub reports: Vec<(Platform, Report)>,
    /// By platform, what kept files name and the image does not hold.
    pub suggestions: Vec<(Platform, Vec<Suggestion>)>,
    /// By platform, what slices forget.
    pub forgotten: Vec<(Platform, Vec<Forgotten>)>,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Checks the spec at `path`, and its lock where there is one: that it fits, that its packages open and go together,
/// and, where asked, that the signed archives say the same.
///
/// # Errors
/// Whatever would stop a build. A stale lock and a contradicted one are a "no".
pub fn check(world: &World<'_>, path: &Path, options: &CheckOptions) -> Result<CheckOutcome, Problems> {
    let project = Project::read(path, options.variant.as_deref())?;
    let mut outcome = CheckOutcome {
        packages: None,
        proved: false,
        reports: Vec::new(),
        suggestions: Vec::new(),
        forgotten: Vec::new(),
        warnings: Vec::new(),
    };
    let lock = match &project.lock {
        Some(lock) => lock,
        None if options.proof || project.whole.is_some() => project.locked()?,
        None => {
            outcome.warnings.push(Warning {
                code: "lock::absent",
                message: format!("there is no `{}`: only the spec was checked", shown(&project.lock_path)),
                hints: vec![format!("`tarsia lock {}` writes it", shown(path))],
            });
            return Ok(outcome);
        }
    };
    let reasons = stale(&project)?;
    if !reasons.is_empty() {
        return Err(Error::Stale { path: shown(&project.lock_path), reasons }.into());
    }
    if options.proof {
        match prove(world, &project)? {
            Proof::Proved => outcome.proved = true,
            Proof::Missing(missing) => {
                return Err(Error::Unproved { path: shown(&project.lock_path), missing }.into());
            }
            Proof::Contradicted(contradictions) => {
                let path = shown(&project.lock_path);
                return Err(Error::Contradicted { path, contradictions, asked: true }.into());
            }
        }
    }
    let asked =
        |name: &str| options.platforms.is_empty() || options.platforms.iter().any(|platform| platform.oci() == name);
    fetch::locked_inputs(world, &project, lock, &asked)?;
    let workers = Workers::new(world.threads, world.memory)?;
    let input = local::BuildInput {
        spec: &project.spec,
        lock,
        platforms: &options.platforms,
        store: world.store,
        workers: &workers,
        directory: &project.directory,
        progress: world.progress,
        remote: None,
    };
    let mut packages = 0;
    for (name, held) in &lock.platform {
        let platform = Platform::from_oci(name).ok_or_else(|| Error::NoPlatform {
            platform: name.clone(),
            held: lock.platform.keys().cloned().collect(),
        })?;
        if !options.platforms.is_empty() && !options.platforms.contains(&platform) {
            continue;
        }
        packages += held.packages.len();
        let selected = local::select(&input, platform)?;
        outcome.warnings.extend(unhandled(&selected.selection.report));
        outcome.warnings.extend(hints(&selected.selection.report));
        let packs = selected.packs.indexes();
        outcome.suggestions.push((platform, select::suggestions(&selected.selection, packs)));
        let forgotten = forgotten(&project.spec, &selected, platform);
        outcome.warnings.extend(forgotten.iter().map(|one| {
            Warning {
                code: "slices::forgotten",
                message: one.to_string(),
                hints: one
                    .slices
                    .iter()
                    .map(|slice| format!("add `{slice}` to its `essential`, or to `packages`"))
                    .take(3)
                    .collect(),
            }
        }));
        outcome.forgotten.push((platform, forgotten));
        outcome.reports.push((platform, selected.selection.report));
    }
    outcome.warnings.extend(unmatched(outcome.reports.iter().map(|(_, report)| report)));
    outcome.packages = Some(packages);
    outcome.warnings.extend(world.store.take_warnings());
    Ok(outcome)
}

/// Returns what the spec's slices forget.
fn forgotten(spec: &Spec, selected: &Selected, platform: Platform) -> Vec<Forgotten> {
    let asked: Vec<_> = spec.sliced.iter().map(|name| name.value.clone()).collect();
    let slices = &selected.packs.local().slices;
    // What cannot be chosen has stopped selection before.
    select::forgotten(slices, &asked, selected.packs.indexes(), platform.architecture()).unwrap_or_default()
}
