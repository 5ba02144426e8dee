//! `inspect`: what an image holds, told from the image alone.
//!
//! In: a layout, an archive or an image of a registry. Out: an [`Inspection`]. Layers are read as a container engine stacks them, whiteouts
//! included. Hostile images are assumed: everything is bounded, and every layer is checked against its digests.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::deb822;
use crate::diag::Problems;
use crate::image::{self, OpenImage, Opened, Rootfs};
use crate::policy::{Content, Depth, Survey, is_shell, survey};
use crate::spec::Platform;
use crate::tar::read::Kind;

use super::Error;
use super::source::{ImageSource, Reach};

mod contents;

pub use contents::{LayerContents, PackageContents, PathSize};

/// The most bytes of one package's control file.
const MAX_CONTROL: u64 = 1 << 20;
/// The most packages of an image.
const MAX_PACKAGES: usize = 100_000;
/// The most bytes of dpkg's own database.
const MAX_STATUS: u64 = 16 << 20;
/// Where a package leaves its control file.
const STATUS_D: &str = "var/lib/dpkg/status.d/";
/// dpkg's own database.
const STATUS: &str = "var/lib/dpkg/status";

/// What `inspect` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The image as the user named it.
    pub image: String,
    /// Digest of the whole: of the index over several, or of the one manifest.
    pub digest: String,
    /// One per platform, in the index's order.
    pub images: Vec<ManifestSummary>,
}

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestSummary {
    /// `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest.
    pub digest: String,
    /// `created` of the config.
    pub created: String,
    /// `User` of the config.
    pub user: String,
    /// `Entrypoint` of the config.
    pub entrypoint: Vec<String>,
    /// `Cmd` of the config.
    pub cmd: Vec<String>,
    /// `Env` of the config.
    pub env: Vec<String>,
    /// `WorkingDir` of the config.
    pub workdir: String,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// The layers, lowest first.
    pub layers: Vec<LayerSummary>,
    /// The packages, by name.
    pub packages: Vec<PackageSummary>,
    /// What the stacked layers offer.
    pub surface: Surface,
    /// What each layer holds by package, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<Vec<LayerContents>>,
    /// Every entry by path, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileSummary>>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Digest of the blob.
    pub digest: String,
    /// Digest of the tar.
    pub diff_id: String,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Entries of the tar.
    pub entries: u64,
    /// Bytes of its regular files.
    pub unpacked: u64,
    /// Names of the packages in it, sorted.
    pub packages: Vec<String>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageSummary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
}

/// What an image offers to whoever gets in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Surface {
    /// Bytes of all layers as stored.
    pub compressed: u64,
    /// Entries that are no directories.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of regular files.
    pub bytes: u64,
    /// ELF files.
    pub elf: u64,
    /// Files with setuid or setgid.
    pub setuid: Vec<String>,
    /// What everybody may write to; directories with the sticky bit do not count.
    pub world_writable: Vec<String>,
    /// Shells.
    pub shells: Vec<String>,
    /// Files with capabilities.
    pub capabilities: Vec<String>,
}

/// One entry of the stacked layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Absolute path.
    pub path: String,
    /// As `ls` shows it: `drwxr-xr-x`.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether `target` is another name of the same file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hard_link: bool,
}

/// What is told beside the summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detail {
    /// Every entry by path.
    pub files: bool,
    /// What each layer holds by package.
    pub layers: bool,
    /// The same, with every path.
    pub tree: bool,
}

/// Tells what the image named `name` holds: all platforms, or those asked for; with as much as `detail` asks.
///
/// # Errors
/// No such image, or one that does not hold together.
pub fn inspect(reach: &Reach<'_>, name: &str, platforms: &[Platform], detail: Detail) -> Result<Inspection, Problems> {
    let source = ImageSource::open(reach, name)?;
    let open = &source.open;
    let images = source.images(platforms)?;
    let images = images.into_iter().map(|one| summary(name, open, one, detail)).collect::<Result<_, _>>()?;
    Ok(Inspection { image: name.to_owned(), digest: open.descriptor().digest.to_string(), images })
}

