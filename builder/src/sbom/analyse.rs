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
    Component, Depends, Distro, Error, File, Inventory, Kind, Known, Licensing, Party, identity, languages, underlying,
};
use crate::digest::Sha512;
use crate::image::{self, OpenImage, Opened, Rootfs};
use crate::license::{Package, Refs};
use crate::package::base::{BaseFile, BaseReader, base_index};
use crate::package::rootfs::RootDirectory;
use crate::package::{Entry, EntryKind, PackIndex};
use crate::tar::read;
use crate::tree::{ImagePath, Origin};

/// Why a file is in that no database names.
pub(super) const UNOWNED: &str = "named by no package database of the image";

/// Databases of other package managers, which are not read.
const UNREAD: [(&str, &str); 9] = [
    ("apk", "lib/apk/db/installed"),
    ("apk", "usr/lib/apk/db/installed"),
    ("rpm", "var/lib/rpm/rpmdb.sqlite"),
    ("rpm", "var/lib/rpm/Packages"),
    ("rpm", "var/lib/rpm/Packages.db"),
    ("rpm", "usr/lib/sysimage/rpm/rpmdb.sqlite"),
    ("rpm", "usr/lib/sysimage/rpm/Packages.db"),
    ("pacman", "var/lib/pacman/local"),
    ("opkg", "usr/lib/opkg/status"),
];

/// Returns the inventory of one image of `open`, called `name` in the documents; `scratch` is a temporary file that holds
/// one file of the image at a time.
///
/// # Errors
/// A layer that is not what its digests say, that is malformed or beyond a bound.
pub fn analyse(open: &OpenImage, one: &Opened, name: &str, scratch: &Scratch) -> Result<Inventory, Error> {
    let failed = |source| Error::Analyse { image: open.name().to_owned(), source: Box::new(source) };
    let index = index(open, one, scratch).map_err(failed)?;
    Ok(Analysis { index: &index }.made(begun(one, name)))
}

/// Returns the inventory of a root file system that stands in a directory, called `name` in the documents.
///
/// It has no manifest: documents are named by what stands in it, and carry the time of its newest file.
pub fn analyse_directory(directory: &RootDirectory, name: &str) -> Inventory {
    let analysis = Analysis { index: &directory.index };
    let mut inventory = Inventory {
        name: name.to_owned(),
        digest: directory.digest(),
        platform: "linux".to_owned(),
        created: directory.newest.clamp(0, crate::lock::MAX_TIME),
        author: None,
        known: Known::Scanned,
        remarks: Vec::new(),
        distro: None,
        components: vec![whole(name, directory.digest().to_string())],
        files: Vec::new(),
        license_texts: BTreeMap::new(),
    };
    inventory.remarks.extend(directory.left_out.iter().map(|(path, why)| format!("`{path}` is left out: {why}")));
    if let more @ 1.. = directory.left_out_count - directory.left_out.len() {
        inventory.remarks.push(format!("{more} more places are left out"));
    }
    analysis.made(inventory)
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
}

impl Analysis<'_> {
    /// Completes an inventory that holds the image alone.
    fn made(&self, mut inventory: Inventory) -> Inventory {
        inventory.distro = self.distro();
        inventory.remarks.extend(self.unread());
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

    fn distro(&self) -> Option<Distro> {
        ["usr/lib/os-release", "etc/os-release"].into_iter().find_map(|path| {
            let EntryKind::File(facts) = &self.entry(path)?.kind else { return None };
            distro_of(path, facts.digest, std::str::from_utf8(self.index.text_at(path)?).ok()?)
        })
    }

    /// Tells of package databases whose packages are not listed.
    fn unread(&self) -> impl Iterator<Item = String> {
        UNREAD.iter().filter(|(_, path)| self.entry(path).is_some()).map(|(manager, path)| {
            format!("The package database of {manager} at `{path}` is not read: its packages are listed as files alone")
        })
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

/// Returns an inventory that holds the image alone.
fn begun(one: &Opened, name: &str) -> Inventory {
    let digest = one.descriptor.digest;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let config = &one.config;
    let label = |name: &str| {
        let value = config["config"]["Labels"][format!("org.opencontainers.image.{name}")].as_str();
        value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let architecture = text(&config["architecture"]);
    let created = config["created"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let vendor = label("vendor").or_else(|| label("authors")).and_then(|text| Party::parse_organization(&text));
    let image = Component {
        supplier: vendor.clone(),
        originator: vendor,
        purl: identity::purl("oci", None, &name.to_lowercase(), &digest.to_string(), &[("arch", architecture.clone())]),
        sha256: Some(digest),
        sha512: Some(Sha512::of(&one.manifest_bytes)),
        file_name: Some(digest.hex()),
        homepage: label("url").and_then(|text| identity::web_address(&text)),
        summary: label("description"),
        licensing: Licensing {
            declared: label("licenses").and_then(|text| super::expression::valid(&text)),
            ..Licensing::default()
        },
        ..whole(name, label("version").unwrap_or_else(|| digest.to_string()))
    };
    Inventory {
        name: name.to_owned(),
        digest,
        platform: format!("{}/{architecture}", text(&config["os"])),
        // Documents carry a time that the image has: writing them again gives the same bytes.
        created: created.map_or(0, |time| time.as_second().clamp(0, crate::lock::MAX_TIME)),
        author: None,
        known: Known::Analysed,
        remarks: Vec::new(),
        distro: None,
        components: vec![image],
        files: Vec::new(),
        license_texts: BTreeMap::new(),
    }
}

/// Returns the component that holds all others.
fn whole(name: &str, version: String) -> Component {
    Component {
        kind: Kind::Image,
        name: name.to_owned(),
        version,
        architecture: None,
        supplier: None,
        originator: None,
        purl: None,
        cpe: None,
        sha256: None,
        sha512: None,
        file_name: None,
        source: None,
        homepage: None,
        download: None,
        summary: None,
        licensing: Licensing::default(),
        depends: Vec::new(),
        absent: Vec::new(),
        reason: String::new(),
        layer: None,
        of_base: false,
        within: None,
    }
}

/// Returns the kept texts of an index by path.
fn texts(index: &PackIndex) -> impl Iterator<Item = (&str, &[u8])> {
    index.texts.iter().filter_map(|(number, text)| {
        let entry = index.entries.get(usize::try_from(*number).ok()?)?;
        crate::languages::is_read(&entry.path).then_some((entry.path.as_str(), text.as_slice()))
    })
}
