//! Members of zip archives, jars and wheels (PKWARE APPNOTE 6.3.3, 4.3); without the 64-bit extension.

use super::members::{Body, Member};
use crate::compare::Class;
use crate::compare::spool::Piece;
use crate::digest::hex;
use crate::elf::ReadAt as _;

/// Size of the record at the end, and the longest comment behind it.
const END: u64 = 22;
const MAX_COMMENT: u64 = 65_535;
/// Sizes of the headers of the central directory and of a member.
const CENTRAL: usize = 46;
const LOCAL: usize = 30;
/// The most bytes of a central directory.
const MAX_DIRECTORY: u64 = 64 << 20;

/// Returns the members; `None` where the archive is malformed, or of a kind that is not read.
pub(super) fn read(piece: &Piece) -> Option<Vec<Member>> {
    let tail_size = piece.size().min(END + MAX_COMMENT);
    let tail = piece.part(piece.size() - tail_size, tail_size)?.head(tail_size as usize).ok()?;
    let at = tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let end = tail.get(at..at + END as usize)?;
    let (count, size, offset) = (half(end, 10), word(end, 12), word(end, 16));
    if count == 0xffff || size > MAX_DIRECTORY {
        return None;
    }
    let directory = piece.part(offset, size)?.head(size as usize).ok()?;
    let mut members = Vec::new();
    let mut rest = &directory[..];
    for _ in 0..count {
        let header = rest.get(..CENTRAL).filter(|header| header.starts_with(b"PK\x01\x02"))?;
        let [name, extra, comment] = [28, 30, 32].map(|at| half(header, at) as usize);
        let text = rest.get(CENTRAL..CENTRAL + name)?;
        let more = rest.get(CENTRAL + name..CENTRAL + name + extra + comment)?;
        let (compressed, plain, start) = (word(header, 20), word(header, 24), word(header, 42));
        let mut local = [0; LOCAL];
        piece.read_at(start, &mut local).ok()?;
        if !local.starts_with(b"PK\x03\x04") {
            return None;
        }
        let data = start + LOCAL as u64 + half(&local, 26) + half(&local, 28);
        let bytes = piece.part(data, compressed)?;
        let method = half(header, 10);
        let body = match method {
            8 => Body::Deflated { piece: bytes, size: plain },
            _ => Body::Plain(bytes),
        };
        let facts = vec![
            (Class::Mtime, "", time(half(header, 12), half(header, 14))),
            (Class::Mode, "", format!("{:o}", word(header, 38) >> 16)),
            (Class::Encoding, "method", method.to_string()),
            (
                Class::Format,
                "version and flags",
                format!("{} {} {}", half(header, 4), half(header, 6), half(header, 8)),
            ),
            (Class::Format, "extra fields", hex(more.get(..more.len().min(64)).unwrap_or_default())),
        ];
        members.push(Member { name: String::from_utf8_lossy(text).into_owned(), facts, body });
        rest = rest.get(CENTRAL + name + extra + comment..)?;
    }
    Some(members)
}

fn half(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    half(bytes, at) | half(bytes, at + 2) << 16
}

/// Returns a time as MS-DOS writes it.
fn time(time: u64, date: u64) -> String {
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        1980 + (date >> 9),
        date >> 5 & 15,
        date & 31,
        time >> 11,
        time >> 5 & 63,
        (time & 31) * 2
    )
}
