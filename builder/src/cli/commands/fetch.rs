//! `tarsia fetch`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::arguments::{VariantFlag, WorldFlags};
use crate::cli::sections::{named, sections};
use crate::cli::session::Session;
use crate::cli::size::human_size;

/// Flags of `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to fetch for
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Downloads all that the locks name.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    session.in_world(&arguments.world, &arguments.specs[0], |world| {
        let mut json = Vec::new();
        for (spec, variant) in sections(&arguments.specs, &arguments.variant)? {
            let outcome = ops::fetch(world, spec, variant.as_deref())?;
            session.finished(&format!(
                "Fetched {} of {} files of {}, {}",
                outcome.fetched,
                outcome.wanted,
                named(spec, variant.as_deref()),
                human_size(outcome.bytes)
            ));
            json.push(json!({
                "spec": spec.display().to_string(),
                "variant": variant,
                "wanted": outcome.wanted,
                "fetched": outcome.fetched,
                "bytes": outcome.bytes,
            }));
        }
        session.answer(&json, "")?;
        Ok(Answer::Yes)
    })
}
