//! `tarsia test`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;
use tarsia::ops::{self, RunOptions, Tested, TestedRun};

use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::engine::EngineFlags;
use crate::cli::output::plain;
use crate::cli::session::Session;
use crate::cli::{Answer, moves};

/// Flags of `test`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Specs to test
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<PathBuf>,

    /// Write no lock; a stale one is an error
    #[arg(long)]
    pub(crate) locked: bool,

    #[command(flatten)]
    pub(crate) runtime: RuntimeFlag,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) engine: EngineFlags,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Which runtime runs containers.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RuntimeFlag {
    /// Program that runs containers, by name or path [default: the first of runc, crun and podman
    /// in PATH]
    #[arg(long, value_name = "PROGRAM", env = "TARSIA_RUNTIME", hide_env_values = true)]
    pub(crate) runtime: Option<PathBuf>,
}

/// Runs the trials of each spec, and prints how they went; the answer is no where one failed.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let options = RunOptions {
        machine: &session.environment.containers,
        runtime: arguments.runtime.runtime.clone(),
        locked: arguments.locked,
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
    };
    session.in_world_with(&arguments.world, &arguments.engine, &arguments.specs[0], |world| {
        let mut all = Vec::new();
        for spec in &arguments.specs {
            let tested = ops::test(world, spec, &options)?;
            session.warnings(&tested.warnings);
            session.note(&moves::text(&tested.moved));
            let runs: usize = tested.images.iter().map(|image| image.runs.len()).sum();
            session.finished(&format!("Tested `{}`: {runs} runs", tested.spec));
            if !session.globals.json {
                session.answer(&(), &text(&tested))?;
            }
            all.push(tested);
        }
        if session.globals.json {
            session.answer(&all, "")?;
        }
        Ok(if all.iter().all(|tested| tested.passed) { Answer::Yes } else { Answer::No })
    })
}

/// Returns what was found as a person reads it. What comes from the image is shown without control characters.
fn text(tested: &Tested) -> String {
    let mut text = String::new();
    for image in &tested.images {
        let _ = writeln!(text, "{} {} {}", tested.spec, image.platform, image.digest);
        for run in &image.runs {
            let verdict = if run.problems.is_empty() { "passed" } else { "failed" };
            let _ = writeln!(text, "  {verdict}  {}", command(run));
            for problem in &run.problems {
                let _ = writeln!(text, "          {}", plain(problem));
            }
            if run.problems.is_empty() {
                continue;
            }
            let answer = run.answer.as_deref().unwrap_or_default();
            for (name, said) in [("stdout", run.stdout.as_str()), ("stderr", &run.stderr), ("answer", answer)] {
                for line in said.lines() {
                    let _ = writeln!(text, "          {name} | {}", plain(line));
                }
            }
        }
    }
    text
}

/// Returns a command on one line, its words quoted where a shell would need it.
fn command(run: &TestedRun) -> String {
    let words = run.command.iter().map(|word| {
        let bare = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
        let word = plain(word);
        if !word.is_empty() && word.chars().all(bare) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    });
    words.collect::<Vec<_>>().join(" ")
}
