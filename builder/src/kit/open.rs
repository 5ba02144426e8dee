//! Reads a kit. Hostile input is assumed: nothing in it is believed, and nothing it names is opened.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::{Error, MANIFEST, Manifest, VERSION, blob_path};
use crate::codec::decode::{self, Format};
use crate::digest::Digest;
use crate::tar::read as tar;

/// The most bytes of a manifest.
const MAX_MANIFEST: u64 = 64 << 20;

/// The most bytes of a kit's tar.
const MAX_TAR: u64 = 256 << 30;

/// A kit that can be read from, by many threads at once.
#[derive(Debug)]
pub struct Kit {
    name: String,
    manifest: Manifest,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Archive { file: Arc<fs::File>, members: BTreeMap<String, (u64, u64)> },
}

/// The bytes of a file in a kit, unchecked.
#[derive(Debug)]
pub struct Body {
    file: Arc<fs::File>,
    at: u64,
    end: u64,
}

impl Body {
    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Kit {
    /// Opens the kit at `path`: a directory, a tar, or a tar in Zstandard, which is decompressed once to a file without
    /// a name in `spool`.
    pub fn open(path: &Path, spool: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let failed = |source| Error::Read { path: name.clone(), source };
        let place = if fs::metadata(path).map_err(failed)?.is_dir() {
            Place::Directory(path.to_owned())
        } else {
            archive(&name, regular(path).map_err(failed)?, spool)?
        };
        let invalid = |problem: String| Error::Invalid { path: name.clone(), problem };
        let body = place.file(MANIFEST).map_err(failed)?;
        let body = body.ok_or_else(|| invalid(format!("it has no `{MANIFEST}`")))?;
        if body.size() > MAX_MANIFEST {
            return Err(invalid(format!("its `{MANIFEST}` has more than {MAX_MANIFEST} bytes")));
        }
        let mut text = Vec::new();
        body.take(MAX_MANIFEST).read_to_end(&mut text).map_err(failed)?;
        let version =
            serde_json::from_slice::<serde_json::Value>(&text).ok().and_then(|value| value["version"].as_u64());
        if version.is_some_and(|version| version != u64::from(VERSION)) {
            return Err(invalid(format!("it has version {}, and this release reads {VERSION}", version.unwrap_or(0))));
        }
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| invalid(format!("its `{MANIFEST}` is malformed: {error}")))?;
        Ok(Self { name, manifest, place })
    }

    /// Returns the kit as the user named it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what it says that it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns whether it holds anything that is known by digest alone.
    pub fn has_blobs(&self) -> bool {
        self.manifest.files.iter().any(|file| file.path.starts_with(super::BLOBS))
    }

    /// Returns the file that stands where the blob of this digest must; `None` where there is none.
    ///
    /// Its bytes are not checked.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Body>, Error> {
        self.file(&blob_path(digest))
    }

    /// Returns the file at a path of the kit, unchecked; `None` where there is none. No path may lead out of it.
    pub(super) fn file(&self, path: &str) -> Result<Option<Body>, Error> {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Ok(None);
        }
        self.place.file(path).map_err(|source| Error::Read { path: self.name.clone(), source })
    }
}

impl Place {
    fn file(&self, path: &str) -> io::Result<Option<Body>> {
        match self {
            Self::Directory(root) => {
                let file = match regular(&root.join(path)) {
                    Ok(file) => file,
                    Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                        return Ok(None);
                    }
                    Err(error) => return Err(io::Error::new(error.kind(), format!("`{path}`: {error}"))),
                };
                let end = file.metadata()?.len();
                Ok(Some(Body { file: Arc::new(file), at: 0, end }))
            }
            Self::Archive { file, members } => {
                let member = members.get(path);
                Ok(member.map(|&(at, size)| Body { file: Arc::clone(file), at, end: at.saturating_add(size) }))
            }
        }
    }
}

/// Opens a regular file; what is none does not make it wait.
fn regular(path: &Path) -> io::Result<fs::File> {
    let file = fs::File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"))
    }
}

/// Notes where the members of a kit's tar are.
fn archive(name: &str, file: fs::File, spool: &Path) -> Result<Place, Error> {
    let failed = |source| Error::Read { path: name.to_owned(), source };
    let invalid = |problem: String| Error::Invalid { path: name.to_owned(), problem };
    let mut head = [0; 6];
    let length = file.read_at(&mut head, 0).map_err(failed)?;
    let file = match Format::sniff(&head[..length]) {
        Format::Stored => file,
        format => {
            let limits = decode::Limits { max_output: MAX_TAR, concatenated: true, ..decode::Limits::default() };
            let mut decoder =
                decode::decoder(format, BufReader::new(file), &limits).map_err(|error| invalid(error.to_string()))?;
            let mut plain = tempfile::tempfile_in(spool).map_err(failed)?;
            io::copy(&mut decoder, &mut plain).map_err(|error| match decode::Error::of(&error) {
                Some(error) => invalid(error.to_string()),
                None => failed(error),
            })?;
            plain
        }
    };
    let options = tar::Options { max_size: MAX_TAR, ..tar::Options::default() };
    let mut at_start = &file;
    io::Seek::rewind(&mut at_start).map_err(failed)?;
    let mut reader = tar::Reader::new(BufReader::with_capacity(1 << 20, at_start), options);
    let mut members = BTreeMap::new();
    loop {
        match reader.next() {
            Ok(Some(entry)) if entry.kind == tar::Kind::File => {
                members.insert(entry.path.as_str().to_owned(), (entry.offset, entry.size));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Place::Archive { file: Arc::new(file), members }),
            Err(tar::Error::Read { source, .. }) => return Err(failed(source)),
            Err(error) => return Err(invalid(error.to_string())),
        }
    }
}
