//! `tarsia lock`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, StoreFlags};
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `lock`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to lock
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Take the newest of these packages, or of all where none is named
    #[arg(long, value_name = "PKG", num_args = 0..)]
    pub(crate) update: Option<Vec<String>>,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Writes the lock of each spec and prints what moved.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("lock").into())
}
