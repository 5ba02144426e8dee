//! `tarsia check`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, CheckOptions};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::sections::{named, sections};
use crate::cli::session::Session;

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to check
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Prove the lock against the signed archives
    #[arg(long)]
    pub(crate) proof: bool,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Checks specs and their locks; with `--proof`, the locks against the signed archives.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    session.in_world(&arguments.world, arguments.specs[0].as_path(), |world| {
        let mut answers = Vec::new();
        for (spec, variant) in sections(&arguments.specs, &arguments.variant)? {
            let (proof, platforms) = (arguments.proof, arguments.platform.platforms.clone());
            let options = CheckOptions { proof, platforms, variant: variant.clone() };
            let found = ops::check(world, spec, &options)?;
            session.warnings(&found.warnings);
            for (platform, report) in &found.reports {
                for (class, (entries, bytes)) in &report.dropped {
                    session.detail(&format!("{}: {class} drops {entries} entries, {bytes} bytes", platform.oci()));
                }
                for script in &report.handled {
                    let rules: Vec<&str> = script.rules.keys().map(String::as_str).collect();
                    let says = match rules.as_slice() {
                        [] => "has no effect in a fresh root".to_owned(),
                        rules => format!("is covered by {}", rules.join(", ")),
                    };
                    session.detail(&format!("{}: {} of {} {says}", platform.oci(), script.script, script.package));
                }
                report.notes.iter().for_each(|note| session.detail(note));
            }
            for (platform, suggestions) in &found.suggestions {
                for suggestion in suggestions {
                    session.note(&format!(
                        "hint: {}: {suggestion}; `tarsia learn` tells whether it is asked for",
                        platform.oci()
                    ));
                }
            }
            let proved = if found.proved { ", proved" } else { "" };
            session.finished(&match found.packages {
                Some(count) => format!("Checked {}: {count} packages{proved}", named(spec, variant.as_deref())),
                None => format!("Checked {}", named(spec, variant.as_deref())),
            });
            let reports: Vec<_> = found
                .reports
                .iter()
                .zip(found.suggestions.iter().zip(&found.forgotten))
                .map(|((platform, report), ((_, suggestions), (_, forgotten)))| {
                    json!({
                        "platform": platform.oci(), "report": report,
                        "suggestions": suggestions, "forgotten": forgotten,
                    })
                })
                .collect();
            answers.push(json!({
                "spec": spec.display().to_string(),
                "variant": variant,
                "packages": found.packages,
                "proved": found.proved,
                "reports": reports,
            }));
        }
        if session.globals.json {
            session.answer(&answers, "")?;
        }
        Ok(Answer::Yes)
    })
}
