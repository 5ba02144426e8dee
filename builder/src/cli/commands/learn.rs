//! `tarsia learn`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use tarsia::container::Asked;
use tarsia::diag::Problems;
use tarsia::ops::{self, LearnOptions, Learned, LearnedImage, Proposal, RunOptions};

use super::test::RuntimeFlag;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::engine::EngineFlags;
use crate::cli::output::plain;
use crate::cli::session::Session;
use crate::cli::size::{counted, human_size};
use crate::cli::{Answer, moves};

/// Flags of `learn`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Spec whose image is run
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,

    /// Arguments in place of the image's own [default: each run under `checks`, else the image as
    /// it is]
    #[arg(last = true, value_name = "ARG")]
    pub(crate) args: Option<Vec<String>>,

    /// Program in place of the image's entrypoint
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,

    /// Seconds after which the program is stopped, as a service is
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub(crate) timeout: u32,

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

/// Runs the image under a tracer, and prints lines for the spec.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let options = RunOptions {
        machine: &session.environment.containers,
        runtime: arguments.runtime.runtime.clone(),
        locked: arguments.locked,
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
    };
    let what = LearnOptions {
        entrypoint: arguments.entrypoint.clone(),
        args: arguments.args.clone(),
        timeout: arguments.timeout,
    };
    session.in_world_with(&arguments.world, &arguments.engine, &arguments.spec, |world| {
        let learned = ops::learn(world, &arguments.spec, &options, &what)?;
        session.warnings(&learned.warnings);
        session.note(&moves::text(&learned.moved));
        let runs = learned.images.iter().map(|image| image.runs.len() as u64).sum();
        session.finished(&format!("Traced {} of `{}`", counted(runs, "run"), learned.spec));
        session.answer(&learned, &text(&learned))?;
        Ok(Answer::Yes)
    })
}

/// Returns what was learned as lines that can be pasted into the spec. What comes from the image is shown without
/// control characters.
fn text(learned: &Learned) -> String {
    let mut text = String::new();
    for image in &learned.images {
        let _ = writeln!(text, "# {} {}", learned.spec, image.platform);
        lines(&mut text, image);
    }
    text
}

fn lines(text: &mut String, image: &LearnedImage) {
    if image.also.is_empty() && image.directories.is_empty() {
        let _ = writeln!(text, "# nothing that a locked package ships was asked for and not there");
    }
    if !image.also.is_empty() {
        let _ = writeln!(text, "also:");
    }
    for proposal in &image.also {
        let _ = writeln!(text, "  - {}  # {}", quoted(&proposal.also), plain(&because(proposal)));
    }
    if !image.directories.is_empty() {
        let _ = writeln!(text, "files:");
    }
    for directory in &image.directories {
        let _ = writeln!(text, "  - {{dir: {}}}  # something was to be made in it", quoted(directory));
    }
    for (name, how) in &image.nowhere {
        let how = how.iter().map(|how| word(*how)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "# in no locked package: {} ({how})", plain(name));
    }
    for passing in &image.passing {
        let feature = passing.feature.as_ref().map(|name| format!("; `features: [{name}]` brings them"));
        let files = counted(passing.count as u64, "file");
        let _ = writeln!(text, "# asked for in passing: {files}, {}{}", passing.why, feature.unwrap_or_default());
    }
}

fn because(proposal: &Proposal) -> String {
    let packages = proposal.packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut how: Vec<&str> = proposal.asked.values().flatten().map(|how| word(*how)).collect();
    how.sort_unstable();
    how.dedup();
    let never = proposal.never.as_ref().map(|never| format!(", but `{never}` drops it")).unwrap_or_default();
    format!("{packages}: {}, {}{never}", how.join(", "), human_size(proposal.size))
}

fn word(how: Asked) -> &'static str {
    match how {
        Asked::Run => "run",
        Asked::Open => "opened",
        Asked::Look => "looked for",
        Asked::Make => "written below",
    }
}

/// Returns a path as YAML takes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", plain(text).replace('\\', "\\\\").replace('"', "\\\""))
}
