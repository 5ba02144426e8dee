//! A verified Release: its dates, its suite, and the files it signs.

use std::collections::BTreeMap;

use super::certificate::SKEW;
use super::{Error, Policy, date};
use crate::deb822::{self, Stanza};
use crate::digest::Digest;
use crate::lock::{MetadataSet, PackagesFile};

/// What a good InRelease says. Only [`Keyring::verify`](super::Keyring::verify) makes one.
#[derive(Debug, Clone)]
pub struct Release {
    archive: String,
    suite: String,
    codename: Option<String>,
    digest: Digest,
    signature: Option<Digest>,
    date: i64,
    valid_until: Option<i64>,
    signers: Vec<String>,
    by_hash: bool,
    components: Vec<String>,
    architectures: Vec<String>,
    separate_all: bool,
    files: BTreeMap<String, (Digest, u64)>,
}

impl Release {
    /// Reads the signed `text`, and holds it against the suite asked for and `policy`.
    pub(super) fn read(
        archive: &str,
        suite: &str,
        text: &str,
        (digest, signature): (Digest, Option<Digest>),
        signers: Vec<String>,
        policy: &Policy,
    ) -> Result<Self, Error> {
        let (archive, suite) = (archive.to_owned(), suite.to_owned());
        let stanza = match deb822::parse_one(text) {
            Ok(stanza) => stanza,
            Err(source) => return Err(Error::ReleaseSyntax { archive, suite, source }),
        };
        let fields = match Fields::read(&stanza) {
            Ok(fields) => fields,
            Err(what) => return Err(Error::Release { archive, suite, what }),
        };
        let codename = stanza.get("Codename").map(str::to_owned);
        let named = stanza.get("Suite");
        // A flat archive has no name to be asked for by.
        if !suite.ends_with('/') && named != Some(&suite) && codename.as_ref() != Some(&suite) {
            let found: Vec<_> = [named, codename.as_deref()]
                .into_iter()
                .flatten()
                .map(|name| format!("`{}`", deb822::shown(name)))
                .collect();
            let found = if found.is_empty() { "no suite".to_owned() } else { found.join(", ") };
            return Err(Error::OtherSuite { archive, suite, found });
        }
        let Fields { date, valid_until, files } = fields;
        if date > policy.now + SKEW {
            return Err(Error::Future { archive, suite, date, now: policy.now });
        }
        if let Some(not_before) = policy.not_before
            && date < not_before
        {
            return Err(Error::Rollback { archive, suite, date, not_before });
        }
        if let Some(valid_until) = valid_until
            && policy.fresh
            && valid_until < policy.now
        {
            return Err(Error::Expired { archive, suite, valid_until });
        }
        let words = |field: &str| -> Vec<String> {
            stanza.get(field).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
        };
        let architectures = words("Architectures");
        let separate_all = architectures.iter().any(|name| name == "all")
            && stanza.get("No-Support-for-Architecture-all") != Some("Packages");
        Ok(Self {
            archive,
            suite,
            codename,
            digest,
            signature,
            date,
            valid_until,
            signers,
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            components: words("Components"),
            architectures,
            separate_all,
            files,
        })
    }

    /// Returns the archive it was verified for.
    pub fn archive(&self) -> &str {
        &self.archive
    }

    /// Returns the suite it was asked for as, which is its suite or its codename.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Returns `Codename`.
    pub fn codename(&self) -> Option<&str> {
        self.codename.as_deref()
    }

    /// Returns the digest of the InRelease, or of the Release that another file signs.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns `Date` in seconds since 1970-01-01 UTC.
    pub fn date(&self) -> i64 {
        self.date
    }

    /// Returns `Valid-Until` in seconds since 1970-01-01 UTC.
    pub fn valid_until(&self) -> Option<i64> {
        self.valid_until
    }

    /// Returns the fingerprints of the primary keys whose signatures hold, sorted.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }

    /// Returns whether the archive serves its lists by their hash.
    pub fn by_hash(&self) -> bool {
        self.by_hash
    }

    /// Returns the components it names.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Returns the architectures it names.
    pub fn architectures(&self) -> &[String] {
        &self.architectures
    }

    /// Returns digest and size of a signed file, by its path below the suite.
    pub fn file(&self, path: &str) -> Option<(Digest, u64)> {
        self.files.get(path).copied()
    }