/// Returns the images of these platforms, or all that run where none is named.
pub(super) fn chosen<'a>(open: &'a OpenImage, platforms: &[Platform]) -> Result<Vec<&'a Opened>, Error> {
    for wanted in platforms {
        if !open.images().iter().any(|one| one.platform == Some(*wanted)) {
            let held = open.images().iter().map(platform_name).collect();
            return Err(Error::NoPlatform { platform: wanted.oci().to_owned(), held });
        }
    }
    let wanted = |one: &&Opened| match platforms {
        [] => !one.is_attestation(),
        _ => one.platform.is_some_and(|platform| platforms.contains(&platform)),
    };
    Ok(open.images().iter().filter(wanted).collect())
}

fn summary(name: &str, open: &OpenImage, one: &Opened, detail: Detail) -> Result<ManifestSummary, image::Error> {
    summary_of(name, one, &survey(open, one, Depth::Surface)?, detail)
}

/// Returns what stacked layers hold.
pub(super) fn summary_of(
    name: &str,
    one: &Opened,
    survey: &Survey,
    detail: Detail,
) -> Result<ManifestSummary, image::Error> {
    let rootfs = &survey.rootfs;
    let (packages, by_layer) = packages(name, rootfs)?;
    let layers: Vec<LayerSummary> = one
        .layers
        .iter()
        .zip(&rootfs.layers)
        .enumerate()
        .map(|(number, (layer, counts))| LayerSummary {
            digest: layer.descriptor.digest.to_string(),
            diff_id: layer.diff_id.to_string(),
            size: layer.descriptor.size,
            entries: counts.entries,
            unpacked: counts.unpacked,
            packages: by_layer.get(&number).cloned().unwrap_or_default(),
        })
        .collect();
    let config = &one.config["config"];
    let mut surface = surface(rootfs);
    surface.compressed = layers.iter().fold(0, |sum, layer| layer.size.saturating_add(sum));
    let labels = config["Labels"].as_object().into_iter().flatten();
    Ok(ManifestSummary {
        platform: platform_name(one),
        digest: one.descriptor.digest.to_string(),
        created: text(&one.config["created"]),
        user: text(&config["User"]),
        entrypoint: texts(&config["Entrypoint"]),
        cmd: texts(&config["Cmd"]),
        env: texts(&config["Env"]),
        workdir: text(&config["WorkingDir"]),
        labels: labels.map(|(key, value)| (key.clone(), text(value))).collect(),
        layers,
        contents: (detail.layers || detail.tree).then(|| contents::contents(one, survey, &packages, detail.tree)),
        packages,
        surface,
        files: detail.files.then(|| file_summaries(rootfs)),
    })
}

