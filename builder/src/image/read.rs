//! Reads OCI layouts, archives of them, and archives as `docker save` writes them, for inspection and comparison.
//! Hostile input is assumed.
//!
//! Documents are bounded and checked against their digests before they are parsed; a layer is checked against its
//! digest and DiffID while its entries pass, and holds only when it was read to its end.

mod alone;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::codec::decode::{self, Format};
use crate::digest::{DiffId, Digest, HashingReader};
use crate::spec::Platform;
use crate::store::Store;
use crate::tar::read as tar;

use super::{
    BlobSource, DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Destination, Error, INDEX, ImageIndex, Index, MANIFEST,
    Manifest, REF_NAME, Reference, docker,
};

pub use alone::layer;

pub use crate::tar::read::{Entry, Form};

/// The file that makes a directory or an archive an OCI layout.
const LAYOUT: &str = "oci-layout";
/// The most bytes of a document.
const MAX_DOCUMENT: u64 = 4 << 20;
/// The most images that an index may list.
const MAX_IMAGES: usize = 64;
/// The most bytes of a layer's tar.
const MAX_LAYER: u64 = 64 << 30;
/// What a layer's decoder may give and hold.
const LIMITS: decode::Limits =
    decode::Limits { max_output: MAX_LAYER, max_ratio: 1_000_000, max_window: 128 << 20, concatenated: true };

/// An image that is being read: a layout or archive, its documents checked.
#[derive(Debug)]
pub struct OpenImage {
    name: String,
    place: Place,
    descriptor: Descriptor,
    index: Option<Vec<u8>>,
    images: Vec<Opened>,
    /// Manifests that the layout's index lists beside the image.
    attached: Vec<Descriptor>,
}

/// One platform's image, its documents read and checked.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Descriptor of the manifest; of the config in an archive of Docker's, which has no manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// The config.
    pub config: Value,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The layers, lowest first.
    pub layers: Vec<OpenLayer>,
    /// The platform that the config names, where tarsia knows it.
    pub platform: Option<Platform>,
}

/// A layer that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLayer {
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The digest of its tar, as the config says it.
    pub diff_id: DiffId,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Archive {
        file: File,
        members: BTreeMap<String, (u64, u64)>,
    },
    /// Layers as opened files, by path in a layout.
    Held(BTreeMap<String, File>),
    /// Blobs of a store.
    Stored(Store),
}

/// Opens the image at `source`; where a layout or an archive holds several, the tag or name says which.
///
/// An archive that is no OCI layout and holds a `manifest.json` is read as one of Docker's. Such an image has no
/// manifest: one is made for it, and the whole is named by its config's digest, which is the id that Docker shows.
pub fn open(source: &Destination) -> Result<OpenImage, Error> {
    let name = source.to_string();
    let (place, tag) = match source {
        Destination::Layout(path, tag) => (Place::Directory(path.clone()), tag.as_deref()),
        Destination::Archive(path, tag) => {
            let (file, members) = members(&name, path)?;
            if !members.files.contains_key(LAYOUT) && members.files.contains_key(docker::LIST) {
                let reference = tag.as_deref().map(Reference::of_engine).transpose();
                let reference = reference.map_err(|problem| Error::Destination { text: name.clone(), problem })?;
                return open_docker(name, file, &members, reference.as_ref());
            }
            (Place::Archive { file, members: members.files }, tag.as_deref())
        }
        Destination::DockerArchive(path, reference) => {
            let (file, members) = members(&name, path)?;
            return open_docker(name, file, &members, reference.as_ref());
        }
        Destination::DockerDaemon(_) | Destination::ContainersStorage(_) => {
            return Err(Error::Destination { text: name, problem: "images are written there, and not read" });
        }
        Destination::Registry(_) => {
            return Err(Error::Destination { text: name, problem: "it stands in a registry, not on disk" });
        }
    };
    let reader = Documents { name: &name, place: &place };
    let layout: Layout = reader.parse(LAYOUT, &reader.named(LAYOUT)?)?;
    if layout.image_layout_version != "1.0.0" {
        return Err(reader.invalid(format!("its layout has version `{}`, not 1.0.0", layout.image_layout_version)));
    }
    let top: Index = reader.parse("index.json", &reader.named("index.json")?)?;
    let attached = top.manifests.iter().filter(|one| one.artifact_type.is_some()).cloned().collect();
    // What is attached to an image stands beside it, and is none.
    let images = top.manifests.into_iter().filter(|one| one.artifact_type.is_none());
    let mut named = images.filter(|one| match tag {
        Some(tag) => one.annotations.get(REF_NAME).is_some_and(|name| name == tag),
        None => true,
    });
    let Some(descriptor) = named.next() else { return Err(reader.invalid("it holds no such image".to_owned())) };
    // Several tags may name one image.
    if named.any(|other| (&other.media_type, other.digest) != (&descriptor.media_type, descriptor.digest)) {
        return Err(reader.invalid("it holds several images, and no tag names one".to_owned()));
    }
    let (index, images) = reader.whole(&descriptor)?;
    Ok(OpenImage { name, place, descriptor, index, images, attached })
}

