//! `push`: publishes an image that stands on disk.

use crate::diag::{Problems, Progress};
use crate::digest::Digest;
use crate::image::{self, Destination, Reference};
use crate::registry::{PushedImage, Registry};

use super::published::Published;

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The whole.
    pub digest: Digest,
    /// Where it stands now, with its tag.
    pub reference: Reference,
    /// What it came to.
    pub pushed: PushedImage,
    /// Whether the tag was not there, or pointed elsewhere.
    pub tagged: bool,
}

/// Brings the image at `source` to a registry: blobs first, manifests, an index over several, and the tag last. What is
/// there already is not sent again; blobs that the repository `from` of the same registry has are taken from there.
///
/// Where `target` names a digest, it must be the image's, and no tag is written.
///
/// # Errors
/// Where the image cannot be read, or the registry fails or refuses; no tag then points at something that is missing.
pub fn push(
    registry: &Registry,
    progress: &dyn Progress,
    source: &str,
    target: &str,
    from: Option<&str>,
) -> Result<Push, Problems> {
    let open = image::open(&Destination::parse(source)?)?;
    let reference = target_of(target)?;
    let published = Published::of(registry, &reference, &open);
    let whole = published.documents.last().expect("an image has a document");
    let digest = whole.0.digest;
    if reference.digest().is_some_and(|wanted| *wanted != digest) {
        let problem = "its digest is not that of the image";
        return Err(image::Error::Destination { text: target.to_owned(), problem }.into());
    }
    let pushed = published.repository.push_image(&open, from, progress)?;
    let tagged = match reference.digest() {
        Some(_) => false,
        None => published.repository.tag(&reference.wanted(), whole)?,
    };
    Ok(Push { digest, reference, pushed, tagged })
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
