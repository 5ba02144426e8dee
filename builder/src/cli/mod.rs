//! The command line: parses flags, reads the environment once, calls one function of the library per command and
//! prints its answer.
//!
//! In: arguments and the environment. Out: the answer on standard output, everything else on standard error, and an
//! exit status: 0 yes, 1 the answer is no, 2 it could not be told or done. Nothing here decides what an image holds.

mod arguments;
mod commands;
mod engine;
mod environment;
mod error;
mod keys;
mod moves;
mod network;
mod output;
mod password;
mod progress;
mod render;
mod sections;
mod session;
mod signals;
mod size;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use tarsia::diag::{Problems, Verdict};

use arguments::{Arguments, Command};
use environment::Environment;
use session::Session;

/// What a command that did its work has to say in one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Exit status 0.
    Yes,
    /// Exit status 1; what is wrong has been printed.
    No,
    /// Exit status 2; what could not be told has been printed.
    Unknown,
}

/// Runs the program and returns its exit status.
pub(crate) fn main() -> ExitCode {
    let matches = match Arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let session = Session::new(Environment::read(), arguments.globals);
    signals::watch(&session.environment.ignored_signals);
    // A panic is a mistake in this program; what it was writing has been removed on the way here.
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&session, &arguments.command)));
    tarsia::store::temporary::proceed();
    match ran.unwrap_or_else(|_| Err(error::Error::Panic.into())) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::Unknown) => ExitCode::from(2),
        Err(problems) => {
            session.problems(&problems);
            ExitCode::from(match problems.verdict() {
                Verdict::No => 1,
                Verdict::Unknown => 2,
            })
        }
    }
}

fn run(session: &Session, command: &Command) -> Result<Answer, Problems> {
    match command {
        Command::Init(arguments) => commands::init::run(session, arguments),
        Command::Add(arguments) => commands::add::run(session, arguments),
        Command::Remove(arguments) => commands::remove::run(session, arguments),
        Command::Check(arguments) => commands::check::run(session, arguments),
        Command::Lock(arguments) => commands::lock::run(session, arguments),
        Command::Outdated(arguments) => commands::outdated::run(session, arguments),
        Command::Fetch(arguments) => commands::fetch::run(session, arguments),
        Command::Vendor(arguments) => commands::vendor::run(session, arguments),
        Command::Build(arguments) => commands::build::run(session, arguments),
        Command::Llb(arguments) => commands::llb::run(session, arguments),
        Command::Test(arguments) => commands::test::run(session, arguments),
        Command::Learn(arguments) => commands::learn::run(session, arguments),
        Command::Why(arguments) => commands::why::run(session, arguments),
        Command::Inspect(arguments) => commands::inspect::run(session, arguments),
        Command::Diff(arguments) => commands::diff::run(session, arguments),
        Command::Sbom(arguments) => commands::sbom::run(session, arguments),
        Command::Audit(arguments) => commands::audit::run(session, arguments),
        Command::Keygen(arguments) => commands::keygen::run(session, arguments),
        Command::Sign(arguments) => commands::sign::run(session, arguments),
        Command::Attest(arguments) => commands::attest::run(session, arguments),
        Command::Push(arguments) => commands::push::run(session, arguments),
        Command::Attach(arguments) => commands::attach::run(session, arguments),
        Command::Release(arguments) => commands::release::run(session, arguments),
        Command::Verify(arguments) => commands::verify::run(session, arguments),
        Command::Buildkit(arguments) => commands::buildkit::run(session, arguments),
        Command::Worker(arguments) => commands::worker::run(session, arguments),
        Command::Cache(arguments) => commands::cache::run(session, arguments),
        Command::Schema(arguments) => commands::schema::run(session, arguments),
        Command::Completions(arguments) => commands::completions::run(session, arguments),
        Command::Man(arguments) => commands::man::run(session, arguments),
    }
}

/// Prints what clap has to say: help and version are answers, all else is a command line that cannot be followed.
fn refuse(error: &clap::Error) -> ExitCode {
    // A reader that has gone away (`tarsia --help | head -1`) is no reason to complain.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
