//! Signed metadata in, verified index out.

mod candidate;

use crate::lock::MetadataSet;

pub use candidate::{Candidate, MultiArch};

/// The verified list of one suite: what its signed Packages files say of one architecture and of `all`.
///
/// Only [`Keyring::verify`] leads here, so whoever holds an `Index` need not ask whether its signature was good.
#[derive(Debug, Clone)]
pub struct Index {
    /// What was verified, as the lock names it.
    pub set: MetadataSet,
    /// Packages in the order of the files read.
    pub candidates: Vec<Candidate>,
    /// Keeps others from making one.
    _verified: (),
}

impl Index {
    /// Returns an index that nobody verified.
    #[cfg(test)]
    pub(crate) fn unverified(set: MetadataSet, candidates: Vec<Candidate>) -> Self {
        Self { set, candidates, _verified: () }
    }
}
