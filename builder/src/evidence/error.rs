//! What can go wrong with the documents beside an image.

use std::io;
use std::path::PathBuf;

use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::store;

/// An error of the evidence stage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("cannot read evidence: there is none at `{path}`")]
    Absent {
        /// The directory.
        path: String,
    },
    /// It cannot be read.
    #[error("cannot read evidence from `{path}`")]
    Read {
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not hold together.
    #[error("cannot use `{path}` as evidence: {problem}")]
    Invalid {
        /// The directory.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// It is about another image.
    #[error("cannot use `{path}` as evidence: it is about {found}, and the image is {expected}")]
    Other {
        /// The directory.
        path: String,
        /// The image that it is about.
        found: Digest,
        /// The image at hand.
        expected: Digest,
    },
    /// It cannot be written.
    #[error("cannot write evidence to `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document to be written cannot be had.
    #[error("cannot write evidence: {digest}, which is `{name}`, is not in the store")]
    Missing {
        /// Its file's name.
        name: String,
        /// Its digest.
        digest: Digest,
    },
    /// The output path, or the store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "evidence::absent",
            Self::Read { .. } => "evidence::read",
            Self::Invalid { .. } => "evidence::invalid",
            Self::Other { .. } => "evidence::other",
            Self::Write { .. } => "evidence::write",
            Self::Missing { .. } => "evidence::missing",
            Self::Store(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Absent { .. } | Self::Other { .. } => {
                vec!["`tarsia build SPEC` writes it beside the image".to_owned()]
            }
            Self::Missing { .. } => vec!["run the same again; the store has lost it meanwhile".to_owned()],
            Self::Store(error) => error.hints(),
            Self::Read { .. } | Self::Invalid { .. } | Self::Write { .. } => Vec::new(),
        }
    }
}
