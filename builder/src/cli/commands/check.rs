//! `tarsia check`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, PlatformFlag, StoreFlags};
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to check
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Prove the lock against the signed archives
    #[arg(long)]
    pub(crate) proof: bool,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Checks specs and their locks; with `--proof`, the locks against the signed archives.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("check").into())
}
