//! What can go wrong with an image.

use std::io;

use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::store;
use crate::tar::write::Unwritable;

/// An error of the image stage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A destination that cannot be used.
    #[error("cannot use `{text}` as an image: {problem}")]
    Destination {
        /// As it was written.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A time that no document can hold.
    #[error("cannot write a config: {seconds} is no time")]
    Date {
        /// Seconds since 1970-01-01 UTC.
        seconds: i64,
    },
    /// Two images of one platform.
    #[error("cannot write an index: it would hold `{platform}` twice")]
    Platforms {
        /// The platform.
        platform: String,
    },
    /// Several platforms for what holds one.
    #[error("cannot write `{output}`: it holds one platform, and the image has {}", platforms.join(", "))]
    OnePlatform {
        /// The output.
        output: String,
        /// The image's platforms.
        platforms: Vec<String>,
    },
    /// A blob that is not where it should be.
    #[error("cannot write an image: its blob {digest} is missing")]
    MissingBlob {
        /// The blob.
        digest: Digest,
    },
    /// A blob that cannot be read.
    #[error("cannot read blob {digest}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// An output that cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The output.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An output that cannot be put in its place.
    #[error(transparent)]
    Output(#[from] store::Error),
    /// An entry that no tar can hold.
    #[error(transparent)]
    Entry(#[from] Unwritable),
    /// An image that cannot be read.
    #[error("cannot read image `{image}`")]
    Read {
        /// The image, as it was named.
        image: String,
        /// Why.
        source: io::Error,
    },
    /// An image that is not what it claims, or not what tarsia reads.
    #[error("cannot read image `{image}`: {problem}")]
    Invalid {
        /// The image, as it was named.
        image: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Destination { .. } => "image::destination",
            Self::Date { .. } => "image::date",
            Self::Platforms { .. } => "image::platforms",
            Self::OnePlatform { .. } => "image::one-platform",
            Self::MissingBlob { .. } => "image::missing-blob",
            Self::Blob { .. } => "image::blob",
            Self::Write { .. } => "image::write",
            Self::Output(error) => error.code(),
            Self::Entry(_) => "image::entry",
            Self::Read { .. } => "image::read",
            Self::Invalid { .. } => "image::invalid",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Destination { .. } => vec![
                "use `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `docker-daemon:REF`, \
                 `containers-storage:REF`, `docker://HOST/NAME:TAG`, a directory, or a file that ends in `.tar`"
                    .to_owned(),
            ],
            Self::OnePlatform { platforms, .. } => match platforms.first() {
                Some(first) => vec![format!("choose one with `--platform {first}`")],
                None => Vec::new(),
            },
            Self::MissingBlob { .. } => vec!["build again".to_owned()],
            Self::Output(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
