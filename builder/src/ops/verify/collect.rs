//! Where the claims about an image are looked for.
//!
//! In a registry under its tags and in its lists; of a layout or an archive in what its index lists beside the image, in
//! the files that `sign` and `release` write beside it, and always in the files that were named.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::diag::Problems;
use crate::verify::{Findings, MAX_FILE, hear_file, hear_layout, hear_repository};

use super::super::bundles::{signatures_beside, statements_beside};
use super::super::{Error, shown};
use super::ImageSource;

/// Claims from files: what messages call it, and the bytes.
pub(super) struct Claims {
    files: Vec<(String, Vec<u8>)>,
    /// Those beside the image, which nobody named.
    beside: Vec<(String, Vec<u8>)>,
    /// What is wrong with some of these.
    unread: Vec<String>,
}

impl Claims {
    /// Reads the files that were named, and those that stand beside an image on disk.
    ///
    /// # Errors
    /// A file that was named and cannot be read.
    pub(super) fn read(source: &ImageSource<'_>, named: &[PathBuf]) -> Result<Self, Problems> {
        let mut files = Vec::new();
        for path in named {
            // What is named may be a pipe: `--bundle <(…)`.
            let bytes = File::open(path).and_then(read);
            files.push((shown(path), bytes.map_err(|source| Error::Read { path: shown(path), source })?));
        }
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        let beside = source.destination.path().into_iter();
        let beside = beside.flat_map(|path| [signatures_beside(path), statements_beside(path)]);
        for path in beside.filter(|path| !named.contains(path)) {
            match regular(&path).and_then(read) {
                Ok(bytes) => found.push((shown(&path), bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => unread.push(crate::diag::causes(&Error::Read { path: shown(&path), source })),
            }
        }
        Ok(Self { files, beside: found, unread })
    }

    /// Hears all that may be said of the findings' digest.
    ///
    /// # Errors
    /// A file that was named and holds no claims. One that merely stands there is noted: it hides no good one.
    pub(super) fn hear(&self, source: &ImageSource<'_>, findings: &mut Findings<'_>) -> Result<(), Problems> {
        match source.remote() {
            Some((repository, _)) => hear_repository(repository, findings),
            None => hear_layout(&source.open, findings),
        }
        for (name, bytes) in &self.files {
            hear_file(name, bytes, findings)?;
        }
        for (name, bytes) in &self.beside {
            if let Err(error) = hear_file(name, bytes, findings) {
                findings.unread(error.to_string());
            }
        }
        self.unread.iter().for_each(|problem| findings.unread(problem.clone()));
        Ok(())
    }
}

/// Opens a file that nobody named: what is no file must not make anybody wait.
fn regular(path: &Path) -> std::io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is no regular file")) }
}

fn read(file: File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
