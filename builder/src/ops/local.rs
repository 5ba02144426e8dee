//! Packages that are files beneath the spec's directory: read for resolution, held against the lock, put into the store.

use std::fs::File;
use std::io;

use crate::archive::Candidate;
use crate::diag::Problems;
use crate::digest::{Digest, Hasher};
use crate::lock::{Lock, LockedInput};
use crate::package::{self, Limits};
use crate::spec::{Keep, Platform, Spanned};

use super::{Error, Project, World};

/// A package of the spec's own directory.
#[derive(Debug, Clone)]
pub(super) struct LocalDeb {
    /// What the spec keeps of it, and where the spec names its file.
    entry: Spanned<Option<Keep>>,
    /// What it says of itself.
    candidate: Candidate,
}

/// A local package as resolution asks for it: what the spec keeps of it, and what it says of itself.
pub(super) type Asked = (Spanned<Option<Keep>>, Candidate);

/// Reads what every local package of the spec says of itself.
pub(super) fn read(project: &Project) -> Result<Vec<LocalDeb>, Problems> {
    let mut all = Vec::new();
    for deb in &project.spec.debs {
        let path = &deb.value.path;
        let refuse = |problem: String| refused(project, deb.span, problem);
        let file = project.open_package(path)?;
        let limits = Limits::default();
        let (digest, size) =
            digest_of(&file, limits.max_packed).map_err(|error| refuse(format!("`{path}`: {error}")))?;
        let fields =
            package::control_fields(&file, &limits).map_err(|source| Error::Package { path: path.clone(), source })?;
        let candidate = Candidate::of_file(&fields, path, size, digest)
            .map_err(|problem| refuse(format!("`{path}` is no package that can be chosen: {problem}")))?;
        all.push(LocalDeb { entry: Spanned { value: deb.value.keep, span: deb.span }, candidate });
    }
    Ok(all)
}

/// Returns those of `all` that are for `platform`; each of `platforms` needs one of every name, and only one.
pub(super) fn for_platform(
    project: &Project,
    all: &[LocalDeb],
    platform: Platform,
    platforms: &[Platform],
) -> Result<Vec<Asked>, Problems> {
    let fits = |deb: &&LocalDeb, platform: Platform| {
        let architecture = &deb.candidate.architecture;
        architecture == "all" || architecture == platform.architecture()
    };
    let mut chosen: Vec<&LocalDeb> = Vec::new();
    for deb in all {
        let Candidate { name, path, architecture, .. } = &deb.candidate;
        if !platforms.iter().any(|platform| fits(&deb, *platform)) {
            let problem = format!("`{path}` is for `{architecture}`, which is none of the spec's platforms");
            return Err(refused(project, deb.entry.span, problem));
        }
        if !fits(&deb, platform) {
            if !all.iter().any(|other| other.candidate.name == *name && fits(&other, platform)) {
                let problem =
                    format!("`{path}` is for `{architecture}`, and no file gives `{name}` for {}", platform.oci());
                return Err(refused(project, deb.entry.span, problem));
            }
            continue;
        }
        if let Some(other) = chosen.iter().find(|other| other.candidate.name == *name) {
            let problem = format!("`{path}` and `{}` are both `{name}` for {}", other.candidate.path, platform.oci());
            return Err(refused(project, deb.entry.span, problem));
        }
        chosen.push(deb);
    }
    Ok(chosen.into_iter().map(|deb| (deb.entry.clone(), deb.candidate.clone())).collect())
}

/// Returns the inputs of a lock that the local packages are.
pub(super) fn inputs(all: &[LocalDeb]) -> impl Iterator<Item = LockedInput> {
    all.iter().map(|LocalDeb { candidate, .. }| LockedInput {
        kind: "package".to_owned(),
        name: candidate.path.clone(),
        digest: candidate.digest,
        size: candidate.size,
    })
}

/// Puts the local packages of a lock, of the platforms asked for, into the store, where a build finds every package.
///
/// # Errors
/// A file that has other bytes than the lock says.
pub(super) fn store(
    world: &World<'_>,
    project: &Project,
    lock: &Lock,
    asked: &dyn Fn(&str) -> bool,
) -> Result<(), Problems> {
    let shares = lock.platform.iter().filter(|(name, _)| asked(name));
    for package in shares.flat_map(|(_, share)| &share.packages) {
        if let Some(path) = package.local_path() {
            store_one(world, project, path, &package.digest, package.size)?;
        }
    }
    Ok(())
}

/// Puts the local package at `path`, which the lock knows by digest and size, into the store.
pub(super) fn store_one(
    world: &World<'_>,
    project: &Project,
    path: &str,
    locked: &Digest,
    size: u64,
) -> Result<(), Problems> {
    if world.store.blob(locked)?.is_some() {
        return Ok(());
    }
    let file = project.open_package(path)?;
    let mut writer = world.store.write_blob()?;
    let unread = |source| Error::Read { path: path.to_owned(), source };
    // One byte more than the lock says is enough to tell that it is another file.
    io::copy(&mut io::Read::take(&file, size.saturating_add(1)), &mut writer).map_err(unread)?;
    let found = writer.digest();
    if found != *locked {
        let (name, found, locked) = (path.to_owned(), found.to_string(), locked.to_string());
        return Err(Error::InputMoved { name, found, locked }.into());
    }
    writer.commit(Some(locked))?;
    Ok(())
}

/// Returns digest and size of a file of at most `limit` bytes.
pub(super) fn digest_of(file: &File, limit: u64) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; 128 << 10];
    let mut bounded = io::Read::take(file, limit + 1);
    loop {
        match io::Read::read(&mut bounded, &mut chunk)? {
            0 => break,
            count => hasher.update(&chunk[..count]),
        }
    }
    match hasher.length() {
        size if size > limit => Err(io::Error::other(format!("it is larger than {limit} bytes"))),
        size => Ok((hasher.digest(), size)),
    }
}

fn refused(project: &Project, span: crate::diag::Span, problem: String) -> Problems {
    Error::LocalPackage { source_text: project.spec.source.clone(), span, problem }.into()
}
