//! `tarsia init`.

use std::path::PathBuf;

use clap::Args;
use tarsia::diag::Problems;
use tarsia::ops;
use tarsia::spec::Distro;

use crate::cli::Answer;
use crate::cli::error::Error;
use crate::cli::session::Session;

/// Flags of `init`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Name of the image
    #[arg(value_name = "NAME", default_value = "app")]
    pub(crate) name: String,

    /// Distribution that packages come from
    #[arg(long, value_name = "DISTRO", default_value = "debian/13")]
    pub(crate) distro: String,

    /// File to write [default: <NAME>.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Writes a starter spec; never over a file that is there.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let name = &arguments.name;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !name.bytes().next().is_some_and(plain) || !name.bytes().all(|byte| plain(byte) || b"._-".contains(&byte)) {
        return Err(Error::Name(name.clone()).into());
    }
    let distro = Distro::from_word(&arguments.distro).ok_or_else(|| Error::Distro(arguments.distro.clone()))?;
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.yaml")));
    ops::init(&path, distro)?;
    session.finished(&format!("Wrote `{}`", path.display()));
    session.detail(&format!("`tarsia build {}` builds it", path.display()));
    Ok(Answer::Yes)
}
