//! Writes OCI layouts, as directories and as archives.
//!
//! Both are deterministic. They are written beside their destination, and renamed when the caller commits them: it
//! holds the whole image, or what stood there before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use crate::canon;
use crate::digest::Digest;
use crate::store::export;
use crate::store::output::{OCI_LAYOUT, Staging};
use crate::tar::write::{END, Header, Kind, append_header, padding};

use super::{Descriptor, Error, INDEX, ImageIndex, Index, MANIFEST, REF_NAME};

/// Bytes that are copied at once.
const PIECE: usize = 256 << 10;

/// Gives a layer's blob, at its first byte; `None` where it is not there.
pub type BlobSource<'a> = dyn Fn(&Digest) -> io::Result<Option<File>> + 'a;

/// `oci-layout` (OCI image-spec 1.1, image layout).
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes an image as an OCI layout directory that will stand at `destination`, with these tags; the caller commits it.
pub fn write_layout(
    image: &ImageIndex,
    tags: &BTreeSet<String>,
    blobs: &BlobSource<'_>,
    destination: &Path,
) -> Result<Staging, Error> {
    let staging = Staging::directory(destination, OCI_LAYOUT)?;
    fill_layout(image, tags, blobs, staging.path(), destination)?;
    Ok(staging)
}

/// Writes an image as an OCI layout into an empty `directory`, which errors call `what`.
pub fn fill_layout(
    image: &ImageIndex,
    tags: &BTreeSet<String>,
    blobs: &BlobSource<'_>,
    directory: &Path,
    what: &Path,
) -> Result<(), Error> {
    let failed = |source| Error::Write { path: what.display().to_string(), source };
    let place = directory.join("blobs").join("sha256");
    fs::create_dir_all(&place).map_err(failed)?;
    for (digest, blob) in contents(image) {
        let path = place.join(digest.hex());
        match blob {
            Blob::Bytes(bytes) => fs::write(&path, bytes).map_err(failed)?,
            Blob::Stored(size) => {
                let count = export(&stored(&digest, blobs)?, &path)?;
                check_size(digest, size, count)?;
            }
        }
    }
    fs::write(directory.join("oci-layout"), LAYOUT).map_err(failed)?;
    fs::write(directory.join("index.json"), index(image, tags)).map_err(failed)
}

/// Writes an image as a tar of an OCI layout that will stand at `destination`, with these tags; the caller commits it.
/// Metadata is fixed: mode 0644 and 0755, owner 0, time 0, paths in order.
pub fn write_archive(
    image: &ImageIndex,
    tags: &BTreeSet<String>,
    blobs: &BlobSource<'_>,
    destination: &Path,
) -> Result<Staging, Error> {
    write_file(destination, |out, what| {
        let mut tar = Tar::new(out, what);
        tar.directory("blobs")?;
        tar.directory("blobs/sha256")?;
        for (digest, blob) in contents(image) {
            let path = format!("blobs/sha256/{}", digest.hex());
            match blob {
                Blob::Bytes(bytes) => tar.file(&path, bytes)?,
                Blob::Stored(size) => {
                    let mut file = stored(&digest, blobs)?;
                    tar.stream(&path, size, &mut file, |source| Error::Blob { digest, source })?;
                }
            }
        }
        tar.file("index.json", &index(image, tags))?;
        tar.file("oci-layout", LAYOUT)?;
        tar.write(&END)?;
        tar.flush()
    })
}

/// Writes a file with `write` that will stand at `destination`; the caller commits it.
pub(super) fn write_file(
    destination: &Path,
    write: impl FnOnce(&mut dyn Write, &str) -> Result<(), Error>,
) -> Result<Staging, Error> {
    let staging = Staging::file(destination)?;
    let what = destination.display().to_string();
    let file = File::options().write(true).truncate(true).open(staging.path());
    let file = file.map_err(|source| Error::Write { path: what.clone(), source })?;
    write(&mut BufWriter::with_capacity(1 << 20, file), &what)?;
    Ok(staging)
}

/// A blob of a layout.
enum Blob<'a> {
    /// Held by the image.
    Bytes(&'a [u8]),
    /// Named by the image, with its size.
    Stored(u64),
}

