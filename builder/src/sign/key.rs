//! Key pairs: Ed25519 and P-256, as PKCS#8 and SPKI in PEM (RFC 7468, RFC 8410, RFC 5480).

use std::fmt;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::pkcs8::{self, DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _};
use ed25519_dalek::pkcs8::{EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signature as EdSignature, Signer as _};
use p256::ecdsa::signature::Verifier as _;
use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

use super::{Error, Sealing, sealed};
use crate::digest::Digest;

/// The most bytes of a key file.
const MAX_PEM: usize = 64 << 10;

/// What a key computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Pure Ed25519 (RFC 8032, section 5.1).
    Ed25519,
    /// ECDSA over P-256 with SHA-256 (FIPS 186-5), nonces by RFC 6979.
    P256,
}

impl Algorithm {
    /// Returns the word used in flags and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
        }
    }
}

/// Something that signs: a key in memory, in an agent, or behind a program.
pub trait Signer: Send + Sync {
    /// Returns the signature of exactly these bytes: 64 bytes for Ed25519 (RFC 8032), DER for P-256 (RFC 3279,
    /// section 2.2.3).
    ///
    /// # Errors
    /// Where no signature was made, or one that does not hold under [`Signer::public`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;

    /// Returns the key that checks the signatures.
    fn public(&self) -> &PublicKey;

    /// Returns whether the same bytes always get the same signature: of Ed25519 by its nature, of P-256 where the signer
    /// follows RFC 6979.
    fn repeats(&self) -> bool {
        self.public().algorithm() == Algorithm::Ed25519
    }
}

/// A key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: Verifying,
    der: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq)]
enum Verifying {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Parses a PEM file with one `PUBLIC KEY` (SPKI); `name` is how messages call it.
    ///
    /// # Errors
    /// Where it is another kind of PEM, or a key of another algorithm.
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Key { name: name.to_owned(), problem };
        let (label, der) = decode(pem).map_err(refuse)?;
        match label {
            "PUBLIC KEY" => Self::from_der(&der).map_err(refuse),
            other if other.contains("PRIVATE") => Err(refuse("it is a private key; name the public one".to_owned())),
            other => Err(refuse(format!("it is a `{other}`, not a `PUBLIC KEY`"))),
        }
    }

    /// Parses a SubjectPublicKeyInfo in DER.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_der(der) {
            if key.is_weak() {
                return Err("it is a weak Ed25519 key, under which anything is signed".to_owned());
            }
            return Ok(Self::ed25519(key));
        }
        p256::ecdsa::VerifyingKey::from_public_key_der(der)
            .map(Self::p256)
            .map_err(|_| "it is neither an Ed25519 nor a P-256 key".to_owned())
    }

    /// Returns the Ed25519 key of these 32 bytes.
    pub(super) fn from_ed25519_bytes(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        (!key.is_weak()).then(|| Self::ed25519(key))
    }

    /// Returns the P-256 key of an encoded point (SEC 1, section 2.3.3).
    pub(super) fn from_p256_bytes(bytes: &[u8]) -> Option<Self> {
        p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok().map(Self::p256)
    }

    fn ed25519(key: ed25519_dalek::VerifyingKey) -> Self {
        let der = key.to_public_key_der().expect("an Ed25519 key has a DER form").into_vec();
        Self { key: Verifying::Ed25519(key), der }
    }

    fn p256(key: p256::ecdsa::VerifyingKey) -> Self {
        let der = key.to_public_key_der().expect("a P-256 key has a DER form").into_vec();
        Self { key: Verifying::P256(key), der }
    }

    /// Returns what the key computes.
    pub fn algorithm(&self) -> Algorithm {
        match self.key {
            Verifying::Ed25519(_) => Algorithm::Ed25519,
            Verifying::P256(_) => Algorithm::P256,
        }
    }

    /// Returns the key as PEM (SPKI), with a newline at the end.
    pub fn to_pem(&self) -> String {
        pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, &self.der).expect("a public key has a PEM form")
    }

    /// Returns the key's id: SHA-256 of its SPKI in DER. Two keys are one key where their ids are equal.
    pub fn id(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Returns the hint by which Sigstore bundles name a key: base64 of [`PublicKey::id`].
    pub fn hint(&self) -> String {
        Base64::encode_string(self.id().as_bytes())
    }

    /// Returns whether `signature` is one of exactly `message` by this key.
    ///
    /// Ed25519 is checked strictly: no signature has a second form, no key of small order is taken.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Verifying::Ed25519(key) => {
                EdSignature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            Verifying::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm().as_str(), self.id())
    }
}

/// A private key in memory. It is overwritten when it is dropped, and has no printed form.
pub struct PrivateKey {
    key: Signing,
    public: PublicKey,
}

enum Signing {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public)
    }
}

