//! Bounded decompressors: xz, Zstandard, gzip, stored.
//!
//! In: any reader of hostile bytes. Out: a reader that gives the decompressed bytes or an error, never more than the
//! [`Limits`] allow. A stream is only known to be whole when its end was read: truncation, a broken checksum and bytes
//! after the end are errors at that point. Files formats: xz 1.2.1, RFC 8878 (Zstandard), RFC 1952 (gzip).

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liblzma::stream::{self as xz, Action, Status};
use zstd::zstd_safe::DParameter;

use crate::diag::Diagnose;

/// Output that no ratio is asked of: small files of zeros are fine.
const RATIO_FLOOR: u64 = 16 << 20;

/// Bytes read from the source at once.
const INPUT_BUFFER: usize = 64 << 10;

/// What a decoder needs beside its window.
const DECODER_OVERHEAD: u64 = 1 << 20;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
    /// Not at all.
    Stored,
}

impl Format {
    /// Returns the format whose magic number `head` begins with; [`Format::Stored`] where there is none.
    pub fn sniff(head: &[u8]) -> Self {
        match head {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Stored,
        }
    }

    /// Returns the format's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Stored => "stored",
        }
    }
}

/// What a decoder may give and hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that come out.
    pub max_output: u64,
    /// The most bytes that come out for one that goes in, above the first 16 MiB.
    pub max_ratio: u64,
    /// The largest window (xz: dictionary) in bytes.
    pub max_window: u64,
    /// Whether several gzip members or xz streams in a row are one input; Zstandard frames always are.
    pub concatenated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_output: 8 << 30, max_ratio: 1000, max_window: 128 << 20, concatenated: false }
    }
}

/// Compressed bytes that are not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More comes out than was allowed.
    #[error("cannot decompress {} data: it gives more than {limit} bytes", .format.name())]
    Output {
        /// The format.
        format: Format,
        /// [`Limits::max_output`].
        limit: u64,
    },
    /// More comes out for each byte than was allowed.
    #[error("cannot decompress {} data: it grows more than {limit} times", .format.name())]
    Ratio {
        /// The format.
        format: Format,
        /// [`Limits::max_ratio`].
        limit: u64,
    },
    /// The decoder would need too large a window.
    #[error("cannot decompress {} data: it asks for a window above {limit} bytes", .format.name())]
    Window {
        /// The format.
        format: Format,
        /// [`Limits::max_window`].
        limit: u64,
    },
    /// The stream ends before its end.
    #[error("cannot decompress {} data: it is cut short", .format.name())]
    Truncated {
        /// The format.
        format: Format,
    },
    /// Bytes follow the end of the stream.
    #[error("cannot decompress {} data: bytes follow its end", .format.name())]
    Trailing {
        /// The format.
        format: Format,
    },
    /// The stream carries no integrity check, or one that is not known.
    #[error("cannot decompress {} data: it has no integrity check that can be tested", .format.name())]
    Unchecked {
        /// The format.
        format: Format,
    },
    /// Anything else that is wrong with the stream.
    #[error("cannot decompress {} data: {problem}", .format.name())]
    Corrupt {
        /// The format.
        format: Format,
        /// The decoder's word for it.
        problem: String,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Output { .. } => "codec::output",
            Self::Ratio { .. } => "codec::ratio",
            Self::Window { .. } => "codec::window",
            Self::Truncated { .. } => "codec::truncated",
            Self::Trailing { .. } => "codec::trailing",
            Self::Unchecked { .. } => "codec::unchecked",
            Self::Corrupt { .. } => "codec::corrupt",
        }
    }
}