    /// Returns the Packages files of `components` for `architecture`, each in its smallest form, sorted by path; of a
    /// flat archive the one that it has.
    ///
    /// Where the archive lists packages for all architectures apart, their files are among them.
    pub fn packages_files(&self, components: &[String], architecture: &str) -> Result<Vec<PackagesFile>, Error> {
        let listed_as = |path: &str| {
            [".xz", ".zst", ".gz", ""].iter().find_map(|suffix| {
                let path = format!("{path}{suffix}");
                let (digest, size) = self.file(&path)?;
                Some(PackagesFile { path, digest, size })
            })
        };
        if self.suite.ends_with('/') {
            let (archive, suite) = (self.archive.clone(), self.suite.clone());
            return Ok(vec![listed_as("Packages").ok_or(Error::NoFlatPackages { archive, suite })?]);
        }
        let mut files = Vec::new();
        for component in components {
            let find = |architecture: &str| listed_as(&format!("{component}/binary-{architecture}/Packages"));
            files.push(find(architecture).ok_or_else(|| Error::NoPackages {
                archive: self.archive.clone(),
                suite: self.suite.clone(),
                component: component.clone(),
                architecture: architecture.to_owned(),
                offered: format!(
                    "it has components {} and architectures {}",
                    listed(&self.components),
                    listed(&self.architectures)
                ),
            })?);
            if self.separate_all && architecture != "all" {
                files.extend(find("all"));
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Returns where `file` lies by its hash, below the suite, where the archive serves it so.
    pub fn by_hash_path(&self, file: &PackagesFile) -> Option<String> {
        let directory = file.path.rsplit_once('/').map(|(directory, _)| format!("{directory}/")).unwrap_or_default();
        self.by_hash.then(|| format!("{directory}by-hash/SHA256/{}", file.digest.hex()))
    }

    /// Returns what a lock says of this Release, with the files read.
    pub fn metadata_set(&self, mut packages: Vec<PackagesFile>) -> MetadataSet {
        packages.sort();
        packages.dedup();
        MetadataSet {
            name: self.archive.clone(),
            suite: self.suite.clone(),
            in_release: self.digest,
            signature: self.signature,
            date: self.date,
            valid_until: self.valid_until,
            signers: self.signers.clone(),
            packages,
        }
    }
}

struct Fields {
    date: i64,
    valid_until: Option<i64>,
    files: BTreeMap<String, (Digest, u64)>,
}

impl Fields {
    fn read(stanza: &Stanza) -> Result<Self, String> {
        let time = |field: &str| match stanza.get(field) {
            None => Ok(None),
            Some(text) => {
                date::parse(text).map(Some).ok_or_else(|| format!("`{}` is no date for `{field}`", deb822::shown(text)))
            }
        };
        let date = time("Date")?.ok_or("it has no `Date`")?;
        let valid_until = time("Valid-Until")?;
        let sums = stanza.get("SHA256").ok_or("it has no `SHA256`, and nothing weaker counts")?;
        let mut lines = sums.split('\n');
        if lines.next() != Some("") {
            return Err("`SHA256` does not start on a line of its own".to_owned());
        }
        let mut files = BTreeMap::new();
        for line in lines {
            let wrong = || format!("`{}` is no line of `SHA256`", deb822::shown(line));
            let [digest, size, path] =
                line.split_ascii_whitespace().collect::<Vec<_>>().try_into().map_err(|_| wrong())?;
            let digest = Digest::from_hex(digest).map_err(|_| wrong())?;
            let size = decimal(size).ok_or_else(wrong)?;
            let path = path.strip_prefix("./").unwrap_or(path);
            if !is_relative_path(path) {
                return Err(wrong());
            }
            if files.insert(path.to_owned(), (digest, size)).is_some_and(|other| other != (digest, size)) {
                return Err(format!("`{}` stands in `SHA256` twice, not the same", deb822::shown(path)));
            }
        }
        Ok(Self { date, valid_until, files })
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "unnamed".to_owned();
    }
    names.iter().map(|name| format!("`{}`", deb822::shown(name))).collect::<Vec<_>>().join(", ")
}

/// Returns the number that `text` writes in decimal digits alone.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Returns whether `path` stays where it is joined: relative, no empty, `.` or `..` component, plain ASCII, nothing
/// that ends a path in a URL.
pub(super) fn is_relative_path(path: &str) -> bool {
    path.len() <= 4096
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#'))
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
