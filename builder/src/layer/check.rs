//! Holds a layer that somebody else wrote against its plan.
//!
//! In: a plan, and the encoded blob that is said to be its layer. Out: a [`Layer`] of what was read, whose every byte
//! of tar is what the plan says: headers and bytes made here are compared, bytes of packs are hashed. How the tar is
//! encoded is not judged: who encodes it another way gives a blob of another digest, with the same DiffID.

use std::io::{self, BufRead, BufReader, Read};

use crate::codec::decode::{self, Format, Limits};
use crate::digest::{Digest, Hasher, HashingReader};
use crate::select::{Body, LayerPlan};
use crate::spec::Compression;
use crate::tar::write::padding;

use super::cut::{Segment, append, check as same, size};
use super::{Error, Layer};

/// Bytes of tar looked at once.
const CHUNK: usize = 256 << 10;

/// The largest window of an encoded cut: twice what a whole cut can make an encoder ask for.
const MAX_WINDOW: u64 = 8 << 20;

/// Returns how many bytes of tar the layer of `plan` has.
///
/// # Errors
/// An entry that no tar can hold.
pub fn tar_size(plan: &LayerPlan) -> Result<u64, Error> {
    Ok(Segment::of_plan(plan)?.iter().map(|segment| segment.length).sum())
}

/// Reads the layer of `plan` from `blob`, which holds nothing else, to its end, and returns what it is.
///
/// No more is decompressed than the plan has bytes of tar.
///
/// # Errors
/// A blob that does not decompress, that holds another tar than that of the plan, or more than one; an error of `blob`.
pub fn check(plan: &LayerPlan, compression: Compression, blob: impl Read + Send) -> Result<Layer, Error> {
    let wrong = |problem: String| Error::Received { layer: plan.name.clone(), problem };
    let broken = |source: io::Error| match decode::Error::of(&source) {
        Some(error) => wrong(error.to_string()),
        None => Error::Source { layer: plan.name.clone(), source },
    };
    let expected = tar_size(plan)?;
    let limits = Limits { max_output: expected, max_ratio: u64::MAX, max_window: MAX_WINDOW, concatenated: true };
    let format = match compression {
        Compression::Zstd(_) => Format::Zstd,
        Compression::Gzip(_) => Format::Gzip,
    };
    let mut blob = HashingReader::new(blob);
    let (diff_id, tar_size) = {
        let decoded = decode::decoder(format, &mut blob, &limits).map_err(|error| wrong(error.to_string()))?;
        let mut tar = Tar { inner: BufReader::with_capacity(CHUNK, decoded), hasher: Hasher::new() };
        let mut header = Vec::new();
        for entry in plan.directories.iter().chain(plan.groups.iter().flat_map(|group| &group.entries)) {
            let differs = || wrong(format!("`{}` is not as its plan says", entry.path));
            header.clear();
            append(&mut header, entry)?;
            tar.matches(&header).map_err(broken)?.then_some(()).ok_or_else(differs)?;
            match &entry.body {
                Body::Inline(bytes) => tar.matches(bytes).map_err(broken)?.then_some(()).ok_or_else(differs)?,
                Body::Pack { size, digest, .. } => match tar.digest(*size).map_err(broken)? {
                    Some(found) => same(&entry.path, *digest, found)?,
                    None => return Err(differs()),
                },
                Body::Directory | Body::Symlink(_) | Body::Hardlink(_) => {}
            }
            let zeros = vec![0; padding(size(entry))];
            tar.matches(&zeros).map_err(broken)?.then_some(()).ok_or_else(differs)?;
        }
        let end = crate::tar::write::END;
        let ended = tar.matches(&end).map_err(broken)? && tar.inner.fill_buf().map_err(broken)?.is_empty();
        if !ended {
            return Err(wrong("its end is not where its plan says".to_owned()));
        }
        (tar.hasher.clone().diff_id(), tar.hasher.length())
    };
    if io::copy(&mut blob, &mut io::sink()).map_err(broken)? > 0 {
        return Err(wrong("bytes follow its end".to_owned()));
    }
    let (digest, size) = blob.finish();
    Ok(Layer { diff_id, digest, size, compression, tar_size })
}

/// A tar that is hashed as it passes.
struct Tar<R> {
    inner: BufReader<R>,
    hasher: Hasher,
}

impl<R: Read> Tar<R> {
    /// Takes as many bytes as `expected` has; returns whether they are the same.
    fn matches(&mut self, mut expected: &[u8]) -> io::Result<bool> {
        while !expected.is_empty() {
            let piece = self.inner.fill_buf()?;
            let count = piece.len().min(expected.len());
            if count == 0 || piece[..count] != expected[..count] {
                return Ok(false);
            }
            self.hasher.update(&piece[..count]);
            self.inner.consume(count);
            expected = &expected[count..];
        }
        Ok(true)
    }

    /// Takes `size` bytes and returns their digest; `None` where there are fewer.
    fn digest(&mut self, size: u64) -> io::Result<Option<Digest>> {
        let mut file = Hasher::new();
        while file.length() < size {
            let piece = self.inner.fill_buf()?;
            let left = usize::try_from(size - file.length()).unwrap_or(usize::MAX);
            let count = piece.len().min(left);
            if count == 0 {
                return Ok(None);
            }
            file.update(&piece[..count]);
            self.hasher.update(&piece[..count]);
            self.inner.consume(count);
        }
        Ok(Some(file.digest()))
    }
}
