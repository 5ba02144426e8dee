//! Keyrings, and the one way from signed bytes to a [`Release`].

use std::collections::BTreeSet;

use pgp::composed::{Deserializable as _, SignedPublicKey};
use pgp::packet::{Packet, PacketParser, Signature};

use super::certificate::{Certificate, acceptable};
use super::clearsign::{self, Clearsigned, Hash};
use super::{Error, Release};
use crate::digest::Digest;
use crate::spec::Distro;

/// The most signatures of an InRelease.
const MAX_SIGNATURES: usize = 16;
/// The most bytes of a key file.
const MAX_KEYS: usize = 4 << 20;

/// Debian's archive keys as its keyring package ships them: archive that each signs for, and the certificate.
const DEBIAN_12: &[(&str, &[u8])] = &[
    ("debian", include_bytes!("keys/debian-bookworm-automatic.gpg")),
    ("debian-security", include_bytes!("keys/debian-bookworm-security-automatic.gpg")),
    ("debian", include_bytes!("keys/debian-bookworm-stable.gpg")),
];
const DEBIAN_13: &[(&str, &[u8])] = &[
    ("debian", include_bytes!("keys/debian-trixie-automatic.gpg")),
    ("debian-security", include_bytes!("keys/debian-trixie-security-automatic.gpg")),
    ("debian", include_bytes!("keys/debian-trixie-stable.gpg")),
];

/// What a signed Release must satisfy beside good signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many different certificates must have signed; 0 counts as 1.
    pub min_signatures: u32,
    /// Fingerprints that must be among the signers: of a primary key, in hexadecimal, blanks and case ignored.
    pub require_key: Vec<String>,
    /// The present, seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Date of the same suite in the lock: nothing older is taken.
    pub not_before: Option<i64>,
    /// Whether it must hold now: `Valid-Until` has not passed, no key has expired since it signed. A lock is made of
    /// fresh metadata; what a lock names by digest is judged as of its day.
    pub fresh: bool,
}

impl Policy {
    /// Returns the policy without exceptions: one signature, and `Valid-Until` holds.
    pub fn at(now: i64) -> Self {
        Self { min_signatures: 1, require_key: Vec::new(), now, not_before: None, fresh: true }
    }
}

/// Certificates that may sign for archives.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Archive that a certificate is limited to, and the certificate.
    certificates: Vec<(Option<&'static str>, Certificate)>,
}

impl Keyring {
    /// Returns the keys shipped for `distro`; each signs for its own archive only.
    pub fn distro(distro: Distro) -> Self {
        let keys = match distro {
            Distro::Debian12 => DEBIAN_12,
            Distro::Debian13 => DEBIAN_13,
        };
        let certificates = keys
            .iter()
            .flat_map(|(archive, bytes)| {
                let all = read_certificates(bytes).expect("shipped keys are well-formed, which a test holds");
                all.into_iter().map(|certificate| (Some(*archive), certificate))
            })
            .collect();
        Self { certificates }
    }

    /// Returns the keyring of a key file, armoured or binary; `name` is shown in errors.
    pub fn from_certificates(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |what: String| Error::Keyring { name: name.to_owned(), what };
        if bytes.len() > MAX_KEYS {
            return Err(wrong("it is larger than 4 MiB".to_owned()));
        }
        let certificates = read_certificates(bytes).map_err(wrong)?;
        if certificates.is_empty() {
            return Err(wrong("it holds no OpenPGP certificate of a supported kind".to_owned()));
        }
        Ok(Self { certificates: certificates.into_iter().map(|certificate| (None, certificate)).collect() })
    }

    /// Returns the fingerprints of the primary keys, sorted, in upper-case hexadecimal.
    pub fn fingerprints(&self) -> Vec<String> {
        let all: BTreeSet<_> = self.certificates.iter().map(|(_, certificate)| &certificate.fingerprint).collect();
        all.into_iter().cloned().collect()
    }

    /// Verifies the InRelease of `suite` in `archive` and returns what it signs.
    ///
    /// The only way to a [`Release`]. Signatures by unknown keys are passed over; every other one that does not hold
    /// is named in the error, if there are too few that do.
    pub fn verify(&self, archive: &str, suite: &str, in_release: &[u8], policy: &Policy) -> Result<Release, Error> {
        let message = Clearsigned::read(in_release)?;
        let (packets, hashed) = (&message.packets, message.hashed());
        let (signers, refused) = self.signers(archive, packets, &hashed, Some(&message.hashes), policy)?;
        weigh((archive, suite), &signers, refused, policy)?;
        let digests = (Digest::of(in_release), None);
        Release::read(archive, suite, &message.text, digests, signers.into_iter().collect(), policy)
    }

    /// As [`Keyring::verify`], for a Release whose signatures stand in a file of their own, Release.gpg.
    pub fn verify_detached(
        &self,
        archive: &str,
        suite: &str,
        (release, signature): (&[u8], &[u8]),
        policy: &Policy,
    ) -> Result<Release, Error> {
        let text = clearsign::plain(release)?;
        let packets = clearsign::detached(signature)?;
        let (signers, refused) = self.signers(archive, &packets, release, None, policy)?;
        weigh((archive, suite), &signers, refused, policy)?;
        let digests = (Digest::of(release), Some(Digest::of(signature)));
        Release::read(archive, suite, text, digests, signers.into_iter().collect(), policy)
    }

