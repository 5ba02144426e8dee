//! Finished cuts of one layer, put back into order.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::diag::Progress;
use crate::digest::Hasher;
use crate::spec::Compression;

use super::cut::{Done, check};
use super::{Error, Layer};

/// Writes the cuts of one layer in order, whoever finishes them.
pub(super) struct Sequence<'a> {
    waiting: Mutex<Waiting<'a>>,
    output: Mutex<Output<'a>>,
}

#[derive(Default)]
struct Waiting<'a> {
    next: usize,
    /// Somebody is writing; whoever finishes a cut meanwhile leaves it here.
    busy: bool,
    done: BTreeMap<usize, Done<'a>>,
}

struct Output<'a> {
    name: String,
    sink: &'a mut (dyn Write + Send),
    tar: Hasher,
    blob: Hasher,
    /// The file whose parts are passing through.
    file: Hasher,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(name: &str, sink: &'a mut (dyn Write + Send)) -> Self {
        let output =
            Output { name: name.to_owned(), sink, tar: Hasher::new(), blob: Hasher::new(), file: Hasher::new() };
        Self { waiting: Mutex::default(), output: Mutex::new(output) }
    }

    /// Takes cut `number`, and writes all that is ready unless somebody else is doing so. An error comes with the
    /// number of the cut it belongs to.
    pub(super) fn finished(
        &self,
        number: usize,
        done: Done<'a>,
        stop: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<(), (usize, Error)> {
        let mut waiting = self.lock();
        waiting.done.insert(number, done);
        if stop.load(Ordering::SeqCst) {
            waiting.done.clear();
            return Ok(());
        }
        if waiting.busy {
            return Ok(());
        }
        waiting.busy = true;
        loop {
            let number = waiting.next;
            let Some(done) = waiting.done.remove(&number) else {
                waiting.busy = false;
                return Ok(());
            };
            waiting.next += 1;
            drop(waiting);
            let length = done.raw.len() as u64;
            self.output.lock().expect("nobody panics while a cut is written").write(done).map_err(|e| (number, e))?;
            progress.advance("layer", length);
            waiting = self.lock();
        }
    }

    /// Drops what waits to be written.
    pub(super) fn clear(&self) {
        self.lock().done.clear();
    }

    /// Returns the layer; every cut has been written.
    pub(super) fn layer(self, compression: Compression) -> Layer {
        let output = self.output.into_inner().expect("nobody panics while a cut is written");
        let (size, tar_size) = (output.blob.length(), output.tar.length());
        Layer { diff_id: output.tar.diff_id(), digest: output.blob.digest(), size, compression, tar_size }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<'a>> {
        // What a panic interrupted is never continued: the cuts that wait are only dropped.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output<'_> {
    fn write(&mut self, done: Done<'_>) -> Result<(), Error> {
        for part in &done.parts {
            self.file.update(&done.raw[part.range.clone()]);
            if let Some(expected) = part.last {
                check(part.path, expected, std::mem::take(&mut self.file).digest())?;
            }
        }
        self.tar.update(&done.raw);
        self.blob.update(&done.encoded);
        let failed = |source| Error::Sink { layer: self.name.clone(), source };
        self.sink.write_all(&done.encoded).map_err(failed)?;
        drop(done.reservation);
        Ok(())
    }
}
