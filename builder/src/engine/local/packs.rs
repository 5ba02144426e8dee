//! Opened packages of one platform.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::{Digest, Hasher};
use crate::lock::LockedPackage;
use crate::package::local::{self, LocalPack};
use crate::package::{self, Limits, PackIndex, decoder_memory, open_deb, pack_key};
use crate::spec::Platform;
use crate::store::{Kind, Store};

use super::{BuildInput, Error, Indexes};

/// The opened packages of one platform, and the spec's own files.
#[derive(Debug)]
pub struct Packs {
    indexes: Indexes,
    keys: BTreeMap<String, Digest>,
    /// Digest of each pack's data, by pack key.
    data: BTreeMap<Digest, Digest>,
    local: LocalPack,
    local_key: Digest,
    local_data: File,
}

impl Packs {
    /// Opens the packages of a platform: takes packs from the store, and makes what it lacks, largest first.
    pub(super) fn open(input: &BuildInput<'_>, platform: Platform) -> Result<Self, Error> {
        let Some(locked) = input.lock.platform.get(platform.oci()) else {
            return Err(Error::Platform(platform.oci().to_owned()));
        };
        let mut packages: Vec<&LockedPackage> = locked.packages.iter().collect();
        packages.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        input.progress.start("open", packages.len() as u64);
        let found = open_all(input, &packages)?;
        input.progress.finish("open");
        let keys: BTreeMap<_, _> =
            packages.iter().map(|package| (package.name.clone(), pack_key(&package.digest))).collect();
        let data = found.iter().map(|(name, index)| (keys[name], index.data.0)).collect();

        let (local, local_data) = local(input)?;
        let mut hasher = Hasher::new();
        hasher.update(b"tarsia local pack\n");
        hasher.update(local.index.source.as_bytes());
        Ok(Self { indexes: found, keys, data, local, local_key: hasher.digest(), local_data })
    }

    /// Returns the packs' indexes by package name.
    pub fn indexes(&self) -> &BTreeMap<String, PackIndex> {
        &self.indexes
    }

    /// Returns the packs' keys by package name.
    pub fn keys(&self) -> &BTreeMap<String, Digest> {
        &self.keys
    }

    /// Returns the spec's own files.
    pub fn local(&self) -> &LocalPack {
        &self.local
    }

    /// Returns the key of the spec's own files.
    pub fn local_key(&self) -> Digest {
        self.local_key
    }

    /// Returns the data of a pack, or of the spec's own files, by key.
    pub fn data(&self, store: &Store, key: &Digest) -> io::Result<File> {
        if *key == self.local_key {
            return self.local_data.try_clone();
        }
        let data = self.data.get(key).and_then(|data| store.large(Kind::Packs, key, data));
        data.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is no longer in the store"))
    }
}

/// Opens the spec's own files, with their data.
pub(super) fn local(input: &BuildInput<'_>) -> Result<(LocalPack, File), Error> {
    let data = tempfile::tempfile_in(input.store.root()).map_err(|source| Error::Temporary { source })?;
    let fetched = |digest: &Digest| match input.store.blob(digest) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(io::Error::new(io::ErrorKind::NotFound, format!("{digest} is not in the store"))),
        Err(error) => Err(io::Error::other(error)),
    };
    let local = local::open(input.spec, input.directory, &fetched, &data, input.lock.source_date)?;
    Ok((local, data))
}

/// Opens packages, in the order in which they come.
fn open_all(input: &BuildInput<'_>, packages: &[&LockedPackage]) -> Result<Indexes, Error> {
    let stop = AtomicBool::new(false);
    let results: Mutex<(Indexes, BTreeMap<usize, Error>)> = Mutex::default();
    let finished = |number: usize, result: Result<PackIndex, Error>| {
        let mut results = results.lock().expect("nobody panics while a result is noted");
        match result {
            Ok(index) => {
                results.0.insert(packages[number].name.clone(), index);
                input.progress.advance("open", 1);
            }
            Err(error) => {
                stop.store(true, Ordering::SeqCst);
                results.1.insert(number, error);
            }
        }
    };
    let absent: Mutex<Vec<usize>> = Mutex::default();
    input.workers.pool.in_place_scope(|scope| {
        for (number, package) in packages.iter().enumerate() {
            let (finished, absent) = (&finished, &absent);
            scope.spawn(move |_| match stored(input.store, &pack_key(&package.digest)) {
                Some(index) => finished(number, Ok(index)),
                None => absent.lock().expect("nobody panics while a number is noted").push(number),
            });
        }
    });
    let mut absent = absent.into_inner().expect("nobody panics while a number is noted");
    absent.sort_unstable();
    // This thread dispatches: a task starts when its memory is reserved, and never waits.
    input.workers.pool.in_place_scope(|scope| {
        for number in absent {
            let package = packages[number];
            let deb = match input.store.blob(&package.digest) {
                Ok(Some(deb)) => deb,
                Ok(None) => {
                    let (name, version) = (package.name.clone(), package.version.clone());
                    finished(number, Err(Error::Missing { name, version, digest: package.digest }));
                    return;
                }
                Err(error) => {
                    finished(number, Err(error.into()));
                    return;
                }
            };
            let limits = Limits::default();
            let reservation = input.workers.budget.reserve(decoder_memory(&deb, &limits));
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let finished = &finished;
            scope.spawn(move |_| {
                finished(number, make(input.store, package, &deb, &limits));
                drop(reservation);
            });
        }
    });
    let (indexes, mut errors) = results.into_inner().expect("nobody panics while a result is noted");
    match errors.pop_first() {
        Some((_, error)) => Err(error),
        None => Ok(indexes),
    }
}

/// Returns a pack's index, if the store holds it and its data.
fn stored(store: &Store, key: &Digest) -> Option<PackIndex> {
    let index = PackIndex::from_bytes(&store.entry(Kind::Packs, key)?).ok()?;
    store.large(Kind::Packs, key, &index.data.0)?;
    Some(index)
}

/// Opens a package and stores its pack; the data first, so that an index never stands without it.
fn make(store: &Store, package: &LockedPackage, deb: &File, limits: &Limits) -> Result<PackIndex, Error> {
    let key = pack_key(&package.digest);
    let failed = |source: package::Error| Error::Package { name: package.name.clone(), source };
    let data = store.write_large(Kind::Packs, &key)?;
    let index = open_deb(deb, package.digest, data.file(), limits).map_err(failed)?;
    data.commit(&index.data.0)?;
    store.put_entry(Kind::Packs, &key, &index.to_bytes())?;
    Ok(index)
}
