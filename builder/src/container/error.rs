//! What can go wrong with a container.

use std::io;
use std::path::PathBuf;

use crate::diag::Diagnose;
use crate::image;

/// An error of running a container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program that runs containers.
    #[error("cannot run a container: {}", match named {
        Some(name) => format!("`{name}` is none of {}, or not there", quoted(known)),
        None => format!("there is none of {}", quoted(known)),
    })]
    NoRuntime {
        /// What was named.
        named: Option<String>,
        /// Those that are known.
        known: Vec<&'static str>,
    },
    /// A platform whose programs do not run here.
    #[error("cannot run `{platform}` here: no emulator of it is registered")]
    Platform {
        /// The platform.
        platform: String,
    },
    /// No tracer.
    #[error("cannot trace a container: there is no `strace`")]
    NoTracer,
    /// A program that cannot be run.
    #[error("cannot run `{}`", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A runtime that does not make a container.
    #[error("cannot run a container: `{runtime}` says: {said}")]
    Runtime {
        /// The runtime.
        runtime: String,
        /// The end of what it wrote.
        said: String,
    },
    /// A tracer that does not do its work.
    #[error("cannot trace a container: `strace` says: {said}")]
    Tracer {
        /// What it wrote.
        said: String,
    },
    /// A file of the container's.
    #[error("cannot prepare a container in `{}`", path.display())]
    Prepare {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A config that says nothing that could be run.
    #[error("cannot run `{image}`: {problem}")]
    Config {
        /// The image.
        image: String,
        /// What is wrong.
        problem: String,
    },
    /// The container's network cannot be entered.
    #[error("cannot connect to the container's port {port}: its network can be entered by root alone")]
    Network {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image.
    #[error(transparent)]
    Image(#[from] image::Error),
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRuntime { .. } => "container::no-runtime",
            Self::Platform { .. } => "container::platform",
            Self::NoTracer => "container::no-tracer",
            Self::Program { .. } => "container::program",
            Self::Runtime { .. } => "container::runtime",
            Self::Tracer { .. } => "container::tracer",
            Self::Prepare { .. } => "container::prepare",
            Self::Config { .. } => "container::config",
            Self::Network { .. } => "container::network",
            Self::Image(error) => error.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoRuntime { .. } => "install one of them, or name its path with `--runtime`",
            Self::Platform { .. } => "install `qemu-user-static` and `binfmt-support`, which register one",
            Self::NoTracer => "install `strace`",
            Self::Network { .. } => "run as root, or leave `listen` out and ask the program itself",
            Self::Image(error) => return error.hints(),
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
