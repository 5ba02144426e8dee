//! Builds in this process, on rayon's threads.
//!
//! In: a spec, its lock, and a store that holds every locked package and fetched file. Out: finished images whose
//! layers stand in the store as blobs. No network, no clock. What has been built before is found again: whole results
//! by lock, spec and the state of the local files; layers by their plan; cuts of layers by the part of the plan that
//! they hold; packs by their package.

mod base;
mod error;
mod inventory;
mod packs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::diag::Progress;
use crate::digest::{Digest, Hasher};
use crate::engine::Remote;
use crate::image::{Image, ImageIndex, Settings};
use crate::layer::{self, Layer, Workers};
use crate::lock::{ENCODING, Lock, RULES};
use crate::package::local::{self, Input, LocalSource};
use crate::package::{PACK_FORMAT, PackIndex};
use crate::select::{self, LayerPlan, Report, SelectInput, Selection};
use crate::spec::{Compression, Platform, Spec};
use crate::store::{BlobWriter, Kind, Store};
use crate::tree::ImagePath;

pub use base::{Base, base_digest, base_files, open_base};
pub use error::Error;
pub use inventory::inventory;
pub use packs::Packs;
pub(crate) use packs::{local_key, open_each, stored as stored_pack};

/// Version of the records of results; part of their keys.
const FORMAT: u32 = 3;

/// What a build reads, and what it works with.
#[derive(Clone, Copy)]
pub struct BuildInput<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Its lock.
    pub lock: &'a Lock,
    /// Which of the lock's platforms; all where empty.
    pub platforms: &'a [Platform],
    /// Holds the packages; takes what is made.
    pub store: &'a Store,
    /// Threads and memory. A build must not be started on one of these threads.
    pub workers: &'a Workers,
    /// The spec's directory.
    pub directory: &'a Path,
    /// Hears of the stages `open` (packages) and `layer` (bytes of tar).
    pub progress: &'a dyn Progress,
    /// Who opens packages and writes layers; this process where there is nobody else.
    pub remote: Option<&'a dyn Remote>,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The images; their layers stand in the store.
    pub image: ImageIndex,
    /// By platform, what was selected. `None` where the result of an earlier build was found and nothing was opened;
    /// [`select()`] tells it then.
    pub selected: BTreeMap<Platform, Option<Selected>>,
    /// By platform, what selection had to say.
    pub reports: BTreeMap<Platform, Report>,
    /// What `copy` entries took from beneath the spec's directory.
    pub sources: Vec<LocalSource>,
}

impl Built {
    /// Returns the digest that names the result: of the manifest, or of the index over several.
    pub fn digest(&self) -> Digest {
        self.image.digest()
    }
}

/// One platform's opened packages and what is kept of them.
#[derive(Debug)]
pub struct Selected {
    /// The packages, opened.
    pub packs: Packs,
    /// What is kept.
    pub selection: Selection,
    /// The image that it is laid over.
    pub base: Option<Base>,
}

impl Selected {
    /// Selects what is kept of opened packages, laid over `base`. A function of these values alone.
    ///
    /// # Errors
    /// Whatever stops a selection.
    pub fn of(spec: &Spec, lock: &Lock, platform: Platform, packs: Packs, base: Option<Base>) -> Result<Self, Error> {
        let selection = select::select(&SelectInput {
            spec,
            lock,
            platform,
            packs: packs.indexes(),
            pack_keys: packs.keys(),
            local: packs.local(),
            local_key: packs.local_key(),
            base: base.as_ref().map(|base| &base.index),
        })?;
        Ok(Self { packs, selection, base })
    }

    /// Returns the plans of the layers that the image has, lowest first.
    pub fn plans(&self) -> impl Iterator<Item = &LayerPlan> {
        self.selection.layers.iter().filter(|plan| !plan.is_empty())
    }

    /// Returns the image of these layers, those of [`Selected::plans`] in their order.
    ///
    /// # Errors
    /// A config that cannot be written.
    pub fn image(&self, spec: &Spec, lock: &Lock, platform: Platform, layers: Vec<Layer>) -> Result<Image, Error> {
        let settings = Settings {
            run: &spec.run,
            user: self.selection.user,
            labels: &spec.labels,
            source_date: lock.source_date,
            base: self.base.as_ref().map(|base| &base.config),
        };
        Ok(Image::new(platform, &settings, layers)?)
    }
}

