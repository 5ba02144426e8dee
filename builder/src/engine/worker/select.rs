//! Selects.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::broken;
use super::files::{MAX_DOCUMENT, Output, is_name, names, read};
use super::{Contract, Job, PLAN, read_base, read_local};
use crate::diag::Problems;
use crate::engine::local::{Packs, Selected};
use crate::package::PackIndex;
use crate::spec::Platform;

/// What selection reads, as it is mounted.
#[derive(Debug, Clone, Copy)]
pub struct Indexes<'a> {
    /// One directory for each operation that opened packages, by whatever name; in it an index by package.
    pub packages: &'a Path,
    /// The index of the spec's own files; need not be there where the spec has none.
    pub local: &'a Path,
    /// The index of the base; need not be there where the spec has none.
    pub base: &'a Path,
}

/// Selects what is kept of the job's packages, and writes the plan of every layer of the lock, of `state` and of
/// `files` to `plans/LAYER/plan`, also where it is empty. A plan has nothing in it about other layers.
///
/// # Errors
/// Indexes that are not those of the lock's packages; whatever stops a selection; an output that cannot be written.
pub fn select(
    contract: Contract,
    (job, platform): (&Path, Platform),
    indexes: Indexes<'_>,
    plans: &Path,
) -> Result<(), Problems> {
    contract.check()?;
    let job = Job::read(job)?;
    let plans = Output::start(plans)?;
    let selected = selected(&job, platform, indexes, plans.scratch())?;
    for plan in &selected.selection.layers {
        plans.write(&format!("{}/{PLAN}", plan.name), &plan.to_bytes())?;
    }
    Ok(plans.commit()?)
}

/// Selects what is kept of a job's packages; `scratch` is a directory that files may be made in.
///
/// # Errors
/// As of [`select()`].
pub fn selected(job: &Job, platform: Platform, indexes: Indexes<'_>, scratch: &Path) -> Result<Selected, Problems> {
    job.platform(platform)?;
    let local = read_local(job, indexes.local, scratch)?;
    let base = read_base(job, platform, indexes.base)?;
    let packs = Packs::new(&job.lock, platform, read_indexes(indexes.packages)?, local, None)?;
    Ok(Selected::of(&job.spec, &job.lock, platform, packs, base)?)
}

/// Reads the indexes of packages that lie, named by package, in the directories below `directory`.
///
/// # Errors
/// What is no index; a package that was opened twice.
pub fn read_indexes(directory: &Path) -> Result<BTreeMap<String, PackIndex>, Problems> {
    let mut all = BTreeMap::new();
    for opened in names(directory, "the indexes")? {
        let opened = directory.join(opened);
        for name in names(&opened, "the indexes")? {
            let what = format!("the index of package `{name}`");
            if !is_name(&name) {
                return Err(broken(what, "no package has such a name").into());
            }
            let bytes = read(&opened.join(&name), MAX_DOCUMENT, &what)?;
            let index = PackIndex::from_bytes(&bytes).map_err(|error| broken(what.as_str(), error.to_string()))?;
            if all.insert(name, index).is_some() {
                return Err(broken(what, "the package was opened twice").into());
            }
        }
    }
    Ok(all)
}
