//! One file per command: the stages in order. Nothing here prints, and the outside world comes in by [`World`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diag::{Diagnose, Label, Progress, Source, Span, Verdict};
use crate::engine::farm;
use crate::fetch::{Clock, FetchOptions, MirrorFlag, Transport};
use crate::kit::Kit;
use crate::load::Engines;
use crate::registry::Registry;
use crate::spec::Platform;
use crate::store::Store;
use crate::{image, load, registry, store};

mod add;
mod assets;
mod attach;
mod attest;
mod audit;
mod build;
mod bundles;
mod cache;
mod check;
mod diff;
mod embed;
mod evidence;
mod fetch;
mod frontend;
mod init;
mod inspect;
mod keygen;
mod kit;
mod learn;
mod llb;
mod local;
mod lock;
mod metadata;
mod outdated;
mod output;
mod project;
mod prove;
mod published;
mod push;
mod rebuild;
mod release;
mod remove;
mod run;
mod sbom;
mod scan;
mod sign;
mod slices;
mod source;
mod supply;
mod test;
mod vendor;
mod verify;
mod why;
mod why_image;
pub mod worker;

pub use crate::attest::SourceRevision;
pub use add::{ChangeOptions, ChangeOutcome, add};
pub use attach::{AttachOptions, Attached, SbomAttachOptions, attach, attach_sbom};
pub use attest::{AttestOptions, Attested, attest};
pub use audit::{Audit, AuditOptions, AuditedImage, audit, audit_spec};
pub use build::{BuildOptions, BuildOutcome, Revision, build};
pub use cache::{gc, verify as verify_cache};
pub use check::{CheckOptions, CheckOutcome, check};
pub use diff::{Diff, Gone, ImageDiff, PackageChange, PlatformSummary, Total, diff};
pub use fetch::{FetchOutcome, fetch};
pub use frontend::{Bridge, CacheImport, Error as FrontendError, FrontendInput, FrontendOutcome, Refused, frontend};
pub use init::init;
pub use inspect::{
    Detail, FileSummary, Inspection, LayerContents, LayerSummary, ManifestSummary, PackageContents, PackageSummary,
    PathSize, Surface, inspect,
};
pub use keygen::{KeyPair, KeygenOptions, keygen, keygen_public};
pub use kit::{KitOutcome, full_kit};
pub use learn::{LearnOptions, Learned, LearnedImage, Passing, Proposal, learn};
pub use llb::{LlbOptions, LlbOutcome, Target, Worker, llb, write_llb};
pub use lock::{LockOptions, LockOutcome, lock};
pub use outdated::{Outdated, outdated};
pub use output::directory_of_output;
pub use project::{Project, sections};
pub use prove::{Proof, prove};
pub use published::predicate_type;
pub use push::{Push, PushOptions, push};
pub use rebuild::{RebuildOptions, RebuildSource, RebuildVerdict, Rebuilt, rebuild};
pub use release::{Release, ReleaseOptions, release};
pub use remove::remove;
pub use run::RunOptions;
pub use sbom::{SbomError, SbomFormat, sbom, write_sbom};
pub use scan::{ScanError, ScanInput, Scanned, sbom_of_directory, scan};
pub use sign::{Signed, sign};
pub use source::Reach;
pub use test::{Tested, TestedImage, TestedRun, test};
pub use vendor::{VendorOptions, VendorOutcome, vendor};
pub use verify::{RebuildAnswer, RebuildInputs, VerdictSigner, Verification, VerifyOptions, verify};
pub use why::{Answer, Kept, PackageReason, PathReason, Step, WhyOptions, WhyOutcome, why};
pub use why_image::{image_path, why_image};

