//! Opens the spec's own files.

use std::io;
use std::path::Path;

use super::error::broken;
use super::files::{self, MAX_DOCUMENT, Output, file, read};
use super::{Contract, FILES, Job, LOCAL, context};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::engine::local::local_key;
use crate::lock::MAX_TIME;
use crate::package::local::{self, LocalPack};

/// Opens what the spec of the job at `job` names beneath its directory, which is `context`, and what was fetched by
/// digest, each as `fetched/HEX/file`. Writes `index/local` and `data/files/KEY`.
///
/// # Errors
/// A file that is not there or not taken; outputs that cannot be written.
pub fn open_local(
    contract: Contract,
    job: &Path,
    (context, fetched): (&Path, &Path),
    (index, data): (&Path, &Path),
) -> Result<(), Problems> {
    contract.check()?;
    let job = Job::read(job)?;
    let (index, data) = (Output::start(index)?, Output::start(data)?);
    // A spec may have texts alone; an empty directory is none of the caller's.
    let context = if context.is_dir() { context } else { &index.path("") };
    let give = |digest: &Digest| {
        let path = fetched.join(digest.hex()).join("file");
        let mut found = file(&path, "what was fetched").map_err(io::Error::other)?;
        match files::digest(&mut found)?.0 {
            same if same == *digest => Ok(found),
            other => Err(io::Error::other(format!("its bytes are {other}, and the lock says {digest}"))),
        }
    };
    // Its name is known when it is written.
    let sink = data.create("files/data")?;
    let local = local::open(&job.spec, context, &give, &sink, MAX_TIME)?;
    let to = data.path(&format!("{FILES}/{}", local_key(&local).hex()));
    std::fs::rename(data.path("files/data"), to).map_err(|source| data.failed(FILES, source))?;
    index.write(LOCAL, &local.to_bytes())?;
    Ok(Output::commit_all([index, data])?)
}

/// Reads what [`open_local`] wrote to `index` for this job. Where that is no directory, the spec must name nothing of
/// its own; `scratch` is a directory that files may be made in.
///
/// # Errors
/// An index that is not there, no index, or one of another job.
pub fn read_local(job: &Job, index: &Path, scratch: &Path) -> Result<LocalPack, Problems> {
    if context::needs_local(&job.spec) || index.join(LOCAL).exists() {
        let what = "the index of the spec's own files";
        let bytes = read(&index.join(LOCAL), MAX_DOCUMENT, what)?;
        Ok(LocalPack::from_bytes(&bytes).map_err(|error| broken(what, error.to_string()))?)
    } else {
        let failed = |source| super::Error::Write { path: scratch.display().to_string(), source };
        let empty = tempfile::tempdir_in(scratch).map_err(failed)?;
        let sink = tempfile::tempfile_in(scratch).map_err(failed)?;
        let none = |_: &Digest| Err(io::ErrorKind::NotFound.into());
        Ok(local::open(&job.spec, empty.path(), &none, &sink, MAX_TIME)?)
    }
}
