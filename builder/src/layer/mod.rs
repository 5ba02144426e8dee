//! Writes a plan's tar and encodes it in parallel, in one pass.
//!
//! In: a [`LayerPlan`] and the packs' data it points into. Out: the encoded blob, and a [`Layer`] that names it. The
//! bytes are a function of the plan, the data and the compression; threads, memory and cache cannot reach them.
//!
//! A layer's tar is a row of segments: the directories, each group's entries, the end of the archive. Each segment is
//! cut every 4 MiB of tar, each cut is encoded on its own, and the results are concatenated.
//!
//! The caller's thread is the dispatcher: it reserves the memory of a cut, in the order in which cuts are written,
//! and only then hands the cut to the pool. Whoever finishes a cut writes what is ready, in order. So nobody in the
//! pool ever waits for somebody else, and memory stays within the budget with one thread as with 64.

mod check;
mod cut;
mod error;
mod sequence;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::codec::encode;
use crate::diag::Progress;
use crate::digest::{DiffId, Digest, Hasher};
use crate::select::LayerPlan;
use crate::spec::Compression;
use crate::store::{Kind, Store};

pub use check::{check, tar_size};
pub use error::Error;

use cut::Segment;
use sequence::Sequence;

/// Version of the tar and cut rules here; part of every key, so no other version's frames or layers are ever found.
const FORMAT: u32 = 1;

/// A written layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: DiffId,
    /// SHA-256 of the encoded blob.
    pub digest: Digest,
    /// Size of the encoded blob in bytes.
    pub size: u64,
    /// How it is encoded.
    pub compression: Compression,
    /// Size of the uncompressed tar in bytes.
    pub tar_size: u64,
}

impl Layer {
    /// Returns the OCI media type.
    pub fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::Zstd(_) => "application/vnd.oci.image.layer.v1.tar+zstd",
            Compression::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// The threads and the memory that work is done with.
#[derive(Debug)]
pub struct Workers {
    /// The threads.
    pub pool: rayon::ThreadPool,
    /// The memory they may hold at once.
    pub budget: Budget,
}

impl Workers {
    /// Returns `threads` workers (0 for one per core) that may hold `memory` bytes at once.
    pub fn new(threads: usize, memory: u64) -> Result<Self, Error> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("tarsia-{number}"))
            .build()
            .map_err(|source| Error::Threads { source })?;
        Ok(Self { pool, budget: Budget::new(memory) })
    }
}

/// Keeps encoded cuts by key. What it gives back must be what was put; where it cannot tell, it gives nothing.
pub trait FrameCache: Sync {
    /// Returns the encoded cut of this key.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;
    /// Keeps the encoded cut of this key; may fail silently.
    fn put(&self, key: &Digest, encoded: &[u8]);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFrames;

impl FrameCache for NoFrames {
    fn get(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
    fn put(&self, _: &Digest, _: &[u8]) {}
}

impl FrameCache for Store {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.entry(Kind::Frames, key)
    }

    /// A store that cannot be written to only costs time.
    fn put(&self, key: &Digest, encoded: &[u8]) {
        let _kept = self.put_entry(Kind::Frames, key, encoded);
    }
}

/// Where the data of packs is, by pack key.
pub type PackData<'a> = dyn Fn(&Digest) -> io::Result<File> + Sync + 'a;

/// What all layers of one run share.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The data of packs.
    pub data: &'a PackData<'a>,
    /// How layers are encoded.
    pub compression: Compression,
    /// Threads and memory.
    pub workers: &'a Workers,
    /// Encoded cuts of earlier runs.
    pub frames: &'a dyn FrameCache,
    /// Hears of stage `layer`, in bytes of tar.
    pub progress: &'a dyn Progress,
}

/// Writes the layer of `plan` to `sink`.
pub fn write(context: &Context<'_>, plan: &LayerPlan, sink: &mut (dyn Write + Send)) -> Result<Layer, Error> {
    let mut layers = write_all(context, vec![(plan, sink)])?;
    Ok(layers.pop().expect("one plan makes one layer"))
}

