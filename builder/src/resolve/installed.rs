//! Packages that a base has: what dpkg's database in it says.

use crate::archive::{Candidate, MultiArch, Priority};
use crate::deb822::{self, Dependency, Version, parse_dependencies};
use crate::digest::Digest;

/// Returns the packages of these control stanzas, as candidates that stand in no archive. A stanza that cannot be read
/// is passed over: it satisfies nothing.
pub fn installed(stanzas: &[String]) -> Vec<Candidate> {
    stanzas.iter().filter_map(|stanza| candidate(stanza)).collect()
}

/// Returns whether a candidate is one that a base has.
pub(super) fn is_installed(candidate: &Candidate) -> bool {
    candidate.archive.is_empty()
}

fn candidate(text: &str) -> Option<Candidate> {
    let stanza = deb822::parse_one(text).ok()?;
    let field = |name| stanza.get(name);
    let relations =
        |name| -> Vec<Dependency> { field(name).and_then(|value| parse_dependencies(value).ok()).unwrap_or_default() };
    let name = field("Package")?.to_owned();
    let version = field("Version")?;
    let (source, source_version) = match field("Source") {
        None => (name.as_str(), version),
        Some(source) => match source.split_once(" (") {
            Some((source, version)) => (source, version.trim_end_matches(')')),
            None => (source, version),
        },
    };
    Some(Candidate {
        version: Version::parse(version).ok()?,
        architecture: field("Architecture")?.to_owned(),
        multi_arch: match field("Multi-Arch") {
            Some("same") => MultiArch::Same,
            Some("foreign") => MultiArch::Foreign,
            Some("allowed") => MultiArch::Allowed,
            _ => MultiArch::No,
        },
        source: source.to_owned(),
        source_version: source_version.to_owned(),
        // It was put there with what it needs; a distroless base leaves out on purpose what only scripts need.
        depends: Vec::new(),
        conflicts: relations("Conflicts"),
        breaks: relations("Breaks"),
        provides: relations("Provides"),
        replaces: relations("Replaces"),
        recommends: Box::default(),
        suggests: Box::default(),
        enhances: Box::default(),
        protected: false,
        priority: Priority::Optional,
        essential: field("Essential") == Some("yes"),
        installed_size_kib: 0,
        path: String::new(),
        size: 0,
        digest: Digest::of(b""),
        archive: String::new(),
        suite: String::new(),
        in_release: None,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_is_a_candidate_of_no_archive() {
        let stanza = "Package: libx1\nStatus: install ok installed\nSource: x (1.2)\nVersion: 1.2-3\nArchitecture: amd64\n\
                      Depends: libc6\nProvides: libx (= 1)\n";
        let all = installed(&[stanza.to_owned(), "Package: broken\n".to_owned()]);
        let [one] = &all[..] else { panic!("{all:?}") };
        assert_eq!((one.name.as_str(), one.source.as_str(), one.source_version.as_str()), ("libx1", "x", "1.2"));
        assert!(is_installed(one) && one.depends.is_empty() && one.provides.len() == 1);
    }
}
