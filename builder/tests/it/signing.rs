//! Test keys and signed texts, the same in every run: Ed25519 from a seed, times passed in.

#![allow(dead_code, unreachable_pub, reason = "shared by the integration tests and the unit tests of `archive`")]

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable as _, DetachedSignature, SignedKeyDetails, SignedPublicKey,
    SignedPublicSubKey,
};
use pgp::crypto::ed25519::{Mode, SecretKey as Ed25519};
use pgp::crypto::eddsa_legacy;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType,
    Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    Duration, KeyDetails, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams,
    SignedUser, SigningKey, Tag, Timestamp,
};

/// When test keys are made: 2020-01-01.
pub const KEY_CREATED: i64 = 1_577_836_800;

/// What a test key is like; [`Plan::new`] is a good one.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where its numbers come from.
    pub seed: u64,
    /// When it is made, and when it signs itself.
    pub created: i64,
    /// Seconds it lives.
    pub lifetime: Option<u32>,
    /// Hash of its self-signatures.
    pub hash: HashAlgorithm,
    /// The primary key says that it may sign.
    pub signs: bool,
    /// A revocation stands on it.
    pub revoked: bool,
    /// It has a subkey, which signs in its place.
    pub subkey: Option<SubkeyPlan>,
}

/// What the subkey of a test key is like; [`SubkeyPlan::default`] is a good one.
#[derive(Debug, Clone)]
pub struct SubkeyPlan {
    /// Its binding says that it may sign.
    pub signs: bool,
    /// It signs back; `Some(false)` signs back for another primary key.
    pub back: Option<bool>,
    /// A revocation stands on it.
    pub revoked: bool,
    /// Seconds it lives.
    pub lifetime: Option<u32>,
}

impl Default for SubkeyPlan {
    fn default() -> Self {
        Self { signs: true, back: Some(true), revoked: false, lifetime: None }
    }
}

/// A key that can sign texts.
pub struct Secret {
    primary: SecretKey,
    subkey: Option<SecretSubkey>,
}

impl Secret {
    /// Returns the upper-case fingerprint of the primary key.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.primary.fingerprint())
    }
}

/// Returns a good key made from `seed`, and its armoured certificate.
pub fn generate_key(seed: u64) -> (Secret, String) {
    Plan::new(seed).key()
}

/// Returns `text` as an InRelease signed by `secret` at `created`, with SHA-512.
pub fn clearsign(secret: &Secret, text: &str, created: i64) -> Vec<u8> {
    clearsign_by(&[secret], text, created, HashAlgorithm::Sha512)
}

/// Returns `text` as an InRelease signed by each of `secrets` at `created`.
pub fn clearsign_by(secrets: &[&Secret], text: &str, created: i64, hash: HashAlgorithm) -> Vec<u8> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let message = CleartextSignedMessage::new_many(text, |normalised| {
        Ok(secrets
            .iter()
            .map(|secret| match &secret.subkey {
                Some(subkey) => sign(subkey, normalised, created, hash),
                None => sign(&secret.primary, normalised, created, hash),
            })
            .collect())
    })
    .unwrap();
    message.to_armored_bytes(ArmorOptions::default()).unwrap()
}

/// Returns `text` as an InRelease signed by each of `secrets` at `created`, with SHA-512.
pub fn clearsign_many(secrets: &[&Secret], text: &str, created: i64) -> Vec<u8> {
    clearsign_by(secrets, text, created, HashAlgorithm::Sha512)
}

/// Returns the signatures of `text` by each of `secrets`, as Release.gpg holds them.
pub fn detach(secrets: &[&Secret], text: &str, created: i64, armoured: bool) -> Vec<u8> {
    let mut packets = Vec::new();
    for secret in secrets {
        let signature = match &secret.subkey {
            Some(subkey) => sign_bytes(subkey, text, created),
            None => sign_bytes(&secret.primary, text, created),
        };
        DetachedSignature::new(signature).to_writer(&mut packets).unwrap();
    }
    if !armoured {
        return packets;
    }
    let mut text = "-----BEGIN PGP SIGNATURE-----\n\n".to_owned();
    for line in base64(&packets).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    (text + "-----END PGP SIGNATURE-----\n").into_bytes()
}

/// Returns an armoured certificate as binary packets.
pub fn dearmour(certificate: &str) -> Vec<u8> {
    SignedPublicKey::from_armor_single(certificate.as_bytes()).unwrap().0.to_bytes().unwrap()
}

