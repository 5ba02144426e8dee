//! Packages that nothing depends on and images need all the same; each rule says why in a sentence.
//!
//! Essential packages stand in nobody's dependencies, yet kept code uses a few of their files (Debian policy 3.8). The
//! rules are those of [`closure`](super::closure) with `implicit`.

use super::closure::{Rule, built_in};
use super::glob::component;

/// A package that comes without being asked for.
#[derive(Debug, Clone, Copy)]
pub struct Implicit {
    rule: &'static Rule,
    /// The package that comes.
    pub package: &'static str,
    /// Why, as a sentence.
    pub sentence: &'static str,
}

impl Implicit {
    /// Returns the rule's name, as a lock writes it: `always`, or the first package that brings it.
    pub fn rule(&self) -> &'static str {
        self.rule.with.first().map_or("always", String::as_str)
    }

    /// Returns whether it comes with every image that has packages.
    pub fn is_always(&self) -> bool {
        self.rule.always
    }

    /// Returns whether the package `name` brings it.
    pub fn is_brought_by(&self, name: &str) -> bool {
        self.rule.with.iter().any(|pattern| component(pattern, name))
    }
}

/// Returns the table, in the order in which rules are tried.
pub fn implicit() -> impl Iterator<Item = Implicit> {
    built_in().filter_map(|rule| {
        let package = rule.implicit.as_deref()?;
        Some(Implicit { rule, package, sentence: &rule.why })
    })
}

/// Returns whether an implicit package keeps this path (no leading slash) whether something needs it or not.
pub fn lists(package: &str, path: &str) -> bool {
    let of = implicit().filter(|implicit| implicit.package == package);
    of.flat_map(|implicit| &implicit.rule.files).any(|pattern| pattern.fits(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought_by(name: &str) -> Vec<&'static str> {
        implicit().filter(|rule| rule.is_brought_by(name)).map(|rule| rule.package).collect()
    }

    #[test]
    fn rules_are_keyed_by_name() {
        assert_eq!(brought_by("libc6"), ["libc-bin"]);
        assert_eq!(brought_by("git"), ["dash", "sed", "coreutils"]);
        assert_eq!(brought_by("postgresql"), ["dash"]);
        assert_eq!(brought_by("postgresql-17"), ["dash"]);
        for other in ["postgresql-common", "postgresql-client-17", "postgresql-", "git-man", "base-files"] {
            assert!(brought_by(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn implicit_packages_keep_their_list() {
        for (package, path, kept) in [
            ("base-files", "etc/os-release", true),
            ("base-files", "usr/share/common-licenses/GPL-2", false),
            ("libc-bin", "usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES", true),
            ("libc-bin", "usr/bin/ldd", false),
            ("base-passwd", "usr/sbin/update-passwd", false),
        ] {
            assert_eq!(lists(package, path), kept, "{path} of {package}");
        }
    }

    #[test]
    fn every_rule_says_why() {
        assert!(implicit().all(|rule| rule.sentence.len() > 20 && !rule.sentence.ends_with('.')));
    }
}