/// Opens the image whose documents stand in `store`, shown as `name`; its layers are read there when they are asked for.
///
/// # Errors
/// Where a document is missing, or does not hold together.
pub fn stored(name: &str, descriptor: &Descriptor, store: &Store) -> Result<OpenImage, Error> {
    let place = Place::Stored(store.clone());
    let (index, images) = Documents { name, place: &place }.whole(descriptor)?;
    let attached = Vec::new();
    Ok(OpenImage { name: name.to_owned(), place, descriptor: descriptor.clone(), index, images, attached })
}

/// Opens an image of an archive as `docker save` writes it.
fn open_docker(
    name: String,
    file: File,
    members: &docker::Members,
    reference: Option<&Reference>,
) -> Result<OpenImage, Error> {
    let invalid = |problem| Error::Invalid { image: name.clone(), problem };
    let piece = |(offset, size): (u64, u64)| Piece { file: Held::Shared(&file), at: offset, end: offset + size };
    let found = docker::find(members, reference, piece, MAX_DOCUMENT).map_err(invalid)?;
    let manifest: Manifest = serde_json::from_slice(&found.manifest).expect("it was written from a manifest just now");
    let blobs = found.blobs.into_iter().map(|(digest, range)| (blob_path(&digest), range)).collect();
    let place = Place::Archive { file, members: blobs };
    let reader = Documents { name: &name, place: &place };
    let image = reader.configured(found.config.clone(), manifest, found.manifest)?;
    Ok(OpenImage { descriptor: found.config, index: None, images: vec![image], name, place, attached: Vec::new() })
}

/// Opens an archive and notes where its members are.
fn members(name: &str, path: &Path) -> Result<(File, docker::Members), Error> {
    let failed = |source| Error::Read { image: name.to_owned(), source };
    // What is no regular file must not be waited for.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file")));
    }
    let options = tar::Options { max_size: 4 * MAX_LAYER, third_party: true, ..tar::Options::default() };
    let mut reader = tar::Reader::new(BufReader::with_capacity(1 << 20, &file), options);
    let mut members = docker::Members::default();
    loop {
        match reader.next() {
            Ok(Some(entry)) => match &entry.kind {
                tar::Kind::File => {
                    members.files.insert(entry.path.as_str().to_owned(), (entry.offset, entry.size));
                }
                tar::Kind::Symlink(target) => members.link(entry.path.as_str(), target),
                tar::Kind::Hardlink(target) => {
                    members.links.insert(entry.path.as_str().to_owned(), target.as_str().to_owned());
                }
                tar::Kind::Directory => {}
            },
            Ok(None) => break,
            Err(tar::Error::Read { source, .. }) => return Err(failed(source)),
            Err(error) => return Err(Error::Invalid { image: name.to_owned(), problem: error.to_string() }),
        }
    }
    Ok((file, members))
}

/// Returns a finished image as one that can be read, shown as `name`; `blobs` gives its layers.
pub fn built(name: &str, image: &ImageIndex, blobs: &BlobSource<'_>) -> Result<OpenImage, Error> {
    let mut held = BTreeMap::new();
    let mut images = Vec::new();
    for image in image.images() {
        let manifest: Manifest = parse_own(image.manifest());
        let ConfigLayers { rootfs, .. } = parse_own(image.config());
        for layer in &manifest.layers {
            let digest = layer.digest;
            let file = blobs(&digest).map_err(|source| Error::Blob { digest, source })?;
            held.insert(blob_path(&digest), file.ok_or(Error::MissingBlob { digest })?);
        }
        let layers = manifest.layers.iter().cloned().zip(rootfs.diff_ids);
        images.push(Opened {
            descriptor: image.descriptor(),
            layers: layers.map(|(descriptor, diff_id)| OpenLayer { descriptor, diff_id }).collect(),
            manifest_bytes: image.manifest().to_vec(),
            config: parse_own(image.config()),
            config_bytes: image.config().to_vec(),
            platform: Some(image.platform()),
            manifest,
        });
    }
    let index = image.index().map(<[u8]>::to_vec);
    let (name, place, attached) = (name.to_owned(), Place::Held(held), Vec::new());
    Ok(OpenImage { name, place, descriptor: image.descriptor(), index, images, attached })
}

