//! Envelopes (DSSE v1.0.2): a payload, its type, and signatures over both.

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::{Error, PublicKey, Signer};
use crate::attest::{PAYLOAD, Statement};
use crate::canon;
use crate::digest::Digest;

/// Media type of an envelope, as cosign's `.att` layers have it.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The most bytes of an envelope that is read; base64 makes a payload a third longer.
const MAX_ENVELOPE: usize = 96 << 20;
/// The most signatures of an envelope that is read.
const MAX_SIGNATURES: usize = 16;

/// Returns the bytes that a signature of an envelope covers (DSSE v1, PAE).
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// A signed payload, not yet believed. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
    sig: String,
}

/// Something that a key was found to have signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T> {
    value: T,
    key: Digest,
}

impl<T> Verified<T> {
    /// Says that the key signed the value; for those who have just checked it.
    pub(super) fn by(key: &PublicKey, value: T) -> Self {
        Self { value, key: key.id() }
    }

    /// Returns what was signed.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the id of the key that signed it.
    pub fn key(&self) -> &Digest {
        &self.key
    }

    /// Returns what was signed, by value.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl Envelope {
    /// Signs a statement.
    ///
    /// # Errors
    /// Where the signer makes no signature.
    pub fn sign(statement: &Statement, signer: &dyn Signer) -> Result<Self, Error> {
        let payload = statement.to_bytes();
        let signature = signer.sign(&pae(PAYLOAD, &payload))?;
        let sig = Base64::encode_string(&signature);
        Ok(Self {
            payload: Base64::encode_string(&payload),
            payload_type: PAYLOAD.to_owned(),
            signatures: vec![EnvelopeSignature { keyid: String::new(), sig }],
        })
    }

    /// Parses an envelope; nothing in it is believed yet.
    ///
    /// # Errors
    /// Where the bytes are too many, or no envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Invalid { what: "an envelope", problem };
        if bytes.len() > MAX_ENVELOPE {
            return Err(refuse(format!("it has {} bytes, more than {MAX_ENVELOPE}", bytes.len())));
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        envelope.check()?;
        Ok(envelope)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |problem: String| Err(Error::Invalid { what: "an envelope", problem });
        match self.signatures.len() {
            1..=MAX_SIGNATURES => {}
            count => return refuse(format!("it has {count} signatures, not 1 to {MAX_SIGNATURES}")),
        }
        if self.payload_type != PAYLOAD {
            return refuse(format!("its payload is a `{}`, not a `{PAYLOAD}`", self.payload_type));
        }
        Ok(())
    }

    /// Returns the envelope as compact JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canon::ordered(self)
    }
}

impl PublicKey {
    /// Returns the statement in the envelope, where this key has signed it. The only maker of a [`Verified`] statement.
    ///
    /// The payload is checked first and parsed afterwards.
    ///
    /// # Errors
    /// [`Error::Signature`] where no signature is by this key; others where the envelope or the statement is broken.
    pub fn open(&self, envelope: &Envelope) -> Result<Verified<Statement>, Error> {
        envelope.check()?;
        let refuse = |problem: &str| Error::Invalid { what: "an envelope", problem: problem.to_owned() };
        let payload = Base64::decode_vec(&envelope.payload).map_err(|_| refuse("its payload is no base64"))?;
        let message = pae(&envelope.payload_type, &payload);
        for signature in &envelope.signatures {
            let bytes = Base64::decode_vec(&signature.sig).map_err(|_| refuse("a signature is no base64"))?;
            if self.verifies(&message, &bytes) {
                return Ok(Verified::by(self, Statement::parse(&payload)?));
            }
        }
        Err(Error::Signature { what: "a statement", key: self.id().to_string() })
    }
}
