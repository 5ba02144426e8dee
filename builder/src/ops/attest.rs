//! `attest`: signs a statement about an image, in a registry or on disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::attest::{MAX_STATEMENT, Statement};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::image::Destination;
use crate::registry::Registry;
use crate::sign::{Bundle, Signer};
use crate::spec::Platform;

use super::bundles::{self, bundles_beside};
use super::published::{self, Published};
use super::sign::on_disk;
use super::{Error, shown};

/// What is to be said about an image.
#[derive(Debug, Clone)]
pub struct AttestOptions {
    /// The URI that says what kind of predicate it is.
    pub predicate_type: String,
    /// A JSON file: the predicate.
    pub predicate: PathBuf,
    /// The name of the image in its spec; nothing where empty.
    pub name: String,
    /// Of the image of this platform, not of the whole.
    pub platform: Option<Platform>,
    /// Written as cosign's `.att` too.
    pub legacy: bool,
    /// Where bundles about an image on disk go; `X.sigstore.jsonl` beside it where nothing is said.
    pub output: Option<PathBuf>,
}

/// What was attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// What the statement is about.
    pub subject: Digest,
    /// What was not there before: the bundle, and the envelope in `.att`.
    pub written: usize,
    /// The file that they were written to; `None` for a registry.
    pub file: Option<PathBuf>,
}

/// Signs a statement about an image: a Sigstore bundle that refers to it, and an envelope in cosign's `.att`. What is
/// there already is not written again.
///
/// # Errors
/// Where image or predicate cannot be read, the key does not sign, or the registry or the disk refuses.
pub fn attest(
    registry: &Registry,
    image: &str,
    signer: &dyn Signer,
    options: &AttestOptions,
) -> Result<Attested, Problems> {
    let predicate = predicate(&options.predicate)?;
    let statement = |digest| Statement::new(&options.name, digest, &options.predicate_type, predicate);
    match Destination::parse(image)? {
        Destination::Registry(reference) => {
            let published = Published::open(registry, &reference)?;
            let subject = published.subject(options.platform)?;
            let written = published.attach_bundles(subject, &[statement(subject.digest)], signer, options.legacy)?;
            Ok(Attested { subject: subject.digest, written, file: None })
        }
        source => {
            let (path, described) = on_disk(&source)?;
            let digest = published::subject(described.iter(), options.platform, image)?.digest;
            let file = options.output.clone().unwrap_or_else(|| bundles_beside(&path));
            let written = bundles::add(&file, &[Bundle::sign(&statement(digest), signer)?.to_bytes()])?;
            Ok(Attested { subject: digest, written, file: Some(file) })
        }
    }
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
