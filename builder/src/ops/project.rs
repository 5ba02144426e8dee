//! A spec with its directory and its lock: what most commands start from.

use std::path::{Path, PathBuf};

use crate::diag::{Problems, Source};
use crate::digest::Digest;
use crate::lock::Lock;
use crate::package::local;
use crate::spec::{Platform, Spec};

use super::{Error, World, lock_path, shown};

/// The largest spec or lock in bytes.
pub(super) const MAX_TEXT: u64 = 16 << 20;

/// A spec as read from disk, or one of its variants, and its lock where there is one.
#[derive(Debug)]
pub struct Project {
    /// The spec, with the variant on top.
    pub spec: Spec,
    /// The spec's text.
    pub spec_text: String,
    /// The directory that its relative paths start from.
    pub directory: PathBuf,
    /// Where its lock stands or will stand.
    pub lock_path: PathBuf,
    /// What the lock says of this spec or variant.
    pub lock: Option<Lock>,
    /// The lock as it stands, with all variants.
    pub whole: Option<Lock>,
    /// The lock's text.
    pub lock_text: Option<String>,
}

impl Project {
    /// Reads the spec at `path`, with `variant` on top, and the lock beside it.
    ///
    /// # Errors
    /// A file that cannot be read, a spec or a lock that does not parse.
    pub fn read(path: &Path, variant: Option<&str>) -> Result<Self, Problems> {
        Self::of_text(path, read_text(path)?, variant)
    }

    /// As [`Project::read`], where the spec at `path` had this text.
    pub(super) fn of_text(path: &Path, text: String, variant: Option<&str>) -> Result<Self, Problems> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let source = Source::new(shown(path), text);
        let stem = path.file_stem().map_or_else(|| "image".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let read = |name: &str| {
            let bytes = local::read(&directory, name, MAX_TEXT).map_err(|error| said(&error))?;
            String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
        };
        let spec = Spec::load(&source, &stem, variant, &read)?;
        let lock_path = lock_path(path);
        let lock_text = if lock_path.exists() { Some(read_text(&lock_path)?) } else { None };
        let whole = match &lock_text {
            Some(text) => Some(Lock::parse(&shown(&lock_path), text)?),
            None => None,
        };
        let lock = whole.as_ref().and_then(|whole| whole.section(variant));
        Ok(Self { spec, spec_text: source.text.clone(), directory, lock_path, lock, whole, lock_text })
    }

    /// Returns the project of a spec and a lock that stand nowhere beside each other: the spec is shown as `path`, its
    /// relative paths start from `directory`, and the lock is shown by its own path.
    pub(super) fn of_texts(
        path: &Path,
        directory: &Path,
        text: String,
        lock: (&Path, String),
    ) -> Result<Self, Problems> {
        let source = Source::new(shown(path), text);
        let read = |name: &str| Err(format!("`{name}` is not beside it"));
        let spec = Spec::load(&source, "image", None, &read)?;
        let (lock_path, lock_text) = lock;
        let whole = Lock::parse(&shown(lock_path), &lock_text)?;
        Ok(Self {
            spec,
            spec_text: source.text.clone(),
            directory: directory.to_owned(),
            lock_path: lock_path.to_owned(),
            lock: whole.section(None),
            whole: Some(whole),
            lock_text: Some(lock_text),
        })
    }

    /// Returns the lock that a new one starts from: its own; for a variant that is not locked yet, the spec's.
    pub(super) fn previous(&self) -> Option<Lock> {
        self.lock.clone().or_else(|| self.whole.as_ref()?.section(None))
    }

    /// Returns the platforms that the spec asks for; the host's where it names none and no lock has settled it.
    pub fn platforms(&self, world: &World<'_>) -> Vec<Platform> {
        if !self.spec.platforms.is_empty() {
            return self.spec.platforms.iter().map(|platform| platform.value).collect();
        }
        match self.previous() {
            Some(lock) => lock.platform.keys().filter_map(|name| Platform::from_oci(name)).collect(),
            None => vec![world.host],
        }
    }

    /// Returns the lock, or the error that names its absence.
    pub fn locked(&self) -> Result<&Lock, Problems> {
        let path = || shown(&self.lock_path);
        match (&self.lock, &self.spec.variant) {
            (Some(lock), _) => Ok(lock),
            (None, Some(variant)) if self.whole.is_some() => {
                Err(Error::Stale { path: path(), reasons: vec![not_in(variant)] }.into())
            }
            _ => Err(Error::NoLock { path: path() }.into()),
        }
    }

    /// Returns the digest of what the lock says; of nothing where there is none.
    pub fn lock_digest(&self) -> Digest {
        Digest::of(self.lock.as_ref().map(Lock::to_text).unwrap_or_default().as_bytes())
    }

    /// Reads a file beneath the spec's directory, at most 16 MiB: a key or a certificate.
    pub fn read_input(&self, name: &str) -> Result<Vec<u8>, Problems> {
        Ok(local::read(&self.directory, name, MAX_TEXT)?)
    }

    /// Opens a package beneath the spec's directory.
    pub fn open_package(&self, path: &str) -> Result<std::fs::File, Problems> {
        Ok(local::file(&self.directory, path)?)
    }
}

/// Returns the sections of the spec at `path` that a command works on: `variant`, or where none is asked for the spec
/// itself and all of its variants.
pub fn sections(path: &Path, variant: Option<&str>) -> Result<Vec<Option<String>>, Problems> {
    if let Some(variant) = variant {
        return Ok(vec![Some(variant.to_owned())]);
    }
    let project = Project::read(path, None)?;
    Ok(std::iter::once(None).chain(project.spec.variants.into_iter().map(Some)).collect())
}

/// Says why a lock that has other sections does not do for a variant.
pub(super) fn not_in(variant: &str) -> String {
    format!("variant `{variant}` is not in it")
}

/// Returns an error with its causes as one sentence.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Problems> {
    let read = || {
        use std::io::Read as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut bytes = Vec::new();
        // What is no regular file must not be waited for.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = std::fs::File::options().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_TEXT {
            return Err(std::io::Error::other("it is larger than 16 MiB"));
        }
        Ok(bytes)
    };
    read().map_err(|source| Error::Read { path: shown(path), source }.into())
}

/// Reads a text file of at most 16 MiB.
pub(super) fn read_text(path: &Path) -> Result<String, Problems> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error());
        Error::Read { path: shown(path), source }.into()
    })
}
