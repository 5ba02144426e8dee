//! `tarsia diff`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use tarsia::compare::Comparison;
use tarsia::diag::Problems;
use tarsia::ops::{self, Diff};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, SourceFlags};
use crate::cli::output;
use crate::cli::session::Session;

mod markdown;
mod text;

/// Flags of `diff`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image or lock to start from: a directory, an archive, oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST], or a file that ends in `.lock`
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// Image or lock to compare with it
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// How to write the answer; `-v` writes every difference
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) source: SourceFlags,
}

/// How an answer is written: for a terminal, for a program, for a comment on a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Markdown,
}

/// Prints how two images or locks differ; the answer is no where they do.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let scratch = &session.environment.temporary;
    let SourceFlags { store, registry } = &arguments.source;
    let diff = session.reaching(store, registry, false, |reach| {
        ops::diff(reach, &arguments.a, &arguments.b, &arguments.platform.platforms, scratch)
    })?;
    let limit = if session.globals.verbose { usize::MAX } else { SHOWN };
    match arguments.format {
        _ if session.globals.json => session.answer(&diff, "")?,
        Format::Json => output::print(&format!("{}\n", json(&diff)))?,
        Format::Text => output::print(&text::written(&diff, limit))?,
        Format::Markdown => output::print(&markdown::written(&diff, limit))?,
    }
    Ok(if diff.same() { Answer::Yes } else { Answer::No })
}

/// How many differences are shown without `-v`.
pub(super) const SHOWN: usize = 20;

/// Returns the differences of two images, at most `limit` of each platform, as `verify` lists them too.
pub(super) fn lines(comparison: &Comparison, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = comparison.differences.iter().map(|difference| text::line(difference, 0)).collect();
    for one in comparison.manifests.iter().filter(|one| !one.counts.is_empty()) {
        let (lines, more) = text::lines(one, limit);
        all.extend(lines);
        if more > 0 {
            all.push(format!("and {} more on {}; `-v` shows all", more, output::plain(&one.platform)));
        }
    }
    all
}

fn json(diff: &Diff) -> String {
    serde_json::to_string_pretty(diff).expect("answers are plain trees with text keys")
}

/// Returns counts in words: `3 changed, 1 added`.
fn counts(all: &[(usize, &str)]) -> String {
    let words: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if words.is_empty() { "same".to_owned() } else { words.join(", ") }
}

/// Returns how many of each kind there are, `content 3, mtime 4`.
fn by_class<K: Ord>(counts: &BTreeMap<K, u64>, name: impl Fn(&K) -> &'static str) -> String {
    let mut text = String::new();
    for (class, count) in counts {
        let _ = write!(text, "{}{} {count}", if text.is_empty() { "" } else { ", " }, name(class));
    }
    text
}
