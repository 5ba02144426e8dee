//! What can be wrong with a package or with the spec's own files.

use std::io;

use crate::codec::decode;
use crate::diag::{Diagnose, Label};
use crate::tar::read as tar;

/// A package, or a file of the spec, that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package could not be read, or its data not be written.
    #[error("cannot open the package")]
    Io(#[source] io::Error),
    /// The file is no package as deb(5) has it.
    #[error("cannot open the package: {problem}")]
    Ar {
        /// What is wrong.
        problem: String,
    },
    /// A compressed member is broken or too large.
    #[error("cannot decompress `{member}` of the package")]
    Codec {
        /// The member.
        member: String,
        /// Why.
        #[source]
        source: decode::Error,
    },
    /// A member is no tar archive that is taken.
    #[error("cannot read `{member}` of the package")]
    Tar {
        /// The member.
        member: String,
        /// Why.
        #[source]
        source: tar::Error,
    },
    /// A control file breaks its format.
    #[error("cannot read `{file}` of the package: {problem}")]
    Control {
        /// The file, as `control`.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// There is too much of something.
    #[error("cannot open the package: it has more than {limit} bytes of {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A stored index is of another format or broken.
    #[error("cannot read the pack's index: it is not of this format")]
    Index,
    /// An index that somebody else made is not taken.
    #[error("cannot take the pack's index: {problem}")]
    Received {
        /// What is wrong.
        problem: String,
    },
    /// A local file could not be read.
    #[error("cannot read `{path}`")]
    Local {
        /// The path as the spec has it.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A local file is not taken.
    #[error("cannot copy `{path}`: {problem}")]
    Refused {
        /// The path as the spec has it.
        path: String,
        /// Why.
        problem: String,
    },
    /// A file of closure rules has mistakes.
    #[error("{message}")]
    Rules {
        /// The first one.
        message: String,
        /// Where it is.
        labels: Vec<Label>,
    },
    /// A fetched archive is not unpacked.
    #[error("cannot unpack `{url}`")]
    Unpack {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Wraps an error of reading a member: one of the decoder's, found below the tar reader's or I/O, keeps its kind.
    pub(super) fn of_tar(member: &str, error: tar::Error) -> Self {
        let member = member.to_owned();
        match error {
            tar::Error::Read { source, .. } => match source.downcast::<decode::Error>() {
                Ok(source) => Self::Codec { member, source },
                Err(source) => Self::Io(source),
            },
            source => Self::Tar { member, source },
        }
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "package::io",
            Self::Ar { .. } => "package::ar",
            Self::Codec { source, .. } => source.code(),
            Self::Tar { source, .. } => source.code(),
            Self::Control { .. } => "package::control",
            Self::Limit { .. } => "package::limit",
            Self::Index => "package::index",
            Self::Received { .. } => "package::received",
            Self::Local { .. } => "package::local",
            Self::Refused { .. } => "package::refused",
            Self::Rules { .. } => "rules::closure",
            Self::Unpack { .. } => "package::unpack",
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::Rules { labels, .. } => labels.clone(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Index => vec!["run `tarsia cache verify`".to_owned()],
            _ => Vec::new(),
        }
    }
}
