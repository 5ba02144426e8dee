//! Where claims stand: under a registry's tags and in its lists, in manifests, in files.
//!
//! What cannot be read is noted as that and stops nothing: whoever may write to a registry may put rubbish beside a good
//! signature, and must not gain more by it than that it is told of.

use std::collections::BTreeSet;
use std::io::Read as _;

use base64ct::{Base64, Encoding as _};

use super::error::Error;
use super::findings::{Claim, Findings};
use crate::diag::causes;
use crate::digest::Digest;
use crate::image::{Descriptor, OpenImage};
use crate::registry::{EMPTY, MAX_REFERRERS, ReferrerManifest, Repository};
use crate::sign::{ENVELOPE, SIMPLE_SIGNING};

/// The most bytes of one claim.
pub const MAX_CLAIM: u64 = 8 << 20;
/// The most bytes of a manifest.
const MAX_MANIFEST: u64 = 4 << 20;
/// The most layers of a manifest of claims that are read.
const MAX_LAYERS: usize = 64;
/// The most bytes of a file of claims.
pub const MAX_FILE: u64 = 256 << 20;
/// Beginning of a bundle's media type, whatever its version.
const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";
/// Annotation of a payload's layer that holds the signature (cosign `SIGNATURE_SPEC.md`).
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Gives the bytes of a blob, checked against its descriptor; the error says what is wrong.
pub(super) type Blobs<'a> = dyn FnMut(&Descriptor) -> Result<Vec<u8>, String> + 'a;

/// Hears all that stands in a repository about the findings' digest: cosign's tags `.sig` and `.att`, and the bundles
/// among its referrers.
pub fn hear_repository(repository: &Repository<'_>, findings: &mut Findings<'_>) {
    let digest = *findings.digest();
    let mut blobs = |descriptor: &Descriptor| {
        let mut bytes = Vec::new();
        repository.blob(descriptor, &mut bytes).map_err(|error| causes(&error))?;
        Ok(bytes)
    };
    for ending in ["sig", "att"] {
        let tag = format!("sha256-{}.{ending}", digest.hex());
        match repository.document(&tag) {
            Ok(None) => {}
            Ok(Some(document)) => match serde_json::from_slice::<ReferrerManifest>(&document.bytes) {
                Ok(manifest) => hear_manifest(&tag, &manifest, &mut blobs, findings),
                Err(error) => findings.note(format!("{tag}: it is no manifest: {error}")),
            },
            Err(error) => findings.unread(causes(&error)),
        }
    }
    let referrers = match repository.referrers(&digest, None) {
        Ok(referrers) => referrers,
        Err(error) => return findings.unread(causes(&error)),
    };
    let mut unsigned = BTreeSet::new();
    for referrer in referrers {
        let kind = referrer.artifact_type.as_str();
        if !may_hold_claims(kind) {
            unsigned.insert(format!("`{kind}`"));
            continue;
        }
        let document = match repository.document(&referrer.digest.to_string()) {
            Ok(Some(document)) => document,
            Ok(None) => {
                findings.unread(format!("referrer {} is listed, and not there", referrer.digest));
                continue;
            }
            Err(error) => {
                findings.unread(causes(&error));
                continue;
            }
        };
        hear_referrer(&referrer.digest, &document.bytes, &mut blobs, findings);
    }
    if !unsigned.is_empty() {
        let unsigned: Vec<String> = unsigned.into_iter().collect();
        findings.note(format!("attached without a signature of its own: {}", unsigned.join(", ")));
    }
}

/// Hears all that the index of a layout or an archive lists beside the image about the findings' digest, as tools put it
/// there that copy an image with its referrers.
pub fn hear_layout(open: &OpenImage, findings: &mut Findings<'_>) {
    let mut blobs = |descriptor: &Descriptor| {
        let mut bytes = Vec::new();
        let blob = open.blob(descriptor).map_err(|error| causes(&error))?;
        let read = blob.take(descriptor.size.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| format!("blob {}: {error}", descriptor.digest))?;
        if Digest::of(&bytes) == descriptor.digest {
            return Ok(bytes);
        }
        Err(format!("blob {} has other bytes than its name says", descriptor.digest))
    };
    if open.attached().len() > MAX_REFERRERS {
        findings.unread(format!("{} things are attached, more than {MAX_REFERRERS}", open.attached().len()));
    }
    for listed in open.attached().iter().take(MAX_REFERRERS) {
        let kind = listed.artifact_type.as_deref().unwrap_or_default();
        if !(may_hold_claims(kind) || matches!(kind, "" | EMPTY)) || listed.size > MAX_MANIFEST {
            continue;
        }
        match blobs(listed) {
            // Of an index and its manifests, each has its own.
            Ok(bytes) if is_of(&bytes, findings.digest()) => {
                hear_referrer(&listed.digest, &bytes, &mut blobs, findings);
            }
            Ok(_) => {}
            Err(problem) => findings.unread(problem),
        }
    }
}

