//! Pushes a whole image: blobs, then manifests, then what lists them; a tag is a step of its own, the last.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::upload::Pushed;
use super::{Error, Repository};
use crate::diag::Progress;
use crate::digest::Digest;
use crate::image::{CONFIG, Descriptor, MANIFEST, OpenImage};

/// Blobs that are sent at once.
const AT_ONCE: usize = 4;
/// The stage that [`Progress`] hears of, in bytes.
const STAGE: &str = "push";

/// What a push came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushedImage {
    /// Bytes of blobs that were sent.
    pub sent: u64,
    /// Blobs that the registry took from another repository of its own.
    pub mounted: usize,
    /// Blobs that were there.
    pub present: usize,
    /// Manifests and indexes that were written.
    pub documents: usize,
}

/// Returns the documents of an image that name it in a registry: each manifest, then the index over several; the last is
/// the whole.
///
/// An archive of Docker's has no manifest: the one that was made for it stands here.
pub fn documents(image: &OpenImage) -> Vec<(Descriptor, Vec<u8>)> {
    let manifests = image.images().iter().map(|one| {
        let media_type = match one.descriptor.media_type.as_str() {
            CONFIG => MANIFEST,
            own => own,
        };
        let platform = one.descriptor.platform.clone();
        (Descriptor { platform, ..Descriptor::of(media_type, &one.manifest_bytes) }, one.manifest_bytes.clone())
    });
    let mut all: Vec<_> = manifests.collect();
    let media_type = &image.descriptor().media_type;
    all.extend(image.index().map(|bytes| (Descriptor::of(media_type, bytes), bytes.to_vec())));
    all
}

impl Repository<'_> {
    /// Brings an image into the repository without a tag: what is there already is not sent again, and blobs come from
    /// the repository `from` of the same registry where that is named and has them.
    ///
    /// # Errors
    /// Where the registry fails or refuses, or the image cannot be read, or has other bytes than it says.
    pub fn push_image(
        &self,
        image: &OpenImage,
        from: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<PushedImage, Error> {
        let mut blobs = BTreeMap::new();
        for one in image.images() {
            for layer in &one.manifest.layers {
                blobs.insert(layer.digest, (layer.clone(), None));
            }
            let config = Descriptor::of(CONFIG, &one.config_bytes);
            blobs.insert(config.digest, (config, Some(one.config_bytes.as_slice())));
        }
        progress.start(STAGE, blobs.values().map(|(blob, _)| blob.size).sum());
        let pushed = self.push_blobs(image, blobs, from, progress);
        progress.finish(STAGE);
        let mut pushed = pushed?;
        for (descriptor, bytes) in documents(image) {
            if !self.has_document(&descriptor.digest)? {
                self.put_document(&descriptor.digest.to_string(), &descriptor.media_type, &bytes)?;
                pushed.documents += 1;
            }
        }
        Ok(pushed)
    }

    /// Points `tag` at a document that is there; returns whether it pointed elsewhere before.
    ///
    /// # Errors
    /// Where the registry fails or refuses.
    pub fn tag(&self, tag: &str, document: &(Descriptor, Vec<u8>)) -> Result<bool, Error> {
        let (descriptor, bytes) = document;
        if self.resolve(tag)? == Some(descriptor.digest) {
            return Ok(false);
        }
        self.put_document(tag, &descriptor.media_type, bytes)?;
        Ok(true)
    }

    /// Sends blobs, several at once; after one has failed, no other is begun.
    fn push_blobs(
        &self,
        image: &OpenImage,
        blobs: BTreeMap<Digest, (Descriptor, Option<&[u8]>)>,
        from: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<PushedImage, Error> {
        // The first request alone, so that a login is done once.
        let mut blobs: Vec<_> = blobs.into_values().collect();
        blobs.sort_by_key(|(blob, _)| blob.size);
        let (first, rest) = blobs.split_at(1.min(blobs.len()));
        let sum = Mutex::new(PushedImage::default());
        let stopped = AtomicBool::new(false);
        let waiting = Mutex::new(rest.to_vec());
        let one = |(blob, bytes): &(Descriptor, Option<&[u8]>)| {
            let done = self.push_one(image, blob, *bytes, from)?;
            let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match done {
                Pushed::Present => sum.present += 1,
                Pushed::Mounted => sum.mounted += 1,
                Pushed::Uploaded(bytes) => sum.sent += bytes,
            }
            progress.advance(STAGE, blob.size);
            Ok(())
        };
        first.iter().try_for_each(&one)?;
        let worker = || {
            while !stopped.load(Ordering::Relaxed) {
                let next = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
                let Some(next) = next else { return Ok(()) };
                one(&next).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE.min(rest.len())).map(|_| scope.spawn(worker)).collect();
            let ended = workers.into_iter().map(|worker| match worker.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<()>, Error>>()
        })?;
        Ok(sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn push_one(
        &self,
        image: &OpenImage,
        blob: &Descriptor,
        bytes: Option<&[u8]>,
        from: Option<&str>,
    ) -> Result<Pushed, Error> {
        let open = || -> io::Result<Box<dyn Read + Send>> {
            match bytes {
                Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.to_vec()))),
                None => image.blob(blob).map_err(io::Error::other),
            }
        };
        self.push_blob(&blob.digest, blob.size, from, &open)
    }

    /// Brings a small blob into the repository, unless it is there. Returns whether it was sent.
    ///
    /// # Errors
    /// Where the registry fails or refuses.
    pub fn push_bytes(&self, bytes: &[u8]) -> Result<bool, Error> {
        let open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>);
        Ok(self.push_blob(&Digest::of(bytes), bytes.len() as u64, None, &open)? != Pushed::Present)
    }
}
