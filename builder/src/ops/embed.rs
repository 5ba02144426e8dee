//! Evidence inside a layout: each document as what is attached to the image in a registry, byte for byte.

use std::collections::BTreeMap;

use crate::evidence::{Contents, Document, KIT, KIT_MEDIA_TYPE, Stored};
use crate::image::{Descriptor, Embedded, ImageIndex};
use crate::registry::{EMPTY_BYTES, ReferrerManifest};

/// Annotation of a blob: the name of its file (OCI image-spec 1.1, annotations).
const TITLE: &str = "org.opencontainers.image.title";

/// Returns the evidence of an image as what a layout of it holds beside it: the documents of each manifest, and the
/// rebuild kit of the whole.
pub(super) fn embedded(image: &ImageIndex, contents: &Contents) -> Vec<Embedded> {
    let mut all = Vec::new();
    for one in image.images() {
        let Some((_, _, documents)) = contents.manifests.get(one.platform().oci()) else { continue };
        let subject = one.descriptor();
        for document in Document::ALL {
            if let Some(stored) = documents.get(&document) {
                all.push(attached(&subject, document.media_type(), document.file_name(), stored));
            }
        }
    }
    all.extend(contents.kit.as_ref().map(|kit| attached(&image.descriptor(), KIT_MEDIA_TYPE, KIT, kit)));
    all
}

fn attached(subject: &Descriptor, media_type: &str, title: &str, stored: &Stored) -> Embedded {
    let layer = Descriptor {
        digest: stored.digest,
        size: stored.size,
        annotations: BTreeMap::from([(TITLE.to_owned(), title.to_owned())]),
        ..Descriptor::of(media_type, b"")
    };
    Embedded {
        artifact_type: media_type.to_owned(),
        manifest: ReferrerManifest::new(media_type, subject, layer, BTreeMap::new()).to_bytes(),
        config: EMPTY_BYTES.to_vec(),
        blobs: vec![(stored.digest, stored.size)],
    }
}