impl PrivateKey {
    /// Makes the key of 32 random bytes, which the caller draws from the system.
    ///
    /// # Errors
    /// Where the bytes are no key: of P-256's, one in 2^32 draws.
    pub fn generate(algorithm: Algorithm, random: &Zeroizing<[u8; 32]>) -> Result<Self, Error> {
        match algorithm {
            Algorithm::Ed25519 => Ok(Self::ed25519(ed25519_dalek::SigningKey::from_bytes(random))),
            Algorithm::P256 => p256::ecdsa::SigningKey::from_bytes((&**random).into())
                .map(Self::p256)
                .map_err(|_| Error::Key { name: "new".to_owned(), problem: "the drawn bytes are no key".to_owned() }),
        }
    }

    /// Parses a PEM file: PKCS#8, SEC 1 (`EC PRIVATE KEY`), or cosign's encrypted form; `name` is how messages call it.
    ///
    /// `password` is asked for only where the key is encrypted.
    ///
    /// # Errors
    /// Where it is another kind of PEM, a key of another algorithm, or the password does not open it.
    pub fn from_pem(
        name: &str,
        pem: &[u8],
        password: &mut dyn FnMut() -> Option<Zeroizing<String>>,
    ) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Key { name: name.to_owned(), problem };
        let (label, der) = decode(pem).map_err(refuse)?;
        match label {
            "PRIVATE KEY" => Self::from_der(&der).map_err(refuse),
            "EC PRIVATE KEY" => p256::SecretKey::from_sec1_der(&der)
                .map(|key| Self::p256(key.into()))
                .map_err(|_| refuse("it is no P-256 key".to_owned())),
            sealed::LABEL | sealed::OLD_LABEL => {
                let password = password().ok_or_else(|| Error::NoPassword { name: name.to_owned() })?;
                let opened = sealed::open(&der, password.as_bytes()).map_err(refuse)?;
                let opened = opened.ok_or_else(|| Error::WrongPassword { name: name.to_owned() })?;
                Self::from_der(&opened).map_err(refuse)
            }
            "ENCRYPTED PRIVATE KEY" => Err(refuse(
                "it is encrypted by PKCS#8; `openssl pkcs8` opens it, or take cosign's encrypted form".to_owned(),
            )),
            "OPENSSH PRIVATE KEY" => {
                Err(refuse("it is an OpenSSH key; add it to an ssh-agent and use `ssh-agent:`".to_owned()))
            }
            "PUBLIC KEY" => Err(refuse("it is a public key; name the private one".to_owned())),
            other => Err(refuse(format!("it is a `{other}`, not a `PRIVATE KEY`"))),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, String> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_der(der) {
            return Ok(Self::ed25519(key));
        }
        p256::ecdsa::SigningKey::from_pkcs8_der(der)
            .map(Self::p256)
            .map_err(|_| "it is neither an Ed25519 nor a P-256 key".to_owned())
    }

    fn ed25519(key: ed25519_dalek::SigningKey) -> Self {
        let public = PublicKey::ed25519(key.verifying_key());
        Self { key: Signing::Ed25519(key), public }
    }

    fn p256(key: p256::ecdsa::SigningKey) -> Self {
        let public = PublicKey::p256(*key.verifying_key());
        Self { key: Signing::P256(key), public }
    }

    /// Returns the key as PEM (PKCS#8), with a newline at the end.
    ///
    /// Ed25519 is written in version 1, without its public key: OpenSSL 3 reads no other.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let text = pem_rfc7468::encode_string("PRIVATE KEY", LineEnding::LF, &self.to_der());
        Zeroizing::new(text.expect("a private key has a PEM form"))
    }

    /// Returns the key as cosign's encrypted PEM.
    pub fn to_sealed_pem(&self, password: &str, sealing: &Sealing) -> String {
        let json = sealed::seal(&self.to_der(), password.as_bytes(), sealing);
        pem_rfc7468::encode_string(sealed::LABEL, LineEnding::LF, &json).expect("a sealed key has a PEM form")
    }

    fn to_der(&self) -> Zeroizing<Vec<u8>> {
        let document = match &self.key {
            Signing::Ed25519(key) => KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_der(),
            Signing::P256(key) => p256::SecretKey::from(key.as_nonzero_scalar()).to_pkcs8_der(),
        };
        let document: Result<pkcs8::SecretDocument, _> = document;
        Zeroizing::new(document.expect("a private key has a DER form").as_bytes().to_vec())
    }
}

impl Signer for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.key {
            Signing::Ed25519(key) => Ok(key.try_sign(message).map_err(|_| Error::Sign)?.to_bytes().to_vec()),
            Signing::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::signature::Signer::try_sign(key, message).map_err(|_| Error::Sign)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
        }
    }

    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn repeats(&self) -> bool {
        true
    }
}

/// Decodes a PEM file. What is around it but white space is refused; line ends may be of either kind.
fn decode(pem: &[u8]) -> Result<(&str, Zeroizing<Vec<u8>>), String> {
    if pem.len() > MAX_PEM {
        return Err(format!("it has {} bytes, more than {MAX_PEM}", pem.len()));
    }
    let (label, der) = pem_rfc7468::decode_vec(pem.trim_ascii()).map_err(|_| "it is no PEM file".to_owned())?;
    Ok((label, Zeroizing::new(der)))
}
