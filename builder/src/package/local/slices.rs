//! Definitions of slices: YAML files in one directory beneath the spec's, or a release of chisel's with them.

use std::path::Path;

use super::walk::{Globs, Kind, Root, refused};
use super::{Error, read};
use crate::diag::Source;
use crate::digest::{Digest, Hasher};
use crate::rules::slices::{self, Slices};
use crate::spec::Spec;

/// The largest file of definitions.
const MAX_DEFINITION: u64 = 1 << 20;
/// The most files of definitions; a release has some seven hundred.
const MAX_FILES: usize = 20_000;

/// Returns the paths of the spec's definitions, below its directory, sorted: all YAML files of the directory, or of a
/// release (a directory with a `chisel.yaml`) that file and those below `slices/`.
pub fn slice_files(spec: &Spec, directory: &Path) -> Result<Vec<String>, Error> {
    let Some(path) = &spec.slices else { return Ok(Vec::new()) };
    let root = Root::open(directory)?;
    let mut files = Vec::new();
    root.walk(&path.value, &globs(&path.value)?, &mut |found| {
        if matches!(found.kind, Kind::File) {
            if files.len() >= MAX_FILES {
                return Err(refused(found.shown, "there are more definitions than any release has"));
            }
            files.push((found.relative.to_owned(), found.shown.to_owned()));
        }
        Ok(())
    })?;
    if files.iter().any(|(relative, _)| relative == "chisel.yaml") {
        files.retain(|(relative, _)| relative == "chisel.yaml" || relative.starts_with("slices/"));
    }
    let mut files: Vec<String> = files.into_iter().map(|(_, shown)| shown).collect();
    files.sort();
    Ok(files)
}

pub(super) fn globs(path: &str) -> Result<Globs, Error> {
    Globs::new(&["**/*.yaml".to_owned()], &[], path)
}

/// Returns the spec's definitions, and the digest of their texts.
///
/// # Errors
/// A file that cannot be read; the first mistake in one.
pub fn slices(spec: &Spec, directory: &Path) -> Result<(Slices, Digest), Error> {
    parse(&texts(spec, directory)?)
}

/// Returns the texts of the spec's definitions, each with its path.
pub(super) fn texts(spec: &Spec, directory: &Path) -> Result<Vec<(String, String)>, Error> {
    let read = |path: String| {
        let bytes = read(directory, &path, MAX_DEFINITION)?;
        let text = String::from_utf8(bytes).map_err(|_| refused(&path, "it is not UTF-8"))?;
        Ok((path, text))
    };
    slice_files(spec, directory)?.into_iter().map(read).collect()
}

/// Returns the definitions of these texts, and the digest of the texts.
pub(super) fn parse(texts: &[(String, String)]) -> Result<(Slices, Digest), Error> {
    let (mut sources, mut hasher) = (Vec::new(), Hasher::new());
    for (path, text) in texts {
        hasher.update(Digest::of(text.as_bytes()).as_bytes());
        // Some editors mark a text as UTF-8, and chisel takes no notice.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        sources.push(Source::new(path.clone(), text));
    }
    let slices = slices::parse(&sources).map_err(|problems| {
        let first = problems.iter().next().map(|problem| (problem.to_string(), problem.labels()));
        let (message, labels) = first.unwrap_or_default();
        Error::Rules { message, labels }
    })?;
    Ok((slices, hasher.digest()))
}
