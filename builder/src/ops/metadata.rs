//! Archives as verified indexes: the newest ones to lock against, or exactly those that a lock stands on.

use std::io::Read;

use crate::archive::{self, Index, Keyring, Policy, Release, archives_of};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::fetch::{Error as FetchError, Fetcher, MAX_IN_RELEASE, Wanted};
use crate::lock::{Lock, MetadataSet, PackagesFile, suite_directory};
use crate::spec::{Platform, Spec};

use super::Project;

/// One suite of one archive, with all that is needed to believe it.
pub(super) struct Suite {
    /// `debian`, `debian-security`, or the name in the spec.
    pub(super) archive: String,
    /// Below `dists/`; of a flat archive its directory, with a slash at its end.
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
        format!("{}{below}", suite_directory(&self.suite))
    }

    /// Verifies an InRelease, or a Release with its signatures; freshness is judged where the lock is made, not where
    /// it is used.
    fn verify(
        &self,
        release: &[u8],
        signature: Option<&[u8]>,
        (now, not_before, fresh): (i64, Option<i64>, bool),
    ) -> Result<Release, archive::Error> {
        let policy = Policy {
            min_signatures: self.min_signatures,
            require_key: self.require_key.clone(),
            now,
            not_before,
            fresh,
        };
        match signature {
            None => self.keyring.verify(&self.archive, &self.suite, release, &policy),
            Some(signature) => self.keyring.verify_detached(&self.archive, &self.suite, (release, signature), &policy),
        }
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
        let when = (now, not_before, true);
        let release = match self.accepted(fetcher, "InRelease", &|bytes| self.verify(bytes, None, when)) {
            Err(Refused::Absent(absent)) => {
                // Archives without InRelease have Release and Release.gpg.
                let plain = match fetcher.metadata(&self.archive, &self.path("Release"), MAX_IN_RELEASE) {
                    Ok(plain) => plain,
                    Err(error) if error.is_absent() => return Err(absent.into()),
                    Err(error) => return Err(error.into()),
                };
                self.accepted(fetcher, "Release.gpg", &|bytes| self.verify(&plain, Some(bytes), when))
            }
            release => release,
        };
        let release = release.map_err(Problems::from)?;
        let mut files: Vec<PackagesFile> = Vec::new();
        for platform in platforms {
            files.extend(release.packages_files(&self.components, platform.architecture())?);
        }
        files.sort();
        files.dedup();
        self.read(fetcher, release, files)
    }

    /// Fetches a file from the first mirror whose file `verify` agrees to.
    ///
    /// A mirror that is stale, or not of this archive at all, is passed over for the next one; where none will do, the
    /// refusal of the last one is the error.
    fn accepted(
        &self,
        fetcher: &Fetcher<'_>,
        name: &str,
        verify: &dyn Fn(&[u8]) -> Result<Release, archive::Error>,
    ) -> Result<Release, Refused> {
        let mut release = None;
        let mut refusal = None;
        let mut accept = |bytes: &[u8]| match verify(bytes) {
            Ok(verified) => {
                release = Some(verified);
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                refusal = Some(error);
                Err(why)
            }
        };
        let fetched = fetcher.metadata_where(&self.archive, &self.path(name), MAX_IN_RELEASE, &mut accept);
        match (fetched, release, refusal) {
            (Ok(_), Some(release), _) => Ok(release),
            (Err(FetchError::Unavailable { .. }), _, Some(refusal)) => Err(Refused::Archive(Box::new(refusal))),
            (Err(error), ..) if error.is_absent() => Err(Refused::Absent(error)),
            (Err(error), ..) => Err(Refused::Fetch(error)),
            (Ok(_), None, _) => unreachable!("what is fetched has been accepted"),
        }
    }

    /// Returns the index for a set that a lock names by digest, or why its metadata cannot be had.
    pub(super) fn locked(
        &self,
        fetcher: &Fetcher<'_>,
        set: &MetadataSet,
        now: i64,
    ) -> Result<Result<Index, String>, Problems> {
        let name = if set.signature.is_some() { "Release" } else { "InRelease" };
        let release = match self.by_digest(fetcher, name, &set.in_release)? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let signature = match &set.signature {
            None => None,
            Some(digest) => match self.by_digest(fetcher, "Release.gpg", digest)? {
                Ok(bytes) => Some(bytes),
                Err(why) => return Ok(Err(why)),
            },
        };
        let release = self.verify(&release, signature.as_deref(), (now.max(set.date), None, false))?;
        // What the Release signs is read, whatever the lock claims of it: a false claim is a contradiction, not a gap.
        let mut files = Vec::new();
        for file in &set.packages {
            let Some((digest, size)) = release.file(&file.path) else {
                let (archive, suite, path) = (self.archive.clone(), self.suite.clone(), file.path.clone());
                return Err(archive::Error::NotSigned { archive, suite, path }.into());
            };
            files.push(PackagesFile { path: file.path.clone(), digest, size });
        }
        match self.read(fetcher, release, files) {
            Ok(index) => Ok(Ok(index)),
            Err(problems) if problems.iter().all(|problem| problem.code().starts_with("fetch::")) => {
                Ok(Err(problems.to_string()))
            }
            Err(problems) => Err(problems),
        }
    }

    /// Returns a file of the suite by its digest, from the store or from a mirror that still has it, or why not.
    fn by_digest(
        &self,
        fetcher: &Fetcher<'_>,
        name: &str,
        digest: &Digest,
    ) -> Result<Result<Vec<u8>, String>, Problems> {
        if let Some(bytes) = fetcher.held(digest, MAX_IN_RELEASE)? {
            return Ok(Ok(bytes));
        }
        let mut accept = |bytes: &[u8]| {
            let found = Digest::of(bytes);
            if found == *digest { Ok(()) } else { Err(format!("it is {found} there")) }
        };
        match fetcher.metadata_where(&self.archive, &self.path(name), MAX_IN_RELEASE, &mut accept) {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(FetchError::Store(error)) => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn read(&self, fetcher: &Fetcher<'_>, release: Release, files: Vec<PackagesFile>) -> Result<Index, Problems> {
        let mut parts: Vec<(PackagesFile, Box<dyn Read + Send>)> = Vec::new();
        let wanted: Vec<Wanted> = files
            .iter()
            .map(|file| {
                let by_hash = release.by_hash_path(file);
                Wanted::packages_file(&self.archive, &self.suite, file, by_hash.as_deref())
            })
            .collect();
        fetcher.blobs(&wanted)?;
        for (file, wanted) in files.into_iter().zip(&wanted) {
            parts.push((file, Box::new(fetcher.blob(wanted)?)));
        }
        Ok(release.index(parts)?)
    }
}

/// Why a suite's newest metadata is not taken.
enum Refused {
    /// No mirror has the file.
    Absent(FetchError),
    Fetch(FetchError),
    Archive(Box<archive::Error>),
}

impl From<Refused> for Problems {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Absent(error) | Refused::Fetch(error) => error.into(),
            Refused::Archive(error) => (*error).into(),
        }
    }
}