pub(super) fn platform_name(one: &Opened) -> String {
    match one.platform {
        Some(platform) => platform.oci().to_owned(),
        None => format!("{}/{}", text(&one.config["os"]), text(&one.config["architecture"])),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// Names of packages by the number of the layer that holds their control files.
type NamesByLayer = BTreeMap<usize, Vec<String>>;

/// Returns the packages of an image, and by layer the names of those whose control file it holds.
fn packages(image: &str, rootfs: &Rootfs<Content>) -> Result<(Vec<PackageSummary>, NamesByLayer), image::Error> {
    let control =
        |path: &str| path.strip_prefix(STATUS_D).is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"));
    let mut all = Vec::new();
    let mut layers = NamesByLayer::new();
    for (path, node) in rootfs.nodes.iter().filter(|(path, node)| node.kind == Kind::File && control(path)) {
        let text = node.content.text.as_deref().filter(|_| node.size <= MAX_CONTROL);
        let found = package(image, path, text)?;
        layers.entry(node.layer).or_default().push(found.name.clone());
        all.push(found);
    }
    if let Some(node) = rootfs.nodes.get(STATUS).filter(|node| node.kind == Kind::File) {
        let text = node.content.text.as_deref().filter(|_| node.size <= MAX_STATUS);
        let found = installed(image, text)?;
        layers.entry(node.layer).or_default().extend(found.iter().map(|package| package.name.clone()));
        all.extend(found);
    }
    for file in rootfs.hidden.iter().filter(|file| control(&file.path)) {
        if let Ok(found) = package(image, &file.path, file.content.text.as_deref()) {
            layers.entry(file.layer).or_default().push(found.name);
        }
    }
    layers.values_mut().for_each(|names| {
        names.sort();
        names.dedup();
    });
    all.truncate(MAX_PACKAGES);
    all.sort();
    Ok((all, layers))
}

/// Reads dpkg's own database.
fn installed(image: &str, text: Option<&[u8]>) -> Result<Vec<PackageSummary>, image::Error> {
    let wrong =
        |problem: &str| image::Error::Invalid { image: image.to_owned(), problem: format!("`/{STATUS}` {problem}") };
    let text = text.ok_or_else(|| wrong("is too large"))?;
    let text = std::str::from_utf8(text).map_err(|_| wrong("is no text"))?;
    let stanzas = deb822::parse(text).map_err(|error| wrong(&format!("is no list of packages: {error}")))?;
    let package = |stanza: &deb822::Stanza| {
        let field = |name| stanza.get(name).map(str::to_owned);
        match (field("Package"), field("Version")) {
            (Some(name), Some(version)) => {
                Ok(PackageSummary { name, version, architecture: field("Architecture").unwrap_or_default() })
            }
            _ => Err(wrong("names no package or no version")),
        }
    };
    stanzas.iter().map(package).collect()
}

/// Reads a package's control file.
fn package(image: &str, path: &str, text: Option<&[u8]>) -> Result<PackageSummary, image::Error> {
    let wrong =
        |problem: &str| image::Error::Invalid { image: image.to_owned(), problem: format!("`/{path}` {problem}") };
    let text = text.ok_or_else(|| wrong("is too large for a control file"))?;
    let control = std::str::from_utf8(text).map_err(|_| wrong("is no text"))?;
    let stanza = deb822::parse_one(control).map_err(|error| wrong(&format!("is no control file: {error}")))?;
    let field = |name| stanza.get(name).map(str::to_owned);
    match (field("Package"), field("Version")) {
        (Some(name), Some(version)) => {
            Ok(PackageSummary { name, version, architecture: field("Architecture").unwrap_or_default() })
        }
        _ => Err(wrong("names no package or no version")),
    }
}

fn surface(rootfs: &Rootfs<Content>) -> Surface {
    let mut surface = Surface::default();
    for (path, node) in &rootfs.nodes {
        let directory = node.kind == Kind::Directory;
        if directory {
            surface.directories += 1;
        } else {
            surface.files += 1;
        }
        surface.bytes = surface.bytes.saturating_add(node.size);
        surface.elf += u64::from(node.kind == Kind::File && node.content.elf);
        let shown = || format!("/{path}");
        let link = matches!(node.kind, Kind::Symlink(_));
        if !directory && !link && node.mode & 0o6000 != 0 {
            surface.setuid.push(shown());
        }
        if !link && node.mode & 0o002 != 0 && !(directory && node.mode & 0o1000 != 0) {
            surface.world_writable.push(shown());
        }
        if !directory && is_shell(path) {
            surface.shells.push(shown());
        }
        if node.xattrs.iter().any(|(name, _)| name == "security.capability") {
            surface.capabilities.push(shown());
        }
    }
    surface
}

fn file_summaries(rootfs: &Rootfs<Content>) -> Vec<FileSummary> {
    let files = rootfs.nodes.iter().map(|(path, node)| FileSummary {
        path: format!("/{path}"),
        mode: mode(&node.kind, node.mode),
        uid: node.uid,
        gid: node.gid,
        size: node.size,
        target: match &node.kind {
            Kind::Symlink(target) => Some(target.clone()),
            Kind::Hardlink(target) => Some(target.to_string()),
            Kind::Directory | Kind::File => None,
        },
        hard_link: matches!(node.kind, Kind::Hardlink(_)),
    });
    files.collect()
}

/// Returns a mode as `ls` shows it.
fn mode(kind: &Kind, mode: u32) -> String {
    let mut shown = String::with_capacity(10);
    shown.push(match kind {
        Kind::Directory => 'd',
        Kind::Symlink(_) => 'l',
        Kind::File | Kind::Hardlink(_) => '-',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        shown.push(if bits & 4 != 0 { 'r' } else { '-' });
        shown.push(if bits & 2 != 0 { 'w' } else { '-' });
        shown.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, false) => letter.to_ascii_uppercase(),
            (true, true) => letter,
        });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        for (kind, bits, shown) in [
            (Kind::File, 0o4755, "-rwsr-xr-x"),
            (Kind::File, 0o2644, "-rw-r-Sr--"),
            (Kind::Directory, 0o1777, "drwxrwxrwt"),
            (Kind::Symlink(String::new()), 0o777, "lrwxrwxrwx"),
        ] {
            assert_eq!(mode(&kind, bits), shown);
        }
    }
}
