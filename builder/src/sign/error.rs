//! What can go wrong with keys and signatures.

use std::io;

use crate::attest;
use crate::diag::{Diagnose, Verdict};

/// An error of the sign stage. None holds a byte of a private key or a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that cannot be read.
    #[error("cannot read key `{name}`: {problem}")]
    Key {
        /// The key as the user named it.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A sealed key without its password.
    #[error("cannot open key `{name}`: it is encrypted, and no password was given")]
    NoPassword {
        /// The key as the user named it.
        name: String,
    },
    /// A sealed key that the password does not open.
    #[error("cannot open key `{name}`: the password is wrong, or the key is damaged")]
    WrongPassword {
        /// The key as the user named it.
        name: String,
    },
    /// An agent that does not do its part.
    #[error("cannot sign with the ssh-agent: {problem}")]
    Agent {
        /// What is wrong.
        problem: String,
        /// Why, where the socket failed.
        source: Option<io::Error>,
    },
    /// A signing program that does not do its part.
    #[error("cannot sign with `{program}`: {problem}")]
    Plugin {
        /// The program as the user named it.
        program: String,
        /// What is wrong.
        problem: String,
        /// Why, where it could not be run.
        source: Option<io::Error>,
    },
    /// A key that made no signature.
    #[error("cannot sign: the key made no signature")]
    Sign,
    /// An envelope, bundle or payload that is none.
    #[error("cannot read {what}: {problem}")]
    Invalid {
        /// What it should have been, with an article.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A signature that does not hold under the key.
    #[error("cannot trust {what}: no signature in it is by key {key}")]
    Signature {
        /// What was signed, with an article.
        what: &'static str,
        /// The key's id.
        key: String,
    },
    /// A signed statement that is none.
    #[error(transparent)]
    Statement(#[from] attest::Error),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Key { .. } => "sign::key",
            Self::NoPassword { .. } => "sign::no-password",
            Self::WrongPassword { .. } => "sign::wrong-password",
            Self::Agent { .. } => "sign::agent",
            Self::Plugin { .. } => "sign::plugin",
            Self::Sign => "sign::failed",
            Self::Invalid { .. } => "sign::invalid",
            Self::Signature { .. } => "sign::signature",
            Self::Statement(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoPassword { .. } => vec!["set `COSIGN_PASSWORD`, or run from a terminal".to_owned()],
            Self::Agent { source: Some(_), .. } => vec!["is `SSH_AUTH_SOCK` set, and the agent running?".to_owned()],
            _ => Vec::new(),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self::Signature { .. } => Verdict::No,
            _ => Verdict::Unknown,
        }
    }
}
