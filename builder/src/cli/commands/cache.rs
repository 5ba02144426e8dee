//! `tarsia cache`.

use clap::{Args, Subcommand};
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;
use tarsia::store::{Store, StoreOptions};

use crate::cli::Answer;
use crate::cli::arguments::StoreFlag;
use crate::cli::session::Session;
use crate::cli::size::{counted, human_size, parse_size};

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
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    match &arguments.command {
        Command::Gc { max_size, store } => {
            let removed = ops::gc(&open(session, store)?, *max_size)?;
            let answer = json!({ "removed": { "files": removed.files, "bytes": removed.bytes } });
            session.answer(&answer, "")?;
            session.finished(&format!("Removed {}, {}", counted(removed.files, "file"), human_size(removed.bytes)));
            Ok(Answer::Yes)
        }
        Command::Verify { store } => {
            let found = ops::verify_cache(&open(session, store)?)?;
            let broken = &found.thrown_out;
            let sound = json!({ "files": found.sound.files, "bytes": found.sound.bytes });
            let lines: String = broken.iter().map(|path| format!("{path}\n")).collect();
            session.answer(&json!({ "sound": sound, "thrown-out": broken }), &lines)?;
            session.finished(&format!(
                "Checked {}, {}; threw out {}",
                counted(found.sound.files + broken.len() as u64, "file"),
                human_size(found.sound.bytes),
                broken.len()
            ));
            Ok(if broken.is_empty() { Answer::Yes } else { Answer::No })
        }
    }
}

fn open(session: &Session, flag: &StoreFlag) -> Result<Store, Problems> {
    Ok(Store::open(&session.store_directory(flag.store.as_ref())?, StoreOptions::default())?)
}
