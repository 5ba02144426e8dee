//! What can go wrong in an operation.

use std::io;

use super::Contract;
use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::{image, layer, package};

/// An error of an operation over files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The graph is another release's.
    #[error("cannot work for contract {asked}: this worker is of contract {}", Contract::OWN)]
    Contract {
        /// The graph's.
        asked: Contract,
    },
    /// Something that is mounted, or should be, cannot be read.
    #[error("cannot read {what} at `{path}`")]
    Read {
        /// What it is, with the package or layer that it is of.
        what: String,
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Something that is mounted is not what it should be.
    #[error("cannot use {what}: {problem}")]
    Broken {
        /// What it is, with the package or layer that it is of.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A package whose bytes are not those that were asked for.
    #[error("cannot open package `{name}`: its bytes are {found}, and the lock says {expected}")]
    Bytes {
        /// The package.
        name: String,
        /// Digest in the lock.
        expected: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// A package that cannot be opened.
    #[error("cannot open package `{name}`")]
    Package {
        /// The package.
        name: String,
        /// Why.
        source: package::Error,
    },
    /// A layer that cannot be written.
    #[error("cannot write layer `{name}`")]
    Layer {
        /// The layer.
        name: String,
        /// Why.
        source: layer::Error,
    },
    /// A layer that is not the one of its plan.
    #[error("cannot use layer `{name}` of {platform}: it is that of plan {found}, and the selection gives {expected}")]
    OtherPlan {
        /// The layer.
        name: String,
        /// The platform.
        platform: String,
        /// Key of the plan that it was made of.
        found: Digest,
        /// Key of the plan that it should be made of.
        expected: Digest,
    },
    /// A layer that cannot be unpacked.
    #[error("cannot unpack the layer")]
    Unpack {
        /// Why.
        source: image::Error,
    },
    /// An entry of a layer that cannot be unpacked.
    #[error("cannot unpack `/{path}`: {problem}")]
    Entry {
        /// Its path.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// An output that cannot be written.
    #[error("cannot write to `{path}`")]
    Write {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An output that holds something already.
    #[error("cannot write to `{path}`: it is not empty")]
    Occupied {
        /// Where.
        path: String,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Contract { .. } => "worker::contract",
            Self::Read { .. } => "worker::read",
            Self::Broken { .. } => "worker::broken",
            Self::Bytes { .. } => "worker::bytes",
            Self::Package { source, .. } => source.code(),
            Self::Layer { source, .. } => source.code(),
            Self::OtherPlan { .. } => "worker::other-plan",
            Self::Unpack { source } => source.code(),
            Self::Entry { .. } => "worker::entry",
            Self::Write { .. } => "worker::write",
            Self::Occupied { .. } => "worker::occupied",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Contract { .. } => vec!["the worker must be of the same release as what makes the graph".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Returns an error about something that is mounted and not what it should be.
pub(crate) fn broken(what: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Broken { what: what.into(), problem: problem.into() }
}
