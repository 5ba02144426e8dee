//! One OpenPGP certificate, and whether a signature by it counts (RFC 9580 sections 5.2 and 10.1).
//!
//! Self-signatures are verified once, when the certificate is read; what they say is then weighed at the time of a
//! signature and at the present. Everything about third parties is left alone.

use pgp::composed::SignedPublicKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SignatureConfig, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, PublicParams, Tag, VerifyingKey};

use super::date;

/// How far ahead of this machine's clock a signature or a Release may be, in seconds.
pub(super) const SKEW: i64 = 300;

/// A certificate with what its valid self-signatures say.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    /// Upper-case fingerprint of the primary key.
    pub(super) fingerprint: String,
    key: SignedPublicKey,
    primary: Standing,
    /// One per subkey of `key`, in its order.
    subkeys: Vec<Standing>,
}

/// What valid self-signatures say of one key.
#[derive(Debug, Clone, Default)]
struct Standing {
    revoked: bool,
    /// By rising creation time.
    claims: Vec<Claim>,
}

/// What one valid self-signature says.
#[derive(Debug, Clone)]
struct Claim {
    created: i64,
    /// When the self-signature itself ends.
    ends: Option<i64>,
    /// Seconds that the key lives from its creation.
    lifetime: Option<i64>,
    /// The key may sign, and where it is a subkey it says itself that it belongs to the primary key.
    signs: bool,
}

impl Certificate {
    /// Returns the certificate for `key`, its self-signatures verified.
    pub(super) fn new(key: SignedPublicKey) -> Self {
        let fingerprint = format!("{:X}", key.primary_key.fingerprint());
        let primary = primary_standing(&key);
        let subkeys = key
            .public_subkeys
            .iter()
            .map(|subkey| {
                let binds =
                    |signature: &Signature| signature.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok();
                let mut standing = Standing::default();
                for signature in &subkey.signatures {
                    match signature.typ() {
                        Some(SignatureType::SubkeyRevocation) => standing.revoked |= binds(signature),
                        Some(SignatureType::SubkeyBinding) if binds(signature) => {
                            let back = signature.embedded_signature().is_some_and(|back| {
                                acceptable(back).is_ok()
                                    && back.verify_primary_key_binding(&subkey.key, &key.primary_key).is_ok()
                            });
                            standing.add(signature, back);
                        }
                        _ => {}
                    }
                }
                standing.finish()
            })
            .collect();
        Self { fingerprint, key, primary, subkeys }
    }

    /// Judges `signature` over `message`, where a key of this certificate is named as its issuer; `Err` says why it
    /// does not count. Returns `None` where the issuer is another.
    ///
    /// Where it need not be `fresh`, it is judged as of the day it was made: what expired since does not matter.
    pub(super) fn judge(
        &self,
        signature: &Signature,
        message: &[u8],
        now: i64,
        fresh: bool,
    ) -> Option<Result<(), String>> {
        let issued = |key: &dyn KeyDetails| {
            signature.issuer_fingerprint().iter().any(|named| **named == key.fingerprint())
                || signature.issuer_key_id().iter().any(|named| **named == key.legacy_key_id())
        };
        if issued(&self.key.primary_key) {
            return Some(self.judge_key(signature, message, (now, fresh), &self.key.primary_key, &self.primary));
        }
        let (subkey, standing) =
            self.key.public_subkeys.iter().zip(&self.subkeys).find(|(subkey, _)| issued(&subkey.key))?;
        Some(self.judge_key(signature, message, (now, fresh), &subkey.key, standing))
    }

    fn judge_key(
        &self,
        signature: &Signature,
        message: &[u8],
        (now, fresh): (i64, bool),
        key: &impl VerifyingKey,
        standing: &Standing,
    ) -> Result<(), String> {
        let config = acceptable(signature)?;
        if !matches!(config.typ, SignatureType::Text | SignatureType::Binary) {
            return Err("it is no signature of a document".to_owned());
        }
        let made = created(config).ok_or("it has no creation time")?;
        if made > now + SKEW {
            return Err(format!("it was made in the future, on {}", date::shown(made)));
        }
        let now = if fresh { now } else { made.min(now) };
        if lifetime(signature.signature_expiration_time()).is_some_and(|life| made + life <= now) {
            return Err("it has expired".to_owned());
        }
        self.primary.holds(&self.key.primary_key, made, now)?;
        if !standing.holds(key, made, now)?.signs {
            return Err("the key may not sign".to_owned());
        }
        strong(key.public_params())?;
        signature.verify(key, message).map_err(|_| "it is not of this text".to_owned())
    }
}

impl Standing {
    fn add(&mut self, signature: &Signature, back: bool) {
        let Ok(config) = acceptable(signature) else { return };
        let Some(created) = created(config) else { return };
        self.claims.push(Claim {
            created,
            ends: lifetime(signature.signature_expiration_time()).map(|life| created + life),
            lifetime: lifetime(signature.key_expiration_time()),
            signs: signature.key_flags().sign() && back,
        });
    }

