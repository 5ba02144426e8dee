//! What stops an inventory.

use crate::diag::Diagnose;
use crate::image;

/// An inventory that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A package of the lock was not opened.
    #[error("cannot describe package `{0}`: it has not been opened")]
    Missing(String),
    /// The lock has no such platform.
    #[error("cannot describe an image for `{0}`: the lock does not hold that platform")]
    Platform(String),
    /// An image that cannot be read.
    #[error("cannot describe `{image}`")]
    Analyse {
        /// The image as it was named.
        image: String,
        /// Why.
        #[source]
        source: Box<image::Error>,
    },
    /// A document that is not what it is called.
    #[error("cannot read the SBOM: it is no {0} of tarsia's")]
    Malformed(&'static str),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "sbom::missing",
            Self::Platform(_) => "sbom::platform",
            Self::Analyse { .. } => "sbom::analyse",
            Self::Malformed(_) => "sbom::malformed",
        }
    }
}
