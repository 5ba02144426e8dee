//! `tarsia llb`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tarsia::diag::Problems;
use tarsia::ops::{self, LlbOptions, Target, Worker};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::commands::build::revision;
use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::{moves, output};

/// How the graph is used; printed below the flags.
const USE: &str = "\
Any BuildKit builds from it, and gives the image of `tarsia build`, byte for byte:
  tarsia llb web.yaml --worker W > web.llb
  buildctl build --local context=. --output type=local,dest=web.oci < web.llb
where `.` is the directory of web.yaml";

/// Flags of `llb`.
#[derive(Debug, Args)]
#[command(after_help = USE)]
pub(crate) struct Arguments {
    /// Spec to build
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,

    /// The tarsia that BuildKit runs: IMAGE@sha256:HEX, or a static program as URL#sha256=HEX
    #[arg(long, value_name = "WORKER", env = "TARSIA_WORKER", hide_env_values = true)]
    pub(crate) worker: String,

    /// What the build gives: the image as an OCI layout, or the documents about it
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = What::Oci)]
    pub(crate) target: What,

    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Tell this commit in the provenance, as [URI@]COMMIT; `git` reads it from the checkout that
    /// the spec stands in
    #[arg(long, value_name = "REVISION")]
    pub(crate) source_revision: Option<String>,

    /// Write no lock; a stale one is an error
    #[arg(long)]
    pub(crate) locked: bool,

    /// Refuse a lock that cannot be proved against its signed archives; without this, the
    /// documents call it unproved
    #[arg(long)]
    pub(crate) require_proof: bool,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// What a graph ends with.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum What {
    Oci,
    Evidence,
}

/// Prints the graph: its bytes, or with `--json` its operations for people.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    if arguments.output.is_none() && !session.globals.json && session.environment.answers_terminal {
        return Err(Error::Terminal.into());
    }
    let options = LlbOptions {
        worker: Worker::parse(&arguments.worker)?,
        target: match arguments.target {
            What::Oci => Target::Oci,
            What::Evidence => Target::Evidence,
        },
        locked: arguments.locked,
        require_proof: arguments.require_proof,
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
        source_revision: arguments.source_revision.as_deref().map(revision).transpose()?,
    };
    let beside: &Path = arguments.output.as_deref().unwrap_or(&arguments.spec);
    session.in_world(&arguments.world, beside, |world| {
        let outcome = ops::llb(world, &arguments.spec, &options)?;
        session.warnings(&outcome.warnings);
        session.note(&moves::text(&outcome.moved));
        let bytes =
            if session.globals.json { outcome.definition.json().into_bytes() } else { outcome.definition.bytes() };
        match &arguments.output {
            Some(path) => {
                ops::write_llb(path, &bytes)?;
                session.finished(&format!("Wrote {} operations to `{}`", outcome.definition.len(), path.display()));
            }
            None => output::print_bytes(&bytes)?,
        }
        Ok(Answer::Yes)
    })
}
