//! `tarsia build`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, PlatformFlag, StoreFlags};
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `build`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to build
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Where the image goes: a directory, or an archive where it ends in .tar [default: <name>.oci]
    #[arg(short, long, value_name = "DEST")]
    pub(crate) output: Option<String>,

    /// Write no lock; a stale one is an error
    #[arg(long)]
    pub(crate) locked: bool,

    /// Refuse a lock that cannot be proved against its signed archives
    #[arg(long)]
    pub(crate) require_proof: bool,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Builds each spec and prints one digest per image.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("build").into())
}
