//! `push`: publishes an image with its evidence.

use std::path::{Path, PathBuf};

use crate::diag::Problems;
use crate::digest::Digest;
use crate::evidence::{self, Evidence};
use crate::image::{self, Destination, OpenImage, Reference};
use crate::registry::PushedImage;

use super::published::Published;
use super::source::{ImageSource, Reach};

/// How an image is pushed.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// A repository of the same registry that blobs are taken from, where it has them.
    pub mount_from: Option<String>,
    /// Where the evidence is; beside the image where nothing is said, and none where there is none.
    pub evidence: Option<PathBuf>,
    /// The image alone.
    pub no_evidence: bool,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The whole.
    pub digest: Digest,
    /// Where it stands now.
    pub reference: Reference,
    /// What it came to.
    pub pushed: PushedImage,
    /// Documents that were not attached before.
    pub attached: usize,
    /// Whether the tag was not there, or pointed elsewhere.
    pub tagged: bool,
}

/// Brings the image at `source` to a registry: blobs first, manifests, an index over several, the documents beside it as
/// referrers, and the tag last. What is there already is not sent again.
///
/// Where `target` names a digest, it must be the image's, and no tag is written.
///
/// # Errors
/// Where image or evidence cannot be read, or the registry fails or refuses; no tag then points at something that is
/// missing.
pub fn push(reach: &Reach<'_>, source: &str, target: &str, options: &PushOptions) -> Result<Push, Problems> {
    let reference = target_of(target)?;
    let source = ImageSource::open(reach, source)?;
    source.fetch(&source.open.images().iter().collect::<Vec<_>>())?;
    let published = Published::of(reach.registry, &reference, &source.open);
    let whole = published.documents.last().expect("an image has a document");
    let digest = whole.0.digest;
    if reference.digest().is_some_and(|wanted| *wanted != digest) {
        let problem = "its digest is not that of the image";
        return Err(image::Error::Destination { text: target.to_owned(), problem }.into());
    }
    let evidence = match options.no_evidence {
        true => None,
        false => evidence_of(&source.open, source.destination.path(), options.evidence.as_deref())?,
    };
    let pushed = published.repository.push_image(&source.open, options.mount_from.as_deref(), reach.progress)?;
    let documents = evidence.map_or(Ok(Vec::new()), |evidence| published.evident(&evidence))?;
    let attached = published.attach(&documents)?;
    let tagged = match reference.digest() {
        Some(_) => false,
        None => published.repository.tag(&reference.wanted(), whole)?,
    };
    Ok(Push { digest, reference, pushed, attached, tagged })
}

/// Returns the evidence of an image: in the directory that was named, or beside it, where it may be absent.
pub(super) fn evidence_of(
    image: &OpenImage,
    path: Option<&Path>,
    named: Option<&Path>,
) -> Result<Option<Evidence>, evidence::Error> {
    let digest = &image.descriptor().digest;
    if let Some(named) = named {
        return Evidence::open_for(named, digest).map(Some);
    }
    let Some(path) = path else { return Ok(None) };
    match Evidence::open_for(&Evidence::beside(path), digest) {
        Ok(found) => Ok(Some(found)),
        Err(evidence::Error::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Parses the name of an image in a registry, as a place to write to.
pub(super) fn target_of(text: &str) -> Result<Reference, image::Error> {
    match Destination::parse(text)? {
        Destination::Registry(reference) => Ok(reference),
        _ => Err(image::Error::Destination {
            text: text.to_owned(),
            problem: "it is no registry's: write `docker://HOST/NAME:TAG`",
        }),
    }
}
