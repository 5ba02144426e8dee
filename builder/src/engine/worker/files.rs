//! Files that operations read from each other, and the directories that they write.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Error;
use crate::digest::Digest;
use crate::store::output::settle;
use crate::store::{TemporaryDirectory, names_in};

/// The most bytes of an index, a plan or any other document that one operation hands to another.
pub(super) const MAX_DOCUMENT: u64 = 512 << 20;

/// The most names in a directory of mounts or indexes.
const MAX_NAMES: usize = 100_000;

/// Opens a regular file; errors call it `what`.
pub(super) fn file(path: &Path, what: &str) -> Result<File, Error> {
    let failed = |source| Error::Read { what: what.to_owned(), path: path.display().to_string(), source };
    // What is no regular file must not be waited for.
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes; errors call it `what`.
pub(crate) fn read(path: &Path, limit: u64, what: &str) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { what: what.to_owned(), path: path.display().to_string(), source };
    let mut bytes = Vec::new();
    file(path, what)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(io::Error::other(format!("it is larger than {limit} bytes"))));
    }
    Ok(bytes)
}

/// Returns the digest and the size of a file's bytes, from its start, and leaves it at its start.
pub(super) fn digest(file: &mut File) -> io::Result<(Digest, u64)> {
    use std::io::Seek as _;
    file.rewind()?;
    let mut reader = crate::digest::HashingReader::new(&*file);
    io::copy(&mut reader, &mut io::sink())?;
    let found = reader.finish();
    file.rewind()?;
    Ok(found)
}

/// Returns the names in a directory, sorted; of one that is not there, none.
pub(super) fn names(directory: &Path, what: &str) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Read { what: what.to_owned(), path: directory.display().to_string(), source };
    let paths = names_in(directory).map_err(failed)?;
    if paths.len() > MAX_NAMES {
        return Err(failed(io::Error::other(format!("it holds more than {MAX_NAMES} names"))));
    }
    let name = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        name.ok_or_else(|| failed(io::Error::other("it holds a name that is no UTF-8")))
    };
    paths.into_iter().map(name).collect()
}

/// Returns whether a word can be the name of a package or a layer, and so of a file: lower-case letters, digits, `+`,
/// `-` and `.`, a letter or digit first.
pub(super) fn is_name(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !word.is_empty()
        && word.len() <= 255
        && plain(word.as_bytes()[0])
        && word.bytes().all(|byte| plain(byte) || b"+-.".contains(&byte))
}

/// A directory that an operation writes: an empty one, or one to be made. It holds nothing until it is committed, and
/// then files of mode 0644 and directories of mode 0755, whatever the umask.
#[derive(Debug)]
pub struct Output {
    directory: PathBuf,
    made: TemporaryDirectory,
}

impl Output {
    /// Starts writing to `directory`.
    ///
    /// # Errors
    /// A directory that is not empty, or cannot be written to.
    pub fn start(directory: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: directory.display().to_string(), source };
        match fs::create_dir(directory) {
            Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        if !names_in(directory).map_err(failed)?.is_empty() {
            return Err(Error::Occupied { path: directory.display().to_string() });
        }
        let made = TemporaryDirectory::beneath(directory, ".tarsia-").map_err(failed)?;
        // What is written stands one level below, so that scratch beside it never gets into place.
        fs::create_dir(made.path().join("out")).map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), made })
    }

    /// Returns the path under which something is written that will stand at `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.made.path().join("out").join(name)
    }

    /// Returns a directory for what is gone once this is committed or dropped.
    pub fn scratch(&self) -> &Path {
        self.made.path()
    }

    /// Makes a directory, and those above it.
    pub(super) fn directory(&self, name: &str) -> Result<(), Error> {
        fs::create_dir_all(self.path(name)).map_err(|source| self.failed(name, source))
    }

    /// Makes an empty file for reading and writing, and the directories above it.
    pub(super) fn create(&self, name: &str) -> Result<File, Error> {
        let path = self.path(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let file = made.and_then(|()| File::options().read(true).write(true).create_new(true).open(&path));
        file.map_err(|source| self.failed(name, source))
    }

    /// Writes a file, and makes the directories above it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.create(name)?.write_all(bytes).map_err(|source| self.failed(name, source))
    }

    pub(super) fn failed(&self, name: &str, source: io::Error) -> Error {
        Error::Write { path: self.directory.join(name).display().to_string(), source }
    }

    /// Puts all that was written in its place.
    ///
    /// # Errors
    /// Where that cannot be done; nothing stands there then.
    pub fn commit(self) -> Result<(), Error> {
        let out = self.made.path().join("out");
        let place = || {
            settle(&out)?;
            let mut placed: Vec<PathBuf> = Vec::new();
            for from in names_in(&out)? {
                let to = self.directory.join(from.file_name().unwrap_or_default());
                if let Err(error) = fs::rename(&from, &to) {
                    for to in placed {
                        // Under its temporary name it is removed like what never came to its place.
                        let _ = fs::rename(&to, out.join(to.file_name().unwrap_or_default()));
                    }
                    return Err(error);
                }
                placed.push(to);
            }
            Ok(())
        };
        place().map_err(|source| self.failed("", source))
    }

    /// Puts several outputs in their places.
    ///
    /// # Errors
    /// As of [`Output::commit`]; those before the one that cannot be placed stand.
    pub fn commit_all(all: impl IntoIterator<Item = Self>) -> Result<(), Error> {
        all.into_iter().try_for_each(Self::commit)
    }
}
