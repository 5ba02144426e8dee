//! Licence expressions: SPDX 2.3 annex D, and the short form of Debian's machine-readable copyright files 1.0.

use std::collections::BTreeSet;
use std::fmt;

use super::names::{self, Name};

/// The most tokens of a short form that is read; real ones have a dozen.
const MAX_TOKENS: usize = 256;
/// The most alternatives of one choice, and licences of one conjunction, that are written.
const MAX_OPERANDS: usize = 2_000;

/// A licence expression.
///
/// Operands are flat, sorted and unique, and there are two at least; `WITH` stands inside of a [`Self::License`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expression {
    /// One licence as SPDX writes it, an exception with it: `GPL-3.0-or-later WITH GCC-exception-3.1`.
    License(String),
    /// Whichever one likes.
    Or(BTreeSet<Expression>),
    /// All of them.
    And(BTreeSet<Expression>),
}

impl Expression {
    /// Returns the conjunction of `all`; `None` of nothing.
    pub fn all(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut flat = BTreeSet::new();
        for one in all {
            match one {
                Self::And(more) => flat.extend(more),
                other => {
                    flat.insert(other);
                }
            }
        }
        if flat.len() > 1 { Some(Self::And(flat)) } else { flat.pop_first() }
    }

    /// Returns the choice between `any`; `None` of nothing.
    pub fn any(any: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut flat = BTreeSet::new();
        for one in any {
            match one {
                Self::Or(more) => flat.extend(more),
                other => {
                    flat.insert(other);
                }
            }
        }
        if flat.len() > 1 { Some(Self::Or(flat)) } else { flat.pop_first() }
    }

    /// Returns whether it can be written: neither side of it is endless.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::License(_) => true,
            Self::Or(parts) | Self::And(parts) => {
                parts.len() <= MAX_OPERANDS && parts.iter().all(|part| part.is_bounded())
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::License(name) => return f.write_str(name),
            Self::Or(parts) => (parts, " OR "),
            Self::And(parts) => (parts, " AND "),
        };
        for (number, part) in parts.iter().enumerate() {
            if number > 0 {
                f.write_str(word)?;
            }
            match part {
                Self::License(name) => f.write_str(name)?,
                other => write!(f, "({other})")?,
            }
        }
        Ok(())
    }
}

/// Reads the first line of a `License` field (machine-readable copyright 1.0, 7.2): names joined by `or` and `and`,
/// `and` the tighter one, and by commas, the loosest. `resolve` says what a name stands for.
///
/// `None` of a line without a name, and of one that is longer than any real one.
pub(super) fn read_short(line: &str, resolve: &mut dyn FnMut(&Name) -> Expression) -> Option<Expression> {
    let tokens: Vec<Token> = tokens(line);
    if tokens.len() > MAX_TOKENS {
        return None;
    }
    // What stands between commas is joined by the word that starts the next piece, `and` if there is none.
    let mut whole: Option<Expression> = None;
    for piece in tokens.split(|token| *token == Token::Comma) {
        let (word, piece) = match piece {
            [word @ (Token::And | Token::Or), rest @ ..] => (word.clone(), rest),
            other => (Token::And, other),
        };
        let Some(next) = choice(piece, resolve) else { continue };
        whole = match (whole, word) {
            (None, _) => Some(next),
            (Some(before), Token::Or) => Expression::any([before, next]),
            (Some(before), _) => Expression::all([before, next]),
        };
    }
    whole
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    And,
    Or,
    Comma,
    Word(String),
}

fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let line = line.replace("_or_", " or ").replace("_and_", " and ");
    for chunk in line.split_whitespace() {
        let mut rest = chunk;
        while let Some(at) = rest.find([',', ';', '|', '&']) {
            let (word, mark) = (&rest[..at], &rest[at..at + 1]);
            push(&mut tokens, word);
            match mark {
                "|" => tokens.push(Token::Or),
                "&" => tokens.push(Token::And),
                _ => tokens.push(Token::Comma),
            }
            rest = &rest[at + 1..];
        }
        push(&mut tokens, rest);
    }
    tokens
}

fn push(tokens: &mut Vec<Token>, word: &str) {
    let word = word.trim_matches(['(', ')', '"', '`', '\'']);
    let token = match word.to_ascii_lowercase().as_str() {
        "" => return,
        // To be on the safe side: what may be meant as both is read as the more.
        "and" | "and/or" => Token::And,
        "or" => Token::Or,
        _ => Token::Word(word.to_owned()),
    };
    tokens.push(token);
}

