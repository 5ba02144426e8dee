//! `tarsia sbom`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tarsia::diag::Problems;
use tarsia::ops::{self, SbomFormat};
use tarsia::sbom::Version;

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, SourceFlags};
use crate::cli::error::Error;
use crate::cli::output;
use crate::cli::session::Session;

/// Flags of `sbom`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image that the SBOM is of: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST]; or dir:PATH, a root file system that is looked at
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Format of the SBOM
    #[arg(long, value_enum, default_value_t = Format::Spdx)]
    pub(crate) format: Format,

    /// Version of CycloneDX
    #[arg(long, value_name = "VERSION", default_value = "1.6", value_parser = parse_version)]
    pub(crate) cdx_version: Version,

    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) source: SourceFlags,
}

/// Formats, by the words that other tools use.
// Variants have no descriptions of their own: help would grow a second form for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Spdx,
    Cyclonedx,
    Spdx3,
}

fn parse_version(text: &str) -> Result<Version, String> {
    Version::from_word(text).ok_or_else(|| "known are 1.5, 1.6 and 1.7".to_owned())
}

/// Prints an image's SBOM as it was written, or one that is made of what stands in a directory.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let SourceFlags { store, registry } = &arguments.source;
    let format = match arguments.format {
        Format::Spdx => SbomFormat::Spdx,
        Format::Cyclonedx => SbomFormat::Cyclonedx(arguments.cdx_version),
        Format::Spdx3 => SbomFormat::Spdx3,
    };
    let bytes = match arguments.image.strip_prefix("dir:") {
        Some(directory) => {
            if !arguments.platform.platforms.is_empty() {
                return Err(Error::DirectoryPlatform(directory.to_owned()).into());
            }
            let (bytes, warnings) = ops::sbom_of_directory(Path::new(directory), format)?;
            session.warnings(&warnings);
            bytes
        }
        None => session.reaching(store, registry, false, |reach| {
            ops::sbom(reach, &arguments.image, &arguments.platform.platforms, format)
        })?,
    };
    match &arguments.output {
        Some(path) => {
            ops::write_sbom(path, &bytes)?;
            session.finished(&format!("Wrote `{}`", path.display()));
        }
        None => output::print_bytes(&bytes)?,
    }
    Ok(Answer::Yes)
}
