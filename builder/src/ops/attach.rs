//! `attach`: adds documents to an image that is published already, whoever built it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::attest::{CYCLONEDX, SPDX, SPDX3, Statement};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::evidence::{Document, Evidence};
use crate::image::{Descriptor, Opened, Reference};
use crate::registry::Registry;
use crate::sbom;
use crate::sign::Signer;
use crate::spec::Platform;

use super::attest::read;
use super::inspect::chosen;
use super::published::{Attachment, Published};
use super::push::target_of;
use super::source::{ImageSource, Reach};
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

/// How SBOMs are attached.
#[derive(Debug, Clone, Default)]
pub struct SbomAttachOptions {
    /// Where the image's evidence is; where nothing is said, the SBOMs are made by analysis.
    pub evidence: Option<PathBuf>,
    /// Of these platforms; of all where empty.
    pub platforms: Vec<Platform>,
    /// Attestations are written as cosign's `.att` too.
    pub legacy: bool,
}

/// Attaches SBOMs to every manifest of an image of a registry, each as a referrer of its own, and with a `signer` as
/// attestations too: those of its evidence, or ones that are made of what is in the image and say so. What is attached
/// already is not written again.
///
/// # Errors
/// Where the image, or its evidence, cannot be read; where the registry fails.
pub fn attach_sbom(
    reach: &Reach<'_>,
    image: &str,
    signer: Option<&dyn Signer>,
    options: &SbomAttachOptions,
) -> Result<Attached, Problems> {
    let reference = target_of(image)?;
    let source = ImageSource::open(reach, image)?;
    let published = Published::of(reach.registry, &reference, &source.open);
    let whole = published.whole().digest;
    let evidence = options.evidence.as_ref().map(|path| Evidence::open_for(path, &whole)).transpose()?;
    let images = match &evidence {
        Some(_) => chosen(&source.open, &options.platforms)?,
        None => source.images(&options.platforms)?,
    };
    let mut attachments = Vec::new();
    let mut statements = Vec::new();
    for one in images {
        let subject = &one.descriptor;
        let documents = match &evidence {
            Some(evidence) => documents_of(evidence, &subject.digest)?,
            None => analysed(&source, one, &reference)?,
        };
        if documents.is_empty() {
            return Err(Error::NoEvidence { image: image.to_owned() }.into());
        }
        for (document, bytes) in documents {
            if document != Document::Spdx || !documents_hold_packages(&statements, &subject.digest) {
                let value: Value = serde_json::from_slice(&bytes).expect("an SBOM of ours is JSON");
                let name = evidence.as_ref().map(Evidence::name).unwrap_or_default();
                let statement = Statement::new(name, subject.digest, document.predicate_type(), value);
                statements.push((subject.clone(), statement));
            }
            if document != Document::SpdxPackages {
                attachments.push(Attachment::raw(subject, document.media_type(), document.file_name(), bytes));
            }
        }
    }
    let manifests = attachments.iter().map(|one| one.manifest.referrer().digest).collect();
    let mut written = published.attach(&attachments)?;
    if let Some(signer) = signer {
        let said = statements.iter().map(|(subject, statement)| published.say(subject, statement, signer));
        written += published.publish(&said.collect::<Result<Vec<_>, Problems>>()?, options.legacy)?;
    }
    Ok(Attached { subject: whole, manifests, written })
}

/// Returns whether an SPDX document of a manifest is stated already: that of its packages, which stands for the full one.
fn documents_hold_packages(statements: &[(Descriptor, Statement)], manifest: &Digest) -> bool {
    statements.iter().any(|(subject, said)| {
        subject.digest == *manifest && said.predicate_type() == Document::SpdxPackages.predicate_type()
    })
}

/// Returns the SBOMs of the evidence about a manifest; that of packages alone comes before the full one.
fn documents_of(evidence: &Evidence, manifest: &Digest) -> Result<Vec<(Document, Vec<u8>)>, Problems> {
    let mut all = Vec::new();
    for document in [Document::SpdxPackages, Document::Spdx, Document::Cyclonedx, Document::Spdx3] {
        all.extend(evidence.read(manifest, document)?.map(|bytes| (document, bytes)));
    }
    Ok(all)
}

/// Makes the SBOMs of an image of what is in it.
fn analysed(
    source: &ImageSource<'_>,
    one: &Opened,
    reference: &Reference,
) -> Result<Vec<(Document, Vec<u8>)>, Problems> {
    let scratch =
        tempfile::tempfile().map_err(|source| Error::Write { path: "a temporary file".to_owned(), source })?;
    // Where it is pushed is not told: the documents of an image are the same everywhere.
    let name = reference.name().rsplit('/').next().unwrap_or_default();
    let inventory = sbom::analyse(&source.open, one, name, &scratch)?;
    let full = sbom::spdx(&inventory);
    let mut all: Vec<(Document, Vec<u8>)> =
        sbom::spdx_packages(&inventory, &full).map(|bytes| (Document::SpdxPackages, bytes)).into_iter().collect();
    all.push((Document::Spdx, full));
    all.push((Document::Cyclonedx, sbom::cyclonedx(&inventory, sbom::Version::default())));
    all.push((Document::Spdx3, sbom::spdx3(&inventory)));
    Ok(all)
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
