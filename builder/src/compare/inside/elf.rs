//! In which sections two ELF files differ.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Inside, MAX_NAMED, SectionDifference, run};
use crate::compare::spool::Piece;
use crate::digest::hex;
use crate::elf::{Layout, layout};

/// The most bytes of a section that is shown as text.
const MAX_TEXT: u64 = 512;

/// A named part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Region {
    name: String,
    offset: u64,
    size: u64,
}

/// Says where two ELF files differ; `None` where their sections do not tell.
pub(super) fn find(a: &Piece, b: &Piece) -> io::Result<Option<Inside>> {
    let (Some(one), Some(other)) = (layout(a)?, layout(b)?) else { return Ok(None) };
    let (sections_a, sections_b) = (sections(&one), sections(&other));
    let mut found = Vec::new();
    let mut keys: Vec<&(String, usize)> = sections_a.keys().collect();
    keys.sort_by_key(|key| sections_a[*key].offset);
    keys.extend(sections_b.keys().filter(|key| !sections_a.contains_key(*key)));
    for key in keys {
        match (sections_a.get(key), sections_b.get(key)) {
            (Some(x), Some(y)) => found.extend(region(a, b, x, y)?),
            (x, y) => found.extend(x.or(y).map(|only| SectionDifference {
                section: only.name.clone(),
                offset: only.offset,
                within: 0,
                count: 0,
                size_a: x.map(|region| region.size),
                size_b: y.map(|region| region.size),
                a: None,
                b: None,
            })),
        }
    }
    // Where a section grew, offsets and addresses follow; that is not told again.
    let moved = found.iter().any(|one| one.size_a != one.size_b);
    if !moved {
        for (x, y) in frame(&one).iter().zip(&frame(&other)) {
            found.extend(region(a, b, x, y)?);
        }
        if one == other && a.size() == b.size() {
            for gap in gaps(&one, a.size()) {
                found.extend(region(a, b, &gap, &gap)?);
            }
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    found.sort_by_key(|one| one.offset);
    let more = found.len().saturating_sub(MAX_NAMED) as u64;
    found.truncate(MAX_NAMED);
    Ok(Some(Inside::Elf { sections: found, more }))
}

/// Returns the sections by name, those of one name numbered.
fn sections(layout: &Layout) -> BTreeMap<(String, usize), Region> {
    let mut regions = BTreeMap::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for section in &layout.sections {
        let count = seen.entry(&section.name).or_insert(0);
        let region = Region { name: section.name.clone(), offset: section.offset, size: section.size };
        regions.insert((section.name.clone(), *count), region);
        *count += 1;
    }
    regions
}

/// Returns the headers.
fn frame(layout: &Layout) -> [Region; 3] {
    let region = |name: &str, (offset, size): (u64, u64)| Region { name: name.to_owned(), offset, size };
    [
        region("ELF header", (0, layout.header)),
        region("program headers", layout.segments),
        region("section headers", layout.table),
    ]
}

/// Returns what no section and no header covers.
fn gaps(layout: &Layout, size: u64) -> Vec<Region> {
    let mut covered: BTreeSet<(u64, u64)> = frame(layout).iter().map(|region| (region.offset, region.size)).collect();
    covered.extend(layout.sections.iter().map(|section| (section.offset, section.size)));
    let mut gaps = Vec::new();
    let mut at = 0;
    for (offset, length) in covered.into_iter().chain([(size, 0)]) {
        if offset > at {
            let end = offset.min(size);
            gaps.push(Region { name: "between sections".to_owned(), offset: at, size: end.saturating_sub(at) });
        }
        at = at.max(offset.saturating_add(length));
    }
    gaps
}

/// Compares a region of both files; `None` where it is the same, or lies outside.
fn region(a: &Piece, b: &Piece, x: &Region, y: &Region) -> io::Result<Option<SectionDifference>> {
    let (Some(one), Some(other)) = (a.part(x.offset, x.size), b.part(y.offset, y.size)) else { return Ok(None) };
    let Some(run) = run(&one, &other)? else { return Ok(None) };
    Ok(Some(SectionDifference {
        section: x.name.clone(),
        offset: x.offset + run.first,
        within: run.first,
        count: run.count,
        size_a: Some(x.size),
        size_b: Some(y.size),
        a: told(&x.name, &one)?,
        b: told(&x.name, &other)?,
    }))
}

/// Returns what a section says, where that can be told in a line.
fn told(name: &str, piece: &Piece) -> io::Result<Option<String>> {
    if piece.size() > MAX_TEXT {
        return Ok(None);
    }
    let bytes = piece.head(MAX_TEXT as usize)?;
    Ok(match name {
        // A note: sizes of name and content, type, `GNU\0`, the id.
        ".note.gnu.build-id" => bytes.get(16..).map(hex),
        ".comment" | ".interp" | ".gnu_debuglink" => {
            let text = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
            let printable = |part: &[u8]| {
                std::str::from_utf8(part).ok().filter(|text| !text.chars().any(char::is_control)).map(str::to_owned)
            };
            Some(text.filter_map(printable).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    })
}
