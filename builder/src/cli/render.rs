//! Errors and warnings as text for people, with the place in the source, or as one line of JSON for programs.

use std::error::Error as StdError;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use serde_json::{Value, json};
use tarsia::diag::{Diagnose, Label, Verdict, Warning};

/// How messages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// With colour.
    pub(crate) colour: bool,
    /// With the stable code behind `error`.
    pub(crate) code: bool,
}

/// Renders an error: message and causes, labelled places, hints.
pub(crate) fn error(problem: &dyn Diagnose, style: Style) -> String {
    render(Level::ERROR, problem.code(), &message(problem), &located(problem), &problem.hints(), style)
}

/// Renders a warning.
pub(crate) fn warning(warning: &Warning, style: Style) -> String {
    render(Level::WARNING, warning.code, &warning.message, &[], &warning.hints, style)
}

/// Renders an error as one line of JSON.
pub(crate) fn error_json(problem: &dyn Diagnose) -> String {
    let labels: Vec<Value> = located(problem).iter().map(label_json).collect();
    let exit = match problem.verdict() {
        Verdict::No => 1,
        Verdict::Unknown => 2,
    };
    json!({
        "level": "error",
        "code": problem.code(),
        "message": message(problem),
        "labels": labels,
        "hints": problem.hints(),
        "exit": exit,
    })
    .to_string()
}

/// Renders a warning as one line of JSON.
pub(crate) fn warning_json(warning: &Warning) -> String {
    json!({ "level": "warning", "code": warning.code, "message": warning.message, "hints": warning.hints }).to_string()
}

/// Returns the problem's labels, each in the text that it is of.
fn located(problem: &dyn Diagnose) -> Vec<Label> {
    problem.labels().iter().map(Label::located).collect()
}

/// Returns the message with its causes behind it, each once.
fn message(problem: &dyn Diagnose) -> String {
    let mut text = problem.to_string();
    let mut cause = StdError::source(problem);
    while let Some(error) = cause {
        let more = error.to_string();
        if !more.is_empty() && !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn render(level: Level<'_>, code: &str, message: &str, labels: &[Label], hints: &[String], style: Style) -> String {
    let mut title = level.primary_title(message);
    if style.code {
        title = title.id(code);
    }
    let mut group = Group::with_title(title);
    let mut shown: Vec<&Label> = Vec::new();
    for label in labels {
        if shown.iter().any(|other| other.source == label.source) {
            continue;
        }
        shown.push(label);
        let of_source: Vec<&Label> = labels.iter().filter(|other| other.source == label.source).collect();
        group = group.element(place(&of_source));
    }
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(DEFAULT_TERM_WIDTH).render(&[group]);
    for hint in hints {
        let hint = normalize_untrusted_str(hint);
        let word = if style.colour { "\x1b[1m\x1b[96mhint\x1b[0m" } else { "hint" };
        text.push_str(&format!("\n{word}: {hint}"));
    }
    text
}

/// Returns the element that shows labels of one source; the first is what is wrong, the others are context.
fn place<'a>(labels: &[&'a Label]) -> Element<'a> {
    let source = &labels[0].source;
    if source.text.is_empty() {
        return Origin::path(source.name.as_str()).into();
    }
    let annotations = labels.iter().enumerate().map(|(n, label)| {
        let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(bounded(label));
        if label.text.is_empty() { annotation } else { annotation.label(normalize_untrusted_str(&label.text)) }
    });
    Snippet::source(source.text.as_str()).path(source.name.as_str()).annotations(annotations).into()
}

/// Returns the label's span within its text and on boundaries of characters, never longer than its first line.
fn bounded(label: &Label) -> std::ops::Range<usize> {
    let text = &label.source.text;
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(label.span.start);
    let end = boundary(label.span.end).max(start);
    let line = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
    start..line
}

