//! `tarsia cache`.

use clap::{Args, Subcommand};
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::StoreFlag;
use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::size::parse_size;

/// Flags of `cache`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remove what was not used for longest, down to a size
    Gc {
        /// Size that the store may keep, as 10GiB
        #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = parse_size)]
        max_size: u64,

        #[command(flatten)]
        store: StoreFlag,
    },
    /// Check everything in the store, and throw out what is broken
    Verify {
        #[command(flatten)]
        store: StoreFlag,
    },
}

/// Tidies or checks the store; the answer of `verify` is no where something was broken.
pub(crate) fn run(_session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    match &arguments.command {
        Command::Gc { .. } => Err(Error::NotWired("cache gc").into()),
        Command::Verify { .. } => Err(Error::NotWired("cache verify").into()),
    }
}
