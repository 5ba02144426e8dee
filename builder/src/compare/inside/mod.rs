//! Where the bytes of two files differ: a section of an ELF file, a member of an archive, a line of a text, or an
//! offset.
//!
//! Files are hostile: what does not parse is compared as bytes, what is compressed is decompressed within bounds, and
//! archives are followed a few levels deep only.

mod archive;
mod elf;
mod members;
mod text;
mod zip;

use std::fmt;
use std::io;

use serde::Serialize;

use super::spool::{Piece, Spool};
use super::{Class, Error, bytes as counted};
use crate::codec::decode::{self, Format};
use crate::digest::hex;

/// How many archives within archives are followed.
const MAX_DEPTH: usize = 4;
/// The most bytes that one compressed file gives.
const MAX_UNPACKED: u64 = 1 << 30;
/// The most sections or members that are named.
const MAX_NAMED: usize = 64;
/// How many bytes of both sides are shown.
const SHOWN: usize = 16;

/// Where the bytes of two files differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Inside {
    /// Nowhere.
    Nothing,
    /// In sections of an ELF file, or in what stands around them.
    Elf {
        /// Those that differ, at most 64, in the file's order.
        sections: Vec<SectionDifference>,
        /// How many there are beyond those.
        #[serde(skip_serializing_if = "is_zero")]
        more: u64,
    },
    /// In members of an archive.
    Archive {
        /// `ar`, `tar` or `zip`.
        format: &'static str,
        /// What differs, at most 64, in the archive's order.
        members: Vec<MemberDifference>,
        /// How many there are beyond those.
        #[serde(skip_serializing_if = "is_zero")]
        more: u64,
    },
    /// In what is compressed, or in how.
    Compressed {
        /// `gzip`, `xz` or `zstd`.
        format: &'static str,
        /// Where the decompressed bytes differ; `None` where they are the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        inside: Option<Box<Inside>>,
        /// How the compressed streams differ, where what they give is the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<String>,
    },
    /// In a text, from a line on.
    Text {
        /// The number of the first line that differs, from 1.
        line: u64,
        /// The first one's line; `None` where its text has ended.
        a: Option<String>,
        /// The second one's line; `None` where its text has ended.
        b: Option<String>,
        /// The first one's lines from there to the last that differs.
        lines_a: u64,
        /// The second one's lines from there to the last that differs.
        lines_b: u64,
    },
    /// In plain bytes.
    Bytes {
        /// The first byte that differs.
        offset: u64,
        /// How many bytes differ up to the shorter one's end.
        count: u64,
        /// The first one's bytes from there, in hexadecimal digits, at most 16.
        a: String,
        /// The second one's bytes from there, in hexadecimal digits, at most 16.
        b: String,
        /// The first one's size in bytes.
        size_a: u64,
        /// The second one's size in bytes.
        size_b: u64,
    },
}

/// A section of an ELF file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionDifference {
    /// Its name; `ELF header`, `program headers`, `section headers` or `between sections` for what is none.
    pub section: String,
    /// Where in the first file the first byte is that differs; in the second one where it alone has the section.
    pub offset: u64,
    /// Where that is in the section.
    pub within: u64,
    /// How many bytes differ up to the shorter one's end.
    pub count: u64,
    /// Its size in the first file; `None` where that has no such section.
    pub size_a: Option<u64>,
    /// Its size in the second file; `None` where that has no such section.
    pub size_b: Option<u64>,
    /// What it says in the first file, where that can be told in a line: the build id, the compiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// What it says in the second file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

