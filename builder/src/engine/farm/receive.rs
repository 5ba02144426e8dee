//! What a daemon sends back is read here, and believed no further than it can be checked.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::Error;
use crate::buildkit::Limits;
use crate::digest::{Digest, Hasher};
use crate::engine::graph::LayerGroup;
use crate::engine::local;
use crate::engine::worker::{BLOB, LayerRecord, RECORD};
use crate::layer::{self, Layer};
use crate::lock::{LockedPackage, PlatformLock};
use crate::package::{self, MAX_INDEX, PackIndex, pack_key};
use crate::select::LayerPlan;
use crate::spec::Compression;
use crate::store::{Kind, Store};

/// Version of what is kept of received indexes; part of their keys.
const FORMAT: u32 = 1;

/// An index of more bytes than this is a large one.
const LARGE: u64 = 4 << 20;

/// The most bytes of all indexes that one solve brings: a hundred times what hundreds of packages have.
const MAX_INDEXES: u64 = 4 << 30;

/// Returns the key under which the index that a daemon made of a package is kept. It is not that of a pack: what was
/// opened here must never be taken for what somebody else says, nor the other way round.
fn key(package: &LockedPackage) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia received index\n");
    hasher.update(&FORMAT.to_be_bytes());
    hasher.update(pack_key(&package.digest).as_bytes());
    hasher.digest()
}

/// Returns the index of a package that a daemon sent earlier.
pub(super) fn known(store: &Store, package: &LockedPackage) -> Option<PackIndex> {
    PackIndex::received(&store.entry(Kind::Packs, &key(package))?, &package.digest).ok()
}

/// Takes the index of a package from a file, checks it, and keeps it. One large one is taken at a time, whoever asks:
/// `large` is held meanwhile.
pub(super) fn index(
    store: &Store,
    path: &Path,
    package: &LockedPackage,
    address: &str,
    large: &Mutex<()>,
) -> Result<PackIndex, Error> {
    let wrong = |problem: String| Error::Index {
        package: package.name.clone(),
        version: package.version.clone(),
        address: address.to_owned(),
        problem,
    };
    let mut bytes = Vec::new();
    let (file, size) = open(path).map_err(|error| wrong(absent(&error)))?;
    if size > MAX_INDEX {
        return Err(wrong(format!("it has more than {MAX_INDEX} bytes")));
    }
    let _one = (size > LARGE).then(|| large.lock().unwrap_or_else(PoisonError::into_inner));
    file.take(MAX_INDEX).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    let index = PackIndex::received(&bytes, &package.digest).map_err(|error| match error {
        package::Error::Received { problem } => wrong(problem),
        other => wrong(crate::diag::causes(&other)),
    })?;
    store.put_entry(Kind::Packs, &key(package), &bytes)?;
    Ok(index)
}

/// Takes the layer of a plan from the files `blob` and `layer` of a directory, holds every byte of its tar against the
/// plan, and puts it into the store.
pub(super) fn layer(
    store: &Store,
    plan: &LayerPlan,
    compression: Compression,
    directory: &Path,
    address: &str,
) -> Result<Layer, Error> {
    let wrong = |problem: String| Error::Layer { layer: plan.name.clone(), address: address.to_owned(), problem };
    let said = said(&directory.join(RECORD), plan, compression).map_err(wrong)?;
    let (file, size) = open(&directory.join(BLOB)).map_err(|error| wrong(absent(&error)))?;
    let most = most(layer::tar_size(plan).map_err(local::Error::from)?);
    if size > most {
        return Err(wrong(format!("it has {size} bytes, and its plan makes at most {most}")));
    }
    let mut passing = Passing { file, writer: store.write_blob()?, failed: None };
    let checked = layer::check(plan, compression, &mut passing);
    if let Some(error) = passing.failed {
        return Err(Error::Temporary { source: error });
    }
    let layer = checked.map_err(|error| match error {
        layer::Error::Received { problem, .. } => wrong(problem),
        other => wrong(crate::diag::causes(&other)),
    })?;
    if said != layer {
        return Err(wrong(format!(
            "it is said to be {} with the tar {}, and is {} with the tar {}",
            said.digest, said.diff_id, layer.digest, layer.diff_id
        )));
    }
    passing.writer.commit(Some(&layer.digest))?;
    local::keep_layer(store, plan, &layer)?;
    Ok(layer)
}

/// Returns what a layer's record says that it is.
fn said(path: &Path, plan: &LayerPlan, compression: Compression) -> Result<Layer, String> {
    let (file, size) = open(path).map_err(|error| absent(&error))?;
    if size > MAX_RECORD {
        return Err("its record is too large".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_RECORD).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let record: LayerRecord =
        serde_json::from_slice(&bytes).map_err(|error| format!("its record does not parse: {error}"))?;
    if record.plan != layer::layer_key(plan, compression) {
        return Err("it is that of another plan".to_owned());
    }
    record.layer.ok_or_else(|| "it is said to be empty".to_owned())
}

/// The most bytes of a layer's record.
const MAX_RECORD: u64 = 64 << 10;

/// Returns how much may come where indexes are sent.
pub(super) fn limits_of_indexes(groups: &[LayerGroup], share: &PlatformLock) -> Limits {
    let count: usize = groups.iter().map(|group| group.packages(share).len()).sum();
    Limits { entries: limit(count + groups.len()), bytes: MAX_INDEX.saturating_mul(count as u64).min(MAX_INDEXES) }
}

/// Returns how much may come where layers with tars of these sizes are sent, perhaps with indexes behind them.
pub(super) fn limits_of_layers(tars: impl Iterator<Item = u64>, with_indexes: bool) -> Limits {
    let (mut count, mut bytes) = (0, 0u64);
    for tar in tars {
        count += 1;
        bytes = bytes.saturating_add(most(tar)).saturating_add(MAX_RECORD);
    }
    // What is sent for the sake of a cache is not counted one by one.
    let indexes = if with_indexes { (1 << 20, MAX_INDEXES) } else { (0, 0) };
    Limits { entries: limit(3 * count + indexes.0), bytes: bytes.saturating_add(indexes.1) }
}

/// Returns how many files and directories may come where `count` are wanted; some may stand about.
fn limit(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).saturating_add(16)
}

/// Returns the most bytes that a tar of this size can be encoded to: a codec adds little to what it cannot shrink, and
/// what frames and members add is small beside their cuts, of which there can be many small ones.
fn most(tar: u64) -> u64 {
    tar + tar / 16 + (1 << 20)
}

/// Opens a regular file for reading, with its size. Nothing is followed, and nothing is waited for.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("flags fit");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok((file, metadata.len()))
}

fn absent(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not among what was made".to_owned(),
        _ => error.to_string(),
    }
}

/// Bytes that go into the store while they are read.
struct Passing<W> {
    file: File,
    writer: W,
    /// Why the store does not take them.
    failed: Option<io::Error>,
}

impl<W: Write> Read for Passing<W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Err(error) = self.writer.write_all(&buffer[..count]) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        Ok(count)
    }
}
