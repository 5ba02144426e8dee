//! What can go wrong between a graph and a daemon's answer.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::diag::Diagnose;

/// Why a daemon was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// There is no socket.
    Absent,
    /// The socket is not for this user.
    Forbidden,
    /// Nobody listens, the name is not known, or the network does not lead there.
    Refused,
    /// No answer in time.
    Silent,
    /// One of both sides is not trusted.
    Untrusted,
    /// Somebody answers, who is no BuildKit.
    Foreign,
}

/// An operation that failed on a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The operation's digest, as in the definition; empty where the daemon does not say which one it was.
    pub vertex: String,
    /// The operation's name, as the daemon tells it.
    pub name: String,
    /// The last lines that the operation wrote.
    pub log: Vec<String>,
}

/// An error of speaking to BuildKit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that names no daemon.
    #[error("cannot read the address `{text}` of a BuildKit daemon: {problem}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A cache that is not named as BuildKit names them.
    #[error("cannot read the cache `{text}`: {problem}")]
    Cache {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A cache for a daemon that writes none.
    #[error("cannot have the Docker daemon at `{address}` write a cache: its BuildKit writes none")]
    NoExport {
        /// The daemon.
        address: String,
    },
    /// Certificates or a key that are not used.
    #[error("cannot use TLS for the BuildKit daemon at `{address}`: {problem}")]
    Tls {
        /// The daemon.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// A daemon that is not reached.
    #[error("cannot reach a BuildKit daemon at `{address}`: {problem}")]
    Connect {
        /// The daemon.
        address: String,
        /// What kind of problem it is.
        why: Unreachable,
        /// What happened.
        problem: String,
    },
    /// A definition that is none.
    #[error("cannot send the graph: its bytes are no definition: {problem}")]
    Definition {
        /// What is wrong.
        problem: String,
    },
    /// A daemon that went away.
    #[error("cannot go on with the BuildKit daemon at `{address}`: {problem}")]
    Lost {
        /// The daemon.
        address: String,
        /// What happened.
        problem: String,
    },
    /// A daemon that does not get on.
    #[error("cannot wait longer for the BuildKit daemon at `{address}`: {what} for {} s", waited.as_secs())]
    Hung {
        /// The daemon.
        address: String,
        /// What did not happen.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
    /// A download on a daemon that does not get on.
    #[error("cannot wait longer for `{}` at `{address}`: the download did not get on for {} s", failure.name, waited.as_secs())]
    Stalled {
        /// The daemon.
        address: String,
        /// Which operation it is.
        failure: Box<Failure>,
        /// How long nothing else was done.
        waited: Duration,
    },
    /// A daemon that does not keep to the protocol.
    #[error("cannot follow the BuildKit daemon at `{address}`: {problem}")]
    Protocol {
        /// The daemon.
        address: String,
        /// What it did.
        problem: String,
    },
    /// A graph that is not solved.
    #[error("cannot solve the graph at `{address}`: {}{message}", named(failure.as_deref()))]
    Solve {
        /// The daemon.
        address: String,
        /// What the daemon says.
        message: String,
        /// gRPC status code of the answer.
        code: i32,
        /// Which operation it was.
        failure: Option<Box<Failure>>,
    },
    /// Received files that are not wanted.
    #[error("cannot receive what the BuildKit daemon at `{address}` made: {problem}")]
    Receive {
        /// The daemon.
        address: String,
        /// What is wrong with them.
        problem: String,
    },
    /// A file that is not written or read.
    #[error("cannot {doing} `{}`", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The caller wanted no more.
    #[error("cannot end the solve: it was stopped")]
    Stopped,
    /// No threads for the network.
    #[error("cannot start the client of BuildKit")]
    Runtime(#[source] io::Error),
    /// A frontend's question that BuildKit does not answer.
    #[error("cannot {doing}: {message}")]
    Gateway {
        /// What was asked for.
        doing: String,
        /// What BuildKit says.
        message: String,
        /// gRPC status code of the answer.
        code: i32,
        /// The operation that failed, by its digest in the definition, where BuildKit says so.
        vertex: Option<String>,
    },
}

impl Error {
    /// Returns whether it is the daemon that failed, and not the work: another daemon may do it.
    pub fn is_daemon(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Lost { .. }
            | Self::Hung { .. }
            // From where another daemon stands, the mirror may look alive.
            | Self::Stalled { .. }
            | Self::Protocol { .. } => true,
            Self::Address { .. }
            | Self::Cache { .. }
            | Self::NoExport { .. }
            | Self::Tls { .. }
            | Self::Definition { .. }
            | Self::Solve { .. }
            | Self::Receive { .. }
            | Self::File { .. }
            | Self::Stopped
            | Self::Runtime(_)
            | Self::Gateway { .. } => false,
        }
    }

    /// Returns the operation that failed, where one did and the daemon says which.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Solve { failure, .. } => failure.as_deref(),
            Self::Stalled { failure, .. } => Some(failure),
            _ => None,
        }
    }
}

