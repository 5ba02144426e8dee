//! Words become fields (POSIX XCU 2.6): parameters, substitutions, splitting, file names.

use super::machine::Machine;
use super::root::{Root, UNKNOWN};
use crate::shell::{Change, Part, Word};

/// The longest text that an expansion gives.
pub(super) const MAX_TEXT: usize = 256 << 10;
/// The most fields of one command.
const MAX_FIELDS: usize = 4096;

/// What is known of a question with two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

impl Truth {
    pub(super) fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// A text of which every character is quoted or not.
#[derive(Debug, Clone, Default)]
struct Field {
    text: String,
    /// The same as a pattern: quoted characters are escaped.
    pattern: String,
    any: bool,
}

impl Field {
    fn push(&mut self, text: &str, quoted: bool) {
        if self.text.len() + text.len() > MAX_TEXT {
            self.text = UNKNOWN.to_string();
            self.pattern = UNKNOWN.to_string();
            return;
        }
        self.text.push_str(text);
        for c in text.chars() {
            if quoted && matches!(c, '*' | '?' | '[' | '\\' | ']') {
                self.pattern.push('\\');
            }
            self.pattern.push(c);
        }
        self.any |= quoted || !text.is_empty();
    }
}

impl Machine<'_> {
    /// Returns the fields of a command's words.
    pub(super) fn fields(&mut self, words: &[Word]) -> Vec<String> {
        let mut all = Vec::new();
        for word in words {
            for field in self.split(word) {
                if all.len() >= MAX_FIELDS {
                    // What is left out is not known.
                    all.push(UNKNOWN.to_string());
                    return all;
                }
                match has_wildcard(&field.pattern) && !field.text.contains(UNKNOWN) {
                    true => {
                        let found = glob(self.root, &field.pattern);
                        if found.is_empty() { all.push(field.text) } else { all.extend(found) }
                    }
                    false => all.push(field.text),
                }
            }
        }
        all
    }

    /// Returns a word as one text: of an assignment, a here-document, a redirection.
    pub(super) fn one(&mut self, word: &Word) -> String {
        self.join(word).text
    }

    /// Returns a word as a pattern.
    pub(super) fn pattern(&mut self, word: &Word) -> String {
        self.join(word).pattern
    }

    fn join(&mut self, word: &Word) -> Field {
        let mut field = Field::default();
        for part in word {
            let (text, quoted) = self.part(part);
            self.root.meter.spend(text.len() + 16);
            field.push(&text, quoted);
        }
        field
    }

    fn split(&mut self, word: &Word) -> Vec<Field> {
        let mut fields = vec![Field::default()];
        for part in word {
            if let Part::Parameter { name, change: Change::None, quoted } = part
                && (name == "@" || name == "*" && !quoted)
            {
                self.root.meter.keep(self.arguments.iter().map(String::len).sum());
                for (number, argument) in self.arguments.clone().into_iter().enumerate() {
                    if number > 0 {
                        fields.push(Field::default());
                    }
                    fields.last_mut().expect("there is always a field").push(&argument, *quoted);
                }
                continue;
            }
            let (text, quoted) = self.part(part);
            self.root.meter.spend(text.len() * 2 + 16);
            let literal = matches!(part, Part::Text { .. });
            if quoted || literal {
                fields.last_mut().expect("there is always a field").push(&text, quoted);
                continue;
            }
            let separators = self.variables.get("IFS").cloned().unwrap_or_else(|| " \t\n".to_owned());
            let pieces = text.split(|c| separators.contains(c));
            let mut first = true;
            for piece in pieces {
                if !first && fields.last().is_some_and(|field| field.any) {
                    fields.push(Field::default());
                }
                first = false;
                if fields.len() > MAX_FIELDS {
                    fields.last_mut().expect("there is always a field").push(&UNKNOWN.to_string(), true);
                    break;
                }
                fields.last_mut().expect("there is always a field").push(piece, false);
            }
        }
        fields.retain(|field| field.any);
        fields
    }

