//! `tarsia schema`.

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::output;
use crate::cli::session::Session;

/// Flags of `schema`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Prints the JSON Schema that editors check specs with.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    output::print(&format!("{:#}\n", tarsia::spec::schema()))?;
    Ok(Answer::Yes)
}