    /// Returns the certificates whose signature over `hashed` holds, and what is wrong with the others.
    fn signers(
        &self,
        archive: &str,
        packets: &[u8],
        hashed: &[u8],
        hashes: Option<&[Hash]>,
        policy: &Policy,
    ) -> Result<(BTreeSet<String>, Vec<String>), Error> {
        let signatures = read_signatures(packets)?;
        let mut signers = BTreeSet::new();
        let mut refused = Vec::new();
        for signature in &signatures {
            let mut known = false;
            for (limit, certificate) in &self.certificates {
                if limit.is_some_and(|limit| limit != archive) {
                    continue;
                }
                let Some(verdict) = certificate.judge(signature, hashed, policy.now, policy.fresh) else { continue };
                known = true;
                match verdict.and_then(|()| hashes.map_or(Ok(()), |hashes| declared(hashes, signature))) {
                    Ok(()) => {
                        signers.insert(certificate.fingerprint.clone());
                    }
                    Err(why) => {
                        refused.push(format!("the signature by `{}` does not count: {why}", certificate.fingerprint));
                    }
                }
            }
            if !known {
                let issuers = issuers(signature);
                refused.push(format!("a signature is by a key that is not in the keyring: {issuers}"));
            }
        }
        Ok((signers, refused))
    }
}

/// Holds the signers against the policy.
fn weigh(
    (archive, suite): (&str, &str),
    signers: &BTreeSet<String>,
    refused: Vec<String>,
    policy: &Policy,
) -> Result<(), Error> {
    let needed = policy.min_signatures.max(1);
    if signers.len() < needed as usize {
        return Err(Error::Signatures {
            archive: archive.to_owned(),
            suite: suite.to_owned(),
            good: signers.len(),
            needed,
            refused,
        });
    }
    for key in &policy.require_key {
        let wanted: String = key.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
        if !signers.contains(wanted.strip_prefix("0X").unwrap_or(&wanted)) {
            let (archive, suite) = (archive.to_owned(), suite.to_owned());
            return Err(Error::RequiredKey { archive, suite, key: key.clone(), refused });
        }
    }
    Ok(())
}

/// Returns an error where the message does not declare the signature's hash.
fn declared(hashes: &[Hash], signature: &Signature) -> Result<(), String> {
    use pgp::crypto::hash::HashAlgorithm;
    let hash = match acceptable(signature)?.hash_alg {
        HashAlgorithm::Sha256 => Hash::Sha256,
        HashAlgorithm::Sha384 => Hash::Sha384,
        _ => Hash::Sha512,
    };
    if hashes.contains(&hash) { Ok(()) } else { Err("the message does not declare its hash".to_owned()) }
}

fn issuers(signature: &Signature) -> String {
    let mut names: Vec<String> =
        signature.issuer_fingerprint().iter().take(2).map(|named| format!("`{named:X}`")).collect();
    if names.is_empty() {
        names = signature
            .issuer_key_id()
            .iter()
            .take(2)
            .map(|named| format!("`{}`", named.to_string().to_ascii_uppercase()))
            .collect();
    }
    if names.is_empty() { "unnamed".to_owned() } else { names.join(", ") }
}

fn read_signatures(packets: &[u8]) -> Result<Vec<Signature>, Error> {
    let mut signatures = Vec::new();
    for packet in PacketParser::new(packets) {
        match packet {
            Ok(Packet::Signature(signature)) if signatures.len() < MAX_SIGNATURES => signatures.push(signature),
            Ok(Packet::Signature(_)) => return Err(Error::Frame { line: 0, what: "it has more than 16 signatures" }),
            Ok(_) => return Err(Error::Frame { line: 0, what: "its signature block holds something else" }),
            Err(_) => return Err(Error::Frame { line: 0, what: "a signature is malformed" }),
        }
    }
    Ok(signatures)
}

/// Reads certificates from binary packets, or from one armoured block after another.
fn read_certificates(bytes: &[u8]) -> Result<Vec<Certificate>, String> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let mut certificates = Vec::new();
    let mut take = |parsed: pgp::errors::Result<SignedPublicKey>| match parsed {
        Ok(key) => {
            certificates.push(Certificate::new(key));
            Ok(())
        }
        // A key of a kind that is not known signs nothing here.
        Err(pgp::errors::Error::Unsupported { .. }) => Ok(()),
        Err(_) => Err("a certificate in it is malformed".to_owned()),
    };
    // What `pgp` says of an error can hold a backtrace, so it is not passed on.
    let malformed = |_: pgp::errors::Error| "it is malformed".to_owned();
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        for parsed in SignedPublicKey::from_bytes_many(bytes).map_err(malformed)? {
            take(parsed)?;
        }
        return Ok(certificates);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither armoured nor binary".to_owned())?;
    let mut rest = text.find(BEGIN).map_or("", |at| &text[at..]);
    while !rest.is_empty() {
        let end = rest[BEGIN.len()..].find(BEGIN).map_or(rest.len(), |at| at + BEGIN.len());
        let (block, after) = rest.split_at(end);
        let (keys, _) = SignedPublicKey::from_armor_many(block.as_bytes()).map_err(malformed)?;
        for parsed in keys {
            take(parsed)?;
        }
        rest = after;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_keys_are_debians() {
        assert_eq!(
            Keyring::distro(Distro::Debian12).fingerprints(),
            [
                "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
                "4D64FEC119C2029067D6E791F8D2585B8783D481",
                "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
            ]
        );
        assert_eq!(
            Keyring::distro(Distro::Debian13).fingerprints(),
            [
                "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
                "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
                "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
            ]
        );
    }
}
