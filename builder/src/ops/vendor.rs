//! `vendor`: writes all inputs of locks into a directory or a tar, from which they build without a network.

use std::path::{Path, PathBuf};

use crate::diag::{Problems, Warning};
use crate::kit::{self, Content, File, blob_path, spec_path};
use crate::lock::Lock;
use crate::spec::Platform;

use super::build::wanted_platforms;
use super::lock::stale;
use super::project::sections;
use super::prove::{judge, prove_anew};
use super::{Error, Project, World, fetch, shown};

/// What `vendor` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct VendorOptions {
    /// Where it goes: a directory, or a tar where it ends in `.tar` or `.tar.zst`; `<name>.vendor` where nothing is said.
    pub output: Option<PathBuf>,
    /// A lock that cannot be proved is an error.
    pub require_proof: bool,
    /// Packages of these platforms alone; of all where empty. Signed metadata are whole all the same, because a lock is
    /// proved as a whole.
    pub platforms: Vec<Platform>,
}

/// What `vendor` did.
#[derive(Debug)]
pub struct VendorOutcome {
    /// Where it stands, as the user would write it.
    pub output: PathBuf,
    /// Files in it, the manifest not counted.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Writes all inputs of the locks of these specs, the specs and what stands beside them: the whole, or nothing.
///
/// What `copy:` entries take is an input of a build and not of a lock: it is left out.
///
/// # Errors
/// No lock, or a stale or contradicted one; an input that cannot be had; the disk.
pub fn vendor(world: &World<'_>, specs: &[PathBuf], options: &VendorOptions) -> Result<VendorOutcome, Problems> {
    let mut warnings = Vec::new();
    let mut files = Vec::new();
    let mut name = String::new();
    for path in specs {
        for variant in sections(path, None)? {
            let project = Project::read(path, variant.as_deref())?;
            gather(world, path, &project, options, &mut files, &mut warnings)?;
            name = project.spec.name;
        }
    }
    let output = match (&options.output, specs.len()) {
        (Some(output), _) => output.clone(),
        (None, 1) => PathBuf::from(format!("{name}.vendor")),
        (None, count) => return Err(Error::NoOutput(count).into()),
    };
    let stored = |digest: &_| world.store.blob(digest).map_err(std::io::Error::other);
    let manifest = kit::write(files, &stored, &output)?;
    let mut paths = std::collections::BTreeMap::new();
    paths.extend(manifest.files.iter().map(|file| (file.path.as_str(), file.size)));
    let (files, bytes) = (paths.len(), paths.values().sum());
    warnings.extend(world.store.take_warnings());
    Ok(VendorOutcome { output, files, bytes, warnings })
}

/// Brings everything that a project's lock names into the store, and lists it.
fn gather(
    world: &World<'_>,
    path: &Path,
    project: &Project,
    options: &VendorOptions,
    files: &mut Vec<(File, Content)>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Problems> {
    let lock = project.locked()?;
    let reasons = stale(project)?;
    if !reasons.is_empty() {
        return Err(Error::Stale { path: shown(&project.lock_path), reasons }.into());
    }
    wanted_platforms(lock, &options.platforms)?;
    let proof = if lock.archives.is_empty() { super::Proof::Proved } else { prove_anew(world, project)? };
    judge(proof, project, options.require_proof, warnings)?;
    let wanted =
        |name: &str| options.platforms.is_empty() || options.platforms.iter().any(|platform| platform.oci() == name);
    fetch::locked_inputs(world, project, lock, &wanted)?;
    blobs(world, lock, &wanted, files)?;
    beside(path, project, lock, files)
}

/// Lists what a lock names and the network gave; sets that can no longer be had are left out, as has been said.
fn blobs(
    world: &World<'_>,
    lock: &Lock,
    wanted: &dyn Fn(&str) -> bool,
    files: &mut Vec<(File, Content)>,
) -> Result<(), Problems> {
    for reference in lock.references(wanted) {
        let digest = reference.digest();
        if reference.is_local() {
            continue;
        }
        let Some(blob) = world.store.blob(&digest)? else { continue };
        let name = reference.name();
        let size = fetch::size(&blob, &name)?;
        let (archive, location) = reference.location().map(|(archive, path)| (archive.to_owned(), path)).unzip();
        let kind = reference.kind().to_owned();
        let file = File { path: blob_path(&digest), kind, name, archive, location, digest, size };
        files.push((file, Content::Stored));
    }
    Ok(())
}

/// Lists the spec, its lock and the files beside it that the lock names.
fn beside(path: &Path, project: &Project, lock: &Lock, files: &mut Vec<(File, Content)>) -> Result<(), Problems> {
    let text = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let spec = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut push = |kind: &str, name: String, bytes: Vec<u8>| {
        let Some(path) = spec_path(&spec, &name) else { return Err(Error::Outside { path: name }) };
        let (digest, size) = (crate::digest::Digest::of(&bytes), bytes.len() as u64);
        let file = File { path, kind: kind.to_owned(), name, archive: None, location: None, digest, size };
        files.push((file, Content::Bytes(bytes)));
        Ok(())
    };
    push("spec", text(path), project.spec_text.clone().into_bytes())?;
    // What the spec extends stands beneath its directory.
    for source in &project.spec.source.more {
        let name = std::path::Path::new(&source.name);
        let below = path.parent().and_then(|parent| name.strip_prefix(parent).ok()).unwrap_or(name);
        push("spec", shown(below), source.text.clone().into_bytes())?;
    }
    push("lock", text(&project.lock_path), project.lock_text.clone().unwrap_or_default().into_bytes())?;
    for reference in lock.references(|_| false).iter().filter(|reference| reference.is_local()) {
        let name = reference.name();
        let bytes = project.read_input(&name)?;
        push(reference.kind(), name, bytes)?;
    }
    Ok(())
}
