//! What can be wrong with a statement.

use crate::diag::Diagnose;

/// An error of the attest stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are no statement.
    #[error("cannot read a statement: {0}")]
    Invalid(String),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "attest::invalid",
        }
    }
}
