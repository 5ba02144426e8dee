//! What can be wrong with a spec, each mistake with its place and its fix.

use std::fmt;
use std::sync::Arc;

use crate::diag::{Diagnose, Label, Problems, Source, Span};

/// The most mistakes told at once.
const MAX_PROBLEMS: usize = 100;

/// One mistake: what is wrong, where, and what settles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the file is, in a word: `spec`.
    what: &'static str,
    source: Arc<Source>,
    message: String,
    labels: Vec<(Span, String)>,
    hints: Vec<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.labels.first() {
            Some((span, _)) => self.source.locate(*span).0.name.clone(),
            None => self.source.name.clone(),
        };
        write!(f, "cannot read {} `{name}`: {}", self.what, self.message)
    }
}

impl Problem {
    /// Sets what is said beside the first caret.
    pub(super) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(first) = self.labels.first_mut() {
            first.1 = text.into();
        }
        self
    }

    /// Adds a second place.
    pub(super) fn also(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push((span, text.into()));
        self
    }

    /// Adds an edit or a command that settles it.
    pub(super) fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        self.hints.push(text.into());
        self
    }

    fn start(&self) -> usize {
        self.labels.first().map_or(0, |(span, _)| span.start)
    }
}

/// A mistake in a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot read spec `{name}`")]
    Read {
        /// File name as the user wrote it.
        name: String,
        /// What the system said.
        #[source]
        cause: Arc<IoError>,
    },
    /// No YAML 1.2, or a part of YAML that specs do without.
    #[error("{0}")]
    Syntax(Box<Problem>),
    /// A size or depth above the limit.
    #[error("{0}")]
    Limit(Box<Problem>),
    /// A key that stands twice in one mapping.
    #[error("{0}")]
    Duplicate(Box<Problem>),
    /// A key that means nothing here.
    #[error("{0}")]
    UnknownKey(Box<Problem>),
    /// A key that must be there.
    #[error("{0}")]
    MissingKey(Box<Problem>),
    /// An unquoted scalar that two readers of YAML take for different things.
    #[error("{0}")]
    Ambiguous(Box<Problem>),
    /// A list where a text is wanted, and the like.
    #[error("{0}")]
    Type(Box<Problem>),
    /// A value outside its form or range.
    #[error("{0}")]
    Value(Box<Problem>),
    /// Two parts that cannot both hold.
    #[error("{0}")]
    Conflict(Box<Problem>),
    /// A file that the spec extends and that cannot be had.
    #[error("{0}")]
    Extends(Box<Problem>),
    /// A variant that the spec does not have.
    #[error("{0}")]
    NoVariant(Box<Problem>),
    /// A part of the language whose engine is not there yet.
    #[error("{0}")]
    NotYet(Box<Problem>),
}

/// An I/O error that compares by its text.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct IoError(#[from] pub std::io::Error);

impl PartialEq for IoError {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for IoError {}

impl Error {
    fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Read { .. } => None,
            Self::Syntax(problem)
            | Self::Limit(problem)
            | Self::Duplicate(problem)
            | Self::UnknownKey(problem)
            | Self::MissingKey(problem)
            | Self::Ambiguous(problem)
            | Self::Type(problem)
            | Self::Value(problem)
            | Self::Conflict(problem)
            | Self::Extends(problem)
            | Self::NoVariant(problem)
            | Self::NotYet(problem) => Some(problem),
        }
    }

    /// Returns where the mistake begins, as a byte of the text.
    fn start(&self) -> usize {
        self.problem().map_or(0, Problem::start)
    }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "spec::read",
            Self::Syntax(_) => "spec::syntax",
            Self::Limit(_) => "spec::limit",
            Self::Duplicate(_) => "spec::duplicate-key",
            Self::UnknownKey(_) => "spec::unknown-key",
            Self::MissingKey(_) => "spec::missing-key",
            Self::Ambiguous(_) => "spec::ambiguous-scalar",
            Self::Type(_) => "spec::type",
            Self::Value(_) => "spec::value",
            Self::Conflict(_) => "spec::conflict",
            Self::Extends(_) => "spec::extends",
            Self::NoVariant(_) => "spec::no-variant",
            Self::NotYet(_) => "spec::not-yet",
        }
    }

    fn labels(&self) -> Vec<Label> {
        let Some(problem) = self.problem() else { return Vec::new() };
        let mut labels: Vec<Label> = problem
            .labels
            .iter()
            .map(|(span, text)| Label { source: problem.source.clone(), span: *span, text: text.clone() })
            .collect();
        labels.sort_by_key(|label| label.span);
        labels
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Read { cause, .. } if cause.0.kind() == std::io::ErrorKind::NotFound => {
                vec!["`tarsia init` writes a starter spec".to_owned()]
            }
            _ => self.problem().map(|problem| problem.hints.clone()).unwrap_or_default(),
        }
    }
}

/// Makes a mistake of one kind: a variant of [`Error`].
type Kind = fn(Box<Problem>) -> Error;

