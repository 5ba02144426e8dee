//! The spec: what a person asks for. Parsing is pure; reading files is [`read`]'s alone.
//!
//! A text passes five rooms: `node` (YAML to a tree with places), `shape` (the tree against the table of the language),
//! `extend` (one tree from the spec, what it extends, and a variant), `lower` (the tree to a [`Spec`], with what parts
//! must hold together), and out. Mistakes are told together, in source order. What the language has and no engine
//! carries out yet is checked like the rest and then refused with the code `spec::not-yet`: nothing is quietly ignored.

mod base;
mod checks;
mod edit;
mod error;
mod extend;
mod files;
mod form;
mod lower;
mod node;
mod plain;
mod scalar;
mod schema;
mod shape;
mod slice;
mod starter;
mod table;
#[cfg(test)]
mod tests;
mod users;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

pub use base::BaseImage;
pub use checks::{Checks, Exception, FileRule, Finding, LicenseException, LicenseRules, Policy, Trial};
pub use edit::{EditError, PackageWord, add, remove};
pub use error::{Error, IoError, Problem, nearest};
pub use plain::{Plain, PlainValue, read_plain};
pub use schema::schema;
pub use slice::SliceName;
pub use starter::starter;

use crate::canon;
pub use crate::codec::Compression;
use crate::diag::{Problems, Source, Span};
use crate::digest::Digest;
use crate::tree::ImagePath;

/// Stands for an archive where a package is a file beneath the spec's directory.
pub const LOCAL: &str = "local";

/// A value with the place it stands at in the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in [`Spec::source`].
    pub span: Span,
}

/// A checked spec: defaults are filled in, names resolved, no file read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The text it was parsed from.
    pub source: Arc<Source>,
    /// `name`; never in the digest of an image. The file's stem where the spec has none.
    pub name: String,
    /// Which of `variants` this is; `None` for the spec without any.
    pub variant: Option<String>,
    /// Names of all `variants`, sorted.
    pub variants: Vec<String>,
    /// `distro`.
    pub distro: Option<Spanned<Distro>>,
    /// `platforms`; empty where the spec leaves it to the host.
    pub platforms: Vec<Spanned<Platform>>,
    /// `archives`, beside the distro's own.
    pub archives: BTreeMap<String, ArchiveSpec>,
    /// `packages` without exclusions, in the spec's order.
    pub packages: Vec<Spanned<PackageRequest>>,
    /// `{deb: …}` entries of `packages`, in the spec's order.
    pub debs: Vec<Spanned<LocalPackage>>,
    /// `"!pkg"` entries.
    pub excluded: Vec<Spanned<String>>,
    /// `keep`; the default where absent.
    pub keep: Keep,
    /// `also`: globs of what is kept whatever `keep` says.
    pub also: Vec<Spanned<String>>,
    /// `never`: globs of what is dropped.
    pub never: Vec<Spanned<Never>>,
    /// `features`: named things that no static reading can see.
    pub features: Vec<Spanned<Feature>>,
    /// `slices`: directory of slice definitions beneath the spec's directory.
    pub slices: Option<Spanned<String>>,
    /// Slices that `packages` names, in the spec's order; `packages` has their packages.
    pub sliced: Vec<Spanned<SliceName>>,
    /// `rules`: directory of own closure rules beneath the spec's directory.
    pub rules: Option<Spanned<String>>,
    /// `files`, in the spec's order.
    pub files: Vec<Spanned<FileEntry>>,
    /// `users` of the spec alone (the built-in ones are added in selection).
    pub users: BTreeMap<String, UserSpec>,
    /// `groups` of the spec alone.
    pub groups: BTreeMap<String, GroupSpec>,
    /// `certificates`: PEM files beneath the spec's directory.
    pub certificates: Vec<Spanned<String>>,
    /// `run`, with defaults filled in.
    pub run: Run,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `layers`, with defaults filled in.
    pub layers: LayerSpec,
    /// `sbom`, with defaults filled in.
    pub sbom: SbomSpec,
    /// `checks`.
    pub checks: Option<Checks>,
    /// `base`.
    pub base: Option<BaseImage>,
    /// Digest of [`Spec::explicit`].
    pub digest: Digest,
    /// The explicit keys in canonical form (JSON without spaces, keys sorted bytewise), after `extends` and the variant;
    /// `name`, `extends` and `variants` left out.
    pub explicit: String,
}