/// A member of an archive that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberDifference {
    /// Its name; empty for the archive as a whole.
    pub member: String,
    /// What the difference is one of.
    pub class: Class,
    /// What is differently said, where the class alone does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The first one's value.
    pub a: Option<String>,
    /// The second one's value.
    pub b: Option<String>,
    /// Where its bytes differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<Box<Inside>>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for Inside {
    /// Writes where in a few words, the first place only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |f: &mut fmt::Formatter<'_>, count: u64, what: &str| match count {
            0 => Ok(()),
            1 => write!(f, ", and 1 {what} more"),
            count => write!(f, ", and {count} {what}s more"),
        };
        match self {
            Self::Nothing => f.write_str("nowhere"),
            Self::Elf { sections, more: beyond } => {
                let Some(first) = sections.first() else { return f.write_str("ELF") };
                write!(f, "{first}")?;
                more(f, beyond + sections.len() as u64 - 1, "section")
            }
            Self::Archive { format, members, more: beyond } => {
                let Some(first) = members.first() else { return f.write_str(format) };
                write!(f, "{first}")?;
                more(f, beyond + members.len() as u64 - 1, "difference")?;
                write!(f, " in the {format}")
            }
            Self::Compressed { format, inside: Some(inside), .. } => write!(f, "{inside}, under {format}"),
            Self::Compressed { format, stream, .. } => {
                write!(f, "same bytes under {format}")?;
                stream.as_ref().map_or(Ok(()), |stream| write!(f, ": {stream}"))
            }
            Self::Text { line, a, b, lines_a, lines_b } => {
                let shown = |line: &Option<String>| match line {
                    Some(line) => format!("`{line}`"),
                    None => "the end".to_owned(),
                };
                write!(f, "line {line}: {} -> {}", shown(a), shown(b))?;
                more(f, (*lines_a).max(*lines_b).saturating_sub(1), "line")
            }
            Self::Bytes { offset, count, a, b, size_a, size_b } => {
                let ended = |bytes: &str| if bytes.is_empty() { "the end".to_owned() } else { bytes.to_owned() };
                write!(f, "{} from offset {offset:#x}: {} -> {}", counted(*count), ended(a), ended(b))?;
                if size_a == size_b { Ok(()) } else { write!(f, ", size {size_a} -> {size_b}") }
            }
        }
    }
}

impl fmt::Display for SectionDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.size_a, self.size_b) {
            (Some(_), None) => return write!(f, "section {} is gone", self.section),
            (None, Some(size)) => return write!(f, "section {} of {size} bytes is new", self.section),
            (size_a, size_b) => {
                let bytes = counted(self.count);
                write!(f, "{}, {bytes} from offset {:#x} ({:#x} in it)", self.section, self.offset, self.within)?;
                if size_a != size_b {
                    write!(f, ", size {} -> {}", size_a.unwrap_or(0), size_b.unwrap_or(0))?;
                }
            }
        }
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => write!(f, ": {a} -> {b}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for MemberDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class, self.member.as_str()) {
            (class, "") => write!(f, "{}", class.as_str())?,
            (class, name) => write!(f, "{} of {name}", class.as_str())?,
        }
        if let Some(what) = &self.what {
            write!(f, " ({what})")?;
        }
        match (&self.inside, &self.a, &self.b) {
            (Some(inside), ..) => write!(f, ": {inside}"),
            (None, None, None) => Ok(()),
            (None, a, b) => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
                write!(f, ": {} -> {}", shown(a), shown(b))
            }
        }
    }
}

/// Says where two files differ.
pub(super) fn find(a: &Piece, b: &Piece, spool: &mut Spool<'_>) -> Result<Inside, Error> {
    let mark = spool.mark();
    let found = Finder { spool }.find(a, b, 0);
    spool.release(mark);
    found
}

/// Looks into files, and into what they hold.
struct Finder<'a, 'b> {
    spool: &'a mut Spool<'b>,
}

