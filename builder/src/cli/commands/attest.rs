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

    /// What is said: spdx, spdx3, cyclonedx, provenance, or a predicate type's URI
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    pub(crate) predicate_type: String,

    /// The predicate, a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) predicate: PathBuf,

    /// Name of the image in the statement
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) name: String,

    /// About the image of this platform, not about the index over several
    #[arg(long, value_name = "OS/ARCH", value_parser = parse_platform)]
    pub(crate) platform: Option<Platform>,

    /// Write no .att tag, which cosign before 3 and admission controllers read
    #[arg(long)]
    pub(crate) no_legacy_att: bool,

    /// Where a statement about an image on disk goes [default: IMAGE.sigstore.jsonl]
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

/// Signs a statement about an image and prints the digest that it is about.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let registry = session.registry(&arguments.registry, false)?;
    let signer = arguments.key.signer(session)?;
    let options = AttestOptions {
        predicate_type: arguments.predicate_type.clone(),
        predicate: arguments.predicate.clone(),
        name: arguments.name.clone(),
        platform: arguments.platform,
        legacy: !arguments.no_legacy_att,
        output: arguments.output.clone(),
    };
    let attested = ops::attest(&registry, &arguments.image, &*signer, &options)?;
    let file = attested.file.as_ref().map(|path| path.display().to_string());
    session.answer(
        &json!({
            "subject": attested.subject.to_string(),
            "predicateType": options.predicate_type,
            "written": attested.written,
            "key": signer.public().id().to_string(),
            "file": file,
        }),
        &format!("{}\n", attested.subject),
    )?;
    let place = file.unwrap_or_else(|| arguments.image.clone());
    session.finished(&match attested.written {
        0 => format!("Found the statement in `{place}`"),
        count => format!("Wrote {} to `{place}`", counted(count as u64, "document")),
    });
    Ok(Answer::Yes)
}
