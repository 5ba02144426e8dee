//! `also` and `never`: what the spec says of paths, over what `keep` says of packages.
//!
//! A pattern is a glob: `*` and `?` stay within a component, `**` crosses, `[ab]` and `{a,b}` choose. A pattern that fits
//! a directory fits all that is below it. Where both fit, `never` has the last word. Patterns may say `/bin` for
//! `/usr/bin`, as programs do.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::Error;
use super::paths;
use crate::spec::Spec;

/// The spec's `also` and `never`, and which of them have fitted so far.
#[derive(Debug)]
pub(super) struct Choice {
    also: Patterns,
    never: Patterns,
    /// Of each `never`, whether it is forced.
    forced: Vec<bool>,
}

#[derive(Debug)]
struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
    fitted: BTreeSet<usize>,
}

impl Choice {
    /// Returns what `spec` says; `merged` is whether the image has merged-/usr links.
    pub(super) fn of(spec: &Spec, merged: bool) -> Result<Self, Error> {
        Ok(Self {
            also: Patterns::of(spec.also.iter().map(|glob| glob.value.as_str()), merged)?,
            never: Patterns::of(spec.never.iter().map(|never| never.value.glob.as_str()), merged)?,
            forced: spec.never.iter().map(|never| never.value.force).collect(),
        })
    }

    /// Returns whether the spec says nothing of paths.
    pub(super) fn is_empty(&self) -> bool {
        self.also.texts.is_empty() && self.never.texts.is_empty()
    }

    /// Returns which `also` keeps `path`.
    pub(super) fn also(&mut self, path: &str) -> Option<usize> {
        self.also.fitting(path).first().copied()
    }

    /// Returns which `never` drops `path`; one that is forced before one that is not.
    pub(super) fn never(&mut self, path: &str) -> Option<usize> {
        let fitting = self.never.fitting(path);
        fitting.iter().copied().find(|number| self.forced[*number]).or_else(|| fitting.first().copied())
    }

    /// Returns whether a `never` drops what something needs.
    pub(super) fn is_forced(&self, never: usize) -> bool {
        self.forced.get(never).copied().unwrap_or(false)
    }

    /// Returns the patterns that have fitted nothing, as (`never[1]`, glob).
    pub(super) fn unmatched(&self) -> Vec<(String, String)> {
        let of = |word: &'static str, patterns: &Patterns| {
            let all = patterns.texts.iter().enumerate().filter(|(number, _)| !patterns.fitted.contains(number));
            all.map(|(number, text)| (format!("{word}[{number}]"), text.clone())).collect::<Vec<_>>()
        };
        [of("also", &self.also), of("never", &self.never)].concat()
    }
}

impl Patterns {
    fn of<'a>(globs: impl Iterator<Item = &'a str>, merged: bool) -> Result<Self, Error> {
        let texts: Vec<String> = globs.map(str::to_owned).collect();
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            let bare = text.trim_matches('/');
            let rewritten = if merged { paths::rewrite(bare, false) } else { None };
            let glob = GlobBuilder::new(rewritten.as_deref().unwrap_or(bare)).literal_separator(true).build();
            set.add(glob.map_err(|error| Error::Glob { glob: text.clone(), problem: error.kind().to_string() })?);
        }
        let wrong = |error: globset::Error| Error::Glob { glob: texts.join(", "), problem: error.kind().to_string() };
        let set = set.build().map_err(wrong)?;
        Ok(Self { set, texts, fitted: BTreeSet::new() })
    }

    /// Returns the numbers of the patterns that fit `path` or a directory above it, and notes them.
    fn fitting(&mut self, path: &str) -> Vec<usize> {
        if self.texts.is_empty() {
            return Vec::new();
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut fitting: Vec<usize> = ends.flat_map(|end| self.set.matches(&path[..end])).collect();
        fitting.sort_unstable();
        fitting.dedup();
        self.fitted.extend(&fitting);
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;

    #[test]
    fn globs_mean_what_the_readme_says() {
        let text = "version: 1\nalso: [/usr/share/doc/a, /lib/*/x]\n\
                    never: [\"/bin/*sh\", {path: \"/usr/lib/**/libfoo.so*\", force: true}, \"/usr/{lib,share}/**/*.pyc\", \
                    \"/usr/share/doc/\"]\n";
        let spec = Spec::parse(&Source::new("web.yaml", text), "web").unwrap();
        let mut choice = Choice::of(&spec, true).unwrap();
        assert_eq!(choice.unmatched().len(), 6);
        for (path, also, never) in [
            ("usr/bin/dash", None, Some(0)),
            ("usr/bin/sub/dash", None, None),
            ("usr/bin/sh/below", None, Some(0)),
            ("bin", None, None),
            ("usr/lib/libfoo.so.1", None, Some(1)),
            ("usr/lib/a/b/libfoo.so", None, Some(1)),
            ("usr/share/a.pyc", None, Some(2)),
            ("usr/share/doc/a/b/c", Some(0), Some(3)),
            ("usr/share/doc/ab", None, Some(3)),
            ("usr/share/docs", None, None),
            ("usr/lib/a/b/x", None, None),
        ] {
            assert_eq!((choice.also(path), choice.never(path)), (also, never), "{path}");
        }
        assert!(choice.is_forced(1) && !choice.is_forced(0));
        assert_eq!(choice.unmatched(), [("also[1]".to_owned(), "/lib/*/x".to_owned())]);
    }
}
