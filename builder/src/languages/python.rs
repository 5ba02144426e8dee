//! Python's distributions: `NAME-VERSION.dist-info/METADATA` and `.egg-info/PKG-INFO`, also as one file.

use super::{Language, LanguagePackage, named_license, value};
use crate::license;

/// The most lines of a list of files.
const MAX_FILES: usize = 200_000;

/// Trove classifiers that name one licence and no other.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("OSI Approved :: MIT License", "MIT"),
    ("OSI Approved :: ISC License (ISCL)", "ISC"),
    ("OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("OSI Approved :: GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("OSI Approved :: GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("OSI Approved :: GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("OSI Approved :: GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("OSI Approved :: GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    ("OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("OSI Approved :: GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("OSI Approved :: GNU Affero General Public License v3", "AGPL-3.0-only"),
    ("OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)", "AGPL-3.0-or-later"),
    ("OSI Approved :: Python Software Foundation License", "PSF-2.0"),
    ("OSI Approved :: The Unlicense (Unlicense)", "Unlicense"),
    ("OSI Approved :: Zope Public License", "ZPL-2.1"),
    ("OSI Approved :: Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
];

pub(super) fn is_read(parent: &str, name: &str) -> bool {
    is_metadata(parent, name) || name == "RECORD" && parent.ends_with(".dist-info")
}

pub(super) fn is_metadata(parent: &str, name: &str) -> bool {
    name == "METADATA" && parent.ends_with(".dist-info")
        || name == "PKG-INFO" && parent.ends_with(".egg-info")
        || name.ends_with(".egg-info") && (parent.ends_with("/dist-packages") || parent.ends_with("/site-packages"))
}

/// Reads core metadata: header fields in the form of e-mail, up to the first empty line.
pub(super) fn read(path: &str, text: &str, record: Option<&[u8]>) -> Option<LanguagePackage> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, text)) = fields.last_mut() {
                text.push(' ');
                text.push_str(line.trim());
            }
        } else if let Some((name, text)) = line.split_once(':') {
            fields.push((name, text.trim().to_owned()));
        }
    }
    let field = |wanted: &str| {
        let (_, text) = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        value(text)
    };
    let classified = || {
        let all: Vec<&str> = fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Classifier"))
            .filter_map(|(_, text)| text.strip_prefix("License :: "))
            .filter(|text| *text != "OSI Approved")
            .collect();
        // Several classifiers may be a choice, or all of them at once.
        let [one] = all.as_slice() else { return None };
        CLASSIFIERS.iter().find(|(name, _)| name == one).map(|(_, found)| (*found).to_owned())
    };
    let license = match field("License-Expression") {
        Some(text) => license::read_spdx(&text).map(|found| found.to_string()),
        None => field("License").and_then(|text| named_license(&text)).or_else(classified),
    };
    let homepage = field("Home-page").or_else(|| {
        let urls = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Project-URL"));
        let mut urls = urls.filter_map(|(_, text)| text.split_once(','));
        urls.find(|(label, _)| label.trim().eq_ignore_ascii_case("homepage")).and_then(|(_, url)| value(url))
    });
    Some(LanguagePackage {
        language: Language::Python,
        name: field("Name")?,
        version: field("Version")?,
        license,
        summary: field("Summary"),
        homepage,
        author: field("Author"),
        metadata: path.to_owned(),
        files: record.map(|record| files(path, record)).unwrap_or_default(),
    })
}

/// Reads `RECORD` (PEP 376): lines of `path,hash,size`, paths as seen from the directory that holds the metadata's.
fn files(path: &str, record: &[u8]) -> Vec<String> {
    let site = path.rsplit('/').nth(2).map_or("", |_| {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        parent.rsplit_once('/').map_or("", |(site, _)| site)
    });
    let text = String::from_utf8_lossy(record);
    let mut files: Vec<String> = Vec::new();
    for line in text.lines().take(MAX_FILES) {
        let entry = match line.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').map_or("", |(path, _)| path),
            None => line.rsplitn(3, ',').nth(2).unwrap_or_default(),
        };
        let mut parts: Vec<&str> = if entry.starts_with('/') { Vec::new() } else { site.split('/').collect() };
        let mut inside = !entry.is_empty();
        for part in entry.split('/') {
            match part {
                "" | "." => {}
                ".." => inside &= parts.pop().is_some(),
                part => parts.push(part),
            }
        }
        if inside {
            files.push(parts.join("/"));
        }
    }
    files.sort_unstable();
    files.dedup();
    files
}
