//! Makes the inventory of an image that was built.

use std::collections::BTreeMap;

use super::copyright::{self, Copyrights};
use super::depends::{Installed, Universe};
use super::underlying::{self, BasePackage, debian_purl};
use super::{
    Component, Depends, Distro, Error, File, Inventory, Kind, Known, Licensing, Party, Source, expression, identity,
    languages, local,
};
use crate::digest::{Digest, Sha512};
use crate::image::Image;
use crate::license::{Package, Refs};
use crate::lock::{Lock, LockedPackage, Why};
use crate::package::PackIndex;
use crate::package::local::LocalPack;
use crate::select::Selection;
use crate::spec::Spec;
use crate::tree::{ImagePath, Origin};

/// Returns where a file of an archive is published for good, by the archive's name, its address where the spec names it,
/// the date of the metadata that names the file, and the file's path.
pub type Published<'a> = &'a dyn Fn(&str, Option<&str>, i64, &str) -> Option<String>;

/// What an inventory is made from.
#[derive(Clone, Copy)]
pub struct InventoryInput<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Its lock.
    pub lock: &'a Lock,
    /// The opened packages of the platform, by name.
    pub packs: &'a BTreeMap<String, PackIndex>,
    /// The spec's own files.
    pub local: &'a LocalPack,
    /// What stands in the image that is built on.
    pub base: Option<&'a PackIndex>,
    /// What is in the image.
    pub selection: &'a Selection,
    /// The image.
    pub image: &'a Image,
    /// Where files of archives are published.
    pub published: Published<'a>,
}

impl Inventory {
    /// Returns the inventory of an image: a function of what it was made from.
    ///
    /// # Errors
    /// Parts that do not belong together: a package without its pack, a platform that the lock lacks.
    pub fn of(input: &InventoryInput<'_>) -> Result<Self, Error> {
        let base_owners = input.base.map(underlying::owners).unwrap_or_default();
        let mut shipped = Shipped::new();
        for (path, kept) in &input.selection.nodes {
            let package = match &kept.origin {
                Origin::Package(name) => (false, name),
                Origin::Base => match base_owners.get(path.as_str()) {
                    Some(name) => (true, name),
                    None => continue,
                },
                Origin::Derived(_) | Origin::Spec(_) => continue,
            };
            shipped.entry((package.0, package.1.clone())).or_default().push(path.as_str());
        }
        Maker {
            input,
            inventory: begun(input),
            places: BTreeMap::new(),
            base_owners,
            shipped,
            copyrights: Copyrights::of(input.packs.values()),
            refs: Refs::default(),
        }
        .made()
    }
}

/// Returns an inventory that holds the image alone.
fn begun(input: &InventoryInput<'_>) -> Inventory {
    let InventoryInput { spec, image, .. } = *input;
    let author = spec.sbom.author.as_deref().and_then(Party::parse_organization);
    let label = |name: &str| spec.labels.get(&format!("org.opencontainers.image.{name}")).cloned();
    let (name, digest) = (spec.image_name(), image.digest());
    let platform = image.platform();
    let arch = [("arch", platform.architecture().to_owned())];
    let declared = label("licenses").and_then(|text| expression::valid(&text));
    let source = label("source").and_then(|text| identity::web_address(&text));
    let whole = Component {
        kind: Kind::Image,
        name: name.clone(),
        version: label("version").filter(|text| !text.trim().is_empty()).unwrap_or_else(|| digest.to_string()),
        architecture: None,
        supplier: author.clone(),
        originator: author.clone(),
        purl: identity::purl("oci", None, &name.to_lowercase(), &digest.to_string(), &arch),
        cpe: None,
        sha256: Some(digest),
        sha512: Some(Sha512::of(image.manifest())),
        // Where its manifest stands in a layout (OCI image-spec 1.1, image layout).
        file_name: Some(digest.hex()),
        source: source.map(|location| Source {
            name: name.clone(),
            version: label("revision").unwrap_or_default(),
            location: Some(location),
        }),
        homepage: label("url").and_then(|text| identity::web_address(&text)),
        download: None,
        summary: label("description"),
        licensing: Licensing { declared, ..Licensing::default() },
        depends: Vec::new(),
        absent: Vec::new(),
        reason: String::new(),
        layer: None,
        of_base: false,
        within: None,
    };
    Inventory {
        name,
        digest,
        platform: platform.oci().to_owned(),
        created: input.lock.source_date,
        author,
        known: Known::Built,
        remarks: Vec::new(),
        distro: distro(input),
        components: vec![whole],
        files: Vec::new(),
        license_texts: BTreeMap::new(),
    }
}

