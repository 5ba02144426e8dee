//! Writes and reads archives as `docker save` writes them: a config, the layers, and a `manifest.json` that names both
//! (Docker image specification 1.2, combined image JSON).
//!
//! Layers are uncompressed and named by their DiffIDs. Every loader takes those; gzip is taken by most, Zstandard by
//! few (Docker before 23 refuses it). So an archive's bytes depend on what the layers hold and not on how the image's
//! own layers are encoded, and it can be compressed as a whole. The config is the image's own: the id that an engine
//! shows is its digest. The manifest is the engine's, so its digest is not the image's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::canon;
use crate::codec::decode::{self, Format};
use crate::digest::{DiffId, Digest, HashingReader};
use crate::layer::Layer;
use crate::spec::Compression;
use crate::store::output::Staging;
use crate::tar::write::END;

use super::write::{Tar, stored, write_file};
use super::{BlobSource, CONFIG, Descriptor, Error, Image, MANIFEST, Manifest, Reference};

/// The list of images in an archive.
pub(super) const LIST: &str = "manifest.json";
/// The most images that an archive may list.
const MAX_LISTED: usize = 1024;
/// Media type of a layer that is not compressed.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image in `manifest.json`. Fields are written in this order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Writes an archive of one image under these names to `out`; what `out` is, errors call `what`.
///
/// The bytes are a function of config, layers and names. Layers are decoded as they pass, and checked against their
/// DiffIDs. `manifest.json` comes last: an archive that is cut short names no image.
///
/// # Errors
/// A blob that is missing or does not hold, or what `out` says.
pub fn write_docker_archive(
    image: &Image,
    names: &BTreeSet<Reference>,
    blobs: &BlobSource<'_>,
    out: &mut dyn Write,
    what: &str,
) -> Result<(), Error> {
    let mut tar = Tar::new(out, what);
    let config = format!("{}.json", Digest::of(image.config()).hex());
    let by_diff_id: BTreeMap<DiffId, &Layer> = image.layers().iter().map(|layer| (layer.diff_id, layer)).collect();
    for layer in by_diff_id.values() {
        let mut bytes = decoded(layer, stored(&layer.digest, blobs)?)?;
        tar.stream(&layer_name(layer.diff_id), layer.tar_size, &mut bytes, |source| Error::Blob {
            digest: layer.digest,
            source,
        })?;
        let (found, _) = bytes.finish();
        if found.as_bytes() != layer.diff_id.as_bytes() {
            let problem = format!("its tar is {found}, and the config says {}", layer.diff_id);
            let source = io::Error::new(io::ErrorKind::InvalidData, problem);
            return Err(Error::Blob { digest: layer.digest, source });
        }
    }
    tar.file(&config, image.config())?;
    let list = [Listed {
        config,
        repo_tags: (!names.is_empty()).then(|| names.iter().map(Reference::to_string).collect()),
        layers: image.layers().iter().map(|layer| layer_name(layer.diff_id)).collect(),
    }];
    tar.file(LIST, &canon::ordered(&list))?;
    tar.write(&END)?;
    tar.flush()
}

/// Writes an archive of one image as [`write_docker_archive`] does, as a file that will stand at `destination`; the
/// caller commits it.
pub fn stage_docker_archive(
    image: &Image,
    names: &BTreeSet<Reference>,
    blobs: &BlobSource<'_>,
    destination: &Path,
) -> Result<Staging, Error> {
    write_file(destination, |out, what| write_docker_archive(image, names, blobs, out, what))
}

fn layer_name(diff_id: DiffId) -> String {
    format!("{}.tar", diff_id.hex())
}

/// Returns a layer's tar.
fn decoded(layer: &Layer, blob: File) -> Result<HashingReader<Box<dyn Read + Send>>, Error> {
    let format = match layer.compression {
        Compression::Zstd(_) => Format::Zstd,
        Compression::Gzip(_) => Format::Gzip,
    };
    let limits = decode::Limits {
        max_output: layer.tar_size,
        max_ratio: 1_000_000,
        concatenated: true,
        ..decode::Limits::default()
    };
    let decoded = decode::decoder(format, blob, &limits)
        .map_err(|error| Error::Blob { digest: layer.digest, source: io::Error::other(error) })?;
    Ok(HashingReader::new(Box::new(decoded)))
}

