//! `tarsia buildkit`: what BuildKit starts, as an SBOM scanner or as a frontend.

use std::fs;

use clap::Args;
use tarsia::buildkit::Gateway;
use tarsia::diag::Problems;
use tarsia::ops::{self, FrontendInput, FrontendOutcome};
use tarsia::store::temporary::TemporaryDirectory;

use crate::cli::Answer;
use crate::cli::environment::Frontend;
use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `buildkit`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Does what the environment says that BuildKit wants.
pub(crate) fn run(session: &Session, _arguments: &Arguments) -> Result<Answer, Problems> {
    let buildkit = &session.environment.buildkit;
    match (&buildkit.scan, &buildkit.frontend) {
        (Some(scan), _) => scanner(session, scan),
        (None, Some(asked)) => frontend(session, asked),
        (None, None) => Err(Error::NotBuildKit.into()),
    }
}

/// Answers the gateway over standard input and output, which carry nothing else.
fn frontend(session: &Session, asked: &Frontend) -> Result<Answer, Problems> {
    let gateway = Gateway::connect(tokio::io::stdin(), tokio::io::stdout())?;
    match made(session, asked, &gateway) {
        Ok(FrontendOutcome { returned, metadata }) => {
            gateway.return_ok(&returned, &metadata)?;
            Ok(Answer::Yes)
        }
        Err(problems) => {
            // What a person sees of it: the daemon's log has it as well.
            gateway.return_error(&session.told(&problems))?;
            Err(problems)
        }
    }
}

fn made(session: &Session, asked: &Frontend, gateway: &Gateway) -> Result<FrontendOutcome, Problems> {
    let temporary = &session.environment.temporary;
    let room = fs::create_dir_all(temporary).and_then(|()| TemporaryDirectory::beneath(temporary, "tarsia-"));
    let room = room.map_err(|cause| Error::Room(temporary.display().to_string(), cause))?;
    let input = FrontendInput {
        options: &asked.options,
        image: asked.image.as_deref(),
        host: session.environment.platform.ok_or(Error::NoPlatform)?,
        room: room.path(),
    };
    ops::frontend(gateway, &input)
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
