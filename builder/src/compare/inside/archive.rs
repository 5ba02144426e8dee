//! Members of ar and tar archives.

use std::io::BufReader;

use super::members::{Body, Member};
use crate::compare::spool::Piece;
use crate::compare::{Class, cut};
use crate::elf::ReadAt as _;
use crate::tar::read::{Kind, Options, Reader};

/// The most members that are listed.
const MAX_MEMBERS: usize = 65_536;
/// Size of an ar header.
const HEADER: usize = 60;

/// Returns the members of an ar archive (ar(5), with GNU's long names); `None` where it is malformed.
pub(super) fn ar(piece: &Piece) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    let mut long_names = Vec::new();
    let mut at = 8;
    while at < piece.size() {
        let mut header = [0; HEADER];
        piece.read_at(at, &mut header).ok()?;
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).map(str::trim_end).ok();
        if &header[58..] != b"`\n" || members.len() >= MAX_MEMBERS {
            return None;
        }
        let size: u64 = text(48..58)?.parse().ok()?;
        let body = piece.part(at + HEADER as u64, size)?;
        let name = text(0..16)?;
        at = at.checked_add(HEADER as u64)?.checked_add(size)?.checked_add(size % 2)?;
        let name = match name {
            "//" => {
                long_names = body.head(1 << 20).ok()?;
                continue;
            }
            "/" | "/SYM64/" => "symbol table".to_owned(),
            name => match name.strip_prefix('/').and_then(|digits| digits.parse::<usize>().ok()) {
                Some(start) => {
                    let rest = long_names.get(start..)?;
                    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                    String::from_utf8_lossy(&rest[..end]).trim_end_matches('/').to_owned()
                }
                None => name.trim_end_matches('/').to_owned(),
            },
        };
        let facts = vec![
            (Class::Mtime, "", text(16..28)?.to_owned()),
            (Class::Owner, "", format!("{}:{}", text(28..34)?, text(34..40)?)),
            (Class::Mode, "", text(40..48)?.to_owned()),
        ];
        members.push(Member { name, facts, body: Body::Plain(body) });
    }
    Some(members)
}

/// Returns the members of a tar archive; `None` where it is none that the strict reader takes.
pub(super) fn tar(piece: &Piece) -> Option<Vec<Member>> {
    let options = Options {
        third_party: true,
        forms: true,
        max_entries: MAX_MEMBERS,
        max_size: piece.size() + 1,
        ..Options::default()
    };
    let mut reader = Reader::new(BufReader::with_capacity(64 << 10, piece.reader()), options);
    let mut members = Vec::new();
    while let Some(entry) = reader.next().ok()? {
        let kind = match &entry.kind {
            Kind::Directory => "directory".to_owned(),
            Kind::File => "file".to_owned(),
            Kind::Symlink(target) => format!("symbolic link to {}", cut(target)),
            Kind::Hardlink(target) => format!("hard link to {target}"),
        };
        let xattrs = entry.xattrs.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        let form =
            reader.form().differences(&crate::tar::read::Form::default(), &["path", "size", "mtime", "uid", "gid"]);
        let form = form.into_iter().map(|(fact, value, _)| format!("{fact}: {value}")).collect::<Vec<_>>().join("; ");
        let facts = vec![
            (Class::Type, "", kind),
            (Class::Mode, "", format!("{:04o}", entry.mode)),
            (Class::Owner, "", format!("{}:{}", entry.uid, entry.gid)),
            (Class::Mtime, "", entry.mtime.to_string()),
            (Class::Xattr, "", cut(&xattrs.collect::<Vec<_>>().join(" "))),
            (Class::Format, "", cut(&form)),
        ];
        let body = Body::Plain(piece.part(entry.offset, entry.size)?);
        members.push(Member { name: entry.path.as_str().to_owned(), facts, body });
    }
    Some(members)
}
