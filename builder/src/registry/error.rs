//! What can go wrong with a registry.

use std::io;

use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::store;

/// An error of the registry stage. None holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network may not be used.
    #[error("cannot {doing} `{place}`: no network may be used")]
    Offline {
        /// The deed: `push to`, `read`.
        doing: &'static str,
        /// Host and repository.
        place: String,
    },
    /// The client cannot be made.
    #[error("cannot use the network: {0}")]
    Client(String),
    /// Nothing answered, or what answered broke off.
    #[error("cannot {doing} `{place}`: {problem}")]
    Unreachable {
        /// The deed: `push to`, `read`.
        doing: &'static str,
        /// Host and repository.
        place: String,
        /// What went wrong.
        problem: String,
    },
    /// The registry refused.
    #[error("cannot {doing} `{place}`: the registry says {status}{}", said(.message))]
    Refused {
        /// The deed.
        doing: &'static str,
        /// Host and repository.
        place: String,
        /// HTTP status.
        status: u16,
        /// The registry's own words, bounded; may be empty.
        message: String,
    },
    /// No credential, or one that is not taken.
    #[error("cannot {doing} `{place}`: {}", if *.known { "the stored credential is not taken" } else { "it asks for a credential, and none is stored" })]
    Unauthorized {
        /// The deed.
        doing: &'static str,
        /// Host and repository.
        place: String,
        /// Whether a credential was there.
        known: bool,
    },
    /// A token service on a foreign host.
    #[error("cannot log in to `{place}`: its token service is on the foreign host `{realm}`, and gets no credential")]
    Realm {
        /// Host and repository.
        place: String,
        /// The service's host.
        realm: String,
    },
    /// Something is not there.
    #[error("cannot read `{place}`: it holds no {what}")]
    Absent {
        /// Host and repository.
        place: String,
        /// What was asked for.
        what: String,
    },
    /// Bytes that are not what they were named for.
    #[error("cannot trust `{place}`: asked for {wanted}, it gave {found}")]
    Mismatch {
        /// Host and repository.
        place: String,
        /// The digest that was asked for.
        wanted: Digest,
        /// The digest, or what else is wrong.
        found: String,
    },
    /// An answer that cannot be understood, or is out of bounds.
    #[error("cannot read `{place}`: {problem}")]
    Answer {
        /// Host and repository.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Stored credentials that cannot be read.
    #[error("cannot read credentials from `{from}`: {problem}")]
    Credentials {
        /// File or helper.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// A blob of ours that cannot be read.
    #[error("cannot read blob {digest}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// A store that does not take what was read.
    #[error(transparent)]
    Store(store::Error),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Offline { .. } => "registry::offline",
            Self::Client(_) => "registry::client",
            Self::Unreachable { .. } => "registry::unreachable",
            Self::Refused { .. } => "registry::refused",
            Self::Unauthorized { .. } => "registry::unauthorized",
            Self::Realm { .. } => "registry::realm",
            Self::Absent { .. } => "registry::absent",
            Self::Mismatch { .. } => "registry::mismatch",
            Self::Answer { .. } => "registry::answer",
            Self::Credentials { .. } => "registry::credentials",
            Self::Blob { .. } => "registry::blob",
            Self::Store(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Offline { .. } => vec!["leave `--offline` out".to_owned()],
            Self::Unauthorized { place, .. } => {
                let host = place.split('/').next().unwrap_or_default();
                vec![format!("`podman login {host}` or `docker login {host}` stores a credential that tarsia reads")]
            }
            Self::Store(error) => error.hints(),
            Self::Realm { realm, .. } => vec![format!("`--token-host {realm}` allows it")],
            _ => Vec::new(),
        }
    }
}
