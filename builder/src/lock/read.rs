//! The strict reader: syntax, numbers that must fit, then every promise of the format.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ENCODING, Lock, LockedInput, LockedPackage, PlatformLock, RULES, VERSION, Why};
use crate::diag::{Diagnose, Label, Source, Span};

/// What `keep` may say.
const KEEPS: [&str; 3] = ["needed", "runtime", "all"];

/// Why a lock cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no TOML, or not of the format's shape.
    #[error("cannot read lock `{}`: {message}", source_text.name)]
    Syntax {
        /// The lock's text.
        source_text: Arc<Source>,
        /// Where.
        span: Option<Span>,
        /// What is wrong.
        message: String,
    },
    /// Another format.
    #[error("cannot read lock `{name}`: it has format version {found}, and this release reads version {VERSION}")]
    Version {
        /// The lock's name.
        name: String,
        /// Its version.
        found: i64,
        /// The release that wrote it, where it says.
        tarsia: Option<String>,
    },
    /// Other bytes would be built.
    #[error("cannot read lock `{name}`: it was made for encoding {found}, and this release makes encoding {ENCODING}")]
    Encoding {
        /// The lock's name.
        name: String,
        /// Its encoding.
        found: i64,
        /// The release that wrote it, where it says.
        tarsia: Option<String>,
    },
    /// Other files would be kept or derived.
    #[error("cannot read lock `{name}`: it was made for rules {found}, and this release has rules {RULES}")]
    Rules {
        /// The lock's name.
        name: String,
        /// Its rules.
        found: i64,
        /// The release that wrote it, where it says.
        tarsia: Option<String>,
    },
    /// A promise of the format is broken.
    #[error("cannot read lock `{name}`: {}", broken.join("; "))]
    Invalid {
        /// The lock's name.
        name: String,
        /// What is broken, in the lock's order; never empty.
        broken: Vec<String>,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "lock::syntax",
            Self::Version { .. } => "lock::version",
            Self::Encoding { .. } => "lock::encoding",
            Self::Rules { .. } => "lock::rules",
            Self::Invalid { .. } => "lock::invalid",
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::Syntax { source_text, span: Some(span), .. } => {
                vec![Label { source: Arc::clone(source_text), span: *span, text: String::new() }]
            }
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Version { tarsia, .. } | Self::Encoding { tarsia, .. } | Self::Rules { tarsia, .. } => {
                let mut hints = Vec::new();
                if let Some(tarsia) = tarsia {
                    hints.push(if tarsia == env!("CARGO_PKG_VERSION") {
                        format!("another build of tarsia {tarsia} wrote this lock; build with that one")
                    } else {
                        format!("build with tarsia {tarsia}, which wrote this lock")
                    });
                }
                hints.push("delete the lock and run `tarsia lock` to make one for this release".to_owned());
                hints
            }
            Self::Invalid { .. } => {
                vec!["a lock is not edited by hand: delete it and run `tarsia lock`".to_owned()]
            }
            Self::Syntax { .. } => Vec::new(),
        }
    }
}

