//! Commands.

use super::word::Lexer;
use super::{Command, Error, Kind, List, Operator, Part, Redirect, Word};

/// Parses a whole script.
///
/// # Errors
/// Where the text is no shell, or nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
pub fn parse(text: &str) -> Result<List, Error> {
    // Shells differ over what they make of it.
    if let Some(at) = text.find('\0') {
        return Err(Error { line: text[..at].matches('\n').count() + 1, problem: "a NUL byte stands in it" });
    }
    parse_at(text, 0)
}

pub(super) fn parse_at(text: &str, depth: u32) -> Result<List, Error> {
    let mut parser = Parser { lexer: Lexer::new(text, depth) };
    let list = parser.list(&[])?;
    match parser.lexer.at_end() {
        true => Ok(list),
        false => Err(parser.lexer.error("something stands where no command can")),
    }
}

/// Words that end a list in some compound command.
const CLOSERS: [&str; 10] = ["then", "else", "elif", "fi", "do", "done", "esac", "}", ")", ";;"];

struct Parser<'t> {
    lexer: Lexer<'t>,
}

impl Parser<'_> {
    /// Parses commands until one of `ends`, which is left standing, or the end of the text where there is none.
    fn list(&mut self, ends: &[&str]) -> Result<List, Error> {
        self.lexer.deeper()?;
        let mut list = List::new();
        loop {
            self.lexer.skip_lines()?;
            if self.lexer.at_end() {
                if ends.is_empty() {
                    break;
                }
                return Err(self.lexer.error("a command is not closed"));
            }
            if let Some(closer) = CLOSERS.iter().find(|closer| self.lexer.is_at(closer)) {
                if ends.contains(closer) {
                    break;
                }
                return Err(self.lexer.error("a word that closes nothing"));
            }
            list.push(self.and_or()?);
            self.lexer.skip_blanks();
            if !self.lexer.is_at(";;") && (self.lexer.take(";") || self.lexer.take("&")) {
                continue;
            }
            if self.lexer.at_end() || self.lexer.peek() == Some('\n') {
                continue;
            }
            if CLOSERS.iter().any(|closer| self.lexer.is_at(closer)) {
                continue;
            }
            return Err(self.lexer.error("something stands behind a command"));
        }
        self.lexer.higher();
        Ok(list)
    }

    fn and_or(&mut self) -> Result<Command, Error> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.lexer.skip_blanks();
            let and = self.lexer.take("&&");
            if !and && !self.lexer.take("||") {
                break;
            }
            self.lexer.skip_lines()?;
            rest.push((and, self.pipeline()?));
        }
        let Some((_, last)) = rest.last() else { return Ok(first) };
        let (start, end) = (first.start, last.end);
        Ok(Command { kind: Kind::Chain { first: Box::new(first), rest }, start, end })
    }

    fn pipeline(&mut self) -> Result<Command, Error> {
        self.lexer.skip_blanks();
        let start = self.lexer.position();
        let mut negated = false;
        while self.lexer.take_word("!") {
            negated = !negated;
            self.lexer.skip_blanks();
        }
        let mut stages = vec![self.command()?];
        loop {
            self.lexer.skip_blanks();
            if self.lexer.is_at("||") || !self.lexer.take("|") {
                break;
            }
            self.lexer.take("&");
            self.lexer.skip_lines()?;
            stages.push(self.command()?);
        }
        if stages.len() == 1 && !negated {
            return Ok(stages.remove(0));
        }
        let end = stages.last().map_or(start, |stage| stage.end);
        Ok(Command { kind: Kind::Pipeline { negated, stages }, start, end })
    }

    fn command(&mut self) -> Result<Command, Error> {
        self.lexer.deeper()?;
        self.lexer.skip_blanks();
        let start = self.lexer.position();
        let kind = if self.lexer.is_at("((") {
            return Err(self.lexer.error("arithmetic commands are not POSIX"));
        } else if self.lexer.take("(") {
            let list = self.list(&[")"])?;
            self.expect(")")?;
            Kind::Subshell(list, self.redirects()?)
        } else if self.lexer.take_word("{") {
            let list = self.list(&["}"])?;
            self.expect_word("}")?;
            Kind::Group(list, self.redirects()?)
        } else if self.lexer.take_word("if") {
            self.if_()?
        } else if self.lexer.take_word("for") {
            self.for_()?
        } else if self.lexer.is_word("while") || self.lexer.is_word("until") {
            let until = self.lexer.take_word("until");
            if !until {
                self.lexer.take_word("while");
            }
            let condition = self.list(&["do"])?;
            let body = self.body()?;
            Kind::While { until, condition, body, redirects: self.redirects()? }
        } else if self.lexer.take_word("case") {
            self.case()?
        } else if let Some(name) = self.lexer.function_name() {
            self.lexer.skip_lines()?;
            let body = self.command()?;
            if matches!(body.kind, Kind::Simple { .. } | Kind::Function { .. }) {
                return Err(self.lexer.error("a function without a body"));
            }
            Kind::Function { name, body: Box::new(body) }
        } else {
            self.simple()?
        };
        self.lexer.higher();
        Ok(Command { kind, start, end: self.lexer.position() })
    }

    fn expect(&mut self, text: &str) -> Result<(), Error> {
        if self.lexer.take(text) { Ok(()) } else { Err(self.lexer.error("a command is not closed")) }
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Error> {
        if self.lexer.take_word(word) { Ok(()) } else { Err(self.lexer.error("a command is not closed")) }
    }

    fn if_(&mut self) -> Result<Kind, Error> {
        let mut arms = Vec::new();
        let mut otherwise = List::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect_word("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            arms.push((condition, body));
            if self.lexer.take_word("elif") {
                continue;
            }
            if self.lexer.take_word("else") {
                otherwise = self.list(&["fi"])?;
            }
            self.expect_word("fi")?;
            return Ok(Kind::If { arms, otherwise, redirects: self.redirects()? });
        }
    }

    fn body(&mut self) -> Result<List, Error> {
        self.expect_word("do")?;
        let body = self.list(&["done"])?;
        self.expect_word("done")?;
        Ok(body)
    }

    fn for_(&mut self) -> Result<Kind, Error> {
        self.lexer.skip_blanks();
        let Some(name) = self.lexer.take_name() else {
            return Err(self.lexer.error("`for` without a variable"));
        };
        self.lexer.skip_lines()?;
        let words = if self.lexer.take_word("in") {
            let mut words = Vec::new();
            loop {
                self.lexer.skip_blanks();
                match self.lexer.word()? {
                    Some(word) => words.push(word),
                    None => break,
                }
            }
            Some(words)
        } else {
            None
        };
        self.lexer.skip_blanks();
        if !self.lexer.is_at(";;") {
            self.lexer.take(";");
        }
        self.lexer.skip_lines()?;
        let body = self.body()?;
        Ok(Kind::For { name, words, body, redirects: self.redirects()? })
    }

    fn case(&mut self) -> Result<Kind, Error> {
        self.lexer.skip_blanks();
        let Some(word) = self.lexer.word()? else {
            return Err(self.lexer.error("`case` without a word"));
        };
        self.lexer.skip_lines()?;
        self.expect_word("in")?;
        let mut arms = Vec::new();
        loop {
            self.lexer.skip_lines()?;
            if self.lexer.take_word("esac") {
                break;
            }
            self.lexer.take("(");
            let mut patterns = Vec::new();
            loop {
                self.lexer.skip_blanks();
                let Some(pattern) = self.lexer.word()? else {
                    return Err(self.lexer.error("an arm of `case` without a pattern"));
                };
                patterns.push(pattern);
                self.lexer.skip_blanks();
                if !self.lexer.take("|") {
                    break;
                }
            }
            self.expect(")")?;
            let body = self.list(&[";;", "esac"])?;
            arms.push((patterns, body));
            self.lexer.take(";;");
        }
        Ok(Kind::Case { word, arms, redirects: self.redirects()? })
    }

    fn redirects(&mut self) -> Result<Vec<Redirect>, Error> {
        let mut redirects = Vec::new();
        loop {
            self.lexer.skip_blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(redirects),
            }
        }
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, Error> {
        let before = self.lexer.mark();
        let number = self.lexer.take_digits();
        const OPERATORS: [(&str, u32, Operator); 11] = [
            ("&>>", 1, Operator::Append),
            ("&>", 1, Operator::Write),
            ("<<<", 0, Operator::Here),
            ("<<", 0, Operator::Here),
            ("<&", 0, Operator::Duplicate),
            ("<>", 0, Operator::Both),
            (">>", 1, Operator::Append),
            (">&", 1, Operator::Duplicate),
            (">|", 1, Operator::Write),
            ("<", 0, Operator::Read),
            (">", 1, Operator::Write),
        ];
        let found = OPERATORS.iter().find(|(text, ..)| self.lexer.is_at(text));
        let Some((text, default, operator)) = found else {
            self.lexer.reset(before);
            return Ok(None);
        };
        let descriptor = match number.as_deref() {
            None => *default,
            Some(digits) => digits.parse().map_err(|_| self.lexer.error("a descriptor that is no number"))?,
        };
        self.lexer.take(text);
        let word = if *text == "<<" {
            let strip = self.lexer.take("-");
            self.lexer.skip_blanks();
            let Some(end) = self.lexer.word()? else {
                return Err(self.lexer.error("a here-document without an end"));
            };
            let quoted = end.iter().any(|part| matches!(part, Part::Text { quoted: true, .. }));
            let mut name = String::new();
            for part in &end {
                match part {
                    Part::Text { text, .. } => name.push_str(text),
                    _ => return Err(self.lexer.error("a here-document whose end is no text")),
                }
            }
            self.lexer.here(&name, strip, quoted)?
        } else {
            self.lexer.skip_blanks();
            match self.lexer.word()? {
                Some(word) => word,
                None => return Err(self.lexer.error("a redirection without a file")),
            }
        };
        Ok(Some(Redirect { descriptor, operator: *operator, word }))
    }

    fn simple(&mut self) -> Result<Kind, Error> {
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirects = Vec::new();
        loop {
            self.lexer.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some(name) = self.lexer.take_assignment()?
            {
                assignments.push((name, self.lexer.word()?.unwrap_or_default()));
                continue;
            }
            let Some(word) = self.lexer.word()? else { break };
            let double = words.is_empty() && word == [Part::Text { text: "[[".to_owned(), quoted: false }];
            words.push(word);
            if double {
                words.extend(self.lexer.double_brackets()?);
            }
        }
        if words.is_empty() && assignments.is_empty() && redirects.is_empty() {
            return Err(self.lexer.error("something stands where no command can"));
        }
        Ok(Kind::Simple { assignments, words, redirects })
    }
}
