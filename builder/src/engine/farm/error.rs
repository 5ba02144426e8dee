//! What can go wrong where daemons build.

use std::io;

use crate::diag::{Diagnose, Label, Verdict};
use crate::engine::{graph, local};
use crate::{buildkit, package, store};

/// An error of a build by BuildKit daemons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation that fails.
    #[error("cannot {verb} {subject} on `{address}`: {problem}")]
    Operation {
        /// What it does with it: `fetch`, `open`, `write`.
        verb: &'static str,
        /// What it is about: ``package `libc6` ``, or a layer.
        subject: String,
        /// The daemon.
        address: String,
        /// What the operation, or the daemon, says.
        problem: String,
        /// What the operation gives as hints.
        hints: Vec<String>,
    },
    /// Every daemon is gone.
    #[error("cannot {what}: {}", said_of(gone))]
    NoDaemon {
        /// What was to be done.
        what: String,
        /// Why each is gone.
        gone: Vec<buildkit::Error>,
    },
    /// One daemon, or what is said to it.
    #[error(transparent)]
    Daemon(#[from] buildkit::Error),
    /// An index that is not taken.
    #[error("cannot take the index of `{package}` {version} from `{address}`: {problem}")]
    Index {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The daemon.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// A layer that is not taken.
    #[error("cannot take layer `{layer}` from `{address}`: {problem}")]
    Layer {
        /// Its name.
        layer: String,
        /// The daemon.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// Plans that a daemon takes no message for.
    #[error("cannot have {subject} written on `{address}`: a plan of {bytes} bytes is more than it takes at once")]
    TooLarge {
        /// The layers.
        subject: String,
        /// Bytes of their plans.
        bytes: u64,
        /// The daemon.
        address: String,
    },
    /// Daemons would have to be asked, and nothing may be.
    #[error("cannot build with BuildKit: {what} would have to come from a daemon, and no network may be used")]
    Offline {
        /// What is not in the store.
        what: String,
    },
    /// One cache that several daemons would write.
    #[error("cannot have several daemons write the cache `{cache}`: each would take the place of the others' there")]
    SharedCache {
        /// As given.
        cache: String,
    },
    /// What daemons are to do cannot be drawn.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// A package beneath the spec's directory.
    #[error(transparent)]
    Package(#[from] package::Error),
    /// Files of the store that only this build needs.
    #[error("cannot write a temporary file in the store")]
    Temporary {
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is done here.
    #[error(transparent)]
    Local(Box<local::Error>),
}

impl From<local::Error> for Error {
    fn from(error: local::Error) -> Self {
        match error {
            local::Error::Remote(error) => *error,
            error => Self::Local(Box::new(error)),
        }
    }
}

impl From<Error> for local::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Local(error) => *error,
            error => Self::Remote(Box::new(error)),
        }
    }
}

fn said_of(all: &[buildkit::Error]) -> String {
    match all {
        [] => "there is no BuildKit daemon".to_owned(),
        [one] => said(one),
        all => format!("every BuildKit daemon is gone: {}", all.iter().map(said).collect::<Vec<_>>().join("; ")),
    }
}

/// Returns an error without the words that all of them begin with.
fn said(error: &buildkit::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("cannot ").map_or(text.clone(), |rest| format!("could not {rest}"))
}

impl Error {
    fn inner(&self) -> Option<&dyn Diagnose> {
        match self {
            Self::Daemon(error) => Some(error),
            Self::Graph(error) => Some(error),
            Self::Package(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Local(error) => Some(&**error),
            _ => None,
        }
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Operation { .. } => "engine::operation",
            Self::NoDaemon { .. } => "engine::no-daemon",
            Self::Index { .. } => "engine::received-index",
            Self::Layer { .. } => "engine::received-layer",
            Self::TooLarge { .. } => "engine::too-large",
            Self::Offline { .. } => "engine::offline",
            Self::SharedCache { .. } => "engine::shared-cache",
            Self::Temporary { .. } => "engine::temporary",
            other => other.inner().map_or("engine::farm", Diagnose::code),
        }
    }

    fn labels(&self) -> Vec<Label> {
        self.inner().map(Diagnose::labels).unwrap_or_default()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Operation { hints, .. } => hints.clone(),
            Self::NoDaemon { gone: all, .. } => {
                let mut hints: Vec<String> = Vec::new();
                for hint in all.iter().flat_map(Diagnose::hints) {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                hints
            }
            Self::Index { .. } | Self::Layer { .. } => vec![
                "a daemon that does not do what it was asked is none to build with; `--engine local` builds here"
                    .to_owned(),
            ],
            Self::TooLarge { .. } => vec![
                "the BuildKit in Docker 20.10 takes 4 MiB, later ones 16; `tarsia llb` plans on the daemon, and `--engine \
                 local` builds here"
                    .to_owned(),
            ],
            Self::Offline { .. } => vec!["leave `--offline` out, or build with `--engine local`".to_owned()],
            Self::SharedCache { .. } => {
                vec!["write `{n}` where the daemon's number goes: `ref=HOST/NAME:cache-{n}`".to_owned()]
            }
            other => other.inner().map(Diagnose::hints).unwrap_or_default(),
        }
    }

    fn verdict(&self) -> Verdict {
        self.inner().map_or(Verdict::Unknown, Diagnose::verdict)
    }
}
