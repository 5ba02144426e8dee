//! What can go wrong while a layer is written.

use std::io;

use crate::codec::encode;
use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::tar::write::Unwritable;
use crate::tree::ImagePath;

/// An error of the layer stage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The threads cannot be started.
    #[error("cannot start threads")]
    Threads {
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
    /// An entry that no tar can hold.
    #[error(transparent)]
    Entry(#[from] Unwritable),
    /// An entry whose body is in a pack, in a group without one.
    #[error("cannot write `{path}`: its plan names no pack")]
    NoPack {
        /// The entry.
        path: ImagePath,
    },
    /// The bytes in the pack are not those that selection saw.
    #[error("cannot write `{path}`: its bytes are {found}, and the plan says {expected}")]
    Content {
        /// The entry.
        path: ImagePath,
        /// Digest in the plan.
        expected: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// The data of a pack cannot be read.
    #[error("cannot read `{path}` from its pack {pack}")]
    Data {
        /// The entry.
        path: ImagePath,
        /// Key of the pack.
        pack: Digest,
        /// Why.
        source: io::Error,
    },
    /// The codec cannot be used.
    #[error(transparent)]
    Encode(#[from] encode::Error),
    /// A layer that somebody else wrote is not that of its plan.
    #[error("cannot take layer `{layer}`: {problem}")]
    Received {
        /// The layer's name.
        layer: String,
        /// What is wrong.
        problem: String,
    },
    /// A layer that somebody else wrote cannot be read.
    #[error("cannot read layer `{layer}`")]
    Source {
        /// The layer's name.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// The blob cannot be written.
    #[error("cannot write layer `{layer}`")]
    Sink {
        /// The layer's name.
        layer: String,
        /// Why.
        source: io::Error,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Threads { .. } => "layer::threads",
            Self::Entry(_) => "layer::entry",
            Self::NoPack { .. } => "layer::no-pack",
            Self::Content { .. } => "layer::content",
            Self::Data { .. } => "layer::data",
            Self::Encode(error) => error.code(),
            Self::Received { .. } => "layer::received",
            Self::Source { .. } => "layer::source",
            Self::Sink { .. } => "layer::sink",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Content { .. } | Self::Data { .. } => {
                vec!["`tarsia cache verify` throws out what does not hold; then build again".to_owned()]
            }
            Self::Encode(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