/// A whole result as stored.
#[derive(Serialize, Deserialize)]
struct Record {
    image: Image,
    report: Report,
    sources: Vec<LocalSource>,
    /// Digest of the local files, where their state could have hidden a change while they were read.
    local: Option<Digest>,
}

/// Refuses a lock of other tables or another encoding.
pub(crate) fn check_release(lock: &Lock) -> Result<(), Error> {
    if (lock.encoding, lock.rules) == (ENCODING, RULES) {
        return Ok(());
    }
    Err(Error::OtherRelease { tarsia: lock.tarsia.clone(), encoding: lock.encoding, rules: lock.rules })
}

/// Builds the images of a lock.
pub fn build(input: &BuildInput<'_>) -> Result<Built, Error> {
    build_with(input, &mut |platform| {
        let selected = select(input, platform)?;
        Ok((write(input, platform, &selected)?, selected))
    })
}

/// Builds the images of a lock, where `make` makes those that no earlier build has left in the store: it selects, and
/// returns the image, whose layers stand in the store then.
///
/// # Errors
/// A lock of another release, a platform that it does not have, the store; what `make` meets.
pub fn build_with<E: From<Error>>(
    input: &BuildInput<'_>,
    make: &mut dyn FnMut(Platform) -> Result<(Image, Selected), E>,
) -> Result<Built, E> {
    check_release(input.lock)?;
    let moment = input.store.moment().map_err(Error::from)?;
    let seen = local::inputs(input.spec, input.directory).map_err(Error::from)?;
    let racy = seen.iter().any(|input| input.is_racy(moment));
    let lock = Digest::of(input.lock.to_text().as_bytes());
    let mut images = Vec::new();
    let (mut selected, mut reports, mut sources) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for platform in platforms(input)? {
        let key = key(input, platform, &lock, &seen);
        let found = match find(input.store, &key)? {
            Some(mut record) if record.local.is_some() => {
                let (local, _) = packs::local(input)?;
                let holds = record.local == Some(local.digest());
                if holds && !racy {
                    // From now on its state tells all.
                    record.local = None;
                    keep(input.store, &key, &record)?;
                }
                holds.then_some(record)
            }
            found => found,
        };
        let (record, selection) = match found {
            Some(record) => (record, None),
            None => {
                let (image, selection) = make(platform)?;
                let local = racy.then(|| selection.packs.local().digest());
                let report = selection.selection.report.clone();
                let record = Record { image, report, sources: selection.packs.local().sources.clone(), local };
                // What changed while it was read has no state to be found by.
                if local::inputs(input.spec, input.directory).map_err(Error::from)? == seen {
                    keep(input.store, &key, &record)?;
                }
                (record, Some(selection))
            }
        };
        images.push(record.image);
        // The same for every platform.
        sources = record.sources;
        reports.insert(platform, record.report);
        selected.insert(platform, selection);
    }
    Ok(Built { image: ImageIndex::new(images).map_err(Error::from)?, selected, reports, sources })
}

/// Opens one platform's packages and the spec's own files, and selects what is kept of them.
pub fn select(input: &BuildInput<'_>, platform: Platform) -> Result<Selected, Error> {
    if let Some(remote) = input.remote {
        return remote.select(input, platform);
    }
    select_of(input, platform, Packs::open(input, platform)?)
}

/// Selects what is kept of packages that were opened, some of them perhaps elsewhere.
///
/// # Errors
/// As of [`select()`].
pub fn select_of(input: &BuildInput<'_>, platform: Platform, packs: Packs) -> Result<Selected, Error> {
    let base = open_base(input.spec, input.directory, Some(input.lock), input.store, platform)?;
    Selected::of(input.spec, input.lock, platform, packs, base)
}

/// Returns, for a path that packages ship and the image does not hold, each package with why it does not bring it.
pub fn absent(
    input: &BuildInput<'_>,
    platform: Platform,
    selected: &Selected,
    path: &ImagePath,
) -> Result<Vec<(String, String)>, Error> {
    let packs = &selected.packs;
    let input = SelectInput {
        spec: input.spec,
        lock: input.lock,
        platform,
        packs: packs.indexes(),
        pack_keys: packs.keys(),
        local: packs.local(),
        local_key: packs.local_key(),
        base: selected.base.as_ref().map(|base| &base.index),
    };
    Ok(select::absent(&input, path)?)
}

/// Writes the layers of a selection into the store and returns the image of them.
pub fn write(input: &BuildInput<'_>, platform: Platform, selected: &Selected) -> Result<Image, Error> {
    if let Some(remote) = input.remote {
        return remote.write(input, platform, selected);
    }
    let plans: Vec<&LayerPlan> = selected.plans().collect();
    let layers = write_layers(input, &plans, &|key| selected.packs.data(input.store, key))?;
    selected.image(input.spec, input.lock, platform, layers)
}

