//! `init`: writes a starter spec.

use std::io::Write as _;
use std::path::Path;

use crate::diag::Problems;
use crate::spec::{Distro, starter};

use super::{Error, shown};

/// Writes a starter spec at `path`, named for its stem; never over a file that is there.
pub fn init(path: &Path, distro: Distro) -> Result<(), Problems> {
    let stem = path.file_stem().map_or_else(|| "image".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let text = starter(&stem, distro);
    let mut file = match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: shown(path) }.into());
        }
        Err(source) => return Err(Error::Write { path: shown(path), source }.into()),
    };
    file.write_all(text.as_bytes()).map_err(|source| Error::Write { path: shown(path), source }.into())
}