impl Lock {
    /// Parses a lock's text; `name` is what errors call it.
    ///
    /// What is returned keeps every promise of the format: lists are sorted, each package's layer and metadata set
    /// exist, names are well-formed, and paths stay below their archive.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let syntax = |error: &toml::de::Error| Error::Syntax {
            source_text: Source::new(name, text),
            span: error.span().map(|range| Span { start: range.start, end: range.end }),
            message: error.message().to_owned(),
        };
        let table: toml::Table = toml::from_str(text).map_err(|error| syntax(&error))?;
        let number = |key: &str| table.get(key).and_then(toml::Value::as_integer);
        let tarsia = table.get("tarsia").and_then(toml::Value::as_str).filter(|text| is_release(text));
        let (name_owned, tarsia) = (name.to_owned(), tarsia.map(str::to_owned));
        if let Some(found) = number("version").filter(|found| *found != i64::from(VERSION)) {
            return Err(Error::Version { name: name_owned, found, tarsia });
        }
        if let Some(found) = number("encoding").filter(|found| *found != i64::from(ENCODING)) {
            return Err(Error::Encoding { name: name_owned, found, tarsia });
        }
        if let Some(found) = number("rules").filter(|found| *found != i64::from(RULES)) {
            return Err(Error::Rules { name: name_owned, found, tarsia });
        }
        let lock: Self = toml::from_str(text).map_err(|error| syntax(&error))?;
        let broken = lock.broken_promises();
        if broken.is_empty() { Ok(lock) } else { Err(Error::Invalid { name: name_owned, broken }) }
    }

    /// Returns what breaks the format's promises, in the lock's order; empty for a good lock.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut expect = |holds: bool, message: String| {
            if !holds {
                broken.push(message);
            }
        };
        expect(is_release(&self.tarsia), format!("`{}` is no release", self.tarsia.escape_debug()));
        expect(KEEPS.contains(&self.keep.as_str()), format!("`{}` is no `keep`", self.keep));
        expect(is_time(self.source_date), format!("{} is no `source-date`", self.source_date));
        expect(
            ascending(self.archives.iter().map(|set| (&set.name, &set.suite, &set.in_release))),
            "the archives are not sorted".to_owned(),
        );
        for set in &self.archives {
            let said = format!("archive `{}`", set.name);
            expect(is_archive_name(&set.name), format!("{said} is no archive name"));
            expect(is_suite(&set.suite), format!("{said} has suite `{}`", set.suite));
            let times = [Some(set.date), set.valid_until];
            expect(times.into_iter().flatten().all(is_time), format!("{said} has a date that is no time"));
            expect(ascending(set.signers.iter()), format!("{said} has unsorted signers"));
            expect(set.signers.iter().all(|key| is_fingerprint(key)), format!("{said} has a malformed signer"));
            expect(ascending(set.packages.iter().map(|file| &file.path)), format!("{said} has unsorted files"));
            expect(
                set.packages.iter().all(|file| is_relative_path(&file.path)),
                format!("{said} has a path outside its suite"),
            );
        }
        self.check_section(&self.inputs, &self.platform, &mut expect);
        for (name, variant) in &self.variants {
            expect(is_word(name, "-"), format!("`{}` is no variant", name.escape_debug()));
            expect(KEEPS.contains(&variant.keep.as_str()), format!("`{}` is no `keep`", variant.keep));
            expect(is_time(variant.source_date), format!("{} is no `source-date`", variant.source_date));
            let mut of_variant = |holds: bool, message: String| expect(holds, format!("variant `{name}`: {message}"));
            self.check_section(&variant.inputs, &variant.platform, &mut of_variant);
        }
        broken
    }

    fn check_section(
        &self,
        inputs: &[LockedInput],
        platforms: &BTreeMap<String, PlatformLock>,
        expect: &mut impl FnMut(bool, String),
    ) {
        expect(ascending(inputs.iter()), "the inputs are not sorted".to_owned());
        for input in inputs {
            expect(
                ["base", "certificate", "fetch", "key", "package", "rules", "slices"].contains(&input.kind.as_str()),
                format!("input `{}` has the unknown kind `{}`", input.name, input.kind),
            );
        }
        for (platform, share) in platforms {
            expect(
                platform.strip_prefix("linux/").is_some_and(|arch| is_word(arch, "/")),
                format!("`{platform}` is no platform"),
            );
            self.check_platform(platform, share, inputs, expect);
        }
    }

    fn check_platform(
        &self,
        platform: &str,
        share: &PlatformLock,
        inputs: &[LockedInput],
        expect: &mut impl FnMut(bool, String),
    ) {
        let layers: BTreeSet<&str> = share.layers.iter().map(String::as_str).collect();
        expect(layers.len() == share.layers.len(), format!("`{platform}` names a layer twice"));
        for layer in &share.layers {
            expect(
                is_word(layer, "+.-") && layer != "state" && layer != "files",
                format!("`{platform}` has a layer `{layer}`"),
            );
        }
        expect(
            ascending(share.packages.iter().map(|package| (&package.name, &package.architecture))),
            format!("the packages of `{platform}` are not sorted"),
        );
        let names: BTreeSet<&str> = share.packages.iter().map(|package| package.name.as_str()).collect();
        for package in &share.packages {
            let said = format!("package `{}` of `{platform}`", package.name);
            expect(is_package_name(&package.name), format!("{said} has no package name"));
            expect(is_package_name(&package.source), format!("{said} has the source `{}`", package.source));
            expect(is_version(&package.version), format!("{said} has the version `{}`", package.version));
            expect(
                package.source_version.as_deref().is_none_or(is_version),
                format!("{said} has a malformed source version"),
            );
            expect(
                package.architecture == "all" || is_word(&package.architecture, "-"),
                format!("{said} has the architecture `{}`", package.architecture),
            );
            expect(
                package.keep.as_deref().is_none_or(|keep| KEEPS.contains(&keep)),
                format!("{said} has a malformed `keep`"),
            );
            expect(layers.contains(package.layer.as_str()), format!("{said} goes to no layer `{}`", package.layer));
            match package.local_path() {
                Some(path) => expect(
                    inputs.iter().any(|input| {
                        (input.kind.as_str(), input.name.as_str(), input.digest, input.size)
                            == ("package", path, package.digest, package.size)
                    }),
                    format!("{said} is no locked input (`{path}`)"),
                ),
                None => {
                    expect(is_relative_path(&package.path), format!("{said} has the path `{}`", package.path));
                    self.check_set(package, &said, expect);
                }
            }
            if let Why::Dependency(chain) = &package.why {
                expect(
                    !chain.is_empty() && chain.iter().all(|name| names.contains(name.as_str())),
                    format!("{said} is in because of `{}`, which is not", package.why),
                );
            }
        }
    }

    fn check_set(&self, package: &LockedPackage, said: &str, expect: &mut impl FnMut(bool, String)) {
        expect(
            self.set_of(package).is_some(),
            format!(
                "{said} stands in no locked metadata set (`{}` {})",
                package.archive,
                package.in_release.map_or_else(|| "without a digest".to_owned(), |digest| digest.to_string())
            ),
        );
    }
}