fn parse_own<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes).expect("a document of ours can be read")
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Opened {
    /// Returns whether this is no image that runs: builders put what they say of an image beside it into its index, for
    /// the platform `unknown/unknown` (BuildKit `attestation-storage.md`).
    pub fn is_attestation(&self) -> bool {
        self.config["os"] == "unknown" && self.config["architecture"] == "unknown"
    }
}

impl OpenImage {
    /// Returns the image as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the descriptor of the whole: an index, or the one image's manifest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the index's bytes; `None` where there is one image alone.
    pub fn index(&self) -> Option<&[u8]> {
        self.index.as_deref()
    }

    /// Returns the images in the index's order.
    pub fn images(&self) -> &[Opened] {
        &self.images
    }

    /// Returns the manifests that the index of a layout lists beside the image: what may be attached to it. They are not
    /// read.
    pub fn attached(&self) -> &[Descriptor] {
        &self.attached
    }

    /// Hands every entry of a layer, with a reader of its bytes, to `visit`. When this returns well, the whole layer
    /// has been checked against its digest and DiffID.
    pub fn entries<E: From<Error>>(
        &self,
        layer: &OpenLayer,
        mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(layer, false, |entry, _, body| visit(entry, body)).map(|_| ())
    }

    /// As [`OpenImage::entries`], and says how each entry is written; returns the bytes behind the last entry.
    pub fn written<E: From<Error>>(
        &self,
        layer: &OpenLayer,
        visit: impl FnMut(&Entry, &Form, &mut dyn Read) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.walk(layer, true, visit)
    }

    /// Returns a reader of a layer's tar; neither the blob nor the tar is checked.
    pub fn tar(&self, layer: &OpenLayer) -> Result<Box<dyn Read + Send + '_>, Error> {
        let reader = Documents { name: &self.name, place: &self.place };
        let format = reader.format(&layer.descriptor)?;
        let blob = self.place.blob(&layer.descriptor).map_err(|source| reader.read(source))?;
        decode::decoder(format, blob, &LIMITS).map_err(|error| reader.broken(layer, &error))
    }

    fn walk<E: From<Error>>(
        &self,
        layer: &OpenLayer,
        forms: bool,
        mut visit: impl FnMut(&Entry, &Form, &mut dyn Read) -> Result<(), E>,
    ) -> Result<u64, E> {
        let reader = Documents { name: &self.name, place: &self.place };
        let format = reader.format(&layer.descriptor)?;
        let blob = self.place.blob(&layer.descriptor).map_err(|source| reader.read(source))?;
        let mut encoded = HashingReader::new(blob);
        let trailer = {
            let decoded =
                decode::decoder(format, &mut encoded, &LIMITS).map_err(|error| reader.broken(layer, &error))?;
            let mut hashed = HashingReader::new(decoded);
            let trailer = {
                let options = tar::Options {
                    max_size: MAX_LAYER,
                    third_party: true,
                    layer: true,
                    forms,
                    ..tar::Options::default()
                };
                let mut entries = tar::Reader::new(BufReader::with_capacity(256 << 10, &mut hashed), options);
                while let Some(entry) = entries.next().map_err(|error| reader.broken(layer, &error))? {
                    let form = if forms { entries.form().clone() } else { Form::default() };
                    visit(&entry, &form, &mut Body(&mut entries))?;
                }
                entries.trailer()
            };
            io::copy(&mut hashed, &mut io::sink()).map_err(|source| reader.read(source))?;
            let (found, _) = hashed.finish();
            if found.as_bytes() != layer.diff_id.as_bytes() {
                let problem = format!("a layer's tar is {found}, and the config says {}", layer.diff_id);
                return Err(reader.invalid(problem).into());
            }
            trailer
        };
        io::copy(&mut encoded, &mut io::sink()).map_err(|source| reader.read(source))?;
        let (found, size) = encoded.finish();
        reader.check(&layer.descriptor, found, size)?;
        Ok(trailer)
    }

    /// Returns a reader of a blob's bytes as stored, which outlives the image; they are not checked.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        let reader = Documents { name: &self.name, place: &self.place };
        let blob = self.place.blob(descriptor).and_then(Piece::owned).map_err(|source| reader.read(source))?;
        Ok(Box::new(blob))
    }
}

