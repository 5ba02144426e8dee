//! Where the claims about an image are looked for.
//!
//! In a registry under its tags and in its lists; of a layout or an archive in what its index lists beside the image, in
//! the files that `sign` and `release` write beside it, and always in the files that were named.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::diag::Problems;
use crate::verify::{Findings, MAX_FILE, hear_file, hear_layout, hear_repository};

use super::super::bundles::{signatures_beside, statements_beside};
use super::super::{Error, shown};
use super::ImageSource;

/// Claims from files: what messages call it, and the bytes.
pub(super) struct Claims {
    files: Vec<(String, Vec<u8>)>,
}

impl Claims {
    /// Reads the files that were named, and those that stand beside an image on disk.
    ///
    /// # Errors
    /// A file that was named and cannot be read.
    pub(super) fn read(source: &ImageSource<'_>, named: &[PathBuf]) -> Result<Self, Problems> {
        let mut files = Vec::new();
        for path in named {
            files.push((shown(path), read(path).map_err(|source| Error::Read { path: shown(path), source })?));
        }
        let beside = source.destination.path().into_iter();
        let beside = beside.flat_map(|path| [signatures_beside(path), statements_beside(path)]);
        for path in beside.filter(|path| !named.contains(path)) {
            match read(&path) {
                Ok(bytes) => files.push((shown(&path), bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Read { path: shown(&path), source }.into()),
            }
        }
        Ok(Self { files })
    }

    /// Hears all that may be said of the findings' digest.
    ///
    /// # Errors
    /// A file that holds no claims.
    pub(super) fn hear(&self, source: &ImageSource<'_>, findings: &mut Findings<'_>) -> Result<(), Problems> {
        match source.remote() {
            Some((repository, _)) => hear_repository(repository, findings),
            None => hear_layout(&source.open, findings),
        }
        for (name, bytes) in &self.files {
            hear_file(name, bytes, findings)?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