/// Returns the start of a message about this operation.
fn named(failure: Option<&Failure>) -> String {
    match failure {
        Some(failure) if !failure.name.is_empty() => format!("`{}`: ", failure.name),
        _ => String::new(),
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "buildkit::address",
            Self::Cache { .. } => "buildkit::cache",
            Self::NoExport { .. } => "buildkit::no-cache-export",
            Self::Tls { .. } => "buildkit::tls",
            Self::Connect { .. } => "buildkit::connect",
            Self::Definition { .. } => "buildkit::definition",
            Self::Lost { .. } => "buildkit::lost",
            Self::Hung { .. } => "buildkit::hung",
            Self::Stalled { .. } => "buildkit::stalled",
            Self::Protocol { .. } => "buildkit::protocol",
            Self::Solve { .. } => "buildkit::solve",
            Self::Receive { .. } => "buildkit::receive",
            Self::File { .. } => "buildkit::file",
            Self::Stopped => "buildkit::stopped",
            Self::Runtime(_) => "buildkit::runtime",
            Self::Gateway { .. } => "buildkit::gateway",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Address { .. } => {
                "write `unix:///run/buildkit/buildkitd.sock`, `tcp://HOST:PORT`, or `docker://` for a Docker daemon"
            }
            Self::Stalled { .. } => "`--mirror ARCHIVE=URI` names a mirror that the daemon reaches",
            Self::NoExport { .. } => "leave out `--cache-to`, or name a buildkitd: `--engine buildkit=unix:///PATH`",
            Self::Cache { .. } => "write for example `type=registry,ref=HOST/NAME:TAG,mode=max`",
            Self::Connect { why: Unreachable::Absent, .. } => {
                "start buildkitd or Docker, or name the socket: `--engine buildkit=unix:///PATH`"
            }
            Self::Connect { why: Unreachable::Forbidden, .. } => {
                "run as a user who may use the socket; for Docker that is a member of the group `docker`"
            }
            Self::Connect { why: Unreachable::Untrusted, .. } => {
                "give the daemon's authority by `--engine-ca`, and your own certificate and key by `--engine-cert` and \
                 `--engine-key`"
            }
            Self::Connect { why: Unreachable::Foreign, .. } => {
                "`unix://` and `tcp://` reach buildkitd, `docker://` a Docker daemon; with `--engine-ca` the daemon is \
                 spoken to by TLS"
            }
            Self::Tls { .. }
            | Self::Connect { .. }
            | Self::Definition { .. }
            | Self::Lost { .. }
            | Self::Hung { .. }
            | Self::Protocol { .. }
            | Self::Solve { .. }
            | Self::Receive { .. }
            | Self::File { .. }
            | Self::Stopped
            | Self::Runtime(_)
            | Self::Gateway { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
