//! The outside of a `.deb`: an ar archive of exactly three members (deb(5)).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::Error;
use crate::codec::decode::Format;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name, as `data.tar.xz`.
    pub(super) name: String,
    /// How it is compressed, by its name.
    pub(super) format: Format,
    /// Seconds since 1970-01-01 UTC.
    pub(super) mtime: i64,
    /// Where its bytes start.
    pub(super) offset: u64,
    /// How many they are.
    pub(super) size: u64,
}

/// The two members that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) control: Member,
    pub(super) data: Member,
}

/// Returns the members of `deb`: `debian-binary`, `control.tar`, `data.tar`, in this order and nothing else.
pub(super) fn members(deb: &File, max_size: u64) -> Result<Members, Error> {
    let length = deb.metadata().map_err(Error::Io)?.len();
    if length > max_size {
        return Err(Error::Limit { what: "packed data", limit: max_size });
    }
    let mut magic = [0; 8];
    read(deb, 0, &mut magic)?;
    if &magic != MAGIC {
        return Err(wrong("it is no ar archive"));
    }
    let mut at = 8;
    let version = member(deb, &mut at, length)?;
    if version.name != "debian-binary" || version.size != 4 {
        return Err(wrong("its first member is not `debian-binary` with 4 bytes"));
    }
    let mut format = [0; 4];
    read(deb, version.offset, &mut format)?;
    if &format != b"2.0\n" {
        return Err(wrong("its format is not 2.0"));
    }
    let control = named(member(deb, &mut at, length)?, "control.tar")?;
    let data = named(member(deb, &mut at, length)?, "data.tar")?;
    if at != length {
        return Err(wrong("something follows its `data.tar`"));
    }
    Ok(Members { control, data })
}

/// A member as a reader.
pub(super) struct Content<'a> {
    deb: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Content<'a> {
    pub(super) fn new(deb: &'a File, member: &Member) -> Self {
        Self { deb, at: member.offset, end: member.offset + member.size }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        let count = self.deb.read_at(&mut buffer[..length], self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

fn wrong(problem: impl Into<String>) -> Error {
    Error::Ar { problem: problem.into() }
}

fn read(deb: &File, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
    deb.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong("it is cut short"),
        _ => Error::Io(error),
    })
}

fn member(deb: &File, at: &mut u64, length: u64) -> Result<Member, Error> {
    let mut header = [0; HEADER];
    read(deb, *at, &mut header)?;
    if &header[58..] != b"`\n" {
        return Err(wrong(format!("no ar header at byte {at}")));
    }
    let field = |range: std::ops::Range<usize>| {
        std::str::from_utf8(&header[range])
            .ok()
            .map(|text| text.trim_end_matches(' '))
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| wrong(format!("the ar header at byte {at} is not plain text")))
    };
    let name = field(0..16)?;
    let name = name.strip_suffix('/').unwrap_or(name).to_owned();
    let number =
        |range, what| decimal(field(range)?).ok_or_else(|| wrong(format!("the {what} of `{name}` is no number")));
    let (mtime, size) = (number(16..28, "time")?, number(48..58, "size")?);
    let offset = *at + HEADER as u64;
    let end = offset + size;
    if end > length {
        return Err(wrong(format!("`{name}` is cut short")));
    }
    *at = end;
    if size % 2 == 1 && end < length {
        let mut padding = [0];
        read(deb, end, &mut padding)?;
        if padding != *b"\n" {
            return Err(wrong(format!("`{name}` is followed by no line feed")));
        }
        *at += 1;
    }
    // Twelve decimal digits always fit.
    Ok(Member { format: Format::Stored, mtime: mtime as i64, offset, size, name })
}

fn decimal(text: &str) -> Option<u64> {
    let canonical = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = canonical && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

fn named(mut member: Member, stem: &str) -> Result<Member, Error> {
    member.format = match member.name.strip_prefix(stem) {
        Some("") => Format::Stored,
        Some(".xz") => Format::Xz,
        Some(".zst") => Format::Zstd,
        Some(".gz") => Format::Gzip,
        _ => {
            return Err(wrong(format!("`{}` stands where `{stem}` (plain, .gz, .xz or .zst) must", member.name)));
        }
    };
    Ok(member)
}
