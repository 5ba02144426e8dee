//! Documents under tags that several writers add to: lists of referrers, and cosign's signatures.
//!
//! Nothing in the distribution specification keeps two writers of a tag apart. So ours reads and writes without a pause,
//! looks again after a while that is longer than that takes, and adds once more what another's writing has dropped.

use std::thread;

use super::Error;
use super::repository::{Document, Repository};

/// How often a document under a tag is written before we give in.
const MAX_ROUNDS: u32 = 12;

/// Returns the document that a tag should hold in place of what it holds now, or `None` where nothing is missing in it.
pub(super) type Merge<'a> = dyn FnMut(Option<&Document>) -> Result<Option<Vec<u8>>, Error> + 'a;

impl Repository<'_> {
    /// Writes what `merge` makes of the document under `tag`, until it stays. Returns whether it had to be written.
    ///
    /// `own` is some number that other writers do not have.
    pub(super) fn keep(&self, tag: &str, media_type: &str, own: u8, merge: &mut Merge<'_>) -> Result<bool, Error> {
        let settle = self.registry.options.settle;
        let mut wrote = false;
        for round in 0..MAX_ROUNDS {
            let Some(bytes) = merge(self.document(tag)?.as_ref())? else {
                if !wrote {
                    return Ok(false);
                }
                // Another writer that read before we wrote may still write; the second look is after it has.
                thread::sleep(settle);
                if merge(self.document(tag)?.as_ref())?.is_none() {
                    return Ok(true);
                }
                continue;
            };
            self.put_document(tag, media_type, &bytes)?;
            wrote = true;
            if round > 0 {
                // Writers that met once part here: each waits a time of its own.
                thread::sleep(settle * (u32::from(own) + 64) / 256);
            }
        }
        Err(self.strange(&format!("others write `{tag}` as fast as we do")))
    }
}