    fn part(&mut self, part: &Part) -> (String, bool) {
        match part {
            Part::Text { text, quoted } => (text.replace(UNKNOWN, "?"), *quoted),
            Part::Parameter { name, change, quoted } => (self.parameter(name, change), *quoted),
            Part::Command { list, text, quoted } => (self.substitute(list, text), *quoted),
            Part::Arithmetic(text) => (self.arithmetic(text), true),
            Part::Other => (UNKNOWN.to_string(), false),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "@" | "*" => Some(self.arguments.join(" ")),
            "#" => Some(self.arguments.len().to_string()),
            "?" => Some(match self.last {
                Truth::Yes => "0".to_owned(),
                // Of what is followed here, only what says no fails, and says it so.
                Truth::No => "1".to_owned(),
                Truth::Unknown => UNKNOWN.to_string(),
            }),
            "0" => Some(format!("/var/lib/dpkg/info/{}.{}", self.package, self.script)),
            "$" | "!" => Some(UNKNOWN.to_string()),
            "-" => Some("e".to_owned()),
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                let number: usize = name.parse().ok()?;
                self.arguments.get(number.checked_sub(1)?).cloned()
            }
            _ => self.variables.get(name).cloned(),
        }
    }

    fn parameter(&mut self, name: &str, change: &Change) -> String {
        let value = self.value(name);
        self.root.meter.spend(value.as_ref().map_or(0, String::len));
        let filled = |value: &Option<String>, colon: bool| match value {
            None => Truth::No,
            Some(value) if !colon => Truth::from(!value.is_empty() || !colon),
            Some(value) if value.is_empty() => Truth::No,
            Some(value) if value.chars().all(|c| c == UNKNOWN) => Truth::Unknown,
            Some(_) => Truth::Yes,
        };
        let unknown = UNKNOWN.to_string();
        match change {
            Change::None => value.unwrap_or_default(),
            Change::Length => match value.unwrap_or_default() {
                value if value.contains(UNKNOWN) => unknown,
                value => value.chars().count().to_string(),
            },
            Change::Default(word, colon) => match filled(&value, *colon) {
                Truth::Yes => value.unwrap_or_default(),
                Truth::No => self.one(word),
                Truth::Unknown => unknown,
            },
            Change::Assign(word, colon) => match filled(&value, *colon) {
                Truth::Yes => value.unwrap_or_default(),
                Truth::No => {
                    let value = self.one(word);
                    self.variables.insert(name.to_owned(), value.clone());
                    value
                }
                Truth::Unknown => unknown,
            },
            Change::Require(_, _) => value.unwrap_or_default(),
            Change::Alternative(word, colon) => match filled(&value, *colon) {
                Truth::Yes => self.one(word),
                Truth::No => String::new(),
                Truth::Unknown => unknown,
            },
            Change::Prefix(word, longest) | Change::Suffix(word, longest) => {
                let (value, pattern) = (value.unwrap_or_default(), self.pattern(word));
                if value.contains(UNKNOWN) || pattern.contains(UNKNOWN) || value.len() > 4096 {
                    return unknown;
                }
                let prefix = matches!(change, Change::Prefix(..));
                let mut cuts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
                if prefix == *longest {
                    cuts.reverse();
                }
                for at in cuts {
                    let (head, tail) = value.split_at(at);
                    let (taken, left) = if prefix { (head, tail) } else { (tail, head) };
                    match self.root.meter.matches(&pattern, taken) {
                        Truth::Yes => return left.to_owned(),
                        Truth::No => {}
                        Truth::Unknown => return unknown,
                    }
                }
                value
            }
            Change::Other => unknown,
        }
    }

    /// Sums and products of numbers; all else is unknown.
    fn arithmetic(&mut self, text: &str) -> String {
        let mut total = 0_i64;
        let mut sign = 1;
        for token in text.replace('+', " + ").replace('-', " - ").split_whitespace() {
            match token {
                "+" => {}
                "-" => sign = -sign,
                token => {
                    let name = token.trim_start_matches('$');
                    let value = match token.parse::<i64>() {
                        Ok(number) => Some(number),
                        Err(_) => self.value(name).and_then(|value| {
                            self.root.meter.spend(value.len());
                            value.parse().ok()
                        }),
                    };
                    match value.and_then(|value| total.checked_add(value.checked_mul(sign)?)) {
                        Some(sum) => total = sum,
                        None => return UNKNOWN.to_string(),
                    }
                    sign = 1;
                }
            }
        }
        total.to_string()
    }
}