/// Gives a file beneath the spec's directory by its path there: its text, or what is wrong with it.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Spec {
    /// Parses a spec that extends nothing; `stem` is its file's name without the ending, its name where the text has
    /// none.
    pub fn parse(source: &Arc<Source>, stem: &str) -> Result<Self, Problems> {
        Self::load(source, stem, None, &|_| Err("there are no files beside this text".to_owned()))
    }

    /// Parses a spec with what it extends, which `read` gives, and with one of its variants on top.
    ///
    /// # Errors
    /// All mistakes of all texts, each with its place; a file that cannot be had; a variant that is not there.
    pub fn load(source: &Arc<Source>, stem: &str, variant: Option<&str>, read: ReadFile<'_>) -> Result<Self, Problems> {
        let mut report = error::Report::new(source);
        let spec = node::parse(&mut report).map(|root| {
            let root = extend::whole(root, variant, read, &mut report);
            Self { variant: variant.map(str::to_owned), ..lower::lower(&root, stem, &mut report) }
        });
        if spec.is_none() && report.is_empty() {
            report.add(Error::Syntax, Span::default(), "it is no YAML document");
        }
        match (report.into_problems(), spec) {
            (None, Some(spec)) => Ok(spec),
            (problems, _) => Err(problems.expect("a text without a tree has a problem")),
        }
    }

    /// Returns the name of its image: `name`, with the variant's behind it.
    pub fn image_name(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}-{variant}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns a spec that stands for itself: what this one says with what it extends and with the variant on top, under
    /// the image's name. Its digest is this one's; comments, and variants beside this one, are not in it.
    pub fn merged(&self) -> String {
        let mut keys: serde_json::Value =
            serde_json::from_str(&self.explicit).expect("what a spec says has been written as JSON");
        if let Some(keys) = keys.as_object_mut() {
            keys.insert("name".to_owned(), self.image_name().into());
        }
        let mut text = canon::indented_sorted(&keys);
        text.push(b'\n');
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}

/// Reads and parses a spec; messages show `path` as it is given.
pub fn read(path: &Path) -> Result<Spec, Problems> {
    let name = path.display().to_string();
    let refuse = |cause: std::io::Error| Error::Read { name: name.clone(), cause: Arc::new(IoError(cause)) };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(refuse)?;
    file.take(node::MAX_SIZE as u64 + 1).read_to_end(&mut bytes).map_err(refuse)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| refuse(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8")))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Spec::parse(&Source::new(name, text), &stem)
}

/// A distribution release that tarsia knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distro {
    /// Debian 12, bookworm.
    Debian12,
    /// Debian 13, trixie.
    Debian13,
}

impl Distro {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Debian12, Self::Debian13];

    /// Returns the word used in specs, `debian/13`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian12 => "debian/12",
            Self::Debian13 => "debian/13",
        }
    }

    /// Returns the distro for a word of a spec.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|distro| distro.as_str() == word)
    }
}

/// An OCI platform that tarsia builds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// linux/amd64.
    Amd64,
    /// linux/arm64.
    Arm64,
}

impl Platform {
    /// Returns the OCI name, `linux/amd64`.
    pub fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
        }
    }

    /// Returns Debian's architecture name, which is also OCI's `architecture`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the platform for an OCI name.
    pub fn from_oci(name: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64].into_iter().find(|platform| platform.oci() == name)
    }
}

/// An archive beside the distro's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSpec {
    /// Base address: `https:`, `http:` or `file:`; the directory that holds `dists/` and `pool/`. Without slashes at
    /// its end.
    pub uri: String,
    /// Suite below `dists/`; of a flat archive the directory of its Release, `./` or with a slash at its end.
    pub suite: String,
    /// Components; none of a flat archive, else at least one.
    pub components: Vec<String>,
    /// Key file (armoured or binary OpenPGP certificate) beneath the spec's directory.
    pub signed_by: Spanned<String>,
    /// How many different certificates must have signed; at least 1.
    pub min_signatures: u32,
    /// Fingerprints that must be among the signers, in upper-case hexadecimal digits.
    pub require_key: Vec<String>,
    /// Whether credentials are looked for, in netrc and in apt's auth.conf.
    pub auth: bool,
    /// PEM file of further certificate authorities for its servers, beneath the spec's directory.
    pub ca: Option<Spanned<String>>,
}

/// One entry of `packages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRequest {
    /// Package name.
    pub name: String,
    /// `>= 1.22` and the like: relation (`<<`, `<=`, `=`, `>=`, `>>`) and version.
    pub version: Option<(String, String)>,
    /// Archive it must come from.
    pub from: Option<String>,
    /// How much of it is kept, where that is not what the spec keeps of all.
    pub keep: Option<Keep>,
}

