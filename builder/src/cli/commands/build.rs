//! `tarsia build`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, BuildOptions};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::error::Error;
use crate::cli::moves;
use crate::cli::session::Session;

/// Flags of `build`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to build
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Where the image goes: a directory, or an archive where it ends in .tar [default: <name>.oci, with the variant behind the name]
    #[arg(short, long, value_name = "DEST")]
    pub(crate) output: Option<String>,

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
    pub(crate) world: WorldFlags,
}

/// Builds each spec and prints one digest per image.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    if arguments.output.is_some() && arguments.specs.len() > 1 {
        return Err(Error::OneOutput.into());
    }
    let options = BuildOptions {
        output: arguments.output.clone(),
        locked: arguments.locked,
        require_proof: arguments.require_proof,
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
    };
    let output = arguments.output.as_deref().map_or(arguments.specs[0].as_path(), Path::new);
    session.in_world(&arguments.world, output, |world| {
        let mut json = Vec::new();
        for spec in &arguments.specs {
            let built = ops::build(world, spec, &options)?;
            session.warnings(&built.warnings);
            session.note(&moves::text(&built.moved));
            session.finished(&format!("Built `{}`", built.output));
            json.push(json!({
                "spec": spec.display().to_string(),
                "variant": arguments.variant.variant,
                "digest": built.digest.to_string(),
                "output": built.output,
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
