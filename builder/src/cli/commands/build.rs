//! `tarsia build`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, BuildOptions, Revision, SourceRevision};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::engine::EngineFlags;
use crate::cli::error::Error;
use crate::cli::moves;
use crate::cli::session::Session;

/// Flags of `build`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to build
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Where the image goes: a directory, a file that ends in .tar, oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker-daemon:REF,
    /// containers-storage:REF or docker://HOST/NAME[:TAG]; may be repeated [default: <name>.oci]
    #[arg(short, long = "output", value_name = "DEST")]
    pub(crate) outputs: Vec<String>,

    /// Load the image, as <name>:latest or <name>-<variant>:latest, into Docker if its daemon
    /// answers, else into podman
    #[arg(long)]
    pub(crate) load: bool,

    /// Where the documents about the image go [default: DEST.evidence beside each file]
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Option<PathBuf>,

    /// Put the documents into OCI layouts and archives too, as referrers in their index.json
    #[arg(long)]
    pub(crate) embed_referrers: bool,

    /// Tell this commit in the provenance, as [URI@]COMMIT; `git` reads it from the checkout that
    /// the spec stands in
    #[arg(long, value_name = "REVISION")]
    pub(crate) source_revision: Option<String>,

    /// Write no lock; a stale one is an error
    #[arg(long)]
    pub(crate) locked: bool,

    /// Refuse a lock that cannot be proved against its signed archives
    #[arg(long)]
    pub(crate) require_proof: bool,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) engine: EngineFlags,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Parses `--source-revision`.
pub(crate) fn revision(text: &str) -> Result<Revision, Error> {
    if text == "git" {
        return Ok(Revision::Checkout);
    }
    SourceRevision::parse(text).map(Revision::Given).map_err(|problem| Error::SourceRevision(text.to_owned(), problem))
}

/// Builds each spec and prints one digest per image.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    if !arguments.outputs.is_empty() && arguments.specs.len() > 1 {
        return Err(Error::OneOutput.into());
    }
    if arguments.evidence.is_some() && arguments.specs.len() > 1 {
        return Err(Error::OneEvidence.into());
    }
    let options = BuildOptions {
        outputs: arguments.outputs.clone(),
        load: arguments.load,
        locked: arguments.locked,
        require_proof: arguments.require_proof,
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
        evidence: arguments.evidence.clone(),
        embed_referrers: arguments.embed_referrers,
        source_revision: arguments.source_revision.as_deref().map(revision).transpose()?,
    };
    let beside = arguments.outputs.iter().find_map(|output| ops::directory_of_output(output));
    // Where a store of its own would stand, if one is needed: beside the image.
    let output = beside.map_or_else(|| arguments.specs[0].clone(), |directory| directory.join("image"));
    session.in_world_with(&arguments.world, &arguments.engine, &output, |world| {
        let mut json = Vec::new();
        for spec in &arguments.specs {
            let built = ops::build(world, spec, &options)?;
            session.warnings(&built.warnings);
            session.note(&moves::text(&built.moved));
            session.finished(&format!("Built `{}`", built.outputs.join("`, `")));
            json.push(json!({
                "spec": spec.display().to_string(),
                "variant": arguments.variant.variant,
                "digest": built.digest.to_string(),
                "outputs": built.outputs,
                "moved": moves::json(&built.moved),
            }));
            if !session.globals.json {
                session.answer(&(), &format!("{}\n", built.digest))?;
            }
        }
        if session.globals.json {
            session.answer(&json, "")?;
        }
        Ok(Answer::Yes)
    })
}