impl Finder<'_, '_> {
    fn find(&mut self, a: &Piece, b: &Piece, depth: usize) -> Result<Inside, Error> {
        let failed = |spool: &Spool<'_>, source| spool.failed(source);
        let Some(bytes) = bytes(a, b).map_err(|source| failed(self.spool, source))? else { return Ok(Inside::Nothing) };
        let head_a = a.head(512).map_err(|source| failed(self.spool, source))?;
        let head_b = b.head(512).map_err(|source| failed(self.spool, source))?;
        let both = |magic: &[u8]| head_a.starts_with(magic) && head_b.starts_with(magic);
        if both(b"\x7fELF") {
            return Ok(elf::find(a, b).map_err(|source| failed(self.spool, source))?.unwrap_or(bytes));
        }
        if depth < MAX_DEPTH {
            let format = (Format::sniff(&head_a), Format::sniff(&head_b));
            if format.0 == format.1 && format.0 != Format::Stored {
                return Ok(self.compressed(a, b, format.0, depth)?.unwrap_or(bytes));
            }
            let tar = |head: &[u8]| head.get(257..262) == Some(b"ustar".as_slice());
            let found = if both(b"!<arch>\n") {
                self.members("ar", archive::ar(a), archive::ar(b), depth)?
            } else if both(b"PK\x03\x04") {
                self.members("zip", zip::read(a), zip::read(b), depth)?
            } else if tar(&head_a) && tar(&head_b) {
                self.members("tar", archive::tar(a), archive::tar(b), depth)?
            } else {
                None
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(text::find(a, b).map_err(|source| failed(self.spool, source))?.unwrap_or(bytes))
    }

    /// Compares what two compressed files give; `None` where they cannot be decompressed within bounds.
    fn compressed(&mut self, a: &Piece, b: &Piece, format: Format, depth: usize) -> Result<Option<Inside>, Error> {
        let (Some(one), Some(other)) = (self.decompress(a, format)?, self.decompress(b, format)?) else {
            return Ok(None);
        };
        let inside = match self.find(&one, &other, depth + 1)? {
            Inside::Nothing => None,
            inside => Some(Box::new(inside)),
        };
        let stream = match (&inside, format) {
            (None, Format::Gzip) => text::gzip_header(a, b).map_err(|source| self.spool.failed(source))?,
            _ => None,
        };
        Ok(Some(Inside::Compressed { format: format.name(), inside, stream }))
    }

    fn decompress(&mut self, piece: &Piece, format: Format) -> Result<Option<Piece>, Error> {
        let limits = decode::Limits { max_output: MAX_UNPACKED, concatenated: true, ..decode::Limits::default() };
        match decode::decoder(format, piece.reader(), &limits) {
            Ok(mut decoder) => self.kept(&mut decoder),
            Err(_) => Ok(None),
        }
    }

    /// Keeps what a decoder gives; `None` where that is malformed or beyond a bound.
    fn kept(&mut self, decoder: &mut dyn io::Read) -> Result<Option<Piece>, Error> {
        let mark = self.spool.mark();
        let mut broken = false;
        let piece = {
            let mut lenient = Lenient { inner: decoder, broken: &mut broken };
            self.spool.take(&mut lenient, |source| Error::Scratch { directory: String::new(), source })?
        };
        if broken {
            self.spool.release(mark);
            return Ok(None);
        }
        Ok(Some(piece))
    }
}

/// Ends where its reader fails, and says so.
struct Lenient<'a> {
    inner: &'a mut dyn io::Read,
    broken: &'a mut bool,
}

impl io::Read for Lenient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).or_else(|error| match error.kind() {
            io::ErrorKind::Interrupted => Err(error),
            _ => {
                *self.broken = true;
                Ok(0)
            }
        })
    }
}

/// How two ranges of bytes differ.
struct Run {
    /// The first byte that differs; the shorter one's end counts.
    first: u64,
    /// How many differ up to the shorter one's end.
    count: u64,
}

/// Compares bytes from end to end; `None` where they are the same.
fn run(a: &Piece, b: &Piece) -> io::Result<Option<Run>> {
    use crate::elf::ReadAt as _;
    let common = a.size().min(b.size());
    let (mut first, mut count, mut at) = (None, 0, 0);
    let (mut one, mut other) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    while at < common {
        let length = usize::try_from(common - at).unwrap_or(usize::MAX).min(one.len());
        let (one, other) = (&mut one[..length], &mut other[..length]);
        a.read_at(at, one)?;
        b.read_at(at, other)?;
        if one != other {
            for (n, (x, y)) in one.iter().zip(&*other).enumerate() {
                if x != y {
                    first.get_or_insert(at + n as u64);
                    count += 1;
                }
            }
        }
        at += length as u64;
    }
    Ok(first.or((a.size() != b.size()).then_some(common)).map(|first| Run { first, count }))
}

/// Returns where plain bytes differ; `None` where they do not.
fn bytes(a: &Piece, b: &Piece) -> io::Result<Option<Inside>> {
    let Some(Run { first, count }) = run(a, b)? else { return Ok(None) };
    let shown = |piece: &Piece| -> io::Result<String> {
        let rest = piece.part(first.min(piece.size()), piece.size().saturating_sub(first));
        Ok(rest.map(|rest| rest.head(SHOWN)).transpose()?.map(|bytes| hex(&bytes)).unwrap_or_default())
    };
    Ok(Some(Inside::Bytes { offset: first, count, a: shown(a)?, b: shown(b)?, size_a: a.size(), size_b: b.size() }))
}
