//! Segments of a layer's tar, and the cuts they are encoded in.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use crate::budget::Reservation;
use crate::codec::encode;
use crate::digest::Digest;
use crate::select::{Body, LayerPlan, PlanEntry};
use crate::tar::write::{END, Header, Kind, append_header, padding};
use crate::tree::ImagePath;

use super::{Context, Error, keyed};

/// Bytes of tar in a whole cut.
pub(super) const CUT: usize = 4 << 20;

/// A part of a layer's tar that depends on nothing else in it: the directories, a group's entries, or the end.
pub(super) struct Segment<'a> {
    pack: Option<Digest>,
    entries: &'a [PlanEntry],
    /// Where each entry starts in the segment.
    starts: Vec<u64>,
    /// Bytes of tar.
    pub(super) length: u64,
    key: Digest,
}

/// A cut: where it starts in its segment, and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    number: u64,
    start: u64,
    pub(super) length: usize,
}

/// A finished cut.
pub(super) struct Done<'a> {
    pub(super) raw: Vec<u8>,
    pub(super) encoded: Vec<u8>,
    /// Parts of files that other cuts hold the rest of, in order.
    pub(super) parts: Vec<Part<'a>>,
    /// The memory of `raw` and `encoded`.
    pub(super) reservation: Reservation,
}

/// A part of a file that does not lie within one cut.
pub(super) struct Part<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) range: Range<usize>,
    /// With the last part, the digest of the whole.
    pub(super) last: Option<Digest>,
}

impl<'a> Segment<'a> {
    /// Returns the segments of a plan, those without entries left out; the last one is the end of the archive.
    pub(super) fn of_plan(plan: &'a LayerPlan) -> Result<Vec<Self>, Error> {
        let mut segments = Vec::new();
        if !plan.directories.is_empty() {
            segments.push(Self::new(None, &plan.directories)?);
        }
        for group in plan.groups.iter().filter(|group| !group.entries.is_empty()) {
            segments.push(Self::new(group.pack, &group.entries)?);
        }
        segments.push(Self::end());
        Ok(segments)
    }

    fn new(pack: Option<Digest>, entries: &'a [PlanEntry]) -> Result<Self, Error> {
        let mut starts = Vec::with_capacity(entries.len());
        let mut length = 0;
        let mut header = Vec::new();
        for entry in entries {
            if let (Body::Pack { .. }, None) = (&entry.body, pack) {
                return Err(Error::NoPack { path: entry.path.clone() });
            }
            starts.push(length);
            header.clear();
            append(&mut header, entry)?;
            let body = size(entry);
            length += header.len() as u64 + body + padding(body) as u64;
        }
        Ok(Self { pack, entries, starts, length, key: keyed(b"segment", &(pack, entries)) })
    }

    fn end() -> Self {
        Self { pack: None, entries: &[], starts: Vec::new(), length: END.len() as u64, key: keyed(b"end", &()) }
    }

    /// Returns the cuts, in order.
    pub(super) fn cuts(&self) -> impl Iterator<Item = Cut> + use<> {
        let length = self.length;
        (0..length.div_ceil(CUT as u64)).map(move |number| {
            let start = number * CUT as u64;
            Cut { number, start, length: (length - start).min(CUT as u64) as usize }
        })
    }
}

/// A segment that is being written, with its pack's data; closed when the last cut is finished.
pub(super) struct Open<'s, 'a> {
    segment: &'s Segment<'a>,
    context: &'s Context<'s>,
    file: OnceLock<io::Result<File>>,
}

impl<'s, 'a> Open<'s, 'a> {
    pub(super) fn new(segment: &'s Segment<'a>, context: &'s Context<'s>) -> Self {
        Self { segment, context, file: OnceLock::new() }
    }

