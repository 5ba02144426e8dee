//! `tarsia buildkit`: what BuildKit starts, as an SBOM scanner or as a frontend.

use clap::Args;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `buildkit`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Does what the environment says that BuildKit wants.
pub(crate) fn run(session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    let buildkit = &session.environment.buildkit;
    match &buildkit.scan {
        Some(scan) => scanner(session, scan),
        None => Err(Error::NotBuildKit.into()),
    }
}

/// Writes the SBOMs that BuildKit asks for.
fn scanner(session: &Session, input: &ops::ScanInput) -> Result<Answer, Problems> {
    for scanned in ops::scan(input)? {
        session.warnings(&scanned.warnings);
        let (packages, files) = (counted(scanned.packages as u64, "package"), counted(scanned.files as u64, "file"));
        session.finished(&format!("Wrote `{}`: {packages}, {files}", scanned.path.display()));
    }
    Ok(Answer::Yes)
}