fn is_of(manifest: &[u8], digest: &Digest) -> bool {
    serde_json::from_slice::<ReferrerManifest>(manifest)
        .is_ok_and(|manifest| manifest.subject.is_some_and(|subject| subject.digest == *digest))
}

/// Returns whether what is attached under this artifact type may hold claims.
pub(super) fn may_hold_claims(kind: &str) -> bool {
    kind.starts_with(BUNDLES) || matches!(kind, ENVELOPE | SIMPLE_SIGNING)
}

/// Hears the manifest of a referrer, which must be one of the findings' digest.
pub(super) fn hear_referrer(own: &Digest, bytes: &[u8], blobs: &mut Blobs<'_>, findings: &mut Findings<'_>) {
    let from = format!("referrer {own}");
    match serde_json::from_slice::<ReferrerManifest>(bytes) {
        Ok(manifest) if manifest.subject.as_ref().is_some_and(|subject| subject.digest == *findings.digest()) => {
            hear_manifest(&from, &manifest, blobs, findings);
        }
        Ok(_) => findings.note(format!("{from}: it is listed here, and attached to something else")),
        Err(error) => findings.note(format!("{from}: it is no manifest: {error}")),
    }
}

/// Hears every layer of a manifest that holds claims.
pub(super) fn hear_manifest(
    from: &str,
    manifest: &ReferrerManifest,
    blobs: &mut Blobs<'_>,
    findings: &mut Findings<'_>,
) {
    if manifest.layers.len() > MAX_LAYERS {
        findings.unread(format!("{from} has {} layers, more than {MAX_LAYERS}", manifest.layers.len()));
    }
    for layer in manifest.layers.iter().take(MAX_LAYERS) {
        if !may_hold_claims(&layer.media_type) {
            continue;
        }
        if layer.size > MAX_CLAIM {
            findings.unread(format!("{from} holds a claim of {} bytes, more than {MAX_CLAIM}", layer.size));
            continue;
        }
        let bytes = match blobs(layer) {
            Ok(bytes) => bytes,
            Err(problem) => {
                findings.unread(problem);
                continue;
            }
        };
        match layer.media_type.as_str() {
            SIMPLE_SIGNING => {
                let signature = layer.annotations.get(SIGNATURE).map(String::as_str).unwrap_or_default();
                match Base64::decode_vec(signature.trim()) {
                    Ok(signature) => findings.hear(from, Claim::Simple { payload: &bytes, signature: &signature }),
                    Err(_) => findings.note(format!("{from}: a signature is no base64")),
                }
            }
            ENVELOPE => findings.hear(from, Claim::Envelope(&bytes)),
            _ => findings.hear(from, Claim::Bundle(&bytes)),
        }
    }
}

/// Hears a file that was named: one bundle or envelope, or one on each line.
///
/// # Errors
/// Where it holds neither.
pub fn hear_file(path: &str, bytes: &[u8], findings: &mut Findings<'_>) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
        payload_type: Option<String>,
    }
    let wrong = |problem: String| Error::File { path: path.to_owned(), problem };
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(format!("it has more than {MAX_FILE} bytes")));
    }
    let whole = serde_json::from_slice::<Kind>(bytes).is_ok();
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let claims: Vec<&[u8]> = if whole { vec![bytes] } else { lines.collect() };
    if claims.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    for claim in claims {
        let kind = serde_json::from_slice::<Kind>(claim).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
        match (kind.media_type, kind.payload_type) {
            (Some(_), _) => findings.hear(path, Claim::Bundle(claim)),
            (None, Some(_)) => findings.hear(path, Claim::Envelope(claim)),
            (None, None) => return Err(wrong("it holds neither a bundle nor an envelope".to_owned())),
        }
    }
    Ok(())
}
