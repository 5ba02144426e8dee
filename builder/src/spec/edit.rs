//! Changes a spec's packages in its text: comments, order and style of everything else stay as they are.
//!
//! In: the text of one file and what is to be added or removed. Out: the new text. Only the list `packages` of that very
//! file is touched; whether the result is a spec is for the caller to see.

use std::ops::Range;
use std::sync::Arc;

use super::error::{Report, nearest};
use super::form;
use super::node::{self, Key, Node, Value};
use super::scalar::{Plain, resolve};
use crate::diag::{Diagnose, Label, Source, Span};

/// Keys behind which `packages` is put where there is none.
const BEFORE: &[&str] = &["version", "name", "extends", "distro", "platforms", "archives"];

/// A package to add or remove, as a command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageWord {
    /// As it was given.
    text: String,
    /// The package's name, or the path of its file.
    name: String,
    kind: Kind,
    /// Relation and version.
    version: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wanted,
    Excluded,
    File,
}

impl PackageWord {
    /// Parses `name`, `name >= 1.22`, `!name`, or the path of a `.deb` beneath the spec's directory.
    pub fn parse(text: &str) -> Option<Self> {
        if text.ends_with(".deb") && (form::DEB.valid)(text) {
            let name = text.strip_prefix("./").unwrap_or(text).to_owned();
            return Some(Self { text: text.to_owned(), name, kind: Kind::File, version: None });
        }
        let slice = || super::SliceName::parse(text).is_some().then_some((false, text, None));
        let (excluded, name, version) = form::parse_package(text).or_else(slice)?;
        Some(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            kind: if excluded { Kind::Excluded } else { Kind::Wanted },
            version: version.map(|(relation, version)| (relation.to_owned(), version.to_owned())),
        })
    }

    /// Returns the package's name, or the path of its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether a package of an archive is asked for, or one that is never installed.
    pub fn is_excluded(&self) -> bool {
        self.kind == Kind::Excluded
    }

    /// Returns whether it is a package's name and nothing more.
    pub fn is_bare(&self) -> bool {
        self.kind == Kind::Wanted && self.version.is_none()
    }

    /// Returns the word as an item of a YAML list.
    fn item(&self) -> String {
        match self.kind {
            Kind::Excluded => format!("\"!{}\"", self.name),
            Kind::Wanted => scalar(&match &self.version {
                Some((relation, version)) => format!("{} {relation} {version}", self.name),
                None => self.name.clone(),
            }),
            Kind::File => format!("{{deb: {}}}", scalar(&self.name)),
        }
    }
}

/// Writes a text as a YAML scalar, in quotes only where it needs them.
fn scalar(text: &str) -> String {
    let tame = |c: char| c.is_ascii_alphanumeric() || " ./+~<>=:-_".contains(c);
    let plain = resolve(text) == Plain::Text
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(tame)
        && !text.contains(": ")
        && !text.ends_with([' ', ':']);
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Why a spec's text is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A package to remove that the spec's own list does not have.
    #[error("cannot remove `{word}`: `{name}` does not list it")]
    NotListed {
        /// As given.
        word: String,
        /// The spec.
        name: String,
        /// What might be meant.
        near: Option<String>,
    },
    /// A package to remove that a file has which the spec extends.
    #[error("cannot remove `{word}`: it stands in `{other}`, which `{name}` extends")]
    Elsewhere {
        /// As given.
        word: String,
        /// The spec.
        name: String,
        /// The file that it extends.
        other: String,
    },
    /// A package to add that the spec excludes, or the other way round.
    #[error("cannot add `{word}`: `{}` says otherwise", source_text.name)]
    Contrary {
        /// As given.
        word: String,
        /// The spec's text.
        source_text: Arc<Source>,
        /// What says so.
        span: Span,
        /// What stands there, as a word for `remove`.
        there: String,
    },
    /// A text whose `packages` is no list that can be changed.
    #[error("cannot change `{}`: its `packages` is no list", .0.name)]
    Unfit(Arc<Source>),
}

impl Diagnose for EditError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotListed { .. } => "spec::not-listed",
            Self::Elsewhere { .. } => "spec::elsewhere",
            Self::Contrary { .. } => "spec::contrary",
            Self::Unfit(_) => "spec::unfit",
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::Contrary { source_text, span, .. } => {
                vec![Label { source: source_text.clone(), span: *span, text: String::new() }]
            }
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotListed { near: Some(near), .. } => vec![format!("did you mean `{near}`?")],
            Self::NotListed { near: None, .. } | Self::Unfit(_) => Vec::new(),
            Self::Elsewhere { word, other, .. } => {
                vec![format!("`tarsia remove {other} {word}`, if nothing else needs it there")]
            }
            Self::Contrary { there, .. } => vec![format!("`tarsia remove SPEC '{there}'` first")],
        }
    }
}

