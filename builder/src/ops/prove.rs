//! A lock is a claim, and it is proved: every locked package is compared with its stanza in the signed metadata set.

use std::collections::BTreeMap;

use crate::archive::Index;
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::engine::local;
use crate::resolve;
use crate::spec::Platform;
use crate::store::Kind;

use super::metadata::suites;
use super::{Error, Project, World, fetch, shown};

/// How far a lock could be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Every package stands in signed metadata as the lock says.
    Proved,
    /// Some metadata sets can no longer be had; which, and why.
    Missing(Vec<String>),
    /// Signed metadata say otherwise; each with both values.
    Contradicted(Vec<String>),
}

/// Proves a project's lock, or says what is missing for it; remembered in the store by the lock's digest.
///
/// # Errors
/// Metadata that are there and do not verify.
pub fn prove(world: &World<'_>, project: &Project) -> Result<Proof, Problems> {
    let lock = project.locked()?;
    if lock.platform.values().all(|platform| platform.packages.is_empty()) {
        return Ok(Proof::Proved);
    }
    let key = key(project)?;
    if world.store.entry(Kind::Checks, &key).is_some_and(|record| record == b"proved") {
        return Ok(Proof::Proved);
    }
    prove_anew(world, project)
}

/// As [`prove`], whatever is remembered: afterwards the store holds the metadata of every set that can be had.
pub(super) fn prove_anew(world: &World<'_>, project: &Project) -> Result<Proof, Problems> {
    let lock = project.locked()?;
    let suites = suites(project)?;
    let mirrors = fetch::mirrors(world, project, Some(lock.source_date))?;
    let fetcher = fetch::fetcher(world, &mirrors);
    let mut indexes = Vec::new();
    let mut missing = Vec::new();
    world.progress.start("proof", lock.archives.len() as u64);
    for set in &lock.archives {
        let named = format!("{} {} of {}", set.name, set.suite, set.in_release);
        let Some(suite) = suites.iter().find(|suite| suite.archive == set.name && suite.suite == set.suite) else {
            missing.push(format!("{named}: the spec has no such archive"));
            continue;
        };
        match suite.locked(&fetcher, set, world.now)? {
            Ok(index) => indexes.push(index),
            Err(why) => missing.push(format!("{named}: {why}")),
        }
        world.progress.advance("proof", 1);
    }
    world.progress.finish("proof");
    match against(world, project, &indexes)? {
        Proof::Missing(_) if !missing.is_empty() => Ok(Proof::Missing(missing)),
        proof => Ok(proof),
    }
}

/// Proves a project's lock against indexes that are at hand, and remembers a whole proof.
pub(super) fn against(world: &World<'_>, project: &Project, indexes: &[Index]) -> Result<Proof, Problems> {
    let lock = project.locked()?;
    let mut installed = BTreeMap::new();
    for name in lock.platform.keys().filter(|_| project.spec.base.is_some()) {
        let Some(platform) = Platform::from_oci(name) else { continue };
        let base = local::open_base(&project.spec, &project.directory, None, world.store, platform)?;
        let stanzas = base.map(|base| base.index.installed_stanzas()).unwrap_or_default();
        installed.insert(name.clone(), resolve::installed(&stanzas));
    }
    let contradictions: Vec<String> =
        resolve::prove(lock, &project.spec, indexes, &installed).into_iter().map(|found| found.to_string()).collect();
    if !contradictions.is_empty() {
        return Ok(Proof::Contradicted(contradictions));
    }
    let missing: Vec<String> = resolve::unproved(lock, indexes)
        .into_iter()
        .map(|set| format!("{} {} of {} is not whole", set.name, set.suite, set.in_release))
        .collect();
    if !missing.is_empty() {
        return Ok(Proof::Missing(missing));
    }
    world.store.put_entry(Kind::Checks, &key(project)?, b"proved")?;
    Ok(Proof::Proved)
}

/// A proof holds for this lock, and for the archives and keys that its spec names.
fn key(project: &Project) -> Result<Digest, Problems> {
    let mut text = format!("lock proof 2\n{}\n{}\n", project.lock_digest(), project.spec.digest);
    for archive in project.spec.archives.values() {
        text.push_str(&Digest::of(&project.read_input(&archive.signed_by.value)?).hex());
        text.push('\n');
    }
    Ok(Digest::of(text.as_bytes()))
}

/// Proves a lock for `build`: a gap is a warning, or an error where `required`. Returns whether there is none.
pub(super) fn prove_for_build(
    world: &World<'_>,
    project: &Project,
    required: bool,
    warnings: &mut Vec<Warning>,
) -> Result<bool, Problems> {
    judge(prove(world, project)?, project, required, warnings)
}

/// Takes a proof for what stops, or is said of, work that stands on the lock. Returns whether the lock is proved.
pub(super) fn judge(
    proof: Proof,
    project: &Project,
    required: bool,
    warnings: &mut Vec<Warning>,
) -> Result<bool, Problems> {
    match proof {
        Proof::Proved => Ok(true),
        Proof::Contradicted(contradictions) => {
            Err(Error::Contradicted { path: shown(&project.lock_path), contradictions, asked: false }.into())
        }
        Proof::Missing(missing) if required => Err(Error::Unproved { path: shown(&project.lock_path), missing }.into()),
        Proof::Missing(missing) => {
            warnings.push(Warning {
                code: "lock::unproved",
                message: format!("archive chain not proved: {}", missing.join("; ")),
                hints: vec!["`--require-proof` makes this an error".to_owned()],
            });
            Ok(false)
        }
    }
}
