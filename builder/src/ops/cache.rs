//! `cache`: manages the store.

use crate::diag::Problems;
use crate::store::{Share, Store, Verification};

/// Removes what was used longest ago until the store holds at most `max_size` bytes; returns what was removed.
pub fn gc(store: &Store, max_size: u64) -> Result<Share, Problems> {
    Ok(store.gc(max_size)?)
}

/// Re-hashes everything in the store and throws out what is bad.
pub fn verify(store: &Store) -> Result<Verification, Problems> {
    Ok(store.verify()?)
}
