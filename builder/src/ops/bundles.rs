//! What is signed about an image on disk, beside it: the signature of the whole as a bundle in `X.sigstore.json`, and all
//! other statements as envelopes in `X.intoto.jsonl` (in-toto attestation framework, bundle). One to a line: where there
//! is one, the file is plain JSON.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::diag::Problems;
use crate::store::output::Staging;

use super::{Error, shown};

/// The most bytes of such a file that are read.
const MAX_BUNDLES: u64 = 256 << 20;

/// Returns where signatures of the image at `path` are, beside it.
pub(super) fn signatures_beside(path: &Path) -> PathBuf {
    beside(path, ".sigstore.json")
}

/// Returns where other statements about the image at `path`, or about its manifests, are beside it.
pub(super) fn statements_beside(path: &Path) -> PathBuf {
    beside(path, ".intoto.jsonl")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.components().collect::<PathBuf>().into_os_string();
    name.push(ending);
    name.into()
}

/// Adds lines to a file, behind those that it holds. Returns how many it did not hold; where that is none, the file is
/// left alone.
pub(super) fn add(path: &Path, lines: &[Vec<u8>]) -> Result<usize, Problems> {
    if lines.is_empty() {
        return Ok(0);
    }
    let mut text = read(path)?;
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let mut added = 0;
    for line in lines {
        if text.split(|byte| *byte == b'\n').all(|there| there != line.as_slice()) {
            text.extend_from_slice(line);
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

/// Returns the lines of such a file; empty where there is none.
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
