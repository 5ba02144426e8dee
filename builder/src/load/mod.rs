//! Hands images to the container engines of this machine.
//!
//! In: a finished image whose layers stand in the store, and where engines may be. Out: the image in a Docker daemon,
//! over its socket, or in the storage that podman, buildah and CRI-O share, by whichever of their tools is there. An
//! engine takes one platform; it checks the image by its own rules, and what it says is relayed.

mod docker;
mod error;
mod storage;

use std::ffi::OsString;
use std::path::PathBuf;

pub use docker::Docker;
pub use error::Error;
pub use storage::Storage;

/// Where this machine's container engines may be, as plain values.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// `DOCKER_HOST` as it stands.
    pub docker_host: Option<String>,
    /// Sockets of a Docker daemon that are tried without it, in order.
    pub docker_sockets: Vec<PathBuf>,
    /// Directories that programs are looked for in.
    pub search: Vec<PathBuf>,
    /// All of the environment that a program is given.
    pub environment: Vec<(OsString, OsString)>,
}

/// An engine that is there.
#[derive(Debug)]
pub enum Engine {
    /// A Docker daemon.
    Docker(Docker),
    /// The storage of podman and its relatives.
    Storage(Storage),
}

impl Engines {
    /// Returns the container engine of this machine: the Docker daemon if it answers, else podman's storage.
    ///
    /// # Errors
    /// Neither is there; or `DOCKER_HOST` names a daemon that does not answer, since somebody wanted that one.
    pub fn any(&self) -> Result<Engine, Error> {
        match (Docker::find(self), Storage::find(self)) {
            (Ok(docker), _) => Ok(Engine::Docker(docker)),
            (Err(error), _) if self.docker_host.is_some() => Err(error),
            (Err(_), Ok(storage)) => Ok(Engine::Storage(storage)),
            (Err(_), Err(_)) => Err(Error::NoEngine),
        }
    }
}