/// A member of an archive: where its bytes start, and how many there are.
type Range = (u64, u64);

/// What an archive holds of one image, as an OCI layout would have it.
pub(super) struct Found {
    /// A manifest of the config and the layers, made here: an archive of this kind has none.
    pub(super) manifest: Vec<u8>,
    /// Where each blob is.
    pub(super) blobs: BTreeMap<Digest, Range>,
    /// The config's descriptor; its digest is the image's id.
    pub(super) config: Descriptor,
}

/// Finds the image named `name`, or the only one, in an archive.
///
/// `read` gives the bytes of a range. Each layer is hashed, since nothing in such an archive names its bytes.
pub(super) fn find<R: Read>(
    members: &Members,
    name: Option<&Reference>,
    read: impl Fn(Range) -> R,
    max_document: u64,
) -> Result<Found, String> {
    let document = |path: &str| {
        let range = members.find(path)?;
        if range.1 > max_document {
            return Err(format!("`{path}` has more than {max_document} bytes"));
        }
        let mut bytes = Vec::new();
        read(range).read_to_end(&mut bytes).map_err(|error| format!("`{path}`: {error}"))?;
        Ok((range, bytes))
    };
    let (_, list) = document(LIST)?;
    let listed: Vec<Listed> =
        serde_json::from_slice(&list).map_err(|error| format!("`{LIST}` is malformed: {error}"))?;
    if listed.len() > MAX_LISTED {
        return Err(format!("`{LIST}` lists more than {MAX_LISTED} images"));
    }
    let mut named = listed.into_iter().filter(|one| match name {
        Some(name) => one.repo_tags.iter().flatten().any(|tag| name.names(tag)),
        None => true,
    });
    let image = match (named.next(), named.next()) {
        (Some(one), None) => one,
        (None, _) => return Err("it holds no such image".to_owned()),
        (Some(_), Some(_)) => return Err("it holds several images, and no name says which".to_owned()),
    };
    let mut blobs = BTreeMap::new();
    let (range, bytes) = document(&image.config)?;
    let config = Descriptor::of(CONFIG, &bytes);
    blobs.insert(config.digest, range);
    let mut layers = Vec::new();
    for path in &image.layers {
        let range = members.find(path)?;
        let mut head = Vec::new();
        let failed = |error: io::Error| format!("`{path}`: {error}");
        read(range).take(8).read_to_end(&mut head).map_err(failed)?;
        let suffix = match Format::sniff(&head) {
            Format::Stored => "",
            Format::Gzip => "+gzip",
            Format::Zstd => "+zstd",
            other => return Err(format!("`{path}` is {}, which no layer is", other.name())),
        };
        let mut hashed = HashingReader::new(read(range));
        io::copy(&mut hashed, &mut io::sink()).map_err(failed)?;
        let (digest, size) = hashed.finish();
        blobs.insert(digest, range);
        layers.push(Descriptor::new(&format!("{LAYER}{suffix}"), digest, size));
    }
    let manifest = canon::indented(&Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: config.clone(),
        layers,
        annotations: BTreeMap::new(),
    });
    Ok(Found { manifest, blobs, config })
}

/// The members of an archive that is read: regular files, and links to them.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Regular files by path.
    pub(super) files: BTreeMap<String, Range>,
    /// Where links lead, by path: `docker save` writes a layer that two images share once.
    pub(super) links: BTreeMap<String, String>,
}

impl Members {
    /// Returns where a file's bytes are; a link is followed once.
    fn find(&self, path: &str) -> Result<Range, String> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let target = self.links.get(path).map(String::as_str).unwrap_or(path);
        self.files.get(target).copied().ok_or_else(|| format!("`{path}` is not in it"))
    }

    /// Notes a symbolic link at `path`; one that leads out leads nowhere.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        let mut parts: Vec<&str> = path.split('/').collect();
        parts.pop();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return;
                    }
                }
                part => parts.push(part),
            }
        }
        if !target.starts_with('/') {
            self.links.insert(path.to_owned(), parts.join("/"));
        }
    }
}
