//! `buildkit` as an SBOM scanner: what BuildKit built, as documents that it attaches to the image (BuildKit,
//! `docs/attestations/sbom-protocol.md`). And the SBOM of a directory, for people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::attest::{SPDX, Statement};
use crate::diag::{Diagnose, Problems, Warning};
use crate::package::rootfs::{RootDirectory, directories};
use crate::sbom::{self, Inventory, cyclonedx, spdx, spdx_within, spdx3};

use super::sbom::{SbomFormat, write_sbom};

/// The most bytes of a document: BuildKit reads 40 MiB of a statement, and makes it longer on its way into the image.
const MAX_DOCUMENT: usize = 24 << 20;

/// What BuildKit asks of a scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanInput {
    /// Directory that documents are written to, `NAME.spdx.json` for the file system in `…/NAME`.
    pub destination: PathBuf,
    /// The root file system of the build's result.
    pub source: PathBuf,
    /// Directory of more root file systems. That it is not there means that there are none.
    pub extras: Option<PathBuf>,
}

/// A document that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Where it stands.
    pub path: PathBuf,
    /// How many packages it names.
    pub packages: usize,
    /// How many files there are.
    pub files: usize,
    /// What it does not hold.
    pub warnings: Vec<Warning>,
}

/// What keeps `scan` from an answer.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A path without a name.
    #[error("cannot scan `{path}`: its name cannot begin the name of a document")]
    Name {
        /// The path.
        path: String,
    },
    /// Two file systems of one name.
    #[error("cannot scan two root file systems called `{name}`")]
    Twice {
        /// The name.
        name: String,
    },
}

impl Diagnose for ScanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "scan::name",
            Self::Twice { .. } => "scan::twice",
        }
    }
}

/// Writes an SPDX document, as the predicate of an in-toto statement without a subject, for each root file system.
///
/// The bytes are a function of what stands in it.
///
/// # Errors
/// A directory that is not there, cannot be read, or is beyond a bound; a document that cannot be written.
pub fn scan(input: &ScanInput) -> Result<Vec<Scanned>, Problems> {
    let name = name_of(&input.source).ok_or_else(|| ScanError::Name { path: super::shown(&input.source) })?;
    let mut targets = BTreeMap::from([(name, input.source.clone())]);
    if let Some(extras) = &input.extras {
        for name in directories(extras)? {
            let path = extras.join(&name);
            if targets.insert(name.clone(), path).is_some() {
                return Err(ScanError::Twice { name }.into());
            }
        }
    }
    let mut all = Vec::new();
    for (name, source) in targets {
        let inventory = sbom::analyse_directory(&RootDirectory::read(&source)?, &name);
        let statement = Statement::without_subject(SPDX, &spdx_within(&inventory, MAX_DOCUMENT));
        let path = input.destination.join(format!("{name}.spdx.json"));
        write_sbom(&path, &statement)?;
        all.push(Scanned {
            path,
            packages: inventory.components.len() - 1,
            files: inventory.files.len(),
            warnings: warnings(&inventory),
        });
    }
    Ok(all)
}

/// Returns the SBOM of the root file system in the directory at `path`, and what it does not hold.
///
/// # Errors
/// A directory that is not there, cannot be read, or is beyond a bound.
pub fn sbom_of_directory(path: &Path, format: SbomFormat) -> Result<(Vec<u8>, Vec<Warning>), Problems> {
    let name = name_of(path).unwrap_or_else(|| "rootfs".to_owned());
    let inventory = sbom::analyse_directory(&RootDirectory::read(path)?, &name);
    let bytes = match format {
        SbomFormat::Spdx => spdx(&inventory),
        SbomFormat::Cyclonedx(version) => cyclonedx(&inventory, version),
        SbomFormat::Spdx3 => spdx3(&inventory),
    };
    Ok((bytes, warnings(&inventory)))
}

/// Returns what a directory's path calls it.
fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn warnings(inventory: &Inventory) -> Vec<Warning> {
    let warning = |remark: &String| {
        let mut message = remark.clone();
        if let Some(first) = message.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        Warning { code: "scan::incomplete", message, hints: Vec::new() }
    };
    inventory.remarks.iter().map(warning).collect()
}
