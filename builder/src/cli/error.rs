//! What the command line itself can get wrong.

use std::io;

use tarsia::diag::Diagnose;

/// An error of the program around the library.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No spec on the command line.
    #[error("cannot lock: no spec is named")]
    NoSpec,
    /// No place for the store is known.
    #[error("cannot find a place for the store")]
    NoStore,
    /// The machine is of a platform that no image is built for.
    #[error("cannot tell which platform to build for")]
    NoPlatform,
    /// `SOURCE_DATE_EPOCH` is set and no number.
    #[error("cannot read `SOURCE_DATE_EPOCH`: `{0}` is no number of seconds")]
    SourceDateEpoch(String),
    /// The file of `--ca`.
    #[error("cannot read `{0}`")]
    Authorities(String, #[source] io::Error),
    /// A name that no spec can have.
    #[error("cannot start a spec named `{0}`: a name is made of a-z, 0-9, `.`, `_` and `-`")]
    Name(String),
    /// A distribution that is not known.
    #[error("cannot start a spec on `{0}`: no such distribution is known")]
    Distro(String),
    /// No command of this name has a manual page.
    #[error("cannot print a manual page for `{0}`: there is no such command")]
    NoManual(String),
    /// Several specs and one output.
    #[error("cannot write several images to one output")]
    OneOutput,
    /// Several specs and one place for evidence.
    #[error("cannot write the evidence of several images to one directory")]
    OneEvidence,
    /// A revision that is none.
    #[error("cannot use `{0}` as a source revision: {1}")]
    SourceRevision(String, &'static str),
    /// A variant of what is no spec.
    #[error("cannot take a variant of `{0}`: only a spec has variants")]
    ImageVariant(String),
    /// BuildKit is to build, and nothing says what runs there.
    #[error("cannot build with BuildKit: no worker is named")]
    NoWorker,
    /// A flag of BuildKit's, and this process builds.
    #[error("cannot use `{0}`: it is for `--engine buildkit`")]
    LocalEngine(&'static str),
    /// A platform of what is no image.
    #[error("cannot take a platform of `{0}`: a directory holds one root file system")]
    DirectoryPlatform(String),
    /// No key on the command line.
    #[error("cannot sign: no key is named")]
    NoKey,
    /// A key file that cannot be read.
    #[error("cannot read key `{0}`")]
    Key(String, #[source] io::Error),
    /// A variable that should hold a key.
    #[error("cannot read a key from the variable `{0}`: it is not set, or no text")]
    NoVariable(String),
    /// No agent is known.
    #[error("cannot use an ssh-agent: `SSH_AUTH_SOCK` names none")]
    NoAgent,
    /// A key is to be encrypted, and nobody gives a password.
    #[error("cannot encrypt the key: no password was given, or not the same one twice")]
    NoPassword,
    /// The system gives no random bytes.
    #[error("cannot draw random bytes: {0}")]
    Random(String),
    /// No directory for files that are needed for a moment.
    #[error("cannot make a directory in `{0}`")]
    Room(String, #[source] io::Error),
    /// The environment is not that of a program which BuildKit starts.
    #[error("cannot answer BuildKit: it has not started this program")]
    NotBuildKit,
    /// The library panicked.
    #[error("cannot go on: this is a mistake in tarsia")]
    Panic,
    /// A graph's bytes on a terminal.
    #[error("cannot write a graph's bytes to a terminal")]
    Terminal,
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSpec => "cli::no-spec",
            Self::NoStore => "cli::no-store",
            Self::NoPlatform => "cli::no-platform",
            Self::SourceDateEpoch(_) => "cli::source-date-epoch",
            Self::Authorities(..) => "cli::ca",
            Self::Name(_) => "cli::name",
            Self::Distro(_) => "cli::distro",
            Self::NoManual(_) => "cli::no-manual",
            Self::OneOutput => "cli::one-output",
            Self::OneEvidence => "cli::one-evidence",
            Self::SourceRevision(..) => "cli::source-revision",
            Self::ImageVariant(_) => "cli::image-variant",
            Self::NoWorker => "cli::no-worker",
            Self::LocalEngine(_) => "cli::local-engine",
            Self::DirectoryPlatform(_) => "cli::directory-platform",
            Self::NoKey => "cli::no-key",
            Self::Key(..) => "cli::key",
            Self::NoVariable(_) => "cli::no-variable",
            Self::NoAgent => "cli::no-agent",
            Self::NoPassword => "cli::no-password",
            Self::Random(_) => "cli::random",
            Self::Room(..) => "cli::room",
            Self::NotBuildKit => "cli::not-buildkit",
            Self::Panic => "cli::panic",
            Self::Terminal => "cli::terminal",
            Self::Output(_) => "cli::output",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSpec => "name one: `tarsia lock SPEC`",
            Self::NoStore => "set `HOME`, or name a directory with `--store DIR`",
            Self::NoPlatform => "name them under `platforms:` in the spec",
            Self::Distro(_) => "known are `debian/13` and `debian/12`",
            Self::Panic => "please report it, with the lines above and what led to them",
            Self::NoWorker => {
                "name an image with tarsia in it by `--worker IMAGE@sha256:HEX`, or a static tarsia by `--worker \
                 URL#sha256=HEX`"
            }
            Self::NotBuildKit => {
                "BuildKit runs it: as a scanner with `--opt attest:sbom=generator=IMAGE`, as a frontend by `# syntax=IMAGE`"
            }
            Self::NoKey => "name one with `--key`; `tarsia keygen -o NAME` makes one",
            Self::NoPassword => "set `COSIGN_PASSWORD`, or run from a terminal",
            Self::OneOutput => "leave `-o` out, and each image is written to `<name>.oci`",
            Self::Terminal => "`--json` shows it to people; `-o FILE` writes it to a file",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
