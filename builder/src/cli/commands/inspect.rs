//! `tarsia inspect`.

use clap::Args;
use tarsia::diag::Problems;

use crate::cli::Answer;
use crate::cli::arguments::PlatformFlag;
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to look at: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// List every file
    #[arg(long)]
    pub(crate) files: bool,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,
}

/// Prints what an image holds.
pub(crate) fn run(_session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    Err(Error::NotWired("inspect").into())
}
