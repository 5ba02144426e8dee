//! Archives as verified indexes: the newest ones to lock against, or exactly those that a lock stands on.

use std::io::Read;

use crate::archive::{Index, Keyring, Policy, Release, archives_of};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::fetch::{Fetcher, Wanted};
use crate::lock::{Lock, MetadataSet, PackagesFile};
use crate::spec::{Platform, Spec};

use super::{Error, Project};

/// The largest InRelease in bytes.
const MAX_IN_RELEASE: u64 = 4 << 20;

/// One suite of one archive, with all that is needed to believe it.
pub(super) struct Suite {
    /// `debian`, `debian-security`, or the name in the spec.
    pub(super) archive: String,
    /// Below `dists/`.
    pub(super) suite: String,
    /// Components read.
    pub(super) components: Vec<String>,
    keyring: Keyring,
    min_signatures: u32,
    require_key: Vec<String>,
}

/// Returns every suite that the spec's packages may come from, in order of archive and suite.
pub(super) fn suites(project: &Project) -> Result<Vec<Suite>, Problems> {
    let spec: &Spec = &project.spec;
    let mut suites = Vec::new();
    if let Some(distro) = &spec.distro {
        for archive in archives_of(distro.value) {
            for suite in archive.suites {
                suites.push(Suite {
                    archive: archive.name.to_owned(),
                    suite: (*suite).to_owned(),
                    components: archive.components.iter().map(|name| (*name).to_owned()).collect(),
                    keyring: Keyring::distro(distro.value),
                    min_signatures: 1,
                    require_key: Vec::new(),
                });
            }
        }
    }
    for (name, archive) in &spec.archives {
        let key = project.read_input(&archive.signed_by.value)?;
        suites.push(Suite {
            archive: name.clone(),
            suite: archive.suite.clone(),
            components: archive.components.clone(),
            keyring: Keyring::from_certificates(&archive.signed_by.value, &key)?,
            min_signatures: archive.min_signatures,
            require_key: archive.require_key.clone(),
        });
    }
    Ok(suites)
}

impl Suite {
    fn path(&self, below: &str) -> String {
        format!("dists/{}/{below}", self.suite)
    }

    /// Verifies `in_release`; `now` is the clock for a fresh one, `None` for one that a lock names by digest.
    fn verify(&self, in_release: &[u8], now: i64, not_before: Option<i64>, fresh: bool) -> Result<Release, Problems> {
        let policy = Policy {
            min_signatures: self.min_signatures,
            require_key: self.require_key.clone(),
            now,
            not_before,
            check_valid_until: fresh,
        };
        Ok(self.keyring.verify(&self.archive, &self.suite, in_release, &policy)?)
    }

    /// Fetches the newest metadata of this suite, refusing any older than `previous` stands on.
    pub(super) fn newest(
        &self,
        fetcher: &Fetcher<'_>,
        platforms: &[Platform],
        previous: Option<&Lock>,
        now: i64,
    ) -> Result<Index, Problems> {
        let not_before = previous.and_then(|lock| {
            let sets = lock.archives.iter().filter(|set| set.name == self.archive && set.suite == self.suite);
            sets.map(|set| set.date).max()
        });
        let in_release = fetcher.metadata(&self.archive, &self.path("InRelease"), MAX_IN_RELEASE)?;
        let release = self.verify(&in_release, now, not_before, true)?;
        let mut files: Vec<PackagesFile> = Vec::new();
        for platform in platforms {
            files.extend(release.packages_files(&self.components, platform.architecture())?);
        }
        files.sort();
        files.dedup();
        self.read(fetcher, release, files)
    }

    /// Returns the index for a set that a lock names by digest, or `None` where its InRelease cannot be had.
    pub(super) fn locked(&self, fetcher: &Fetcher<'_>, set: &MetadataSet, now: i64) -> Result<Option<Index>, Problems> {
        let Some(in_release) = self.locked_in_release(fetcher, set) else { return Ok(None) };
        let release = self.verify(&in_release, now.max(set.date), None, false)?;
        self.read(fetcher, release, set.packages.clone()).map(Some)
    }

    fn locked_in_release(&self, fetcher: &Fetcher<'_>, set: &MetadataSet) -> Option<Vec<u8>> {
        if let Some(bytes) = fetcher.stored(&set.in_release, MAX_IN_RELEASE) {
            return Some(bytes);
        }
        let found = fetcher.metadata_by_digest(&self.archive, &self.path("InRelease"), &set.in_release, set.date, MAX_IN_RELEASE);
        found.ok().filter(|bytes| Digest::of(bytes) == set.in_release)
    }

    fn read(&self, fetcher: &Fetcher<'_>, release: Release, files: Vec<PackagesFile>) -> Result<Index, Problems> {
        let mut parts: Vec<(PackagesFile, Box<dyn Read + Send>)> = Vec::new();
        for file in files {
            let mut paths = Vec::new();
            paths.extend(release.by_hash_path(&file).map(|path| self.path(&path)));
            paths.push(self.path(&file.path));
            let opened = fetcher.index(&Wanted {
                archive: self.archive.clone(),
                paths,
                digest: file.digest,
                size: Some(file.size),
                label: format!("{} {}", self.suite, file.path),
                date: release.date,
            })?;
            parts.push((file, Box::new(opened)));
        }
        Ok(release.index(parts)?)
    }
}

/// Returns an error where an archive has no mirror at all.
pub(super) fn require_mirror(archive: &str, mirrors: &[String]) -> Result<(), Problems> {
    if mirrors.is_empty() { Err(Error::NoMirror { archive: archive.to_owned() }.into()) } else { Ok(()) }
}