/// Reads `os-release` where the image has it.
fn distro(input: &InventoryInput<'_>) -> Option<Distro> {
    ["usr/lib/os-release", "etc/os-release"].into_iter().find_map(|path| {
        let kept = input.selection.nodes.get(path)?;
        let index = match &kept.origin {
            Origin::Package(name) => input.packs.get(name)?,
            Origin::Base => input.base?,
            Origin::Spec(_) => &input.local.index,
            Origin::Derived(_) => return None,
        };
        distro_of(path, kept.digest?, std::str::from_utf8(index.text_at(path)?).ok()?)
    })
}

/// Reads an `os-release` (os-release(5)).
pub(super) fn distro_of(path: &str, digest: Digest, text: &str) -> Option<Distro> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
    };
    let id = field("ID").filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)))?;
    let pretty_name = field("PRETTY_NAME").unwrap_or_else(|| id.clone());
    let version = field("VERSION_ID").unwrap_or_default();
    Some(Distro { id, version, pretty_name, path: ImagePath::parse(path).ok()?, digest })
}

struct Maker<'a> {
    input: &'a InventoryInput<'a>,
    inventory: Inventory,
    /// Components by the package's name; packages of the lock before those of the base.
    places: BTreeMap<String, usize>,
    base_owners: BTreeMap<String, String>,
    /// Paths of the files in the image, by the package of the lock or of the base that ships them.
    shipped: Shipped<'a>,
    copyrights: Copyrights<'a>,
    refs: Refs,
}

/// Paths by package; `true` where it is of the base.
type Shipped<'a> = BTreeMap<(bool, String), Vec<&'a str>>;

