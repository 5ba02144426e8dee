//! `sign`: signs an image, in a registry or on disk.

use std::path::PathBuf;

use crate::attest::Statement;
use crate::diag::Problems;
use crate::digest::Digest;
use crate::image::{self, Descriptor, Destination};
use crate::registry::{Registry, documents};
use crate::sign::{Bundle, Signer};

use super::bundles::{self, signatures_beside, statements_beside};
use super::published::Published;

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The whole.
    pub digest: Digest,
    /// Everything that has a signature of its own: every manifest, and the index over several.
    pub signed: Vec<Digest>,
    /// Signatures that were not there before.
    pub written: usize,
    /// The file that they were written to; `None` for a registry.
    pub file: Option<PathBuf>,
}

/// Signs an image: its index and every manifest.
///
/// In a registry, each is signed as cosign's `.sig`, for the tag and the digests by which it may be asked for, and as a
/// Sigstore bundle that refers to it. An image on disk has no name that a `.sig` could hold: the bundle of the whole goes
/// to `X.sigstore.json` beside it, the envelopes of the manifests of an index to `X.intoto.jsonl`, or all of them to
/// `output`. What is there already is not written again.
///
/// # Errors
/// Where the image cannot be read, the key does not sign, or the registry or the disk refuses.
pub fn sign(
    registry: &Registry,
    image: &str,
    signer: &dyn Signer,
    output: Option<PathBuf>,
) -> Result<Signed, Problems> {
    match Destination::parse(image)? {
        Destination::Registry(reference) => {
            let published = Published::open(registry, &reference)?;
            // By digest alone, nothing is said of any tag.
            let tag = reference.wanted();
            let tag = reference.tag().or_else(|| reference.digest().is_none().then_some(tag.as_str()));
            let written = published.sign(tag, signer)?;
            let signed = published.documents.iter().map(|(descriptor, _)| descriptor.digest).collect();
            Ok(Signed { digest: published.whole().digest, signed, written, file: None })
        }
        source => {
            let (path, described) = on_disk(&source)?;
            let (whole, manifests) = described.split_last().expect("an image has a document");
            let sign = |one: &Descriptor| Bundle::sign(&Statement::signature(one.digest), signer);
            let mut envelopes = Vec::new();
            for one in manifests {
                envelopes.push(sign(one)?.envelope().to_bytes());
            }
            let (file, others) = match output {
                Some(file) => (file.clone(), file),
                None => (signatures_beside(&path), statements_beside(&path)),
            };
            let written = bundles::add(&file, &[sign(whole)?.to_bytes()])? + bundles::add(&others, &envelopes)?;
            let signed: Vec<Digest> = described.iter().map(|one| one.digest).collect();
            let digest = *signed.last().expect("an image has a document");
            Ok(Signed { digest, signed, written, file: Some(file) })
        }
    }
}

/// Returns path and documents of an image on disk: each manifest, then the index over several.
pub(super) fn on_disk(source: &Destination) -> Result<(PathBuf, Vec<Descriptor>), image::Error> {
    let refuse = |problem| image::Error::Destination { text: source.to_string(), problem };
    if matches!(source, Destination::DockerArchive(..)) {
        return Err(refuse("it holds no manifest that could be signed"));
    }
    let open = image::open(source)?;
    let path = source.path().ok_or_else(|| refuse("it is not on disk"))?;
    // An archive of Docker's that is named as a file alone.
    if open.index().is_none() && open.descriptor().media_type == image::CONFIG {
        return Err(refuse("it holds no manifest that could be signed"));
    }
    Ok((path.to_owned(), documents(&open).into_iter().map(|(descriptor, _)| descriptor).collect()))
}
