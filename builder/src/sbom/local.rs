//! What the spec says of its own files: components that no archive has.

use std::collections::BTreeMap;

use super::{Component, Kind, Licensing, Party, expression, identity};
use crate::digest::{Digest, Sha512};
use crate::package::EntryKind;
use crate::package::local::LocalPack;
use crate::spec::{FileSource, Spec};

/// The spec's components, and which of them each entry of `files` belongs to.
#[derive(Debug, Default)]
pub(super) struct SpecComponents {
    pub(super) components: Vec<Component>,
    /// By number of the entry, the index into `components`.
    pub(super) of_entry: BTreeMap<usize, usize>,
}

/// Returns the components of a spec; entries that say the same name and version are one.
pub(super) fn components(spec: &Spec, local: &LocalPack) -> SpecComponents {
    let mut all: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (number, entry) in spec.files.iter().enumerate() {
        if let Some(component) = &entry.value.component {
            all.entry((&component.name, &component.version)).or_default().push(number);
        }
    }
    let mut found = SpecComponents::default();
    for ((name, version), entries) in all {
        let said = entries.iter().filter_map(|number| spec.files[*number].value.component.as_ref());
        let first = |of: &dyn Fn(&crate::spec::Component) -> Option<String>| said.clone().find_map(of);
        let supplier = first(&|one| one.supplier.clone()).and_then(|text| Party::parse_organization(&text));
        let license = first(&|one| one.license.clone());
        let known = license.as_deref().and_then(expression::valid);
        let comment = match (&license, &known) {
            (Some(text), None) => Some(format!("The spec says `{text}`, which is no SPDX expression")),
            (Some(_), Some(_)) => Some("As the spec says it".to_owned()),
            _ => None,
        };
        let fetched = entries.iter().find_map(|number| match &spec.files[*number].value.what {
            FileSource::Fetch { url, .. } => identity::web_address(url),
            _ => None,
        });
        let vendor = supplier.as_ref().map_or(name, |party| party.name.as_str());
        let only = only_file(local, &entries);
        for number in &entries {
            found.of_entry.insert(*number, found.components.len());
        }
        found.components.push(Component {
            kind: Kind::Spec,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: None,
            originator: supplier.clone(),
            cpe: Some(identity::cpe(&vendor.replace(' ', "_"), name, version)),
            purl: identity::purl("generic", None, name, version, &[]),
            sha256: only.as_ref().map(|(_, digest, _)| *digest),
            sha512: only.as_ref().and_then(|(.., sha512)| *sha512),
            file_name: only.map(|(name, ..)| name),
            source: None,
            homepage: None,
            download: fetched,
            summary: None,
            licensing: Licensing { declared: known.clone(), concluded: known, copyright: None, comment },
            supplier,
            depends: Vec::new(),
            absent: Vec::new(),
            reason: entries.iter().map(|number| format!("files[{number}]")).collect::<Vec<_>>().join(", "),
            layer: None,
            of_base: false,
            within: None,
        });
    }
    found
}

/// Returns name and digests of the file that these entries consist of, where it is one.
fn only_file(local: &LocalPack, entries: &[usize]) -> Option<(String, Digest, Option<Sha512>)> {
    let mut files = local.entry_of.iter().zip(&local.index.entries).enumerate().filter_map(|(at, (of, entry))| {
        let of = usize::try_from(*of).ok()?;
        match &entry.kind {
            EntryKind::File(facts) if entries.contains(&of) => Some((at, entry, facts)),
            _ => None,
        }
    });
    let (at, entry, facts) = files.next()?;
    if files.next().is_some() {
        return None;
    }
    let name = entry.path.rsplit('/').next().unwrap_or(&entry.path).to_owned();
    let sha512 = u32::try_from(at).ok().and_then(|at| local.sha512.get(&at).copied());
    Some((name, facts.digest, sha512))
}