pub(super) fn has_wildcard(pattern: &str) -> bool {
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Returns the paths that fit a pattern, sorted.
fn glob(root: &Root, pattern: &str) -> Vec<String> {
    // From the root, or from where the script is.
    let start = if pattern.starts_with('/') { String::new() } else { format!("/{}", root.working) };
    let start = start.trim_end_matches('/').to_owned();
    if start.contains(UNKNOWN) {
        return Vec::new();
    }
    let rest = pattern.trim_start_matches('/');
    let mut found = vec![start.clone()];
    for component in rest.split('/').filter(|component| !component.is_empty()) {
        let mut next = Vec::new();
        for directory in &found {
            if has_wildcard(component) {
                let names = root.names(&format!("{directory}/")).into_iter();
                let fits = names.filter(|name| !name.starts_with('.') || component.starts_with('.'));
                next.extend(
                    fits.filter(|name| root.meter.matches(component, name) == Truth::Yes)
                        .map(|name| format!("{directory}/{name}")),
                );
            } else {
                let path = format!("{directory}/{}", component.replace('\\', ""));
                if root.find_link(&path).is_some() {
                    next.push(path);
                }
            }
        }
        if next.len() > MAX_FIELDS {
            next.truncate(MAX_FIELDS);
            next.push(UNKNOWN.to_string());
        }
        found = next;
    }
    if !pattern.starts_with('/') {
        found = found.into_iter().map(|path| path[(start.len() + 1).min(path.len())..].to_owned()).collect();
    }
    found
}

/// Returns whether a text fits a pattern (POSIX XCU 2.13).
pub(super) fn matches(pattern: &str, text: &str) -> Truth {
    if pattern.chars().all(|c| c == '*') && !pattern.is_empty() {
        return Truth::Yes;
    }
    if text.contains(UNKNOWN) || pattern.contains(UNKNOWN) {
        if pattern.contains(UNKNOWN) {
            return Truth::Unknown;
        }
        let known = text.split(UNKNOWN).next().unwrap_or_default();
        let literal: String = pattern.split(['*', '?', '[', '\\']).next().unwrap_or_default().to_owned();
        let may = known.starts_with(&literal) || literal.starts_with(known);
        return if may { Truth::Unknown } else { Truth::No };
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
            continue;
        } else if t < text.len() && p < pattern.len() {
            fits(&pattern[p..], text[t])
        } else {
            None
        };
        match step {
            Some(length) => {
                p += length;
                t += 1;
            }
            None if t == text.len() && p == pattern.len() => return Truth::Yes,
            None => match star {
                Some((at, reach)) if reach < text.len() => {
                    star = Some((at, reach + 1));
                    p = at + 1;
                    t = reach + 1;
                }
                _ => return Truth::No,
            },
        }
    }
}

/// Returns how many characters of the pattern one character of the text takes, if it fits.
fn fits(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        '[' => {
            let negated = pattern.get(1).is_some_and(|c| matches!(c, '!' | '^'));
            let start = if negated { 2 } else { 1 };
            let end = (start + 1..pattern.len()).find(|at| pattern[*at] == ']');
            let Some(end) = end else { return (c == '[').then_some(1) };
            let mut inside = false;
            let set = &pattern[start..end];
            let mut at = 0;
            while at < set.len() {
                if at + 2 < set.len() && set[at + 1] == '-' {
                    inside |= set[at] <= c && c <= set[at + 2];
                    at += 3;
                } else {
                    inside |= set[at] == c;
                    at += 1;
                }
            }
            (inside != negated).then_some(end + 1)
        }
        literal => (literal == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", Truth::Yes),
            ("a*c", "abbc", Truth::Yes),
            ("a*c", "abb", Truth::No),
            ("[0-9]*", "7x", Truth::Yes),
            ("[!0-9]", "7", Truth::No),
            ("a\\*", "a*", Truth::Yes),
            ("a\\*", "ab", Truth::No),
            ("?b", "ab", Truth::Yes),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Truth::No),
            ("x*", "y\u{10FFFD}", Truth::No),
            ("x*", "x\u{10FFFD}", Truth::Unknown),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
