//! What the base image brings, by dpkg's database in it.

use std::collections::BTreeMap;

use super::{Component, Kind, Licensing, Party, Source, identity};
use crate::deb822;
use crate::package::PackIndex;

/// A package that the base's database says is installed.
pub(super) struct BasePackage {
    pub(super) component: Component,
    pub(super) stanza: deb822::Stanza,
}

/// Returns the packages of a base, sorted by name; `release` is what purls name: (`debian`, `debian-13`).
pub(super) fn packages(base: &PackIndex, release: Option<(&str, &str)>, supplier: Option<&Party>) -> Vec<BasePackage> {
    let mut all = Vec::new();
    for text in base.installed_stanzas() {
        let Ok(stanza) = deb822::parse_one(&text) else { continue };
        let field = |name: &str| stanza.get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        let architecture = field("Architecture");
        let said = field("Source").unwrap_or_default();
        let (source, source_version) = match said.split_once(' ') {
            Some((source, rest)) => (source.to_owned(), rest.trim_matches(['(', ')', ' ']).to_owned()),
            None if said.is_empty() => (name.clone(), version.clone()),
            None => (said, version.clone()),
        };
        let purl = debian_purl(
            (release.map(|(id, _)| id), release.map(|(_, release)| release)),
            (&name, &version, architecture.as_deref()),
            (&source, &source_version),
        );
        let component = Component {
            kind: Kind::Debian,
            supplier: supplier.cloned(),
            originator: field("Maintainer").and_then(|text| Party::parse(&text)),
            purl,
            cpe: Some(identity::cpe_of_debian(&source, &source_version)),
            sha256: None,
            sha512: None,
            file_name: None,
            source: Some(Source { name: source, version: source_version, location: None }),
            homepage: field("Homepage").and_then(|text| identity::web_address(&text)),
            download: None,
            summary: field("Description").and_then(|text| text.lines().next().map(str::to_owned)),
            licensing: Licensing::default(),
            depends: Vec::new(),
            absent: Vec::new(),
            reason: "base image".to_owned(),
            layer: None,
            of_base: true,
            within: None,
            name,
            version,
            architecture,
        };
        all.push(BasePackage { component, stanza });
    }
    all.sort_by(|a, b| {
        (&a.component.name, &a.component.architecture).cmp(&(&b.component.name, &b.component.architecture))
    });
    all.dedup_by(|a, b| {
        (&a.component.name, &a.component.architecture) == (&b.component.name, &b.component.architecture)
    });
    all
}

/// Returns a Debian package's purl, as scanners write it: `upstream` is the source package, with its version where that
/// is another.
pub(super) fn debian_purl(
    (namespace, release): (Option<&str>, Option<&str>),
    (name, version, architecture): (&str, &str, Option<&str>),
    (source, source_version): (&str, &str),
) -> Option<String> {
    let mut qualifiers = Vec::new();
    if let Some(architecture) = architecture {
        qualifiers.push(("arch", architecture.to_owned()));
    }
    if let Some(release) = release {
        qualifiers.push(("distro", release.to_owned()));
    }
    if source_version != version {
        qualifiers.push(("upstream", format!("{source}@{source_version}")));
    } else if source != name {
        qualifiers.push(("upstream", source.to_owned()));
    }
    identity::purl("deb", namespace, name, version, &qualifiers)
}

/// Returns which package of the base each path (no leading slash) belongs to, by the lists in its database.
pub(super) fn owners(base: &PackIndex) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for (number, text) in &base.texts {
        let Some(entry) = usize::try_from(*number).ok().and_then(|number| base.entries.get(number)) else { continue };
        let Ok(text) = std::str::from_utf8(text) else { continue };
        let mut add = |name: &str, path: &str| {
            let path = path.trim_start_matches('/').trim_end();
            for path in [path.to_owned(), format!("usr/{path}")] {
                owners.entry(path).or_insert_with(|| name.to_owned());
            }
        };
        if let Some(name) = entry.path.strip_prefix("var/lib/dpkg/status.d/") {
            if let Some(name) = name.strip_suffix(".md5sums") {
                text.lines().filter_map(|line| line.split_once("  ")).for_each(|(_, path)| add(name, path));
            }
        } else if let Some(name) = entry.path.strip_prefix("var/lib/dpkg/info/") {
            let name = name.trim_end_matches(".list").split(':').next().unwrap_or(name);
            text.lines().for_each(|path| add(name, path));
        }
    }
    owners
}