/// `oci-layout`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// What of a config ties it to its layers.
#[derive(Deserialize)]
struct ConfigLayers {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    rootfs: ConfigRootFs,
}

#[derive(Deserialize)]
struct ConfigRootFs {
    diff_ids: Vec<DiffId>,
}

/// Reads and checks the documents of an image.
struct Documents<'a> {
    name: &'a str,
    place: &'a Place,
}

impl Documents<'_> {
    /// Returns the index that a descriptor names, where it is one, and all images.
    fn whole(&self, descriptor: &Descriptor) -> Result<(Option<Vec<u8>>, Vec<Opened>), Error> {
        match descriptor.media_type.as_str() {
            MANIFEST | DOCKER_MANIFEST => Ok((None, vec![self.image(descriptor)?])),
            INDEX | DOCKER_LIST => {
                let bytes = self.document(descriptor)?;
                let index: Index = self.parse("its index", &bytes)?;
                if index.manifests.is_empty() || index.manifests.len() > MAX_IMAGES {
                    let count = index.manifests.len();
                    return Err(self.invalid(format!("its index lists {count} images, not 1 to {MAX_IMAGES}")));
                }
                let images = index.manifests.iter().map(|one| self.image(one)).collect::<Result<_, _>>()?;
                Ok((Some(bytes), images))
            }
            other => Err(self.invalid(format!("it is of type `{other}`"))),
        }
    }

    fn image(&self, descriptor: &Descriptor) -> Result<Opened, Error> {
        let kind = descriptor.media_type.as_str();
        if !matches!(kind, MANIFEST | DOCKER_MANIFEST) {
            return Err(self.invalid(format!("its index lists a `{kind}`")));
        }
        let manifest_bytes = self.document(descriptor)?;
        let manifest: Manifest = self.parse("its manifest", &manifest_bytes)?;
        if manifest.schema_version != 2 || !(manifest.media_type.is_empty() || manifest.media_type == kind) {
            return Err(self.invalid("its manifest is of another kind than it claims".to_owned()));
        }
        self.configured(descriptor.clone(), manifest, manifest_bytes)
    }

    /// Returns the image of a manifest, with its config read and checked.
    fn configured(&self, descriptor: Descriptor, manifest: Manifest, manifest_bytes: Vec<u8>) -> Result<Opened, Error> {
        let config_bytes = self.document(&manifest.config)?;
        let ConfigLayers { os, architecture, rootfs } = self.parse("its config", &config_bytes)?;
        if rootfs.diff_ids.len() != manifest.layers.len() {
            let (layers, names) = (manifest.layers.len(), rootfs.diff_ids.len());
            return Err(self.invalid(format!("its manifest has {layers} layers, and its config {names}")));
        }
        let layers = manifest.layers.iter().zip(rootfs.diff_ids);
        Ok(Opened {
            descriptor,
            layers: layers.map(|(layer, diff_id)| OpenLayer { descriptor: layer.clone(), diff_id }).collect(),
            config: self.parse("its config", &config_bytes)?,
            config_bytes,
            platform: Platform::from_oci(&format!("{os}/{architecture}")),
            manifest,
            manifest_bytes,
        })
    }

    /// Returns a document's bytes, which are those that the descriptor names.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        if descriptor.size > MAX_DOCUMENT {
            return Err(self.invalid(format!("a document of {} bytes, more than {MAX_DOCUMENT}", descriptor.size)));
        }
        let mut bytes = Vec::new();
        let blob = self.place.blob(descriptor).map_err(|source| self.read(source))?;
        blob.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(|source| self.read(source))?;
        self.check(descriptor, Digest::of(&bytes), bytes.len() as u64)?;
        Ok(bytes)
    }

    /// Returns a bounded file of the layout by its name.
    fn named(&self, path: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let file = self.place.file(path).map_err(|source| self.read(source))?;
        file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(|source| self.read(source))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(self.invalid(format!("`{path}` has more than {MAX_DOCUMENT} bytes")));
        }
        Ok(bytes)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, what: &str, bytes: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(bytes).map_err(|error| self.invalid(format!("{what} is malformed: {error}")))
    }

    fn check(&self, expected: &Descriptor, found: Digest, size: u64) -> Result<(), Error> {
        if (expected.digest, expected.size) == (found, size) {
            return Ok(());
        }
        let Descriptor { digest, size: named, .. } = expected;
        Err(self.invalid(format!("blob {digest} of {named} bytes is {found} of {size} bytes")))
    }

    /// Returns how a layer is encoded; its first bytes must agree with its media type.
    fn format(&self, layer: &Descriptor) -> Result<Format, Error> {
        let format = match layer.media_type.as_str() {
            "application/vnd.oci.image.layer.v1.tar" => Format::Stored,
            "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                Format::Gzip
            }
            "application/vnd.oci.image.layer.v1.tar+zstd" => Format::Zstd,
            other => return Err(self.invalid(format!("a layer is of type `{other}`"))),
        };
        let mut head = Vec::new();
        let blob = self.place.blob(layer).map_err(|source| self.read(source))?;
        blob.take(8).read_to_end(&mut head).map_err(|source| self.read(source))?;
        if Format::sniff(&head) == format {
            return Ok(format);
        }
        Err(self.invalid(format!("layer {} is no {}", layer.digest, format.name())))
    }

    fn broken(&self, layer: &OpenLayer, error: &dyn std::error::Error) -> Error {
        let mut problem = format!("layer {}: {error}", layer.descriptor.digest);
        let mut source = error.source();
        while let Some(cause) = source {
            problem.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        self.invalid(problem)
    }

    fn read(&self, source: io::Error) -> Error {
        Error::Read { image: self.name.to_owned(), source }
    }

    fn invalid(&self, problem: String) -> Error {
        Error::Invalid { image: self.name.to_owned(), problem }
    }
}

