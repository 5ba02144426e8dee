//! What can go wrong between an image and a container engine.

use std::io;
use std::path::PathBuf;

use crate::diag::Diagnose;
use crate::{image, store};

/// An error of loading.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DOCKER_HOST` names what is not spoken to.
    #[error("cannot reach a Docker daemon at `{address}`: only sockets (`unix://PATH`) are spoken to")]
    DockerHost {
        /// The value.
        address: String,
    },
    /// No socket of a Docker daemon.
    #[error("cannot find a Docker daemon: there is no socket at {}", list(sockets))]
    NoDaemon {
        /// Where it was looked for.
        sockets: Vec<PathBuf>,
    },
    /// A Docker daemon that cannot be spoken to.
    #[error("cannot speak to the Docker daemon at `{}`: {problem}", socket.display())]
    Daemon {
        /// Its socket.
        socket: PathBuf,
        /// What happened.
        problem: String,
    },
    /// A Docker daemon that does not take an image.
    #[error("cannot load into the Docker daemon at `{}`: {message}", socket.display())]
    Refused {
        /// Its socket.
        socket: PathBuf,
        /// What it says.
        message: String,
    },
    /// No program that writes to containers-storage.
    #[error("cannot write to containers-storage: there is none of {}", storage_tools())]
    NoTool,
    /// A program that cannot be run.
    #[error("cannot run `{}`", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that does not take an image.
    #[error("cannot write `{name}` to containers-storage: `{program}` ended with {status}: {said}")]
    Tool {
        /// The image's name there.
        name: String,
        /// The program's name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote to standard error.
        said: String,
    },
    /// No container engine at all.
    #[error("cannot find a container engine: no Docker daemon answers, and there is none of {}", storage_tools())]
    NoEngine,
    /// The image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn storage_tools() -> String {
    super::storage::TOOLS.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::DockerHost { .. } => "load::docker-host",
            Self::NoDaemon { .. } => "load::no-daemon",
            Self::Daemon { .. } => "load::daemon",
            Self::Refused { .. } => "load::refused",
            Self::NoTool => "load::no-tool",
            Self::Run { .. } => "load::run",
            Self::Tool { .. } => "load::tool",
            Self::NoEngine => "load::no-engine",
            Self::Image(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::DockerHost { .. } => {
                "write a file with `-o docker-archive:FILE:REF`, and load it with `docker load -i FILE`"
            }
            Self::NoDaemon { .. } | Self::Daemon { .. } => "start the daemon, or name its socket in `DOCKER_HOST`",
            Self::NoTool => "install podman, or write an archive with `-o oci-archive:FILE`",
            Self::NoEngine => "start Docker or install podman; `-o oci-archive:FILE` needs neither",
            Self::Image(error) => return error.hints(),
            Self::Store(error) => return error.hints(),
            Self::Refused { .. } | Self::Run { .. } | Self::Tool { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