impl<'a> Maker<'a> {
    fn made(mut self) -> Result<Inventory, Error> {
        let input = self.input;
        let platform = input.image.platform().oci();
        let locked = input.lock.platform.get(platform).ok_or_else(|| Error::Platform(platform.to_owned()))?;
        let base_packages = self.add_base();
        let mut roots = Vec::new();
        let mut packages: Vec<&LockedPackage> = locked.packages.iter().collect();
        packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        for package in &packages {
            if input.selection.packages.binary_search(&package.name).is_ok() {
                let number = self.inventory.components.len();
                let component = self.package(package)?;
                self.inventory.components.push(component);
                self.places.insert(package.name.clone(), number);
                if !matches!(package.why, Why::Dependency(_)) {
                    roots.push(number);
                }
            }
        }
        for (number, package) in base_packages.iter().enumerate() {
            self.places.entry(package.component.name.clone()).or_insert(2 + number);
        }
        self.add_dependencies(&packages, &base_packages)?;

        let spec = local::components(input.spec, input.local);
        let first = self.inventory.components.len();
        roots.extend(first..first + spec.components.len());
        self.inventory.components.extend(spec.components);
        if input.base.is_some() {
            roots.push(1);
        }
        // What nothing leads to depends on nothing that is in the image; the image brings it.
        let mut reached = vec![false; self.inventory.components.len()];
        let mut open = roots.clone();
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut reached[number], true) {
                open.extend(self.inventory.components[number].depends.iter().map(|depends| depends.on));
            }
        }
        roots.extend((1..reached.len()).filter(|number| !reached[*number]));
        roots.sort_unstable();
        roots.dedup();
        self.inventory.components[0].depends = roots.into_iter().map(|on| Depends { on, relation: None }).collect();

        self.add_files(first, &spec.of_entry);
        let before = self.inventory.components.len();
        languages::add(&mut self.inventory, language_texts(input));
        // Nothing says what they depend on or what depends on them; in the graph they hang on the image.
        let added = before..self.inventory.components.len();
        self.inventory.components[0].depends.extend(added.map(|on| Depends { on, relation: None }));
        self.inventory.license_texts = copyright::texts(self.refs);
        copyright::of_the_whole(&mut self.inventory);
        Ok(self.inventory)
    }

    /// Adds the base image and its packages.
    fn add_base(&mut self) -> Vec<BasePackage> {
        let Some(base) = self.input.base else { return Vec::new() };
        let digest = base.source;
        let arch = [("arch", self.input.image.platform().architecture().to_owned())];
        let image = Component {
            kind: Kind::Base,
            name: "base".to_owned(),
            version: digest.to_string(),
            supplier: None,
            originator: None,
            purl: identity::purl("oci", None, "base", &digest.to_string(), &arch),
            sha256: Some(digest),
            sha512: None,
            file_name: Some(digest.hex()),
            source: None,
            homepage: None,
            summary: None,
            licensing: Licensing::default(),
            reason: "base".to_owned(),
            of_base: true,
            ..self.inventory.image().clone()
        };
        self.inventory.components.push(image);
        let supplier = self.supplier_of_distro();
        let release = self.release();
        let names = release.as_ref().map(|(id, release)| (id.as_str(), release.as_str()));
        let mut packages = underlying::packages(base, names, supplier.as_ref());
        let copyrights = Copyrights::of(std::iter::once(base));
        for package in &mut packages {
            let component = &mut package.component;
            let source = component.source.as_ref().map_or(component.name.as_str(), |source| source.name.as_str());
            let owner = Package {
                name: &component.name,
                source,
                architecture: component.architecture.as_deref().unwrap_or_default(),
                files: files_of(&self.shipped, true, &component.name),
            };
            component.licensing = copyrights.read(&owner, &mut self.refs);
        }
        self.inventory.components.extend(packages.iter().map(|package| package.component.clone()));
        packages
    }

    /// Returns id and release of the distribution, as purls name them: (`debian`, `debian-13`).
    fn release(&self) -> Option<(String, String)> {
        let distro = self.inventory.distro.as_ref()?;
        let release =
            if distro.version.is_empty() { distro.id.clone() } else { format!("{}-{}", distro.id, distro.version) };
        Some((distro.id.clone(), release))
    }

    fn supplier_of_distro(&self) -> Option<Party> {
        let distro = self.inventory.distro.as_ref()?;
        Some(Party::organization(if distro.id == "debian" { "Debian" } else { &distro.pretty_name }))
    }

    /// Returns what is known of a locked package.
    fn package(&mut self, package: &LockedPackage) -> Result<Component, Error> {
        let input = self.input;
        let index = input.packs.get(&package.name).ok_or_else(|| Error::Missing(package.name.clone()))?;
        let field = |name: &str| index.field(name).map(str::trim).filter(|value| !value.is_empty());
        let source_version = package.source_version.as_deref().unwrap_or(&package.version);
        let originator = field("Maintainer").and_then(Party::parse);
        let is_local = package.local_path().is_some();
        let named = input.spec.archives.get(&package.archive);
        let release = self.release();
        let (namespace, supplier) = match named {
            _ if is_local => (None, originator.clone()),
            // An archive that the spec names is not the distribution's, whatever the image is.
            Some(_) => {
                (Some(identity::spdx_id(&package.archive).to_lowercase()), Some(Party::organization(&package.archive)))
            }
            None => (Some("debian".to_owned()), Some(Party::organization("Debian"))),
        };
        let purl = debian_purl(
            (namespace.as_deref(), release.as_ref().map(|(_, release)| release.as_str())),
            (&package.name, &package.version, Some(&package.architecture)),
            (&package.source, source_version),
        );
        let date = input.lock.set_of(package).map_or(input.lock.source_date, |set| set.date);
        let own = named.map(|archive| archive.uri.as_str());
        let file = |path: &str| {
            let address = (!is_local).then(|| (input.published)(&package.archive, own, date, path)).flatten()?;
            identity::web_address(&address)
        };
        // In the distribution's pool, sources stand beside what is built from them.
        let described = package.path.rsplit_once('/').filter(|_| named.is_none()).and_then(|(directory, _)| {
            let plain = source_version.split_once(':').map_or(source_version, |(_, rest)| rest);
            file(&format!("{directory}/{}_{plain}.dsc", package.source))
        });
        let owner = Package {
            name: &package.name,
            source: &package.source,
            architecture: &package.architecture,
            files: files_of(&self.shipped, false, &package.name),
        };
        let licensing = self.copyrights.read(&owner, &mut self.refs);
        let layers = input.selection.layers.iter().filter(|plan| !plan.is_empty()).zip(input.image.layers());
        let layer = layers.filter(|(plan, _)| plan.name == package.layer).map(|(_, layer)| layer.digest).next();
        Ok(Component {
            kind: Kind::Debian,
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: Some(package.architecture.clone()),
            supplier,
            originator,
            purl,
            cpe: Some(identity::cpe_of_debian(&package.source, source_version)),
            sha256: Some(package.digest),
            sha512: index.sha512,
            file_name: package.path.rsplit('/').next().map(str::to_owned),
            source: Some(Source {
                name: package.source.clone(),
                version: source_version.to_owned(),
                location: described,
            }),
            homepage: field("Homepage").and_then(identity::web_address),
            download: file(&package.path),
            summary: field("Description").and_then(|text| text.lines().next()).map(str::to_owned),
            licensing,
            depends: Vec::new(),
            absent: Vec::new(),
            reason: package.why.to_string(),
            layer,
            of_base: false,
            within: None,
        })
    }

    /// Adds to each package what its dependencies were satisfied by.
    fn add_dependencies(&mut self, locked: &[&LockedPackage], base: &[BasePackage]) -> Result<(), Error> {
        let input = self.input;
        let mut installed = Vec::new();
        for package in locked {
            let index = input.packs.get(&package.name).ok_or_else(|| Error::Missing(package.name.clone()))?;
            let field = |name: &str| index.field(name).map(str::to_owned);
            installed.extend(Installed::new(&package.name, &package.version, &field));
        }
        for package in base.iter().filter(|package| !locked.iter().any(|one| one.name == package.component.name)) {
            let field = |name: &str| package.stanza.get(name).map(str::to_owned);
            installed.extend(Installed::new(&package.component.name, &package.component.version, &field));
        }
        let universe = Universe::new(&installed);
        for package in &installed {
            let Some(&number) = self.places.get(package.name) else { continue };
            let mut depends = BTreeMap::new();
            let mut absent = Vec::new();
            for satisfied in universe.resolved(package) {
                match self.places.get(&satisfied.by) {
                    Some(&on) if on != number => {
                        depends.entry(on).or_insert(satisfied.choice);
                    }
                    Some(_) => {}
                    None => absent.push(satisfied.by),
                }
            }
            absent.sort();
            absent.dedup();
            let component = &mut self.inventory.components[number];
            component.depends = depends.into_iter().map(|(on, relation)| Depends { on, relation }).collect();
            component.absent = absent;
        }
        if input.base.is_some() {
            let parts = 2..2 + base.len();
            self.inventory.components[1].depends = parts.map(|on| Depends { on, relation: None }).collect();
        }
        Ok(())
    }

    /// Returns the component that a file belongs to; `first` and `of_entry` are as of [`Maker::add_files`].
    fn owner_of(&self, path: &str, origin: &Origin, first: usize, of_entry: &BTreeMap<usize, usize>) -> usize {
        let owner = match origin {
            Origin::Package(name) => self.places.get(name).copied(),
            Origin::Spec(entry) => entry_number(entry).and_then(|number| of_entry.get(&number)).map(|at| first + at),
            Origin::Derived(_) => None,
            Origin::Base => {
                let name = self.base_owners.get(path);
                let of_package = name.and_then(|name| self.places.get(name)).copied();
                Some(of_package.filter(|number| self.inventory.components[*number].of_base).unwrap_or(1))
            }
        };
        owner.unwrap_or(0)
    }

    /// Adds the files; `first` is the first of the spec's components, `of_entry` says which of them an entry belongs to.
    fn add_files(&mut self, first: usize, of_entry: &BTreeMap<usize, usize>) {
        for (path, kept) in &self.input.selection.nodes {
            let (Some(sha256), Some(sha1)) = (kept.digest, kept.sha1) else { continue };
            let owner = self.owner_of(path.as_str(), &kept.origin, first, of_entry);
            self.inventory.files.push(File {
                path: path.clone(),
                sha1,
                sha256,
                size: kept.size,
                executable: kept.executable,
                owner,
                origin: kept.origin.clone(),
                reason: kept.reason.clone(),
            });
        }
    }
}

/// Returns the metadata of languages' packages that is in the image, by path.
fn language_texts<'a>(input: &InventoryInput<'a>) -> Vec<(&'a str, &'a [u8])> {
    let paths = input.selection.nodes.iter().filter(|(path, _)| crate::languages::is_read(path.as_str()));
    paths
        .filter_map(|(path, kept)| {
            let index = match &kept.origin {
                Origin::Package(name) => input.packs.get(name)?,
                Origin::Spec(_) => &input.local.index,
                Origin::Base => input.base?,
                Origin::Derived(_) => return None,
            };
            Some((path.as_str(), index.text_at(path.as_str())?))
        })
        .collect()
}

/// Returns the paths that a package of the lock, or of the base, has in the image.
fn files_of<'b, 'a>(shipped: &'b Shipped<'a>, of_base: bool, package: &str) -> &'b [&'a str] {
    shipped.get(&(of_base, package.to_owned())).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the number of an entry of `files`, from `files[3]`.
fn entry_number(entry: &str) -> Option<usize> {
    entry.strip_prefix("files[")?.strip_suffix(']')?.parse().ok()
}
