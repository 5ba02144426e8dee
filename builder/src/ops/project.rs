//! A spec with its directory and its lock: what most commands start from.

use std::path::{Path, PathBuf};

use crate::diag::{Problems, Source};
use crate::digest::Digest;
use crate::lock::Lock;
use crate::package::local;
use crate::spec::{Platform, Spec};

use super::{Error, World, lock_path, shown};

/// The largest spec or lock in bytes.
const MAX_TEXT: u64 = 16 << 20;

/// A spec as read from disk, and its lock where there is one.
#[derive(Debug)]
pub struct Project {
    /// The spec.
    pub spec: Spec,
    /// The spec's text.
    pub spec_text: String,
    /// The directory that its relative paths start from.
    pub directory: PathBuf,
    /// Where its lock stands or will stand.
    pub lock_path: PathBuf,
    /// The lock.
    pub lock: Option<Lock>,
    /// The lock's text.
    pub lock_text: Option<String>,
}

impl Project {
    /// Reads the spec at `path` and the lock beside it.
    ///
    /// # Errors
    /// A file that cannot be read, a spec or a lock that does not parse.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let source = Source::new(shown(path), read_text(path)?);
        let stem = path.file_stem().map_or_else(|| "image".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let spec = Spec::parse(&source, &stem)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let lock_path = lock_path(path);
        let lock_text = if lock_path.exists() { Some(read_text(&lock_path)?) } else { None };
        let lock = match &lock_text {
            Some(text) => Some(Lock::parse(&shown(&lock_path), text)?),
            None => None,
        };
        Ok(Self { spec, spec_text: source.text.clone(), directory, lock_path, lock, lock_text })
    }

    /// Returns the platforms that the spec asks for; the host's where it names none and no lock has settled it.
    pub fn platforms(&self, world: &World<'_>) -> Vec<Platform> {
        if !self.spec.platforms.is_empty() {
            return self.spec.platforms.iter().map(|platform| platform.value).collect();
        }
        match &self.lock {
            Some(lock) => lock.platform.keys().filter_map(|name| Platform::from_oci(name)).collect(),
            None => vec![world.host],
        }
    }

    /// Returns the lock, or the error that names its absence.
    pub fn locked(&self) -> Result<&Lock, Problems> {
        self.lock.as_ref().ok_or_else(|| Error::NoLock { path: shown(&self.lock_path) }.into())
    }

    /// Returns the digest of the lock's text; of nothing where there is none.
    pub fn lock_digest(&self) -> Digest {
        Digest::of(self.lock_text.as_deref().unwrap_or_default().as_bytes())
    }

    /// Reads a file beneath the spec's directory, at most 16 MiB: a key or a certificate.
    pub fn read_input(&self, name: &str) -> Result<Vec<u8>, Problems> {
        Ok(local::read(&self.directory, name, MAX_TEXT)?)
    }
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