    fn finish(mut self) -> Self {
        self.claims.sort_by_key(|claim| claim.created);
        self
    }

    /// Returns the claim in force, where `key` is good both when the signature was made and now.
    fn holds(&self, key: &impl KeyDetails, made: i64, now: i64) -> Result<&Claim, String> {
        if self.revoked {
            return Err("the key is revoked".to_owned());
        }
        let claim = self
            .claims
            .iter()
            .rfind(|claim| claim.created <= now + SKEW)
            .ok_or("the key has no valid self-signature with SHA-256 or better")?;
        if claim.ends.is_some_and(|end| end <= now) {
            return Err("the key's self-signature has expired".to_owned());
        }
        let born = i64::from(key.created_at().as_secs());
        if made < born {
            return Err("it is older than its key".to_owned());
        }
        if let Some(end) = claim.lifetime.map(|life| born + life)
            && end <= made.max(now)
        {
            return Err(format!("the key expired on {}", date::shown(end)));
        }
        Ok(claim)
    }
}

/// Weighs direct signatures and the user ids' certifications by the primary key itself.
fn primary_standing(key: &SignedPublicKey) -> Standing {
    let primary: &PublicKey = &key.primary_key;
    let details = &key.details;
    let mut standing = Standing::default();
    // A revocation counts wherever it stands.
    let everywhere = details
        .revocation_signatures
        .iter()
        .chain(&details.direct_signatures)
        .chain(details.users.iter().flat_map(|user| &user.signatures))
        .chain(details.user_attributes.iter().flat_map(|attribute| &attribute.signatures));
    for signature in everywhere {
        standing.revoked |=
            signature.typ() == Some(SignatureType::KeyRevocation) && signature.verify_key(primary).is_ok();
    }
    for signature in &details.direct_signatures {
        if signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok() {
            standing.add(signature, true);
        }
    }
    for user in &details.users {
        let own: Vec<&Signature> = user
            .signatures
            .iter()
            .filter(|signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok())
            .collect();
        let revoked = own
            .iter()
            .filter(|signature| signature.typ() == Some(SignatureType::CertRevocation))
            .filter_map(|signature| signature.config().and_then(created))
            .max();
        for signature in own {
            let since = signature.config().and_then(created);
            if signature.typ() != Some(SignatureType::CertRevocation) && (revoked.is_none() || since > revoked) {
                standing.add(signature, true);
            }
        }
    }
    standing.finish()
}

/// Returns what `signature` says of itself, where its form and its hash count at all.
pub(super) fn acceptable(signature: &Signature) -> Result<&SignatureConfig, String> {
    let config = signature.config().ok_or("its version is unknown")?;
    if !matches!(config.hash_alg, HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) {
        return Err(format!("its hash is {}, which does not count", config.hash_alg));
    }
    let unknown = config.hashed_subpackets().any(|packet| {
        packet.is_critical
            && matches!(
                packet.data,
                SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(..)
            )
    });
    if unknown { Err("it has a critical part of unknown meaning".to_owned()) } else { Ok(config) }
}

/// Returns the only creation time that is itself signed.
fn created(config: &SignatureConfig) -> Option<i64> {
    let mut times = config.hashed_subpackets().filter_map(|packet| match packet.data {
        SubpacketData::SignatureCreationTime(time) => Some(i64::from(time.as_secs())),
        _ => None,
    });
    let time = times.next()?;
    times.next().is_none().then_some(time)
}

/// Returns a lifetime in seconds; zero means none (RFC 9580 sections 5.2.3.13 and 5.2.3.18).
fn lifetime(duration: Option<pgp::types::Duration>) -> Option<i64> {
    duration.map(|duration| i64::from(duration.as_secs())).filter(|&seconds| seconds > 0)
}

/// Returns why a key of these parameters is too weak, if it is: RSA from 2048 bits, Ed25519, ECDSA from P-256 count.
fn strong(params: &PublicParams) -> Result<(), String> {
    match params {
        PublicParams::RSA(rsa) => {
            // The modulus comes first, as a bit count of two bytes and its bytes (RFC 9580 section 3.2).
            let mut bytes = Vec::new();
            rsa.to_writer(&mut bytes).map_err(|_| "the key is malformed".to_owned())?;
            let bits = bytes.first_chunk().map_or(0, |count| u16::from_be_bytes(*count));
            if bits < 2048 { Err(format!("the key is RSA of {bits} bits, which is too weak")) } else { Ok(()) }
        }
        PublicParams::Ed25519(_)
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
        ) => Ok(()),
        _ => Err("the key is of a kind that does not count".to_owned()),
    }
}
