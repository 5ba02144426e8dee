//! Other people's programs that judge what tarsia publishes and writes, where the machine's own packages do not have
//! them.
//!
//! They stand below one directory, `TARSIA_JUDGES` or `target/judges`, where the scripts in `tests/judges` put them. A
//! test whose judge is absent says so and passes, but where `TARSIA_REQUIRE_JUDGES=1` is set.

#![expect(clippy::disallowed_methods, reason = "the tests' own environment")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns a file below the directory of judges, as `bin/cosign-3`; `None`, said aloud, where it is not there.
///
/// # Panics
/// Where it is not there, and `TARSIA_REQUIRE_JUDGES=1` says that it must be.
pub(crate) fn judge(name: &str) -> Option<PathBuf> {
    let directory = match std::env::var_os("TARSIA_JUDGES").filter(|value| !value.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/judges"),
    };
    present(directory.join(name), name)
}

/// Returns a program of the machine's own packages, as `docker-registry`; as [`judge`] where it is not there.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    present(found.unwrap_or_else(|| PathBuf::from(name)), name)
}

/// Returns a path, where it is there; as [`judge`] where it is not.
pub(crate) fn present(path: PathBuf, name: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("TARSIA_REQUIRE_JUDGES").is_some_and(|value| value == "1");
    assert!(!required, "the judge `{name}` is not there: see builder/tests/judges");
    eprintln!("the judge `{name}` is not there: not asked");
    None
}

/// Runs a judge, which must be content, and returns what it printed on both streams.
pub(crate) fn accepts(command: &mut Command) -> String {
    let (good, said) = asked(command);
    assert!(good, "{command:?}\n{said}");
    said
}

/// Runs a judge, which must refuse, and returns what it printed on both streams.
pub(crate) fn refuses(command: &mut Command) -> String {
    let (good, said) = asked(command);
    assert!(!good, "{command:?}\n{said}");
    said
}

fn asked(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}
