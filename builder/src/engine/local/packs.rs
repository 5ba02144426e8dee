//! Opened packages of one platform.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::{Digest, Hasher};
use crate::layer::Workers;
use crate::lock::{Lock, LockedPackage, MAX_TIME, PlatformLock};
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
    /// The bytes of the spec's own files; none where they were opened elsewhere.
    local_data: Option<File>,
}

impl Packs {
    /// Opens the packages of a platform: takes packs from the store, and makes what it lacks, largest first.
    pub(super) fn open(input: &BuildInput<'_>, platform: Platform) -> Result<Self, Error> {
        Self::of_indexes(input, platform, Indexes::new())
    }

    /// Returns the packages of a platform of which some were opened elsewhere: `given` are their indexes by name, and
    /// the store need not hold their data. The others, and the spec's own files, are opened here.
    ///
    /// # Errors
    /// An index of what the lock does not name, or of another package than it names; whatever stops the others.
    pub fn of_indexes(input: &BuildInput<'_>, platform: Platform, given: Indexes) -> Result<Self, Error> {
        let locked = locked(input.lock, platform)?;
        check(locked, &given)?;
        let mut packages: Vec<&LockedPackage> =
            locked.packages.iter().filter(|package| !given.contains_key(&package.name)).collect();
        packages.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        input.progress.start("open", packages.len() as u64);
        let mut indexes = open_all(input, &packages)?;
        input.progress.finish("open");
        indexes.extend(given);
        let (local, local_data) = local(input)?;
        Self::new(input.lock, platform, indexes, local, Some(local_data))
    }

    /// Returns packages that were all opened elsewhere, and so were the spec's own files where `local_data` is none.
    ///
    /// # Errors
    /// An index of what the lock does not name, of another package than it names, or one too few.
    pub fn new(
        lock: &Lock,
        platform: Platform,
        indexes: Indexes,
        local: LocalPack,
        local_data: Option<File>,
    ) -> Result<Self, Error> {
        let locked = locked(lock, platform)?;
        check(locked, &indexes)?;
        if let Some(absent) = locked.packages.iter().find(|package| !indexes.contains_key(&package.name)) {
            return Err(Error::NotOpened { name: absent.name.clone() });
        }
        let keys: BTreeMap<_, _> =
            locked.packages.iter().map(|package| (package.name.clone(), pack_key(&package.digest))).collect();
        let data = indexes.iter().map(|(name, index)| (keys[name], index.data.0)).collect();
        let local_key = local_key(&local);
        Ok(Self { indexes, keys, data, local, local_key, local_data })
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
            let elsewhere = || io::Error::new(io::ErrorKind::NotFound, "the spec's own files were opened elsewhere");
            return self.local_data.as_ref().ok_or_else(elsewhere)?.try_clone();
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
    // Selection takes the lock's date where this is later; so a pack does not depend on it.
    let local = local::open(input.spec, input.directory, &fetched, &data, MAX_TIME)?;
    Ok((local, data))
}

/// Returns a platform's share of a lock.
fn locked(lock: &Lock, platform: Platform) -> Result<&PlatformLock, Error> {
    lock.platform.get(platform.oci()).ok_or_else(|| Error::Platform(platform.oci().to_owned()))
}

/// Refuses indexes of packages that the lock does not name.
fn check(locked: &PlatformLock, indexes: &Indexes) -> Result<(), Error> {
    for (name, index) in indexes {
        let package = locked.packages.iter().find(|package| package.name == *name);
        let package = package.ok_or_else(|| Error::NotLocked { name: name.clone() })?;
        if index.source != package.digest {
            let (found, locked) = (index.source, package.digest);
            return Err(Error::OtherPackage { name: name.clone(), found, locked });
        }
    }
    Ok(())
}

/// Returns the key of the spec's own files.
pub(crate) fn local_key(local: &LocalPack) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia local pack\n");
    hasher.update(local.index.source.as_bytes());
    hasher.digest()
}

/// Opens packages, in the order in which they come: takes packs from the store, and makes what it lacks.
fn open_all(input: &BuildInput<'_>, packages: &[&LockedPackage]) -> Result<Indexes, Error> {
    let found: Mutex<(Indexes, Vec<usize>)> = Mutex::default();
    input.workers.pool.in_place_scope(|scope| {
        for (number, package) in packages.iter().enumerate() {
            let found = &found;
            scope.spawn(move |_| {
                let index = stored(input.store, &pack_key(&package.digest));
                let mut found = found.lock().expect("nobody panics while a result is noted");
                match index {
                    Some(index) => {
                        found.0.insert(package.name.clone(), index);
                        input.progress.advance("open", 1);
                    }
                    None => found.1.push(number),
                }
            });
        }
    });
    let (mut indexes, mut absent) = found.into_inner().expect("nobody panics while a result is noted");
    absent.sort_unstable();
    let package = |number: usize| packages[absent[number]];
    let file = |number| match input.store.blob(&package(number).digest) {
        Ok(Some(deb)) => Ok(deb),
        Ok(None) => {
            let LockedPackage { name, version, digest, .. } = package(number);
            Err(Error::Missing { name: name.clone(), version: version.clone(), digest: *digest })
        }
        Err(error) => Err(error.into()),
    };
    let made = open_each(input.workers, absent.len(), &file, &|number, deb: &File, limits: &Limits| {
        let index = make(input.store, package(number), deb, limits)?;
        input.progress.advance("open", 1);
        Ok(index)
    })?;
    indexes.extend(made.into_iter().enumerate().map(|(number, index)| (package(number).name.clone(), index)));
    Ok(indexes)
}

/// Opens `count` packages on the workers' threads: `file` gives the bytes of each, in order and on this thread, and
/// `make` opens it. Of several errors, that of the first package is returned.
pub(crate) fn open_each<T: Send, E: Send>(
    workers: &Workers,
    count: usize,
    file: &dyn Fn(usize) -> Result<File, E>,
    make: &(dyn Fn(usize, &File, &Limits) -> Result<T, E> + Sync),
) -> Result<Vec<T>, E> {
    let stop = AtomicBool::new(false);
    let results: Mutex<BTreeMap<usize, Result<T, E>>> = Mutex::default();
    let finished = |number: usize, result: Result<T, E>| {
        if result.is_err() {
            stop.store(true, Ordering::SeqCst);
        }
        results.lock().expect("nobody panics while a result is noted").insert(number, result);
    };
    // This thread dispatches: a task starts when its memory is reserved, and never waits.
    workers.pool.in_place_scope(|scope| {
        for number in 0..count {
            let deb = match file(number) {
                Ok(deb) => deb,
                Err(error) => {
                    finished(number, Err(error));
                    return;
                }
            };
            let limits = Limits::default();
            let reservation = workers.budget.reserve(decoder_memory(&deb, &limits));
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let finished = &finished;
            scope.spawn(move |_| {
                finished(number, make(number, &deb, &limits));
                drop(reservation);
            });
        }
    });
    results.into_inner().expect("nobody panics while a result is noted").into_values().collect()
}

/// Returns a pack's index, if the store holds it and its data.
pub(crate) fn stored(store: &Store, key: &Digest) -> Option<PackIndex> {
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
