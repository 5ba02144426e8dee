//! The one walk over a directory: sorted, without following links.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Returns the paths of what stands in a directory, sorted; of one that is not there, none.
#[expect(clippy::disallowed_methods, reason = "sorted here")]
pub(crate) fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    match fs::read_dir(directory) {
        Ok(entries) => {
            for entry in entries {
                all.push(entry?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    all.sort();
    Ok(all)
}

/// Returns everything below a directory with its metadata, parents first; what vanishes meanwhile is left out.
pub(super) fn below(directory: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut all = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for path in names(&directory)? {
            let meta = match fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if meta.is_dir() {
                waiting.push(path.clone());
            }
            all.push((path, meta));
        }
    }
    Ok(all)
}
