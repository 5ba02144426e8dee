//! What can go wrong in a store or at an output path.

use std::io;
use std::path::{Path, PathBuf};

use crate::diag::Diagnose;
use crate::digest::Digest;

/// An error of the store or of an output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be opened or made.
    #[error("cannot open the store at `{}`", path.display())]
    Open {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store belongs to somebody else.
    #[error("cannot use the store at `{}`: it belongs to user {owner}, and this is user {user}", path.display())]
    Owner {
        /// The store's directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// Others may write to the store.
    #[error("cannot use the store at `{}`: its mode {mode:04o} lets other users write to it", path.display())]
    Mode {
        /// The store's directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The store can only be read.
    #[error("cannot write to the store at `{}`: it is read-only", root.display())]
    ReadOnly {
        /// The store's directory.
        root: PathBuf,
    },
    /// A file could not be written; the disk may be full.
    #[error("cannot write {what} at `{}`", path.display())]
    Write {
        /// What was written.
        what: String,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be removed.
    #[error("cannot remove `{}`", path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is longer than its reader allows.
    #[error("cannot read `{}`: it is longer than {limit} bytes", path.display())]
    Large {
        /// Which.
        path: PathBuf,
        /// The most bytes.
        limit: u64,
    },
    /// What was written is not what was expected.
    #[error("cannot store the blob: its bytes are {actual}, expected {expected}")]
    Mismatch {
        /// The name it should have.
        expected: Digest,
        /// The name it has.
        actual: Digest,
    },
    /// Something else stands at the output path.
    #[error("cannot write `{}`: {why}", path.display())]
    Occupied {
        /// The output path.
        path: PathBuf,
        /// What stands there.
        why: String,
    },
}

impl Error {
    /// Returns an error for `what` that could not be written at `path`; the error itself where a writer of the store
    /// has already named it.
    pub(crate) fn write(what: impl Into<String>, path: &Path, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(named) => named,
            Err(source) => Self::Write { what: what.into(), path: path.to_owned(), source },
        }
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "store::open",
            Self::Owner { .. } => "store::owner",
            Self::Mode { .. } => "store::mode",
            Self::ReadOnly { .. } => "store::read-only",
            Self::Write { .. } => "store::write",
            Self::Remove { .. } => "store::remove",
            Self::Read { .. } => "store::read",
            Self::Large { .. } => "store::large",
            Self::Mismatch { .. } => "store::mismatch",
            Self::Occupied { .. } => "store::occupied",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { .. } | Self::Owner { .. } | Self::ReadOnly { .. } => {
                vec!["name a directory of your own with `--store DIR`".to_owned()]
            }
            Self::Mode { path, .. } => vec![format!("run `chmod 700 {}`", path.display())],
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                vec!["free some space with `tarsia cache gc --max-size SIZE`".to_owned()]
            }
            Self::Write { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                path.parent().map(|parent| format!("run `mkdir -p {}`", parent.display())).into_iter().collect()
            }
            Self::Occupied { .. } => vec!["remove it, or choose another path with `-o`".to_owned()],
            Self::Write { .. }
            | Self::Remove { .. }
            | Self::Read { .. }
            | Self::Large { .. }
            | Self::Mismatch { .. } => Vec::new(),
        }
    }
}