/// Returns the text with `word` in its list, the same text where it is there already.
///
/// A word without a version is there whatever version the list asks for; a word with another version takes its place.
pub fn add(source: &Arc<Source>, word: &PackageWord) -> Result<String, EditError> {
    let text = &source.text;
    let Some(root) = tree(source) else { return Err(EditError::Unfit(source.clone())) };
    let Some((key, list)) = root.entries().iter().find(|(key, _)| key.text == "packages") else {
        return Ok(with_list(text, &root, word));
    };
    match &list.value {
        Value::Null => {
            let end = list.span.end.max(after_colon(text, key));
            let lines = format!("{}  - {}", newline(text), word.item());
            return Ok(replaced(text, after_colon(text, key)..end, &lines));
        }
        Value::List(_) => {}
        _ => return Err(EditError::Unfit(source.clone())),
    }
    for (node, listed) in listed(list) {
        if listed.name != word.name {
            continue;
        }
        if listed.kind != word.kind {
            let there = if listed.kind == Kind::Excluded { format!("!{}", listed.name) } else { listed.name };
            let (word, source_text) = (word.text.clone(), source.clone());
            return Err(EditError::Contrary { word, source_text, span: node.span, there });
        }
        if word.version.is_none() || word.version == listed.version {
            return Ok(text.clone());
        }
        let place = node.get("name").unwrap_or(node);
        return Ok(replaced(text, place.span.start..place.span.end, &word.item()));
    }
    Ok(appended(text, list, word))
}

/// Returns the text without the item that `word` names; its version does not matter.
pub fn remove(source: &Arc<Source>, word: &PackageWord) -> Result<String, EditError> {
    let text = &source.text;
    let root = tree(source);
    let entries = root.as_ref().map(Node::entries).unwrap_or_default();
    let found = entries.iter().find(|(key, _)| key.text == "packages");
    let items: Vec<(&Node, PackageWord)> = found.map(|(_, list)| listed(list)).unwrap_or_default();
    let at = items.iter().position(|(_, listed)| (listed.kind, &listed.name) == (word.kind, &word.name));
    let (Some((key, list)), Some(at)) = (found, at) else {
        let words: Vec<String> = items.into_iter().map(|(_, listed)| listed.text).collect();
        let near = nearest(&word.text, words.iter().map(String::as_str)).map(str::to_owned);
        return Err(EditError::NotListed { word: word.text.clone(), name: source.name.clone(), near });
    };
    let span = items[at].0.span;
    if text[list.span.start..].starts_with('[') {
        let nodes = list.items();
        let at = nodes.iter().position(|node| node.span == span).unwrap_or(0);
        let range = match (nodes.get(at + 1), at.checked_sub(1)) {
            (Some(next), _) => span.start..next.span.start,
            (None, Some(before)) => nodes[before].span.end..span.end,
            (None, None) => span.start..span.end,
        };
        return Ok(replaced(text, range, ""));
    }
    let start = text[..dash(text, span.start)].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at + 1);
    let rest = replaced(text, start..end, "");
    if list.items().len() > 1 {
        Ok(rest)
    } else {
        Ok(replaced(&rest, after_colon(text, key)..after_colon(text, key), " []"))
    }
}

fn tree(source: &Arc<Source>) -> Option<Node> {
    node::parse(&mut Report::new(source))
}

/// Returns the items of a list that name packages, each with its word.
fn listed(list: &Node) -> Vec<(&Node, PackageWord)> {
    let word = |node: &Node| match node.get("deb") {
        Some(path) => PackageWord::parse(path.text()?),
        None => PackageWord::parse(node.get("name").unwrap_or(node).text()?),
    };
    list.items().iter().filter_map(|node| Some((node, word(node)?))).collect()
}

/// Returns the text with a list of its own behind the keys that come before it.
fn with_list(text: &str, root: &Node, word: &PackageWord) -> String {
    let before = root.entries().iter().filter(|(key, _)| BEFORE.contains(&key.text.as_str()));
    let end = before.map(|(key, node)| node.span.end.max(key.span.end)).max().unwrap_or(text.len());
    let end = line_end(text, end);
    let newline = newline(text);
    replaced(text, end..end, &format!("{newline}packages:{newline}  - {}", word.item()))
}

/// Returns the text with one more item at the end of a list.
fn appended(text: &str, list: &Node, word: &PackageWord) -> String {
    let item = word.item();
    let last = list.items().last().map(|node| node.span);
    if text[list.span.start..].starts_with('[') {
        let Some(last) = last else { return replaced(text, list.span.start..list.span.end, &format!("[{item}]")) };
        let start = text[..last.start].rfind('\n').map_or(0, |at| at + 1);
        let own_line = text[start..last.start].chars().all(char::is_whitespace) && start > list.span.start;
        let between =
            if own_line { format!(",{}{}", newline(text), &text[start..last.start]) } else { ", ".to_owned() };
        return replaced(text, last.end..last.end, &format!("{between}{item}"));
    }
    let Some(last) = last else { return text.to_owned() };
    let dash = dash(text, last.start);
    let start = text[..dash].rfind('\n').map_or(0, |at| at + 1);
    let end = line_end(text, last.end);
    replaced(text, end..end, &format!("{}{}- {item}", newline(text), &text[start..dash]))
}