impl Error {
    /// Returns the error of this kind that `error` carries, where it came from a decoder.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    fn io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

/// Returns a reader of what `source` holds in `format`, within `limits`.
///
/// Its errors are `source`'s own, or carry an [`Error`].
pub fn decoder<'a, R: Read + Send + 'a>(
    format: Format,
    source: R,
    limits: &Limits,
) -> Result<Box<dyn Read + Send + 'a>, Error> {
    let taken = Arc::new(AtomicU64::new(0));
    let source = BufReader::with_capacity(INPUT_BUFFER, Counted { inner: source, taken: taken.clone() });
    let inner: Box<dyn Read + Send + 'a> = match format {
        Format::Stored => Box::new(source),
        Format::Xz => Box::new(XzReader::new(source, limits)?),
        Format::Zstd => Box::new(ZstdReader::new(source, limits)?),
        Format::Gzip if limits.concatenated => {
            Box::new(GzipReader { inner: flate2::bufread::MultiGzDecoder::new(source) })
        }
        Format::Gzip => Box::new(OneMember { inner: GzipReader { inner: flate2::bufread::GzDecoder::new(source) } }),
    };
    Ok(Box::new(Bounded { inner, format, taken, given: 0, limits: *limits }))
}

/// Returns how many bytes a decoder of a stream that begins with `head` will hold, as far as its headers tell;
/// `head` needs 64 bytes to tell the most.
pub fn memory(format: Format, head: &[u8], limits: &Limits) -> u64 {
    let window = match format {
        Format::Stored => 0,
        Format::Gzip => 32 << 10,
        Format::Xz => xz_window(head).unwrap_or(limits.max_window),
        Format::Zstd => zstd_window(head).unwrap_or(limits.max_window),
    };
    window.min(limits.max_window) + DECODER_OVERHEAD
}

/// Returns the dictionary size in an xz stream's first block header (xz 1.2.1, 3.1 and 5.3.1).
fn xz_window(head: &[u8]) -> Option<u64> {
    let block = head.get(12..)?;
    let flags = *block.get(1)?;
    let mut at = 2;
    let number = |at: &mut usize| -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = *block.get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    for bit in [0x40, 0x80] {
        if flags & bit != 0 {
            number(&mut at)?;
        }
    }
    for _ in 0..=(flags & 3) {
        let id = number(&mut at)?;
        let size = usize::try_from(number(&mut at)?).ok()?;
        if id == 0x21 && size == 1 {
            let bits = u32::from(*block.get(at)?);
            return match bits {
                0..40 => Some((2 | u64::from(bits & 1)) << (bits / 2 + 11)),
                40 => Some(u64::from(u32::MAX)),
                _ => None,
            };
        }
        at = at.checked_add(size)?;
    }
    None
}

/// Returns the window size in a Zstandard frame header (RFC 8878, 3.1.1.1).
fn zstd_window(head: &[u8]) -> Option<u64> {
    let descriptor = *head.get(4)?;
    if Format::sniff(head) != Format::Zstd || head[0] != 0x28 {
        return None;
    }
    if descriptor & 0x20 == 0 {
        let byte = u64::from(*head.get(5)?);
        let base = 1u64 << (10 + (byte >> 3));
        return Some(base + base / 8 * (byte & 7));
    }
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = |length: usize| {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(head.get(at..at + length)?);
        Some(u64::from_le_bytes(bytes))
    };
    match descriptor >> 6 {
        0 => size(1),
        1 => size(2).map(|size| size + 256),
        2 => size(4),
        _ => size(8),
    }
}

/// Counts the bytes taken from the source.
struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Holds a decoder to the limits on what comes out.
struct Bounded<'a> {
    inner: Box<dyn Read + Send + 'a>,
    format: Format,
    taken: Arc<AtomicU64>,
    given: u64,
    limits: Limits,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let format = self.format;
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        if self.given > self.limits.max_output {
            return Err(Error::Output { format, limit: self.limits.max_output }.io());
        }
        let taken = self.taken.load(Ordering::Relaxed);
        if self.given > RATIO_FLOOR && self.given > taken.saturating_mul(self.limits.max_ratio) {
            return Err(Error::Ratio { format, limit: self.limits.max_ratio }.io());
        }
        Ok(count)
    }
}

