//! The root filesystem that a container engine makes of an image's layers (OCI image-spec 1.1, layer).
//!
//! In: an open image. Out: what stands at each path when the layers are stacked, whiteouts applied, and what lower
//! layers hold that nobody sees any more: its bytes are in the image all the same. Hostile images are assumed:
//! everything is bounded, and every layer is checked against its digests. What is read of a file's bytes is the
//! caller's choice.

use std::collections::BTreeMap;
use std::io::Read;

use super::Error;
use super::read::{Entry, OpenImage, OpenLayer, Opened};
use crate::tar::read::Kind;
use crate::tree::ImagePath;

/// The most entries of all layers of an image together.
const MAX_ENTRIES: usize = 2_000_000;
/// The most bytes of paths, link targets and extended attributes of all layers of an image together.
const MAX_NAMES: usize = 256 << 20;
/// The most symbolic links followed in one path (Linux' own limit).
const MAX_LINKS: u32 = 40;
/// The most places that are kept where container engines could differ.
const MAX_UNCLEAR: usize = 100;

/// Stacked layers, with what the caller read of each file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs<T> {
    /// What stands at each path (no leading slash; the root itself is left out).
    pub nodes: BTreeMap<String, RootNode<T>>,
    /// Regular files of lower layers that an upper one deletes or replaces, in the order in which they went.
    pub hidden: Vec<Hidden<T>>,
    /// The layers, lowest first.
    pub layers: Vec<LayerCounts>,
    /// Paths that lie below something that is no directory in a lower layer: engines differ on where they end up.
    pub unclear: Vec<String>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootNode<T> {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid, sticky; a hard link has those of its file too.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a regular file, else 0.
    pub size: u64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Number of the layer that it comes from, the lowest being 0.
    pub layer: usize,
    /// What was read of it; of a hard link, what was read of its file.
    pub content: T,
}

/// A file that nobody sees any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden<T> {
    /// Where it stood.
    pub path: String,
    /// Number of the layer that holds it.
    pub layer: usize,
    /// Number of the layer that hides it.
    pub by: usize,
    /// Its bytes.
    pub size: u64,
    /// What was read of it.
    pub content: T,
}

/// What one layer holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerCounts {
    /// Entries of its tar.
    pub entries: u64,
    /// Bytes of its regular files.
    pub unpacked: u64,
}

impl<T: Clone + Default> Rootfs<T> {
    /// Stacks the layers of one image of `open`; `read` is given every entry with its bytes.
    ///
    /// # Errors
    /// A layer that is not what its digests say, that is malformed or beyond a bound; what `read` returns.
    pub fn read(
        open: &OpenImage,
        one: &Opened,
        read: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let mut stack = Stack {
            image: open.name(),
            rootfs: Self { nodes: BTreeMap::new(), hidden: Vec::new(), layers: Vec::new(), unclear: Vec::new() },
            entries: 0,
            names: 0,
            parent: String::new(),
        };
        for layer in &one.layers {
            stack.add(open, layer, read)?;
        }
        Ok(stack.rootfs)
    }
}

impl<T> Rootfs<T> {
    /// Returns where `path` leads after every symbolic link, within the image; the result may not exist. `None` for
    /// the root, for a path that no image holds, and for links without an end.
    pub fn resolve(&self, path: &str) -> Option<String> {
        self.walk(path, true)
    }

    /// Returns where `path` stands after the symbolic links of its ancestors, the last component left alone.
    pub fn resolve_parent(&self, path: &str) -> Option<String> {
        self.walk(path, false)
    }

    /// Returns the regular file (or hard link) that `path` leads to.
    pub fn file(&self, path: &str) -> Option<&RootNode<T>> {
        let node = self.nodes.get(&self.resolve(path)?)?;
        matches!(node.kind, Kind::File | Kind::Hardlink(_)).then_some(node)
    }

