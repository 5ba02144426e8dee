//! Stanzas: ordered fields, read strictly.

use std::io::{BufRead, Read as _};
use std::ops::Range;

use super::{Error, shown};

/// The most bytes of one stanza; a Release with 16,000 files stays below.
const MAX_STANZA: u64 = 4 << 20;
/// The most blank lines in a row: a list of nothing else is small when packed, and takes long to read.
const MAX_BLANK: u64 = 64 << 10;
/// The most fields of one stanza; Debian's largest has about 40.
const MAX_FIELDS: usize = 1024;

/// One stanza: fields in the order of the text, no name twice.
///
/// A value is as it stands in the text, outer blanks removed; continuation lines follow a line feed and keep their
/// leading blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    text: String,
    fields: Vec<(Range<usize>, Range<usize>)>,
    line: u64,
}

impl Stanza {
    /// Returns the value of the field `name`, whatever the case of its letters.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns names and values in the order of the text.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// Returns the line of the text that the stanza starts on, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads a stanza from `text`, which is not empty and has no empty line; `line` is where it starts.
    fn from_text(text: String, line: u64) -> Result<Self, Error> {
        let mut fields: Vec<(Range<usize>, Range<usize>)> = Vec::with_capacity(32);
        let mut start = 0;
        // One pass without branches over nearly every stanza; the line is looked for only where there is one.
        let controls = text.bytes().fold(false, |found, byte| found | (is_control(byte) & (byte != b'\n')));
        for (number, content) in (line..).zip(text.split('\n')) {
            let wrong = |what: String| Error::Stanza { line: number, what };
            let end = start + content.len();
            if controls && content.bytes().any(is_control) {
                return Err(wrong("a control character".to_owned()));
            }
            if content.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    return Err(wrong("a continuation line without a field before it".to_owned()));
                };
                let kept = content.trim_end_matches([' ', '\t']).len();
                if kept == 0 {
                    return Err(wrong("a line of blanks alone".to_owned()));
                }
                value.end = start + kept;
            } else if content.starts_with('#') {
                return Err(wrong("a comment, which archive metadata and packages do not have".to_owned()));
            } else {
                let Some(colon) = content.find(':') else {
                    return Err(wrong(format!("`{}` is no field", shown(content))));
                };
                let name = &content[..colon];
                if name.is_empty() || name.starts_with('-') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(wrong(format!("`{}` is no field name", shown(name))));
                }
                let same = |earlier: &Range<usize>| {
                    earlier.len() == name.len()
                        && text.as_bytes()[earlier.clone()].eq_ignore_ascii_case(name.as_bytes())
                };
                if fields.iter().any(|(earlier, _)| same(earlier)) {
                    return Err(wrong(format!("the field `{}` a second time", shown(name))));
                }
                if fields.len() == MAX_FIELDS {
                    return Err(wrong(format!("more than {MAX_FIELDS} fields in one stanza")));
                }
                let value = &content[colon + 1..];
                let left = value.trim_start_matches([' ', '\t']);
                let from = end - left.len();
                fields.push((start..start + colon, from..from + left.trim_end_matches([' ', '\t']).len()));
            }
            start = end + 1;
        }
        Ok(Self { text, fields, line })
    }
}

fn is_control(byte: u8) -> bool {
    ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f)
}

/// Reads every stanza of `text`.
pub fn parse(text: &str) -> Result<Vec<Stanza>, Error> {
    Stanzas::new(text.as_bytes()).collect()
}

/// Reads `text`, which holds exactly one stanza.
pub fn parse_one(text: &str) -> Result<Stanza, Error> {
    let mut all = Stanzas::new(text.as_bytes());
    let first = all.next().unwrap_or_else(|| Err(Error::Stanza { line: 1, what: "no field at all".to_owned() }))?;
    match all.next() {
        None => Ok(first),
        Some(Ok(second)) => {
            Err(Error::Stanza { line: second.line, what: "a second stanza, where one is expected".to_owned() })
        }
        Some(Err(error)) => Err(error),
    }
}

/// Stanzas of a stream, one at a time; ends after the first error.
#[derive(Debug)]
pub struct Stanzas<R> {
    reader: R,
    line: u64,
    done: bool,
}

