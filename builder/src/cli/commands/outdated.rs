//! `tarsia outdated`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::arguments::{VariantFlag, WorldFlags};
use crate::cli::moves;
use crate::cli::sections::sections;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `outdated`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to look at
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Prints what `lock --update` would move, and moves nothing.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    session.in_world(&arguments.world, &arguments.specs[0], |world| {
        let (mut text, mut json, mut count) = (String::new(), Vec::new(), 0);
        for (spec, variant) in sections(&arguments.specs, &arguments.variant)? {
            let outdated = ops::outdated(world, spec, variant.as_deref())?;
            session.warnings(&outdated.warnings);
            let moved = moves::text(&outdated.moved);
            if let Some(variant) = variant.as_deref().filter(|_| !moved.is_empty()) {
                text.push_str(&format!("variant {variant}:\n"));
            }
            text.push_str(&moved);
            json.push(json!({
                "spec": spec.display().to_string(),
                "variant": variant,
                "moved": moves::json(&outdated.moved),
            }));
            count += outdated.moved.len();
        }
        session.answer(&json, &text)?;
        session.finished(&format!("Found {} to move", counted(count as u64, "package")));
        Ok(Answer::Yes)
    })
}
