//! Debian control data: stanzas, versions, relations (Debian policy 5, 5.6.12, 7).
//!
//! In come the texts of signed archive metadata and of packages' control files; out go [`Stanza`]s, [`Version`]s and
//! [`Dependency`] lists. Reading is strict: what two parsers could read differently is refused; [`parse_loosely`] alone,
//! for documents written by hand, refuses nothing. Nothing is written, and what a field means is known elsewhere.

mod loose;
mod relation;
mod stanza;
mod version;

use crate::diag::Diagnose;

pub use loose::{LooseStanza, parse_loosely};
pub use relation::{Dependency, Op, Relation, is_package_name, parse_dependencies};
pub use stanza::{Stanza, Stanzas, parse, parse_one};
pub use version::Version;

/// What is wrong with control data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stanza breaks the syntax of control data.
    #[error("cannot read line {line} of control data: {what}")]
    Stanza {
        /// Line, counted from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// A version breaks policy 5.6.12.
    #[error("cannot read version `{version}`: {what}")]
    Version {
        /// The text, shortened.
        version: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A relation breaks policy 7.1.
    #[error("cannot read relation `{relation}`: {what}")]
    Relation {
        /// The text, shortened.
        relation: String,
        /// What is wrong with it.
        what: String,
    },
    /// The text could not be read at all.
    #[error("cannot read control data")]
    Read(#[source] std::io::Error),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Stanza { .. } => "deb822::stanza",
            Self::Version { .. } => "deb822::version",
            Self::Relation { .. } => "deb822::relation",
            Self::Read(_) => "deb822::read",
        }
    }
}

/// Returns `text` for a message: control characters escaped, at most 80 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(80) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}
