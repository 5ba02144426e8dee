//! Relations between packages (Debian policy 7.1).

use std::fmt;

use super::{Error, Version, shown};

/// How a version must stand to the one a relation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterEqual,
    /// `>>`
    Later,
}

impl Op {
    /// Returns whether `version` stands in this relation to `bound`.
    pub fn holds(&self, version: &Version, bound: &Version) -> bool {
        match self {
            Self::Earlier => version < bound,
            Self::EarlierEqual => version <= bound,
            Self::Equal => version == bound,
            Self::LaterEqual => version >= bound,
            Self::Later => version > bound,
        }
    }

    /// Returns the sign: `<<`, `<=`, `=`, `>=`, `>>`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierEqual => "<=",
            Self::Equal => "=",
            Self::LaterEqual => ">=",
            Self::Later => ">>",
        }
    }

    /// Returns the relation for a sign; the deprecated `<` and `>` mean `<=` and `>=`, as policy 7.1 says.
    pub fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "<<" => Self::Earlier,
            "<=" | "<" => Self::EarlierEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One package that a relation names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relation {
    /// Package name.
    pub name: String,
    /// What follows the colon: `any`, `native` or an architecture.
    pub qualifier: Option<String>,
    /// The version asked for.
    pub version: Option<(Op, Version)>,
    /// Architectures the relation is for, `false` where excluded by `!`; empty for all.
    pub architectures: Vec<(bool, String)>,
}

