//! `tarsia outdated`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, StoreFlags};
use crate::cli::moves;
use crate::cli::session::Session;
use crate::cli::size::counted;

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

/// Prints what `lock --update` would move, and moves nothing.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let flags = (&arguments.store, &arguments.network, &arguments.machine);
    session.in_world(flags, &arguments.specs[0], |world| {
        let (mut text, mut json, mut count) = (String::new(), Vec::new(), 0);
        for spec in &arguments.specs {
            let outdated = ops::outdated(world, spec)?;
            session.warnings(&outdated.warnings);
            text.push_str(&moves::text(&outdated.moved));
            json.push(json!({ "spec": spec.display().to_string(), "moved": moves::json(&outdated.moved) }));
            count += outdated.moved.len();
        }
        session.answer(&json, &text)?;
        session.finished(&format!("Found {} to move", counted(count as u64, "package")));
        Ok(Answer::Yes)
    })
}
