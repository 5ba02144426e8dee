//! `tarsia attest`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, AttestOptions};
use tarsia::spec::Platform;

use crate::cli::Answer;
use crate::cli::arguments::{RegistryFlags, parse_platform};
use crate::cli::keys::KeyFlag;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `attest`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image that the statement is about: docker://HOST/NAME[:TAG|@DIGEST], a directory, an archive,
    /// or oci:DIR[:TAG], oci-archive:FILE[:TAG]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// What is said: spdx, spdx3, cyclonedx, provenance, or a predicate type's URI [default: all that
    /// the evidence says]
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    pub(crate) predicate_type: Option<String>,

    /// The predicate, a JSON file [default: the documents of the evidence]
    #[arg(long, value_name = "FILE", requires = "predicate_type")]
    pub(crate) predicate: Option<PathBuf>,

    /// Evidence of the image [default: IMAGE.evidence]
    #[arg(long, value_name = "DIR", conflicts_with = "predicate")]
    pub(crate) evidence: Option<PathBuf>,

    /// Name of the image in a statement with a predicate of your own
    #[arg(long, value_name = "NAME", requires = "predicate")]
    pub(crate) name: Option<String>,

    /// About the image of this platform, not about the index over several
    #[arg(long, value_name = "OS/ARCH", value_parser = parse_platform)]
    pub(crate) platform: Option<Platform>,

    /// Write no .att tag, which cosign before 3 and admission controllers read
    #[arg(long)]
    pub(crate) no_legacy_att: bool,

    /// Where a statement about an image on disk goes [default: IMAGE.intoto.jsonl]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) key: KeyFlag,

    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

/// Parses a predicate type.
pub(crate) fn parse_type(text: &str) -> Result<String, String> {
    ops::predicate_type(text).map(str::to_owned)
}

/// Signs statements about an image, and prints of each what it is about and its type.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let registry = session.registry(&arguments.registry, false)?;
    let signer = arguments.key.signer(session)?;
    let options = AttestOptions {
        predicate_type: arguments.predicate_type.clone(),
        predicate: arguments.predicate.clone(),
        evidence: arguments.evidence.clone(),
        name: arguments.name.clone().unwrap_or_default(),
        platform: arguments.platform,
        legacy: !arguments.no_legacy_att,
        output: arguments.output.clone(),
    };
    let attested = ops::attest(&registry, &arguments.image, &*signer, &options)?;
    let file = attested.file.as_ref().map(|path| path.display().to_string());
    let statements = attested.statements.iter();
    session.answer(
        &json!({
            "statements": statements
                .map(|(subject, kind)| json!({"subject": subject.to_string(), "predicateType": kind}))
                .collect::<Vec<_>>(),
            "written": attested.written,
            "key": signer.public().id().to_string(),
            "file": file,
        }),
        &attested.statements.iter().map(|(subject, kind)| format!("{subject} {kind}\n")).collect::<String>(),
    )?;
    let place = file.unwrap_or_else(|| arguments.image.clone());
    session.finished(&match attested.written {
        0 => format!("Found every statement in `{place}`"),
        count => format!("Wrote {} to `{place}`", counted(count as u64, "document")),
    });
    Ok(Answer::Yes)
}
