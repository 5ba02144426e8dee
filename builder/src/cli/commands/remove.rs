//! `tarsia remove`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, ChangeOptions};

use crate::cli::Answer;
use crate::cli::arguments::WorldFlags;
use crate::cli::moves;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `remove`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Spec to change
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,

    /// Packages to remove, as the spec names them
    #[arg(required = true, value_name = "PKG")]
    pub(crate) packages: Vec<String>,

    /// Leave the lock as it is
    #[arg(long)]
    pub(crate) no_lock: bool,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Removes packages and prints what moved in the lock.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let options = ChangeOptions { no_lock: arguments.no_lock };
    session.in_world(&arguments.world, &arguments.spec, |world| {
        let done = ops::remove(world, &arguments.spec, &arguments.packages, &options)?;
        session.warnings(&done.warnings);
        let count = counted(done.changed.len() as u64, "package");
        session.finished(&format!("Removed {count} from `{}`", arguments.spec.display()));
        let json = json!({
            "spec": arguments.spec.display().to_string(),
            "changed": done.changed,
            "moved": moves::json(&done.moved),
        });
        session.answer(&json, &moves::text(&done.moved))?;
        Ok(Answer::Yes)
    })
}
