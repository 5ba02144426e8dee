//! Writes a kit: beside its destination under a temporary name, then renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use super::{BLOBS, Error, File, LOCK, MANIFEST, Manifest, SPEC, SPECS, VERSION};
use crate::canon;
use crate::codec::{Compression, encode};
use crate::digest::{Digest, HashingReader};
use crate::store::export;
use crate::store::output::Staging;
use crate::tar::write::{END, Header, Kind, append_header, padding};

/// Names in a kit's directory; a directory that holds others is not replaced.
const KNOWN: &[&str] = &[MANIFEST, "blobs", SPECS, SPEC, LOCK];

/// Bytes of tar in one frame.
const FRAME: usize = 4 << 20;

/// How a frame is compressed. Nearly all that a kit holds is compressed already.
const COMPRESSION: Compression = Compression::Zstd(3);

/// How a kit stands on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A directory.
    Directory,
    /// A tar.
    Tar,
    /// A tar in Zstandard.
    TarZstd,
}

impl Form {
    /// Returns the form that a path's name asks for: `.tar`, `.tar.zst`, else a directory.
    pub fn of(path: &Path) -> Self {
        let name = path.as_os_str().as_encoded_bytes();
        if name.ends_with(b".tar") {
            Self::Tar
        } else if name.ends_with(b".tar.zst") {
            Self::TarZstd
        } else {
            Self::Directory
        }
    }
}

/// Where a file's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// They are here.
    Bytes(Vec<u8>),
    /// They are asked for by digest.
    Stored,
}

/// Gives a file's bytes by digest, from the first one on; `None` where it is not there.
pub type Source<'a> = dyn Fn(&Digest) -> io::Result<Option<fs::File>> + 'a;

/// Writes a kit of these files at `destination`, in the form that its name asks for.
///
/// Every byte is checked against its file's digest on the way. The result is a function of the files alone.
pub fn write(files: Vec<(File, Content)>, stored: &Source<'_>, destination: &Path) -> Result<Manifest, Error> {
    let gathered = Gathered::new(files)?;
    match Form::of(destination) {
        Form::Directory => directory(&gathered, stored, destination)?,
        form => {
            let staging = Staging::file(destination)?;
            let failed = |source| Error::Write { path: destination.to_owned(), source };
            let file = fs::File::options().write(true).truncate(true).open(staging.path()).map_err(failed)?;
            let mut out = BufWriter::with_capacity(1 << 20, file);
            archive(&gathered, stored, &mut out, destination, form == Form::TarZstd)?;
            staging.commit()?;
        }
    }
    Ok(gathered.manifest)
}

/// Writes a kit of these files, as a tar in Zstandard, to `out`, which errors call `what`; the bytes are those that
/// [`write()`] writes.
pub fn write_to(
    files: Vec<(File, Content)>,
    stored: &Source<'_>,
    out: &mut dyn Write,
    what: &Path,
) -> Result<Manifest, Error> {
    let gathered = Gathered::new(files)?;
    archive(&gathered, stored, out, what, true)?;
    Ok(gathered.manifest)
}

/// The files of a kit, each path once, and the manifest of all.
struct Gathered {
    manifest: Manifest,
    text: Vec<u8>,
    contents: BTreeMap<String, (File, Content)>,
}

impl Gathered {
    fn new(files: Vec<(File, Content)>) -> Result<Self, Error> {
        let mut contents: BTreeMap<String, (File, Content)> = BTreeMap::new();
        let mut listed = BTreeSet::new();
        for (file, content) in files {
            match contents.get(&file.path) {
                Some((known, _)) if known.digest != file.digest => return Err(Error::Twice { path: file.path }),
                _ => {
                    listed.insert(file.clone());
                    if file.has_bytes() {
                        contents.insert(file.path.clone(), (file, content));
                    }
                }
            }
        }
        let manifest = Manifest { version: VERSION, files: listed.into_iter().collect() };
        let mut text = canon::indented(&manifest);
        text.push(b'\n');
        Ok(Self { manifest, text, contents })
    }
}

