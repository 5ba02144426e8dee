//! The spec's own closure rules: YAML files in one directory beneath the spec's.

use std::path::Path;

use super::walk::{Globs, Kind, Root, refused};
use super::{Error, read};
use crate::diag::Source;
use crate::digest::{Digest, Hasher};
use crate::rules::closure::{self, Rule};
use crate::spec::Spec;

/// The largest file of rules.
const MAX_RULES: u64 = 1 << 20;

/// Returns the paths of the spec's files of rules, below its directory, sorted.
pub fn rule_files(spec: &Spec, directory: &Path) -> Result<Vec<String>, Error> {
    let Some(path) = &spec.rules else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    // Those that stand deeper are looked for, since whoever put them there believes that they hold.
    let deep = Globs::new(&["**/*.yaml".to_owned(), "**/*.yml".to_owned()], &[], &path.value)?;
    Root::open(directory)?.walk(&path.value, &deep, &mut |found| {
        if matches!(found.kind, Kind::File) {
            if found.relative.contains('/') {
                let problem = format!("rules stand in `{}` itself, not below it", path.value);
                let message = format!("cannot read rules `{}`: {problem}", found.shown);
                return Err(Error::Rules { message, labels: Vec::new() });
            }
            files.push(found.shown.to_owned());
        }
        Ok(())
    })?;
    files.sort();
    Ok(files)
}

pub(super) fn globs(path: &str) -> Result<Globs, Error> {
    Globs::new(&["*.yaml".to_owned(), "*.yml".to_owned()], &[], path)
}

/// Returns the texts of the spec's own rules, each with its path.
pub(super) fn texts(spec: &Spec, directory: &Path) -> Result<Vec<(String, String)>, Error> {
    let read = |path: String| {
        let bytes = read(directory, &path, MAX_RULES)?;
        let text = String::from_utf8(bytes).map_err(|_| refused(&path, "it is not UTF-8"))?;
        Ok((path, text))
    };
    rule_files(spec, directory)?.into_iter().map(read).collect()
}

/// Returns the rules of these texts, and the digest of the texts.
pub(super) fn parse(texts: &[(String, String)]) -> Result<(Vec<Rule>, Digest), Error> {
    let (mut rules, mut hasher): (Vec<Rule>, Hasher) = (Vec::new(), Hasher::new());
    for (path, text) in texts {
        hasher.update(Digest::of(text.as_bytes()).as_bytes());
        let parsed = closure::parse(&Source::new(path.clone(), text.clone())).map_err(|problems| {
            let first = problems.iter().next().map(|problem| (problem.to_string(), problem.labels()));
            let (message, labels) = first.unwrap_or_default();
            Error::Rules { message, labels }
        })?;
        for rule in parsed {
            let known = |known: &Rule| known.name == rule.name;
            let taken = rules.iter().any(known) || closure::built_in().any(known);
            if taken || rule.implicit.is_some() {
                let problem = if taken { "has the name of another" } else { "brings a package: name it in `packages`" };
                return Err(refused(path, &format!("rule `{}` {problem}", rule.name)));
            }
            rules.push(rule);
        }
    }
    Ok((rules, hasher.digest()))
}
