//! What operations read beneath the spec's directory.

use std::collections::BTreeSet;
use std::path::Path;

use crate::engine::local::{Error, base_files};
use crate::lock::{Lock, Reference};
use crate::package::local;
use crate::spec::{FileSource, Spec};

/// Returns whether a spec has anything of its own: what `open-local` opens.
pub fn needs_local(spec: &Spec) -> bool {
    !spec.files.is_empty() || !spec.certificates.is_empty() || spec.rules.is_some() || spec.slices.is_some()
}

/// Returns the paths beneath the spec's directory that `open`, `open-local`, `open-base` and `assemble` read, sorted: of
/// a copied directory all that is taken of it, and the directories and links themselves.
///
/// # Errors
/// What cannot be read there; a base that does not hold together.
pub fn context_files(spec: &Spec, lock: &Lock, directory: &Path) -> Result<Vec<String>, Error> {
    let mut paths: BTreeSet<String> = local::inputs(spec, directory)?.into_iter().map(|input| input.path).collect();
    // A directory that is copied as a whole is the spec's own where it is named by a dot.
    let copied = spec.files.iter().filter_map(|file| match &file.value.what {
        FileSource::Copy { path, .. } => Some(path.clone()),
        _ => None,
    });
    paths.extend(copied);
    let inputs = lock.inputs.iter().filter(|input| Reference::Input(input).is_local() && input.kind != "base");
    paths.extend(inputs.map(|input| input.name.clone()));
    paths.extend(spec.debs.iter().map(|deb| deb.value.path.clone()));
    let authorities = spec.archives.values().filter_map(|archive| archive.ca.as_ref());
    paths.extend(authorities.map(|path| path.value.clone()));
    paths.extend(base_files(spec, directory)?.into_iter().map(|(path, _)| path));
    Ok(paths.into_iter().collect())
}