/// Mistakes found so far in the texts of one spec.
pub(super) struct Report {
    what: &'static str,
    /// The spec's own text, then those that it extends; spans are places in this row (see [`Source`]).
    sources: Vec<Arc<Source>>,
    found: Vec<(Kind, Problem)>,
    left_out: usize,
    scratch: Problem,
}

impl Report {
    /// Returns a report on `source` without mistakes.
    pub(super) fn new(source: &Arc<Source>) -> Self {
        Self::of("spec", source)
    }

    /// Returns a report on `source`, which is `what`, without mistakes.
    pub(super) fn of(what: &'static str, source: &Arc<Source>) -> Self {
        let scratch =
            Problem { what, source: source.clone(), message: String::new(), labels: Vec::new(), hints: Vec::new() };
        Self { what, sources: vec![source.clone()], found: Vec::new(), left_out: 0, scratch }
    }

    /// Returns the spec's own text.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.sources[0]
    }

    /// Returns the spec's own text with all others behind it.
    pub(super) fn joined(&self) -> Arc<Source> {
        let first = &self.sources[0];
        match &self.sources[1..] {
            [] => first.clone(),
            more => Arc::new(Source { more: more.to_vec(), ..Source::clone(first) }),
        }
    }

    /// Returns what stands at `span`.
    pub(super) fn text(&self, span: Span) -> &str {
        let mut base = 0;
        for source in &self.sources {
            let end = base + source.text.len();
            if span.start <= end {
                return source.text.get(span.start - base..span.end.clamp(span.start, end) - base).unwrap_or_default();
            }
            base = end + 1;
        }
        ""
    }

    /// Adds a text with the mistakes that were found in it, and returns where its spans begin.
    pub(super) fn absorb(&mut self, other: Self) -> usize {
        let base = self.sources.iter().map(|source| source.text.len() + 1).sum();
        self.sources.extend(other.sources);
        self.left_out += other.left_out;
        for (kind, mut problem) in other.found {
            if self.found.len() >= MAX_PROBLEMS {
                self.left_out += 1;
                continue;
            }
            for (span, _) in &mut problem.labels {
                *span = Span { start: span.start + base, end: span.end + base };
            }
            self.found.push((kind, problem));
        }
        base
    }

    /// Adds a mistake at `span`.
    pub(super) fn add(&mut self, kind: Kind, span: Span, message: impl Into<String>) -> &mut Problem {
        let problem = Problem {
            what: self.what,
            source: self.sources[0].clone(),
            message: message.into(),
            labels: vec![(span, String::new())],
            hints: Vec::new(),
        };
        if self.found.len() >= MAX_PROBLEMS {
            self.left_out += 1;
            self.scratch = problem;
            return &mut self.scratch;
        }
        self.found.push((kind, problem));
        &mut self.found.last_mut().expect("a problem was pushed just now").1
    }

    /// Adds a mistake at `span` unless one inside that span is known: the same mistake seen by a later check.
    pub(super) fn add_unless_known(&mut self, kind: Kind, span: Span, message: impl Into<String>) -> &mut Problem {
        let known = |problem: &Problem| {
            let start = problem.start();
            start == span.start || (span.start..span.end).contains(&start)
        };
        if self.found.iter().any(|(_, problem)| known(problem)) {
            &mut self.scratch
        } else {
            self.add(kind, span, message)
        }
    }

    /// Returns whether anything is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns all mistakes in source order, or nothing.
    pub(super) fn into_problems(self) -> Option<Problems> {
        let source = self.joined();
        let whole = |problem: Problem| Box::new(Problem { source: source.clone(), ..problem });
        let mut all: Vec<Error> = self.found.into_iter().map(|(kind, problem)| kind(whole(problem))).collect();
        all.sort_by_key(Error::start);
        if self.left_out > 0 {
            all.push(Error::Limit(Box::new(Problem {
                what: self.what,
                source,
                message: format!("{} more mistakes are not shown", self.left_out),
                labels: Vec::new(),
                hints: Vec::new(),
            })));
        }
        Problems::from_vec(all.into_iter().map(|error| Box::new(error) as Box<dyn Diagnose>).collect())
    }
}

/// Returns the candidate that `word` is likely to stand for.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    if word.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns how many insertions, deletions, replacements and swaps of neighbours part two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["packages", "platforms", "files", "run"];
        assert_eq!(nearest("pakages", keys), Some("packages"));
        assert_eq!(nearest("fiels", keys), Some("files"));
        assert_eq!(nearest("zzz", keys), None);
        assert_eq!(nearest("ab", ["cd"]), None);
    }

    #[test]
    fn a_flood_of_mistakes_is_bounded() {
        let source = Source::new("x.yaml", "x");
        let mut report = Report::new(&source);
        for _ in 0..1000 {
            report.add(Error::Value, Span::default(), "m").label("l").hint("h");
        }
        assert_eq!(report.into_problems().unwrap().iter().count(), MAX_PROBLEMS + 1);
    }
}
