//! `inspect`: what an image holds, told from the image alone.
//!
//! In: a layout or an archive. Out: an [`Inspection`]. Layers are read as a container engine stacks them, whiteouts
//! included. Hostile images are assumed: everything is bounded, and every layer is checked against its digests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::Serialize;
use serde_json::Value;

use crate::deb822;
use crate::diag::Problems;
use crate::image::{self, Destination, Entry, OpenImage, OpenLayer, Opened};
use crate::spec::Platform;
use crate::tar::read::Kind;

use super::Error;

/// The most entries of all layers of an image together.
const MAX_ENTRIES: usize = 2_000_000;
/// The most bytes of paths and link targets of all layers of an image together.
const MAX_NAMES: usize = 256 << 20;
/// The most bytes of one package's control file.
const MAX_CONTROL: u64 = 1 << 20;
/// The most packages of an image.
const MAX_PACKAGES: usize = 100_000;
/// The most bytes of dpkg's own database.
const MAX_STATUS: u64 = 64 << 20;
/// Where a package leaves its control file.
const STATUS_D: &str = "var/lib/dpkg/status.d/";
/// dpkg's own database.
const STATUS: &str = "var/lib/dpkg/status";
/// Names of programs that run commands for whoever gets in.
const SHELLS: &[&str] = &["ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "yash", "zsh"];

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

/// Tells what the image named `name` holds: all platforms, or those asked for; with every file where `files` asks.
///
/// # Errors
/// No such image, or one that does not hold together.
pub fn inspect(name: &str, platforms: &[Platform], files: bool) -> Result<Inspection, Problems> {
    let open = image::open(&Destination::parse(name)?)?;
    for wanted in platforms {
        if !open.images().iter().any(|one| one.platform == Some(*wanted)) {
            let held = open.images().iter().map(platform_name).collect();
            return Err(Error::NoPlatform { platform: wanted.oci().to_owned(), held }.into());
        }
    }
    let chosen = open
        .images()
        .iter()
        .filter(|one| platforms.is_empty() || one.platform.is_some_and(|platform| platforms.contains(&platform)));
    let images = chosen.map(|one| summary(name, &open, one, files)).collect::<Result<_, _>>()?;
    Ok(Inspection { image: name.to_owned(), digest: open.descriptor().digest.to_string(), images })
}

fn summary(name: &str, open: &OpenImage, one: &Opened, files: bool) -> Result<ManifestSummary, image::Error> {
    let mut stack = Stack { image: name, ..Stack::default() };
    let layers = one.layers.iter().map(|layer| stack.add(open, layer)).collect::<Result<Vec<_>, _>>()?;
    let config = &one.config["config"];
    let mut surface = stack.surface();
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
        packages: stack.packages(),
        surface,
        files: files.then(|| stack.files()),
    })
}

fn platform_name(one: &Opened) -> String {
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

/// The layers so far, stacked.
#[derive(Default)]
struct Stack<'a> {
    image: &'a str,
    nodes: BTreeMap<String, Node>,
    entries: usize,
    names: usize,
}

/// What stands at a path.
struct Node {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    elf: bool,
    capable: bool,
    packages: Vec<PackageSummary>,
}

