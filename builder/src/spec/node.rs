//! YAML text in, a tree of nodes with their places out. Knows nothing of specs.
//!
//! Anchors, aliases, tags, directives and second documents are refused: a spec is what it looks like.

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::error::{Error, Report};
use super::scalar::{Plain, resolve};
use crate::diag::{Source, Span};

/// The longest text of a spec in bytes.
pub(super) const MAX_SIZE: usize = 1 << 20;
/// The deepest nesting of lists and mappings.
const MAX_NESTING: usize = 32;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is no plain decimal integer, as written.
    Float(String),
    /// A plain scalar that readers disagree about, as written, and what it is to whom.
    Ambiguous(String, &'static str),
    Text(String),
    /// A tag, anchor or alias that has been reported; nothing more is to be said of it.
    Refused,
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping, always a scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) text: String,
    /// Unquoted, and something else than a text to some reader.
    pub(super) ambiguous: bool,
}

impl Node {
    /// Returns the value of `key`, unless this is no mapping, or the key is absent or `null`.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let found = self.entries().iter().find(|(candidate, _)| candidate.text == key);
        found.map(|(_, node)| node).filter(|node| node.value != Value::Null)
    }

    /// Returns the entries of a mapping, nothing for other nodes.
    pub(super) fn entries(&self) -> &[(Key, Node)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// Returns the items of a list, nothing for other nodes.
    pub(super) fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// Returns the text of a text.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Returns the number of an integer.
    pub(super) fn int(&self) -> Option<i64> {
        if let Value::Int(number) = self.value { Some(number) } else { None }
    }

    /// Returns the value of a boolean.
    pub(super) fn bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self.value { Some(value) } else { None }
    }

    /// Moves every place in the tree `by` bytes on.
    pub(super) fn shift(&mut self, by: usize) {
        let on = |span: &mut Span| *span = Span { start: span.start + by, end: span.end + by };
        on(&mut self.span);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            Value::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
                on(&mut key.span);
                node.shift(by);
            }),
            _ => {}
        }
    }

    /// Writes the node as JSON without spaces, keys sorted bytewise, leaving out the top-level keys in `without`.
    ///
    /// The bytes depend on values alone: comments, layout, quoting and the order of keys do not reach them.
    pub(super) fn canonical(&self, without: &[&str], out: &mut String) {
        let quote = |text: &str, out: &mut String| {
            out.push_str(&serde_json::Value::from(text).to_string());
        };
        match &self.value {
            Value::Null | Value::Refused => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(text) | Value::Ambiguous(text, _) | Value::Text(text) => quote(text, out),
            Value::List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.canonical(&[], out);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                let sorted: BTreeMap<&str, &Node> = entries
                    .iter()
                    .map(|(key, node)| (key.text.as_str(), node))
                    .filter(|(key, _)| !without.contains(key))
                    .collect();
                out.push('{');
                for (n, (key, node)) in sorted.into_iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    quote(key, out);
                    out.push(':');
                    node.canonical(&[], out);
                }
                out.push('}');
            }
        }
    }
}

/// Parses one YAML document; mistakes go to `report`. `None` where there is no tree at all.
pub(super) fn parse(report: &mut Report) -> Option<Node> {
    let source = report.source().clone();
    if source.text.len() > MAX_SIZE {
        report.add(Error::Limit, Span::default(), "it is larger than 1 MiB");
        return None;
    }
    if source.text.starts_with('\u{feff}') {
        report
            .add(Error::Syntax, Span { start: 0, end: 3 }, "it begins with a byte order mark")
            .hint("save it as UTF-8 without a byte order mark");
        return None;
    }
    let mut builder = Builder { report, offsets: Offsets::new(&source), source: &source, open: Vec::new(), root: None };
    let mut parser = Parser::new_from_str(&source.text);
    let mut documents = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = match next {
            Ok(event) => event,
            Err(error) => {
                builder.syntax(&error);
                return None;
            }
        };
        let span = builder.offsets.span(&span);
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    builder
                        .report
                        .add(Error::Syntax, span, "a second document begins")
                        .label("here")
                        .hint("write one spec a file");
                    return None;
                }
                if source.text[..span.start].lines().any(|line| line.starts_with('%')) {
                    let end = source.text.find('\n').unwrap_or(source.text.len());
                    builder.report.add(Error::Syntax, Span { start: 0, end }, "it has a YAML directive");
                }
            }
            event => builder.event(event, span)?,
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        report.add(Error::Syntax, Span::default(), "it is empty").hint("`tarsia init` writes a starter spec");
    }
    root
}

