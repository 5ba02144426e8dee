//! What can go wrong in a build.

use std::io;
use std::sync::Arc;

use crate::diag::{Diagnose, Label, Source, Span, Verdict};
use crate::digest::Digest;
use crate::engine::farm;
use crate::{image, layer, package, sbom, select, store};

/// An error of a build.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock was written for other tables or another encoding.
    #[error("cannot build: the lock is for encoding {encoding} and rules {rules}, written by tarsia {tarsia}")]
    OtherRelease {
        /// The release that wrote it.
        tarsia: String,
        /// Its encoding.
        encoding: u32,
        /// Its rules.
        rules: u32,
    },
    /// A platform that the lock does not have.
    #[error("cannot build for `{0}`: the lock does not have it")]
    Platform(String),
    /// A lock without platforms.
    #[error("cannot build: the lock has no platform")]
    NoPlatform,
    /// A package that is not in the store.
    #[error("cannot open `{name}` {version}: the store does not hold {digest}")]
    Missing {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// Digest of the `.deb`.
        digest: Digest,
    },
    /// A package that cannot be opened.
    #[error("cannot open package `{name}`")]
    Package {
        /// The package.
        name: String,
        /// Why.
        source: package::Error,
    },
    /// A package that nobody opened.
    #[error("cannot select from `{name}`: it was not opened")]
    NotOpened {
        /// The package.
        name: String,
    },
    /// An opened package that the lock does not name.
    #[error("cannot select from `{name}`: the lock does not name it")]
    NotLocked {
        /// The package.
        name: String,
    },
    /// Another package was opened than the lock names.
    #[error("cannot select from `{name}`: {found} was opened, and the lock says {locked}")]
    OtherPackage {
        /// The package.
        name: String,
        /// Digest of the `.deb` that was opened.
        found: Digest,
        /// Digest of the `.deb` in the lock.
        locked: Digest,
    },
    /// A base that cannot be built on.
    #[error("cannot build on `{base}`: {problem}")]
    Base {
        /// As the spec names it.
        base: String,
        /// What is wrong.
        problem: String,
        /// The spec's text.
        source_text: Arc<Source>,
        /// Where it names the base.
        span: Span,
    },
    /// A temporary file in the store that cannot be written or read.
    #[error("cannot write a temporary file in the store")]
    Temporary {
        /// Why.
        source: io::Error,
    },
    /// The spec's own files cannot be opened.
    #[error(transparent)]
    Local(#[from] package::Error),
    /// Selection.
    #[error(transparent)]
    Select(#[from] select::Error),
    /// Layers.
    #[error(transparent)]
    Layer(#[from] layer::Error),
    /// Documents.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// Those who open packages and write layers in the place of this process.
    #[error(transparent)]
    Remote(Box<farm::Error>),
    /// What the image consists of.
    #[error(transparent)]
    Sbom(#[from] sbom::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Returns the error of the stage that this is about, where it adds nothing itself.
    fn inner(&self) -> Option<&dyn Diagnose> {
        match self {
            Self::Local(error) | Self::Package { source: error, .. } => Some(error),
            Self::Select(error) => Some(error),
            Self::Layer(error) => Some(error),
            Self::Image(error) => Some(error),
            Self::Remote(error) => Some(&**error),
            Self::Sbom(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherRelease { .. } => "engine::other-release",
            Self::Platform(_) => "engine::platform",
            Self::NoPlatform => "engine::no-platform",
            Self::Missing { .. } => "engine::missing-package",
            Self::NotOpened { .. } => "engine::not-opened",
            Self::NotLocked { .. } => "engine::not-locked",
            Self::OtherPackage { .. } => "engine::other-package",
            Self::Base { .. } => "engine::base",
            Self::Temporary { .. } => "engine::temporary",
            other => other.inner().map_or("engine::local", Diagnose::code),
        }
    }

    fn labels(&self) -> Vec<Label> {
        if let Self::Base { source_text, span, .. } = self {
            return vec![Label { source: source_text.clone(), span: *span, text: String::new() }];
        }
        self.inner().map(Diagnose::labels).unwrap_or_default()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::OtherRelease { tarsia, .. } => {
                vec![format!("build with tarsia {tarsia}, or run `tarsia lock` to move to this release")]
            }
            Self::Platform(_) | Self::NoPlatform => vec!["add it to `platforms` and run `tarsia lock`".to_owned()],
            Self::Missing { .. } => vec!["`tarsia fetch` downloads what a lock names".to_owned()],
            other => other.inner().map(Diagnose::hints).unwrap_or_default(),
        }
    }

    fn verdict(&self) -> Verdict {
        self.inner().map_or(Verdict::Unknown, Diagnose::verdict)
    }
}
