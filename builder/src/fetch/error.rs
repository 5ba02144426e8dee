//! What can go wrong between a mirror and the store.

use std::fmt;

use super::http::CERTIFICATE;

use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::kit;
use crate::store;

use super::mirrors::is_snapshot;

/// An error of a download.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is not in the store, and the network may not be used.
    #[error("cannot work offline: {} not in the store", list(.missing))]
    Offline {
        /// What is missing, as a person knows it.
        missing: Vec<String>,
    },
    /// Something is neither in the store nor vendored, and the network may not be used.
    #[error("cannot work offline: neither the store nor `{vendor}` holds{}", lines(.missing))]
    NotVendored {
        /// What is missing, as a person knows it.
        missing: Vec<String>,
        /// The vendored inputs, as the user named them.
        vendor: String,
    },
    /// The vendored inputs cannot be read.
    #[error(transparent)]
    Kit(#[from] kit::Error),
    /// Nothing says where an archive is.
    #[error("cannot fetch `{label}`: no mirror of `{archive}` is known")]
    NoMirror {
        /// What was wanted.
        label: String,
        /// The archive's name.
        archive: String,
    },
    /// No address gave the file.
    #[error("cannot fetch `{label}`{}", Tried(.tried))]
    Unavailable {
        /// What was wanted.
        label: String,
        /// The addresses asked, in order, and why each did not do.
        tried: Vec<(String, Failure)>,
    },
    /// An address gave another file, and no other gave the right one.
    #[error("cannot fetch `{label}`: it should be {expected} by {promised_by}{}", Tried(.tried))]
    Mismatch {
        /// What was wanted.
        label: String,
        /// Its digest.
        expected: Digest,
        /// Who says so: `the lock`.
        promised_by: &'static str,
        /// The addresses asked, in order, and why each did not do.
        tried: Vec<(String, Failure)>,
    },
    /// A file that was just stored cannot be read back.
    #[error("cannot read `{label}` back from the store")]
    Lost {
        /// What was wanted.
        label: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why an address did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It has no such file, or does not give it: the HTTP status.
    Status(u16),
    /// The server lets nobody in without a login, or not with this one.
    Denied {
        /// The HTTP status.
        status: u16,
        /// The archive's name.
        archive: String,
        /// Host and port.
        host: String,
        /// What is known of a login.
        login: Known,
    },
    /// The address, or where it leads to, is refused.
    Refused(String),
    /// The network failed, again and again.
    Network(String),
    /// The file there has other bytes.
    Digest(Digest),
    /// The file there has another size, or more bytes than are allowed.
    Size(String),
    /// The file there is not what was asked for, by whoever reads it.
    Rejected(String),
}

/// What is known of a login for a server that lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was shown, and refused.
    Refused,
    /// The machine has none for this address.
    None,
    /// The archive is not said to have any.
    NotAsked,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Denied { status, archive, login, .. } => match login {
                Known::Refused => write!(f, "HTTP status {status}: it refuses the login for archive `{archive}`"),
                Known::None => write!(f, "HTTP status {status}: no login is known for archive `{archive}` there"),
                Known::NotAsked => write!(f, "HTTP status {status}: archive `{archive}` asks for a login"),
            },
            Self::Digest(digest) => write!(f, "its bytes are {digest}"),
            Self::Refused(why) | Self::Network(why) | Self::Size(why) | Self::Rejected(why) => f.write_str(why),
        }
    }
}

impl Failure {
    /// Returns what would open a door that is shut.
    fn way_in(&self) -> Option<String> {
        let Self::Denied { archive, host, login, .. } = self else { return None };
        Some(match login {
            Known::Refused => {
                format!("check login and password of `machine {host}` in `~/.netrc` and apt's `auth.conf.d`")
            }
            Known::None => format!(
                "add `machine {host} login USER password PASSWORD` to `~/.netrc` or a file of apt's `auth.conf.d`; \
                 without `http://` before the host it is for https alone"
            ),
            Known::NotAsked => format!("add `auth: netrc` to `{archive}` under `archives`"),
        })
    }
}

/// Addresses with the reason of each, one a line.
struct Tried<'a>(&'a [(String, Failure)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (url, failure) in self.0 {
            write!(f, "\n  from {url}: {failure}")?;
        }
        Ok(())
    }
}

/// Returns the first names of a list, with the verb.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let text = shown.join(", ");
    match names.len() {
        0 | 1 => text + " is",
        count if count <= SHOWN => text + " are",
        count => format!("{text} and {} more are", count - SHOWN),
    }
}

/// Returns all names of a list, one a line.
fn lines(names: &[String]) -> String {
    names.iter().map(|name| format!("\n  {name}")).collect()
}

impl Error {
    /// Returns whether every address said that it has no such file.
    pub fn is_absent(&self) -> bool {
        let absent = |failure: &Failure| matches!(failure, Failure::Status(403 | 404 | 410));
        matches!(self, Self::Unavailable { tried, .. } if tried.iter().all(|(_, failure)| absent(failure)))
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Offline { .. } => "fetch::offline",
            Self::NotVendored { .. } => "fetch::not-vendored",
            Self::Kit(error) => error.code(),
            Self::NoMirror { .. } => "fetch::no-mirror",
            Self::Unavailable { .. } => "fetch::unavailable",
            Self::Mismatch { .. } => "fetch::mismatch",
            Self::Lost { .. } => "fetch::lost",
            Self::Store(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Offline { .. } => {
                vec!["run the same once without `--offline`, or `tarsia fetch` where there is a lock".to_owned()]
            }
            Self::Unavailable { tried, .. } | Self::Mismatch { tried, .. }
                if tried.iter().any(|(_, failure)| matches!(failure, Failure::Denied { .. })) =>
            {
                let mut hints: Vec<String> = tried.iter().filter_map(|(_, failure)| failure.way_in()).collect();
                hints.dedup();
                hints
            }
            Self::Unavailable { tried, .. }
                if tried
                    .iter()
                    .any(|(_, failure)| matches!(failure, Failure::Refused(why) if why.contains(CERTIFICATE))) =>
            {
                vec![
                    "name the server's certificate authority with `--ca FILE`, or with `ca:` under `archives`"
                        .to_owned(),
                ]
            }
            Self::NotVendored { .. } => {
                vec!["vendor what the lock names now with `tarsia vendor SPEC`, or leave `--offline` out".to_owned()]
            }
            Self::Kit(error) => error.hints(),
            Self::NoMirror { archive, .. } => vec![format!("name one with `--mirror {archive}=URI`")],
            Self::Unavailable { tried, .. } if tried.iter().all(|(url, _)| is_snapshot(url)) => vec![
                "this machine's apt sources name no mirror, and only the snapshot service was asked: name one with \
                 `--mirror URI`, or inputs that are on disk with `--vendor DIR`"
                    .to_owned(),
            ],
            Self::Unavailable { tried, .. }
                if tried.iter().all(|(_, failure)| matches!(failure, Failure::Status(403 | 404 | 410))) =>
            {
                vec!["name a mirror that still has it with `--mirror`, or run `tarsia lock --update`".to_owned()]
            }
            Self::Store(error) => error.hints(),
            Self::Unavailable { .. } | Self::Mismatch { .. } | Self::Lost { .. } => Vec::new(),
        }
    }
}
