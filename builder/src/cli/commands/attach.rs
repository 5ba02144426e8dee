//! `tarsia attach`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, AttachOptions, SbomAttachOptions};
use tarsia::spec::Platform;

use crate::cli::Answer;
use crate::cli::arguments::{SourceFlags, parse_platform};
use crate::cli::commands::attest::parse_type;
use crate::cli::keys::KeyFlag;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `attach`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Published image, whoever built it: docker://HOST/NAME[:TAG|@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Documents to attach
    #[arg(value_name = "FILE", required_unless_present = "sbom", conflicts_with = "sbom")]
    pub(crate) files: Vec<PathBuf>,

    /// Attach SBOMs of every platform: those of --evidence, or ones made of what is in the image
    #[arg(long)]
    pub(crate) sbom: bool,

    /// Evidence of the image, as `build` wrote it
    #[arg(long, value_name = "DIR", requires = "sbom")]
    pub(crate) evidence: Option<PathBuf>,

    /// Media type of the documents [default: as their content tells]
    #[arg(long, value_name = "TYPE", conflicts_with = "sbom")]
    pub(crate) media_type: Option<String>,

    /// With a key, what the documents are attested as: spdx, spdx3, cyclonedx, provenance, or a URI
    /// [default: as their content tells]
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type, conflicts_with = "sbom")]
    pub(crate) predicate_type: Option<String>,

    /// To the image of this platform, not to the index over several
    #[arg(long, value_name = "OS/ARCH", value_parser = parse_platform)]
    pub(crate) platform: Option<Platform>,

    /// Write no .att tag, which cosign before 3 and admission controllers read
    #[arg(long)]
    pub(crate) no_legacy_att: bool,

    #[command(flatten)]
    pub(crate) key: KeyFlag,

    #[command(flatten)]
    pub(crate) source: SourceFlags,
}

/// Attaches documents and prints the digest of each one's manifest.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let SourceFlags { store, registry } = &arguments.source;
    let signer = arguments.key.key.is_some().then(|| arguments.key.signer(session)).transpose()?;
    let attached = if arguments.sbom {
        let options = SbomAttachOptions {
            evidence: arguments.evidence.clone(),
            platforms: arguments.platform.into_iter().collect(),
            legacy: !arguments.no_legacy_att,
        };
        session.reaching(store, registry, false, |reach| {
            ops::attach_sbom(reach, &arguments.image, signer.as_deref(), &options)
        })?
    } else {
        let options = AttachOptions {
            media_type: arguments.media_type.clone(),
            predicate_type: arguments.predicate_type.clone(),
            platform: arguments.platform,
            legacy: !arguments.no_legacy_att,
        };
        let registry = session.registry(registry, false)?;
        ops::attach(&registry, &arguments.image, &arguments.files, signer.as_deref(), &options)?
    };
    let manifests: Vec<String> = attached.manifests.iter().map(ToString::to_string).collect();
    session.answer(
        &json!({"subject": attached.subject.to_string(), "manifests": manifests, "written": attached.written}),
        &format!("{}\n", manifests.join("\n")),
    )?;
    session.finished(&match attached.written {
        0 => format!("Found every document at `{}`", arguments.image),
        count => format!("Attached {} to `{}`", counted(count as u64, "document"), arguments.image),
    });
    Ok(Answer::Yes)
}
