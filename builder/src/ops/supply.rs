//! Files beneath a spec's directory that are gone, taken from the image that they went into.
//!
//! A rebuild with such files can never say that the image is what it should be: of these files nothing is known but what
//! the image says itself. It can still show that all else is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::diag::Problems;
use crate::engine::local as engine;
use crate::image::{self, OpenImage};
use crate::package::local;
use crate::spec::FileSource;
use crate::tar::read::Kind;
use crate::tree::ImagePath;

use super::lock::local_inputs;
use super::{Error, Project, shown};

/// The most bytes that are taken from an image.
const MAX_TAKEN: u64 = 64 << 30;

/// Looks whether everything that the project copies is there. Where something is not, makes a directory below `room`,
/// which is empty, of what is there and of what the image has in place of the rest, and lets the project start from it.
/// Returns what was taken from the image.
///
/// # Errors
/// An image that cannot be read, the disk.
pub(super) fn supply(project: &mut Project, image: &OpenImage, room: &Path) -> Result<Vec<String>, Problems> {
    let mut missing: Vec<(String, ImagePath)> = Vec::new();
    for entry in &project.spec.files {
        if let FileSource::Copy { path, .. } = &entry.value.what {
            let found = fs::symlink_metadata(project.directory.join(path));
            if found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                missing.push((path.clone(), entry.value.to.clone()));
            }
        }
    }
    let Some(one) = image.images().first().filter(|_| !missing.is_empty()) else { return Ok(Vec::new()) };
    let context = Context { directory: room.join("context"), links: BTreeMap::new() };
    let mut context = context.of(project, &missing)?;

    // What a spec copies stands in the last layer; whatever else is at these paths comes from elsewhere.
    let Some(last) = one.layers.last() else { return Ok(Vec::new()) };
    let (mut taken, mut assumed) = (0_u64, BTreeSet::new());
    image
        .entries::<Stopped>(last, |entry, body| {
            let name = entry.path.as_str();
            for (path, to) in &missing {
                let Some(rest) = below(name, to) else { continue };
                let place = format!("{path}{rest}");
                match &entry.kind {
                    Kind::Directory => context.directory(&place)?,
                    Kind::Symlink(target) => context.link(&place, target),
                    Kind::File => {
                        taken = taken.saturating_add(entry.size);
                        if taken > MAX_TAKEN {
                            let problem = format!("files to be taken from it have more than {MAX_TAKEN} bytes");
                            return Err(image::Error::Invalid { image: image.name().to_owned(), problem }.into());
                        }
                        context.file(&place, &mut *body, entry.mode & 0o100 != 0)?;
                    }
                    _ => continue,
                }
                assumed.insert(path.clone());
                // The bytes can be read once.
                break;
            }
            Ok(())
        })
        .map_err(|Stopped(problems)| problems)?;
    project.directory = context.finish()?;
    Ok(assumed.into_iter().collect())
}

/// Why the reading of a layer was stopped.
struct Stopped(Problems);

impl<E: Into<Problems>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Returns what of an image's path lies below `to`, in front of or behind the merge of /usr.
fn below<'a>(name: &'a str, to: &ImagePath) -> Option<&'a str> {
    let to = to.as_str();
    let rest = |name: &'a str| name.strip_prefix(to).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    rest(name).or_else(|| {
        let alias = ["bin", "sbin", "lib"].iter().any(|alias| to.starts_with(alias));
        name.strip_prefix("usr/").filter(|_| alias).and_then(rest)
    })
}

/// A directory that is being made. Links come last, so that nothing is written through one.
struct Context {
    directory: PathBuf,
    links: BTreeMap<String, String>,
}

impl Context {
    /// Copies what the project reads beneath its directory, except what is missing.
    fn of(mut self, project: &Project, missing: &[(String, ImagePath)]) -> Result<Self, Problems> {
        self.directory("")?;
        let mut spec = project.spec.clone();
        spec.files.retain(|entry| match &entry.value.what {
            FileSource::Copy { path, .. } => !missing.iter().any(|(gone, _)| gone == path),
            _ => true,
        });
        for input in local::inputs(&spec, &project.directory)? {
            let mode = input.identity[5];
            match (&input.target, mode & 0o170_000) {
                (Some(target), _) => self.link(&input.path, target),
                (None, 0o040_000) => self.directory(&input.path)?,
                (None, _) => {
                    self.file(&input.path, local::file(&project.directory, &input.path)?, mode & 0o100 != 0)?;
                }
            }
        }
        let mut named: Vec<String> = local_inputs(project)?.into_iter().map(|(_, path)| path).collect();
        named.extend(spec.debs.iter().map(|deb| deb.value.path.clone()));
        named.extend(spec.archives.values().filter_map(|archive| archive.ca.as_ref()).map(|path| path.value.clone()));
        named.extend(engine::base_files(&spec, &project.directory)?.into_iter().map(|(path, _)| path));
        for path in named {
            // A certificate may be copied too.
            if !self.directory.join(&path).exists() {
                self.file(&path, local::file(&project.directory, &path)?, false)?;
            }
        }
        Ok(self)
    }

    fn directory(&self, path: &str) -> Result<(), Problems> {
        let to = self.directory.join(path);
        fs::create_dir_all(&to).map_err(|source| Error::Write { path: shown(&to), source }.into())
    }

    fn link(&mut self, path: &str, target: &str) {
        self.links.insert(path.to_owned(), target.to_owned());
    }

    fn file(&self, path: &str, mut bytes: impl Read, executable: bool) -> Result<(), Problems> {
        let to = self.directory.join(path);
        let mut write = || {
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            let mut file = File::create(&to)?;
            io::copy(&mut bytes, &mut file)?;
            file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
        };
        write().map_err(|source| Error::Write { path: shown(&to), source }.into())
    }

    /// Makes the links and returns the directory.
    fn finish(self) -> Result<PathBuf, Problems> {
        for (path, target) in &self.links {
            let to = self.directory.join(path);
            let made = to.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| std::os::unix::fs::symlink(target, &to))
                .map_err(|source| Error::Write { path: shown(&to), source })?;
        }
        Ok(self.directory)
    }
}
