//! Signed metadata in, verified index out.
//!
//! An InRelease passes a strict frame (`clearsign`), then OpenPGP with a policy of its own (`certificate`), then
//! the rules for its dates and its suite (`release`); only then are the Packages files it signs read (`index`).
//! Nothing is fetched here and no clock is read: bytes and the present are passed in. Nothing weaker than SHA-256
//! counts anywhere.

mod candidate;
mod certificate;
mod clearsign;
mod date;
mod distro;
mod error;
mod index;
mod keyring;
mod release;
#[cfg(test)]
#[path = "../../tests/it/signing.rs"]
mod signing;
#[cfg(test)]
mod tests;

pub use candidate::{Candidate, MultiArch, Priority};
pub use distro::{DistroArchive, archives_of};
pub use error::Error;
pub use index::Index;
pub use keyring::{Keyring, Policy};
pub use release::Release;
