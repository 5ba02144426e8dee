//! Writes evidence: beside its destination under a temporary name, to be renamed by the caller.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{Document, Error, INDEX, Index, KIT, KIT_MEDIA_TYPE, Listed, ListedKit, ManifestEvidence, VERSION};
use super::{directory_of, place};
use crate::canon;
use crate::digest::Digest;
use crate::store::export;
use crate::store::output::Staging;

/// What evidence may hold; a directory that holds other names is not replaced. The index is always there.
const KNOWN: &[&str] = &[
    INDEX,
    KIT,
    "spdx.json",
    "spdx-packages.json",
    "cdx.json",
    "spdx3.json",
    "provenance.json",
    "reasons.json",
    "linux-amd64",
    "linux-arm64",
];

/// Gives a document's bytes by digest, at their first byte; `None` where it is not there.
pub type Source<'a> = dyn Fn(&Digest) -> io::Result<Option<File>> + 'a;

/// A finished document that can be asked for by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// All that is to be said about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The image's name in its spec.
    pub name: String,
    /// Digest of the image: of its manifest, or of the index over several.
    pub digest: Digest,
    /// By platform (`linux/amd64`): digest of the manifest and of its config, and its documents.
    pub manifests: BTreeMap<String, (Digest, Digest, BTreeMap<Document, Stored>)>,
    /// The rebuild kit.
    pub kit: Option<Stored>,
}

/// Writes the directory that will stand at `destination`; the caller commits it. Its bytes are a function of `contents`.
///
/// # Errors
/// Where something else than evidence stands there, a document is not to be had, or the disk fails.
pub fn stage(contents: &Contents, source: &Source<'_>, destination: &Path) -> Result<Staging, Error> {
    let staging = Staging::directory(destination, KNOWN)?;
    fill(contents, source, staging.path(), destination)?;
    Ok(staging)
}

/// Writes evidence into an empty `directory`, which errors call `what`.
///
/// # Errors
/// Where a document is not to be had, or the disk fails.
pub fn fill(contents: &Contents, source: &Source<'_>, directory: &Path, what: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: what.to_owned(), source };
    let write = |name: &str, stored: &Stored| {
        let file = source(&stored.digest).map_err(failed)?;
        let file = file.ok_or_else(|| Error::Missing { name: name.to_owned(), digest: stored.digest })?;
        export(&file, &directory.join(name))?;
        Ok::<_, Error>(())
    };
    let count = contents.manifests.len();
    let mut manifests = Vec::with_capacity(count);
    for (platform, (digest, config, documents)) in &contents.manifests {
        if count > 1 {
            fs::create_dir(directory.join(directory_of(platform))).map_err(failed)?;
        }
        let mut listed = Vec::new();
        for (document, stored) in documents {
            let file = place(platform, count, *document);
            write(&file, stored)?;
            let media_type = document.media_type().to_owned();
            let Stored { digest, size } = *stored;
            listed.push(Listed { document: *document, file, media_type, digest, size });
        }
        let (platform, digest, config) = (platform.clone(), *digest, *config);
        manifests.push(ManifestEvidence { platform, digest, config, documents: listed });
    }
    if let Some(kit) = &contents.kit {
        write(KIT, kit)?;
    }
    let kit = contents.kit.map(|Stored { digest, size }| ListedKit {
        file: KIT.to_owned(),
        media_type: KIT_MEDIA_TYPE.to_owned(),
        digest,
        size,
    });
    let (name, digest) = (contents.name.clone(), contents.digest);
    let mut text = canon::indented(&Index { version: VERSION, name, digest, kit, manifests });
    text.push(b'\n');
    fs::write(directory.join(INDEX), text).map_err(failed)
}

/// Removes the evidence at `directory`, unless it is about the image `digest`. What is no evidence is left alone.
///
/// # Errors
/// Where the disk fails.
pub fn remove_other(directory: &Path, digest: &Digest) -> Result<(), Error> {
    match super::Evidence::open(directory) {
        Err(Error::Absent { .. }) => return Ok(()),
        Ok(evidence) if evidence.digest() == *digest => return Ok(()),
        _ => {}
    }
    // Only what evidence consists of: the same that may be replaced.
    let staging = Staging::directory(directory, KNOWN)?;
    staging.remove()?;
    Ok(())
}
