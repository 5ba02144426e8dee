//! What cannot be said to a daemon.

use crate::diag::Diagnose;

/// A lock that cannot be lowered to a graph of operations.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A worker that is not named by digest, or not at all.
    #[error("cannot use worker `{worker}`: {problem}")]
    Worker {
        /// As the user wrote it.
        worker: String,
        /// What is wrong.
        problem: String,
    },
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
    /// A layer that the lock does not have.
    #[error("cannot build layer `{layer}` for `{platform}`: the lock does not have it")]
    Layer {
        /// The layer.
        layer: String,
        /// The platform.
        platform: String,
    },
    /// An address that only this machine can read.
    #[error("cannot have BuildKit fetch {what} from `{url}`: that is a path of this machine")]
    Path {
        /// The package, or the file.
        what: String,
        /// Its address.
        url: String,
    },
    /// A package without an address.
    #[error("cannot have BuildKit fetch package `{package}`: no mirror of `{archive}` is known")]
    NoMirror {
        /// The package.
        package: String,
        /// Its archive.
        archive: String,
    },
    /// An archive that asks who is there.
    #[error("cannot have BuildKit fetch package `{package}`: `{archive}` wants a login, and BuildKit asks without one")]
    Login {
        /// The package.
        package: String,
        /// Its archive.
        archive: String,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Worker { .. } => "graph::worker",
            Self::OtherRelease { .. } => "graph::other-release",
            Self::Platform(_) | Self::NoPlatform => "graph::platform",
            Self::Layer { .. } => "graph::layer",
            Self::Path { .. } => "graph::path",
            Self::NoMirror { .. } => "graph::no-mirror",
            Self::Login { .. } => "graph::login",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Worker { .. } => "write `HOST/IMAGE@sha256:DIGEST` or `URL#sha256=DIGEST`".to_owned(),
            Self::OtherRelease { tarsia, .. } => format!("build with tarsia {tarsia}, or lock again"),
            Self::Path { .. } => "serve it over HTTP, and name that address: `--mirror [ARCHIVE=]http://…`".to_owned(),
            Self::NoMirror { archive, .. } | Self::Login { archive, .. } => {
                format!("`--mirror {archive}=http://…` names a mirror that BuildKit can ask")
            }
            Self::Platform(_) | Self::NoPlatform | Self::Layer { .. } => return Vec::new(),
        };
        vec![hint]
    }
}
