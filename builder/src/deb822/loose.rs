//! Stanzas as people write them by hand.

/// The most stanzas of one text.
const MAX_STANZAS: usize = 50_000;
/// The most fields of one text.
const MAX_FIELDS: usize = 200_000;

/// One stanza of a text that a person wrote: fields in the order of the text, no name twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LooseStanza<'a> {
    fields: Vec<(&'a str, Vec<&'a str>)>,
    line: u64,
}

impl<'a> LooseStanza<'a> {
    /// Returns the line of the text that the stanza starts on, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns the lines of the field `name`, whatever the case of its letters: what stands behind the colon, and the
    /// continuation lines with their first blank taken off; a line with a dot alone is empty.
    pub fn lines(&self, name: &str) -> Option<&[&'a str]> {
        self.fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, lines)| lines.as_slice())
    }

    /// Returns whether there is a field `name`.
    pub fn has(&self, name: &str) -> bool {
        self.lines(name).is_some()
    }
}

/// Reads stanzas tolerantly: for documents that a package's maintainer writes by hand (debian/copyright), never for
/// what an archive signs.
///
/// Lines that start with `#` are left out. What no parser agrees on is read so that nothing is lost: a line of blanks
/// is an empty line of its field, a line that is no field continues the one before it, a second field of the same name
/// starts a new stanza. What follows 50,000 stanzas or 200,000 fields is left out; `false` says that it was.
pub fn parse_loosely(text: &str) -> (Vec<LooseStanza<'_>>, bool) {
    let mut all = Vec::new();
    let mut open = LooseStanza::default();
    let mut fields = 0;
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            if !open.fields.is_empty() {
                all.push(std::mem::take(&mut open));
            }
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = field(line) {
            if open.has(name) {
                all.push(std::mem::take(&mut open));
            }
            if all.len() >= MAX_STANZAS || fields == MAX_FIELDS {
                return (all, false);
            }
            if open.fields.is_empty() {
                open.line = number;
            }
            fields += 1;
            open.fields.push((name, vec![value.trim()]));
            continue;
        }
        let line = match line.strip_prefix([' ', '\t']) {
            Some(".") => "",
            Some(rest) => rest.trim_end(),
            None => line.trim_end(),
        };
        let last = if open.fields.is_empty() { all.last_mut() } else { Some(&mut open) };
        if let Some((_, lines)) = last.and_then(|stanza: &mut LooseStanza<'_>| stanza.fields.last_mut()) {
            lines.push(line);
        }
    }
    if !open.fields.is_empty() {
        all.push(open);
    }
    (all, true)
}

/// Returns name and value of a line that is a field.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_name.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_what_people_write_is_lost() {
        let text = "Format: x\n# a comment\n\nFiles: *\n a.c\n \nCopyright: 1\nfiles: b.c\nLicense: MIT\n one\n .\n two\n\n \
                    three\nfour\n\n";
        let (all, whole) = parse_loosely(text);
        assert!(whole);
        assert_eq!(all.iter().map(LooseStanza::line).collect::<Vec<_>>(), [1, 4, 8]);
        assert_eq!(all[1].lines("files").unwrap(), ["*", "a.c", ""]);
        assert_eq!(all[2].lines("FILES").unwrap(), ["b.c"]);
        assert_eq!(all[2].lines("License").unwrap(), ["MIT", "one", "", "two", "three", "four"]);
        assert!(!all[1].has("License"));
    }

    #[test]
    fn a_text_without_an_end_is_cut() {
        let text = "A: 1\n\n".repeat(MAX_STANZAS + 10);
        let (all, whole) = parse_loosely(&text);
        assert_eq!((all.len(), whole), (MAX_STANZAS, false));
        let text = "A: 1\nB: 2\n".repeat(MAX_FIELDS);
        let (all, whole) = parse_loosely(&text);
        assert!(all.len() <= MAX_STANZAS && !whole);
        assert_eq!(parse_loosely("no field at all\n more\n").0, []);
    }
}
