//! What of all that is said of one digest holds.

use std::collections::BTreeSet;

use super::document::{self, Predicate, Said};
use super::identity::Wanted;
use super::keys::Keys;
use crate::attest::Statement;
use crate::digest::Digest;
use crate::sign::{Bundle, Envelope, Error, Verified};

/// The most notes that are kept of one digest.
const MAX_NOTES: usize = 64;

/// Something that may have been signed; nothing of it is believed yet.
#[derive(Debug, Clone, Copy)]
pub enum Claim<'a> {
    /// A payload of cosign's first format, and the signature beside it.
    Simple {
        /// The payload's bytes.
        payload: &'a [u8],
        /// The signature's bytes.
        signature: &'a [u8],
    },
    /// A Sigstore bundle.
    Bundle(&'a [u8]),
    /// An envelope alone.
    Envelope(&'a [u8]),
}

/// An image signature by one of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The key's id.
    pub key: Digest,
    /// The reference that it names; `None` of a bundle, which names none.
    pub reference: Option<String>,
    /// Whether the reference is near enough to the one that was asked for.
    pub counts: bool,
}

/// What holds of all that was said of one digest.
#[derive(Debug)]
pub struct Findings<'a> {
    digest: Digest,
    wanted: Wanted,
    keys: &'a Keys,
    signatures: Vec<Signature>,
    said: Vec<Said>,
    notes: Vec<String>,
    unread: Vec<String>,
    /// Digests whose claims are heard on their own.
    beside: BTreeSet<Digest>,
    /// How many claims none of the keys signed.
    foreign: usize,
    heard: usize,
}

impl<'a> Findings<'a> {
    /// Starts with nothing said of `digest`.
    pub fn new(digest: Digest, wanted: Wanted, keys: &'a Keys) -> Self {
        let (signatures, said, notes, unread) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let beside = BTreeSet::new();
        Self { digest, wanted, keys, signatures, said, notes, unread, beside, foreign: 0, heard: 0 }
    }

    /// Names digests whose claims may stand among these, and are heard on their own.
    pub fn beside(&mut self, digests: impl Iterator<Item = Digest>) {
        self.beside.extend(digests);
    }

    /// Checks a claim that was found at `from` under every key.
    pub fn hear(&mut self, from: &str, claim: Claim<'_>) {
        self.heard += 1;
        if self.heard > super::MAX_CLAIMS {
            if self.heard == super::MAX_CLAIMS + 1 {
                self.unread(format!("more than {} claims", super::MAX_CLAIMS));
            }
            return;
        }
        match claim {
            Claim::Simple { payload, signature } => self.simple(from, payload, signature),
            Claim::Bundle(bytes) => match Bundle::parse(bytes) {
                Ok(bundle) => self.envelope(from, bundle.envelope()),
                Err(error) => self.note(format!("{from}: {error}")),
            },
            Claim::Envelope(bytes) => match Envelope::parse(bytes) {
                Ok(envelope) => self.envelope(from, &envelope),
                Err(error) => self.note(format!("{from}: {error}")),
            },
        }
    }

    /// Notes that something which may be a claim could not be read.
    pub fn unread(&mut self, problem: String) {
        if self.unread.len() < MAX_NOTES {
            self.unread.push(problem);
        }
    }

    /// Notes something worth saying.
    pub fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    fn simple(&mut self, from: &str, payload: &[u8], signature: &[u8]) {
        for key in self.keys.iter() {
            match key.open_simple(payload, signature) {
                Ok(verified) => {
                    let said = verified.value();
                    if self.beside.contains(&said.digest) && said.digest != self.digest {
                        return;
                    }
                    if said.digest != self.digest {
                        let (name, other) = (self.keys.name(&key.id()), said.digest);
                        self.note(format!("{from}: `{name}` signed another image there, {other}"));
                        return;
                    }
                    let counts = self.wanted.accepts(&said.reference);
                    let reference = Some(said.reference.clone());
                    self.sign(Signature { key: key.id(), reference, counts });
                    return;
                }
                Err(Error::Signature { .. }) => {}
                Err(error) => {
                    self.note(format!("{from}: {error}"));
                    return;
                }
            }
        }
        self.stranger(from, "signature");
    }

    fn envelope(&mut self, from: &str, envelope: &Envelope) {
        let mut opened = false;
        for key in self.keys.iter() {
            match key.open(envelope) {
                // Several of the keys may have signed one envelope.
                Ok(statement) => {
                    opened = true;
                    self.statement(from, &statement);
                }
                Err(Error::Signature { .. }) => {}
                Err(error) => {
                    self.note(format!("{from}: {error}"));
                    return;
                }
            }
        }
        if !opened {
            self.stranger(from, "statement");
        }
    }

    fn stranger(&mut self, from: &str, what: &str) {
        self.foreign += 1;
        self.note(format!("{from}: this {what} is by none of the keys, or not what they signed"));
    }

    fn statement(&mut self, from: &str, statement: &Verified<Statement>) {
        let (key, statement) = (*statement.key(), statement.value());
        let predicate = Predicate::of(statement.predicate_type());
        if !statement.is_about(&self.digest) {
            if statement.subjects().iter().any(|subject| self.beside.contains(&subject.digest.sha256)) {
                return;
            }
            let name = self.keys.name(&key);
            let about = statement.subjects().first().map(|subject| subject.digest.sha256.to_string());
            let about = about.unwrap_or_default();
            self.note(format!("{from}: `{name}` says {} of another image, {about}", predicate.words()));
            return;
        }
        if predicate == Predicate::Signature {
            self.sign(Signature { key, reference: None, counts: self.wanted.is_any() });
            return;
        }
        let said = document::read(key, predicate, statement, &self.digest);
        if let Some(problem) = &said.problem {
            self.note(format!("{from}: {} by `{}`: {problem}", said.predicate.words(), self.keys.name(&key)));
        }
        if !self.said.contains(&said) {
            self.said.push(said);
        }
    }

    fn sign(&mut self, signature: Signature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// Returns the digest that all this is said of.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the keys that were asked.
    pub fn keys(&self) -> &'a Keys {
        self.keys
    }

    /// Returns the reference that a signature has to name.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Returns the image signatures by these keys, those that do not count among them.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Returns what else these keys say of the digest.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// Returns the ids of the keys whose signature counts.
    pub fn signers(&self) -> BTreeSet<Digest> {
        self.signatures.iter().filter(|signature| signature.counts).map(|signature| signature.key).collect()
    }

    /// Returns what is worth saying.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns what could not be read, and may have been a claim.
    pub fn unread_claims(&self) -> &[String] {
        &self.unread
    }

    /// Returns how many claims none of the keys signed.
    pub fn foreign(&self) -> usize {
        self.foreign
    }

    /// Returns how many claims were heard.
    pub fn heard(&self) -> usize {
        self.heard
    }
}