impl Stack<'_> {
    /// Puts a layer on top, and tells what is in it.
    fn add(&mut self, open: &OpenImage, layer: &OpenLayer) -> Result<LayerSummary, image::Error> {
        let (mut entries, mut unpacked) = (0, 0_u64);
        let mut packages = BTreeSet::new();
        let mut own = BTreeSet::new();
        open.entries(layer, |entry, body| {
            entries += 1;
            unpacked = unpacked.saturating_add(entry.size);
            self.count(entry)?;
            let path = entry.path.as_str();
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            if let Some(hidden) = name.strip_prefix(".wh.") {
                self.white_out(parent, hidden, &own);
                return Ok(());
            }
            let node = self.node(entry, body)?;
            packages.extend(node.packages.iter().map(|package| package.name.clone()));
            if entry.kind != Kind::Directory {
                self.remove_below(path, &BTreeSet::new());
            }
            own.insert(path.to_owned());
            self.nodes.insert(path.to_owned(), node);
            Ok::<_, image::Error>(())
        })?;
        Ok(LayerSummary {
            digest: layer.descriptor.digest.to_string(),
            diff_id: layer.diff_id.to_string(),
            size: layer.descriptor.size,
            entries,
            unpacked,
            packages: packages.into_iter().collect(),
        })
    }

    fn count(&mut self, entry: &Entry) -> Result<(), image::Error> {
        let target = match &entry.kind {
            Kind::Symlink(target) => target.len(),
            Kind::Hardlink(target) => target.as_str().len(),
            Kind::Directory | Kind::File => 0,
        };
        self.entries += 1;
        self.names += entry.path.as_str().len() + target;
        if self.entries > MAX_ENTRIES {
            return Err(self.invalid(format!("its layers have more than {MAX_ENTRIES} entries")));
        }
        if self.names > MAX_NAMES {
            return Err(self.invalid(format!("its layers have more than {MAX_NAMES} bytes of names")));
        }
        Ok(())
    }

    fn node(&self, entry: &Entry, body: &mut dyn Read) -> Result<Node, image::Error> {
        let mut node = Node {
            kind: entry.kind.clone(),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            elf: false,
            capable: entry.xattrs.iter().any(|(name, _)| name == "security.capability"),
            packages: Vec::new(),
        };
        if entry.kind != Kind::File {
            return Ok(node);
        }
        let failed = |source| image::Error::Read { image: self.image.to_owned(), source };
        match entry.path.as_str().strip_prefix(STATUS_D) {
            Some(name) if !name.contains('/') && !name.ends_with(".md5sums") => {
                node.packages = self.control(entry, body, MAX_CONTROL)?;
                if node.packages.len() != 1 {
                    return Err(self.invalid(format!("`{}` is no control file", entry.path)));
                }
            }
            None if entry.path.as_str() == STATUS => node.packages = self.control(entry, body, MAX_STATUS)?,
            _ => node.elf = starts_like_elf(body).map_err(failed)?,
        }
        Ok(node)
    }

    /// Reads the packages that control fields name.
    fn control(&self, entry: &Entry, body: &mut dyn Read, limit: u64) -> Result<Vec<PackageSummary>, image::Error> {
        let wrong = |problem: &str| self.invalid(format!("`{}` {problem}", entry.path));
        if entry.size > limit {
            return Err(wrong("is too large for a control file"));
        }
        let mut bytes = Vec::new();
        body.take(limit)
            .read_to_end(&mut bytes)
            .map_err(|source| image::Error::Read { image: self.image.to_owned(), source })?;
        let control = String::from_utf8(bytes).map_err(|_| wrong("is no text"))?;
        let stanzas = deb822::parse(&control).map_err(|error| wrong(&format!("is no control file: {error}")))?;
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

    /// Takes away what a whiteout hides: a path, or all that lower layers have in a directory (OCI image-spec 1.1,
    /// layer, whiteouts).
    fn white_out(&mut self, parent: &str, hidden: &str, own: &BTreeSet<String>) {
        if hidden == ".wh..opq" {
            self.remove_below(parent, own);
            return;
        }
        let path = if parent.is_empty() { hidden.to_owned() } else { format!("{parent}/{hidden}") };
        if !own.contains(&path) {
            self.nodes.remove(&path);
        }
        self.remove_below(&path, own);
    }

    fn remove_below(&mut self, path: &str, but: &BTreeSet<String>) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).map(|(path, _)| path);
        let gone: Vec<String> =
            below.take_while(|path| path.starts_with(&prefix)).filter(|path| !but.contains(*path)).cloned().collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    fn packages(&self) -> Vec<PackageSummary> {
        let mut found: Vec<_> =
            self.nodes.values().flat_map(|node| node.packages.iter().cloned()).take(MAX_PACKAGES).collect();
        found.sort();
        found
    }

    fn surface(&self) -> Surface {
        let mut surface = Surface::default();
        for (path, node) in &self.nodes {
            let directory = node.kind == Kind::Directory;
            if directory {
                surface.directories += 1;
            } else {
                surface.files += 1;
            }
            surface.bytes = surface.bytes.saturating_add(node.size);
            surface.elf += u64::from(node.elf);
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
            if node.capable {
                surface.capabilities.push(shown());
            }
        }
        surface
    }

    fn files(&self) -> Vec<FileSummary> {
        let files = self.nodes.iter().map(|(path, node)| FileSummary {
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

    fn invalid(&self, problem: String) -> image::Error {
        image::Error::Invalid { image: self.image.to_owned(), problem }
    }
}

fn starts_like_elf(body: &mut dyn Read) -> io::Result<bool> {
    let mut head = Vec::new();
    body.take(4).read_to_end(&mut head)?;
    Ok(head == b"\x7fELF")
}

/// Returns whether the path is that of a shell: its name, in a directory of programs.
fn is_shell(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(parent, name)| {
        let parent = parent.rsplit('/').next().unwrap_or_default();
        matches!(parent, "bin" | "sbin") && SHELLS.contains(&name)
    })
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

    #[test]
    fn shells_are_known_by_name_and_place() {
        for (path, shell) in
            [("usr/bin/dash", true), ("bin/sh", true), ("etc/sh", false), ("usr/bin/shred", false), ("sh", false)]
        {
            assert_eq!(is_shell(path), shell, "{path}");
        }
    }

    #[test]
    fn whiteouts_hide_what_lower_layers_have() {
        let node = || Node {
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 1,
            elf: false,
            capable: false,
            packages: Vec::new(),
        };
        let mut stack = Stack::default();
        for path in ["a/x", "a/y/z", "a0", "b"] {
            stack.nodes.insert(path.to_owned(), node());
        }
        stack.white_out("", "b", &BTreeSet::new());
        stack.white_out("a", ".wh..opq", &BTreeSet::from(["a/x".to_owned()]));
        assert_eq!(stack.nodes.keys().collect::<Vec<_>>(), ["a/x", "a0"]);
    }
}
