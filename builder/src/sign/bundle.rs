//! Sigstore bundles, version 0.3: an envelope beside the hint at the key that signed it.
//!
//! Of what a bundle may hold, the key form alone is read and written: no certificate, no entry of a log, no time. So the
//! same statement and key make the same bundle.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Envelope, Error, PublicKey, Signer, Verified};
use crate::attest::Statement;
use crate::canon;

/// Media type of a bundle, and artifact type of the manifest that holds one.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle, not yet believed. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    public_key: Hint,
    /// Entries of a transparency log; others write them, and a key needs none.
    #[serde(default, skip_serializing)]
    tlog_entries: Vec<Ignored>,
    #[serde(default, skip_serializing)]
    timestamp_verification_data: Ignored,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    #[serde(default)]
    hint: String,
}

/// What is read over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|_| Self)
    }
}

impl Bundle {
    /// Signs a statement into a bundle.
    ///
    /// # Errors
    /// Where the signer makes no signature.
    pub fn sign(statement: &Statement, signer: &dyn Signer) -> Result<Self, Error> {
        Ok(Self {
            media_type: BUNDLE.to_owned(),
            verification_material: Material {
                public_key: Hint { hint: signer.public().hint() },
                tlog_entries: Vec::new(),
                timestamp_verification_data: Ignored,
            },
            dsse_envelope: Envelope::sign(statement, signer)?,
        })
    }

    /// Parses a bundle of version 0.3 that holds an envelope signed by a key; nothing in it is believed yet.
    ///
    /// # Errors
    /// Where it is another version, holds a certificate or a bare message signature, or is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Invalid { what: "a bundle", problem };
        let bundle: Self = serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        if bundle.media_type != BUNDLE {
            return Err(refuse(format!("it is a `{}`, not a `{BUNDLE}`", bundle.media_type)));
        }
        bundle.dsse_envelope.check()?;
        Ok(bundle)
    }

    /// Returns the bundle as compact JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canon::ordered(self)
    }

    /// Returns the envelope inside.
    pub fn envelope(&self) -> &Envelope {
        &self.dsse_envelope
    }

    /// Returns the statement inside, where `key` has signed it. The hint is no more than one, and not asked.
    ///
    /// # Errors
    /// As [`PublicKey::open`].
    pub fn open(&self, key: &PublicKey) -> Result<Verified<Statement>, Error> {
        key.open(&self.dsse_envelope)
    }
}
