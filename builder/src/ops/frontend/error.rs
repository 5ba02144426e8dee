//! What a build that BuildKit's gateway asks for can meet beside the errors of other commands.

use std::sync::Arc;

use crate::diag::Diagnose;

use super::options::TARGETS;

/// An error of a frontend.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No spec is named.
    #[error("cannot build: no spec is named")]
    NoSpec,
    /// A name of a spec that leads elsewhere.
    #[error("cannot read `{0}`: a spec stands beneath the directory that the client hands over")]
    Filename(String),
    /// A target that there is not.
    #[error("cannot build target `{0}`: there is no such target")]
    Target(String),
    /// A platform that no image is built for.
    #[error("cannot build for `{0}`: known are linux/amd64 and linux/arm64")]
    Platform(String),
    /// A build argument that is no mirror.
    #[error("cannot use build argument `{name}`: `{value}` is no mirror")]
    Mirror {
        /// The argument.
        name: String,
        /// Its value.
        value: String,
    },
    /// A mirror of an archive that the spec does not have.
    #[error("cannot use a mirror of archive `{archive}`: the spec has no such archive")]
    Archive {
        /// The archive.
        archive: String,
        /// Those that the spec has.
        known: Vec<String>,
    },
    /// A build argument that nobody knows.
    #[error("cannot use build argument `{0}`: a spec has no such argument")]
    Argument(String),
    /// An option of the client's that cannot be followed.
    #[error("cannot use option `{key}`: {problem}")]
    Option {
        /// The option.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A label on bytes that are given.
    #[error("cannot set label `{0}`: this target has the bytes of a local build")]
    Label(String),
    /// A request that is no build.
    #[error("unsupported request {0}")]
    Request(String),
    /// What the client did not hand over.
    #[error("cannot read `{path}` from the client: {problem}")]
    Client {
        /// Path below the client's directory.
        path: String,
        /// What BuildKit says.
        problem: String,
    },
    /// A file of the client's that is larger than such a file may be.
    #[error("cannot read `{path}` from the client: it is larger than {limit} bytes")]
    TooLarge {
        /// Path below the client's directory.
        path: String,
        /// The most that is read.
        limit: u64,
    },
    /// A file that cannot be kept while the build is prepared.
    #[error("cannot keep `{path}` while the build is prepared")]
    Room {
        /// Path below the spec's directory.
        path: String,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Nothing that says which image this frontend is.
    #[error("cannot tell which image this frontend is, and it has to run the operations as well: {0}")]
    Worker(String),
    /// BuildKit did not carry out an operation.
    #[error("cannot build {what}: {problem}")]
    Solve {
        /// Which operation, layer or package.
        what: String,
        /// What BuildKit says.
        problem: String,
    },
    /// An answer that does not fit.
    #[error("cannot use what BuildKit made: {0}")]
    Result(String),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSpec => "frontend::no-spec",
            Self::Filename(_) => "frontend::filename",
            Self::Target(_) => "frontend::target",
            Self::Platform(_) => "frontend::platform",
            Self::Mirror { .. } => "frontend::mirror",
            Self::Archive { .. } => "frontend::archive",
            Self::Argument(_) => "frontend::build-arg",
            Self::Option { .. } => "frontend::option",
            Self::Label(_) => "frontend::label",
            Self::Request(_) => "frontend::request",
            Self::Client { .. } => "frontend::client",
            Self::TooLarge { .. } => "frontend::too-large",
            Self::Room { .. } => "frontend::room",
            Self::Worker(_) => "frontend::worker",
            Self::Solve { .. } => "frontend::solve",
            Self::Result(_) => "frontend::result",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSpec => "name it: `docker build -f SPEC .`, or `--opt filename=SPEC` of buildctl".to_owned(),
            Self::Filename(_) => "hand over the directory that it stands in".to_owned(),
            Self::Target(_) => {
                return TARGETS.iter().map(|(name, _, what)| format!("`{name}` is {what}")).collect();
            }
            Self::Mirror { .. } => {
                "a mirror is an `http:` or `https:` address: `--build-arg mirror=[ARCHIVE=]URI`, or \
                 `--build-arg mirror.ARCHIVE=URI` for each of several"
                    .to_owned()
            }
            Self::Archive { known, .. } if known.is_empty() => return Vec::new(),
            Self::Archive { known, .. } => format!("its archives: `{}`", known.join("`, `")),
            Self::Argument(_) => "build arguments: `variant`, `mirror`, `mirror.ARCHIVE`".to_owned(),
            Self::Label(_) => "write it under `labels` of the spec".to_owned(),
            Self::Solve { what, .. } if what.starts_with("package ") => {
                "`--build-arg mirror.ARCHIVE=URI` names a mirror that the builder reaches".to_owned()
            }
            Self::Worker(_) => "name it by its digest: `# syntax=HOST/NAME@sha256:…`".to_owned(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
