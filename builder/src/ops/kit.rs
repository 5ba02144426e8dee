//! The rebuild kit: what a rebuild needs that no digest can bring.
//!
//! It holds the one spec with what it extends and its variant on top, the section of the lock that is its own, and the
//! files beside it: keys, certificates, local packages, a local base, what `copy` took. A full one also holds all that
//! the lock names: packages, signed metadata, fetched files; it builds without a network.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::diag::{Problems, Warning};
use crate::digest::{Digest, Hasher};
use crate::engine::local as engine;
use crate::evidence::Stored;
use crate::kit::{self, Content, IMAGE, Kit, LOCK, SPEC, Special, spec_path};
use crate::lock::{Lock, Reference};
use crate::package::local::{self, LocalSource, SourceKind};
use crate::store::{Kind, Store};

use super::local::digest_of;
use super::prove::{judge, prove_anew};
use super::{Error, Project, World, fetch, vendor};

/// Version of what is kept in the store; part of its key.
const FORMAT: u32 = 1;

/// The largest file beside a spec in bytes, as far as it is no `copy`.
const MAX_BESIDE: u64 = 64 << 30;

/// What was written.
#[derive(Debug)]
pub struct KitOutcome {
    /// Where it stands.
    pub output: PathBuf,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the lock is proved by what is in it.
    pub proved: bool,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Returns the rebuild kit of a project whose `copy` entries took `sources`: found in the store, or made now.
pub(super) fn stored_kit(
    project: &Project,
    lock: &Lock,
    sources: &[LocalSource],
    store: &Store,
) -> Result<Stored, Problems> {
    let gathered = gather(project, lock, sources)?;
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia kit\n");
    hasher.update(&FORMAT.to_be_bytes());
    for (file, _) in &gathered.files {
        hasher.update(&postcard::to_stdvec(file).expect("plain data can always be written"));
    }
    let key = hasher.digest();
    let known = store.entry(Kind::Images, &key).and_then(|bytes| postcard::from_bytes::<(Digest, u64)>(&bytes).ok());
    if let Some((digest, size)) = known
        && store.blob(&digest)?.is_some()
    {
        return Ok(Stored { digest, size });
    }
    let mut blob = store.write_blob()?;
    kit::write_to(gathered.files, &|digest| gathered.places.open(digest), &mut blob, Path::new("kit.tar.zst"))?;
    let (digest, size) = blob.commit(None)?;
    let entry = postcard::to_stdvec(&(digest, size)).expect("plain data can always be written");
    store.put_entry(Kind::Images, &key, &entry)?;
    Ok(Stored { digest, size })
}

/// Writes a rebuild kit to `output`, which ends in `.tar.zst`: that at `kit`, and with it all that its lock names.
///
/// # Errors
/// No kit, or a contradicted lock; with `require_proof` one that cannot be proved; an input that cannot be had.
pub fn full_kit(world: &World<'_>, kit: &Path, output: &Path, require_proof: bool) -> Result<KitOutcome, Problems> {
    let opened = Kit::open(kit, world.store.root())?;
    let place = world.store.temporary_directory()?;
    let project = unpacked(&opened, place.path())?;
    let lock = project.locked()?;
    let mut warnings = Vec::new();
    let proof = if lock.archives.is_empty() { super::Proof::Proved } else { prove_anew(world, &project)? };
    let proved = judge(proof, &project, require_proof, &mut warnings)?;
    fetch::locked_inputs(world, &project, lock, &|_| true)?;
    let mut files = Vec::new();
    // What the kit already holds of the lock's own comes from the store as well.
    let own = opened.manifest().files.iter().filter(|file| !file.path.starts_with("blobs/"));
    files.extend(own.map(|file| (file.clone(), Content::Stored)));
    vendor::blobs(world, lock, &|_| true, &mut files)?;
    let beside = Places::below(place.path(), opened.manifest());
    let source = |digest: &Digest| match beside.open(digest)? {
        Some(file) => Ok(Some(file)),
        None => world.store.blob(digest).map_err(io::Error::other),
    };
    let texts = opened.texts()?;
    for (file, content) in &mut files {
        match file.path.as_str() {
            SPEC => *content = Content::Bytes(texts.0.clone().into_bytes()),
            LOCK => *content = Content::Bytes(texts.1.clone().into_bytes()),
            _ => {}
        }
    }
    kit::write(files, &source, output)?;
    let written = File::open(output).map_err(|source| Error::Read { path: super::shown(output), source })?;
    let (digest, size) =
        digest_of(&written, u64::MAX - 1).map_err(|source| Error::Read { path: super::shown(output), source })?;
    warnings.extend(world.store.take_warnings());
    Ok(KitOutcome { output: output.to_owned(), digest, size, proved, warnings })
}

/// Unpacks a rebuild kit into an empty directory and returns the project that it is.
pub(super) fn unpacked(kit: &Kit, directory: &Path) -> Result<Project, Problems> {
    kit.unpack(directory)?;
    let (spec, lock) = kit.texts()?;
    let mut project = Project::of_texts(Path::new(SPEC), directory, spec, (Path::new(LOCK), lock))?;
    if let Some(variant) = kit.variant() {
        let name = project.spec.name.strip_suffix(variant).and_then(|name| name.strip_suffix('-'));
        let Some(name) = name.filter(|name| !name.is_empty()).map(str::to_owned) else {
            let problem = format!("its spec is called `{}` and said to be variant `{variant}`", project.spec.name);
            return Err(kit::Error::Invalid { path: kit.name().to_owned(), problem }.into());
        };
        (project.spec.name, project.spec.variant) = (name, Some(variant.to_owned()));
    }
    Ok(project)
}

/// The files of a kit, and where the bytes of those that may be large stand.
struct Gathered {
    files: Vec<(kit::File, Content)>,
    places: Places,
}

/// Where files stand beneath a directory, by digest.
struct Places {
    directory: PathBuf,
    paths: BTreeMap<Digest, String>,
}

impl Places {
    /// Returns where an unpacked kit's files stand.
    fn below(directory: &Path, manifest: &kit::Manifest) -> Self {
        let prefix = spec_path(IMAGE, "x").unwrap_or_default().trim_end_matches('x').to_owned();
        let files = manifest.files.iter().filter(|file| file.has_bytes());
        let paths = files.filter_map(|file| Some((file.digest, file.path.strip_prefix(prefix.as_str())?.to_owned())));
        Self { directory: directory.to_owned(), paths: paths.collect() }
    }

