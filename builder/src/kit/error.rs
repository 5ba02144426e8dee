//! What can go wrong with a kit.

use std::io;
use std::path::PathBuf;

use crate::codec::encode;
use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::store;
use crate::tar::write::Unwritable;

/// An error of a kit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read vendored inputs from `{path}`")]
    Read {
        /// The kit as the user named it.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is none.
    #[error("cannot use `{path}` as vendored inputs: {problem}")]
    Invalid {
        /// The kit as the user named it.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// It cannot be written.
    #[error("cannot write vendored inputs to `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file to be written cannot be had.
    #[error("cannot vendor `{name}`: {digest} is not in the store")]
    Missing {
        /// What a person knows it as.
        name: String,
        /// Its digest.
        digest: Digest,
    },
    /// A file to be written has other bytes than it should.
    #[error("cannot vendor `{name}`: it is {found}, expected {expected}")]
    Content {
        /// What a person knows it as.
        name: String,
        /// Its digest.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
    },
    /// Two files with one path.
    #[error("cannot vendor `{path}`: two files have this name")]
    Twice {
        /// The path in the kit.
        path: String,
    },
    /// A name that no tar can hold.
    #[error(transparent)]
    Entry(#[from] Unwritable),
    /// The codec cannot be used.
    #[error(transparent)]
    Encode(#[from] encode::Error),
    /// The output path, or the store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "vendor::read",
            Self::Invalid { .. } => "vendor::invalid",
            Self::Write { .. } => "vendor::write",
            Self::Missing { .. } => "vendor::missing",
            Self::Content { .. } => "vendor::content",
            Self::Twice { .. } => "vendor::twice",
            Self::Entry(_) => "vendor::entry",
            Self::Encode(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Invalid { .. } => vec!["`tarsia vendor SPEC -o DIR` writes one".to_owned()],
            Self::Missing { .. } => vec!["run the same again; the store has lost it meanwhile".to_owned()],
            Self::Content { .. } => {
                vec!["`tarsia cache verify` throws out what does not hold; then run again".to_owned()]
            }
            Self::Twice { .. } => vec!["vendor specs of the same name into kits of their own".to_owned()],
            Self::Encode(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Read { .. } | Self::Write { .. } | Self::Entry(_) => Vec::new(),
        }
    }
}