fn label_json(label: &Label) -> Value {
    let span = bounded(label);
    let before = &label.source.text[..span.start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    json!({
        "path": label.source.name,
        "line": before.matches('\n').count() + 1,
        "column": before[line_start..].chars().count() + 1,
        "start": span.start,
        "end": span.end,
        "text": label.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use std::sync::Arc;
    use tarsia::diag::{Source, Span};

    #[derive(Debug, thiserror::Error)]
    #[error("cannot lock `web`: no package named `libsll3`")]
    struct NoPackage {
        labels: Vec<Label>,
        #[source]
        cause: Option<std::io::Error>,
    }

    impl Diagnose for NoPackage {
        fn code(&self) -> &'static str {
            "resolve::no-package"
        }
        fn labels(&self) -> Vec<Label> {
            self.labels.clone()
        }
        fn hints(&self) -> Vec<String> {
            vec!["`libssl3` is in `bookworm/main`".to_owned(), "a second one".to_owned()]
        }
    }

    const PLAIN: Style = Style { colour: false, code: false };

    fn label(source: &Arc<Source>, word: &str, text: &str) -> Label {
        let start = source.text.find(word).unwrap();
        Label { source: source.clone(), span: Span { start, end: start + word.len() }, text: text.to_owned() }
    }

    #[test]
    fn an_error_shows_place_caret_and_hints() {
        let source = Source::new("specs/web.yaml", "version: 1\npackages:\n  - libsll3\n  - nginx\n");
        let labels = vec![label(&source, "libsll3", ""), label(&source, "nginx", "asked for here")];
        assert_snapshot!(error(&NoPackage { labels, cause: None }, PLAIN), @r"
        error: cannot lock `web`: no package named `libsll3`
         --> specs/web.yaml:3:5
          |
        3 |   - libsll3
          |     ^^^^^^^
        4 |   - nginx
          |     ----- asked for here
        hint: `libssl3` is in `bookworm/main`
        hint: a second one
        ");
    }

    #[test]
    fn causes_follow_the_message_and_nothing_reaches_the_terminal_raw() {
        let source = Source::new("a.yaml", "k: \x1b[31mred\n");
        let cause = Some(std::io::Error::other("the disk said \x1b[2J"));
        let text = error(&NoPackage { labels: vec![label(&source, "red", "\x1b]0;x")], cause }, PLAIN);
        assert!(!text.contains('\x1b'), "{text}");
        assert_snapshot!(text, @r"
        error: cannot lock `web`: no package named `libsll3`: the disk said ␛[2J
         --> a.yaml:1:9
          |
        1 | k: ␛[31mred
          |         ^^^ ␛]0;x
        hint: `libssl3` is in `bookworm/main`
        hint: a second one
        ");
    }

    #[test]
    fn a_span_outside_its_text_is_no_panic() {
        for (start, end) in [(0, 0), (1, 2), (2, 1), (3, 3), (0, 99), (98, 99), (0, 4)] {
            let source = Source::new("a", "é\nb");
            let labels = vec![Label { source, span: Span { start, end }, text: String::new() }];
            assert!(error(&NoPackage { labels, cause: None }, PLAIN).contains("--> a:"), "{start}..{end}");
        }
        let labels = vec![Label { source: Source::new("a", ""), span: Span::default(), text: String::new() }];
        assert!(error(&NoPackage { labels, cause: None }, PLAIN).contains("--> a"));
    }

    #[test]
    fn json_says_where_in_lines_and_columns() {
        let source = Source::new("a.yaml", "é: 1\né: libsll3\n");
        let problem = NoPackage { labels: vec![label(&source, "libsll3", "here")], cause: None };
        let json: Value = serde_json::from_str(&error_json(&problem)).unwrap();
        assert_eq!(json["code"], "resolve::no-package");
        assert_eq!((&json["labels"][0]["line"], &json["labels"][0]["column"]), (&json!(2), &json!(4)));
        assert_eq!(json["exit"], 2);
    }
}
