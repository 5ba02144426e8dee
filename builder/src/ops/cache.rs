//! `cache`: manages the store.

use crate::diag::Problems;
use crate::store::{Gc, Store, Verified};

/// Removes what was used longest ago until the store holds at most `max_size` bytes.
pub fn gc(store: &Store, max_size: u64) -> Result<Gc, Problems> {
    Ok(store.gc(max_size)?)
}

/// Re-hashes everything in the store and throws out what is bad.
pub fn verify(store: &Store) -> Result<Verified, Problems> {
    Ok(store.verify()?)
}
