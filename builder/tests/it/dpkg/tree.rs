//! Two trees in one form: the layers of an image, and a directory on disk.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tarsia::digest::{Digest, HashingReader};
use tarsia::image::{self, Destination};
use tarsia::tar::read::Kind;

use crate::program::names;

/// The largest file of an image whose bytes are kept for a comparison that looks inside.
const MAX_BYTES: u64 = 4 << 20;

/// What stands at a path.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) what: What,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds; tells a touched file of one disk from the other, and nothing else.
    mtime: i64,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Directory,
    Symlink(String),
    /// A regular file of an image: its digest, and its bytes where it is small.
    Image(Digest, Vec<u8>),
    /// A regular file on disk.
    Disk(PathBuf, u64),
    /// A device, socket or pipe.
    Other,
}

impl What {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::Image(..) | Self::Disk(..))
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::Symlink(_) => "a link",
            Self::Image(..) | Self::Disk(..) => "a file",
            Self::Other => "neither file, link nor directory",
        }
    }

    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::Image(digest, _) => *digest,
            _ => Digest::of(&self.bytes()),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Image(_, bytes) => bytes.clone(),
            Self::Disk(path, _) => std::fs::read(path).unwrap(),
            _ => Vec::new(),
        }
    }
}

/// A tree, by path without a leading slash.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<String, Node>,
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Tree {
    /// Reads the one image of the layout at `path`, every layer checked against its digest.
    pub(super) fn of_image(path: &Path) -> Self {
        let image = image::open(&Destination::Layout(path.to_owned(), None)).unwrap();
        let [one] = image.images() else { panic!("{} holds several images", path.display()) };
        let mut tree = Self::default();
        for layer in &one.layers {
            image
                .entries::<tarsia::image::Error>(layer, |entry, body| {
                    let what = match &entry.kind {
                        Kind::Directory => What::Directory,
                        Kind::Symlink(target) => What::Symlink(target.clone()),
                        Kind::Hardlink(first) => tree.nodes[first.as_str()].what.clone(),
                        Kind::File => {
                            let mut reader = HashingReader::new(body);
                            let mut bytes = Vec::new();
                            if entry.size <= MAX_BYTES {
                                reader.read_to_end(&mut bytes).unwrap();
                            } else {
                                std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
                            }
                            let (digest, _) = reader.finish();
                            let keep = ["etc/", "var/"].iter().any(|top| entry.path.as_str().starts_with(top));
                            What::Image(digest, if keep { bytes } else { Vec::new() })
                        }
                    };
                    let node = Node { what, mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime };
                    tree.nodes.insert(entry.path.as_str().to_owned(), node);
                    Ok(())
                })
                .unwrap();
        }
        tree.read_names();
        tree
    }

    /// Reads a directory; what the machine mounts into a root is left out.
    pub(super) fn of_disk(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut below: Vec<String> = vec![String::new()];
        while let Some(parent) = below.pop() {
            for name in names(&root.join(&parent)) {
                let path = if parent.is_empty() { name } else { format!("{parent}/{name}") };
                let on_disk = root.join(&path);
                let meta = on_disk.symlink_metadata().unwrap();
                let what = if meta.is_dir() {
                    if !matches!(path.as_str(), "dev" | "proc" | "sys") {
                        below.push(path.clone());
                    }
                    What::Directory
                } else if meta.is_symlink() {
                    What::Symlink(std::fs::read_link(&on_disk).unwrap().into_os_string().into_string().unwrap())
                } else if meta.is_file() {
                    What::Disk(on_disk, meta.len())
                } else {
                    What::Other
                };
                let mode = meta.permissions().mode() & 0o7777;
                let node = Node { what, mode, uid: meta.uid(), gid: meta.gid(), mtime: meta.mtime() };
                tree.nodes.insert(path, node);
            }
        }
        tree.read_names();
        tree
    }

    fn read_names(&mut self) {
        let read = |path: &str| {
            let bytes = self.nodes.get(path).map(|node| node.what.bytes()).unwrap_or_default();
            let text = String::from_utf8(bytes).unwrap();
            let mut names = BTreeMap::new();
            for line in text.lines() {
                let mut fields = line.split(':');
                if let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) {
                    names.entry(number.parse().unwrap()).or_insert_with(|| name.to_owned());
                }
            }
            names
        };
        (self.users, self.groups) = (read("etc/passwd"), read("etc/group"));
    }

    /// Returns owner and group of a node by name, as far as the tree's own files name them.
    pub(super) fn owner(&self, node: &Node) -> String {
        let name = |names: &BTreeMap<u32, String>, number: u32| {
            names.get(&number).cloned().unwrap_or_else(|| format!("#{number}"))
        };
        format!("{}:{}", name(&self.users, node.uid), name(&self.groups, node.gid))
    }

    /// Returns the name of a group.
    pub(super) fn group(&self, gid: u32) -> Option<String> {
        self.groups.get(&gid).cloned()
    }

    /// Returns where `path` stands after the symbolic links of its ancestors.
    pub(super) fn real(&self, path: &str) -> String {
        let mut done = String::new();
        let mut rest: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        while let Some(component) = rest.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = if done.is_empty() { component } else { format!("{done}/{component}") };
            match self.nodes.get(&next).map(|node| &node.what) {
                Some(What::Symlink(target)) if !rest.is_empty() => {
                    if target.starts_with('/') {
                        done.clear();
                    }
                    rest.extend(target.rsplit('/').map(str::to_owned));
                }
                _ => done = next,
            }
        }
        done
    }

    /// Returns whether two nodes on two disks, one of which was copied from the other, are the same.
    pub(super) fn is_untouched(&self, path: &str, copy: &Node) -> bool {
        let Some(node) = self.nodes.get(path) else { return false };
        if (node.mode, node.uid, node.gid) != (copy.mode, copy.uid, copy.gid) {
            return false;
        }
        match (&node.what, &copy.what) {
            (What::Directory, What::Directory) | (What::Other, What::Other) => true,
            (What::Symlink(a), What::Symlink(b)) => a == b,
            (a @ What::Disk(_, was), b @ What::Disk(_, is)) => {
                was == is && (node.mtime == copy.mtime || a.digest() == b.digest())
            }
            _ => false,
        }
    }
}
