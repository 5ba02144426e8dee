//! What a file's bytes give away, in one pass and bounded memory.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::tables::{NAMED, PEM, PROGRAMS, PUTTY, TEST_KEYS, TOKENS};
use crate::spec::Finding;

/// How much is looked at at once.
const WINDOW: usize = 256 << 10;
/// How far behind the beginning of a match may be looked.
const AHEAD: usize = 2 << 10;
/// The most different secrets noted of one file.
const MAX_SECRETS: usize = 8;
/// How much of a file that is made to hold passwords is read.
const HEAD: usize = 64 << 10;
/// The fewest characters that a key's body begins with.
const BODY: usize = 40;
/// The most characters of a line of it (RFC 7468); a whole line tells a key from others.
const LINE: usize = 64;

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) elf: bool,
    /// What program it is, by its content.
    pub(super) program: Option<(Finding, &'static str)>,
    /// What secrets it holds, sorted.
    pub(super) secrets: BTreeSet<&'static str>,
    /// Whose test keys it holds.
    pub(super) test_keys: BTreeSet<&'static str>,
}

/// The forms in the order in which the automaton numbers them.
fn automaton() -> &'static AhoCorasick {
    static AUTOMATON: OnceLock<AhoCorasick> = OnceLock::new();
    AUTOMATON.get_or_init(|| {
        let programs = PROGRAMS.iter().map(|(text, ..)| *text);
        let tokens = TOKENS.iter().map(|(prefix, ..)| *prefix);
        AhoCorasick::new(programs.chain(tokens).chain([PEM, PUTTY])).expect("a few short texts make an automaton")
    })
}

/// Reads a file to its end. `path` (no leading slash) says what it is made for.
pub(super) fn scan(path: &str, body: &mut dyn Read) -> io::Result<Findings> {
    let mut found = Findings::default();
    let mut buffer: Vec<u8> = Vec::new();
    let mut first = true;
    // Matches before `from` have been judged with the window before; one byte is kept to see what stands before.
    let mut from = 0;
    loop {
        let length = buffer.len();
        buffer.resize(WINDOW + AHEAD + 1, 0);
        let mut end = length;
        while end < buffer.len() {
            match body.read(&mut buffer[end..])? {
                0 => break,
                count => end += count,
            }
        }
        let last = end < buffer.len();
        buffer.truncate(end);
        if first {
            found.elf = buffer.starts_with(b"\x7fELF");
            named(path, &buffer[..end.min(HEAD)], &mut found);
            first = false;
        }
        let limit = if last { end } else { end - AHEAD };
        for matched in automaton().find_overlapping_iter_from(&buffer, from, limit) {
            judge(matched.0, &buffer, matched.1, path, &mut found);
        }
        if last {
            return Ok(found);
        }
        buffer.drain(..limit - 1);
        from = 1;
    }
}

/// Matches of an automaton that begin in a range.
trait Matches {
    fn find_overlapping_iter_from(&self, bytes: &[u8], from: usize, limit: usize) -> Vec<(usize, usize)>;
}

impl Matches for AhoCorasick {
    /// Returns (pattern, beginning) of each match that begins at `from` or later and before `limit`.
    fn find_overlapping_iter_from(&self, bytes: &[u8], from: usize, limit: usize) -> Vec<(usize, usize)> {
        let found = self.find_iter(&bytes[from..]).map(|one| (one.pattern().as_usize(), from + one.start()));
        found.filter(|(_, start)| *start < limit).collect()
    }
}

/// Decides whether a form that begins at `start` is what it looks like.
fn judge(form: usize, bytes: &[u8], start: usize, path: &str, found: &mut Findings) {
    if let Some((_, kind, name)) = PROGRAMS.get(form) {
        // A library of apt holds its own name; what is named so is no program.
        let library = *kind == Finding::PackageManager && path.rsplit('/').next().unwrap_or(path).contains(".so");
        if found.elf && !library && found.program.is_none_or(|(_, known)| known == "dash" && *name == "busybox") {
            found.program = Some((*kind, name));
        }
        return;
    }
    if found.secrets.len() >= MAX_SECRETS {
        return;
    }
    let rest = &bytes[start..bytes.len().min(start + AHEAD)];
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let form = form - PROGRAMS.len();
    if let Some((prefix, alphabet, count, whole, what)) = TOKENS.get(form) {
        let apart = before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_');
        let tail = &rest[prefix.len()..];
        let length = tail.iter().take_while(|byte| alphabet.has(**byte)).count();
        let fits = if *whole { length == *count } else { length >= *count };
        let ends = tail.get(length).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        // The vendors' own documentation shows keys that end so.
        let example = tail[..length].ends_with(b"EXAMPLE");
        if apart && fits && ends && !example {
            found.secrets.insert(what);
        }
    } else if form == TOKENS.len() {
        if let Some(body) = private_key(rest) {
            match TEST_KEYS.iter().find(|(known, _)| known.as_bytes() == body) {
                Some((_, owner)) => drop(found.test_keys.insert(owner)),
                None => drop(found.secrets.insert("a private key")),
            }
        }
    } else if rest[PUTTY.len()..].iter().take(200).any(|byte| *byte == b'\n') && before.is_none_or(|byte| byte == b'\n')
    {
        found.secrets.insert("a private key of PuTTY");
    }
}

