//! Documents under tags that several writers add to: lists of referrers, and cosign's signatures.
//!
//! Nothing in the distribution specification keeps two writers of a tag apart. So ours reads and writes without a pause,
//! looks again after a while that is longer than that takes, and adds once more what another's writing has dropped.

use std::thread;
use std::time::Instant;

use super::Error;
use super::repository::{Document, Repository};

/// How often a document under a tag is written before we give in.
const MAX_ROUNDS: u32 = 24;
/// How many times slower than we another writer may be.
const SLOWER: u32 = 4;

/// What a tag should hold in place of what it holds now.
pub(super) struct Merged {
    /// The document.
    pub(super) bytes: Vec<u8>,
    /// A blob that it names and that may not be there yet.
    pub(super) blob: Option<Vec<u8>>,
}

/// Returns what a tag should hold, or `None` where nothing is missing in what it holds.
pub(super) type Merge<'a> = dyn FnMut(Option<&Document>) -> Result<Option<Merged>, Error> + 'a;

impl Repository<'_> {
    /// Writes what `merge` makes of the document under `tag`, until it stays. Returns whether it had to be written.
    ///
    /// `own` is some number that other writers do not have.
    pub(super) fn keep(&self, tag: &str, media_type: &str, own: u8, merge: &mut Merge<'_>) -> Result<bool, Error> {
        let mut settle = self.registry.options.settle;
        let mut wrote = false;
        for round in 0..MAX_ROUNDS {
            let mut read = Instant::now();
            let there = self.document(tag)?;
            let Some(merged) = merge(there.as_ref())? else {
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
            if let Some(blob) = &merged.blob
                && self.push_bytes(blob)?
            {
                // That took its time: nothing may lie between reading and writing.
                read = Instant::now();
                if self.document(tag)? != there {
                    continue;
                }
            }
            self.put_document(tag, media_type, &merged.bytes)?;
            // Where we are slow, so are others.
            settle = settle.max(read.elapsed() * SLOWER);
            wrote = true;
            if round > 0 {
                // Writers that met once part here: each waits a time of its own.
                thread::sleep(settle * (u32::from(own) + 64) / 256);
            }
        }
        Err(self.strange(&format!("others write `{tag}` as fast as we do")))
    }
}
