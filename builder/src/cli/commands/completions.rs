//! `tarsia completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::output;
use crate::cli::session::Session;

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shell to complete in
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Prints what the shell reads, for a person to put where the shell looks for it.
pub(crate) fn run(_session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let mut script = Vec::new();
    let mut command = crate::cli::arguments::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "tarsia", &mut script);
    output::print_bytes(&script)?;
    Ok(Answer::Yes)
}