/// Writes several layers, each to its sink, and returns them in the same order; they share threads and memory.
///
/// Must not be called from a thread of `context.workers.pool`. A panic of a worker, or of what `context` holds, reaches
/// the caller when all that was begun has ended.
pub fn write_all(context: &Context<'_>, jobs: Vec<(&LayerPlan, &mut (dyn Write + Send))>) -> Result<Vec<Layer>, Error> {
    let mut layers = Vec::new();
    for (plan, sink) in jobs {
        layers.push((Segment::of_plan(plan)?, Sequence::new(&plan.name, sink)));
    }
    let total = layers.iter().flat_map(|(segments, _)| segments).map(|segment| segment.length).sum();
    context.progress.start("layer", total);
    let stop = AtomicBool::new(false);
    // The error of the earliest cut wins; which later ones were still begun depends on timing.
    let first: Mutex<Option<((usize, usize), Error)>> = Mutex::new(None);
    let sequences: Vec<&Sequence<'_>> = layers.iter().map(|(_, sequence)| sequence).collect();
    let halt = || {
        stop.store(true, Ordering::SeqCst);
        // What was waiting to be written holds memory that the dispatcher may be waiting for.
        sequences.iter().for_each(|sequence| sequence.clear());
    };
    let fail = |place: (usize, usize), error: Error| {
        {
            let mut first = first.lock().expect("nobody panics while an error is noted");
            if first.as_ref().is_none_or(|(earlier, _)| place < *earlier) {
                *first = Some((place, error));
            }
        }
        halt();
    };
    context.workers.pool.in_place_scope(|scope| {
        for (at, (segments, sequence)) in layers.iter().enumerate() {
            let mut number = 0;
            for segment in segments {
                let open = Arc::new(cut::Open::new(segment, context));
                for cut in segment.cuts() {
                    let raw = cut.length as u64;
                    let need = raw + encode::memory(context.compression, raw);
                    let reservation = context.workers.budget.reserve(need);
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let place = (at, number);
                    number += 1;
                    let (open, stop, halt, fail) = (Arc::clone(&open), &stop, &halt, &fail);
                    scope.spawn(move |_| {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        // A panic goes on to the caller; but first the dispatcher must not wait for what it holds.
                        let made = catch_unwind(AssertUnwindSafe(|| open.make(&cut, reservation)));
                        let made = made.unwrap_or_else(|panic| {
                            halt();
                            resume_unwind(panic)
                        });
                        match made {
                            Ok(done) => {
                                let put = || sequence.finished(place.1, done, stop, context.progress);
                                let put = catch_unwind(AssertUnwindSafe(put)).unwrap_or_else(|panic| {
                                    halt();
                                    resume_unwind(panic)
                                });
                                if let Err((number, error)) = put {
                                    fail((at, number), error);
                                }
                            }
                            Err(error) => fail(place, error),
                        }
                    });
                }
            }
        }
    });
    context.progress.finish("layer");
    drop(sequences);
    if let Some((_, error)) = first.into_inner().expect("nobody panics while an error is noted") {
        return Err(error);
    }
    Ok(layers.into_iter().map(|(_, sequence)| sequence.layer(context.compression)).collect())
}

/// Returns the key under which the finished layer of a plan is kept.
pub fn layer_key(plan: &LayerPlan, compression: Compression) -> Digest {
    keyed(b"layer", &(&plan.directories, &plan.groups, compression))
}

fn keyed(what: &[u8], parts: &impl Serialize) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia ");
    hasher.update(what);
    hasher.update(b"\n");
    hasher.update(&FORMAT.to_be_bytes());
    hasher.update(&postcard::to_stdvec(parts).expect("a plan holds nothing that postcard cannot write"));
    hasher.digest()
}
