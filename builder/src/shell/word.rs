//! Characters and words.

use super::{Error, MAX_DEPTH, Part, Word};

/// Reads one text from its start to its end.
pub(super) struct Lexer<'t> {
    text: &'t str,
    pub(super) at: usize,
    pub(super) depth: u32,
    /// Where the line after the current one starts, once here-documents were taken from there.
    after_here: Option<usize>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str, depth: u32) -> Self {
        Self { text, at: 0, depth, after_here: None }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn mark(&self) -> (usize, Option<usize>) {
        (self.at, self.after_here)
    }

    pub(super) fn reset(&mut self, mark: (usize, Option<usize>)) {
        (self.at, self.after_here) = mark;
    }

    pub(super) fn error(&self, problem: &'static str) -> Error {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        Error { line: before.bytes().filter(|byte| *byte == b'\n').count() + 1, problem }
    }

    pub(super) fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.error("it is nested too deep")) } else { Ok(()) }
    }

    pub(super) fn higher(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n'
            && let Some(at) = self.after_here.take()
        {
            self.at = at;
        }
        Some(c)
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Returns whether an operator, or a whole word made of letters or braces, stands here.
    pub(super) fn is_at(&self, text: &str) -> bool {
        if text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '{' | '}' | '!')) {
            self.is_word(text)
        } else {
            self.rest().starts_with(text)
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|rest| {
            rest.chars()
                .next()
                .is_none_or(|c| c.is_ascii_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>'))
        })
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Passes blanks, continued lines and a comment.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with([' ', '\t', '\r']) {
                self.at += 1;
            } else if rest.starts_with("\\\n") {
                self.at += 2;
            } else if rest.starts_with('#') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                return;
            }
        }
    }

    /// Passes blanks and ends of lines.
    pub(super) fn skip_lines(&mut self) -> Result<(), Error> {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.bump();
        }
    }

    pub(super) fn take_name(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..length];
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.at += length;
        Some(name.to_owned())
    }

    /// Takes digits that a redirection follows.
    pub(super) fn take_digits(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if length == 0 || !rest[length..].starts_with(['<', '>']) {
            return None;
        }
        self.at += length;
        Some(rest[..length].to_owned())
    }

    /// Takes `name=`, and leaves the value.
    pub(super) fn take_assignment(&mut self) -> Result<Option<String>, Error> {
        let before = self.at;
        if let Some(name) = self.take_name() {
            if self.take("=") {
                if self.peek() == Some('(') {
                    return Err(self.error("arrays are not POSIX"));
                }
                return Ok(Some(name));
            }
            // A bounded look ahead: it is taken at every command.
            let ahead = super::head(self.rest(), 256);
            let word = ahead.split(char::is_whitespace).next().unwrap_or_default();
            if word.starts_with("+=") || word.starts_with('[') && word.contains("]=") {
                return Err(self.error("this assignment is not POSIX"));
            }
        }
        self.at = before;
        Ok(None)
    }

    /// Takes `name()` or `function name`.
    pub(super) fn function_name(&mut self) -> Option<String> {
        let before = self.at;
        let keyword = self.take_word("function");
        if keyword {
            self.skip_blanks();
        }
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.' | '+'))
            .unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.at += length;
        self.skip_blanks();
        let parentheses = self.take("(") && {
            self.skip_blanks();
            self.take(")")
        };
        if name.is_empty() || !(parentheses || keyword) {
            self.at = before;
            return None;
        }
        Some(name)
    }

    /// Takes the words of `[[ … ]]`, whose operators are words here.
    pub(super) fn double_brackets(&mut self) -> Result<Vec<Word>, Error> {
        let mut words = Vec::new();
        loop {
            self.skip_lines()?;
            let operator = ["&&", "||", "<", ">", "(", ")"].into_iter().find(|text| self.rest().starts_with(text));
            if let Some(text) = operator {
                self.at += text.len();
                words.push(vec![Part::Text { text: text.to_owned(), quoted: false }]);
                continue;
            }
            let closes = self.is_word("]]");
            match self.word()? {
                Some(word) => words.push(word),
                None => return Err(self.error("`[[` is not closed")),
            }
            if closes {
                return Ok(words);
            }
        }
    }

    /// Takes a word, if one stands here.
    pub(super) fn word(&mut self) -> Result<Option<Word>, Error> {
        let mut parts = Word::new();
        let mut text = String::new();
        let mut any = false;
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' => break,
                '<' | '>' if self.rest().starts_with("<(") || self.rest().starts_with(">(") => {
                    return Err(self.error("process substitution is not POSIX"));
                }
                '<' | '>' => break,
                '\\' => {
                    self.at += 1;
                    match self.bump() {
                        Some('\n') => continue,
                        Some(c) => {
                            flush(&mut parts, &mut text, false);
                            parts.push(Part::Text { text: c.to_string(), quoted: true });
                        }
                        None => text.push('\\'),
                    }
                }
                '\'' => {
                    flush(&mut parts, &mut text, false);
                    self.at += 1;
                    let rest = self.rest();
                    let Some(end) = rest.find('\'') else {
                        return Err(self.error("a quote is not closed"));
                    };
                    parts.push(Part::Text { text: rest[..end].to_owned(), quoted: true });
                    self.at += end + 1;
                }
                '"' => {
                    flush(&mut parts, &mut text, false);
                    self.at += 1;
                    self.quoted(&mut parts, Some('"'))?;
                }
                '$' | '`' => {
                    flush(&mut parts, &mut text, false);
                    match self.expansion(false)? {
                        Some(part) => parts.push(part),
                        None => text.push('$'),
                    }
                }
                c => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
            any = true;
        }
        flush(&mut parts, &mut text, false);
        Ok(any.then_some(parts))
    }

    /// Takes text in double quotes up to `end`, or a here-document's up to its own end.
    pub(super) fn quoted(&mut self, parts: &mut Word, end: Option<char>) -> Result<(), Error> {
        let mut text = String::new();
        let before = parts.len();
        loop {
            let Some(c) = self.peek() else {
                if end.is_none() {
                    break;
                }
                return Err(self.error("a quote is not closed"));
            };
            match c {
                c if Some(c) == end => {
                    self.at += 1;
                    break;
                }
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => self.at += 1,
                        Some(c @ ('$' | '`' | '\\')) => {
                            text.push(c);
                            self.at += 1;
                        }
                        Some('"') if end.is_some() => {
                            text.push('"');
                            self.at += 1;
                        }
                        _ => text.push('\\'),
                    }
                }
                '$' | '`' => {
                    flush(parts, &mut text, true);
                    match self.expansion(true)? {
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
        if parts.len() == before || !text.is_empty() {
            parts.push(Part::Text { text, quoted: true });
        }
        Ok(())
    }

    /// Takes the body of a here-document, which starts after this line or after the one before it.
    pub(super) fn here(&mut self, end: &str, strip: bool, literal: bool) -> Result<Word, Error> {
        let mut at = match self.after_here {
            Some(at) => at,
            None => self.at + self.rest().find('\n').map_or(self.rest().len(), |newline| newline + 1),
        };
        let mut body = String::new();
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Err(self.error("a here-document is not closed"));
            }
            let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
            at += length;
            let line = &rest[..length];
            let line = if strip { line.trim_start_matches('\t') } else { line };
            if line.strip_suffix('\n').unwrap_or(line) == end {
                break;
            }
            body.push_str(line);
        }
        self.after_here = Some(at);
        if literal {
            return Ok(vec![Part::Text { text: body, quoted: true }]);
        }
        let mut inner = Lexer::new(&body, self.depth);
        inner.deeper()?;
        let mut parts = Word::new();
        inner.quoted(&mut parts, None).map_err(|error| Error { line: self.error("").line + error.line, ..error })?;
        Ok(parts)
    }
}

pub(super) fn flush(parts: &mut Word, text: &mut String, quoted: bool) {
    if !text.is_empty() {
        parts.push(Part::Text { text: std::mem::take(text), quoted });
    }
}