    fn open(&self, digest: &Digest) -> io::Result<Option<File>> {
        let Some(path) = self.paths.get(digest) else { return Ok(None) };
        local::file(&self.directory, path).map(Some).map_err(io::Error::other)
    }
}

/// Lists the files of a project's kit.
fn gather(project: &Project, lock: &Lock, sources: &[LocalSource]) -> Result<Gathered, Problems> {
    let spec = &project.spec;
    let mut files = Vec::new();
    let mut places = Places { directory: project.directory.clone(), paths: BTreeMap::new() };
    let named = |path: String, kind: &str, name: &str, digest: Digest, size: u64| kit::File {
        path,
        kind: kind.to_owned(),
        name: name.to_owned(),
        archive: None,
        location: None,
        digest,
        size,
        special: None,
    };
    for (path, kind, text) in [(SPEC, "spec", spec.merged()), (LOCK, "lock", lock.to_text())] {
        let bytes = text.into_bytes();
        let mut file = named(path.to_owned(), kind, path, Digest::of(&bytes), bytes.len() as u64);
        file.special = spec.variant.clone().filter(|_| path == SPEC).map(Special::Variant);
        files.push((file, Content::Bytes(bytes)));
    }
    let mut list = |kind: &str, name: &str, digest: Digest, size: u64, special: Option<Special>| {
        // What a spec names by a way out and in again is named by the straight way.
        let path = spec_path(IMAGE, name).ok_or_else(|| Error::Outside { path: name.to_owned() })?;
        let file = kit::File { special, ..named(path, kind, name, digest, size) };
        if file.has_bytes() {
            places.paths.insert(digest, name.to_owned());
        }
        files.push((file, Content::Stored));
        Ok::<_, Problems>(())
    };
    for input in lock.inputs.iter().filter(|input| Reference::Input(input).is_local() && input.kind != "base") {
        list(&input.kind, &input.name, input.digest, input.size, None)?;
    }
    // What no lock holds: read when the kit is made.
    let authorities = spec.archives.values().filter_map(|archive| archive.ca.as_ref());
    for path in authorities.map(|path| path.value.as_str()) {
        let bytes = project.read_input(path)?;
        list("ca", path, Digest::of(&bytes), bytes.len() as u64, None)?;
    }
    for (name, _) in engine::base_files(spec, &project.directory)? {
        let read = |source| Error::Read { path: name.clone(), source };
        let (digest, size) = digest_of(&project.open_package(&name)?, MAX_BESIDE).map_err(read)?;
        list("base", &name, digest, size, None)?;
    }
    for LocalSource { path, kind } in sources {
        // The directory itself stands there anyway.
        if path == "." || path.is_empty() {
            continue;
        }
        match kind {
            SourceKind::Directory => list("copy", path, Digest::of(b""), 0, Some(Special::Directory))?,
            SourceKind::Symlink(target) => {
                let bytes = target.as_bytes();
                list("copy", path, Digest::of(bytes), bytes.len() as u64, Some(Special::Link(target.clone())))?;
            }
            SourceKind::File { digest, size, executable } => {
                list("copy", path, *digest, *size, executable.then_some(Special::Executable))?;
            }
        }
    }
    Ok(Gathered { files, places })
}