fn ascending<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut last = None;
    for item in items {
        if last.as_ref().is_some_and(|last| *last >= item) {
            return false;
        }
        last = Some(item);
    }
    true
}

/// Lower-case letters, digits and `extra`, starting with a letter or digit.
fn is_word(text: &str, extra: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || extra.contains(c))
}

/// Debian policy 5.6.1 and 5.6.7.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2 && name.len() <= 255 && is_word(name, "+.-")
}

/// The characters of Debian policy 5.6.12.
fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || "+.-~:".contains(c))
}

fn is_release(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
}

fn is_archive_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Seconds since 1970-01-01 UTC that a document can write.
fn is_time(seconds: i64) -> bool {
    (0..=super::MAX_TIME).contains(&seconds)
}

/// A path below `dists/`, or with a slash at its end the directory of a flat archive.
fn is_suite(suite: &str) -> bool {
    suite == "./" || is_relative_path(suite.strip_suffix('/').unwrap_or(suite))
}

fn is_fingerprint(key: &str) -> bool {
    (key.len() == 40 || key.len() == 64) && key.chars().all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c))
}

/// A path that stays below what it is joined to, and means the same in a URL.
fn is_relative_path(path: &str) -> bool {
    !path.is_empty()
        && path.chars().all(|c| c.is_ascii_graphic() && !"\\?#".contains(c))
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{MetadataSet, PackagesFile, REVISION};
    use super::*;
    use crate::digest::Digest;

    pub(in super::super) fn package(name: &str, version: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            source: name.to_owned(),
            source_version: None,
            archive: "debian".to_owned(),
            in_release: Some(Digest::of(b"in-release")),
            path: format!("pool/main/{name}_{version}_amd64.deb"),
            size: 10,
            digest: Digest::of(format!("{name} {version}").as_bytes()),
            why: Why::Requested,
            script_only: false,
            keep: None,
            layer: "small-1".to_owned(),
        }
    }

    pub(in super::super) fn sample() -> Lock {
        let mut hello = package("hello", "2.10-3");
        hello.source_version = Some("2.10-2".to_owned());
        let mut libc6 = package("libc6", "2.41-12");
        libc6.why = Why::Dependency(vec!["hello".to_owned()]);
        let mut bin = package("libc-bin", "2.41-12");
        bin.why = Why::Implicit("libc6".to_owned());
        bin.script_only = true;
        Lock {
            version: VERSION,
            revision: REVISION,
            tarsia: "0.1.0".to_owned(),
            encoding: ENCODING,
            rules: RULES,
            spec: Digest::of(b"spec"),
            keep: "needed".to_owned(),
            source_date: 1_750_000_000,
            source_date_given: false,
            archives: vec![MetadataSet {
                name: "debian".to_owned(),
                suite: "trixie".to_owned(),
                in_release: Digest::of(b"in-release"),
                signature: None,
                date: 1_750_000_000,
                valid_until: Some(1_760_000_000),
                signers: vec!["A".repeat(40)],
                packages: vec![PackagesFile {
                    path: "main/binary-amd64/Packages.xz".to_owned(),
                    digest: Digest::of(b"packages"),
                    size: 5,
                }],
            }],
            inputs: vec![LockedInput {
                kind: "fetch".to_owned(),
                name: "https://example.org/m.tar.gz".to_owned(),
                digest: Digest::of(b"m"),
                size: 1,
            }],
            platform: BTreeMap::from([(
                "linux/amd64".to_owned(),
                PlatformLock { layers: vec!["small-1".to_owned()], packages: vec![hello, bin, libc6] },
            )]),
            variants: BTreeMap::new(),
        }
    }

    fn broken(change: impl FnOnce(&mut Lock)) -> String {
        let mut lock = sample();
        change(&mut lock);
        match Lock::parse("web.lock", &lock.to_text()) {
            Err(error) => error.to_string(),
            Ok(_) => "read".to_owned(),
        }
    }

    fn first(lock: &mut Lock) -> &mut LockedPackage {
        &mut lock.platform.get_mut("linux/amd64").unwrap().packages[0]
    }

    #[test]
    fn another_format_encoding_or_rules_is_named_with_the_release_that_wrote_it() {
        for (change, code) in [
            ((|lock: &mut Lock| lock.version = 2) as fn(&mut Lock), "lock::version"),
            (|lock| lock.encoding = 9, "lock::encoding"),
            (|lock| lock.rules = 9, "lock::rules"),
        ] {
            let mut lock = sample();
            lock.tarsia = "7.7.7".to_owned();
            change(&mut lock);
            let error = Lock::parse("web.lock", &lock.to_text()).unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.hints()[0].contains("7.7.7"), "{:?}", error.hints());
        }
    }

    #[test]
    fn a_newer_format_is_refused_before_its_fields_are_read() {
        let error = Lock::parse("web.lock", "version = 2\nnew-thing = 1\n").unwrap_err();
        assert_eq!(error.code(), "lock::version");
    }

    #[test]
    fn broken_promises_are_refused() {
        assert!(broken(|lock| first(lock).layer = "other".to_owned()).contains("goes to no layer `other`"));
        assert!(
            broken(|lock| first(lock).in_release = Some(Digest::of(b"?"))).contains("stands in no locked metadata set")
        );
        assert!(broken(|lock| first(lock).path = "pool/../../x".to_owned()).contains("has the path"));
        assert!(broken(|lock| first(lock).path = "/etc/passwd".to_owned()).contains("has the path"));
        assert!(broken(|lock| first(lock).name = "Hello".to_owned()).contains("has no package name"));
        assert!(broken(|lock| first(lock).name = "zz".to_owned()).contains("are not sorted"));
        assert!(broken(|lock| first(lock).why = Why::Dependency(vec!["gone".to_owned()])).contains("which is not"));
        assert!(broken(|lock| lock.keep = "most".to_owned()).contains("is no `keep`"));
        assert!(
            broken(|lock| lock.platform.get_mut("linux/amd64").unwrap().layers.push("state".to_owned()))
                .contains("has a layer `state`")
        );
        assert!(broken(|lock| first(lock).in_release = None).contains("without a digest"));
        let local = |lock: &mut Lock| (first(lock).archive, first(lock).in_release) = ("local".to_owned(), None);
        assert!(broken(local).contains("is no locked input"));
        let debug = |lock: &mut Lock| {
            let mut section = lock.clone();
            first(&mut section).layer = "other".to_owned();
            lock.put(Some("debug"), section);
        };
        assert!(broken(debug).contains("variant `debug`: package `hello` of `linux/amd64` goes to no layer `other`"));
        assert_eq!(broken(|_| ()), "read");
    }

    #[test]
    fn a_syntax_error_points_at_its_place() {
        let text = sample().to_text().replace("keep = ", "keep = 3 # ");
        let error = Lock::parse("web.lock", &text).unwrap_err();
        assert_eq!(error.code(), "lock::syntax");
        assert_eq!(error.labels().len(), 1);
        let unknown = sample().to_text().replace("keep = ", "kept = 1\nkeep = ");
        assert_eq!(Lock::parse("web.lock", &unknown).unwrap_err().code(), "lock::syntax");
        let digest = sample().to_text().replace("spec = \"sha256:", "spec = \"sha256:X");
        assert_eq!(Lock::parse("web.lock", &digest).unwrap_err().code(), "lock::syntax");
    }
}
