//! What can go wrong with a comparison.

use std::io;

use crate::diag::Diagnose;
use crate::image;

/// An error of the comparison of two images.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An image that cannot be read.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The scratch directory.
    #[error("cannot keep bytes that are compared in `{directory}`")]
    Scratch {
        /// The directory.
        directory: String,
        /// Why.
        source: io::Error,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Scratch { .. } => "compare::scratch",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Image(error) => error.hints(),
            Self::Scratch { .. } => vec!["name a directory that can be written to with `TMPDIR`".to_owned()],
        }
    }
}