/// Reads `a and b or c`.
fn choice(tokens: &[Token], resolve: &mut dyn FnMut(&Name) -> Expression) -> Option<Expression> {
    let mut arms = Vec::new();
    let mut parts = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) => words.push(word),
            Token::Or if !words.is_empty() && later(&tokens[at + 1..]) => words.push("or"),
            Token::And | Token::Or | Token::Comma => {
                parts.extend(license(&words, resolve));
                words.clear();
                if *token == Token::Or {
                    arms.extend(Expression::all(std::mem::take(&mut parts)));
                }
            }
        }
    }
    parts.extend(license(&words, resolve));
    arms.extend(Expression::all(parts));
    Expression::any(arms)
}

/// Returns whether what follows an `or` makes it the `or later` of one licence.
fn later(rest: &[Token]) -> bool {
    let word = |at: usize| match rest.get(at) {
        Some(Token::Word(word)) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    matches!(word(0).as_str(), "later" | "newer" | "greater" | "above")
        || word(0) == "any" && matches!(word(1).as_str(), "later" | "newer")
}

fn license(words: &[&str], resolve: &mut dyn FnMut(&Name) -> Expression) -> Option<Expression> {
    if words.is_empty() { None } else { Some(resolve(&names::parse(words))) }
}

/// Reads an expression that is SPDX's own (of a spec, of a language's package), strictly but for the case of letters
/// (SPDX 2.3, D.2) and deprecated names that have a successor. `None` where it is none.
pub fn read_spdx(text: &str) -> Option<Expression> {
    if text.len() > 16 << 10 {
        return None;
    }
    let mode = spdx::ParseMode { allow_deprecated: true, allow_postfix_plus_on_gpl: true, ..spdx::ParseMode::STRICT };
    let parsed = spdx::Expression::parse_mode(&names::in_the_case_of_the_list(text), mode).ok()?;
    // The nodes stand in postfix order.
    let mut stack: Vec<Expression> = Vec::new();
    for node in parsed.iter() {
        match node {
            spdx::expression::ExprNode::Req(requirement) => {
                stack.push(Expression::License(names::current(&requirement.req.to_string())?));
            }
            spdx::expression::ExprNode::Op(operator) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.extend(match operator {
                    spdx::expression::Operator::And => Expression::all([left, right]),
                    spdx::expression::Operator::Or => Expression::any([left, right]),
                });
            }
        }
    }
    let whole = stack.pop()?;
    stack.is_empty().then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(line: &str) -> String {
        let mut resolve = |name: &Name| Expression::License(name.to_string());
        read_short(line, &mut resolve).map_or_else(|| "-".to_owned(), |expression| expression.to_string())
    }

    #[test]
    fn commas_bind_loosest_then_or_then_and() {
        for (line, expected) in [
            ("GPL-2+", "GPL-2+"),
            ("GPL-1+ or Artistic", "Artistic OR GPL-1+"),
            ("A and B or C", "C OR (A AND B)"),
            ("A or B, and C", "C AND (A OR B)"),
            ("A, B and C", "A AND B AND C"),
            ("A and B, or C", "C OR (A AND B)"),
            ("GPL-1+ or Artistic, and Unicode, and Expat", "Expat AND Unicode AND (Artistic OR GPL-1+)"),
            ("GPL-2+ with distribution exception, Expat and GPL-2+", "Expat AND GPL-2+ AND GPL-2+ with distribution"),
            (
                "GPL-2 with Linux-syscall-note exception OR BSD-3-Clause",
                "BSD-3-Clause OR GPL-2 with Linux-syscall-note",
            ),
            ("A | B & C", "A OR (B AND C)"),
            ("GPL-2 or later", "GPL-2+"),
            ("GPL version 2 or any later version", "GPL-2+"),
            ("A or A", "A"),
            ("LGPLv3+_or_GPLv2+", "GPLv2+ OR LGPLv3+"),
            (", or", "-"),
            ("", "-"),
        ] {
            assert_eq!(short(line), expected, "{line}");
        }
        assert_eq!(short(&"A or ".repeat(10_000)), "-");
    }

    #[test]
    fn spdx_is_read_and_written_in_one_form() {
        for (text, expected) in [
            ("mit", Some("MIT")),
            ("apache-2.0 with llvm-exception or (zlib)", Some("Apache-2.0 WITH LLVM-exception OR Zlib")),
            ("MIT", Some("MIT")),
            ("(MIT)", Some("MIT")),
            ("GPL-2.0", Some("GPL-2.0-only")),
            ("GPL-2.0+", Some("GPL-2.0-or-later")),
            ("Apache-2.0+", Some("Apache-2.0+")),
            (
                "Zlib OR Apache-2.0 WITH LLVM-exception AND MIT",
                Some("Zlib OR (Apache-2.0 WITH LLVM-exception AND MIT)"),
            ),
            ("LicenseRef-Debian-x-y", Some("LicenseRef-Debian-x-y")),
            ("NOASSERTION", None),
            ("", None),
        ] {
            assert_eq!(read_spdx(text).map(|one| one.to_string()).as_deref(), expected, "{text}");
        }
    }
}
