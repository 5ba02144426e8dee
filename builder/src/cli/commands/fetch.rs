//! `tarsia fetch`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, NetworkFlags, StoreFlags};
use crate::cli::session::Session;
use crate::cli::size::human_size;

/// Flags of `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to fetch for
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Downloads all that the locks name.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let flags = (&arguments.store, &arguments.network, &arguments.machine);
    session.in_world(flags, &arguments.specs[0], |world| {
        let mut json = Vec::new();
        for spec in &arguments.specs {
            let outcome = ops::fetch(world, spec)?;
            session.finished(&format!(
                "Fetched {} of {} files of `{}`, {}",
                outcome.fetched,
                outcome.wanted,
                spec.display(),
                human_size(outcome.bytes)
            ));
            json.push(json!({
                "spec": spec.display().to_string(),
                "wanted": outcome.wanted,
                "fetched": outcome.fetched,
                "bytes": outcome.bytes,
            }));
        }
        session.answer(&json, "")?;
        Ok(Answer::Yes)
    })
}