/// The outside world as a command sees it: disk, network, clock and machine, all handed in.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Where everything fetched and made is kept.
    pub store: &'a Store,
    /// Inputs that were vendored, asked by digest before the network.
    pub vendor: Option<&'a Kit>,
    /// The network.
    pub transport: &'a dyn Transport,
    /// The registries.
    pub registry: &'a Registry,
    /// The clock: seconds since 1970-01-01 UTC.
    pub now: i64,
    /// The machine's own platform: the default of a spec that names none.
    pub host: Platform,
    /// The machine's apt sources, by archive of the distro.
    pub apt: &'a BTreeMap<String, Vec<String>>,
    /// `--mirror [ARCHIVE=]URI`, in the order given.
    pub mirrors: &'a [MirrorFlag],
    /// How downloads are made.
    pub fetch: &'a FetchOptions,
    /// Time to wait by.
    pub clock: &'a dyn Clock,
    /// No network at all.
    pub offline: bool,
    /// `SOURCE_DATE_EPOCH`, which only `lock` reads.
    pub source_date_epoch: Option<i64>,
    /// Where this machine's container engines may be.
    pub engines: &'a Engines,
    /// The BuildKit daemons that open packages and write layers; `None` where this process does.
    pub daemons: Option<&'a farm::Options>,
    /// Threads that work.
    pub threads: usize,
    /// Bytes that work may hold.
    pub memory: u64,
    /// Who hears of progress.
    pub progress: &'a dyn Progress,
}