/// Byte offsets of characters; nothing is kept for ASCII.
struct Offsets {
    of_char: Vec<usize>,
    length: usize,
}

impl Offsets {
    fn new(source: &Source) -> Self {
        let of_char =
            if source.text.is_ascii() { Vec::new() } else { source.text.char_indices().map(|(at, _)| at).collect() };
        Self { of_char, length: source.text.len() }
    }

    fn at(&self, marker: &Marker) -> usize {
        if self.of_char.is_empty() {
            marker.index().min(self.length)
        } else {
            self.of_char.get(marker.index()).copied().unwrap_or(self.length)
        }
    }

    fn span(&self, span: &saphyr_parser::Span) -> Span {
        let start = self.at(&span.start);
        Span { start, end: self.at(&span.end).max(start) }
    }
}

/// A list or mapping whose end has not come yet.
enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, entries: Vec<(Key, Node)>, key: Option<Key>, seen: BTreeMap<String, Span> },
}

struct Builder<'a> {
    report: &'a mut Report,
    offsets: Offsets,
    source: &'a Arc<Source>,
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder<'_> {
    /// Takes one event; `None` stops the parse.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Alias(_) => {
                self.report
                    .add(Error::Syntax, span, "aliases are not part of the spec language")
                    .hint("write the value out, or quote a text that begins with `*`");
                self.put(Node { span, value: Value::Refused });
            }
            Event::Scalar(text, style, anchor, tag) => match self.refused(anchor, tag.as_deref(), span) {
                Some(span) => self.put(Node { span, value: Value::Refused }),
                None => self.scalar(text.into_owned(), style, span),
            },
            Event::SequenceStart(anchor, tag) => {
                self.refused(anchor, tag.as_deref(), span);
                self.nest(Open::List { start: span.start, items: Vec::new() }, span)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refused(anchor, tag.as_deref(), span);
                let open = Open::Map { start: span.start, entries: Vec::new(), key: None, seen: BTreeMap::new() };
                self.nest(open, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop()? {
                    Open::List { start, items } => {
                        let end = items.last().map_or(start, |item| item.span.end).max(self.closing(span));
                        Node { span: Span { start, end: end.max(start) }, value: Value::List(items) }
                    }
                    Open::Map { start, entries, .. } => {
                        let end = entries.last().map_or(start, |(key, node)| node.span.end.max(key.span.end));
                        let end = end.max(self.closing(span));
                        Node { span: Span { start, end: end.max(start) }, value: Value::Map(entries) }
                    }
                };
                self.put(node);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Some(())
    }

    /// Returns the end of a flow collection's bracket; 0 for a block collection, which ends with its last item.
    fn closing(&self, span: Span) -> usize {
        let text = &self.source.text[span.start..span.end];
        if text.starts_with([']', '}']) { span.start + 1 } else { 0 }
    }

    fn nest(&mut self, open: Open, span: Span) -> Option<()> {
        if self.open.len() >= MAX_NESTING {
            self.report.add(Error::Limit, self.trim(span), "it is nested more than 32 deep");
            return None;
        }
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            self.report.add(Error::Syntax, span, "a key must be a text").label("this key is a list or mapping");
            return None;
        }
        self.open.push(open);
        Some(())
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, span: Span) {
        let span = self.own(span, style);
        let plain = style == ScalarStyle::Plain;
        if let Some(Open::Map { key: key @ None, seen, .. }) = self.open.last_mut() {
            if let Some(first) = seen.get(&text) {
                self.report
                    .add(Error::Duplicate, span, format!("key `{text}` stands twice"))
                    .label("again here")
                    .also(*first, "first here")
                    .hint("remove one of them");
            }
            seen.entry(text.clone()).or_insert(span);
            *key = Some(Key { span, ambiguous: plain && resolve(&text) != Plain::Text, text });
            return;
        }
        let value = if plain {
            match resolve(&text) {
                Plain::Null => Value::Null,
                Plain::Bool(value) => Value::Bool(value),
                Plain::Int(number) => Value::Int(number),
                Plain::Float => Value::Float(text),
                Plain::Ambiguous(what) => Value::Ambiguous(text, what),
                Plain::Text => Value::Text(text),
            }
        } else {
            Value::Text(text)
        };
        self.put(Node { span, value });
    }

    /// Adds a finished node to what is open.
    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = self.root.take().or(Some(node)),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                // Only a refused alias or tag comes here, where a key should be.
                None => *key = Some(Key { span: node.span, text: String::new(), ambiguous: false }),
            },
        }
    }

    /// Reports an anchor or a tag; returns where it is.
    fn refused(&mut self, anchor: usize, tag: Option<&saphyr_parser::Tag>, span: Span) -> Option<Span> {
        if tag.is_none() && anchor == 0 {
            return None;
        }
        let mut place = span;
        // The parser's span begins behind tag and anchor; both are short, and searched for no further than that.
        let bytes = self.source.text.as_bytes();
        let before = |sign: u8, at: usize| {
            let from = at.saturating_sub(256);
            bytes[from..at].iter().rposition(|byte| *byte == sign).map(|found| from + found)
        };
        if let Some(tag) = tag {
            let start = before(b'!', span.start).unwrap_or(span.start);
            let word = self.source.text[start..].split([' ', ',', ']', '}', '\n', '\r']).next().unwrap_or_default();
            place = Span { start, end: start + word.len() };
            let problem =
                self.report.add(Error::Syntax, place, format!("`{word}` is a YAML tag, which specs do without"));
            if tag.handle == "!" {
                problem.hint(format!("quote a text that begins with `!`: `\"{word}\"`"));
            }
        }
        if anchor > 0 {
            let start = before(b'&', span.start).unwrap_or(span.start);
            let end = self.source.text[start..].find(char::is_whitespace).map_or(span.end, |length| start + length);
            place = Span { start, end };
            self.report
                .add(Error::Syntax, place, "anchors are not part of the spec language")
                .hint("write the value out, or quote a text that begins with `&`");
        }
        Some(place)
    }

    /// Returns the span of a scalar alone: the parser's reaches to the next token behind a quoted one.
    fn own(&self, span: Span, style: ScalarStyle) -> Span {
        let quote = match style {
            ScalarStyle::SingleQuoted => b'\'',
            ScalarStyle::DoubleQuoted => b'"',
            _ => return self.trim(span),
        };
        let text = &self.source.text.as_bytes()[span.start..span.end];
        let mut at = 1;
        while let Some(byte) = text.get(at) {
            match *byte {
                b'\\' if quote == b'"' => at += 2,
                b'\'' if quote == b'\'' && text.get(at + 1) == Some(&b'\'') => at += 2,
                byte if byte == quote => return Span { start: span.start, end: span.start + at + 1 },
                _ => at += 1,
            }
        }
        self.trim(span)
    }

    /// Takes trailing blanks and line ends off a span.
    fn trim(&self, span: Span) -> Span {
        let text = &self.source.text[span.start..span.end];
        Span { start: span.start, end: span.start + text.trim_end().len() }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.offsets.at(error.marker());
        let length = self.source.text[at..].chars().next().map_or(0, char::len_utf8);
        let line = self.source.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = self.source.text[line..].lines().next().unwrap_or_default();
        let problem = self.report.add(Error::Syntax, Span { start: at, end: at + length }, error.info());
        problem.label("here");
        if line.contains('\t') {
            problem.hint("indent with spaces, never with tabs");
        } else if self.source.text[at..].starts_with(['*', '&', '!', '%', '@', '`']) {
            problem.hint("quote a text that begins with `*`, `&`, `!`, `%`, `@` or a backtick");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<String, String> {
        let source = Source::new("t.yaml", text);
        let mut report = Report::new(&source);
        let node = parse(&mut report);
        match report.into_problems() {
            Some(problems) => Err(problems
                .iter()
                .map(|problem| {
                    let labels = problem.labels();
                    let span = labels.first().map(|label| label.span).unwrap_or_default();
                    format!("{} `{}`", problem.code(), &text[span.start..span.end])
                })
                .collect::<Vec<_>>()
                .join("\n")),
            None => {
                let mut out = String::new();
                node.unwrap().canonical(&[], &mut out);
                Ok(out)
            }
        }
    }

    #[test]
    fn layout_quotes_and_order_do_not_reach_the_canonical_form() {
        let one = tree("b: [x, \"y\"] # c\na:\n  k: 1\n").unwrap();
        assert_eq!(one, r#"{"a":{"k":1},"b":["x","y"]}"#);
        assert_eq!(one, tree("---\na: {'k': 1}\nb:\n- 'x'\n- y\n").unwrap());
        assert_eq!(tree("a: |\n  x\n  y\nb: >\n  x\n  y\n").unwrap(), r#"{"a":"x\ny\n","b":"x y\n"}"#);
    }

    #[test]
    fn what_is_not_plain_to_see_is_refused() {
        for (text, expected) in [
            ("a: 1\na: 2\n", "spec::duplicate-key `a`"),
            ("a: &x 1\n", "spec::syntax `&x`"),
            ("a: &x 1\nb: *x\n", "spec::syntax `&x`\nspec::syntax `*x`"),
            ("a: !!str 1\n", "spec::syntax `!!str`"),
            ("a: [ok, !libx]\n", "spec::syntax `!libx`"),
            ("- !libelogind0\n", "spec::syntax `!libelogind0`"),
            ("a: 1\n---\nb: 2\n", "spec::syntax `---`"),
            ("%YAML 1.1\n---\na: 1\n", "spec::syntax `%YAML 1.1`"),
            ("? [a]\n: 1\n", "spec::syntax `[`"),
            ("", "spec::syntax ``"),
            ("# nothing\n", "spec::syntax ``"),
            ("\u{feff}a: 1", "spec::syntax `\u{feff}`"),
        ] {
            assert_eq!(tree(text).unwrap_err(), expected, "{text}");
        }
        assert!(tree("a: [*.conf]\n").unwrap_err().starts_with("spec::syntax"));
        assert!(tree("a:\n\t- b\n").unwrap_err().starts_with("spec::syntax"));
        assert!(tree("a: [\n").unwrap_err().starts_with("spec::syntax"));
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert_eq!(tree(&"#".repeat(MAX_SIZE + 1)).unwrap_err(), "spec::limit ``");
        assert!(tree(&"[".repeat(100_000)).unwrap_err().starts_with("spec::"));
        assert!(tree(&"- ".repeat(100_000)).unwrap_err().starts_with("spec::limit"));
        assert!(tree(&format!("{}{}", "[".repeat(32), "]".repeat(32))).is_ok());
    }

    #[test]
    fn a_text_at_the_limit_takes_no_time_beyond_its_length() {
        for (head, item, tail) in [
            ("[", "a,", "]"),
            ("[", "'',", "]"),
            ("[", "[],", "]"),
            ("{a: [", "&b c,", "]}"),
            ("[", "!x y,", "]"),
            ("", "- \n", ""),
            ("", "a: 1\n", ""),
            ("a: \"", "\\\"", "\""),
            ("", "#\n", "a: 1"),
        ] {
            let count = MAX_SIZE / 8 / item.len();
            let text = format!("{head}{}{tail}", item.repeat(count));
            parse(&mut Report::new(&Source::new("t.yaml", text)));
        }
    }

    #[test]
    fn places_are_bytes_whatever_the_line_ends_and_letters() {
        for text in ["ä: ü\r\nb: 'x y' # c\r\nc: [p,\r\n  q] # d\r\n", "ä: ü # c\nb: 'x y' # c\nc: [p,\n  q]\n"] {
            let source = Source::new("t.yaml", text);
            let node = parse(&mut Report::new(&source)).unwrap();
            let at = |node: &Node| text[node.span.start..node.span.end].replace('\r', "");
            assert_eq!(at(node.get("ä").unwrap()), "ü");
            assert_eq!(at(node.get("b").unwrap()), "'x y'");
            assert_eq!(at(node.get("c").unwrap()), "[p,\n  q]");
            assert_eq!(at(&node.get("c").unwrap().items()[1]), "q");
        }
    }
}
