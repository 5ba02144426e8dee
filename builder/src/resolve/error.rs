//! Why there is no answer.

use std::sync::Arc;

use crate::diag::{Diagnose, Label, Source, Span};

/// Why packages cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Packages of the spec that no archive has, in the spec's order.
    #[error("cannot lock `{spec}`: {}", missing.iter().map(|missing| missing.what.as_str()).collect::<Vec<_>>().join("; "))]
    Missing {
        /// The spec's name.
        spec: String,
        /// The spec's text.
        source_text: Arc<Source>,
        /// Each with its place; never empty.
        missing: Vec<Missing>,
    },
    /// A version constraint that means nothing.
    #[error("cannot lock `{spec}`: {text}")]
    Request {
        /// The spec's name.
        spec: String,
        /// The spec's text.
        source_text: Arc<Source>,
        /// Where it stands.
        span: Span,
        /// What is wrong.
        text: String,
    },
    /// No choice of versions meets every dependency.
    #[error("{0}")]
    Unsatisfiable(Box<Unsatisfiable>),
}

/// A package of the spec that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Where it stands in the spec.
    pub span: Span,
    /// What is not there: ``no package named `libsll3` ``.
    pub what: String,
    /// What it might be instead.
    pub hints: Vec<String>,
}

/// A proof in words that there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot lock `{spec}` for {platform}: {}", derivation.join("\n  "))]
pub struct Unsatisfiable {
    /// The spec's name.
    pub spec: String,
    /// OCI platform.
    pub platform: String,
    /// The spec's text.
    pub source_text: Arc<Source>,
    /// The requests concerned, with what is said beside each.
    pub requests: Vec<(Span, String)>,
    /// The steps, from a request to what cannot be; never empty.
    pub derivation: Vec<String>,
    /// Edits that would settle it.
    pub hints: Vec<String>,
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "resolve::no-such-package",
            Self::Request { .. } => "resolve::version",
            Self::Unsatisfiable(_) => "resolve::unsatisfiable",
        }
    }

    fn labels(&self) -> Vec<Label> {
        let label = |source: &Arc<Source>, span: Span, text: &str| Label {
            source: Arc::clone(source),
            span,
            text: text.to_owned(),
        };
        match self {
            Self::Missing { source_text, missing, .. } => {
                missing.iter().map(|missing| label(source_text, missing.span, "")).collect()
            }
            Self::Request { source_text, span, .. } => vec![label(source_text, *span, "")],
            Self::Unsatisfiable(proof) => {
                let mut requests = proof.requests.clone();
                requests.sort();
                requests.iter().map(|(span, text)| label(&proof.source_text, *span, text)).collect()
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { missing, .. } => missing.iter().flat_map(|missing| missing.hints.clone()).collect(),
            Self::Request { .. } => Vec::new(),
            Self::Unsatisfiable(proof) => proof.hints.clone(),
        }
    }
}
