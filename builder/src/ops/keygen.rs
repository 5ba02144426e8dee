//! `keygen`: makes a key pair to sign with.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::diag::Problems;
use crate::digest::Digest;
use crate::sign::{Algorithm, PrivateKey, PublicKey, Sealing, Signer as _};
use crate::store::output::Staging;

use super::{Error, shown};

/// What a key pair is made of. Random bytes are drawn by the caller, from the system.
pub struct KeygenOptions {
    /// What the key computes.
    pub algorithm: Algorithm,
    /// 32 random bytes, which are the key.
    pub random: Zeroizing<[u8; 32]>,
    /// Password and random bytes, where the private key is to be encrypted in cosign's form.
    pub sealed: Option<(Zeroizing<String>, Sealing)>,
}

/// A key pair that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The private key; `None` where only a public one was written.
    pub private: Option<PathBuf>,
    /// The public key.
    pub public: PathBuf,
    /// SHA-256 of the public key's SPKI in DER.
    pub id: Digest,
}

/// Writes `NAME.key`, readable by its owner alone, and `NAME.pub`. What stands there already is never written over.
///
/// # Errors
/// Where one of the files exists or cannot be written; then neither is there.
pub fn keygen(name: &Path, options: &KeygenOptions) -> Result<KeyPair, Problems> {
    named(name)?;
    let key = PrivateKey::generate(options.algorithm, &options.random)?;
    let (private, public) = (with_ending(name, "key"), with_ending(name, "pub"));
    free(&private)?;
    free(&public)?;
    let pem = match &options.sealed {
        Some((password, sealing)) => Zeroizing::new(key.to_sealed_pem(password, sealing)),
        None => key.to_pem(),
    };
    Staging::new_file(&private, pem.as_bytes(), true)?;
    if let Err(error) = Staging::new_file(&public, key.public().to_pem().as_bytes(), false) {
        // A private key whose public one is not there is of no use; that it cannot be removed changes nothing of that.
        let _ = std::fs::remove_file(&private);
        return Err(error.into());
    }
    Ok(KeyPair { private: Some(private), public, id: key.public().id() })
}

/// Writes the public half of a key that is elsewhere, in a file, an agent or behind a program, as `NAME.pub`.
///
/// # Errors
/// Where the file exists or cannot be written.
pub fn keygen_public(name: &Path, key: &PublicKey) -> Result<KeyPair, Problems> {
    named(name)?;
    let public = with_ending(name, "pub");
    free(&public)?;
    Staging::new_file(&public, key.to_pem().as_bytes(), false)?;
    Ok(KeyPair { private: None, public, id: key.id() })
}

fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut name = name.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Refuses what names no file: `keys/` would become `keys/.key`.
fn named(name: &Path) -> Result<(), Error> {
    let whole = name.as_os_str().as_encoded_bytes();
    if name.file_name().is_none() || whole.ends_with(b"/") || whole.ends_with(b"/.") {
        return Err(Error::KeyName { name: shown(name) });
    }
    Ok(())
}

fn free(path: &Path) -> Result<(), Error> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(Error::Exists { path: shown(path) }),
        Err(_) => Ok(()),
    }
}