    /// Makes a cut; `reservation` is shrunk to what the result holds.
    pub(super) fn make(&self, cut: &Cut, mut reservation: Reservation) -> Result<Done<'a>, Error> {
        let context = self.context;
        let (raw, parts) = self.raw(cut)?;
        let key = keyed(b"frame", &(self.segment.key, cut.number, context.compression));
        let encoded = match context.frames.get(&key) {
            Some(encoded) => encoded,
            None => {
                let mut encoded = encode::encode(context.compression, &raw)?;
                encoded.shrink_to_fit();
                context.frames.put(&key, &encoded);
                encoded
            }
        };
        reservation.shrink((raw.len() + encoded.capacity()) as u64);
        Ok(Done { raw, encoded, parts, reservation })
    }

    /// Returns the cut's bytes of tar; a file that lies within it is checked.
    fn raw(&self, cut: &Cut) -> Result<(Vec<u8>, Vec<Part<'a>>), Error> {
        let segment = self.segment;
        if segment.entries.is_empty() {
            return Ok((END.to_vec(), Vec::new()));
        }
        let mut raw = Vec::with_capacity(cut.length);
        let mut parts = Vec::new();
        let mut header = Vec::new();
        let first = segment.starts.partition_point(|&start| start <= cut.start) - 1;
        for (entry, &start) in segment.entries.iter().zip(&segment.starts).skip(first) {
            let left = cut.length - raw.len();
            if left == 0 {
                break;
            }
            header.clear();
            append(&mut header, entry)?;
            // What of this entry stands before the cut.
            let skipped = cut.start.saturating_sub(start);
            let from = skipped.min(header.len() as u64) as usize;
            raw.extend_from_slice(&header[from..header.len().min(from + left)]);

            let body = size(entry);
            let from = skipped.saturating_sub(header.len() as u64).min(body);
            let count = (body - from).min((cut.length - raw.len()) as u64) as usize;
            let range = raw.len()..raw.len() + count;
            match &entry.body {
                Body::Inline(bytes) => raw.extend_from_slice(&bytes[from as usize..from as usize + count]),
                Body::Pack { offset, digest, .. } if count > 0 => {
                    raw.resize(range.end, 0);
                    self.read(&mut raw[range.clone()], *offset, from, &entry.path)?;
                    let last = from + count as u64 == body;
                    if from == 0 && last {
                        check(&entry.path, *digest, Digest::of(&raw[range]))?;
                    } else {
                        parts.push(Part { path: &entry.path, range, last: last.then_some(*digest) });
                    }
                }
                // An empty file has no byte in any cut.
                Body::Pack { digest, size: 0, .. } => check(&entry.path, *digest, Digest::of(b""))?,
                _ => {}
            }
            if from + count as u64 == body {
                let passed = skipped.saturating_sub(header.len() as u64 + body) as usize;
                let zeros = (padding(body) - passed).min(cut.length - raw.len());
                raw.resize(raw.len() + zeros, 0);
            }
        }
        debug_assert_eq!(raw.len(), cut.length, "cuts are full");
        Ok((raw, parts))
    }

    fn read(&self, into: &mut [u8], offset: u64, from: u64, path: &ImagePath) -> Result<(), Error> {
        let Some(pack) = self.segment.pack else {
            return Err(Error::NoPack { path: path.clone() });
        };
        let failed = |source: io::Error| Error::Data { path: path.clone(), pack, source };
        let file = self.file.get_or_init(|| (self.context.data)(&pack));
        // An error is kept for all cuts of the segment, and cannot be cloned whole.
        let file = file.as_ref().map_err(|error| failed(io::Error::new(error.kind(), error.to_string())))?;
        let at = offset.checked_add(from).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        file.read_exact_at(into, at).map_err(failed)
    }
}

/// Refuses bytes that are not those of the plan.
pub(super) fn check(path: &ImagePath, expected: Digest, found: Digest) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Content { path: path.clone(), expected, found }) }
}

/// Returns how many bytes of body an entry has.
pub(super) fn size(entry: &PlanEntry) -> u64 {
    match &entry.body {
        Body::Pack { size, .. } => *size,
        Body::Inline(bytes) => bytes.len() as u64,
        Body::Directory | Body::Symlink(_) | Body::Hardlink(_) => 0,
    }
}

/// Appends an entry's header.
pub(super) fn append(out: &mut Vec<u8>, entry: &PlanEntry) -> Result<(), Error> {
    let header = Header {
        path: entry.path.as_str(),
        kind: match &entry.body {
            Body::Directory => Kind::Directory,
            Body::Symlink(target) => Kind::Symlink(target),
            Body::Hardlink(target) => Kind::Hardlink(target.as_str()),
            Body::Pack { .. } | Body::Inline(_) => Kind::File(size(entry)),
        },
        mode: entry.meta.mode,
        uid: entry.meta.uid,
        gid: entry.meta.gid,
        mtime: entry.meta.mtime,
        xattrs: &entry.meta.xattrs,
    };
    Ok(append_header(out, &header)?)
}
