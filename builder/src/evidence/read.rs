//! Reads evidence. Hostile input is assumed: nothing in it is believed that does not have the digest that the index
//! gives it, no link is followed, and nothing is opened that the index could choose to name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Document, Error, INDEX, Index, KIT, KIT_MEDIA_TYPE, ManifestEvidence, VERSION, directory_of, place};
use crate::attest::Statement;
use crate::digest::{Digest, HashingReader};

/// The most bytes of the index.
const MAX_INDEX: u64 = 4 << 20;
/// The most bytes of a document.
pub(super) const MAX_DOCUMENT: u64 = 512 << 20;
/// The most manifests.
const MAX_MANIFESTS: usize = 64;
/// The most bytes of a name.
const MAX_NAME: usize = 256;

/// Evidence that can be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    directory: PathBuf,
    index: Index,
}

impl Evidence {
    /// Returns where the evidence of an image at `output` stands: `web.oci` → `web.oci.evidence`.
    pub fn beside(output: &Path) -> PathBuf {
        // `web.oci/` names the directory `web.oci`.
        let mut path: OsString = output.components().collect::<PathBuf>().into_os_string();
        path.push(".evidence");
        path.into()
    }

    /// Opens the evidence in `directory`: reads its index and nothing else.
    ///
    /// # Errors
    /// There is none; an index that is no such thing, of another version, or that does not hold together.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.display().to_string();
        let text = match open(&directory.join(INDEX)).and_then(|file| bounded(file, MAX_INDEX)) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(Error::Absent { path });
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        let invalid = |problem: String| Error::Invalid { path: path.clone(), problem };
        let version =
            serde_json::from_slice::<serde_json::Value>(&text).ok().and_then(|value| value["version"].as_u64());
        if let Some(version) = version.filter(|version| *version != u64::from(VERSION)) {
            return Err(invalid(format!("it has version {version}, and this release reads {VERSION}")));
        }
        let index: Index =
            serde_json::from_slice(&text).map_err(|error| invalid(format!("its `{INDEX}` is malformed: {error}")))?;
        check(&index).map_err(invalid)?;
        Ok(Self { directory: directory.to_owned(), index })
    }

    /// As [`Evidence::open`], of the image `digest`: of its manifest or index, or of the config that names an image in
    /// an archive for Docker.
    ///
    /// # Errors
    /// As there, and where it is about another image.
    pub fn open_for(directory: &Path, digest: &Digest) -> Result<Self, Error> {
        let evidence = Self::open(directory)?;
        if evidence.is_about(digest) {
            return Ok(evidence);
        }
        let path = directory.display().to_string();
        Err(Error::Other { path, found: evidence.digest(), expected: *digest })
    }

    /// Returns whether it is about the image that `digest` names: its manifest or index, one of its manifests, or the
    /// config of its one manifest.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.index.digest == *digest
            || self.index.manifests.iter().any(|one| one.digest == *digest)
            || matches!(&*self.index.manifests, [one] if one.config == *digest)
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the digest of the image: of its manifest, or of the index over several.
    pub fn digest(&self) -> Digest {
        self.index.digest
    }

    /// Returns the image's name in its spec; where it was pushed is not told.
    pub fn name(&self) -> &str {
        &self.index.name
    }

    /// Returns what is known of each manifest, by platform.
    pub fn manifests(&self) -> &[ManifestEvidence] {
        &self.index.manifests
    }

    /// Returns a document about the manifest of this digest, or of the manifest with this config; `None` where there is
    /// none.
    ///
    /// # Errors
    /// A document that is listed and not there, too large, or not what the index says.
    pub fn read(&self, manifest: &Digest, document: Document) -> Result<Option<Vec<u8>>, Error> {
        let one = self.index.manifests.iter().find(|one| one.digest == *manifest || one.config == *manifest);
        let Some(listed) = one.and_then(|one| one.documents.iter().find(|listed| listed.document == document)) else {
            return Ok(None);
        };
        let path = self.directory.display().to_string();
        let bytes = self
            .file(&listed.file)
            .and_then(|file| bounded(file, listed.size))
            .map_err(|source| Error::Read { path: path.clone(), source: named(&listed.file, &source) })?;
        let found = Digest::of(&bytes);
        if found != listed.digest {
            let problem = format!("`{}` is {found}, and its index says {}", listed.file, listed.digest);
            return Err(Error::Invalid { path, problem });
        }
        Ok(Some(bytes))
    }

    /// Returns a document as a statement about its manifest, ready to be signed: a provenance as it stands, of the
    /// others the document as the predicate; for an SPDX document of very many files, the one that names it by digest.
    ///
    /// # Errors
    /// As [`Evidence::read`], and where the document is no JSON, or about something else.
    pub fn statement(&self, manifest: &Digest, document: Document) -> Result<Option<Statement>, Error> {
        let document = match document {
            Document::Spdx if self.read(manifest, Document::SpdxPackages)?.is_some() => Document::SpdxPackages,
            document => document,
        };
        let Some(bytes) = self.read(manifest, document)? else { return Ok(None) };
        let path = self.directory.display().to_string();
        let invalid = |problem: String| Error::Invalid { path: path.clone(), problem };
        let subject = self.index.manifests.iter().find(|one| one.digest == *manifest || one.config == *manifest);
        let subject = subject.map_or(*manifest, |one| one.digest);
        if document != Document::Provenance {
            let predicate = serde_json::from_slice(&bytes)
                .map_err(|error| invalid(format!("`{}` is malformed: {error}", document.file_name())))?;
            return Ok(Some(Statement::new(self.name(), subject, document.predicate_type(), predicate)));
        }
        let statement =
            Statement::parse(&bytes).map_err(|error| invalid(format!("`{}`: {error}", document.file_name())))?;
        if !statement.is_about(&subject) || statement.predicate_type() != document.predicate_type() {
            return Err(invalid(format!("`{}` is about something else", document.file_name())));
        }
        Ok(Some(statement))
    }

    /// Returns the path and the digest of the rebuild kit; its bytes are not checked.
    pub fn kit(&self) -> Option<(PathBuf, Digest)> {
        self.index.kit.as_ref().map(|kit| (self.directory.join(KIT), kit.digest))
    }

    /// As [`Evidence::kit`], of a kit that is read and is what the index says.
    ///
    /// # Errors
    /// A kit that is listed and not there, or has other bytes.
    pub fn checked_kit(&self) -> Result<Option<(PathBuf, Digest)>, Error> {
        let Some((path, digest)) = self.kit() else { return Ok(None) };
        let directory = self.directory.display().to_string();
        let hashed = self.file(KIT).and_then(|mut file| {
            let mut hashing = HashingReader::new(&mut file);
            io::copy(&mut hashing, &mut io::sink())?;
            Ok(hashing.finish().0)
        });
        match hashed {
            Ok(found) if found == digest => Ok(Some((path, digest))),
            Ok(found) => {
                let problem = format!("`{KIT}` is {found}, and its index says {digest}");
                Err(Error::Invalid { path: directory, problem })
            }
            Err(source) => Err(Error::Read { path: directory, source: named(KIT, &source) }),
        }
    }

    /// Opens a file of the evidence; no link is followed, also not on the way to it.
    fn file(&self, name: &str) -> io::Result<File> {
        if let Some((directory, _)) = name.split_once('/')
            && !fs::symlink_metadata(self.directory.join(directory))?.is_dir()
        {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        open(&self.directory.join(name))
    }
}

