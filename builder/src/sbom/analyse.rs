//! Makes the inventory of an image that somebody else built, by what stands in it.
//!
//! What a package database names is found, with dependencies, licences and files; languages' own packages too. What no
//! database in the image names is listed as files of the image. Such a document says that it was made by analysis: what
//! it does not name may be there all the same.

use std::collections::BTreeMap;
use std::fs::File as Scratch;

use serde_json::Value;

use super::copyright::{self, Copyrights};
use super::depends::{Installed, Universe};
use super::inventory::distro_of;
use super::{
    Component, Depends, Error, File, Inventory, Kind, Known, Licensing, Party, identity, languages, underlying,
};
use crate::digest::Sha512;
use crate::image::{self, OpenImage, Opened, Rootfs};
use crate::license::{Package, Refs};
use crate::package::base::{BaseFile, BaseReader, base_index};
use crate::package::{Entry, EntryKind, PackIndex};
use crate::tar::read;
use crate::tree::{ImagePath, Origin};

/// Why a file is in that no database names.
pub(super) const UNOWNED: &str = "named by no package database of the image";

/// Returns the inventory of one image of `open`, called `name` in the documents; `scratch` is a temporary file that holds
/// one file of the image at a time.
///
/// # Errors
/// A layer that is not what its digests say, that is malformed or beyond a bound.
pub fn analyse(open: &OpenImage, one: &Opened, name: &str, scratch: &Scratch) -> Result<Inventory, Error> {
    let failed = |source| Error::Analyse { image: open.name().to_owned(), source: Box::new(source) };
    let index = index(open, one, scratch).map_err(failed)?;
    Ok(Analysis { index: &index, one, name }.made())
}

/// Returns what stands in the image when its layers are stacked.
fn index(open: &OpenImage, one: &Opened, scratch: &Scratch) -> Result<PackIndex, image::Error> {
    let invalid = |problem: String| image::Error::Invalid { image: open.name().to_owned(), problem };
    let mut reader = BaseReader::new(scratch);
    let rootfs: Rootfs<Option<BaseFile>> = Rootfs::read(open, one, &mut |entry, body| {
        if entry.kind != read::Kind::File {
            return Ok(None);
        }
        let file = reader.file(entry.path.as_str(), entry.size, body);
        file.map(Some).map_err(|error| invalid(format!("`/{}`: {error}", entry.path)))
    })?;
    let mut nodes = Vec::with_capacity(rootfs.nodes.len());
    for (path, node) in rootfs.nodes {
        let (kind, text) = match (node.kind, node.content) {
            (read::Kind::Directory, _) => (EntryKind::Directory, None),
            (read::Kind::Symlink(target), _) => (EntryKind::Symlink(target), None),
            (_, Some(file)) => (EntryKind::File(file.facts), file.text),
            // A hard link to what is not there: a container engine fails on it, or makes nothing of it.
            (_, None) => continue,
        };
        let entry = Entry { path, kind, mode: node.mode, uid: node.uid, gid: node.gid, mtime: 0, xattrs: node.xattrs };
        nodes.push((entry, text));
    }
    Ok(base_index(one.descriptor.digest, nodes))
}

struct Analysis<'a> {
    index: &'a PackIndex,
    one: &'a Opened,
    name: &'a str,
}

