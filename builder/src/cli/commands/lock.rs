//! `tarsia lock`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, LockOptions};
use tarsia::resolve::Update;

use crate::cli::Answer;
use crate::cli::arguments::{VariantFlag, WorldFlags};
use crate::cli::error::Error;
use crate::cli::moves;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `lock`.
#[derive(Debug, Args)]
#[command(override_usage = "tarsia lock [OPTIONS] <SPEC>...\n       tarsia lock [OPTIONS] <SPEC>... --update [PKG]...")]
pub(crate) struct Arguments {
    /// Specs to lock
    #[arg(value_name = "SPEC")]
    specs: Vec<PathBuf>,

    /// Take the newest of these packages, or of all where none is named
    #[arg(long, value_name = "PKG", num_args = 0..)]
    update: Option<Vec<String>>,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

impl Arguments {
    /// Returns the specs, and the packages to move: `None` where no update is asked for, empty for all.
    ///
    /// A spec may also stand behind `--update`: what ends in `.yaml` or `.yml`, or has a `/`, is no package.
    pub(crate) fn specs_and_update(&self) -> Result<(Vec<PathBuf>, Option<Vec<String>>), Error> {
        let is_spec = |word: &String| word.contains('/') || word.ends_with(".yaml") || word.ends_with(".yml");
        let mut specs = self.specs.clone();
        let update = self.update.as_ref().map(|words| {
            let (more, packages): (Vec<_>, Vec<_>) = words.iter().cloned().partition(is_spec);
            specs.extend(more.into_iter().map(PathBuf::from));
            packages
        });
        if specs.is_empty() { Err(Error::NoSpec) } else { Ok((specs, update)) }
    }
}

/// Writes the lock of each spec and prints what moved.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let (specs, update) = arguments.specs_and_update()?;
    let update = match update {
        None => Update::None,
        Some(packages) if packages.is_empty() => Update::All,
        Some(packages) => Update::Some(packages.into_iter().collect()),
    };
    let options = LockOptions { update, variant: arguments.variant.variant.clone() };
    session.in_world(&arguments.world, &specs[0], |world| {
        let mut answers = Vec::new();
        for spec in &specs {
            let outcome = ops::lock(world, spec, &options)?;
            session.warnings(&outcome.warnings);
            let verb = if outcome.written { "Locked" } else { "Kept" };
            session.finished(&format!(
                "{verb} {} of `{}`",
                counted(outcome.packages as u64, "package"),
                spec.display()
            ));
            let name = spec.display().to_string();
            answers.push((name, outcome.packages, outcome.written, outcome.moved));
        }
        let text: String = answers.iter().map(|(_, _, _, moved)| moves::text(moved)).collect();
        let json: Vec<_> = answers
            .iter()
            .map(|(spec, packages, written, moved)| {
                json!({ "spec": spec, "packages": packages, "written": written, "moved": moves::json(moved) })
            })
            .collect();
        session.answer(&json, &text)?;
        Ok(Answer::Yes)
    })
}
