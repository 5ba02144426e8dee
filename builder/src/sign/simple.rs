//! Cosign's first format, which containers/image reads too: a small document that names the image and its reference,
//! and a signature over its bytes (containers/image `docs/containers-signature.5.md`; cosign `SIGNATURE_SPEC.md`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, PublicKey, Signer, Verified};
use crate::canon;
use crate::digest::Digest;

/// Media type of a payload's layer.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// `critical.type` of a payload.
const KIND: &str = "cosign container image signature";
/// The most bytes of a payload that is read.
const MAX_PAYLOAD: usize = 64 << 10;

/// That the image `digest` stands under the reference `reference`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleSigning {
    /// `repo:tag`, `repo@digest`, or what another signer wrote.
    pub reference: String,
    /// Digest of the manifest or index.
    pub digest: Digest,
}

/// Fields are written in this order, which is cosign's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: Digest,
}

impl SimpleSigning {
    /// Returns the payload's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        canon::ordered(&Payload {
            critical: Critical {
                identity: Identity { docker_reference: self.reference.clone() },
                image: Image { docker_manifest_digest: self.digest },
                kind: KIND.to_owned(),
            },
            optional: None,
        })
    }

    /// Returns the payload and its signature.
    ///
    /// # Errors
    /// Where the signer makes no signature.
    pub fn sign(&self, signer: &dyn Signer) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let payload = self.to_bytes();
        let signature = signer.sign(&payload)?;
        Ok((payload, signature))
    }
}

impl PublicKey {
    /// Returns what a payload says, where this key has signed it.
    ///
    /// The payload is checked first and parsed afterwards.
    ///
    /// # Errors
    /// [`Error::Signature`] where the signature is not by this key; others where the payload is broken.
    pub fn open_simple(&self, payload: &[u8], signature: &[u8]) -> Result<Verified<SimpleSigning>, Error> {
        let refuse = |problem: String| Error::Invalid { what: "a signature's payload", problem };
        if payload.len() > MAX_PAYLOAD {
            return Err(refuse(format!("it has {} bytes, more than {MAX_PAYLOAD}", payload.len())));
        }
        if !self.verifies(payload, signature) {
            return Err(Error::Signature { what: "an image signature", key: self.id().to_string() });
        }
        let parsed: Payload = serde_json::from_slice(payload).map_err(|error| refuse(error.to_string()))?;
        if parsed.critical.kind != KIND {
            return Err(refuse(format!("its type is `{}`, not `{KIND}`", parsed.critical.kind)));
        }
        let reference = parsed.critical.identity.docker_reference;
        Ok(Verified::by(self, SimpleSigning { reference, digest: parsed.critical.image.docker_manifest_digest }))
    }
}
