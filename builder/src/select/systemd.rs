//! Lines of sysusers.d(5) and tmpfiles.d(5): which files are read in which order, words, and specifiers.
//!
//! In: the packages. Out: lines as words. Where a specifier depends on the machine that an image will run on, the line
//! is left out and said so.

use super::merge::Tree;
use crate::package::EntryKind;
use crate::spec::Platform;

/// Why a line with a specifier of the machine is left out.
pub(super) const MACHINE: &str = "it depends on the machine";

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its words, quotes and specifiers resolved. The last one of [`Lines::read`]'s `fields` holds the rest.
    pub(super) words: Vec<String>,
    /// As it is written.
    pub(super) text: String,
    /// The package that ships the file.
    pub(super) package: String,
    /// The file's path without a leading slash.
    pub(super) file: String,
}

impl Line {
    /// Returns where the line stands, in words.
    pub(super) fn place(&self) -> String {
        format!("{} of {}", self.file, self.package)
    }
}

/// What is read of one kind of configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// In the order of the files' names, then of the lines.
    pub(super) lines: Vec<Line>,
    /// Lines that cannot be read, with the reason.
    pub(super) unread: Vec<(Line, &'static str)>,
}

impl Lines {
    /// Reads every `NAME.conf` of the packages in `etc/KIND` and `usr/lib/KIND`: a file in `etc` stands in the place of
    /// one of its name in `usr/lib`, and an empty one, or a link to `/dev/null`, takes it away.
    pub(super) fn read(tree: &Tree<'_>, kind: &str, fields: usize, platform: Platform) -> Self {
        // By name of the file: its rank (etc first), package, path and text.
        let mut files: std::collections::BTreeMap<&str, (usize, &str, &str, &[u8])> = std::collections::BTreeMap::new();
        for package in &tree.packages {
            for (at, entry) in package.index.entries.iter().enumerate() {
                let Some((directory, name)) = entry.path.rsplit_once('/') else { continue };
                let rank = match directory.strip_suffix(kind) {
                    Some("etc/") => 0,
                    Some("usr/lib/" | "lib/") => 1,
                    _ => continue,
                };
                let text: &[u8] = match &entry.kind {
                    EntryKind::File(_) => {
                        let text = package.index.texts.iter().find(|(number, _)| usize::try_from(*number) == Ok(at));
                        text.map_or(&[], |(_, text)| text.as_slice())
                    }
                    EntryKind::Symlink(target) if target == "/dev/null" => &[],
                    _ => continue,
                };
                if name.ends_with(".conf") && files.get(name).is_none_or(|(known, ..)| rank < *known) {
                    files.insert(name, (rank, package.name, &entry.path, text));
                }
            }
        }
        let mut lines = Self::default();
        for (_, package, file, text) in files.into_values() {
            for text in String::from_utf8_lossy(text).lines().map(str::trim) {
                if text.is_empty() || text.starts_with('#') {
                    continue;
                }
                let line = Line {
                    words: Vec::new(),
                    text: text.to_owned(),
                    package: package.to_owned(),
                    file: file.to_owned(),
                };
                lines.add(line, fields, platform);
            }
        }
        lines
    }

    fn add(&mut self, mut line: Line, fields: usize, platform: Platform) {
        let Some(words) = words(&line.text, fields) else {
            self.unread.push((line, "its quotes do not close"));
            return;
        };
        for word in words {
            match resolve(&word, platform) {
                Ok(word) => line.words.push(word),
                Err(problem) => {
                    self.unread.push((line, problem));
                    return;
                }
            }
        }
        self.lines.push(line);
    }
}

/// Splits a line into at most `fields` words, the last one with all that is left; `None` where a quote stays open.
fn words(text: &str, fields: usize) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if words.len() + 1 == fields && fields == 7 {
            // tmpfiles.d: the argument is the rest of the line as it stands.
            words.push(rest.to_owned());
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        let mut end = rest.len();
        let mut characters = rest.char_indices();
        while let Some((at, c)) = characters.next() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (_, '\\') => word.push(characters.next()?.1),
                (None, c) if c.is_whitespace() => {
                    end = at;
                    break;
                }
                (_, c) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    (words.len() <= fields).then_some(words)
}

/// Returns a word with its specifiers resolved, as far as they are the same on every machine.
fn resolve(word: &str, platform: Platform) -> Result<String, &'static str> {
    let mut resolved = String::new();
    let mut characters = word.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            resolved.push(c);
            continue;
        }
        resolved.push_str(match characters.next() {
            Some('%') => "%",
            Some('a') if platform == Platform::Amd64 => "x86-64",
            Some('a') => "arm64",
            Some('C') => "/var/cache",
            Some('g' | 'u') => "root",
            Some('G' | 'U') => "0",
            Some('h') => "/root",
            Some('L') => "/var/log",
            Some('S') => "/var/lib",
            Some('t') => "/run",
            Some('T') => "/tmp",
            Some('V') => "/var/tmp",
            Some('A' | 'b' | 'B' | 'H' | 'l' | 'm' | 'M' | 'o' | 'v' | 'w' | 'W') => {
                return Err(MACHINE);
            }
            _ => return Err("its specifier is not known"),
        });
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_systemd_splits_them() {
        let split = |text: &str, fields| words(text, fields).map(|words| words.join("|"));
        assert_eq!(split("u  web - \"Web server\" /srv", 6).as_deref(), Some("u|web|-|Web server|/srv"));
        assert_eq!(split("f /x 0644 - - - two  \"words\" ", 7).as_deref(), Some("f|/x|0644|-|-|-|two  \"words\""));
        assert_eq!(split("u web - \"open", 6), None);
        assert_eq!(split("u a b c d e too-many", 6), None);
    }

    #[test]
    fn specifiers_of_one_machine_are_not_resolved() {
        assert_eq!(resolve("%t/x-%a-%%", Platform::Arm64).as_deref(), Ok("/run/x-arm64-%"));
        assert_eq!(resolve("/var/log/journal/%m", Platform::Amd64), Err("it depends on the machine"));
        assert_eq!(resolve("50%", Platform::Amd64), Err("its specifier is not known"));
    }
}