/// Returns what is wrong with an index.
fn check(index: &Index) -> Result<(), String> {
    let Index { name, manifests, kit, .. } = index;
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err("its image has no name".to_owned());
    }
    if manifests.is_empty() || manifests.len() > MAX_MANIFESTS {
        return Err(format!("it lists {} manifests, not 1 to {MAX_MANIFESTS}", manifests.len()));
    }
    if let Some(kit) = kit
        && (kit.file != KIT || kit.media_type != KIT_MEDIA_TYPE)
    {
        return Err(format!("its kit is `{}` of type `{}`", kit.file, kit.media_type));
    }
    let (mut digests, mut platforms) = (BTreeSet::new(), BTreeSet::new());
    for one in manifests {
        let plain =
            |part: &str| !part.is_empty() && part.len() <= 32 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !one.platform.split('/').all(plain) || !one.platform.contains('/') {
            return Err(format!("`{}` is no platform", one.platform.escape_default()));
        }
        if !digests.insert(one.digest) || !platforms.insert(directory_of(&one.platform)) {
            return Err(format!("it lists `{}` twice", one.platform));
        }
        let mut kinds = BTreeSet::new();
        for listed in &one.documents {
            if !kinds.insert(listed.document) {
                return Err(format!("it lists `{}` twice", listed.document.file_name()));
            }
            let expected = place(&one.platform, manifests.len(), listed.document);
            if listed.file != expected {
                return Err(format!("it lists `{}` where `{expected}` belongs", listed.file.escape_default()));
            }
            if listed.media_type != listed.document.media_type() {
                return Err(format!("`{expected}` is of type `{}`", listed.media_type.escape_default()));
            }
            if listed.size > MAX_DOCUMENT {
                return Err(format!("`{expected}` has {} bytes, more than {MAX_DOCUMENT}", listed.size));
            }
        }
    }
    if let [one] = &**manifests
        && one.digest != index.digest
        && one.config == index.digest
    {
        return Err("it names an image by its config".to_owned());
    }
    Ok(())
}

/// Opens a regular file that is no link; what is none does not make it wait.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"))
    }
}

/// Returns the bytes of a file of at most `limit`.
fn bounded(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{name}`: {error}"))
}
