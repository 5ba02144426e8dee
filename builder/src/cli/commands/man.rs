//! `tarsia man`.

use clap::{Args, CommandFactory as _};
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::error::Error;
use crate::cli::output;
use crate::cli::session::Session;

/// Flags of `man`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Command to describe, as `build` or `cache gc`; all of tarsia where absent
    #[arg(value_name = "COMMAND", num_args = 0..)]
    pub(crate) command: Vec<String>,
}

/// Prints a manual page in roff, as `man -l -` reads it.
pub(crate) fn run(_session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let mut whole = crate::cli::arguments::Arguments::command();
    whole.build();
    let mut command = &whole;
    for name in &arguments.command {
        command = command.find_subcommand(name).ok_or_else(|| Error::NoManual(arguments.command.join(" ")))?;
    }
    let mut page = Vec::new();
    // The date would be the build's or the reader's; the version says which page this is.
    let manual = clap_mangen::Man::new(command.clone()).date("").manual("tarsia");
    manual.render(&mut page).map_err(Error::Output)?;
    output::print_bytes(&page)?;
    Ok(Answer::Yes)
}
