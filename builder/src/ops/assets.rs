//! The files that a release leaves for others to take: documents, signatures, sums, the public key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};

use crate::diag::Problems;
use crate::digest::Digest;
use crate::sign::Signer;
use crate::store::output::Staging;

use super::attest::read;
use super::{Error, shown};

/// The sums of all the other files, in the form of `sha256sum`.
pub(super) const SUMS: &str = "SHA256SUMS";
/// The signature of [`SUMS`], in base64, as `cosign verify-blob` reads it.
pub(super) const SUMS_SIGNATURE: &str = "SHA256SUMS.sig";
/// The most bytes of a file that is compared.
const MAX_FILE: u64 = 512 << 20;

/// The directory of the assets, which will be written.
pub(super) struct Assets {
    place: PathBuf,
    /// What may stand there beside the sums.
    names: Vec<String>,
    staging: Staging,
}

impl Assets {
    /// Starts the directory `place`, in which files of these names may stand, the sums, and no others.
    pub(super) fn open(place: &Path, names: Vec<String>) -> Result<Self, Problems> {
        // The sums are in every such directory: where they are not, it is somebody else's.
        let mut known = vec![SUMS, SUMS_SIGNATURE];
        known.extend(names.iter().map(String::as_str));
        let staging = Staging::directory(place, &known)?;
        Ok(Self { place: place.to_owned(), names, staging })
    }

    /// Writes these files, their sums and the signature of the sums: all of it, or what stood there before stays. Returns
    /// whether anything changed.
    pub(super) fn write(self, mut files: BTreeMap<String, Vec<u8>>, signer: &dyn Signer) -> Result<bool, Problems> {
        let Self { place, names, staging } = self;
        let sums: String = files.iter().map(|(name, bytes)| format!("{}  {name}\n", Digest::of(bytes).hex())).collect();
        let signature = match signed_before(&place, sums.as_bytes(), signer) {
            Some(signature) => signature,
            None => Base64::encode_string(&signer.sign(sums.as_bytes())?).into_bytes(),
        };
        files.insert(SUMS.to_owned(), sums.into_bytes());
        files.insert(SUMS_SIGNATURE.to_owned(), signature);
        let same =
            |(name, bytes): (&String, &Vec<u8>)| read(&place.join(name), MAX_FILE).is_ok_and(|there| there == *bytes);
        // A file of an earlier release that this one does not have is a change too.
        let superfluous = names.iter().any(|name| !files.contains_key(name) && place.join(name).exists());
        if !superfluous && files.iter().all(same) {
            return Ok(false);
        }
        for (name, bytes) in &files {
            let path = staging.path().join(name);
            std::fs::write(&path, bytes).map_err(|source| Error::Write { path: shown(&place.join(name)), source })?;
        }
        staging.commit()?;
        Ok(true)
    }
}

/// Returns the signature that stands there, where the key would sign in other words every time and has signed these sums.
fn signed_before(place: &Path, sums: &[u8], signer: &dyn Signer) -> Option<Vec<u8>> {
    if signer.repeats() {
        return None;
    }
    let there = read(&place.join(SUMS_SIGNATURE), 4096).ok()?;
    let signature = Base64::decode_vec(std::str::from_utf8(&there).ok()?).ok()?;
    signer.public().verifies(sums, &signature).then_some(there)
}