/// Returns the layer of a plan that was written earlier, here or elsewhere, and whose blob stands in the store.
///
/// # Errors
/// The store.
pub fn known_layer(store: &Store, plan: &LayerPlan, compression: Compression) -> Result<Option<Layer>, Error> {
    let key = layer::layer_key(plan, compression);
    let known = store.entry(Kind::Images, &key).and_then(|bytes| postcard::from_bytes::<Layer>(&bytes).ok());
    Ok(match known {
        Some(layer) if store.blob(&layer.digest)?.is_some() => Some(layer),
        _ => None,
    })
}

/// Notes that `layer`, whose blob stands in the store, is the layer of a plan.
///
/// # Errors
/// The store.
pub fn keep_layer(store: &Store, plan: &LayerPlan, layer: &Layer) -> Result<(), Error> {
    let key = layer::layer_key(plan, layer.compression);
    Ok(store.put_entry(Kind::Images, &key, &stored(layer))?)
}

/// Returns the layers of these plans, written now or earlier, each a blob of the store.
pub(super) fn write_layers(
    input: &BuildInput<'_>,
    plans: &[&LayerPlan],
    data: &(dyn Fn(&Digest) -> io::Result<File> + Sync),
) -> Result<Vec<Layer>, Error> {
    let (store, compression) = (input.store, input.spec.layers.compression);
    let mut layers: Vec<Option<Layer>> = Vec::new();
    let mut writers: Vec<(usize, BlobWriter)> = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        let known = known_layer(store, plan, compression)?;
        if known.is_none() {
            writers.push((number, store.write_blob()?));
        }
        layers.push(known);
    }
    let context = layer::Context { data, compression, workers: input.workers, frames: store, progress: input.progress };
    let jobs = writers.iter_mut().map(|(number, writer)| (plans[*number], writer as &mut (dyn io::Write + Send)));
    let written = layer::write_all(&context, jobs.collect())?;
    for ((number, writer), layer) in writers.into_iter().zip(written) {
        writer.commit(Some(&layer.digest))?;
        keep_layer(store, plans[number], &layer)?;
        layers[number] = Some(layer);
    }
    Ok(layers.into_iter().map(|layer| layer.expect("every layer was known or has been written")).collect())
}

/// Returns the platforms to build, each one of the lock's.
fn platforms(input: &BuildInput<'_>) -> Result<Vec<Platform>, Error> {
    let known = || input.lock.platform.keys();
    let mut platforms: Vec<Platform> = if input.platforms.is_empty() {
        known()
            .map(|name| Platform::from_oci(name).ok_or_else(|| Error::Platform(name.clone())))
            .collect::<Result<_, _>>()?
    } else {
        input.platforms.to_vec()
    };
    platforms.sort();
    platforms.dedup();
    match platforms.iter().find(|platform| !input.lock.platform.contains_key(platform.oci())) {
        Some(absent) => Err(Error::Platform(absent.oci().to_owned())),
        None if platforms.is_empty() => Err(Error::NoPlatform),
        None => Ok(platforms),
    }
}

/// Returns the key under which a platform's result is kept.
fn key(input: &BuildInput<'_>, platform: Platform, lock: &Digest, seen: &[Input]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia image\n");
    for number in [FORMAT, ENCODING, RULES, PACK_FORMAT] {
        hasher.update(&number.to_be_bytes());
    }
    hasher.update(lock.as_bytes());
    hasher.update(input.spec.digest.as_bytes());
    hasher.update(&stored(&(platform.oci(), seen)));
    hasher.digest()
}

/// Returns an earlier result, if all of its layers are still there.
fn find(store: &Store, key: &Digest) -> Result<Option<Record>, Error> {
    let Some(record) = store.entry(Kind::Images, key).and_then(|bytes| postcard::from_bytes::<Record>(&bytes).ok())
    else {
        return Ok(None);
    };
    for (digest, _) in record.image.blobs() {
        if store.blob(&digest)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(record))
}

fn keep(store: &Store, key: &Digest, record: &Record) -> Result<(), Error> {
    Ok(store.put_entry(Kind::Images, key, &stored(record))?)
}

fn stored(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data can always be written")
}

/// Indexes by package name.
type Indexes = BTreeMap<String, PackIndex>;
