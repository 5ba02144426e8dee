//! What can go wrong before anything can be judged.

use crate::diag::{Diagnose, Verdict};

/// An error of the verify stage. What a judgement comes to is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to check against.
    #[error("cannot verify `{image}`: no key was named, and nothing to compare with")]
    NothingAsked {
        /// The image as the user named it.
        image: String,
    },
    /// A requirement that only a key can meet, and no key.
    #[error("cannot verify `{image}`: `{requirement}` is required, and no key was named")]
    NoKey {
        /// The image as the user named it.
        image: String,
        /// What is required.
        requirement: &'static str,
    },
    /// An image that nothing can be signed of.
    #[error("cannot verify `{image}`: {problem}")]
    Image {
        /// The image as the user named it.
        image: String,
        /// Why.
        problem: String,
    },
    /// A file of claims that cannot be read.
    #[error("cannot read claims from `{path}`: {problem}")]
    File {
        /// The file as the user named it.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A verdict that must not be signed by this key.
    #[error("cannot sign a verdict with key {key}: {problem}")]
    VerifierKey {
        /// The key's id.
        key: String,
        /// Why not.
        problem: &'static str,
    },
    /// A verdict with nowhere to go.
    #[error("cannot keep the verdict on `{image}`: nothing says where to")]
    NoOutput {
        /// The image as the user named it.
        image: String,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NothingAsked { .. } => "verify::nothing-asked",
            Self::NoKey { .. } => "verify::no-key",
            Self::Image { .. } => "verify::image",
            Self::File { .. } => "verify::file",
            Self::VerifierKey { .. } => "verify::verifier-key",
            Self::NoOutput { .. } => "verify::no-output",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NothingAsked { .. } => "name the public key of who signs it with `--key PUB`, or ask for `--rebuild`",
            Self::NoKey { .. } => "name the public key of who says it with `--key PUB`",
            Self::Image { .. } => return Vec::new(),
            Self::File { .. } => "it holds a Sigstore bundle, or bundles or envelopes line by line",
            Self::VerifierKey { .. } => "`tarsia keygen -o verifier` makes one for verdicts alone",
            Self::NoOutput { .. } => "name a file with `-o`",
        };
        vec![hint.to_owned()]
    }

    fn verdict(&self) -> Verdict {
        Verdict::Unknown
    }
}
