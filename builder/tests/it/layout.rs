//! Images of other makers: OCI layouts put together from tars, with nothing checked.

use serde_json::{Value, json};

use tarsia::digest::Digest;

use crate::program::Place;

/// Writes an uncompressed image of `layers` (lowest first) with this `config`, and returns its manifest's digest.
pub(crate) fn write(place: &Place, name: &str, layers: &[Vec<u8>], config: &Value) -> String {
    let blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        place.write(&format!("{name}/blobs/sha256/{}", digest.hex()), bytes);
        (digest.to_string(), bytes.len())
    };
    let descriptor = |media_type: &str, bytes: &[u8]| {
        let (digest, size) = blob(bytes);
        json!({ "mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": digest, "size": size })
    };
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": layers.iter().map(|_| json!({ "created_by": "by hand" })).collect::<Vec<_>>(),
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config.to_string().as_bytes()),
        "layers": layers.iter().map(|layer| descriptor("layer.v1.tar", layer)).collect::<Vec<_>>(),
    });
    let manifest = descriptor("manifest.v1+json", manifest.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    place.write(&format!("{name}/index.json"), index.to_string());
    place.write(&format!("{name}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    manifest["digest"].as_str().unwrap().to_owned()
}
