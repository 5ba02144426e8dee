//! Writes OCI layouts, as directories and as archives.
//!
//! Both are deterministic. They are written beside their destination and renamed: it holds the whole image, or what
//! stood there before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use crate::canon;
use crate::digest::Digest;
use crate::store::export;
use crate::store::output::{OCI_LAYOUT, Staging};
use crate::tar::write::{END, Header, Kind, append_header, padding};

use super::{Descriptor, Error, INDEX, ImageIndex, Index, REF_NAME};

/// Gives a layer's blob, at its first byte; `None` where it is not there.
pub type BlobSource<'a> = dyn Fn(&Digest) -> io::Result<Option<File>> + 'a;

/// `oci-layout` (OCI image-spec 1.1, image layout).
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes an image as an OCI layout directory at `destination`, tagged `tag`.
pub fn write_layout(
    image: &ImageIndex,
    tag: Option<&str>,
    blobs: &BlobSource<'_>,
    destination: &Path,
) -> Result<(), Error> {
    let staging = Staging::directory(destination, OCI_LAYOUT)?;
    let failed = |source| Error::Write { path: destination.to_owned(), source };
    let directory = staging.path().join("blobs").join("sha256");
    fs::create_dir_all(&directory).map_err(failed)?;
    for (digest, blob) in contents(image) {
        let path = directory.join(digest.hex());
        match blob {
            Blob::Bytes(bytes) => fs::write(&path, bytes).map_err(failed)?,
            Blob::Stored(size) => {
                let count = export(&stored(&digest, blobs)?, &path)?;
                check_size(digest, size, count)?;
            }
        }
    }
    fs::write(staging.path().join("oci-layout"), LAYOUT).map_err(failed)?;
    fs::write(staging.path().join("index.json"), index(image, tag)).map_err(failed)?;
    Ok(staging.commit()?)
}

/// Writes an image as a tar of an OCI layout at `destination`, tagged `tag`. Metadata is fixed: mode 0644 and 0755,
/// owner 0, time 0, paths in order.
pub fn write_archive(
    image: &ImageIndex,
    tag: Option<&str>,
    blobs: &BlobSource<'_>,
    destination: &Path,
) -> Result<(), Error> {
    let staging = Staging::file(destination)?;
    let failed = |source| Error::Write { path: destination.to_owned(), source };
    let file = File::options().write(true).truncate(true).open(staging.path()).map_err(failed)?;
    let mut tar = Archive { out: BufWriter::with_capacity(1 << 20, file), path: destination };
    tar.header("blobs", Kind::Directory)?;
    tar.header("blobs/sha256", Kind::Directory)?;
    for (digest, blob) in contents(image) {
        let path = format!("blobs/sha256/{}", digest.hex());
        match blob {
            Blob::Bytes(bytes) => tar.file(&path, bytes)?,
            Blob::Stored(size) => {
                tar.header(&path, Kind::File(size))?;
                let mut file = stored(&digest, blobs)?.take(size + 1);
                let count = io::copy(&mut file, &mut tar.out).map_err(failed)?;
                check_size(digest, size, count)?;
                tar.pad(size)?;
            }
        }
    }
    tar.file("index.json", &index(image, tag))?;
    tar.file("oci-layout", LAYOUT)?;
    tar.write(&END)?;
    tar.out.flush().map_err(failed)?;
    drop(tar);
    Ok(staging.commit()?)
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
    blobs
}

/// Returns `index.json`: exactly one manifest or index.
fn index(image: &ImageIndex, tag: Option<&str>) -> Vec<u8> {
    let annotations = tag.map(|tag| (REF_NAME.to_owned(), tag.to_owned())).into_iter().collect();
    canon::indented(&Index {
        schema_version: 2,
        media_type: INDEX.to_owned(),
        manifests: vec![Descriptor { annotations, ..image.descriptor() }],
        annotations: BTreeMap::new(),
    })
}

fn stored(digest: &Digest, blobs: &BlobSource<'_>) -> Result<File, Error> {
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

/// A tar of an archive that is being written.
struct Archive<'a> {
    out: BufWriter<File>,
    path: &'a Path,
}

impl Archive<'_> {
    fn header(&mut self, path: &str, kind: Kind<'_>) -> Result<(), Error> {
        let mode = if matches!(kind, Kind::Directory) { 0o755 } else { 0o644 };
        let mut header = Vec::new();
        append_header(&mut header, &Header { path, kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: &[] })?;
        self.write(&header)
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        self.header(path, Kind::File(bytes.len() as u64))?;
        self.write(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.write(&END[..padding(size)])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(|source| Error::Write { path: self.path.to_owned(), source })
    }
}
