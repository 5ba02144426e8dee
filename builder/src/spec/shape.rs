//! Shapes of values, and the walk that holds a tree against one. The schema for editors is made from the same shapes.

use super::error::{Error, Report, nearest};
use super::form::{Form, MODE};
use super::node::{Key, Node, Value};

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A text of this form.
    Text(Form),
    /// An integer between two bounds, both included.
    Int(i64, i64),
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A list with at least one item.
    Some(&'static Shape),
    /// A mapping with these keys.
    Map(&'static Fields),
    /// A mapping whose one key among these says which keys it has.
    Tagged(&'static [(&'static str, &'static Fields)]),
    /// A mapping with free keys of a form.
    Free(Form, &'static Shape),
    /// A mapping with free keys of a form whose values may also be `null`, at any depth.
    Partial(Form, &'static Shape),
    /// The one of these that fits the kind of the value; kinds differ.
    Either(&'static [Shape]),
    /// The same, or `null`.
    OrNull(&'static Shape),
}

/// The keys of a mapping.
#[derive(Debug)]
pub(super) struct Fields {
    /// What the mapping is, as `an archive`.
    pub(super) what: &'static str,
    /// Its keys in the order of the documentation.
    pub(super) keys: &'static [Field],
}

/// One key of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// One sentence for editors.
    pub(super) about: &'static str,
    pub(super) required: bool,
    /// Checked, then refused: its engine is not there yet.
    pub(super) later: bool,
}

/// Words of other tools, and what they are called here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("archs", "platforms"),
    ("architectures", "platforms"),
    ("platform", "platforms"),
    ("contents", "packages"),
    ("repositories", "archives"),
    ("sources", "archives"),
    ("accounts", "users"),
    ("annotations", "labels"),
    ("paths", "files"),
    ("command", "cmd"),
    ("args", "cmd"),
    ("environment", "env"),
    ("work-dir", "workdir"),
    ("working-dir", "workdir"),
    ("workingdir", "workdir"),
    ("expose", "ports"),
    ("stop_signal", "stop-signal"),
    ("source", "copy"),
    ("src", "copy"),
    ("destination", "to"),
    ("dest", "to"),
    ("dst", "to"),
    ("path", "to"),
    ("permissions", "mode"),
    ("user", "owner"),
    ("content", "text"),
    ("url", "fetch"),
    ("url", "uri"),
    ("digest", "sha256"),
    ("link", "symlink"),
    ("directory", "dir"),
    ("key", "signed-by"),
    ("signed_by", "signed-by"),
];

/// How strictly a walk goes.
#[derive(Debug, Clone, Copy)]
struct Mode {
    /// `null` removes what stands elsewhere.
    nulls: bool,
    /// Parts without an engine are reported.
    later: bool,
}

/// Holds `node` against `shape`; every mistake goes to `report`. `root` is the shape of the whole document.
pub(super) fn check(node: &Node, shape: &Shape, root: &'static Fields, report: &mut Report) {
    Walk { root, report }.value(node, shape, Mode { nulls: false, later: true });
}

/// Holds a document that adds to another one against `root`: `null` removes, and what the other one says may be absent.
/// The version of the language it says itself.
pub(super) fn check_part(node: &Node, root: &'static Fields, report: &mut Report) {
    let mut walk = Walk { root, report };
    walk.value(node, &Shape::Map(root), Mode { nulls: true, later: true });
    if node.get("version").is_none() {
        walk.missing(node, root, "version").hint("add `version: 1`");
    }
}

/// Holds what was put together from parts against `root`: everything that is required is there.
pub(super) fn check_sum(node: &Node, root: &'static Fields, report: &mut Report) {
    Walk { root, report }.value(node, &Shape::Map(root), Mode { nulls: false, later: false });
}

struct Walk<'a> {
    root: &'static Fields,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn value(&mut self, node: &Node, shape: &Shape, mode: Mode) {
        match (shape, &node.value) {
            (Shape::OrNull(_), Value::Null) | (_, Value::Refused) => {}
            (Shape::OrNull(inner), _) => self.value(node, inner, mode),
            (Shape::Either(shapes), _) => match shapes.iter().find(|shape| fits(&node.value, shape)) {
                Some(shape) => self.value(node, shape, mode),
                None => match shapes.iter().find(|shape| answers(&node.value, shape)) {
                    Some(shape) => self.value(node, shape, mode),
                    _ => {
                        self.wrong_kind(node, shape);
                    }
                },
            },
            (Shape::Text(form), Value::Text(text)) => self.text(node, form, text),
            (Shape::Text(form), Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Ambiguous(..)) => {
                self.unquoted(node, form);
            }
            (Shape::Word(words), Value::Text(text)) => {
                if !words.contains(&text.as_str()) {
                    let problem = self.report.add(Error::Value, node.span, format!("`{text}` is not known here"));
                    problem.label(format!("expected {}", any_of(words)));
                    if let Some(near) = nearest(text, words.iter().copied()) {
                        problem.hint(format!("did you mean `{near}`?"));
                    }
                }
            }
            (Shape::Int(least, most), Value::Int(number)) => {
                if !(least..=most).contains(&number) {
                    let wanted =
                        if least == most { format!("{least}") } else { format!("a number from {least} to {most}") };
                    self.report
                        .add(Error::Value, node.span, format!("`{number}` is out of range"))
                        .label(format!("expected {wanted}"));
                }
            }
            (Shape::Int(..), Value::Ambiguous(text, what)) => {
                let problem = self.report.add(Error::Ambiguous, node.span, format!("`{text}` is {what}"));
                if let Some(number) = text.trim_start_matches(['0', '+']).get(..).filter(|rest| is_decimal(rest)) {
                    problem.hint(format!("write a decimal number without leading zeros: `{number}`"));
                }
            }
            (Shape::Int(..), Value::Text(text)) if is_decimal(text) => {
                self.wrong_kind(node, shape).hint(format!("leave the quotes out: `{text}`"));
            }
            (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Bool, Value::Ambiguous(text, what)) => {
                self.report
                    .add(Error::Ambiguous, node.span, format!("`{text}` is {what}"))
                    .hint("write `true` or `false`");
            }
            (Shape::List(item) | Shape::Some(item), Value::List(items)) => {
                if matches!(shape, Shape::Some(_)) && items.is_empty() {
                    self.report.add(Error::Value, node.span, "this list must not be empty");
                }
                // What stands in a list is whole: lists are appended, never merged item by item.
                for node in items {
                    self.value(node, item, Mode { nulls: false, ..mode });
                }
            }
            (Shape::Map(fields), Value::Map(entries)) => self.map(node, entries, fields, mode, None),
            (Shape::Tagged(kinds), Value::Map(entries)) => self.tagged(node, entries, kinds, mode),
            (Shape::Free(form, inner), Value::Map(entries)) => self.free(entries, form, inner, mode),
            (Shape::Partial(form, inner), Value::Map(entries)) => {
                self.free(entries, form, inner, Mode { nulls: true, ..mode });
            }
            _ => {
                self.wrong_kind(node, shape);
            }
        }
    }

    fn text(&mut self, node: &Node, form: &Form, text: &str) {
        if (form.valid)(text) {
            return;
        }
        let problem = self.report.add(Error::Value, node.span, format!("`{}` is not {}", clip(text), form.what));
        problem.label(format!("expected {}", form.what));
        if let Some(hint) = hint_for(form, text) {
            problem.hint(hint);
        } else if !form.example.is_empty() {
            problem.hint(format!("for example `{}`", form.example));
        }
    }

    /// Reports an unquoted scalar that is no text where a text is wanted, with the quoted form.
    fn unquoted(&mut self, node: &Node, form: &Form) {
        let (text, what) = match &node.value {
            Value::Bool(value) => (value.to_string(), "true or false to YAML, not a text"),
            Value::Int(number) => (number.to_string(), "a number to YAML, not a text"),
            Value::Float(text) => (text.clone(), "a number to YAML, not a text"),
            Value::Ambiguous(text, what) => (text.clone(), *what),
            _ => return,
        };
        let quoted = if form.pattern == MODE.pattern {
            let digits = text.trim_start_matches("0o").trim_start_matches('0');
            if (MODE.valid)(digits) { format!("0{digits}") } else { text.clone() }
        } else {
            text.clone()
        };
        self.report
            .add(Error::Ambiguous, node.span, format!("`{text}` is {what}"))
            .label(format!("expected {}", form.what))
            .hint(format!("quote it: `\"{quoted}\"`"));
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape) -> &mut super::error::Problem {
        let found = match &node.value {
            Value::Null | Value::Refused => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "a number",
            Value::Float(_) => "a number with a fraction or exponent",
            Value::Ambiguous(..) | Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        let mut span = node.span;
        if matches!(node.value, Value::List(_) | Value::Map(_)) {
            let text = self.report.text(span);
            span.end = span.start + text.lines().next().map_or(0, |line| line.trim_end().len());
        }
        let problem = self.report.add(Error::Type, span, format!("expected {}, found {found}", kind(shape)));
        problem.label(format!("expected {}", kind(shape)));
        match (&node.value, shape) {
            (Value::Null, _) => {
                problem.hint("give it a value, or remove the key");
            }
            (Value::Text(text), Shape::List(_) | Shape::Some(_)) => {
                problem.hint(format!("write a list: `[\"{}\"]`", clip(text)));
            }
            _ => {}
        }
        problem
    }

    fn map(&mut self, node: &Node, entries: &[(Key, Node)], fields: &'static Fields, mode: Mode, tag: Option<&str>) {
        for (key, value) in entries {
            let Some(field) = fields.keys.iter().find(|field| field.name == key.text) else {
                self.unknown(key, fields, tag);
                continue;
            };
            if value.value == Value::Null && mode.nulls {
                continue;
            }
            self.value(value, &field.shape, mode);
            if field.later && mode.later && value.value != Value::Null {
                not_yet(self.report, key.span, &key.text);
            }
        }
        if mode.nulls {
            return;
        }
        for field in fields.keys.iter().filter(|field| field.required) {
            if !entries.iter().any(|(key, _)| key.text == field.name) {
                let problem = self.missing(node, fields, field.name);
                if let Shape::Int(least, most) = field.shape
                    && least == most
                {
                    problem.hint(format!("add `{}: {least}`", field.name));
                }
            }
        }
    }

    fn missing(&mut self, node: &Node, fields: &Fields, name: &str) -> &mut super::error::Problem {
        let text = self.report.text(node.span);
        let end = node.span.start + text.lines().next().map_or(0, |line| line.trim_end().len());
        let span = crate::diag::Span { start: node.span.start, end };
        self.report
            .add(Error::MissingKey, span, format!("{} needs the key `{name}`", fields.what))
            .label(format!("`{name}` is missing"))
    }

    fn tagged(
        &mut self,
        node: &Node,
        entries: &[(Key, Node)],
        kinds: &'static [(&'static str, &'static Fields)],
        mode: Mode,
    ) {
        let mut found = kinds.iter().filter(|(tag, _)| entries.iter().any(|(key, _)| key.text == *tag));
        match (found.next(), found.next()) {
            (Some((tag, fields)), None) => self.map(node, entries, fields, mode, Some(tag)),
            (Some((first, _)), Some((second, _))) => {
                let span = |tag: &str| entries.iter().find(|(key, _)| key.text == tag).map(|(key, _)| key.span);
                let (Some(a), Some(b)) = (span(first), span(second)) else { return };
                self.report
                    .add(Error::Conflict, a.max(b), format!("`{first}` and `{second}` exclude each other"))
                    .also(a.min(b), "")
                    .hint("make two entries of it");
            }
            (None, _) => {
                let tags: Vec<&str> = kinds.iter().map(|(tag, _)| *tag).collect();
                let known = |name: &str| kinds.iter().any(|(_, fields)| fields.keys.iter().any(|f| f.name == name));
                let strange = entries.iter().find(|(key, _)| !known(&key.text));
                match strange {
                    Some((key, _)) => {
                        let near = nearest(&key.text, tags.iter().copied()).or_else(|| elsewhere(&key.text, &tags));
                        let problem =
                            self.report.add(Error::UnknownKey, key.span, format!("unknown key `{}`", key.text));
                        problem.label(format!("expected {}", any_of(&tags)));
                        if let Some(near) = near {
                            problem.hint(format!("did you mean `{near}`?"));
                        }
                    }
                    None => {
                        self.report
                            .add(Error::MissingKey, node.span, format!("one of {} is needed", any_of(&tags)))
                            .label("says not what it is");
                    }
                }
            }
        }
    }

    fn free(&mut self, entries: &[(Key, Node)], form: &Form, inner: &Shape, mode: Mode) {
        for (key, value) in entries {
            if key.ambiguous {
                self.report
                    .add(Error::Ambiguous, key.span, format!("key `{}` is not a text to every YAML reader", key.text))
                    .hint(format!("quote it: `\"{}\"`", key.text));
            } else if !(form.valid)(&key.text) {
                self.report
                    .add(Error::Value, key.span, format!("`{}` is not {}", clip(&key.text), form.what))
                    .label(format!("expected {}", form.what));
            }
            if value.value == Value::Null && mode.nulls {
                continue;
            }
            self.value(value, inner, mode);
        }
    }

    fn unknown(&mut self, key: &Key, fields: &'static Fields, tag: Option<&str>) {
        let names: Vec<&str> = fields.keys.iter().map(|field| field.name).collect();
        let near = elsewhere(&key.text, &names).or_else(|| nearest(&key.text, names.iter().copied()));
        let home = home(self.root, fields, &key.text);
        let place = tag.map(|tag| format!(" beside `{tag}`")).unwrap_or_default();
        let problem = self.report.add(Error::UnknownKey, key.span, format!("unknown key `{}`{place}", key.text));
        match (near, home) {
            (_, Some(home)) => problem.hint(format!("`{}` belongs under `{home}`", key.text)),
            (Some(near), None) => problem.hint(format!("did you mean `{near}`?")),
            (None, None) => problem.hint(format!("known keys: {}", names.join(", "))),
        };
    }
}

/// Reports a part of the language whose engine is not there yet.
pub(super) fn not_yet(report: &mut Report, span: crate::diag::Span, what: &str) {
    report
        .add(Error::NotYet, span, format!("`{what}` is not there yet in this release of tarsia"))
        .label("checked, but nothing can carry it out yet")
        .hint("leave it out for now");
}

/// Returns the top-level key whose mapping, or else the top level whose mapping, has a key of this name.
fn home(root: &'static Fields, here: &'static Fields, name: &str) -> Option<&'static str> {
    if std::ptr::eq(root, here) {
        return root.keys.iter().find_map(|field| match field.shape {
            Shape::Map(inner) if inner.keys.iter().any(|field| field.name == name) => Some(field.name),
            _ => None,
        });
    }
    root.keys.iter().any(|field| field.name == name).then_some("the top level")
}

fn elsewhere<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    ELSEWHERE
        .iter()
        .filter(|(other, _)| *other == word)
        .find_map(|(_, ours)| names.iter().copied().find(|name| name == ours))
}

/// What tarsia cannot guess from a form, for mistakes that are often made.
fn hint_for(form: &Form, text: &str) -> Option<String> {
    let what = form.what;
    if what.contains("package") && text.contains(':') && !text.contains('=') {
        return Some("leave the architecture out; `platforms` says it".to_owned());
    }
    if what.contains("package") && text.starts_with('!') {
        return Some("an exclusion has no version: `\"!name\"`".to_owned());
    }
    if what.contains("package") && (text.contains('<') || text.contains('>')) {
        return Some("relations are `<<`, `<=`, `=`, `>=` and `>>`".to_owned());
    }
    if what.contains("SHA-256")
        && let Some(bare) = text.strip_prefix("sha256:")
    {
        return Some(format!("leave `sha256:` out: `{}`", clip(bare)));
    }
    if what.contains("in the image") && (form.valid)(&format!("/{text}")) {
        return Some(format!("begin with `/`: `/{text}`"));
    }
    None
}

/// Returns whether a value is of the kind that `shape` wants.
pub(super) fn fits(value: &Value, shape: &Shape) -> bool {
    matches!(
        (shape, value),
        (Shape::Text(_) | Shape::Word(_), Value::Text(_))
            | (Shape::Int(..), Value::Int(_))
            | (Shape::Bool, Value::Bool(_))
            | (Shape::List(_) | Shape::Some(_), Value::List(_))
            | (Shape::Map(_) | Shape::Tagged(_) | Shape::Free(..) | Shape::Partial(..), Value::Map(_))
            | (Shape::OrNull(_), Value::Null)
    )
}

/// Returns whether `shape` has the best answer to a scalar that is not of its kind.
fn answers(value: &Value, shape: &Shape) -> bool {
    match value {
        Value::Ambiguous(text, _) if is_decimal(text) => matches!(shape, Shape::Int(..) | Shape::Text(_)),
        Value::Null | Value::Refused | Value::List(_) | Value::Map(_) => false,
        _ => matches!(shape, Shape::Text(_)),
    }
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text(form) => form.what.to_owned(),
        Shape::Int(least, most) if least == most => format!("`{least}`"),
        Shape::Int(..) => "a whole number".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Word(words) => any_of(words),
        Shape::List(_) | Shape::Some(_) => "a list".to_owned(),
        Shape::Map(fields) => format!("a mapping ({})", fields.what),
        Shape::Tagged(_) | Shape::Free(..) | Shape::Partial(..) => "a mapping".to_owned(),
        Shape::Either(shapes) => shapes.iter().map(kind).collect::<Vec<_>>().join(", or "),
        Shape::OrNull(inner) => kind(inner),
    }
}

fn any_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Returns the first part of a long text.
fn clip(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(77).chain("...".chars()).collect() }
}