fn sign_bytes(signer: &impl SigningKey, text: &str, created: i64) -> Signature {
    let config = config(signer, SignatureType::Binary, created, HashAlgorithm::Sha512);
    config.sign(signer, &Password::empty(), text.as_bytes()).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().chain([0, 0].iter()).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

impl Plan {
    /// Returns the plan of a good key without a subkey.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            created: KEY_CREATED,
            lifetime: None,
            hash: HashAlgorithm::Sha512,
            signs: true,
            revoked: false,
            subkey: None,
        }
    }

    /// Returns the key, and its armoured certificate.
    pub fn key(&self) -> (Secret, String) {
        let (inner, secret) = pair(self.seed, 0, self.created);
        let public = PublicKey::from_inner(inner).unwrap();
        let primary = SecretKey::new(public.clone(), secret).unwrap();
        let id = UserId::from_str(PacketHeaderVersion::New, format!("test key {}", self.seed)).unwrap();
        let mut claim = self.config(&primary, SignatureType::CertPositive);
        claim.hashed_subpackets.extend(flags(self.signs));
        claim.hashed_subpackets.extend(lifetime(self.lifetime));
        let certification = claim.sign_certification(&primary, &public, &Password::empty(), Tag::UserId, &id).unwrap();
        let revocations = self.revoked.then(|| {
            self.config(&primary, SignatureType::KeyRevocation).sign_key(&primary, &Password::empty(), &public).unwrap()
        });
        let details = SignedKeyDetails::new(
            revocations.into_iter().collect(),
            Vec::new(),
            vec![SignedUser::new(id, vec![certification])],
            Vec::new(),
        );
        let subkey = self.subkey.as_ref().map(|plan| self.subkey(plan, &primary));
        let (subkey, bound) = subkey.unzip();
        let certificate = SignedPublicKey::new(public, details, bound.into_iter().collect());
        (Secret { primary, subkey }, certificate.to_armored_string(ArmorOptions::default()).unwrap())
    }

    fn subkey(&self, plan: &SubkeyPlan, primary: &SecretKey) -> (SecretSubkey, SignedPublicSubKey) {
        let (inner, secret) = pair(self.seed, 1, self.created);
        let public = PublicSubkey::from_inner(inner).unwrap();
        let subkey = SecretSubkey::new(public.clone(), secret).unwrap();
        let mut binding = self.config(primary, SignatureType::SubkeyBinding);
        binding.hashed_subpackets.extend(flags(plan.signs));
        binding.hashed_subpackets.extend(lifetime(plan.lifetime));
        if let Some(right) = plan.back {
            let (other, _) = pair(self.seed, 2, self.created);
            let other = PublicKey::from_inner(other).unwrap();
            let signee = if right { primary.public_key() } else { &other };
            let back = self
                .config(&subkey, SignatureType::KeyBinding)
                .sign_primary_key_binding(&subkey, &public, &Password::empty(), signee)
                .unwrap();
            binding
                .hashed_subpackets
                .push(Subpacket::regular(SubpacketData::EmbeddedSignature(Box::new(back))).unwrap());
        }
        let bind = |config: SignatureConfig| {
            config.sign_subkey_binding(primary, primary.public_key(), &Password::empty(), &public).unwrap()
        };
        let mut signatures = vec![bind(binding)];
        if plan.revoked {
            signatures.push(bind(self.config(primary, SignatureType::SubkeyRevocation)));
        }
        (subkey, SignedPublicSubKey::new(public, signatures))
    }

    fn config(&self, signer: &impl SigningKey, kind: SignatureType) -> SignatureConfig {
        config(signer, kind, self.created, self.hash)
    }
}

fn pair(seed: u64, number: u8, created: i64) -> (PubKeyInner, SecretParams) {
    let mut bytes = [number; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let secret = Ed25519::try_from_bytes(bytes, Mode::EdDSALegacy).unwrap();
    let public = PublicParams::EdDSALegacy((&secret).into());
    let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
    let inner =
        PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, timestamp(created), None, public).unwrap();
    (inner, SecretParams::Plain(secret))
}

fn config(signer: &impl SigningKey, kind: SignatureType, created: i64, hash: HashAlgorithm) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, signer.algorithm(), hash);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(timestamp(created))).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(signer.fingerprint())).unwrap(),
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(signer.legacy_key_id())).unwrap()];
    config
}

fn sign(signer: &impl SigningKey, text: &str, created: i64, hash: HashAlgorithm) -> Signature {
    config(signer, SignatureType::Text, created, hash).sign(signer, &Password::empty(), text.as_bytes()).unwrap()
}

fn flags(signs: bool) -> Option<Subpacket> {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(signs);
    Some(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap())
}

fn lifetime(seconds: Option<u32>) -> Option<Subpacket> {
    seconds.map(|seconds| Subpacket::regular(SubpacketData::KeyExpirationTime(Duration::from_secs(seconds))).unwrap())
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds.try_into().unwrap())
}