impl Place {
    fn blob(&self, descriptor: &Descriptor) -> io::Result<Piece<'_>> {
        self.file(&blob_path(&descriptor.digest))
    }

    fn file(&self, path: &str) -> io::Result<Piece<'_>> {
        match self {
            Self::Directory(root) => {
                // What is no regular file must not be waited for.
                let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
                let file = File::options()
                    .read(true)
                    .custom_flags(flags)
                    .open(root.join(path))
                    .map_err(|error| io::Error::new(error.kind(), format!("`{path}`: {error}")))?;
                if !file.metadata()?.is_file() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{path}` is no regular file")));
                }
                Ok(Piece { file: Held::Own(file), at: 0, end: u64::MAX })
            }
            Self::Archive { file, members } => {
                let &(offset, size) = members
                    .get(path)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("`{path}` is not in it")))?;
                Ok(Piece { file: Held::Shared(file), at: offset, end: offset + size })
            }
            Self::Stored(store) => {
                let digest = path.rsplit('/').next().and_then(|hex| Digest::from_hex(hex).ok());
                let file = digest.map(|digest| store.blob(&digest)).transpose().map_err(io::Error::other)?.flatten();
                let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("`{path}`")))?;
                Ok(Piece { file: Held::Own(file), at: 0, end: u64::MAX })
            }
            Self::Held(files) => {
                let file = files.get(path);
                let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("`{path}`")))?;
                Ok(Piece { file: Held::Shared(file), at: 0, end: u64::MAX })
            }
        }
    }
}

/// A range of a file, read by position.
struct Piece<'a> {
    file: Held<'a>,
    at: u64,
    end: u64,
}

enum Held<'a> {
    Own(File),
    Shared(&'a File),
}

impl Piece<'_> {
    /// Returns the same range of a file of its own. It is read by position, so the two do not move each other.
    fn owned(self) -> io::Result<Piece<'static>> {
        let file = match self.file {
            Held::Own(file) => file,
            Held::Shared(file) => file.try_clone()?,
        };
        Ok(Piece { file: Held::Own(file), at: self.at, end: self.end })
    }
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let file = match &self.file {
            Held::Own(file) => file,
            Held::Shared(file) => file,
        };
        let count = file.read_at(&mut buffer[..length], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The bytes of the entry that a tar reader stands at.
struct Body<'a, R>(&'a mut tar::Reader<R>);

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_data(buffer).map_err(io::Error::other)
    }
}
