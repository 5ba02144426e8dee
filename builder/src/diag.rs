//! Errors as a person reads them: a stable code, labelled places in source texts, hints.
//!
//! Every module has one `thiserror` enum; [`Diagnose`] adds what a terminal needs. Nothing here prints.

use std::sync::Arc;

/// A text that errors can point into: the name as the user wrote it, and the whole text.
///
/// A spec can be made of several files. Their spans are places in one row of texts: those of `text` begin at 0, those
/// of each text in `more` one byte behind the end of the text before. [`Source::locate`] tells which text a span is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File name as the user wrote it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The texts that spans beyond the end of `text` are of; these have no more themselves.
    pub more: Vec<Arc<Source>>,
}

impl Source {
    /// Returns a shared source for `text`, shown as `name`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), more: Vec::new() })
    }

    /// Returns the text that `span` is of, and the span within it.
    pub fn locate(self: &Arc<Self>, span: Span) -> (Arc<Self>, Span) {
        let mut base = 0;
        let mut found = (self, base);
        for source in std::iter::once(self).chain(&self.more) {
            if span.start < base {
                break;
            }
            found = (source, base);
            base += source.text.len() + 1;
        }
        let (source, base) = found;
        (source.clone(), Span { start: span.start - base, end: span.end.max(span.start) - base })
    }
}

/// A range of bytes in a [`Source`]'s text, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place in a source with what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The text pointed into.
    pub source: Arc<Source>,
    /// The bytes meant.
    pub span: Span,
    /// What is said beside the caret; may be empty.
    pub text: String,
}

impl Label {
    /// Returns the label in the text that it is of, with its place there.
    pub fn located(&self) -> Self {
        let (source, span) = self.source.locate(self.span);
        Self { source, span, text: self.text.clone() }
    }
}

/// What an error means for the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The question was answered, and the answer is no (exit 1).
    No,
    /// It could not be told, or not be done (exit 2).
    Unknown,
}

/// An error that can be shown to a person.
pub trait Diagnose: std::error::Error + Send + Sync + 'static {
    /// Returns a stable code, `module::what` in kebab case, for scripts and `explain`.
    fn code(&self) -> &'static str;

    /// Returns the places the error points at, in source order.
    fn labels(&self) -> Vec<Label> {
        Vec::new()
    }

    /// Returns commands or edits that settle the error; empty where there are none.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns whether the error is a "no" or a "could not tell".
    fn verdict(&self) -> Verdict {
        Verdict::Unknown
    }
}

/// One or more errors of any stage, in source order; never empty.
#[derive(Debug)]
pub struct Problems(Vec<Box<dyn Diagnose>>);

impl Problems {
    /// Returns the problems, or nothing where `all` is empty.
    pub fn from_vec(all: Vec<Box<dyn Diagnose>>) -> Option<Self> {
        if all.is_empty() { None } else { Some(Self(all)) }
    }

    /// Returns the errors in the order they are to be shown.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Diagnose> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Returns the errors, to be told together with others.
    pub fn into_vec(self) -> Vec<Box<dyn Diagnose>> {
        self.0
    }

    /// Returns `No` where every problem is a "no", else `Unknown`.
    pub fn verdict(&self) -> Verdict {
        if self.0.iter().all(|problem| problem.verdict() == Verdict::No) { Verdict::No } else { Verdict::Unknown }
    }
}

impl<E: Diagnose> From<E> for Problems {
    fn from(error: E) -> Self {
        Self(vec![Box::new(error)])
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Returns an error with all its causes in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Something worth saying that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable code, as [`Diagnose::code`].
    pub code: &'static str,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// Hints, as [`Diagnose::hints`].
    pub hints: Vec<String>,
}

/// Hears of work that can last; drawn by the program, ignored by the library.
pub trait Progress: Sync {
    /// `stage` (`fetch`, `open`, `layer`, …) begins, with `total` bytes or items to do.
    fn start(&self, stage: &'static str, total: u64);
    /// `count` more bytes or items of `stage` are done.
    fn advance(&self, stage: &'static str, count: u64);
    /// `stage` is over.
    fn finish(&self, stage: &'static str);
    /// One step of many was taken, in words, for those who want to hear of each.
    fn step(&self, _line: &str) {}
}

/// Progress that nobody sees.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &'static str, _: u64) {}
    fn advance(&self, _: &'static str, _: u64) {}
    fn finish(&self, _: &'static str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_finds_its_text() {
        let more = vec![Source::new("b", "bbb"), Source::new("c", "")];
        let all = Arc::new(Source { name: "a".to_owned(), text: "aa".to_owned(), more });
        let at = |start, end| {
            let (source, span) = all.locate(Span { start, end });
            (source.name.clone(), span.start, span.end)
        };
        assert_eq!(at(0, 2), ("a".to_owned(), 0, 2));
        assert_eq!(at(2, 2), ("a".to_owned(), 2, 2));
        assert_eq!(at(3, 6), ("b".to_owned(), 0, 3));
        assert_eq!(at(7, 7), ("c".to_owned(), 0, 0));
    }
}
