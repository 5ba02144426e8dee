//! `add`: puts packages into a spec, and into its lock.

use std::path::Path;
use std::sync::Arc;

use crate::diag::{Problems, Source, Warning};
use crate::lock::Move;
use crate::resolve::Update;
use crate::spec::{self, EditError, PackageWord};
use crate::store::output::Staging;

use super::lock::{all, renew_all, write};
use super::project::read_text;
use super::{Error, Project, World, shown};

/// How a spec's packages are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Leave the lock as it is.
    pub no_lock: bool,
}

/// What was changed.
#[derive(Debug)]
pub struct ChangeOutcome {
    /// The packages that were added or removed, as they were named.
    pub changed: Vec<String>,
    /// Those of which nothing had to be changed.
    pub unchanged: Vec<String>,
    /// What moved in the lock; empty where it was left alone.
    pub moved: Vec<Move>,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Adds packages to the spec at `path` and brings its lock, where there is one, up to it; comments, order and style of
/// the spec stay. What is there already is no error.
///
/// # Errors
/// A word that names no package, a package that no archive has, a spec that would no longer hold together. Then spec and
/// lock stay as they were.
pub fn add(
    world: &World<'_>,
    path: &Path,
    words: &[String],
    options: &ChangeOptions,
) -> Result<ChangeOutcome, Problems> {
    let project = Project::read(path, None)?;
    let is_there = |word: &PackageWord| {
        // What an extended file asks for is asked for.
        let listed = project.spec.packages.iter().any(|package| package.value.name == word.name());
        listed && word.is_bare() || word.is_excluded() && project.spec.excluded.iter().any(|x| x.value == word.name())
    };
    let edit = |source: &Arc<Source>, word: &PackageWord| {
        if is_there(word) { Ok(source.text.clone()) } else { spec::add(source, word) }
    };
    change(world, path, words, options, true, &edit)
}

/// What makes the text with one word more, or less.
pub(super) type Edit<'a> = &'a dyn Fn(&Arc<Source>, &PackageWord) -> Result<String, EditError>;

/// Changes a spec's text word by word, and then spec and lock.
pub(super) fn change(
    world: &World<'_>,
    path: &Path,
    words: &[String],
    options: &ChangeOptions,
    must_exist: bool,
    edit: Edit<'_>,
) -> Result<ChangeOutcome, Problems> {
    let old = read_text(path)?;
    let mut text = old.clone();
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for word in words {
        let parsed = PackageWord::parse(word).ok_or_else(|| Error::NoWord { word: word.clone() })?;
        let next = edit(&Source::new(shown(path), text.clone()), &parsed)?;
        if next == text { &mut unchanged } else { &mut changed }.push(word.clone());
        text = next;
    }
    let mut outcome = ChangeOutcome { changed, unchanged, moved: Vec::new(), warnings: Vec::new() };
    if text == old {
        return Ok(outcome);
    }
    let mut projects = all(path, Project::of_text(path, text.clone(), None)?)?;
    let locked = !options.no_lock && projects.iter().any(|project| project.whole.is_some());
    // Whether a package exists, and goes with the others, is what resolution tells.
    let renewed = if locked || must_exist { Some(renew_all(world, &mut projects, &Update::None)?) } else { None };
    replace(path, &text)?;
    if let Some(renewed) = renewed.filter(|_| locked) {
        let done = write(&mut projects, renewed, world)?;
        (outcome.moved, outcome.warnings) = (done.moved, done.warnings);
    }
    outcome.warnings.extend(world.store.take_warnings());
    Ok(outcome)
}

/// Puts a new text in the place of a spec's, through a link to it, with the same permissions.
fn replace(path: &Path, text: &str) -> Result<(), Problems> {
    let failed = |source| Error::Write { path: shown(path), source };
    let real = std::fs::canonicalize(path).map_err(failed)?;
    let permissions = std::fs::metadata(&real).map_err(failed)?.permissions();
    let staging = Staging::file(&real)?;
    std::fs::write(staging.path(), text).map_err(failed)?;
    std::fs::set_permissions(staging.path(), permissions).map_err(failed)?;
    Ok(staging.commit()?)
}
