//! What begins with a dollar or a backquote (POSIX XCU 2.6).

use super::parse::parse_at;
use super::word::{Lexer, flush};
use super::{Change, Error, MAX_DEPTH, Part, Word};

impl Lexer<'_> {
    /// Takes `$…` or a backquoted command; `None` for a dollar that stands for itself.
    pub(super) fn expansion(&mut self, quoted: bool) -> Result<Option<Part>, Error> {
        if self.take("`") {
            let mut inner = String::new();
            loop {
                match self.bump() {
                    None => return Err(self.error("a backquote is not closed")),
                    Some('`') => break,
                    Some('\\') => match self.bump() {
                        Some(c @ ('`' | '$' | '\\')) => inner.push(c),
                        Some('"') if quoted => inner.push('"'),
                        Some(c) => inner.extend(['\\', c]),
                        None => return Err(self.error("a backquote is not closed")),
                    },
                    Some(c) => inner.push(c),
                }
            }
            return self.command(inner, quoted).map(Some);
        }
        self.at += 1;
        if self.rest().starts_with("((")
            && let Some(end) = self.balanced(0, 0)
            && self.rest()[..end].ends_with("))")
        {
            let text = self.rest()[2..end - 2].to_owned();
            self.at += end;
            return Ok(Some(Part::Arithmetic(text)));
        }
        if self.rest().starts_with('(') {
            let Some(end) = self.balanced(0, 0) else {
                return Err(self.error("a substitution is not closed"));
            };
            let inner = self.rest()[1..end - 1].to_owned();
            self.at += end;
            return self.command(inner, quoted).map(Some);
        }
        if self.take("{") {
            return self.braces(quoted).map(Some);
        }
        if let Some(c) = self.peek()
            && (c.is_ascii_digit() || matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!'))
        {
            self.at += 1;
            return Ok(Some(Part::Parameter { name: c.to_string(), change: Change::None, quoted }));
        }
        if !quoted && self.rest().starts_with(['\'', '"']) {
            return Ok(Some(Part::Other)).and_then(|part| {
                // `$'…'`: its text is passed over and unknown.
                self.word_in_quotes()?;
                Ok(part)
            });
        }
        Ok(self.take_name().map(|name| Part::Parameter { name, change: Change::None, quoted }))
    }

    fn word_in_quotes(&mut self) -> Result<(), Error> {
        let quote = self.bump();
        loop {
            match self.bump() {
                None => return Err(self.error("a quote is not closed")),
                Some('\\') => drop(self.bump()),
                c if c == quote => return Ok(()),
                _ => {}
            }
        }
    }

    fn command(&mut self, inner: String, quoted: bool) -> Result<Part, Error> {
        let list = parse_at(&inner, self.depth)
            .map_err(|error| Error { line: self.error("").line + error.line - 1, ..error })?;
        Ok(Part::Command { list, text: inner, quoted })
    }

    /// Returns how many bytes the parentheses that open at `from` take, quotes and nesting considered.
    fn balanced(&self, from: usize, nested: u32) -> Option<usize> {
        if nested > MAX_DEPTH {
            return None;
        }
        let rest = &self.rest().as_bytes()[from..];
        let mut open = 0_usize;
        let mut at = 0;
        // Whether a pattern of `case` may stand here: its parenthesis closes nothing.
        let mut cases = 0_usize;
        let mut quote: Option<u8> = None;
        while at < rest.len() {
            let byte = rest[at];
            match (quote, byte) {
                (Some(b'\''), b'\'') => quote = None,
                (Some(b'\''), _) => {}
                (_, b'\\') => at += 1,
                (Some(b'"'), b'"') => quote = None,
                (Some(b'"'), b'$') if rest.get(at + 1) == Some(&b'(') => {
                    // A substitution within quotes: pass over it as a whole.
                    at = self.balanced(from + at + 1, nested + 1)? - from;
                    continue;
                }
                (Some(_), _) => {}
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'(') => open += 1,
                (None, b')') if cases > 0 && open == 1 => {}
                (None, b')') => {
                    open -= 1;
                    if open == 0 {
                        return Some(from + at + 1);
                    }
                }
                (None, b'#') if at > 0 && rest[at - 1].is_ascii_whitespace() => {
                    at += rest[at..].iter().position(|byte| *byte == b'\n').unwrap_or(rest.len() - at);
                    continue;
                }
                (None, b'c') if word_at(rest, at, b"case") => cases += 1,
                (None, b'e') if word_at(rest, at, b"esac") => cases = cases.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        None
    }

    fn braces(&mut self, quoted: bool) -> Result<Part, Error> {
        if self.rest().starts_with('#') && !self.rest().starts_with("#}") {
            self.at += 1;
            if let Some(name) = self.parameter_name()
                && self.take("}")
            {
                return Ok(Part::Parameter { name, change: Change::Length, quoted });
            }
            return self.pass_braces();
        }
        let Some(name) = self.parameter_name() else { return self.pass_braces() };
        if self.take("}") {
            return Ok(Part::Parameter { name, change: Change::None, quoted });
        }
        let mark = self.mark();
        let colon = self.take(":");
        let Some(operator) = self.peek() else {
            return Err(self.error("a brace is not closed"));
        };
        if !matches!(operator, '-' | '=' | '?' | '+' | '#' | '%') || colon && matches!(operator, '#' | '%') {
            self.reset(mark);
            self.pass_braces()?;
            return Ok(Part::Parameter { name, change: Change::Other, quoted });
        }
        self.at += 1;
        let longest = matches!(operator, '#' | '%') && {
            let twice = self.peek() == Some(operator);
            if twice {
                self.at += 1;
            }
            twice
        };
        let word = self.brace_word(quoted)?;
        let change = match operator {
            '-' => Change::Default(word, colon),
            '=' => Change::Assign(word, colon),
            '?' => Change::Require(word, colon),
            '+' => Change::Alternative(word, colon),
            '#' => Change::Prefix(word, longest),
            _ => Change::Suffix(word, longest),
        };
        Ok(Part::Parameter { name, change, quoted })
    }

    fn parameter_name(&mut self) -> Option<String> {
        if let Some(name) = self.take_name() {
            return Some(name);
        }
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let length = match rest.chars().next() {
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => digits,
        };
        self.at += length;
        (length > 0).then(|| rest[..length].to_owned())
    }

    /// Passes over the rest of an expansion that is not POSIX.
    fn pass_braces(&mut self) -> Result<Part, Error> {
        let mut open = 1_u32;
        while let Some(c) = self.bump() {
            match c {
                '\\' => drop(self.bump()),
                '{' => open += 1,
                '}' => {
                    open -= 1;
                    if open == 0 {
                        return Ok(Part::Other);
                    }
                }
                _ => {}
            }
        }
        Err(self.error("a brace is not closed"))
    }

    /// Takes the word of a parameter expansion and its brace.
    fn brace_word(&mut self, quoted: bool) -> Result<Word, Error> {
        self.deeper()?;
        let mut parts = Word::new();
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(self.error("a brace is not closed"));
            };
            match c {
                '}' => {
                    self.at += 1;
                    break;
                }
                '\\' => {
                    self.at += 1;
                    flush(&mut parts, &mut text, quoted);
                    if let Some(c) = self.bump() {
                        parts.push(Part::Text { text: c.to_string(), quoted: true });
                    }
                }
                '\'' if !quoted => {
                    flush(&mut parts, &mut text, quoted);
                    self.at += 1;
                    let rest = self.rest();
                    let Some(end) = rest.find('\'') else {
                        return Err(self.error("a quote is not closed"));
                    };
                    parts.push(Part::Text { text: rest[..end].to_owned(), quoted: true });
                    self.at += end + 1;
                }
                '"' => {
                    flush(&mut parts, &mut text, quoted);
                    self.at += 1;
                    self.quoted(&mut parts, Some('"'))?;
                }
                '$' | '`' => {
                    flush(&mut parts, &mut text, quoted);
                    match self.expansion(quoted)? {
                        Some(part) => parts.push(part),
                        None => text.push('$'),
                    }
                }
                c => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        flush(&mut parts, &mut text, false);
        self.higher();
        Ok(parts)
    }
}

fn word_at(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b'(' | b')'));
    bytes[at..].starts_with(word)
        && edge(at.checked_sub(1).and_then(|at| bytes.get(at)))
        && edge(bytes.get(at + word.len()))
}
