//! `attach`: adds documents to an image that is published already, whoever built it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::attest::{CYCLONEDX, SPDX, SPDX3, Statement};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::evidence::Document;
use crate::registry::Registry;
use crate::sign::Signer;
use crate::spec::Platform;

use super::attest::read;
use super::published::{Attachment, Published};
use super::push::target_of;
use super::{Error, shown};

/// The most bytes of a document: what readers of referrers take.
const MAX_DOCUMENT: u64 = 64 << 20;

/// How documents are attached.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Media type of the documents; seen from each one's content where nothing is said.
    pub media_type: Option<String>,
    /// The URI of the predicate that each is attested as, where a key is given; seen from its content where nothing is
    /// said.
    pub predicate_type: Option<String>,
    /// To the image of this platform, not to the whole.
    pub platform: Option<Platform>,
    /// Attestations are written as cosign's `.att` too.
    pub legacy: bool,
}

/// What was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// What they are attached to.
    pub subject: Digest,
    /// The manifest of each document, in the order given.
    pub manifests: Vec<Digest>,
    /// What was not there before: documents and attestations.
    pub written: usize,
}

/// Attaches files to an image of a registry, each as a referrer of its own, and with a `signer` as attestations too. What
/// is attached already is not written again.
///
/// # Errors
/// Where a file cannot be read, or cannot be attested because nothing says what it is; where the registry fails.
pub fn attach(
    registry: &Registry,
    image: &str,
    files: &[PathBuf],
    signer: Option<&dyn Signer>,
    options: &AttachOptions,
) -> Result<Attached, Problems> {
    let mut documents = Vec::new();
    for path in files {
        documents.push((path, read(path, MAX_DOCUMENT)?));
    }
    let published = Published::open(registry, &target_of(image)?)?;
    let subject = published.subject(options.platform)?.clone();
    let mut attachments = Vec::new();
    let mut statements = Vec::new();
    for (path, bytes) in documents {
        let kind = Kind::of(&bytes);
        let media_type = options.media_type.as_deref().unwrap_or_else(|| kind.media_type());
        if signer.is_some() {
            let predicate_type = options.predicate_type.as_deref().or_else(|| kind.predicate_type());
            let problem = |problem: &str| Error::Predicate { path: shown(path), problem: problem.to_owned() };
            let predicate_type = predicate_type.ok_or_else(|| problem("nothing says what kind of predicate it is"))?;
            let value: Value = serde_json::from_slice(&bytes).map_err(|_| problem("it is no JSON"))?;
            statements.push(Statement::new("", subject.digest, predicate_type, value));
        }
        attachments.push(Attachment::raw(&subject, media_type, &title(path), bytes));
    }
    let manifests = attachments.iter().map(|one| one.manifest.referrer().digest).collect();
    let mut written = published.attach(&attachments)?;
    if let Some(signer) = signer {
        let said = statements.iter().map(|statement| published.say(&subject, statement, signer));
        written += published.publish(&said.collect::<Result<Vec<_>, Problems>>()?, options.legacy)?;
    }
    Ok(Attached { subject: subject.digest, manifests, written })
}

fn title(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a document is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Spdx,
    Spdx3,
    Cyclonedx,
    Json,
    Bytes,
}

impl Kind {
    fn of(bytes: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Self::Bytes };
        let context = value.get("@context").map(ToString::to_string).unwrap_or_default();
        if value.get("spdxVersion").is_some_and(Value::is_string) {
            Self::Spdx
        } else if context.contains("spdx.org/rdf/3") {
            Self::Spdx3
        } else if value.get("bomFormat").is_some_and(|format| format == "CycloneDX") {
            Self::Cyclonedx
        } else {
            Self::Json
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => Document::Spdx.media_type(),
            Self::Spdx3 => Document::Spdx3.media_type(),
            Self::Cyclonedx => Document::Cyclonedx.media_type(),
            Self::Json => "application/json",
            Self::Bytes => "application/octet-stream",
        }
    }

    fn predicate_type(self) -> Option<&'static str> {
        match self {
            Self::Spdx => Some(SPDX),
            Self::Spdx3 => Some(SPDX3),
            Self::Cyclonedx => Some(CYCLONEDX),
            Self::Json | Self::Bytes => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_known_by_its_content() {
        for (text, kind) in [
            (r#"{"spdxVersion":"SPDX-2.3"}"#, Kind::Spdx),
            (r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}"#, Kind::Spdx3),
            (r#"{"@context":["https://spdx.org/rdf/3.0.1/spdx-context.jsonld"]}"#, Kind::Spdx3),
            (r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#, Kind::Cyclonedx),
            (r#"{"bomFormat":"other"}"#, Kind::Json),
            ("[1]", Kind::Json),
            ("text", Kind::Bytes),
        ] {
            assert_eq!(Kind::of(text.as_bytes()), kind, "{text}");
        }
    }
}