/// Returns where the dash of the block item stands whose value begins at `start`.
fn dash(text: &str, start: usize) -> usize {
    text[..start].rfind('-').unwrap_or(start)
}

fn after_colon(text: &str, key: &Key) -> usize {
    text[key.span.end..].find(':').map_or(key.span.end, |at| key.span.end + at + 1)
}

/// Returns the end of the line that `at` stands in, its comment included and its line end not.
fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    if text[at..end].ends_with('\r') { end - 1 } else { end }
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn replaced(text: &str, range: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..range.start], &text[range.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, words: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for word in words.split(',') {
            let (sign, word) = word.split_at(1);
            let word = PackageWord::parse(word).unwrap();
            let source = Source::new("web.yaml", text);
            let done = if sign == "+" { add(&source, &word) } else { remove(&source, &word) };
            text = done.map_err(|error| format!("{error} | {}", error.hints().join("; ")))?;
        }
        Ok(text)
    }

    #[test]
    fn a_block_list_keeps_its_comments_order_and_style() {
        let text = "version: 1\npackages:   # ours\n    # first\n    - zlib1g    # why\n    - {name: acme, from: x}\n    \
                    -   name: big\n        keep: all   # whole\n\n# end\nkeep: all\n";
        assert_eq!(
            run(text, "+nginx >= 1.22,+!libx,+dist/a_1.0_amd64.deb").unwrap(),
            text.replace(
                "# whole\n",
                "# whole\n    - nginx >= 1.22\n    - \"!libx\"\n    - {deb: dist/a_1.0_amd64.deb}\n"
            )
        );
        assert_eq!(run(text, "+zlib1g,+acme,+big").unwrap(), text, "what is there is there");
        assert_eq!(
            run(text, "+zlib1g >= 2,+big = 1:3").unwrap(),
            text.replace("- zlib1g ", "- zlib1g >= 2 ").replace("name: big", "name: big = 1:3")
        );
        assert_eq!(run(text, "-big").unwrap(), text.replace("    -   name: big\n        keep: all   # whole\n", ""));
        assert_eq!(
            run(text, "-zlib1g,-acme,-big").unwrap(),
            "version: 1\npackages: []   # ours\n    # first\n\n# end\nkeep: all\n"
        );
        assert_eq!(run(text, "+nginx,-nginx").unwrap(), text);
        assert_eq!(run("packages:\n- a1\n- \"!b1\"", "+cc,-!b1").unwrap(), "packages:\n- a1\n- cc");
        assert_eq!(
            run("packages:\r\n- a1\r\nkeep: all\r\n", "+cc").unwrap(),
            "packages:\r\n- a1\r\n- cc\r\nkeep: all\r\n"
        );
    }

    #[test]
    fn a_flow_list_stays_one() {
        for (text, words, expected) in [
            ("packages: [a1, b1] # x\n", "+cc", "packages: [a1, b1, cc] # x\n"),
            ("packages: []\n", "+cc,+0ad,+2048", "packages: [cc, 0ad, \"2048\"]\n"),
            ("packages: [a1, {name: b1, keep: all}, cc]\n", "-b1,-cc", "packages: [a1]\n"),
            ("packages: [a1, b1]\n", "-a1,-b1", "packages: []\n"),
            ("packages: [\n  a1, # x\n  b1\n]\n", "+cc", "packages: [\n  a1, # x\n  b1,\n  cc\n]\n"),
            ("packages: [a1, b1,]\n", "+cc", "packages: [a1, b1, cc,]\n"),
        ] {
            assert_eq!(run(text, words).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_list_is_made_where_there_is_none() {
        let text = "version: 1\ndistro: debian/13  # why\n\nrun: {cmd: [x]}\n";
        assert_eq!(run(text, "+a1,+b1").unwrap(), text.replace("# why\n", "# why\npackages:\n  - a1\n  - b1\n"));
        assert_eq!(
            run("version: 1\npackages:\nkeep: all\n", "+a1").unwrap(),
            "version: 1\npackages:\n  - a1\nkeep: all\n"
        );
        assert_eq!(run("version: 1\npackages: ~\n", "+a1").unwrap(), "version: 1\npackages:\n  - a1\n");
        assert_eq!(run("version: 1", "+a1").unwrap(), "version: 1\npackages:\n  - a1");
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let text = "packages: [nginx, \"!perl\"]\n";
        insta::assert_snapshot!(run(text, "-ngnix").unwrap_err(), @"cannot remove `ngnix`: `web.yaml` does not list it | did you mean `nginx`?");
        insta::assert_snapshot!(run(text, "-perl").unwrap_err(), @"cannot remove `perl`: `web.yaml` does not list it | did you mean `!perl`?");
        insta::assert_snapshot!(run(text, "+perl").unwrap_err(), @"cannot add `perl`: `web.yaml` says otherwise | `tarsia remove SPEC '!perl'` first");
        insta::assert_snapshot!(run("packages: x\n", "+perl").unwrap_err(), @"cannot change `web.yaml`: its `packages` is no list |");
        assert_eq!(PackageWord::parse("A"), None);
        assert_eq!(PackageWord::parse("!a >= 1"), None);
    }
}
