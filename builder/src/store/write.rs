//! Writers of blobs and large files: hash on the way in, rename at the end, leave nothing where they are dropped.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::temporary::TemporaryFile;
use super::{Error, Kind, Store, TEMPORARY};
use crate::digest::{Digest, Hasher};

/// A file that is being written in the store.
struct Pending {
    store: Store,
    what: String,
    file: io::BufWriter<TemporaryFile>,
    hasher: Hasher,
}

impl Pending {
    fn new(store: Store, what: String, directory: &Path) -> Result<Self, Error> {
        store.make_parent(&directory.join("x"))?;
        let file = TemporaryFile::new(tempfile::Builder::new().prefix(TEMPORARY), directory)
            .map_err(|source| Error::write(&what, directory, source))?;
        Ok(Self { store, what, file: io::BufWriter::with_capacity(128 << 10, file), hasher: Hasher::new() })
    }

    /// Returns an error of the same kind that says what could not be written.
    fn named(&self, source: io::Error) -> io::Error {
        let kind = source.kind();
        io::Error::new(kind, Error::write(&self.what, self.store.root(), source))
    }

    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.file.write(buffer) {
            Ok(count) => {
                self.hasher.update(&buffer[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.named(error)),
        }
    }

    fn restart(&mut self) -> Result<(), Error> {
        let mut again = || {
            self.file.rewind()?;
            self.file.get_ref().as_file().set_len(0)
        };
        again().map_err(|source| Error::write(&self.what, self.store.root(), source))?;
        self.hasher = Hasher::new();
        Ok(())
    }

    fn read_back(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut again = || {
            self.file.rewind()?;
            self.file.get_mut().read_to_end(&mut bytes)?;
            self.file.seek(io::SeekFrom::End(0))
        };
        again().map_err(|source| Error::write(&self.what, self.store.root(), source))?;
        Ok(bytes)
    }

    /// Renames the file to `path(digest)` and records its digest.
    fn commit(
        self,
        expected: Option<&Digest>,
        place: impl FnOnce(&Store, &Digest) -> (PathBuf, PathBuf),
    ) -> Result<(Digest, u64), Error> {
        let Self { store, what, file, hasher } = self;
        let length = hasher.length();
        let digest = hasher.digest();
        if let Some(expected) = expected
            && *expected != digest
        {
            return Err(Error::Mismatch { expected: *expected, actual: digest });
        }
        let (path, record) = place(&store, &digest);
        store.make_parent(&path)?;
        let failed = |source| Error::write(&what, &path, source);
        let file: TemporaryFile = file.into_inner().map_err(|error| failed(error.into_error()))?;
        let file: File = file.persist(&path).map_err(failed)?;
        store.remember_file(&record, &file, &digest);
        Ok((digest, length))
    }
}

/// A blob that is being written. Dropped without [`BlobWriter::commit`], it leaves nothing.
pub struct BlobWriter(Pending);

impl BlobWriter {
    pub(super) fn new(store: Store) -> Result<Self, Error> {
        let directory = store.root().join("blobs/sha256");
        Pending::new(store, "a blob".to_owned(), &directory).map(Self)
    }

    /// Returns how many bytes have been written.
    pub fn length(&self) -> u64 {
        self.0.hasher.length()
    }

    /// Returns the digest of the bytes written so far.
    pub fn digest(&self) -> Digest {
        self.0.hasher.clone().digest()
    }

    /// Returns the bytes written so far.
    pub fn read_back(&mut self) -> Result<Vec<u8>, Error> {
        self.0.read_back()
    }

    /// Forgets what has been written.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.0.restart()
    }

    /// Puts the blob in its place and returns its name and size; an error where it is not the one expected.
    pub fn commit(self, expected: Option<&Digest>) -> Result<(Digest, u64), Error> {
        self.0.commit(expected, |store, digest| (store.blob_path(digest), store.record_path("blobs", digest)))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    /// Does nothing: bytes reach the disk at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A large file that is being written. Dropped without [`LargeWriter::commit`], it leaves nothing.
pub struct LargeWriter {
    store: Store,
    kind: Kind,
    key: Digest,
    file: TemporaryFile,
}

impl LargeWriter {
    pub(super) fn new(store: Store, kind: Kind, key: &Digest) -> Result<Self, Error> {
        let path = store.large_path(kind, key);
        store.make_parent(&path)?;
        let directory = path.parent().unwrap_or(&store.0.root);
        let file = TemporaryFile::new(tempfile::Builder::new().prefix(TEMPORARY), directory)
            .map_err(|source| Error::write("a large file", directory, source))?;
        Ok(Self { store, kind, key: *key, file })
    }

    /// Returns the file, empty at first, open for reading and writing.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file in its place, to be asked for with [`Store::large`].
    ///
    /// `digest` is of all that was written, hashed on the way in: the file is not read for it.
    pub fn commit(self, digest: &Digest) -> Result<(), Error> {
        let Self { store, kind, key, file } = self;
        let path = store.large_path(kind, &key);
        let file = file.persist(&path).map_err(|source| Error::write("a large file", &path, source))?;
        store.remember_file(&store.record_path(kind.room(), &key), &file, digest);
        Ok(())
    }
}