/// Returns the beginning of a private key's body, where `text` is one: `-----BEGIN … PRIVATE KEY-----`, a line break
/// (also one written as `\n` inside a text), perhaps headers (RFC 1421), and base64.
fn private_key(text: &[u8]) -> Option<&[u8]> {
    let label = &text[PEM.len()..];
    let end = label.iter().take(64).position(|byte| *byte == b'-')?;
    let (label, rest) = label.split_at(end);
    let plain = label.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    if !plain || !label.windows(11).any(|part| part == b"PRIVATE KEY") {
        return None;
    }
    let mut rest = line_break(rest.strip_prefix(b"-----")?)?;
    for _ in 0..8 {
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\\')).unwrap_or(rest.len());
        let line = &rest[..length];
        if !line.is_empty() && line != b"\r" && !line.contains(&b':') {
            break;
        }
        rest = line_break(&rest[length..])?;
    }
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let length = rest.iter().take(LINE).take_while(|byte| base64(byte)).count();
    (length >= BODY).then(|| &rest[..length])
}

fn line_break(text: &[u8]) -> Option<&[u8]> {
    let breaks: [&[u8]; 4] = [b"\r\n", b"\n", b"\\r\\n", b"\\n"];
    breaks.iter().find_map(|one| text.strip_prefix(*one))
}

/// Looks at a file that is made to hold passwords.
fn named(path: &str, head: &[u8], found: &mut Findings) {
    let holds = |text: &str| memchr::memmem::find(head, text.as_bytes()).is_some();
    for (end, texts, what) in NAMED {
        let fits = path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        if fits && !head.is_empty() && texts.iter().all(|text| holds(text)) {
            found.secrets.insert(what);
        }
    }
    if matches!(path, "etc/shadow" | "etc/gshadow") {
        let hashed = |line: &[u8]| line.split(|byte| *byte == b':').nth(1).is_some_and(|hash| hash.starts_with(b"$"));
        if head.split(|byte| *byte == b'\n').any(hashed) {
            found.secrets.insert("a hashed password");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn secrets(path: &str, bytes: &[u8]) -> Vec<&'static str> {
        scan(path, &mut &*bytes).unwrap().secrets.into_iter().collect()
    }

    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAtestestestestestestestestestest\n";

    #[test]
    fn secrets_have_exact_forms() {
        let token = format!("x = \"ghp_{}\"", "a1B2".repeat(9));
        for (path, bytes, expected) in [
            ("a", KEY.to_owned(), Some("a private key")),
            ("a", KEY.replace('\n', "\\n"), Some("a private key")),
            ("a", KEY.replace('\n', "\r\n"), Some("a private key")),
            (
                "a",
                KEY.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\n"),
                Some("a private key"),
            ),
            ("a", KEY.replace("RSA", "EC").replace("BEGIN", "BEGIN  "), Some("a private key")),
            ("a", "-----BEGIN PRIVATE KEY-----\nXXXX\nXXXX\n-----END PRIVATE KEY-----\n".to_owned(), None),
            ("a", "if text == '-----BEGIN PRIVATE KEY-----':\n    raise\n".to_owned(), None),
            ("a", KEY.replace("RSA PRIVATE KEY", "CERTIFICATE"), None),
            ("a", "key AKIAIOSFODNN7ABCDEFG;".to_owned(), Some("an access key of AWS")),
            ("a", "key AKIAIOSFODNN7EXAMPLE;".to_owned(), None),
            ("a", "xAKIAIOSFODNN7ABCDEFG;".to_owned(), None),
            ("a", "AKIAIOSFODNN7ABCDEFGH;".to_owned(), None),
            ("a", token.clone(), Some("a token of GitHub")),
            ("a", token.replace("1B2\"", "\""), None),
            ("root/.netrc", "machine x login y password z\n".to_owned(), Some("passwords of servers")),
            ("root/.netrc", "# empty\n".to_owned(), None),
            ("root/x.netrc", "password".to_owned(), None),
            (
                "root/.docker/config.json",
                "{\"auths\":{\"x\":{\"auth\":\"e\"}}}".to_owned(),
                Some("passwords of registries"),
            ),
            ("etc/shadow", "root:*:1::::::\nweb:$y$j9T$x$y:1::::::\n".to_owned(), Some("a hashed password")),
            ("etc/shadow", "root:*:1::::::\n".to_owned(), None),
        ] {
            assert_eq!(secrets(path, bytes.as_bytes()), expected.into_iter().collect::<Vec<_>>(), "{path} {bytes}");
        }
    }

    #[test]
    fn a_secret_is_found_wherever_a_window_ends() {
        for at in [0, 1, WINDOW - 2000, WINDOW - 20, WINDOW, WINDOW + 1, WINDOW + AHEAD - 5, 2 * WINDOW - 10] {
            let mut bytes = vec![b' '; at];
            bytes.extend_from_slice(KEY.as_bytes());
            let found = scan("a", &mut Slow(&bytes, 4099)).unwrap();
            assert_eq!(found.secrets.len(), 1, "{at}");
        }
    }

    #[test]
    fn a_program_is_known_by_its_content_under_any_name() {
        let program = |text: &str| scan("opt/x", &mut format!("\x7fELF..{text}..").as_bytes()).unwrap().program;
        assert_eq!(program("EOF in backquote substitution"), Some((Finding::Shell, "dash")));
        let busybox = "EOF in backquote substitution\0BusyBox is a multi-call binary";
        assert_eq!(program(busybox), Some((Finding::Shell, "busybox")));
        assert_eq!(program("hello"), None);
        let text = scan("opt/x", &mut "@(#)Bash version 5".as_bytes()).unwrap();
        assert_eq!((text.elf, text.program), (false, None));
        let library = scan("usr/lib/libapt-private.so.0.0", &mut "\x7fELF libapt-private.so.0".as_bytes()).unwrap();
        assert_eq!(library.program, None);
    }
}
