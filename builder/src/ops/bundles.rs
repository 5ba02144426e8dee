//! Bundles beside an image on disk: `X.sigstore.jsonl`, one to a line.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::diag::Problems;
use crate::store::output::Staging;

use super::{Error, shown};

/// The most bytes of such a file that are read.
const MAX_BUNDLES: u64 = 256 << 20;

/// Returns where the bundles about the image at `path` are.
pub fn bundles_beside(path: &Path) -> PathBuf {
    let mut name = path.components().collect::<PathBuf>().into_os_string();
    name.push(".sigstore.jsonl");
    name.into()
}

/// Adds bundles to a file, behind those that it holds. Returns how many it did not hold; where that is none, the file is
/// left alone.
pub(super) fn add(path: &Path, bundles: &[Vec<u8>]) -> Result<usize, Problems> {
    let mut text = read(path)?;
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let mut added = 0;
    for bundle in bundles {
        if text.split(|byte| *byte == b'\n').all(|line| line != bundle.as_slice()) {
            text.extend_from_slice(bundle);
            text.push(b'\n');
            added += 1;
        }
    }
    if added > 0 {
        let staging = Staging::file(path)?;
        let written = File::options().write(true).open(staging.path()).and_then(|mut file| file.write_all(&text));
        written.map_err(|source| Error::Write { path: shown(path), source })?;
        staging.commit()?;
    }
    Ok(added)
}

/// Returns the lines of a file of bundles; empty where there is none.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: shown(path), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_BUNDLES + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BUNDLES {
        let problem = format!("it has more than {MAX_BUNDLES} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, problem)));
    }
    Ok(text)
}
