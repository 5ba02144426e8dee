//! `attest`: signs a statement about an image, in a registry or on disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::attest::{MAX_STATEMENT, Statement};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::evidence::{Document, Evidence};
use crate::image::{Descriptor, Destination};
use crate::registry::Registry;
use crate::sign::{Envelope, Signer};
use crate::spec::Platform;

use super::bundles::{self, statements_beside};
use super::published::{self, Published};
use super::sign::on_disk;
use super::{Error, shown};

/// What is to be said about an image.
#[derive(Debug, Clone, Default)]
pub struct AttestOptions {
    /// The URI that says what kind of predicate it is; of the documents of the evidence, which are meant.
    pub predicate_type: Option<String>,
    /// A JSON file: the predicate. Where nothing is said, the documents of the evidence are attested.
    pub predicate: Option<PathBuf>,
    /// Where the evidence is; beside the image where nothing is said.
    pub evidence: Option<PathBuf>,
    /// The name of the image in its spec, for a predicate of one's own; nothing where empty.
    pub name: String,
    /// Of the image of this platform, not of the whole.
    pub platform: Option<Platform>,
    /// Written as cosign's `.att` too.
    pub legacy: bool,
    /// Where statements about an image on disk go; `X.intoto.jsonl` beside it where nothing is said.
    pub output: Option<PathBuf>,
}

/// What was attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// What each statement is about, and its predicate's type.
    pub statements: Vec<(Digest, String)>,
    /// What was not there before: bundles, and envelopes in `.att`.
    pub written: usize,
    /// The file that they were written to; `None` for a registry.
    pub file: Option<PathBuf>,
}

/// Signs statements about an image: Sigstore bundles that refer to it, and envelopes in cosign's `.att`. What is there
/// already is not written again.
///
/// # Errors
/// Where image, predicate or evidence cannot be read, the key does not sign, or the registry or the disk refuses.
pub fn attest(
    registry: &Registry,
    image: &str,
    signer: &dyn Signer,
    options: &AttestOptions,
) -> Result<Attested, Problems> {
    match Destination::parse(image)? {
        Destination::Registry(reference) => {
            let published = Published::open(registry, &reference)?;
            let documents: Vec<&Descriptor> = published.documents.iter().map(|(one, _)| one).collect();
            let statements = statements(&documents, image, None, options)?;
            let said = statements.iter().map(|(subject, statement)| published.say(subject, statement, signer));
            let written = published.publish(&said.collect::<Result<Vec<_>, _>>()?, options.legacy)?;
            Ok(Attested { statements: told(&statements), written, file: None })
        }
        source => {
            let (path, described) = on_disk(&source)?;
            let statements = statements(&described.iter().collect::<Vec<_>>(), image, Some(&path), options)?;
            let signed = statements.iter().map(|(_, one)| Ok(Envelope::sign(one, signer)?.to_bytes()));
            let file = options.output.clone().unwrap_or_else(|| statements_beside(&path));
            let written = bundles::add(&file, &signed.collect::<Result<Vec<_>, Problems>>()?)?;
            Ok(Attested { statements: told(&statements), written, file: Some(file) })
        }
    }
}

fn told(statements: &[(&Descriptor, Statement)]) -> Vec<(Digest, String)> {
    statements.iter().map(|(subject, one)| (subject.digest, one.predicate_type().to_owned())).collect()
}

/// Returns the statements that are asked for, about which of the image's `documents`; the last of these is the whole.
fn statements<'d>(
    documents: &[&'d Descriptor],
    image: &str,
    path: Option<&Path>,
    options: &AttestOptions,
) -> Result<Vec<(&'d Descriptor, Statement)>, Problems> {
    let wanted = options.predicate_type.as_deref();
    if let Some(file) = &options.predicate {
        let predicate_type = wanted.ok_or_else(|| Error::Predicate {
            path: shown(file),
            problem: "nothing says what kind of predicate it is".to_owned(),
        })?;
        let subject = published::subject(documents.iter().copied(), options.platform, image)?;
        let statement = Statement::new(&options.name, subject.digest, predicate_type, predicate(file)?);
        return Ok(vec![(subject, statement)]);
    }
    let whole = documents.last().expect("an image has a document").digest;
    let directory = options.evidence.clone().or_else(|| Some(Evidence::beside(path?)));
    let directory = directory.ok_or_else(|| Error::NoEvidence { image: image.to_owned() })?;
    let evidence = Evidence::open_for(&directory, &whole)?;
    let mut all = Vec::new();
    for one in evidence.manifests() {
        let Some(subject) = documents.iter().find(|own| own.digest == one.digest) else { continue };
        if options.platform.is_some_and(|platform| platform.oci() != one.platform) {
            continue;
        }
        for statement in evident(&evidence, &one.digest)? {
            if wanted.is_none_or(|wanted| wanted == statement.predicate_type()) {
                all.push((*subject, statement));
            }
        }
    }
    if all.is_empty() {
        return Err(Error::NoEvidence { image: image.to_owned() }.into());
    }
    Ok(all)
}

/// Returns the statements that the evidence about a manifest makes: the SBOMs and the provenance.
pub(super) fn evident(evidence: &Evidence, manifest: &Digest) -> Result<Vec<Statement>, Problems> {
    let mut all = Vec::new();
    // Of an image of very many files, the SPDX document of its packages, which names the full one.
    let packages = evidence.statement(manifest, Document::SpdxPackages)?;
    all.extend(match packages {
        Some(packages) => Some(packages),
        None => evidence.statement(manifest, Document::Spdx)?,
    });
    for document in [Document::Cyclonedx, Document::Spdx3, Document::Provenance] {
        all.extend(evidence.statement(manifest, document)?);
    }
    Ok(all)
}

/// Reads a predicate: JSON within the bounds of a statement, and no statement itself.
fn predicate(path: &Path) -> Result<Value, Error> {
    let bytes = read(path, MAX_STATEMENT as u64)?;
    let invalid = |problem: String| Error::Predicate { path: shown(path), problem };
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(format!("it is no JSON: {error}")))?;
    match &value {
        Value::Object(fields) if fields.contains_key("_type") && fields.contains_key("predicateType") => {
            Err(invalid("it is a statement already, with a predicate in it".to_owned()))
        }
        Value::Object(_) => Ok(value),
        _ => Err(invalid("it is no JSON object".to_owned())),
    }
}

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: shown(path), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > limit {
        let problem = format!("it has more than {limit} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, problem)));
    }
    Ok(bytes)
}
