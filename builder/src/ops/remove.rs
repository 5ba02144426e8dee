//! `remove`: takes packages out of a spec, and out of its lock.

use std::path::Path;
use std::sync::Arc;

use crate::diag::{Problems, Source};
use crate::spec::{self, EditError, PackageWord};

use super::add::{ChangeOptions, ChangeOutcome, change};
use super::{Project, World};

/// Removes packages from the spec at `path` and brings its lock, where there is one, up to it; comments, order and style
/// of what stays are kept.
///
/// # Errors
/// A package that the spec does not list itself; a spec that would no longer hold together. Then spec and lock stay as
/// they were.
pub fn remove(
    world: &World<'_>,
    path: &Path,
    words: &[String],
    options: &ChangeOptions,
) -> Result<ChangeOutcome, Problems> {
    let project = Project::read(path, None)?;
    let edit = |source: &Arc<Source>, word: &PackageWord| match spec::remove(source, word) {
        Err(EditError::NotListed { word: text, name, near }) => {
            // It may stand in a file that the spec extends.
            let place = if word.is_excluded() {
                project.spec.excluded.iter().find(|one| one.value == word.name()).map(|one| one.span)
            } else {
                let named = project.spec.packages.iter().find(|one| one.value.name == word.name()).map(|one| one.span);
                named.or_else(|| project.spec.debs.iter().find(|one| one.value.path == word.name()).map(|one| one.span))
            };
            match place.map(|span| project.spec.source.locate(span).0) {
                Some(other) if other.name != name => spec::remove(&other, word).and(Err(EditError::Elsewhere {
                    word: text,
                    name,
                    other: other.name.clone(),
                })),
                _ => Err(EditError::NotListed { word: text, name, near }),
            }
        }
        done => done,
    };
    change(world, path, words, options, false, &edit)
}
