//! SLSA provenance (version 1.1, `https://slsa.dev/provenance/v1`) of one manifest.
//!
//! A function of the spec, the lock, the local files and how far the lock was proved. There are no times, run ids, host
//! names or paths of a machine in it, so that a rebuild writes the same bytes.
//!
//! The parameters of [`BUILD_TYPE`] are told in README.md, "Provenance"; whoever changes their meaning changes the URI.

use serde_json::{Map, Value, json};

use super::{PROVENANCE, Statement};
use crate::digest::Digest;
use crate::lock::{Lock, LockedPackage, Reference};
use crate::select::Report;
use crate::spec::{Compression, Platform, Spec};

/// How an image is built, and what the parameters of the provenance mean.
pub const BUILD_TYPE: &str = "https://tarsia.dev/buildtypes/image/v1";

/// Who builds, where nobody says otherwise: tarsia on a machine that nothing is known of (SLSA build level 1).
pub const BUILDER: &str = "https://tarsia.dev/builders/local/v1";

/// A revision of the checkout that a spec stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRevision {
    /// Where the repository is, as `git+https://example.org/web`, where that is known.
    pub uri: Option<String>,
    /// The commit, 40 or 64 lower-case hexadecimal digits.
    pub commit: String,
}

impl SourceRevision {
    /// Parses `[URI@]COMMIT`.
    ///
    /// # Errors
    /// A commit that is no full one, or something before it that is no URI.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (uri, commit) = match text.rsplit_once('@') {
            Some((uri, commit)) => (Some(uri), commit),
            None => (None, text),
        };
        let is_hex = commit.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_hex || !matches!(commit.len(), 40 | 64) {
            return Err("a commit has 40 or 64 lower-case hexadecimal digits");
        }
        if let Some(uri) = uri
            && (!uri.contains(':') || uri.chars().any(|c| c.is_whitespace() || c.is_control()))
        {
            return Err("what stands before the `@` is no URI");
        }
        Ok(Self { uri: uri.map(str::to_owned), commit: commit.to_owned() })
    }
}

/// A file beneath the spec's directory that went into an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its path from the spec's directory.
    pub path: String,
    /// Its SHA-256.
    pub digest: Digest,
}

/// A document that was made beside the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Byproduct {
    /// Its file's name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its SHA-256.
    pub digest: Digest,
}

/// What provenance is made from.
#[derive(Clone, Copy)]
pub struct ProvenanceInput<'a> {
    /// The image's name.
    pub name: &'a str,
    /// The manifest's digest.
    pub manifest: Digest,
    /// Its platform.
    pub platform: Platform,
    /// The spec, with its variant on top.
    pub spec: &'a Spec,
    /// What the lock says of it.
    pub lock: &'a Lock,
    /// What selection had to say.
    pub report: &'a Report,
    /// What was copied from beneath the spec's directory, sorted.
    pub local: &'a [LocalFile],
    /// Whether every package was found in signed metadata as the lock says it.
    pub proved: bool,
    /// Where a file of an archive is published, by the archive, the date of its metadata and the path below its base.
    pub location: &'a dyn Fn(&str, i64, &str) -> Option<String>,
    /// The package URL by which the SBOMs know a package; `None` where they do not, since nothing of it is in the image.
    pub purl: &'a dyn Fn(&LockedPackage) -> Option<String>,
    /// The documents that name this image.
    pub byproducts: &'a [Byproduct],
    /// The checkout's revision, where it is to be told.
    pub source: Option<&'a SourceRevision>,
    /// Who builds; [`BUILDER`] where nobody says otherwise.
    pub builder: &'a str,
}

/// Returns the statement that says how a manifest was built.
pub fn provenance(input: &ProvenanceInput<'_>) -> Statement {
    let ProvenanceInput { spec, lock, .. } = *input;
    let mut external = Map::new();
    external.insert("spec".to_owned(), json!({ "name": spec.name, "digest": sha256(&lock.spec) }));
    external.insert("platform".to_owned(), input.platform.oci().into());
    if let Some(variant) = &spec.variant {
        external.insert("variant".to_owned(), variant.as_str().into());
    }
    let internal = json!({
        "encoding": lock.encoding,
        "rules": lock.rules,
        "keep": lock.keep,
        "compression": compression(spec.layers.compression),
        "sourceDateEpoch": lock.source_date,
        "relaxed": relaxed(input),
    });
    let byproducts: Vec<Value> = input
        .byproducts
        .iter()
        .map(|one| json!({ "name": one.name, "mediaType": one.media_type, "digest": sha256(&one.digest) }))
        .collect();
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": internal,
            "resolvedDependencies": dependencies(input),
        },
        "runDetails": {
            "builder": { "id": input.builder, "version": { "tarsia": env!("CARGO_PKG_VERSION") } },
            "byproducts": byproducts,
        },
    });
    Statement::new(input.name, input.manifest, PROVENANCE, predicate)
}

