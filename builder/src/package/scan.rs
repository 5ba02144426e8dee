//! Findings in file contents: names of libraries in ELF files, commands and paths in scripts.
//!
//! A change here changes packs: raise [`PACK_FORMAT`](super::PACK_FORMAT).

use std::collections::BTreeSet;

use memchr::memmem;

use super::Scan;
use crate::elf;

/// The longest name of a library.
const MAX_SONAME: usize = 128;

/// The most findings of a kind in one file; a file with more keeps the first of them in its own order.
const MAX_FINDINGS: usize = 4096;

/// The largest script that is looked into.
pub(super) const MAX_SCRIPT: u64 = 256 << 10;

/// Looks for library names in bytes that come in pieces.
pub(super) struct Sonames<'f> {
    finder: &'f memmem::Finder<'static>,
    /// The end of the pieces so far, in which a name may begin.
    carry: Vec<u8>,
    found: BTreeSet<String>,
}

/// Returns what [`Sonames`] searches with: a C string that begins with `lib`.
pub(super) fn soname_finder() -> memmem::Finder<'static> {
    memmem::Finder::new(b"\0lib")
}

impl<'f> Sonames<'f> {
    pub(super) fn new(finder: &'f memmem::Finder<'static>) -> Self {
        Self { finder, carry: Vec::new(), found: BTreeSet::new() }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        const REACH: usize = MAX_SONAME + 2;
        if !self.carry.is_empty() {
            let mut seam = std::mem::take(&mut self.carry);
            seam.extend_from_slice(&piece[..piece.len().min(REACH)]);
            self.search(&seam);
            if piece.len() < REACH {
                seam.drain(..seam.len().saturating_sub(REACH));
                self.carry = seam;
                return;
            }
        }
        self.search(piece);
        self.carry = piece[piece.len().saturating_sub(REACH)..].to_vec();
    }

    fn search(&mut self, bytes: &[u8]) {
        for at in self.finder.find_iter(bytes) {
            let text = &bytes[at + 1..];
            let text = &text[..text.len().min(MAX_SONAME + 1)];
            let Some(end) = memchr::memchr(0, text) else {
                continue;
            };
            let name = soname(&text[..end]).filter(|name| !self.found.contains(*name));
            if let Some(name) = name.filter(|_| self.found.len() < MAX_FINDINGS) {
                self.found.insert(name.to_owned());
            }
        }
    }

    /// Returns the names found, without those that the dynamic section has anyway.
    pub(super) fn finish(mut self, facts: Option<&elf::Facts>) -> Vec<String> {
        if let Some(facts) = facts {
            for name in facts.needed.iter().chain(&facts.soname) {
                self.found.remove(name);
            }
        }
        self.found.into_iter().collect()
    }
}

/// Returns the text where it looks like `lib….so` or `lib….so.…`.
fn soname(bytes: &[u8]) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| plain(&byte)))?;
    let (_, tail) = text.split_once(".so")?;
    (tail.is_empty() || tail.starts_with('.') && tail.len() > 1).then_some(text)
}

/// Returns the commands and absolute paths of a script with this first line.
pub(super) fn script(text: &[u8], shebang: &str) -> Scan {
    let text = String::from_utf8_lossy(text);
    let mut interpreter = shebang.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let interpreter = interpreter.find(|word| *word != "env" && !word.starts_with('-')).unwrap_or("");
    let mut scan = Scan { paths: paths(&text), ..Scan::default() };
    if matches!(interpreter, "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "busybox") {
        scan.commands = commands(&text);
    }
    scan
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '+' | '-')
}

/// Returns the absolute paths of at least two components that stand in `text`, sorted.
fn paths(text: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    let mut before = '\n';
    while let Some(at) = rest.find('/') {
        before = rest[..at].chars().next_back().unwrap_or(before);
        let tail = &rest[at..];
        let length = tail.find(|character| !is_word(character) && character != '/').unwrap_or(tail.len());
        let path = tail[..length].trim_end_matches(['/', '.']);
        let starts = !is_word(before) && !matches!(before, '/' | '}' | ')' | '*' | '?' | ':' | '$' | '~');
        let after = tail[length..].chars().next();
        let whole = !matches!(after, Some('*' | '?' | '$' | '{' | '['));
        if starts && whole && path.matches('/').count() > 1 && !path.contains("//") && found.len() < MAX_FINDINGS {
            found.insert(path.to_owned());
        }
        before = tail[..length].chars().next_back().unwrap_or('/');
        rest = &tail[length..];
    }
    found.into_iter().collect()
}

/// Words after which a command follows.
const OPENERS: [&str; 17] = [
    "if", "then", "else", "elif", "while", "until", "do", "!", "{", "exec", "command", "nohup", "time", "eval", "env",
    "sudo", "xargs",
];

/// Words that are the shell's own.
const BUILTINS: [&str; 47] = [
    "alias", "bg", "break", "case", "cd", "continue", "declare", "done", "echo", "esac", "exit", "export", "false",
    "fg", "fi", "for", "function", "getopts", "hash", "in", "jobs", "kill", "let", "local", "popd", "printf", "pushd",
    "pwd", "read", "readonly", "return", "select", "set", "shift", "shopt", "source", "test", "times", "trap", "true",
    "type", "typeset", "ulimit", "umask", "unalias", "unset", "wait",
];

/// Returns the words of a shell script that stand where a command does, sorted, the shell's own left out.
fn commands(text: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        for part in line.split([';', '|', '&', '(', '`']) {
            for word in part.split_whitespace() {
                let word = word.trim_matches(['"', '\'', ')']);
                let assignment = word.split_once('=').is_some_and(|(name, _)| {
                    name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
                });
                if assignment || OPENERS.contains(&word) || word.starts_with('-') {
                    continue;
                }
                let name = word.starts_with(|first: char| first.is_ascii_alphabetic()) && word.chars().all(is_word);
                if name && !BUILTINS.contains(&word) && found.len() < MAX_FINDINGS {
                    found.insert(word.to_owned());
                }
                break;
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_names_are_found_however_the_bytes_are_cut() {
        let bytes = b"xx\0libgcc_s.so.1\0libfoo.so\0lib.sox\0/usr/lib/libno.so\0libs.so.\0liba b.so\0libend.so.2\0yy";
        let finder = soname_finder();
        for size in [1, 2, 3, 7, 20, 200] {
            let mut sonames = Sonames::new(&finder);
            bytes.chunks(size).for_each(|piece| sonames.feed(piece));
            assert_eq!(sonames.finish(None), ["libend.so.2", "libfoo.so", "libgcc_s.so.1"], "{size}");
        }
    }

    #[test]
    fn a_shell_script_names_commands_and_paths() {
        let text = "#!/bin/sh\nset -e\n# rm me\nFOO=bar sed -i x /etc/app/app.conf | grep y\n\
                    if test -x /usr/bin/thing; then exec /usr/lib/app/run \"$@\"; fi\nx=$(uname -m)\nhttp://a/b/c\n";
        let scan = script(text.as_bytes(), "/bin/sh");
        assert_eq!(scan.commands, ["grep", "sed", "uname"]);
        assert_eq!(scan.paths, ["/bin/sh", "/etc/app/app.conf", "/usr/bin/thing", "/usr/lib/app/run"]);
        let scan = script(b"#!/usr/bin/python3\nopen('/etc/x/y')\nimport os\n", "/usr/bin/python3");
        assert_eq!((scan.commands, scan.paths), (vec![], vec!["/etc/x/y".to_owned(), "/usr/bin/python3".to_owned()]));
    }
}
