//! In which line two texts differ; and how two gzip headers do.

use std::io;

use super::Inside;
use crate::compare::cut;
use crate::compare::spool::Piece;

/// The most bytes of a text that is looked at line by line.
const MAX_TEXT: u64 = 16 << 20;

/// Says where two texts differ; `None` where they are none, or too large.
pub(super) fn find(a: &Piece, b: &Piece) -> io::Result<Option<Inside>> {
    if a.size() > MAX_TEXT || b.size() > MAX_TEXT || a.size() + b.size() == 0 {
        return Ok(None);
    }
    let (one, other) = (a.head(MAX_TEXT as usize)?, b.head(MAX_TEXT as usize)?);
    let (Some(one), Some(other)) = (text(&one), text(&other)) else { return Ok(None) };
    let (one, other): (Vec<&str>, Vec<&str>) =
        (one.split_inclusive('\n').collect(), other.split_inclusive('\n').collect());
    let same = one.iter().zip(&other).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&one[same..], &other[same..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    let shown = |lines: &[&str]| {
        lines.first().map(|line| {
            // A line that differs in its end alone would look the same.
            let bare = |line: &str| line.trim_end_matches(['\n', '\r']).len();
            let ends = rest_a.first().zip(rest_b.first()).is_some_and(|(x, y)| x[..bare(x)] == y[..bare(y)]);
            let line =
                if ends { line.escape_default().to_string() } else { line.trim_end_matches(['\n', '\r']).to_owned() };
            cut(&line)
        })
    };
    Ok(Some(Inside::Text {
        line: same as u64 + 1,
        a: shown(&rest_a[..rest_a.len() - tail]),
        b: shown(&rest_b[..rest_b.len() - tail]),
        lines_a: (rest_a.len() - tail) as u64,
        lines_b: (rest_b.len() - tail) as u64,
    }))
}

/// Returns bytes as a text, where they are one.
fn text(bytes: &[u8]) -> Option<&str> {
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b);
    std::str::from_utf8(bytes).ok().filter(|_| !bytes.iter().any(control))
}

/// Returns how the headers of two gzip files differ (RFC 1952, 2.3), whose content is the same.
pub(super) fn gzip_header(a: &Piece, b: &Piece) -> io::Result<Option<String>> {
    let (one, other) = (a.head(512)?, b.head(512)?);
    if one.len() < 10 || other.len() < 10 {
        return Ok(None);
    }
    let time = |head: &[u8]| u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let name = |head: &[u8]| {
        let named = head[3] & 0x08 != 0 && head[3] & 0x04 == 0;
        let rest = if named { &head[10..] } else { &[] };
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        String::from_utf8_lossy(&rest[..end]).into_owned()
    };
    let mut found = Vec::new();
    if time(&one) != time(&other) {
        found.push(format!("time {} -> {}", time(&one), time(&other)));
    }
    if name(&one) != name(&other) {
        found.push(format!("name `{}` -> `{}`", name(&one), name(&other)));
    }
    for (what, at) in [("flags", 3), ("extra flags", 8), ("system", 9)] {
        if one[at] != other[at] {
            found.push(format!("{what} {} -> {}", one[at], other[at]));
        }
    }
    Ok((!found.is_empty()).then(|| cut(&found.join(", "))))
}