impl Analysis<'_> {
    fn made(&self) -> Inventory {
        let mut inventory = self.begun();
        let release = inventory.distro.as_ref().map(|distro| {
            let version = if distro.version.is_empty() { String::new() } else { format!("-{}", distro.version) };
            (distro.id.clone(), format!("{}{version}", distro.id))
        });
        let supplier = inventory
            .distro
            .as_ref()
            .map(|distro| Party::organization(if distro.id == "debian" { "Debian" } else { &distro.pretty_name }));
        let names = release.as_ref().map(|(id, release)| (id.as_str(), release.as_str()));
        let packages = underlying::packages(self.index, names, supplier.as_ref());
        let places: BTreeMap<String, usize> =
            (1..).zip(&packages).map(|(number, package)| (package.component.name.clone(), number)).collect();

        let installed: Vec<Installed<'_>> = packages
            .iter()
            .filter_map(|package| {
                let field = |name: &str| package.stanza.get(name).map(str::to_owned);
                Installed::new(&package.component.name, &package.component.version, &field)
            })
            .collect();
        let universe = Universe::new(&installed);
        let mut depends: BTreeMap<usize, BTreeMap<usize, Option<String>>> = BTreeMap::new();
        for package in &installed {
            let number = places[package.name];
            for satisfied in universe.resolved(package) {
                if let Some(on) = places.get(&satisfied.by).filter(|on| **on != number) {
                    depends.entry(number).or_default().entry(*on).or_insert(satisfied.choice);
                }
            }
        }

        let owners = underlying::owners(self.index);
        let mut shipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in self.index.entries.iter().filter(|entry| matches!(entry.kind, EntryKind::File(_))) {
            if let Some(owner) = owners.get(&entry.path) {
                shipped.entry(owner).or_default().push(&entry.path);
            }
        }
        let copyrights = Copyrights::of(std::iter::once(self.index));
        let mut refs = Refs::default();
        for (number, package) in (1..).zip(packages) {
            let mut component = package.component;
            let owner = Package {
                name: &component.name,
                source: component.source.as_ref().map_or("", |source| source.name.as_str()),
                architecture: component.architecture.as_deref().unwrap_or_default(),
                files: shipped.get(component.name.as_str()).map(Vec::as_slice).unwrap_or_default(),
            };
            component.licensing = copyrights.read(&owner, &mut refs);
            component.of_base = false;
            component.reason = "named by the image's package database".to_owned();
            let on = depends.remove(&number).unwrap_or_default();
            component.depends = on.into_iter().map(|(on, relation)| Depends { on, relation }).collect();
            inventory.components.push(component);
        }
        let all = 1..inventory.components.len();
        inventory.components[0].depends = all.map(|on| Depends { on, relation: None }).collect();
        self.add_files(&mut inventory, &owners, &places);
        languages::add(&mut inventory, texts(self.index));
        inventory.license_texts = copyright::texts(refs);
        copyright::of_the_whole(&mut inventory);
        inventory
    }

    /// Returns an inventory that holds the image alone.
    fn begun(&self) -> Inventory {
        let digest = self.one.descriptor.digest;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let config = &self.one.config;
        let label = |name: &str| {
            let value = config["config"]["Labels"][format!("org.opencontainers.image.{name}")].as_str();
            value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let architecture = text(&config["architecture"]);
        let created = config["created"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let vendor = label("vendor").or_else(|| label("authors")).and_then(|text| Party::parse_organization(&text));
        let image = Component {
            kind: Kind::Image,
            name: self.name.to_owned(),
            version: label("version").unwrap_or_else(|| digest.to_string()),
            architecture: None,
            supplier: vendor.clone(),
            originator: vendor,
            purl: identity::purl(
                "oci",
                None,
                &self.name.to_lowercase(),
                &digest.to_string(),
                &[("arch", architecture.clone())],
            ),
            cpe: None,
            sha256: Some(digest),
            sha512: Some(Sha512::of(&self.one.manifest_bytes)),
            file_name: Some(digest.hex()),
            source: None,
            homepage: label("url").and_then(|text| identity::web_address(&text)),
            download: None,
            summary: label("description"),
            licensing: Licensing {
                declared: label("licenses").and_then(|text| super::expression::valid(&text)),
                ..Licensing::default()
            },
            depends: Vec::new(),
            absent: Vec::new(),
            reason: String::new(),
            layer: None,
            of_base: false,
            within: None,
        };
        let distro = ["usr/lib/os-release", "etc/os-release"].into_iter().find_map(|path| {
            let EntryKind::File(facts) = &self.entry(path)?.kind else { return None };
            distro_of(path, facts.digest, std::str::from_utf8(self.index.text_at(path)?).ok()?)
        });
        Inventory {
            name: self.name.to_owned(),
            digest,
            platform: format!("{}/{architecture}", text(&config["os"])),
            // Documents carry a time that the image has: writing them again gives the same bytes.
            created: created.map_or(0, |time| time.as_second().clamp(0, crate::lock::MAX_TIME)),
            author: None,
            known: Known::Analysed,
            distro,
            components: vec![image],
            files: Vec::new(),
            license_texts: BTreeMap::new(),
        }
    }

    fn entry(&self, path: &str) -> Option<&Entry> {
        self.index.entries.iter().find(|entry| entry.path == path)
    }

    fn add_files(
        &self,
        inventory: &mut Inventory,
        owners: &BTreeMap<String, String>,
        places: &BTreeMap<String, usize>,
    ) {
        for entry in &self.index.entries {
            let (EntryKind::File(facts), Ok(path)) = (&entry.kind, ImagePath::parse(&entry.path)) else { continue };
            let owner = owners.get(&entry.path).filter(|name| places.contains_key(*name));
            inventory.files.push(File {
                path,
                sha1: facts.sha1,
                sha256: facts.digest,
                size: facts.size,
                executable: facts.elf.is_some() || facts.shebang.is_some() || entry.mode & 0o111 != 0,
                owner: owner.map_or(0, |name| places[name]),
                origin: owner.map_or(Origin::Base, |name| Origin::Package(name.clone())),
                reason: if owner.is_some() { String::new() } else { UNOWNED.to_owned() },
            });
        }
        inventory.files.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    }
}

/// Returns the kept texts of an index by path.
fn texts(index: &PackIndex) -> impl Iterator<Item = (&str, &[u8])> {
    index.texts.iter().filter_map(|(number, text)| {
        let entry = index.entries.get(usize::try_from(*number).ok()?)?;
        crate::languages::is_read(&entry.path).then_some((entry.path.as_str(), text.as_slice()))
    })
}
