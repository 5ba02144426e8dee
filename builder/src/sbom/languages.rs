//! Packages of languages that stand in an image: of Debian packages, of the spec's files, of a base.

use super::{Component, Depends, Inventory, Kind, Licensing, Party, identity};
use crate::languages;

/// Adds the packages that these files tell of, each a path (no leading slash) and its text; components, and the owners of
/// files, are there already.
///
/// What a Debian package ships stays that package's, and stands within it; what nobody else owns becomes its own.
pub(super) fn add<'a>(inventory: &mut Inventory, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
    for package in languages::find(files) {
        let number = inventory.components.len();
        let place = |path: &str| inventory.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok();
        let Some(metadata) = place(&package.metadata) else { continue };
        let owner = inventory.files[metadata].owner;
        let above = &inventory.components[owner];
        let own = matches!(above.kind, Kind::Image | Kind::Base);
        let author = package.author.as_deref().and_then(Party::parse);
        let supplier = if own { author.clone() } else { above.supplier.clone() };
        let licensing = Licensing {
            declared: package.license.clone(),
            concluded: package.license.clone().or_else(|| above.licensing.concluded.clone().filter(|_| !own)),
            copyright: above.licensing.copyright.clone().filter(|_| !own),
            comment: Some(match package.license {
                Some(_) => "As the package's own metadata says".to_owned(),
                None => "The package's own metadata names no licence for certain".to_owned(),
            }),
        };
        let component = Component {
            kind: Kind::Language(package.language.purl_type()),
            purl: package.purl(),
            name: package.name,
            version: package.version,
            architecture: None,
            supplier,
            originator: author,
            cpe: None,
            sha256: None,
            sha512: None,
            file_name: None,
            source: None,
            homepage: package.homepage.as_deref().and_then(identity::web_address),
            download: None,
            summary: package.summary,
            licensing,
            depends: Vec::new(),
            absent: Vec::new(),
            reason: format!("/{}", package.metadata),
            layer: above.layer,
            of_base: above.of_base,
            within: (!own).then_some(owner),
        };
        if own {
            let listed: Vec<usize> = package.files.iter().filter_map(|path| place(path)).collect();
            // npm writes no list: what stands in the module's directory is its, but for the modules below.
            let directory = package.metadata.rsplit_once('/').map_or("", |(directory, _)| directory);
            let below = |path: &str| {
                let rest = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
                rest.is_some_and(|rest| !rest.split('/').any(|part| part == "node_modules"))
            };
            let is_module = package.language == languages::Language::Node && !directory.is_empty();
            for (at, file) in inventory.files.iter_mut().enumerate().filter(|(_, file)| file.owner == owner) {
                if at == metadata || listed.binary_search(&at).is_ok() || is_module && below(file.path.as_str()) {
                    file.owner = number;
                }
            }
            inventory.components[owner].depends.push(Depends { on: number, relation: None });
        }
        inventory.components.push(component);
    }
    for component in &mut inventory.components {
        component.depends.sort();
        component.depends.dedup();
    }
}