/// Returns every input, as resource descriptors (in-toto attestation framework, ResourceDescriptor).
fn dependencies(input: &ProvenanceInput<'_>) -> Vec<Value> {
    let ProvenanceInput { spec, lock, platform, .. } = *input;
    let mut all = Vec::new();
    if let Some(SourceRevision { uri, commit }) = input.source {
        let mut source = json!({ "name": "source", "digest": { "gitCommit": commit } });
        if let Some(uri) = uri {
            source["uri"] = uri.as_str().into();
        }
        all.push(source);
    }
    let file = |name: &str, kind: &str, digest: &Digest| json!({ "name": name, "digest": sha256(digest), "annotations": { "kind": kind } });
    all.push(file("spec", "spec", &Digest::of(spec.merged().as_bytes())));
    all.push(file("lock", "lock", &Digest::of(lock.to_text().as_bytes())));
    for reference in lock.references(|name| name == platform.oci()) {
        let mut one = file(&reference.name(), reference.kind(), &reference.digest());
        let located = |one: &mut Value, date: i64| {
            if let Some(location) =
                reference.location().and_then(|(archive, path)| (input.location)(archive, date, &path))
            {
                one["downloadLocation"] = location.into();
            }
        };
        match reference {
            // What is signed names them by digest.
            Reference::PackagesFile(..) => continue,
            Reference::InRelease(set) | Reference::Signature(set, _) => located(&mut one, set.date),
            Reference::Package(package) => {
                one["uri"] = (input.purl)(package).unwrap_or_else(|| purl(package, spec)).into();
                located(&mut one, lock.set_of(package).map_or(lock.source_date, |set| set.date));
            }
            Reference::Input(input) if input.kind == "fetch" => one["uri"] = input.name.as_str().into(),
            Reference::Input(_) => {}
        }
        all.push(one);
    }
    all.extend(input.local.iter().map(|local| file(&local.path, "copy", &local.digest)));
    all
}

/// Returns every check that was relaxed, each with what it was relaxed for.
fn relaxed(input: &ProvenanceInput<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    if !input.proved {
        all.push(json!({ "check": "archive-chain-not-proved" }));
    }
    for never in input.spec.never.iter().filter(|never| never.value.force) {
        all.push(json!({ "check": "never-forced", "pattern": never.value.glob }));
    }
    for (package, script, _) in &input.report.unhandled {
        all.push(json!({ "check": "unhandled-script", "package": package, "script": script }));
    }
    for exception in input.spec.checks.iter().flat_map(|checks| &checks.allow) {
        let exception = &exception.value;
        let (finding, path) = (exception.finding.as_str(), &exception.path);
        all.push(json!({ "check": "exception", "finding": finding, "path": path, "because": exception.because }));
    }
    all
}

fn compression(compression: Compression) -> String {
    match compression {
        Compression::Zstd(level) => format!("zstd:{level}"),
        Compression::Gzip(level) => format!("gzip:{level}"),
    }
}

fn sha256(digest: &Digest) -> Value {
    json!({ "sha256": digest.hex() })
}

/// Returns the package URL of a locked package (purl-spec, type `deb`), as far as spec and lock tell it: its
/// distribution's name, its version, architecture, distribution and, where they differ, its source.
fn purl(package: &LockedPackage, spec: &Spec) -> String {
    let distro = spec.distro.as_ref().map(|distro| distro.value.as_str().replace('/', "-"));
    // An archive that the spec names is not the distribution's.
    let own = spec.archives.contains_key(&package.archive).then_some(package.archive.as_str());
    let vendor = own.or_else(|| distro.as_deref().and_then(|distro| distro.split('-').next())).unwrap_or("debian");
    let upstream = match &package.source_version {
        Some(version) => Some(format!("{}@{version}", package.source)),
        None if package.source != package.name => Some(package.source.clone()),
        None => None,
    };
    let build = || -> Result<String, packageurl::Error> {
        let mut url = packageurl::PackageUrl::new("deb", package.name.clone())?;
        url.with_namespace(vendor)?.with_version(package.version.clone())?;
        url.add_qualifier("arch", package.architecture.clone())?;
        if let Some(distro) = distro.clone() {
            url.add_qualifier("distro", distro)?;
        }
        if let Some(upstream) = upstream.clone() {
            url.add_qualifier("upstream", upstream)?;
        }
        Ok(url.to_string())
    };
    build().unwrap_or_else(|_| format!("pkg:deb/{vendor}/{}@{}", package.name, package.version))
}