impl<R: BufRead> Stanzas<R> {
    /// Returns the stanzas of `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 1, done: false }
    }

    /// Returns the stanzas of `reader`, whose first line has the number `line` in its file.
    pub fn starting_at(reader: R, line: u64) -> Self {
        Self { reader, line, done: false }
    }

    /// Returns the reader, where it stands after the last stanza returned.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn read(&mut self) -> Result<Option<Stanza>, Error> {
        let mut text = Vec::with_capacity(2048);
        let (mut lines, mut blank) = (0, 0);
        loop {
            let before = text.len();
            let room = MAX_STANZA.saturating_sub(before as u64);
            let count = self.reader.by_ref().take(room + 1).read_until(b'\n', &mut text).map_err(Error::Read)?;
            if count as u64 > room {
                return Err(Error::Stanza { line: self.line, what: format!("a stanza above {MAX_STANZA} bytes") });
            }
            let empty = text.len() == before || text[before..] == *b"\n";
            if !empty {
                lines += 1;
                continue;
            }
            text.truncate(before);
            if before > 0 {
                break;
            }
            if count == 0 {
                return Ok(None);
            }
            self.line += 1;
            blank += 1;
            if blank > MAX_BLANK {
                return Err(Error::Stanza { line: self.line, what: format!("more than {MAX_BLANK} blank lines") });
            }
        }
        let first = self.line;
        self.line += lines + 1;
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        let text = String::from_utf8(text)
            .map_err(|_| Error::Stanza { line: first, what: "a stanza that is not UTF-8".to_owned() })?;
        Stanza::from_text(text, first).map(Some)
    }
}

impl<R: BufRead> Iterator for Stanzas<R> {
    type Item = Result<Stanza, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_keep_order_and_continuation_lines() {
        let all = parse("\nPackage: a\nDescription: short \n long\n .\n more\n\n\n\nPackage:b\nEmpty:\n").unwrap();
        let fields: Vec<_> = all.iter().flat_map(Stanza::fields).collect();
        assert_eq!(
            fields,
            [("Package", "a"), ("Description", "short \n long\n .\n more"), ("Package", "b"), ("Empty", "")]
        );
        assert_eq!(all[0].get("package"), Some("a"));
        assert_eq!(all[0].get("Version"), None);
        assert_eq!(all.iter().map(Stanza::line).collect::<Vec<_>>(), [2, 10]);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for (text, line, what) in [
            ("A: 1\na: 2\n", 2, "the field `a` a second time"),
            ("A: 1\n\n continued\n", 3, "without a field"),
            (" continued\n", 1, "without a field"),
            ("A: 1\n# B: 2\n", 2, "a comment"),
            ("A: 1\r\nB: 2\n", 1, "a control character"),
            ("A: 1\0\n", 1, "a control character"),
            ("A: 1\x7f\n", 1, "a control character"),
            ("A: 1\n \t\nB: 2\n", 2, "blanks alone"),
            ("A: 1\nnothing\n", 2, "`nothing` is no field"),
            (": 1\n", 1, "is no field name"),
            ("-A: 1\n", 1, "is no field name"),
            ("A B: 1\n", 1, "is no field name"),
            ("Ä: 1\n", 1, "is no field name"),
        ] {
            match parse(text) {
                Err(Error::Stanza { line: found, what: said }) => {
                    assert_eq!(found, line, "{text:?}");
                    assert!(said.contains(what), "{text:?}: {said}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
        assert!(Stanzas::new(&b"A: \xff\n"[..]).next().unwrap().is_err());
    }

    #[test]
    fn one_stanza_means_one() {
        assert_eq!(parse_one("A: 1\n\n").unwrap().get("A"), Some("1"));
        assert!(parse_one("").is_err());
        assert!(parse_one("A: 1\n\nB: 2").is_err());
    }

    #[test]
    fn an_endless_stanza_is_refused_before_it_is_held() {
        let endless = std::io::BufReader::new(std::io::repeat(b'a'));
        assert!(Stanzas::new(endless).next().unwrap().is_err());
    }
}
