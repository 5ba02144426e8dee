//! Packages that nothing depends on and images need all the same; each rule says why in a sentence.
//!
//! Essential packages stand in nobody's dependencies, yet kept code uses a few of their files (Debian policy 3.8).

/// What makes a rule hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// Any package at all.
    Always,
    /// The package of this name.
    Package(&'static str),
    /// The package of this name, or the name, a dash and digits (`postgresql`, `postgresql-17`).
    Numbered(&'static str),
}

/// A package that comes without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Implicit {
    trigger: Trigger,
    /// The package that comes.
    pub package: &'static str,
    /// Why, as a sentence.
    pub sentence: &'static str,
}

impl Implicit {
    /// Returns the rule's name, as a lock writes it: `always`, or the package that brings it.
    pub fn rule(&self) -> &'static str {
        match self.trigger {
            Trigger::Always => "always",
            Trigger::Package(name) | Trigger::Numbered(name) => name,
        }
    }

    /// Returns whether it comes with every image that has packages.
    pub fn is_always(&self) -> bool {
        self.trigger == Trigger::Always
    }

    /// Returns whether the package `name` brings it.
    pub fn is_brought_by(&self, name: &str) -> bool {
        match self.trigger {
            Trigger::Always => false,
            Trigger::Package(package) => name == package,
            Trigger::Numbered(package) => name.strip_prefix(package).is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix('-')
                        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
            }),
        }
    }
}

/// The table, in the order in which rules are tried.
pub const IMPLICIT: &[Implicit] = &[
    Implicit {
        trigger: Trigger::Always,
        package: "base-files",
        sentence: "it holds os-release, debian_version and the modes of the base directories",
    },
    Implicit {
        trigger: Trigger::Always,
        package: "base-passwd",
        sentence: "it holds the users and groups that packages take for granted",
    },
    Implicit {
        trigger: Trigger::Package("libc6"),
        package: "libc-bin",
        sentence: "it holds the C.utf8 locale and the name service and loader configuration that libc6 reads",
    },
    Implicit {
        trigger: Trigger::Package("libtinfo6"),
        package: "ncurses-base",
        sentence: "it holds the terminal descriptions that libtinfo6 reads",
    },
    Implicit {
        trigger: Trigger::Package("git"),
        package: "dash",
        sentence: "git runs its shell commands and hooks with /bin/sh",
    },
    Implicit { trigger: Trigger::Package("git"), package: "sed", sentence: "git's shell commands run sed" },
    Implicit {
        trigger: Trigger::Package("git"),
        package: "coreutils",
        sentence: "git's shell commands run basename, cat, uname and the like",
    },
    Implicit {
        trigger: Trigger::Numbered("postgresql"),
        package: "dash",
        sentence: "initdb and the server run their commands with /bin/sh",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn brought_by(name: &str) -> Vec<&'static str> {
        IMPLICIT.iter().filter(|rule| rule.is_brought_by(name)).map(|rule| rule.package).collect()
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
    fn every_rule_says_why() {
        assert!(IMPLICIT.iter().all(|rule| rule.sentence.len() > 20 && !rule.sentence.ends_with('.')));
    }
}
