//! Conclusions that a person drew from a copyright file which no rule can read, or would read too broadly.
//!
//! `reviewed.tsv` has one line for each: source package, binary packages, fingerprints of the copyright files that it was
//! drawn from, expression. A fingerprint leaves out who holds copyright and since when, addresses and white space, so
//! that a line outlives a new year. Where the file says anything else, the line does not hold: what can be read is
//! read, and a note names the new fingerprint.

use super::known;
use crate::digest::Digest;

const TABLE: &str = include_str!("reviewed.tsv");

/// What the table says of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Review {
    /// This file was reviewed.
    Holds(&'static str),
    /// Another one was.
    Stale {
        /// Fingerprint of this one.
        fingerprint: String,
    },
    /// None was.
    None,
}

/// Returns what the table says of a package with this copyright file; an empty `source` is one that is not known.
pub(super) fn review(source: &str, package: &str, text: &str) -> Review {
    let covers = |pattern: &str| pattern == package;
    let mut found = lines()
        .filter(|[sources, packages, ..]| (source.is_empty() || *sources == source) && packages.split(',').any(covers))
        .peekable();
    if found.peek().is_none() {
        return Review::None;
    }
    let fingerprint = fingerprint(text);
    match found.find(|[_, _, fingerprints, _]| fingerprints.split(',').any(|one| one == fingerprint)) {
        Some([.., expression]) => Review::Holds(expression),
        None => Review::Stale { fingerprint },
    }
}

/// Returns the fingerprint of a copyright file: 16 hexadecimal digits.
pub(super) fn fingerprint(text: &str) -> String {
    let text: Vec<&str> = text.lines().filter(|line| !line.contains(['@']) && !line.contains("://")).collect();
    let mut hex = Digest::of(known::words(&text.join("\n")).join(" ").as_bytes()).hex();
    hex.truncate(16);
    hex
}

fn lines() -> impl Iterator<Item = [&'static str; 4]> {
    TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let mut fields = line.split('\t');
        [(); 4].map(|()| fields.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::super::expression::read_spdx;
    use super::*;

    #[test]
    fn every_line_of_the_table_is_whole_and_on_spdx_list() {
        for (number, line) in TABLE.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), 4, "line {}: {line}", number + 1);
            for one in fields[2].split(',') {
                assert!(
                    one.len() == 16 && one.bytes().all(|byte| byte.is_ascii_hexdigit()),
                    "line {}: {one}",
                    number + 1
                );
            }
            let read = read_spdx(fields[3]).unwrap_or_else(|| panic!("line {}: {}", number + 1, fields[3]));
            assert_eq!(read.to_string(), fields[3], "line {}: not in the form that we write", number + 1);
            for id in fields[3].split([' ', '(', ')']).filter(|part| part.starts_with("LicenseRef-")) {
                assert!(id.starts_with(&format!("LicenseRef-Debian-{}-", fields[0])), "line {}: {id}", number + 1);
            }
        }
    }

    #[test]
    fn a_fingerprint_outlives_a_new_year_and_nothing_else() {
        let one = fingerprint("Copyright 2020 A <a@example.org>\nYou may copy it.\n");
        assert_eq!(one, fingerprint("Copyright 2026 A <a@example.org>\nCopyright 2025 B\n  You may\n  copy it.\n"));
        assert_ne!(one, fingerprint("Copyright 2020 A <a@example.org>\nYou may not copy it.\n"));
    }
}
