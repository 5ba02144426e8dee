//! `tarsia fetch`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, PlatformFlag, StoreFlags};
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to fetch for
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Downloads all that the locks name.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("fetch").into())
}