fn directory(gathered: &Gathered, stored: &Source<'_>, destination: &Path) -> Result<(), Error> {
    let staging = Staging::directory(destination, KNOWN)?;
    let failed = |source| Error::Write { path: destination.to_owned(), source };
    fs::create_dir_all(staging.path().join(BLOBS)).map_err(failed)?;
    for (path, (file, content)) in &gathered.contents {
        let to = staging.path().join(path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match content {
            Content::Bytes(bytes) => {
                check(file, Digest::of(bytes))?;
                fs::write(&to, bytes).map_err(failed)?;
            }
            Content::Stored => {
                export(&open(file, stored)?, &to)?;
                let mut written = HashingReader::new(fs::File::open(&to).map_err(failed)?);
                io::copy(&mut written, &mut io::sink()).map_err(failed)?;
                check(file, written.finish().0)?;
            }
        }
    }
    fs::write(staging.path().join(MANIFEST), &gathered.text).map_err(failed)?;
    Ok(staging.commit()?)
}

fn archive(
    gathered: &Gathered,
    stored: &Source<'_>,
    out: &mut dyn Write,
    what: &Path,
    compressed: bool,
) -> Result<(), Error> {
    let failed = |source| Error::Write { path: what.to_owned(), source };
    let manifest = gathered.text.as_slice();
    let mut tar = Archive { out, frame: compressed.then(Vec::new), path: what, directories: BTreeSet::new() };
    tar.header(MANIFEST, Kind::File(manifest.len() as u64))?;
    tar.body(manifest)?;
    tar.pad(manifest.len() as u64)?;
    for (path, (file, content)) in &gathered.contents {
        tar.parents(path)?;
        tar.header(path, Kind::File(file.size))?;
        match content {
            Content::Bytes(bytes) => {
                check(file, Digest::of(bytes))?;
                tar.body(bytes)?;
            }
            Content::Stored => {
                let mut body = HashingReader::new(open(file, stored)?.take(file.size.saturating_add(1)));
                let mut buffer = vec![0; 128 << 10];
                loop {
                    match body.read(&mut buffer).map_err(failed)? {
                        0 => break,
                        count => tar.body(&buffer[..count])?,
                    }
                }
                check(file, body.finish().0)?;
            }
        }
        tar.pad(file.size)?;
    }
    tar.body(&END)?;
    tar.finish()
}

fn open(file: &File, stored: &Source<'_>) -> Result<fs::File, Error> {
    let missing = || Error::Missing { name: file.name.clone(), digest: file.digest };
    let read = |source| Error::Read { path: file.name.clone(), source };
    stored(&file.digest).map_err(read)?.ok_or_else(missing)
}

fn check(file: &File, found: Digest) -> Result<(), Error> {
    if found == file.digest {
        return Ok(());
    }
    Err(Error::Content { name: file.name.clone(), expected: file.digest, found })
}

/// A tar that is being written. Metadata is fixed: mode 0644 and 0755, owner 0, time 0.
struct Archive<'a> {
    out: &'a mut dyn Write,
    /// What is gathered for the next frame, where the tar is compressed.
    frame: Option<Vec<u8>>,
    path: &'a Path,
    directories: BTreeSet<String>,
}

impl Archive<'_> {
    /// Writes the directories above a path that have not been written yet.
    fn parents(&mut self, path: &str) -> Result<(), Error> {
        for (at, _) in path.match_indices('/') {
            if self.directories.insert(path[..at].to_owned()) {
                self.header(&path[..at], Kind::Directory)?;
            }
        }
        Ok(())
    }

    fn header(&mut self, path: &str, kind: Kind<'_>) -> Result<(), Error> {
        let mode = if matches!(kind, Kind::Directory) { 0o755 } else { 0o644 };
        let mut header = Vec::new();
        append_header(&mut header, &Header { path, kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: &[] })?;
        self.body(&header)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.body(&END[..padding(size)])
    }

    fn body(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let Some(frame) = &mut self.frame else {
            return self.out.write_all(bytes).map_err(|source| self.failed(source));
        };
        while !bytes.is_empty() {
            let count = bytes.len().min(FRAME - frame.len());
            frame.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if frame.len() == FRAME {
                let encoded = encode::encode(COMPRESSION, frame)?;
                frame.clear();
                self.out.write_all(&encoded).map_err(|source| Error::Write { path: self.path.to_owned(), source })?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        if let Some(frame) = self.frame.take_if(|frame| !frame.is_empty()) {
            let encoded = encode::encode(COMPRESSION, &frame)?;
            self.out.write_all(&encoded).map_err(|source| self.failed(source))?;
        }
        self.out.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write { path: self.path.to_owned(), source }
    }
}
