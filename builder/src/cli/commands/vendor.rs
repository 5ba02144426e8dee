//! `tarsia vendor`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, VendorOptions};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::session::Session;
use crate::cli::size::{counted, human_size};

/// Flags of `vendor`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs whose inputs to write
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Where to: a directory, or an archive where it ends in .tar or .tar.zst [default: <name>.vendor]
    #[arg(short, long, value_name = "DIR|FILE")]
    pub(crate) output: Option<PathBuf>,

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

/// Writes what the locks name, and prints where it stands.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let options = VendorOptions {
        output: arguments.output.clone(),
        require_proof: arguments.require_proof,
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
    };
    let beside = arguments.output.as_ref().unwrap_or(&arguments.specs[0]);
    session.in_world(&arguments.world, beside, |world| {
        let outcome = ops::vendor(world, &arguments.specs, &options)?;
        session.warnings(&outcome.warnings);
        let output = outcome.output.display().to_string();
        session.finished(&format!(
            "Vendored {} into `{output}`, {}",
            counted(outcome.files as u64, "file"),
            human_size(outcome.bytes)
        ));
        let json = json!({ "output": output, "files": outcome.files, "bytes": outcome.bytes });
        session.answer(&json, &format!("{output}\n"))?;
        Ok(Answer::Yes)
    })
}
