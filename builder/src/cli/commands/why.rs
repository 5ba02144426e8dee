//! `tarsia why`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, PlatformFlag, StoreFlags};
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `why`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Spec to explain
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,

    /// Package, or path in the image
    #[arg(value_name = "PACKAGE|PATH")]
    pub(crate) subject: String,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Prints the chain of reasons; the answer is no where what was asked for is not in.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("why").into())
}
