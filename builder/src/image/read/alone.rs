//! A layer that stands alone, without an image around it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use super::{Descriptor, LIMITS, OpenImage, OpenLayer, Place, blob_path};
use crate::codec::decode::{self, Format};
use crate::digest::{DiffId, Digest, HashingReader};
use crate::image::Error;

/// Returns one layer, whose blob is `file` at its first byte, as something that can be read, shown as `name`.
pub fn layer(name: &str, layer: &OpenLayer, file: File) -> OpenImage {
    let held = BTreeMap::from([(blob_path(&layer.descriptor.digest), file)]);
    OpenImage {
        name: name.to_owned(),
        place: Place::Held(held),
        descriptor: layer.descriptor.clone(),
        index: None,
        images: Vec::new(),
        attached: Vec::new(),
    }
}

/// Returns a layer of which nothing is known but its blob, at its first byte: a tar, perhaps in gzip or Zstandard, as its
/// first bytes say. It is read once for its digests.
///
/// # Errors
/// What cannot be read or decompressed, or is beyond a bound.
pub fn bare_layer(name: &str, mut file: File) -> Result<(OpenImage, OpenLayer), Error> {
    let failed = |source| Error::Read { image: name.to_owned(), source };
    let mut head = Vec::new();
    file.by_ref().take(8).read_to_end(&mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let format = Format::sniff(&head);
    let media_type = match format {
        Format::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        Format::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        _ => "application/vnd.oci.image.layer.v1.tar",
    };
    let mut encoded = HashingReader::new(&file);
    let found = {
        let broken = |error: &dyn std::error::Error| Error::Invalid {
            image: name.to_owned(),
            problem: crate::diag::causes(error),
        };
        let decoded = decode::decoder(format, &mut encoded, &LIMITS).map_err(|error| broken(&error))?;
        let mut hashed = HashingReader::new(decoded);
        io::copy(&mut hashed, &mut io::sink()).map_err(|error| broken(&error))?;
        hashed.finish().0
    };
    io::copy(&mut encoded, &mut io::sink()).map_err(failed)?;
    let (digest, size): (Digest, u64) = encoded.finish();
    file.rewind().map_err(failed)?;
    let descriptor = Descriptor::new(media_type, digest, size);
    let bare = OpenLayer { descriptor, diff_id: DiffId::from_bytes(*found.as_bytes()) };
    Ok((layer(name, &bare, file), bare))
}