    fn walk(&self, path: &str, last: bool) -> Option<String> {
        let mut rest: Vec<&str> = path.rsplit('/').collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(component) = rest.pop() {
            match component {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let length = done.len();
            if !done.is_empty() {
                done.push('/');
            }
            done.push_str(component);
            if !last && rest.iter().all(|part| matches!(*part, "" | ".")) {
                break;
            }
            if let Some(RootNode { kind: Kind::Symlink(target), .. }) = self.nodes.get(&done) {
                links += 1;
                if links > MAX_LINKS || rest.len() > crate::tree::MAX_PATH {
                    return None;
                }
                done.truncate(if target.starts_with('/') { 0 } else { length });
                rest.extend(target.rsplit('/'));
            }
        }
        ImagePath::parse(&done).ok().filter(|path| !path.is_root()).map(|path| path.as_str().to_owned())
    }
}

/// Layers so far.
struct Stack<'a, T> {
    image: &'a str,
    rootfs: Rootfs<T>,
    entries: usize,
    names: usize,
    /// The last directory whose ancestors were looked at in this layer.
    parent: String,
}

impl<T: Clone + Default> Stack<'_, T> {
    fn add(
        &mut self,
        open: &OpenImage,
        layer: &OpenLayer,
        read: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<T, Error>,
    ) -> Result<(), Error> {
        let number = self.rootfs.layers.len();
        let mut counts = LayerCounts::default();
        self.parent = "/".to_owned();
        open.entries(layer, |entry, body| {
            counts.entries += 1;
            counts.unpacked = counts.unpacked.saturating_add(entry.size);
            self.count(entry)?;
            let path = entry.path.as_str();
            if path.is_empty() {
                return Ok(());
            }
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            self.check_ancestors(&entry.path, number);
            if let Some(hidden) = name.strip_prefix(".wh.") {
                self.white_out(parent, hidden, number);
                return Ok(());
            }
            let content = read(entry, body)?;
            self.put(entry, content, number);
            Ok::<_, Error>(())
        })?;
        self.rootfs.layers.push(counts);
        Ok(())
    }

    fn count(&mut self, entry: &Entry) -> Result<(), Error> {
        let target = match &entry.kind {
            Kind::Symlink(target) => target.len(),
            Kind::Hardlink(target) => target.as_str().len(),
            Kind::Directory | Kind::File => 0,
        };
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.entries += 1;
        self.names += entry.path.as_str().len() + target + xattrs;
        let invalid = |problem| Error::Invalid { image: self.image.to_owned(), problem };
        if self.entries > MAX_ENTRIES {
            return Err(invalid(format!("its layers have more than {MAX_ENTRIES} entries")));
        }
        if self.names > MAX_NAMES {
            return Err(invalid(format!("its layers have more than {MAX_NAMES} bytes of names")));
        }
        Ok(())
    }

    /// Notes a path whose ancestor is no directory in a lower layer.
    fn check_ancestors(&mut self, path: &ImagePath, number: usize) {
        let parent = path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent == self.parent {
            return;
        }
        parent.clone_into(&mut self.parent);
        let below = path.ancestors().any(|ancestor| {
            let node = self.rootfs.nodes.get(ancestor.as_str());
            node.is_some_and(|node| node.kind != Kind::Directory && node.layer != number)
        });
        if below && self.rootfs.unclear.len() < MAX_UNCLEAR {
            self.rootfs.unclear.push(path.as_str().to_owned());
        }
    }

    fn put(&mut self, entry: &Entry, content: T, number: usize) {
        let path = entry.path.as_str();
        let mut node = RootNode {
            kind: entry.kind.clone(),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            xattrs: entry.xattrs.clone(),
            layer: number,
            content,
        };
        if let Kind::Hardlink(target) = &entry.kind
            && let Some(file) = self.rootfs.nodes.get(target.as_str())
        {
            // One file, two names: what was read and what is special about it holds for both.
            node.mode |= file.mode & 0o6000;
            node.content = file.content.clone();
            if node.xattrs.is_empty() {
                node.xattrs.clone_from(&file.xattrs);
            }
        }
        if entry.kind != Kind::Directory {
            self.remove_below(path, number, None);
            self.remove(path, number);
        } else if self.rootfs.nodes.get(path).is_some_and(|known| known.kind != Kind::Directory) {
            self.remove(path, number);
        }
        self.rootfs.nodes.insert(path.to_owned(), node);
    }

    /// Takes away what a whiteout hides: a path, or all that lower layers have in a directory (OCI image-spec 1.1,
    /// layer, whiteouts).
    fn white_out(&mut self, parent: &str, hidden: &str, number: usize) {
        if hidden == ".wh..opq" {
            self.remove_below(parent, number, Some(number));
            return;
        }
        let path = if parent.is_empty() { hidden.to_owned() } else { format!("{parent}/{hidden}") };
        if self.rootfs.nodes.get(&path).is_some_and(|node| node.layer != number) {
            self.remove(&path, number);
        }
        self.remove_below(&path, number, Some(number));
    }

    /// Takes away what stands below a path, but what comes from layer `but`.
    fn remove_below(&mut self, path: &str, number: usize, but: Option<usize>) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = self.rootfs.nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let gone: Vec<String> =
            below.filter(|(_, node)| Some(node.layer) != but).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.remove(&path, number);
        }
    }

    fn remove(&mut self, path: &str, by: usize) {
        if let Some(RootNode { kind: Kind::File, layer, size, content, .. }) = self.rootfs.nodes.remove(path) {
            self.rootfs.hidden.push(Hidden { path: path.to_owned(), layer, by, size, content });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> Stack<'static, ()> {
        let rootfs = Rootfs {
            nodes: BTreeMap::new(),
            hidden: Vec::new(),
            layers: vec![LayerCounts::default()],
            unclear: vec![],
        };
        Stack { image: "x", rootfs, entries: 0, names: 0, parent: "/".to_owned() }
    }

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = ImagePath::parse(path).unwrap();
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: Vec::new(), offset: 0, size: 1 }
    }

    #[test]
    fn whiteouts_hide_what_lower_layers_have() {
        let mut stack = stack();
        for path in ["a/x", "a/y/z", "a0", "b"] {
            stack.put(&entry(path, Kind::File), (), 0);
        }
        stack.put(&entry("a/x", Kind::File), (), 1);
        stack.white_out("", "b", 1);
        stack.white_out("a", ".wh..opq", 1);
        assert_eq!(stack.rootfs.nodes.keys().collect::<Vec<_>>(), ["a/x", "a0"]);
        let hidden: Vec<_> = stack.rootfs.hidden.iter().map(|one| (one.path.as_str(), one.layer, one.by)).collect();
        assert_eq!(hidden, [("a/x", 0, 1), ("b", 0, 1), ("a/y/z", 0, 1)]);
    }

    #[test]
    fn a_path_below_a_link_of_a_lower_layer_is_unclear() {
        let mut stack = stack();
        stack.put(&entry("lib", Kind::Symlink("usr/lib".to_owned())), (), 0);
        stack.check_ancestors(&ImagePath::parse("lib/x").unwrap(), 1);
        assert_eq!(stack.rootfs.unclear, ["lib/x"]);
    }

    #[test]
    fn links_are_followed_within_the_image_and_not_for_ever() {
        let mut stack = stack();
        stack.put(&entry("bin", Kind::Symlink("usr/bin".to_owned())), (), 0);
        stack.put(&entry("usr/bin/sh", Kind::Symlink("../../../../bin/dash".to_owned())), (), 0);
        stack.put(&entry("usr/bin/dash", Kind::File), (), 0);
        stack.put(&entry("loop", Kind::Symlink("/loop".to_owned())), (), 0);
        let rootfs = stack.rootfs;
        assert_eq!(rootfs.resolve("/bin/sh").as_deref(), Some("usr/bin/dash"));
        assert_eq!(rootfs.resolve_parent("bin/sh").as_deref(), Some("usr/bin/sh"));
        assert_eq!((rootfs.resolve("loop"), rootfs.resolve("/..")), (None, None));
        assert!(rootfs.file("bin/sh").is_some() && rootfs.file("bin").is_none());
    }

    #[test]
    fn a_hard_link_shares_what_is_special_of_its_file() {
        let mut stack = stack();
        stack.put(&Entry { mode: 0o4755, ..entry("a", Kind::File) }, (), 0);
        stack.put(&entry("b", Kind::Hardlink(ImagePath::parse("a").unwrap())), (), 0);
        assert_eq!(stack.rootfs.nodes["b"].mode, 0o4644);
    }
}
