//! Runs an image in a container of this machine, as strictly as an image of ours must bear it, and sees what it asks for.
//!
//! In: an open image, and what this machine has to run containers with. Out: how a run ended, what it wrote, and, under
//! a tracer, which files it asked for and did not find. The root is read-only, the user is the image's in a user
//! namespace of its own, without any capability and without new privileges; the network is a loopback and nothing else;
//! writable are `/tmp`, `/dev/shm` and the image's volumes, each run's own. Everything is removed at the end, and the
//! container does not outlive a signal to this process.

mod bundle;
mod error;
mod run;
#[cfg(test)]
mod tests;
mod trace;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use bundle::Bundle;
pub use error::Error;
pub use run::{Job, Listening, Ran};
pub use trace::{Asked, Traced};

use crate::spec::Platform;

/// What this machine has to run containers with, as plain values.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Directories that programs are looked for in, in order.
    pub search: Vec<PathBuf>,
    /// All of the environment that a program is given.
    pub environment: Vec<(OsString, OsString)>,
    /// Where temporary directories are made; all users may pass through it.
    pub temporary: PathBuf,
    /// Platforms whose programs an emulator of this machine runs.
    pub emulated: Vec<Platform>,
    /// First number and count of the user's own subordinate users and groups (subuid(5)), where there are any.
    pub subordinate: Option<((u32, u32), (u32, u32))>,
}

/// A program that runs containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Which one it is.
    pub kind: Kind,
    /// Its path.
    pub program: PathBuf,
}

/// A container runtime that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// runc.
    Runc,
    /// crun.
    Crun,
    /// podman, which brings a runtime of its own.
    Podman,
}

impl Kind {
    /// All of them; in one directory, the first is taken.
    pub const ALL: [Self; 3] = [Self::Runc, Self::Crun, Self::Podman];

    /// Returns its program's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Podman => "podman",
        }
    }
}

impl Machine {
    /// Returns the runtime that `named` says, by name or by path; without it, the first that stands in a directory of
    /// the search path. `tracing` leaves out podman, whose containers cannot be held before they start.
    ///
    /// # Errors
    /// There is none.
    pub fn runtime(&self, named: Option<&Path>, tracing: bool) -> Result<Runtime, Error> {
        let kinds = || Kind::ALL.into_iter().filter(|kind| !(tracing && *kind == Kind::Podman));
        let known = |path: &Path| {
            let name = path.file_name()?.to_str()?;
            kinds().find(|kind| kind.as_str() == name)
        };
        let none = |named: Option<&Path>| Error::NoRuntime {
            named: named.map(|path| path.display().to_string()),
            known: kinds().map(Kind::as_str).collect(),
        };
        if let Some(path) = named {
            let kind = known(path).ok_or_else(|| none(named))?;
            let program = if path.components().count() > 1 {
                is_program(path).then(|| path.to_owned())
            } else {
                self.program(kind.as_str())
            };
            return Ok(Runtime { kind, program: program.ok_or_else(|| none(named))? });
        }
        let found = self.search.iter().find_map(|directory| {
            kinds().map(|kind| (kind, directory.join(kind.as_str()))).find(|(_, program)| is_program(program))
        });
        let (kind, program) = found.ok_or_else(|| none(None))?;
        Ok(Runtime { kind, program })
    }

    /// Returns the first program of that name in the search path.
    fn program(&self, name: &str) -> Option<PathBuf> {
        self.search.iter().map(|directory| directory.join(name)).find(|path| is_program(path))
    }

    /// Returns whether programs of `platform` run here; `host` is the machine's own.
    pub fn runs(&self, platform: Platform, host: Platform) -> bool {
        platform == host || self.emulated.contains(&platform)
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What an image's config says of a run (OCI image-spec 1.1, config).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    #[serde(deserialize_with = "nullable")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    env: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    user: String,
    #[serde(deserialize_with = "nullable")]
    working_dir: String,
    #[serde(deserialize_with = "nullable")]
    volumes: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "nullable")]
    stop_signal: String,
}

fn nullable<'de, D: serde::Deserializer<'de>, T: Default + serde::Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(<Option<T> as serde::Deserialize>::deserialize(from)?.unwrap_or_default())
}