struct XzReader<R> {
    source: R,
    stream: xz::Stream,
    limit: u64,
    ended: bool,
}

impl<R: BufRead> XzReader<R> {
    fn new(source: R, limits: &Limits) -> Result<Self, Error> {
        let mut flags = xz::TELL_NO_CHECK | xz::TELL_UNSUPPORTED_CHECK;
        if limits.concatenated {
            flags |= xz::CONCATENATED;
        }
        let limit = limits.max_window;
        let stream = xz::Stream::new_stream_decoder(limit.saturating_add(DECODER_OVERHEAD), flags)
            .map_err(|error| xz_error(error, limit))?;
        Ok(Self { source, stream, limit, ended: false })
    }
}

fn xz_error(error: xz::Error, limit: u64) -> Error {
    let format = Format::Xz;
    match error {
        xz::Error::MemLimit | xz::Error::Mem => Error::Window { format, limit },
        xz::Error::NoCheck | xz::Error::UnsupportedCheck => Error::Unchecked { format },
        other => Error::Corrupt { format, problem: other.to_string() },
    }
}

impl<R: BufRead> Read for XzReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.source.fill_buf()?;
            let (at_end, before_in, before_out) = (input.is_empty(), self.stream.total_in(), self.stream.total_out());
            let action = if at_end { Action::Finish } else { Action::Run };
            let status = self.stream.process(input, buffer, action);
            let taken = (self.stream.total_in() - before_in) as usize;
            let given = (self.stream.total_out() - before_out) as usize;
            self.source.consume(taken);
            match status.map_err(|error| xz_error(error, self.limit).io())? {
                Status::StreamEnd => {
                    self.ended = true;
                    if !self.source.fill_buf()?.is_empty() {
                        return Err(Error::Trailing { format: Format::Xz }.io());
                    }
                    return Ok(given);
                }
                _ if given > 0 => return Ok(given),
                _ if at_end => return Err(Error::Truncated { format: Format::Xz }.io()),
                _ if taken == 0 => {
                    let problem = "the decoder makes no progress".to_owned();
                    return Err(Error::Corrupt { format: Format::Xz, problem }.io());
                }
                _ => {}
            }
        }
    }
}

struct ZstdReader<R: BufRead> {
    inner: zstd::stream::read::Decoder<'static, R>,
    limit: u64,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(source: R, limits: &Limits) -> Result<Self, Error> {
        let corrupt = |error: io::Error| Error::Corrupt { format: Format::Zstd, problem: error.to_string() };
        let limit = limits.max_window;
        let mut inner = zstd::stream::read::Decoder::with_buffer(source).map_err(corrupt)?;
        // The decoder's own bounds are 2^10 and 2^31.
        let log = limit.max(1).ilog2().clamp(10, 31);
        inner.set_parameter(DParameter::WindowLogMax(log)).map_err(corrupt)?;
        Ok(Self { inner, limit })
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let format = Format::Zstd;
        self.inner.read(buffer).map_err(|error| match (error.kind(), error.to_string()) {
            (io::ErrorKind::UnexpectedEof, _) => Error::Truncated { format }.io(),
            (_, text) if text.contains("too much memory") => Error::Window { format, limit: self.limit }.io(),
            (io::ErrorKind::Other, problem) => Error::Corrupt { format, problem }.io(),
            _ => error,
        })
    }
}

struct GzipReader<D> {
    inner: D,
}

impl<D: Read> Read for GzipReader<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let format = Format::Gzip;
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated { format }.io(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Error::Corrupt { format, problem: error.to_string() }.io()
            }
            _ => error,
        })
    }
}

/// A gzip file of one member and nothing after it.
struct OneMember<R> {
    inner: GzipReader<flate2::bufread::GzDecoder<R>>,
}

impl<R: BufRead> Read for OneMember<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.inner.inner.get_mut().fill_buf()?.is_empty() {
            return Err(Error::Trailing { format: Format::Gzip }.io());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
