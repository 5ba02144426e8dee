//! `tarsia outdated`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, StoreFlags};
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `outdated`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to look at
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Prints what `lock --update` would move; the answer is no where something would.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("outdated").into())
}
