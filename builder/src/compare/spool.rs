//! Bytes that are compared, kept in one anonymous file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::elf::ReadAt;

/// The most bytes that are kept at once.
const MAX_KEPT: u64 = 4 << 30;

/// Keeps bytes in an anonymous file of a directory; it is gone with the value.
pub(super) struct Spool<'a> {
    directory: &'a Path,
    file: Arc<File>,
    end: u64,
}

/// Bytes of a spool.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    file: Arc<File>,
    offset: u64,
    size: u64,
}

impl<'a> Spool<'a> {
    pub(super) fn new(directory: &'a Path) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(directory).map_err(|source| failed(directory, source))?;
        Ok(Self { directory, file: Arc::new(file), end: 0 })
    }

    /// Returns whether `size` bytes more may be kept.
    pub(super) fn has_room(&self, size: u64) -> bool {
        size <= MAX_KEPT - self.end
    }

    /// Keeps all that `body` gives, as far as there is room; `unread` makes an error of what it says.
    pub(super) fn take(&mut self, body: &mut dyn Read, unread: impl Fn(io::Error) -> Error) -> Result<Piece, Error> {
        let offset = self.end;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let room = usize::try_from(MAX_KEPT - self.end).unwrap_or(usize::MAX).min(buffer.len());
            let count = match body.read(&mut buffer[..room]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unread(error)),
            };
            if count == 0 {
                return Ok(Piece { file: self.file.clone(), offset, size: self.end - offset });
            }
            self.file.write_all_at(&buffer[..count], self.end).map_err(|source| failed(self.directory, source))?;
            self.end += count as u64;
        }
    }

    /// Returns where the spool ends.
    pub(super) fn mark(&self) -> u64 {
        self.end
    }

    /// Forgets what was kept since `mark`.
    pub(super) fn release(&mut self, mark: u64) {
        self.end = mark;
    }

    /// Makes an error of what reading kept bytes says.
    pub(super) fn failed(&self, source: io::Error) -> Error {
        failed(self.directory, source)
    }
}

fn failed(directory: &Path, source: io::Error) -> Error {
    Error::Scratch { directory: directory.display().to_string(), source }
}

impl Piece {
    /// Returns its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns a part of it; `None` where it does not reach so far.
    pub(super) fn part(&self, offset: u64, size: u64) -> Option<Self> {
        let end = offset.checked_add(size)?;
        (end <= self.size).then(|| Self { file: self.file.clone(), offset: self.offset + offset, size })
    }

    /// Returns its first bytes, at most `length`.
    pub(super) fn head(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX).min(length)];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }

    /// Returns a reader of it from its start.
    pub(super) fn reader(&self) -> PieceReader {
        PieceReader { piece: self.clone(), at: 0 }
    }
}

impl ReadAt for Piece {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.file.read_exact_at(buffer, self.offset + offset)
    }
}

/// Reads a piece from its start.
#[derive(Debug)]
pub(super) struct PieceReader {
    piece: Piece,
    at: u64,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.piece.size - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.piece.file.read_at(&mut buffer[..length], self.piece.offset + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
