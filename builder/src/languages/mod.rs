//! Packages of languages' own package managers, told by what they leave beside their code: Python's core metadata, npm's
//! `package.json`, Ruby's specifications.
//!
//! In: paths and texts of an image's files. Out: [`LanguagePackage`]s, sorted. Nothing is run, nothing is guessed from
//! the code itself; a file that is malformed names no package. Perl's packages of Debian leave no such files, so there
//! dpkg's word is the only one; what is inside of archives (jars, wheels, eggs) is not looked at.

mod node;
mod python;
mod ruby;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::license;

/// The most packages of one image.
const MAX_PACKAGES: usize = 100_000;
/// The most bytes of one value that is kept.
const MAX_VALUE: usize = 1_000;

/// A language whose package manager leaves metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// Python: distributions (core metadata specification 2.4; PEP 376, PEP 639).
    Python,
    /// Node: modules (npm's `package.json`).
    Node,
    /// Ruby: gems.
    Ruby,
}

impl Language {
    /// Returns the type of its packages in a package URL (purl-spec, types).
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Python => "pypi",
            Self::Node => "npm",
            Self::Ruby => "gem",
        }
    }
}

/// One package as its metadata tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LanguagePackage {
    /// Whose it is.
    pub language: Language,
    /// Its name as the language writes it: `ruamel.yaml`, `@scope/name`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it says of its licence, as an SPDX expression; `None` where that is not certain.
    pub license: Option<String>,
    /// What it says of itself in one line.
    pub summary: Option<String>,
    /// Its page.
    pub homepage: Option<String>,
    /// Who wrote it, by name.
    pub author: Option<String>,
    /// Path of the file that says so, without leading slash: whoever owns it owns the package.
    pub metadata: String,
    /// Paths of its files where a list of them is there, without leading slash, sorted; else empty.
    pub files: Vec<String>,
}

impl LanguagePackage {
    /// Returns its package URL; `None` of a name or version that no URL can hold.
    pub fn purl(&self) -> Option<String> {
        let (namespace, name) = match self.language {
            // PEP 503: letters of either case, `-`, `_` and `.` are one.
            Language::Python => (None, self.name.to_lowercase().replace('_', "-")),
            Language::Node => match self.name.split_once('/') {
                Some((scope, name)) => (Some(scope.to_owned()), name.to_owned()),
                None => (None, self.name.clone()),
            },
            Language::Ruby => (None, self.name.clone()),
        };
        let mut purl = packageurl::PackageUrl::new(self.language.purl_type(), name).ok()?;
        if let Some(namespace) = namespace {
            purl.with_namespace(namespace).ok()?;
        }
        purl.with_version(self.version.clone()).ok()?;
        Some(purl.to_string())
    }
}

/// Returns whether [`find`] reads the file at this path (no leading slash).
pub fn is_read(path: &str) -> bool {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    python::is_read(parent, name) || node::is_read(parent, name) || ruby::is_read(parent, name)
}

/// Returns the packages that these files tell of, sorted; each file is its path and its text, of those that [`is_read`]
/// takes. What follows 100,000 packages is left out.
pub fn find<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<LanguagePackage> {
    let files: BTreeMap<&str, &[u8]> = files.into_iter().collect();
    let mut all = BTreeSet::new();
    for (path, text) in &files {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let text = String::from_utf8_lossy(text);
        let found = if python::is_metadata(parent, name) {
            python::read(path, &text, files.get(format!("{parent}/RECORD").as_str()).copied())
        } else if node::is_read(parent, name) {
            node::read(path, &text)
        } else if ruby::is_read(parent, name) {
            ruby::read(path, &text)
        } else {
            None
        };
        all.extend(found);
        if all.len() >= MAX_PACKAGES {
            break;
        }
    }
    all.into_iter().collect()
}

/// Returns a value without control characters around and inside, at most 1000 bytes; `None` of nothing.
fn value(text: &str) -> Option<String> {
    let mut value: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = value.len().min(MAX_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.truncate(end);
    if value.is_empty() || value == "UNKNOWN" { None } else { Some(value) }
}

/// Returns the SPDX expression for a free text that names a licence, where it is certain which one.
fn named_license(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 200 {
        return None;
    }
    if let Some(found) = license::read_spdx(text) {
        return Some(found.to_string());
    }
    let lower = text.to_lowercase();
    let (_, found) = NAMES.iter().find(|(name, _)| *name == lower)?;
    Some((*found).to_owned())
}

/// Free texts, in lower case, that name one licence and no other.
const NAMES: &[(&str, &str)] = &[
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache-2.0 license", "Apache-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("modified bsd license", "BSD-3-Clause"),
    ("new bsd", "BSD-3-Clause"),
    ("2-clause bsd", "BSD-2-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("expat", "MIT"),
    ("expat license", "MIT"),
    ("mit", "MIT"),
    ("mit license", "MIT"),
    ("the mit license", "MIT"),
    ("the mit license (mit)", "MIT"),
    ("isc", "ISC"),
    ("isc license", "ISC"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("lgplv2+", "LGPL-2.0-or-later"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mpl 2.0", "MPL-2.0"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("psf", "PSF-2.0"),
    ("python software foundation license", "PSF-2.0"),
    ("the unlicense", "Unlicense"),
    ("zpl 2.1", "ZPL-2.1"),
    ("zpl-2.1", "ZPL-2.1"),
];
