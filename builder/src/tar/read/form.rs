//! How an entry is written, beside what it says: what two archives of the same entries can differ in.

use std::collections::{BTreeMap, BTreeSet};

use super::header::{BLOCK, Header};
use super::pax;

/// Records whose value an entry shows; they are part of its form by their names alone.
const SHOWN: [&str; 6] = ["path", "linkpath", "size", "uid", "gid", "mtime"];
/// Begins the name of a record of an extended attribute, which is no matter of form.
const XATTR: &str = "SCHILY.xattr.";

/// How one entry is written: facts by their names, with values for people.
///
/// Two entries that say the same and have the same form have the same header blocks, but for bytes that no reader
/// looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Form {
    facts: BTreeMap<&'static str, String>,
    /// Names of the pax records, in their order, without those of extended attributes.
    records: Vec<String>,
}

impl Form {
    /// Returns the facts in which two forms differ, each with both values; an empty value where one has no such fact.
    ///
    /// `moved` names what the two entries say differently (`path`, `size`, `uid`, `gid`, `mtime`): that one needs
    /// a pax record for it and the other none is then no matter of form.
    pub fn differences(&self, other: &Self, moved: &[&str]) -> Vec<(&'static str, String, String)> {
        let mut found = Vec::new();
        let kept = |records: &[String]| {
            let kept = records.iter().filter(|name| !moved.contains(&name.as_str()));
            kept.map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        let (ours, theirs) = (kept(&self.records), kept(&other.records));
        if ours != theirs {
            found.push(("pax records", ours, theirs));
        }
        let names: BTreeSet<&&str> = self.facts.keys().chain(other.facts.keys()).collect();
        for name in names {
            match (self.facts.get(*name), other.facts.get(*name)) {
                // Whether there is a pax header at all is told by its records.
                (None, Some(_)) | (Some(_), None) if matches!(*name, "pax header" | "name field" | "link field") => {}
                (ours, theirs) if ours != theirs => {
                    found.push((name, ours.cloned().unwrap_or_default(), theirs.cloned().unwrap_or_default()));
                }
                _ => {}
            }
        }
        found
    }

    /// Returns the bytes that the form holds.
    pub fn length(&self) -> usize {
        let facts: usize = self.facts.iter().map(|(name, value)| name.len() + value.len()).sum();
        facts + self.records.iter().map(String::len).sum::<usize>()
    }

    /// Notes the pax header of the entry that follows: its own block, and its records.
    pub(super) fn pax(&mut self, block: &[u8; BLOCK], header: &Header, body: &[u8]) {
        let own = format!(
            "`{}` {:o} {}:{} {}",
            String::from_utf8_lossy(&header.path),
            header.mode,
            header.uid,
            header.gid,
            header.mtime
        );
        self.facts.insert("pax header", format!("{own} {}", numbers(block)));
        let mut unseen = Vec::new();
        for (name, value) in pax::split(body).map_while(Result::ok) {
            if name.starts_with(XATTR) {
                continue;
            }
            self.records.push(name.to_owned());
            let value = String::from_utf8_lossy(value);
            match name {
                "mtime" => {
                    if let Some((_, fraction)) = value.split_once('.') {
                        unseen.push(format!("mtime .{fraction}"));
                    }
                }
                shown if SHOWN.contains(&shown) => {}
                _ => unseen.push(format!("{name} {value}")),
            }
        }
        if !unseen.is_empty() {
            self.facts.insert("pax values", unseen.join(", "));
        }
    }

    /// Notes an extension header of another kind before the entry.
    pub(super) fn extension(&mut self, kind: u8) {
        let (name, value) = match kind {
            b'L' => ("long name", "GNU `L`"),
            b'K' => ("long link", "GNU `K`"),
            _ => ("global header", "pax `g`"),
        };
        self.facts.insert(name, value.to_owned());
    }

    /// Notes the entry's own header.
    pub(super) fn entry(&mut self, block: &[u8; BLOCK], kind: u8, mode: u32, name: &str) {
        let mut note = |fact, value: String| {
            if !value.is_empty() {
                self.facts.insert(fact, value);
            }
        };
        let field = |range: std::ops::Range<usize>| {
            let field = &block[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).into_owned()
        };
        note("header", if &block[257..265] == b"ustar\x0000" { "ustar" } else { "GNU" }.to_owned());
        note("start of the name", if name.starts_with("./") { "`./`" } else { "" }.to_owned());
        note("end of the name", if name.ends_with('/') { "`/`" } else { "" }.to_owned());
        note("prefix field", if block[257..265] == *b"ustar\x0000" { field(345..500) } else { String::new() });
        note(
            "owner names",
            match (field(265..297), field(297..329)) {
                (user, group) if user.is_empty() && group.is_empty() => String::new(),
                (user, group) => format!("`{user}:{group}`"),
            },
        );
        note("type flag", if kind == 0 { "NUL" } else { "" }.to_owned());
        note("file type in the mode", if mode > 0o7777 { "yes" } else { "" }.to_owned());
        note("device fields", if block[329..345] == [0; 16] { "empty" } else { "zeros" }.to_owned());
        note("numbers", numbers(block));
        // What stands in a field that a record speaks for is read by nobody.
        for (field_name, record, long, range) in
            [("name field", "path", "long name", 0..100), ("link field", "linkpath", "long link", 157..257)]
        {
            if self.facts.contains_key(long) || self.records.iter().any(|name| name == record) {
                self.facts.insert(field_name, field(range));
            }
        }
    }
}

/// Returns how the numeric fields are written: each by its padding and what ends it.
fn numbers(block: &[u8; BLOCK]) -> String {
    let fields = [
        ("mode", 100..108),
        ("uid", 108..116),
        ("gid", 116..124),
        ("size", 124..136),
        ("mtime", 136..148),
        ("checksum", 148..156),
    ];
    let mut written = Vec::new();
    for (name, range) in fields {
        let field = &block[range];
        let digits = field.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
        let style = match (field[0], &field[digits..]) {
            (0x80 | 0xff, _) => "in base 256".to_owned(),
            (_, b"\0") => continue,
            (_, b" ") => "ends in a space".to_owned(),
            (_, b"\0 ") if name == "checksum" => continue,
            (_, b" \0") => "ends in a space and NUL".to_owned(),
            (_, rest) if digits > 1 && field[0] == b'0' => format!("padded to {} of {}", digits, digits + rest.len()),
            _ => "not padded".to_owned(),
        };
        written.push(format!("{name} {style}"));
    }
    if written.is_empty() { "padded, ending in NUL".to_owned() } else { written.join(", ") }
}