/// What a command can meet beside the errors of the stages.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the user's cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// As the user wrote it.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of the user's cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// As the user wrote it.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that would be overwritten.
    #[error("cannot write `{path}`: it exists")]
    Exists {
        /// As the user wrote it.
        path: String,
    },
    /// A name of a key pair that names a directory.
    #[error("cannot name a key pair `{name}`: it names no file")]
    KeyName {
        /// As the user wrote it.
        name: String,
    },
    /// No lock where one is needed.
    #[error("cannot use `{path}`: there is no such lock")]
    NoLock {
        /// The lock's path.
        path: String,
    },
    /// The lock does not fit the spec, and may not be written.
    #[error("cannot use `{path}`: it is stale: {}", reasons.join("; "))]
    Stale {
        /// The lock's path.
        path: String,
        /// What moved.
        reasons: Vec<String>,
    },
    /// A lock that its archives contradict.
    #[error("cannot believe `{path}`: the signed archive contradicts it: {}", contradictions.join("; "))]
    Contradicted {
        /// The lock's path.
        path: String,
        /// Each with both values.
        contradictions: Vec<String>,
        /// Whether this was the question; else it stopped a build.
        asked: bool,
    },
    /// A lock whose metadata can no longer be had, where proof is required.
    #[error("cannot prove `{path}`: {}", missing.join("; "))]
    Unproved {
        /// The lock's path.
        path: String,
        /// Which sets are missing, and why.
        missing: Vec<String>,
    },
    /// A file that the spec names has other bytes than the lock says.
    #[error("cannot use `{name}`: it is {found}, and the lock says {locked}")]
    InputMoved {
        /// Path or URL as the spec says it.
        name: String,
        /// Digest of what is there.
        found: String,
        /// Digest in the lock.
        locked: String,
    },
    /// A package beneath the spec's directory that cannot be opened.
    #[error("cannot lock `{path}`")]
    Package {
        /// Its path as the spec says it.
        path: String,
        /// Why.
        #[source]
        source: crate::package::Error,
    },
    /// A package beneath the spec's directory that does not fit.
    #[error("cannot lock `{}`: {problem}", source_text.locate(*span).0.name)]
    LocalPackage {
        /// The spec's text.
        source_text: Arc<Source>,
        /// Where the spec names it.
        span: Span,
        /// What is wrong.
        problem: String,
    },
    /// A word that names no package.
    #[error("cannot read `{word}` as a package")]
    NoWord {
        /// As given.
        word: String,
    },
    /// A platform that the lock does not hold.
    #[error("cannot build for `{platform}`: the lock holds {}", held.join(", "))]
    NoPlatform {
        /// What was asked for.
        platform: String,
        /// What there is.
        held: Vec<String>,
    },
    /// A text that is no path in an image.
    #[error("cannot look up `{path}`: {problem}")]
    NoPath {
        /// As given.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A package that is not in the lock.
    #[error("cannot explain `{package}`: it is not in the lock")]
    NoPackage {
        /// As given.
        package: String,
    },
    /// Packages to update that are not in the lock.
    #[error("cannot update {}: the lock does not have {}", quoted(packages), if packages.len() == 1 { "it" } else { "them" })]
    NotLocked {
        /// As given.
        packages: Vec<String>,
    },
    /// Outputs of two kinds at one path.
    #[error("cannot write two kinds of output to `{path}`")]
    OutputTwice {
        /// The path.
        path: String,
    },
    /// A spec that says nothing of runs.
    #[error("cannot test `{spec}`: it says no runs")]
    NoTrials {
        /// As the user wrote it.
        spec: String,
    },
    /// No commit to tell.
    #[error("cannot tell the commit of the checkout at `{directory}`: {problem}")]
    NoCheckout {
        /// The spec's directory.
        directory: String,
        /// Why.
        problem: String,
    },
    /// An output of an image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The documents beside an image.
    #[error(transparent)]
    Evidence(#[from] crate::evidence::Error),
    /// A container engine.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// A registry.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// An image of a registry that is not what it should be.
    #[error("cannot read image `docker://{reference}`: {problem}")]
    Published {
        /// Its name.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An image without evidence where it is needed.
    #[error("cannot find the documents of `{image}`: no evidence is beside it")]
    NoEvidence {
        /// As the user wrote it.
        image: String,
    },
    /// Evidence without a rebuild kit where one is needed.
    #[error("cannot make a full rebuild kit: there is none in `{directory}`")]
    NoKit {
        /// The evidence.
        directory: String,
    },
    /// A release of what is not proved.
    #[error("cannot release `{image}`: its packages were not proved against their signed archives")]
    UnprovedImage {
        /// As the user wrote it.
        image: String,
    },
    /// A name that no file should have.
    #[error("cannot release `{name}`: its name cannot begin the names of files")]
    AssetName {
        /// The name in the evidence.
        name: String,
    },
    /// A document that cannot be stated about an image.
    #[error("cannot attest `{path}`: {problem}")]
    Predicate {
        /// As the user wrote it.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An output that cannot be put in its place.
    #[error(transparent)]
    Output(#[from] store::Error),
    /// Several specs, and nothing said of where they go.
    #[error("cannot vendor {0} specs: nothing says where to")]
    NoOutput(usize),
    /// A file beside a spec that does not stand beneath it.
    #[error("cannot vendor `{path}`: it is not beneath the spec's directory")]
    Outside {
        /// As the spec has it.
        path: String,
    },
    /// A lock beside what is none.
    #[error("cannot compare `{lock}` with `{other}`: one is a lock, and the other is none")]
    LockAndImage {
        /// The lock, as given.
        lock: String,
        /// The other, as given.
        other: String,
    },
    /// Threads could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "ops::read",
            Self::Write { .. } => "ops::write",
            Self::Exists { .. } => "ops::exists",
            Self::KeyName { .. } => "ops::key-name",
            Self::NoLock { .. } => "lock::absent",
            Self::Stale { .. } => "lock::stale",
            Self::Contradicted { .. } => "lock::contradicted",
            Self::Unproved { .. } => "lock::unproved",
            Self::InputMoved { .. } => "lock::input-moved",
            Self::Package { source, .. } => source.code(),
            Self::LocalPackage { .. } => "lock::local-package",
            Self::NoWord { .. } => "spec::word",
            Self::NoPlatform { .. } => "lock::no-platform",
            Self::NoPath { .. } => "why::no-path",
            Self::NoPackage { .. } => "why::no-package",
            Self::NotLocked { .. } => "lock::not-locked",
            Self::OutputTwice { .. } => "ops::output-twice",
            Self::NoCheckout { .. } => "ops::no-checkout",
            Self::Image(error) => error.code(),
            Self::Evidence(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Registry(error) => error.code(),
            Self::Published { .. } => "ops::published",
            Self::NoEvidence { .. } => "ops::no-evidence",
            Self::NoKit { .. } => "release::no-kit",
            Self::UnprovedImage { .. } => "release::unproved",
            Self::AssetName { .. } => "release::name",
            Self::Predicate { .. } => "attest::predicate",
            Self::Output(error) => error.code(),
            Self::NoOutput(_) => "vendor::no-output",
            Self::Outside { .. } => "vendor::outside",
            Self::NoTrials { .. } => "test::no-runs",
            Self::LockAndImage { .. } => "diff::lock-and-image",
            Self::Threads { .. } => "ops::threads",
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::LocalPackage { source_text, span, .. } => {
                vec![Label { source: source_text.clone(), span: *span, text: String::new() }]
            }
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoLock { .. } => "`tarsia lock SPEC` writes it",
            Self::Stale { .. } => "`tarsia lock SPEC` writes a new one",
            Self::NoKit { .. } => "build it again",
            Self::NoEvidence { .. } => "build it again, or name the directory with `--evidence DIR`",
            Self::UnprovedImage { .. } => {
                "`tarsia build --require-proof` says why; `--unproved` releases it all the same"
            }
            Self::Contradicted { .. } => {
                "find out who changed the lock; `tarsia lock --update SPEC` makes one from the signed archive"
            }
            Self::Unproved { .. } => "`tarsia lock --update SPEC` moves the lock to metadata that can be had",
            Self::InputMoved { .. } => "`tarsia lock SPEC` takes the new bytes",
            Self::NoPlatform { .. } => "name it under `platforms:` and run `tarsia lock SPEC`",
            Self::NotLocked { .. } => "name packages that the lock has; `tarsia lock --update SPEC` updates all",
            Self::NoWord { .. } => {
                "write `name`, `'name >= 1.22'`, `'!name'` or the path of a `.deb` beneath the spec's directory"
            }
            Self::LocalPackage { .. } => {
                "a local package is chosen by its architecture: one for each platform, or `all`"
            }
            Self::LockAndImage { .. } => "name two images, or two locks (`*.lock`)",
            Self::NoOutput(_) => "name a directory, a `.tar` or a `.tar.zst` with `-o`",
            Self::Exists { .. } => "choose another path, or remove the file",
            Self::KeyName { .. } => "`-o keys/release` writes `keys/release.key` and `keys/release.pub`",
            Self::OutputTwice { .. } => "give each its own path",
            Self::NoTrials { .. } => {
                "say under `checks: run:` what is run and what it must show, as `- {args: [--version]}`"
            }
            Self::NoCheckout { .. } => "name the commit: `--source-revision COMMIT`",
            Self::Image(error) => return error.hints(),
            Self::Evidence(error) => return error.hints(),
            Self::Load(error) => return error.hints(),
            Self::Registry(error) => return error.hints(),
            Self::Output(error) => return error.hints(),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Package { .. }
            | Self::NoPath { .. }
            | Self::Published { .. }
            | Self::Predicate { .. }
            | Self::AssetName { .. }
            | Self::NoPackage { .. }
            | Self::Outside { .. }
            | Self::Threads { .. } => {
                return Vec::new();
            }
        };
        vec![hint.to_owned()]
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self::Stale { .. } | Self::NoPackage { .. } | Self::Contradicted { asked: true, .. } => Verdict::No,
            _ => Verdict::Unknown,
        }
    }
}

/// Returns names as a message lists them.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Returns `path` as a message shows it.
fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}

/// Returns the lock's path for a spec's: `web.yaml` → `web.lock`.
fn lock_path(spec: &std::path::Path) -> PathBuf {
    spec.with_extension("lock")
}
