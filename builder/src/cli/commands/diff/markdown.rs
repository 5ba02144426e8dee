//! A difference as a comment on a pull request: a table, and the lines folded away.

use std::fmt::Write as _;

use tarsia::compare::{LockComparison, ManifestComparison};
use tarsia::ops::{Diff, ImageDiff, PlatformSummary};

use super::text::{facts, line, lines, lock_line, package};
use crate::cli::size::counted;

/// Returns the answer, with at most `limit` differences of each platform.
pub(super) fn written(diff: &Diff, limit: usize) -> String {
    match diff {
        Diff::Images(diff) => images(diff, limit),
        Diff::Locks(comparison) => locks(comparison, limit),
    }
}

fn images(diff: &ImageDiff, limit: usize) -> String {
    let comparison = &diff.comparison;
    let mut text = format!("### {} and {}\n\n", code(&comparison.a.image), code(&comparison.b.image));
    if comparison.same {
        let _ = writeln!(text, "The same: {}", code(&comparison.a.digest));
        return text;
    }
    let _ = writeln!(text, "{} → {}", code(&comparison.a.digest), code(&comparison.b.digest));
    if !comparison.differences.is_empty() {
        text.push('\n');
        for difference in &comparison.differences {
            let _ = writeln!(text, "- {}", code(&line(difference, 0)));
        }
    }
    for one in &comparison.manifests {
        match diff.summaries.iter().find(|summary| summary.platform == one.platform) {
            Some(summary) if !one.counts.is_empty() => platform(&mut text, one, summary, limit),
            _ => drop(writeln!(text, "\n**{}**: same", escaped(&one.platform))),
        }
    }
    text
}

fn platform(text: &mut String, one: &ManifestComparison, summary: &PlatformSummary, limit: usize) {
    let _ = writeln!(text, "\n**{}**: {}\n\n| | |\n|---|---|", escaped(&one.platform), summary.verdict);
    for (name, value) in facts(one, summary) {
        let _ = writeln!(text, "| {name} | {} |", escaped(&value));
    }
    if !summary.packages.is_empty() {
        text.push('\n');
        for change in summary.packages.iter().take(limit) {
            let _ = writeln!(text, "- {}", code(&package(change)));
        }
        if summary.packages.len() > limit {
            let _ = writeln!(text, "- and {} more", summary.packages.len() - limit);
        }
    }
    let (lines, more) = lines(one, limit);
    folded(text, one.counts.values().sum(), &lines, more);
}

fn locks(comparison: &LockComparison, limit: usize) -> String {
    let mut text = format!("### {} and {}\n\n", code(&comparison.a), code(&comparison.b));
    if comparison.same {
        text.push_str("The same\n");
        return text;
    }
    let (packages, rest): (Vec<_>, Vec<_>) = comparison.differences.iter().partition(|one| one.kind == "package");
    if !packages.is_empty() {
        text.push_str("| package | before | after | |\n|---|---|---|---|\n");
        for one in packages.iter().take(limit) {
            let value = |value: &Option<String>| value.as_deref().map(code).unwrap_or_default();
            let mut notes: Vec<String> = one.origin.iter().chain(&one.platforms).cloned().collect();
            notes.extend(one.variant.iter().map(|name| format!("variant {name}")));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                code(&one.name),
                value(&one.a),
                value(&one.b),
                escaped(&notes.join(", "))
            );
        }
        if packages.len() > limit {
            let _ = writeln!(text, "\nand {} more", packages.len() - limit);
        }
    }
    let lines: Vec<String> = rest.iter().take(limit).map(|one| lock_line(one)).collect();
    let more = (rest.len() - lines.len()) as u64;
    folded(&mut text, rest.len() as u64, &lines, more);
    text
}

/// Writes lines that a reader opens.
fn folded(text: &mut String, count: u64, lines: &[String], more: u64) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n<details><summary>{}</summary>\n", counted(count, "difference"));
    for line in lines {
        let _ = writeln!(text, "- {}", code(line));
    }
    if more > 0 {
        let _ = writeln!(text, "- and {} more", counted(more, "difference"));
    }
    text.push_str("\n</details>\n");
}

/// Returns a text as code, whatever it holds.
fn code(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let longest = plain.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    // A bar would end the cell of a table, also within code.
    format!("{fence}{space}{}{space}{fence}", plain.replace('|', "\\|"))
}

/// Returns a text without what Markdown or HTML would take for its own.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '|' | '#' | '~' | '@' | '&' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_says_stays_code() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("a`b``c"), "``` a`b``c ```");
        assert_eq!(code("a\u{1b}[2J\n"), "`a\u{fffd}[2J\u{fffd}`");
        assert_eq!(escaped("<b>*x*"), "\\<b>\\*x\\*");
    }
}