/// Returns every blob of an image by digest.
fn contents(image: &ImageIndex) -> BTreeMap<Digest, Blob<'_>> {
    let mut blobs = BTreeMap::new();
    for image in image.images() {
        blobs.extend(image.blobs().map(|(digest, size)| (digest, Blob::Stored(size))));
        for bytes in [image.config(), image.manifest()] {
            blobs.insert(Digest::of(bytes), Blob::Bytes(bytes));
        }
    }
    if let Some(bytes) = image.index() {
        blobs.insert(Digest::of(bytes), Blob::Bytes(bytes));
    }
    for one in &image.embedded {
        blobs.extend(one.blobs.iter().map(|(digest, size)| (*digest, Blob::Stored(*size))));
        for bytes in [&one.config, &one.manifest] {
            blobs.insert(Digest::of(bytes), Blob::Bytes(bytes));
        }
    }
    blobs
}

/// Returns `index.json`: exactly one manifest or index, once for each tag; behind it what is embedded.
fn index(image: &ImageIndex, tags: &BTreeSet<String>) -> Vec<u8> {
    let tagged = |tag: &String| Descriptor {
        annotations: BTreeMap::from([(REF_NAME.to_owned(), tag.clone())]),
        ..image.descriptor()
    };
    let mut manifests = if tags.is_empty() { vec![image.descriptor()] } else { tags.iter().map(tagged).collect() };
    manifests.extend(image.embedded.iter().map(|one| Descriptor {
        artifact_type: Some(one.artifact_type.clone()),
        ..Descriptor::of(MANIFEST, &one.manifest)
    }));
    canon::indented(&Index { schema_version: 2, media_type: INDEX.to_owned(), manifests, annotations: BTreeMap::new() })
}

/// Returns a blob that an image names, at its first byte.
pub(super) fn stored(digest: &Digest, blobs: &BlobSource<'_>) -> Result<File, Error> {
    let found = blobs(digest).map_err(|source| Error::Blob { digest: *digest, source })?;
    found.ok_or(Error::MissingBlob { digest: *digest })
}

fn check_size(digest: Digest, expected: u64, found: u64) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    let source = io::Error::new(io::ErrorKind::InvalidData, format!("it has {found} bytes, not {expected}"));
    Err(Error::Blob { digest, source })
}

/// A tar that is being written, with fixed metadata.
pub(super) struct Tar<'a> {
    out: &'a mut dyn Write,
    /// What errors call it.
    what: &'a str,
}

impl<'a> Tar<'a> {
    pub(super) fn new(out: &'a mut dyn Write, what: &'a str) -> Self {
        Self { out, what }
    }

    pub(super) fn directory(&mut self, path: &str) -> Result<(), Error> {
        self.header(path, Kind::Directory, 0o755)
    }

    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        self.header(path, Kind::File(bytes.len() as u64), 0o644)?;
        self.write(bytes)?;
        self.pad(bytes.len() as u64)
    }

    /// Writes a file of exactly `size` bytes out of `bytes`; `unreadable` makes an error of what `bytes` says.
    pub(super) fn stream(
        &mut self,
        path: &str,
        size: u64,
        bytes: &mut dyn Read,
        unreadable: impl Fn(io::Error) -> Error,
    ) -> Result<(), Error> {
        self.header(path, Kind::File(size), 0o644)?;
        let mut buffer = vec![0; PIECE];
        let mut count = 0;
        loop {
            let length = match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            count += length as u64;
            if count > size {
                break;
            }
            self.write(&buffer[..length])?;
        }
        if count != size {
            let problem = format!("it has {count} bytes or more, not {size}");
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, problem)));
        }
        self.pad(size)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(|source| Error::Write { path: self.what.to_owned(), source })
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(|source| Error::Write { path: self.what.to_owned(), source })
    }

    fn header(&mut self, path: &str, kind: Kind<'_>, mode: u32) -> Result<(), Error> {
        let mut header = Vec::new();
        append_header(&mut header, &Header { path, kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: &[] })?;
        self.write(&header)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.write(&END[..padding(size)])
    }
}
