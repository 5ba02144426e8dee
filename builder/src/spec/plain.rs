//! Other files in the spec's YAML: text in, a tree of texts, lists and mappings with their places out.

use std::sync::Arc;

use super::error::Report;
use super::node::{self, Node, Value};
use crate::diag::{Problems, Source, Span};

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: PlainValue,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainValue {
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Plain>),
    /// A mapping: key, its place, value.
    Map(Vec<(String, Span, Plain)>),
    /// A truth value, a number, what readers of YAML disagree about: as it is written.
    Scalar(String),
    /// Nothing.
    Null,
    /// A tag, an anchor or an alias.
    Other,
}

/// Parses one document, as strictly as a spec; messages call it `what`.
///
/// # Errors
/// Everything that is no YAML, or YAML that a spec refuses: anchors, tags, duplicate keys, a second document.
pub fn read_plain(what: &'static str, source: &Arc<Source>) -> Result<Plain, Problems> {
    let mut report = Report::of(what, source);
    let root = node::parse(&mut report);
    match (report.into_problems(), root) {
        (None, Some(root)) => Ok(plain(root)),
        (problems, _) => Err(problems.expect("a text without a tree has a problem")),
    }
}

fn plain(node: Node) -> Plain {
    let value = match node.value {
        Value::Text(text) => PlainValue::Text(text),
        Value::List(items) => PlainValue::List(items.into_iter().map(plain).collect()),
        Value::Map(entries) => {
            PlainValue::Map(entries.into_iter().map(|(key, node)| (key.text, key.span, plain(node))).collect())
        }
        Value::Bool(value) => PlainValue::Scalar(value.to_string()),
        Value::Int(value) => PlainValue::Scalar(value.to_string()),
        Value::Float(text) | Value::Ambiguous(text, _) => PlainValue::Scalar(text),
        Value::Null => PlainValue::Null,
        Value::Refused => PlainValue::Other,
    };
    Plain { span: node.span, value }
}
