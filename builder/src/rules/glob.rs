//! The patterns of rules: `*`, `?` and `[ab]` stay within a component, `**` crosses, `{a,b}` chooses.
//!
//! They are matched against a tree of names, a component at a time, so that a table of hundreds costs what it finds.

/// The most patterns that the braces of one make.
const MAX_ALTERNATIVES: usize = 256;

/// One component of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This name.
    Literal(String),
    /// Names of this form.
    Wild(String),
    /// Any number of components, none too.
    Any,
}

/// A pattern over paths, as rows of components; braces are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What was written.
    pub text: String,
    /// Each a way to match.
    pub alternatives: Vec<Vec<Part>>,
}

impl Pattern {
    /// Parses a pattern; `None` where its braces or brackets do not close, or make too many.
    pub fn parse(text: &str) -> Option<Self> {
        let mut alternatives = Vec::new();
        for one in expand(text)? {
            let parts = one.split('/').filter(|part| !part.is_empty()).map(|part| match part {
                "**" => Part::Any,
                wild if wild.contains(['*', '?', '[']) => Part::Wild(wild.to_owned()),
                literal => Part::Literal(literal.to_owned()),
            });
            alternatives.push(parts.collect());
        }
        Some(Self { text: text.to_owned(), alternatives })
    }

    /// Returns whether the pattern fits a path without leading slash.
    pub fn fits(&self, path: &str) -> bool {
        let components: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        self.alternatives.iter().any(|parts| row(parts, &components))
    }
}

fn row(parts: &[Part], components: &[&str]) -> bool {
    match (parts.split_first(), components.split_first()) {
        (None, None) => true,
        (Some((Part::Any, rest)), _) => (0..=components.len()).any(|skip| row(rest, &components[skip..])),
        (Some((part, rest)), Some((name, below))) => fits(part, name) && row(rest, below),
        _ => false,
    }
}

/// Returns whether one component fits; [`Part::Any`] fits each.
pub fn fits(part: &Part, name: &str) -> bool {
    match part {
        Part::Literal(literal) => literal == name,
        Part::Wild(wild) => component(wild, name),
        Part::Any => true,
    }
}

/// Returns whether a name fits a pattern with `*`, `?` and `[ab]`; a bracket that does not close is a plain character.
pub fn component(pattern: &str, name: &str) -> bool {
    let mut pattern_at = pattern.chars();
    let Some(first) = pattern_at.next() else { return name.is_empty() };
    let rest = pattern_at.as_str();
    let mut name_at = name.chars();
    match first {
        '*' => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| component(rest, &name[at..]))
        }
        '?' => name_at.next().is_some() && component(rest, name_at.as_str()),
        '[' if rest.contains(']') => {
            let (set, rest) = rest.split_once(']').unwrap_or((rest, ""));
            name_at.next().is_some_and(|character| in_set(set, character)) && component(rest, name_at.as_str())
        }
        plain => name_at.next() == Some(plain) && component(rest, name_at.as_str()),
    }
}

fn in_set(set: &str, character: char) -> bool {
    let (negated, set) = set.strip_prefix('!').map_or((false, set), |set| (true, set));
    let characters: Vec<char> = set.chars().collect();
    let mut found = false;
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        if let (Some('-'), Some(last)) = (characters.get(at + 1), characters.get(at + 2)) {
            found |= (*first..=*last).contains(&character);
            at += 3;
        } else {
            found |= *first == character;
            at += 1;
        }
    }
    found != negated
}

/// Returns what the braces of a pattern make.
fn expand(text: &str) -> Option<Vec<String>> {
    let mut made = vec![String::new()];
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}')? + open;
        let inside = &rest[open + 1..close];
        if inside.contains('{') {
            return None;
        }
        let head = &rest[..open];
        made =
            made.iter().flat_map(|one| inside.split(',').map(move |choice| format!("{one}{head}{choice}"))).collect();
        if made.len() > MAX_ALTERNATIVES {
            return None;
        }
        rest = &rest[close + 1..];
    }
    if rest.contains('}') {
        return None;
    }
    made.iter_mut().for_each(|one| one.push_str(rest));
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_globs_do() {
        for (pattern, path, expected) in [
            ("/usr/bin/git", "usr/bin/git", true),
            ("/usr/bin/*", "usr/bin/git", true),
            ("/usr/bin/*", "usr/bin/a/b", false),
            ("/usr/lib/**", "usr/lib/a/b", true),
            ("/usr/lib/**", "usr/lib", true),
            ("/usr/lib/**/lib*.so.[0-9]*", "usr/lib/x/y/liba.so.1", true),
            ("/usr/lib/**/lib*.so.[0-9]*", "usr/lib/x/y/liba.so.a", false),
            ("/usr/{bin,sbin}/x{1,2}", "usr/sbin/x2", true),
            ("/usr/{bin,sbin}/x{1,2}", "usr/lib/x2", false),
            ("/usr/bin/python3.?", "usr/bin/python3.1", true),
            ("/usr/bin/[!a]*", "usr/bin/b", true),
            ("/usr/bin/[!a]*", "usr/bin/a", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().fits(path), expected, "{pattern} {path}");
        }
        assert!(Pattern::parse("/a/{b").is_none() && Pattern::parse("/a}").is_none());
    }
}
