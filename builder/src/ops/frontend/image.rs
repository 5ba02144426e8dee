//! An image that BuildKit stores, out of an OCI layout of ours: one operation for each layer, so that layers stay layers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::buildkit::Reference;
use crate::canon;
use crate::digest::{DiffId, Digest};
use crate::engine::graph::Worker;
use crate::engine::worker::BaseLayer;
use crate::image::{Descriptor, INDEX, Index, MANIFEST, Manifest};
use crate::llb::{Definition, Exec, Graph, Mount, Vertex};
use crate::spec::Platform;

use super::bridge::Bridge;
use super::error::Error;

/// The most bytes of a manifest, an index or a config.
const MAX_DOCUMENT: u64 = 4 << 20;

/// One platform's image in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Laid {
    /// The platform.
    pub(super) platform: Platform,
    /// Digest of its manifest: the image's name.
    pub(super) digest: Digest,
    /// Its config's bytes.
    pub(super) config: Vec<u8>,
    /// Its layers' blobs, lowest first.
    pub(super) layers: Vec<BaseLayer>,
}

/// Returns the digest that names a layout's image, and the images of these platforms in it.
///
/// # Errors
/// A layout that is none, or has other platforms.
pub(super) fn read(
    bridge: &dyn Bridge,
    layout: &Reference,
    platforms: &[Platform],
) -> Result<(Digest, Vec<Laid>), Error> {
    let wrong = |problem: String| Error::Result(problem);
    let document = |path: &str| {
        bridge.read(layout, path, MAX_DOCUMENT).map_err(|refused| wrong(format!("`{path}`: {}", refused.message)))
    };
    let blob = |digest: &Digest| {
        let bytes = document(&blob_path(digest))?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(wrong(format!("{digest} has the bytes of {found}"))) }
    };
    let index = |bytes: &[u8]| {
        serde_json::from_slice::<Index>(bytes).map_err(|error| wrong(format!("an index cannot be read: {error}")))
    };
    let top = index(&document("index.json")?)?;
    let [whole] = top.manifests.as_slice() else {
        return Err(wrong(format!("the layout has {} images", top.manifests.len())));
    };
    let manifests: Vec<Descriptor> = match whole.media_type.as_str() {
        MANIFEST => vec![whole.clone()],
        INDEX => index(&blob(&whole.digest)?)?.manifests,
        other => return Err(wrong(format!("the layout holds `{other}`"))),
    };
    let laid = manifests.iter().map(|descriptor| {
        let bytes = blob(&descriptor.digest)?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| wrong(format!("a manifest cannot be read: {error}")))?;
        let config = blob(&manifest.config.digest)?;
        let said: Value =
            serde_json::from_slice(&config).map_err(|error| wrong(format!("a config cannot be read: {error}")))?;
        let word = |key: &str| said[key].as_str().unwrap_or_default();
        let name = format!("{}/{}", word("os"), word("architecture"));
        let platform = Platform::from_oci(&name).ok_or_else(|| wrong(format!("an image is for `{name}`")))?;
        let diff_ids: Vec<DiffId> = serde_json::from_value(said["rootfs"]["diff_ids"].clone())
            .map_err(|error| wrong(format!("a config cannot be read: {error}")))?;
        if diff_ids.len() != manifest.layers.len() {
            return Err(wrong("config and manifest have not the same layers".to_owned()));
        }
        let layers = manifest.layers.into_iter().zip(diff_ids).map(|(layer, diff_id)| {
            let Descriptor { media_type, digest, size, .. } = layer;
            BaseLayer { diff_id, digest, media_type, size }
        });
        Ok(Laid { platform, digest: descriptor.digest, config, layers: layers.collect() })
    });
    let laid = laid.collect::<Result<Vec<_>, Error>>()?;
    let found: Vec<Platform> = laid.iter().map(|image| image.platform).collect();
    if found != platforms {
        let names = |all: &[Platform]| all.iter().map(|one| one.oci()).collect::<Vec<_>>().join(", ");
        return Err(wrong(format!("the layout is for {}, asked for was {}", names(&found), names(platforms))));
    }
    Ok((whole.digest, laid))
}

/// Returns the graph that unpacks an image's layers one over the other, behind the one that makes the layout which holds
/// them. `None` for an image without layers.
pub(super) fn stacked(layout: &Definition, worker: &Worker, image: &Laid) -> Option<Definition> {
    let mut graph = Graph::new();
    let layout = graph.include(layout);
    let root = worker.add(&mut graph);
    let name = format!("image {} {}", image.platform.oci(), image.digest);
    let mut below = None;
    for (number, layer) in image.layers.iter().enumerate() {
        let what = format!("layer {} of {}", number + 1, image.layers.len());
        let mut arguments = worker.command("rootfs");
        arguments.extend(["--of".to_owned(), layer.to_string()]);
        // The blob alone: what else is in the layout has nothing to do with it.
        let blob = format!("/{}", blob_path(&layer.digest));
        let mounts =
            vec![Mount::select("/layer/blob", layout, blob), Mount::Write { at: "/root".to_owned(), over: below }];
        let vertex = Vertex::new(format!("{name}: {what}"), format!("{what} of {name}"));
        let outputs = graph.exec(&Exec { root, arguments, mounts }, vertex);
        below = outputs.first().copied();
    }
    Some(graph.finish(below?))
}

/// Returns where a blob stands in a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Returns an image's config with more labels.
///
/// # Errors
/// A config that is no object.
pub(super) fn labelled(config: &[u8], labels: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
    if labels.is_empty() {
        return Ok(config.to_vec());
    }
    let object = |value: Value| match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::Result("a config is no object".to_owned())),
    };
    let read =
        serde_json::from_slice(config).map_err(|error| Error::Result(format!("a config cannot be read: {error}")))?;
    let mut whole = object(read)?;
    let mut inner = object(whole.remove("config").unwrap_or_default())?;
    let mut all = object(inner.remove("Labels").unwrap_or_default())?;
    all.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    inner.insert("Labels".to_owned(), all.into());
    whole.insert("config".to_owned(), inner.into());
    Ok(canon::compact(&Value::Object(whole)))
}

/// Returns what tells BuildKit which result is of which platform (`refs.platforms` of its exporters).
pub(super) fn platforms(images: &[Laid]) -> Vec<u8> {
    let all = images.iter().map(|image| {
        let platform = image.platform;
        json!({"ID": platform.oci(), "Platform": {"architecture": platform.architecture(), "os": "linux"}})
    });
    canon::ordered(&json!({ "Platforms": all.collect::<Vec<_>>() }))
}
