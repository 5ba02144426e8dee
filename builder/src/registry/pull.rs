//! Reads a whole image into a store: documents first, then the layers that are wanted.
//!
//! Everything is bounded by what its descriptor says before it is asked for, and stands in the store under its digest
//! before anyone reads it. A document that two readers could take for different things is refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Deserialize;

use super::repository::MAX_DOCUMENT;
use super::{Document, Error, Repository};
use crate::diag::Progress;
use crate::image::{DOCKER_LIST, DOCKER_MANIFEST, Descriptor, INDEX, MANIFEST};
use crate::store::Store;

/// The most images that an index may list.
const MAX_IMAGES: usize = 64;
/// The most bytes of a layer as it is stored.
const MAX_LAYER: u64 = 64 << 30;
/// Layers that are fetched at once.
const AT_ONCE: usize = 4;
/// The stage that [`Progress`] hears of, in bytes.
const STAGE: &str = "pull";

/// What of a document says how it is to be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

impl Repository<'_> {
    /// Brings the documents of the image under a tag or digest into `store`: the index where there is one, manifests and
    /// configs. Returns the descriptor of the whole.
    ///
    /// # Errors
    /// No such image; where the registry fails, gives other bytes than a digest names, or documents that are none.
    pub fn pull_documents(&self, which: &str, store: &Store) -> Result<Descriptor, Error> {
        let absent = || Error::Absent { place: self.place(), what: format!("image `{which}`") };
        let document = self.document(which)?.ok_or_else(absent)?;
        let (media_type, outline) = self.outline(&document)?;
        let whole = Descriptor::of(&media_type, &document.bytes);
        store.put_blob(&document.bytes).map_err(Error::Store)?;
        let Some(manifests) = outline.manifests else {
            self.pull_config(&outline, store)?;
            return Ok(whole);
        };
        if manifests.is_empty() || manifests.len() > MAX_IMAGES {
            let count = manifests.len();
            return Err(self.strange(&format!("its index lists {count} images, not 1 to {MAX_IMAGES}")));
        }
        for listed in manifests {
            let bytes = match self.held(store, &listed)? {
                Some(bytes) => bytes,
                None => {
                    let digest = listed.digest.to_string();
                    let absent = || Error::Absent { place: self.place(), what: format!("manifest {digest}") };
                    let bytes = self.document(&digest)?.ok_or_else(absent)?.bytes;
                    store.put_blob(&bytes).map_err(Error::Store)?;
                    bytes
                }
            };
            let document = Document { media_type: listed.media_type, bytes };
            let (_, outline) = self.outline(&document)?;
            if outline.manifests.is_some() {
                return Err(self.strange("its index lists another index"));
            }
            self.pull_config(&outline, store)?;
        }
        Ok(whole)
    }

    /// Brings layers into `store`, several at once; those that are there are not asked for.
    ///
    /// # Errors
    /// Where the registry fails, or gives other bytes than a digest names.
    pub fn pull_layers<'a>(
        &self,
        layers: impl Iterator<Item = &'a Descriptor>,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let mut wanted = BTreeMap::new();
        for layer in layers {
            if layer.size > MAX_LAYER {
                return Err(self.strange(&format!("a layer of {} bytes, more than {MAX_LAYER}", layer.size)));
            }
            if store.blob(&layer.digest).map_err(Error::Store)?.is_none() {
                wanted.insert(layer.digest, layer);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        progress.start(STAGE, wanted.values().fold(0, |sum, layer| layer.size.saturating_add(sum)));
        let waiting = Mutex::new(wanted.into_values().collect::<Vec<_>>());
        let stopped = AtomicBool::new(false);
        let worker = || {
            while !stopped.load(Ordering::Relaxed) {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(layer) = next else { return Ok(()) };
                self.pull_blob(layer, store).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
                progress.advance(STAGE, layer.size);
            }
            Ok(())
        };
        let ended = thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
            let ended = workers.into_iter().map(|worker| match worker.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<()>, Error>>()
        });
        progress.finish(STAGE);
        ended.map(|_| ())
    }

    /// Brings one blob into `store`, from its beginning again where the registry breaks off.
    ///
    /// # Errors
    /// As [`Repository::pull_layers`].
    pub fn pull_blob(&self, blob: &Descriptor, store: &Store) -> Result<(), Error> {
        let mut writer = store.write_blob().map_err(Error::Store)?;
        let mut tries = 0;
        let mut pause = self.registry.options.pause;
        loop {
            match self.blob(blob, &mut writer) {
                Ok(()) => break,
                Err(Error::Unreachable { .. }) if tries < self.registry.options.retries => {
                    tries += 1;
                    thread::sleep(pause);
                    pause *= 2;
                    writer.restart().map_err(Error::Store)?;
                }
                Err(error) => return Err(error),
            }
        }
        writer.commit(Some(&blob.digest)).map_err(Error::Store)?;
        Ok(())
    }

    fn pull_config(&self, outline: &Outline, store: &Store) -> Result<(), Error> {
        let Some(config) = &outline.config else { return Err(self.strange("a manifest names no config")) };
        if self.held(store, config)?.is_none() {
            self.pull_blob(config, store)?;
        }
        Ok(())
    }

    /// Returns a document that stands in the store; it must be of the size that is said.
    fn held(&self, store: &Store, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Error> {
        if descriptor.size > MAX_DOCUMENT {
            return Err(self.strange(&format!("a document of {} bytes, more than {MAX_DOCUMENT}", descriptor.size)));
        }
        store.blob_bytes(&descriptor.digest, MAX_DOCUMENT).map_err(Error::Store)
    }

    /// Returns what a document is, and what it names.
    fn outline(&self, document: &Document) -> Result<(String, Outline), Error> {
        let outline: Outline = serde_json::from_slice(&document.bytes)
            .map_err(|error| self.strange(&format!("a manifest is malformed: {error}")))?;
        let said = document.media_type.as_str();
        let own = outline.media_type.as_deref().unwrap_or(said);
        let is_index = match own {
            INDEX | DOCKER_LIST => true,
            MANIFEST | DOCKER_MANIFEST => false,
            other => return Err(self.strange(&format!("it is no image: a `{other}`"))),
        };
        if said != own {
            return Err(self.strange(&format!("it calls a `{own}` a `{said}`")));
        }
        let holds = (outline.manifests.is_some(), outline.config.is_some() || outline.layers.is_some());
        if holds != (is_index, !is_index) {
            return Err(self.strange(&format!("a `{own}` that holds what another kind of document does")));
        }
        let own = own.to_owned();
        Ok((own, outline))
    }
}
