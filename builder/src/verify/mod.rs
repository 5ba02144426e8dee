//! What keys say of an image: claims in, findings out.
//!
//! In: public keys that are trusted because they were named, the digest of a manifest or index, and what was found
//! beside it: payloads of cosign's first format, Sigstore bundles, envelopes. Out: which of it holds, of which kind it
//! is, and what a policy makes of that. A claim is checked by itself and dropped, so that a hostile pile of them costs
//! time and no memory.
//!
//! What is decided here and left to no format: a statement about something else is no signature, a bundle says under
//! which digest an image stands and never under which name, one key in two encodings is one key, and what no key signed
//! is worth nothing. What could not be read is neither a yes nor a no.

mod document;
mod error;
mod findings;
mod identity;
mod keys;
mod policy;
mod remote;
#[cfg(test)]
mod tests;

pub use document::{Predicate, Said};
pub use error::Error;
pub use findings::{Claim, Findings, Signature};
pub use identity::{Identity, Wanted};
pub use keys::Keys;
pub use policy::{Check, Outcome, Requirement, provenance, rebuild, sbom, signature};
pub use remote::{MAX_CLAIM, MAX_FILE, hear_file, hear_layout, hear_repository};

/// The most claims that are heard of one digest.
pub const MAX_CLAIMS: usize = 256;
