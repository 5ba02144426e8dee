//! Cosign's encrypted private key: PKCS#8 DER in a NaCl secretbox under a key that scrypt (RFC 7914) makes of a password.

use base64ct::{Base64, Encoding as _};
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What cosign writes above such a key.
pub(super) const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// What cosign wrote before 1.0 had settled.
pub(super) const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// The most memory that a key may ask for, in scrypt's `128 * N * r` bytes; cosign asks for 64 MiB.
const MAX_MEMORY: u64 = 512 << 20;

/// What sealing a key needs beside the password: random bytes, which the caller draws from the system.
pub struct Sealing {
    /// Salt of the password.
    pub salt: [u8; 32],
    /// Nonce of the box; never the same twice under one key.
    pub nonce: [u8; 24],
}

/// The document inside the PEM. Fields are written in this order, which is cosign's.
#[derive(Serialize, Deserialize)]
struct Document {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Opens a sealed key: `Ok(None)` where the password does not.
pub(super) fn open(json: &[u8], password: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let document: Document =
        serde_json::from_slice(json).map_err(|error| format!("its document is broken: {error}"))?;
    if document.kdf.name != "scrypt" || document.cipher.name != "nacl/secretbox" {
        return Err(format!("it is sealed by `{}` and `{}`", document.kdf.name, document.cipher.name));
    }
    let bytes = |what: &str, text: &str| Base64::decode_vec(text).map_err(|_| format!("its {what} is no base64"));
    let salt = bytes("salt", &document.kdf.salt)?;
    let nonce: [u8; 24] =
        bytes("nonce", &document.cipher.nonce)?.try_into().map_err(|_| "its nonce is not 24 bytes long".to_owned())?;
    let ciphertext = bytes("ciphertext", &document.ciphertext)?;
    let key = derive(password, &salt, &document.kdf.params)?;
    Ok(XSalsa20Poly1305::new(Key::from_slice(&*key))
        .decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice())
        .ok()
        .map(Zeroizing::new))
}

/// Seals a key with cosign's own parameters.
pub(super) fn seal(der: &[u8], password: &[u8], sealing: &Sealing) -> Vec<u8> {
    let params = Params { n: 65536, r: 8, p: 1 };
    let key = derive(password, &sealing.salt, &params).expect("cosign's parameters are within bounds");
    let ciphertext = XSalsa20Poly1305::new(Key::from_slice(&*key))
        .encrypt(Nonce::from_slice(&sealing.nonce), der)
        .expect("a key is shorter than a box can be");
    crate::canon::ordered(&Document {
        kdf: Kdf { name: "scrypt".to_owned(), params, salt: Base64::encode_string(&sealing.salt) },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: Base64::encode_string(&sealing.nonce) },
        ciphertext: Base64::encode_string(&ciphertext),
    })
}

fn derive(password: &[u8], salt: &[u8], params: &Params) -> Result<Zeroizing<[u8; 32]>, String> {
    let memory = params.n.checked_mul(128).and_then(|bytes| bytes.checked_mul(u64::from(params.r)));
    if !params.n.is_power_of_two() || memory.is_none_or(|bytes| bytes > MAX_MEMORY) || !(1..=16).contains(&params.p) {
        return Err(format!("scrypt with N {}, r {} and p {} is out of bounds", params.n, params.r, params.p));
    }
    let log = u8::try_from(params.n.trailing_zeros()).expect("a power of two has few zeros");
    let params =
        scrypt::Params::new(log, params.r, params.p, 32).map_err(|_| "its scrypt parameters are invalid".to_owned())?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &params, &mut *key).map_err(|_| "its scrypt parameters are invalid".to_owned())?;
    Ok(key)
}