/// A package file beneath the spec's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPackage {
    /// Path relative to the spec's directory, as of [`FileSource::Copy`].
    pub path: String,
    /// As of [`PackageRequest::keep`].
    pub keep: Option<Keep>,
}

/// One entry of `never`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    /// What is dropped, as a glob over paths in the image.
    pub glob: String,
    /// Even where something kept needs it.
    pub force: bool,
}

/// One entry of `features`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name, one of those that rules know.
    pub name: String,
    /// What of it, after a colon; all of it where absent.
    pub value: Option<String>,
}

/// `sbom`: what is told of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SbomSpec {
    /// `spdx`, `cyclonedx`, `spdx3`; empty where the spec names none.
    pub formats: Vec<String>,
    /// Who makes the image.
    pub author: Option<String>,
    /// Form of dpkg's database in the image.
    pub dpkg_db: DpkgDb,
}

/// Form of dpkg's database in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DpkgDb {
    /// `/var/lib/dpkg/status.d/NAME`, as distroless images have it: each package's in its own layer.
    #[default]
    StatusD,
    /// `/var/lib/dpkg/status` and `info/`, as dpkg itself reads and writes them.
    Status,
    /// None.
    None,
}

/// What an SBOM says of a file that no package ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SPDX licence expression.
    pub license: Option<String>,
    /// Who supplies it.
    pub supplier: Option<String>,
}

/// How much of the packages is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The closure of what is needed.
    #[default]
    Needed,
    /// Whole packages less documentation and administration.
    Runtime,
    /// Whole packages.
    All,
}

impl Keep {
    /// Returns the level for a word of spec or lock.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Needed, Self::Runtime, Self::All].into_iter().find(|keep| keep.as_str() == word)
    }

    /// Returns the word used in spec and lock.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Runtime => "runtime",
            Self::All => "all",
        }
    }
}

/// One entry of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// What is written.
    pub what: FileSource,
    /// Where; for `copy` of a directory and `unpack`, the directory that receives it. A trailing slash in the spec has
    /// already been resolved: `copy: a/b` `to: /x/` is `/x/b`.
    pub to: ImagePath,
    /// Owner: user name or number, `None` for 0.
    pub owner: Option<String>,
    /// Group: name or number; `None` for the owner's group.
    pub group: Option<String>,
    /// Permission bits; `None` for the default of its kind.
    pub mode: Option<u32>,
    /// What an SBOM says of it.
    pub component: Option<Component>,
}

/// What a `files` entry writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A file or directory beneath the spec's directory; a directory's content goes below `to`.
    Copy {
        /// Path relative to the spec's directory, `/`-separated, without `..`, `./` and trailing slash; `.` for the
        /// spec's directory itself.
        path: String,
        /// Globs relative to `path`; empty for all.
        include: Vec<String>,
        /// Globs relative to `path` that are left out.
        exclude: Vec<String>,
    },
    /// A file from the network, by digest.
    Fetch {
        /// `https:`, `http:` or `file:` address.
        url: String,
        /// Its SHA-256.
        digest: Digest,
        /// Unpacked as a tar (plain, gzip, xz or zstd).
        unpack: bool,
        /// Leading path components dropped from its entries.
        strip: u32,
    },
    /// Literal text.
    Text(String),
    /// An empty directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
}

/// A user of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// Number.
    pub uid: u32,
    /// Primary group's number; the user's own number where absent.
    pub gid: Option<u32>,
    /// Home directory, made with mode 0700 where set.
    pub home: Option<ImagePath>,
    /// Login shell; `/sbin/nologin` where absent.
    pub shell: Option<String>,
    /// Where the entry stands.
    pub span: Span,
}

/// A group of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// Number.
    pub gid: u32,
    /// Members by name.
    pub members: Vec<String>,
    /// Where the entry stands.
    pub span: Span,
}

/// `run`: what becomes the image's config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// User name, `uid` or `uid:gid`; `nonroot` by default.
    pub user: Spanned<String>,
    /// Entrypoint.
    pub entrypoint: Vec<String>,
    /// Arguments.
    pub cmd: Vec<String>,
    /// Environment, the default PATH included.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub workdir: String,
    /// Ports as `8080/tcp`.
    pub ports: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Stop signal.
    pub stop_signal: Option<String>,
}

/// `layers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerSpec {
    /// The most package layers, 1 to 30.
    pub max: u32,
    /// How layers are stored.
    pub compression: Compression,
}
