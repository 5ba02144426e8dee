//! `vendor`: writes all inputs of locks into a directory or a tar, from which they build without a network.

use std::path::{Path, PathBuf};

use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::engine::local as engine;
use crate::kit::{self, Content, File, blob_path, spec_path};
use crate::lock::{Lock, Reference};
use crate::spec::Platform;

use super::build::wanted_platforms;
use super::lock::stale;
use super::project::sections;
use super::prove::{judge, prove_anew};
use super::{Error, Project, World, fetch, local, shown};

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
    /// The one variant whose inputs are written; the spec's and all of its variants' where absent.
    pub variant: Option<String>,
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
        for variant in sections(path, options.variant.as_deref())? {
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
    beside(world, path, project, lock, files)
}

/// Lists what a lock names and the network gave; sets that can no longer be had are left out, as has been said.
pub(super) fn blobs(
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
        let file = File { path: blob_path(&digest), kind, name, archive, location, digest, size, special: None };
        files.push((file, Content::Stored));
    }
    Ok(())
}

/// Lists the spec, its lock and the files beside it that the lock names. What may be large goes by the store.
fn beside(
    world: &World<'_>,
    path: &Path,
    project: &Project,
    lock: &Lock,
    files: &mut Vec<(File, Content)>,
) -> Result<(), Problems> {
    let text = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let spec = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut list = |kind: &str, name: String, (digest, size): (Digest, u64), content: Content| {
        let Some(path) = spec_path(&spec, &name) else { return Err(Error::Outside { path: name }) };
        let file =
            File { path, kind: kind.to_owned(), name, archive: None, location: None, digest, size, special: None };
        files.push((file, content));
        Ok(())
    };
    let mut text_of = |kind: &str, name: String, bytes: Vec<u8>| {
        list(kind, name, (Digest::of(&bytes), bytes.len() as u64), Content::Bytes(bytes))
    };
    text_of("spec", text(path), project.spec_text.clone().into_bytes())?;
    // What the spec extends stands beneath its directory.
    for source in &project.spec.source.more {
        let name = std::path::Path::new(&source.name);
        let below = path.parent().and_then(|parent| name.strip_prefix(parent).ok()).unwrap_or(name);
        text_of("spec", shown(below), source.text.clone().into_bytes())?;
    }
    text_of("lock", text(&project.lock_path), project.lock_text.clone().unwrap_or_default().into_bytes())?;
    for input in lock.inputs.iter().filter(|input| Reference::Input(input).is_local()) {
        let name = input.name.clone();
        match input.kind.as_str() {
            "base" => {}
            "package" => {
                local::store_one(world, project, &name, &input.digest, input.size)?;
                list("package", name, (input.digest, input.size), Content::Stored)?;
            }
            kind => {
                let bytes = project.read_input(&name)?;
                list(kind, name, (Digest::of(&bytes), bytes.len() as u64), Content::Bytes(bytes))?;
            }
        }
    }
    for (name, digest) in engine::base_files(&project.spec, &project.directory)? {
        let read = |source| Error::Read { path: name.clone(), source };
        let mut file = std::fs::File::open(project.directory.join(&name)).map_err(read)?;
        let mut writer = world.store.write_blob()?;
        std::io::copy(&mut file, &mut writer).map_err(read)?;
        let written = writer.commit(digest.as_ref())?;
        list("base", name, written, Content::Stored)?;
    }
    Ok(())
}