impl Relation {
    /// Returns whether the relation is for packages of `architecture`, by its architecture list.
    pub fn applies_to(&self, architecture: &str) -> bool {
        let listed = |name: &str| match name {
            "any" => true,
            "linux-any" => !architecture.contains('-'),
            _ => name == architecture || name.strip_prefix("any-") == Some(architecture),
        };
        match self.architectures.first() {
            None => true,
            Some((wanted, _)) => self.architectures.iter().any(|(_, name)| listed(name)) == *wanted,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((op, version)) = &self.version {
            write!(f, " ({op} {version})")?;
        }
        if !self.architectures.is_empty() {
            f.write_str(" [")?;
            for (n, (wanted, name)) in self.architectures.iter().enumerate() {
                write!(f, "{}{}{name}", if n > 0 { " " } else { "" }, if *wanted { "" } else { "!" })?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

/// Alternatives in the order written; one of them is enough. Never empty when parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dependency(pub Vec<Relation>);

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, relation) in self.0.iter().enumerate() {
            write!(f, "{}{relation}", if n > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

/// Returns whether `name` can be a package name: two or more letters, digits, `+`, `-`, `.`, a letter or digit first.
///
/// Upper-case letters are let through: virtual names have them.
pub fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 255
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Reads the value of `Depends`, `Conflicts`, `Provides` and their like; an empty text is an empty list.
pub fn parse_dependencies(text: &str) -> Result<Vec<Dependency>, Error> {
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|group| group.split('|').map(parse_relation).collect::<Result<_, _>>().map(Dependency))
        .collect()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

fn trim_start(text: &str) -> &str {
    &text[text.bytes().position(|byte| !is_blank(byte)).unwrap_or(text.len())..]
}

fn trim(text: &str) -> &str {
    let text = trim_start(text);
    &text[..text.bytes().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1)]
}

/// Splits `text` before its first blank, bracket of any kind, or colon.
fn split_word(text: &str) -> (&str, &str) {
    let ends = |byte| is_blank(byte) || matches!(byte, b'(' | b'[' | b'<' | b':');
    text.split_at(text.bytes().position(ends).unwrap_or(text.len()))
}

fn parse_relation(text: &str) -> Result<Relation, Error> {
    let text = trim(text);
    let wrong = |what: &str| Error::Relation { relation: shown(text), what: what.to_owned() };
    let (name, rest) = split_word(text);
    if !is_package_name(name) {
        return Err(wrong("it does not start with a package name"));
    }
    let (qualifier, rest) = match rest.strip_prefix(':') {
        None => (None, rest),
        Some(rest) => {
            let (qualifier, rest) = split_word(rest);
            if !is_architecture(qualifier) {
                return Err(wrong("the architecture after the colon is none"));
            }
            (Some(qualifier.to_owned()), rest)
        }
    };
    let mut rest = trim_start(rest);
    let mut version = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (inner, after) = inner.split_once(')').ok_or_else(|| wrong("a parenthesis is not closed"))?;
        let inner = trim(inner);
        let end = inner.bytes().position(|byte| !matches!(byte, b'<' | b'=' | b'>')).unwrap_or(inner.len());
        let (sign, bound) = inner.split_at(end);
        let op = Op::parse(sign).ok_or_else(|| wrong("the version has no relation such as `>=`"))?;
        let bound = Version::parse(trim_start(bound)).map_err(|error| match error {
            Error::Version { what, .. } => wrong(what),
            other => other,
        })?;
        version = Some((op, bound));
        rest = trim_start(after);
    }
    let mut architectures = Vec::new();
    if let Some(inner) = rest.strip_prefix('[') {
        let (inner, after) = inner.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
        for word in inner.split([' ', '\t', '\n']).filter(|word| !word.is_empty()) {
            let (wanted, name) = match word.strip_prefix('!') {
                None => (true, word),
                Some(name) => (false, name),
            };
            if !is_architecture(name) {
                return Err(wrong("the architecture list names none"));
            }
            architectures.push((wanted, name.to_owned()));
        }
        if architectures.is_empty() {
            return Err(wrong("the architecture list is empty"));
        }
        if architectures.iter().any(|(wanted, _)| *wanted != architectures[0].0) {
            return Err(wrong("the architecture list mixes names with and without `!`"));
        }
        rest = trim_start(after);
    }
    if rest.starts_with('<') {
        return Err(wrong("a build profile, which only source packages have"));
    }
    if !rest.is_empty() {
        return Err(wrong("text after its end"));
    }
    Ok(Relation { name: name.to_owned(), qualifier, version, architectures })
}

fn is_architecture(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let all = parse_dependencies(text).unwrap();
        all.iter().map(Dependency::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn relations_are_read_as_written() {
        for text in [
            "",
            "libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0",
            "python3:any (>= 3.11~), perl:native, libc6:arm64",
            "default-mta | mail-transport-agent [linux-any]",
            "foo (<< 1:2.0-1) [!i386 !amd64]",
        ] {
            assert_eq!(read(text), text);
        }
        assert_eq!(read(" a1(>=1),\n bb\t( = 2 )|cc "), "a1 (>= 1), bb (= 2) | cc");
    }

    #[test]
    fn the_old_signs_mean_what_policy_says() {
        assert_eq!(read("aa (< 1), bb (> 2)"), "aa (<= 1), bb (>= 2)");
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for text in [
            ",",
            "aa,",
            "aa,,bb",
            "aa|",
            "a",
            "aa bb",
            "aa (1)",
            "aa (>= )",
            "aa (>= 1",
            "aa (>= 1) x",
            "aa (=> 1)",
            "aa (>= 1) (<< 2)",
            "aa []",
            "aa [i386",
            "aa [i386 !amd64]",
            "aa <!nocheck>",
            "aa:",
            "aa:Any",
            "-aa",
            "aa (== 1)",
            "${misc:Depends}",
            "aa (>= ${v})",
            "a_b",
        ] {
            assert!(parse_dependencies(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signs_hold_as_they_say() {
        let version = |text| Version::parse(text).unwrap();
        let holds = |sign| ["1", "2", "3"].map(|found| Op::parse(sign).unwrap().holds(&version(found), &version("2")));
        assert_eq!(holds("<<"), [true, false, false]);
        assert_eq!(holds("<="), [true, true, false]);
        assert_eq!(holds("="), [false, true, false]);
        assert_eq!(holds(">="), [false, true, true]);
        assert_eq!(holds(">>"), [false, false, true]);
    }

    #[test]
    fn architecture_lists_choose() {
        let applies = |text: &str| parse_dependencies(text).unwrap()[0].0[0].applies_to("amd64");
        assert!(applies("aa"));
        assert!(applies("aa [amd64 arm64]"));
        assert!(applies("aa [linux-any]"));
        assert!(!applies("aa [arm64]"));
        assert!(!applies("aa [!amd64]"));
        assert!(applies("aa [!arm64]"));
    }
}
