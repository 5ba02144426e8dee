//! A layer that stands alone, without an image around it.

use std::collections::BTreeMap;
use std::fs::File;

use super::{OpenImage, OpenLayer, Place, blob_path};

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
