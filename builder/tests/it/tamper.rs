//! Images in which one thing was changed: takes a layout, changes it, and makes every digest right again, so that the
//! result is an image like any other.

use std::path::Path;

use serde_json::Value;
use tarsia::canon;
use tarsia::codec::{Compression, decode, encode};
use tarsia::digest::Digest;
use tarsia::tar::read::{Entry, Kind, Options, Reader};
use tarsia::tar::write::{self, Header};

use crate::program::copy_tree;

/// One thing that is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// A byte of a file at this place.
    Byte(&'a str, usize),
    /// All bytes of a file.
    Bytes(&'a str, &'a [u8]),
    /// The time of an entry: a second more.
    Mtime(&'a str),
    /// The mode of a file: readable by nobody but its owner.
    Mode(&'a str),
    /// The owner of an entry: 1 instead of 0.
    Owner(&'a str),
    /// An attribute more.
    Xattr(&'a str),
    /// The entry changes places with the one behind it.
    Order(&'a str),
    /// A file more beside this one, named as this one with `.extra` behind.
    Add(&'a str),
    /// A file less.
    Remove(&'a str),
    /// A hard link becomes a file of its own.
    Copy(&'a str),
    /// A pax header says the path, which ustar can say as well.
    Pax(&'a str),
    /// The header's owner names say `root`.
    OwnerNames(&'a str),
    /// The bytes that fill a file's last block.
    Padding(&'a str),
    /// Blocks more behind the end of the layer that holds this.
    Trailer(&'a str),
    /// The layer that holds this is compressed at another level.
    Level(&'a str),
    /// The layer that holds this is compressed with gzip.
    Gzip(&'a str),
    /// A file stands in the lowest layer instead of its own.
    Layer(&'a str),
    /// The config's user.
    User(&'a str),
    /// White space in the config.
    Space,
    /// The two lowest layers change places.
    Layers,
}

/// Writes the layout at `from` to `to` with one change, and returns the digest of the new manifest, or of the index
/// over it. Of an image of several platforms, the first is changed.
pub(crate) fn apply(from: &Path, to: &Path, change: Change<'_>) -> String {
    copy_tree(from, to);
    let mut image = Image::open(to);
    image.change(change);
    image.close()
}

/// An image that is being changed.
struct Image<'a> {
    root: &'a Path,
    index: Value,
    /// Digests of the index within, where there is one, and its value.
    inner: Option<Value>,
    manifest: Value,
    config: Value,
    space: bool,
}

/// An entry with its own bytes: headers, and a body up to the end of its last block.
struct Raw {
    entry: Entry,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl<'a> Image<'a> {
    fn open(root: &'a Path) -> Self {
        let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
        let mut image = Self { root, index, inner: None, manifest: Value::Null, config: Value::Null, space: false };
        let mut top = image.json(&image.index["manifests"][0]);
        if top.get("manifests").is_some() {
            let first = image.json(&top["manifests"][0]);
            image.inner = Some(std::mem::replace(&mut top, first));
        }
        image.manifest = top;
        image.config = image.json(&image.manifest["config"]);
        image
    }

    fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        std::fs::read(self.root.join("blobs/sha256").join(digest)).unwrap()
    }

    fn json(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.blob(descriptor)).unwrap()
    }

    /// Writes a blob, and makes its descriptor say so.
    fn put(root: &Path, descriptor: &mut Value, bytes: &[u8]) {
        let digest = Digest::of(bytes);
        std::fs::write(root.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        descriptor["digest"] = digest.to_string().into();
        descriptor["size"] = bytes.len().into();
    }

    fn tar(&self, layer: usize) -> Vec<u8> {
        let blob = self.blob(&self.manifest["layers"][layer]);
        let limits = decode::Limits { concatenated: true, ..decode::Limits::default() };
        let format = decode::Format::sniff(&blob);
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut decode::decoder(format, &*blob, &limits).unwrap(), &mut tar).unwrap();
        tar
    }

    fn put_tar(&mut self, layer: usize, tar: &[u8], compression: Compression) {
        let blob = encode::encode(compression, tar).unwrap();
        let kind = match compression {
            Compression::Zstd(_) => "zstd",
            Compression::Gzip(_) => "gzip",
        };
        let descriptor = &mut self.manifest["layers"][layer];
        descriptor["mediaType"] = format!("application/vnd.oci.image.layer.v1.tar+{kind}").into();
        Self::put(self.root, descriptor, &blob);
        self.config["rootfs"]["diff_ids"][layer] = Digest::of(tar).to_string().into();
    }

    /// Returns the highest layer that holds a path, the place of its entry in there, and the layer's tar.
    fn find(&self, path: &str) -> (usize, usize, Vec<u8>) {
        for layer in (0..self.manifest["layers"].as_array().unwrap().len()).rev() {
            let tar = self.tar(layer);
            if let Some(at) = entries(&tar).0.iter().position(|raw| raw.entry.path.to_string() == path) {
                return (layer, at, tar);
            }
        }
        panic!("no layer holds {path}");
    }

    /// Changes the entries of the layer that holds a path.
    fn edit(&mut self, path: &str, edit: impl FnOnce(&mut Vec<Raw>, usize)) {
        let (layer, at, tar) = self.find(path);
        let (mut all, trailer) = entries(&tar);
        edit(&mut all, at);
        self.put_tar(layer, &joined(&all, &trailer), Compression::Zstd(3));
    }

    fn change(&mut self, change: Change<'_>) {
        match change {
            Change::Byte(path, place) => self.edit(path, |all, at| all[at].body[place] ^= 1),
            Change::Bytes(path, bytes) => self.edit(path, |all, at| {
                let raw = &mut all[at];
                raw.entry.size = bytes.len() as u64;
                raw.body = padded(bytes);
                raw.rewrite();
            }),
            Change::Mtime(path) => self.edit(path, |all, at| {
                all[at].entry.mtime += 1;
                all[at].rewrite();
            }),
            Change::Mode(path) => self.edit(path, |all, at| {
                all[at].entry.mode &= 0o7700;
                all[at].rewrite();
            }),
            Change::Owner(path) => self.edit(path, |all, at| {
                all[at].entry.uid = 1;
                all[at].rewrite();
            }),
            Change::Xattr(path) => self.edit(path, |all, at| {
                all[at].entry.xattrs.push(("user.note".to_owned(), b"changed".to_vec()));
                all[at].rewrite();
            }),
            Change::Order(path) => self.edit(path, |all, at| all.swap(at, at + 1)),
            Change::Add(path) => self.edit(path, |all, at| {
                let mut entry = all[at].entry.clone();
                entry.path = tarsia::tree::ImagePath::parse(&format!("{path}.extra")).unwrap();
                entry.size = 6;
                let mut raw = Raw { entry, header: Vec::new(), body: padded(b"extra\n") };
                raw.rewrite();
                all.insert(at + 1, raw);
            }),
            Change::Remove(path) => self.edit(path, |all, at| drop(all.remove(at))),
            Change::Copy(path) => self.edit(path, |all, at| {
                let Kind::Hardlink(target) = all[at].entry.kind.clone() else { panic!("{path} is no hard link") };
                let file = all.iter().find(|raw| raw.entry.path == target).unwrap();
                let (size, body) = (file.entry.size, file.body.clone());
                let raw = &mut all[at];
                (raw.entry.kind, raw.entry.size, raw.body) = (Kind::File, size, body);
                raw.rewrite();
            }),
            Change::Pax(path) => self.edit(path, |all, at| {
                let record = format!("path={}\n", &path[1..]);
                let length = (record.len() + 1..).find(|n| *n == record.len() + 1 + n.to_string().len()).unwrap();
                let record = format!("{length} {record}");
                let plain = all[at].header.clone();
                let mut block: [u8; 512] = plain[..512].try_into().unwrap();
                block[..100].fill(0);
                block[..10].copy_from_slice(b"pax_header");
                block[345..500].fill(0);
                block[124..135].copy_from_slice(format!("{:011o}", record.len()).as_bytes());
                block[156] = b'x';
                block[157..257].fill(0);
                all[at].header = [&sealed(block)[..], &padded(record.as_bytes()), &plain].concat();
            }),
            Change::OwnerNames(path) => self.edit(path, |all, at| {
                let mut block: [u8; 512] = all[at].header[..512].try_into().unwrap();
                block[265..269].copy_from_slice(b"root");
                block[297..301].copy_from_slice(b"root");
                all[at].header = sealed(block).to_vec();
            }),
            Change::Padding(path) => self.edit(path, |all, at| {
                assert!(all[at].entry.size % 512 != 0, "{path} fills its last block");
                *all[at].body.last_mut().unwrap() = b'!';
            }),
            Change::Trailer(path) => {
                let (layer, _, mut tar) = self.find(path);
                tar.extend_from_slice(&[0; 1024]);
                self.put_tar(layer, &tar, Compression::Zstd(3));
            }
            Change::Level(path) => {
                let (layer, _, tar) = self.find(path);
                self.put_tar(layer, &tar, Compression::Zstd(19));
            }
            Change::Gzip(path) => {
                let (layer, _, tar) = self.find(path);
                self.put_tar(layer, &tar, Compression::Gzip(6));
            }
            Change::Layer(path) => {
                let mut moved = None;
                self.edit(path, |all, at| moved = Some(all.remove(at)));
                let (mut lowest, trailer) = entries(&self.tar(0));
                lowest.extend(moved);
                self.put_tar(0, &joined(&lowest, &trailer), Compression::Zstd(3));
            }
            Change::User(user) => self.config["config"]["User"] = user.into(),
            Change::Space => self.space = true,
            Change::Layers => {
                self.manifest["layers"].as_array_mut().unwrap().swap(0, 1);
                self.config["rootfs"]["diff_ids"].as_array_mut().unwrap().swap(0, 1);
            }
        }
    }

    /// Writes config, manifest and index, each as it was written before.
    fn close(mut self) -> String {
        self.config.sort_all_objects();
        let mut config = canon::compact(&self.config);
        // `type` stands before `diff_ids`, as BuildKit writes it.
        if let Some(text) = self.config["rootfs"]["diff_ids"].as_array().map(|all| canon::compact(&all.clone().into()))
        {
            let ids = String::from_utf8(text).unwrap();
            let (sorted, written) = (
                format!("\"rootfs\":{{\"diff_ids\":{ids},\"type\":\"layers\"}}"),
                format!("\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":{ids}}}"),
            );
            config = String::from_utf8(config).unwrap().replace(&sorted, &written).into_bytes();
        }
        if self.space {
            config.push(b'\n');
        }
        Self::put(self.root, &mut self.manifest["config"], &config);
        let written: tarsia::image::Manifest = serde_json::from_value(self.manifest.clone()).unwrap();
        let manifest = canon::indented(&written);
        if let Some(mut inner) = self.inner.take() {
            Self::put(self.root, &mut inner["manifests"][0], &manifest);
            let written: tarsia::image::Index = serde_json::from_value(inner).unwrap();
            Self::put(self.root, &mut self.index["manifests"][0], &canon::indented(&written));
        } else {
            Self::put(self.root, &mut self.index["manifests"][0], &manifest);
        }
        std::fs::write(self.root.join("index.json"), self.index.to_string()).unwrap();
        self.index["manifests"][0]["digest"].as_str().unwrap().to_owned()
    }
}

impl Raw {
    /// Writes the header again, as tarsia writes headers.
    fn rewrite(&mut self) {
        let path = self.entry.path.as_str().to_owned();
        let kind = match &self.entry.kind {
            Kind::Directory => write::Kind::Directory,
            Kind::File => write::Kind::File(self.entry.size),
            Kind::Symlink(target) => write::Kind::Symlink(target),
            Kind::Hardlink(target) => write::Kind::Hardlink(target.as_str()),
        };
        let Entry { mode, uid, gid, mtime, ref xattrs, .. } = self.entry;
        self.header.clear();
        write::append_header(&mut self.header, &Header { path: &path, kind, mode, uid, gid, mtime, xattrs }).unwrap();
    }
}

/// Takes a tar apart, to its last byte.
fn entries(tar: &[u8]) -> (Vec<Raw>, Vec<u8>) {
    let options = Options { third_party: true, layer: true, ..Options::default() };
    let mut reader = Reader::new(tar, options);
    let mut all = Vec::new();
    let mut end = 0;
    while let Some(entry) = reader.next().unwrap() {
        let start = entry.offset as usize;
        let header = tar[end..start].to_vec();
        end = start + (entry.size as usize).next_multiple_of(512);
        all.push(Raw { entry, header, body: tar[start..end].to_vec() });
    }
    (all, tar[end..].to_vec())
}

fn joined(all: &[Raw], trailer: &[u8]) -> Vec<u8> {
    let mut tar: Vec<u8> = all.iter().flat_map(|raw| [&raw.header[..], &raw.body].concat()).collect();
    tar.extend_from_slice(trailer);
    tar
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Returns a header with its checksum made right, as tarsia writes it.
fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
