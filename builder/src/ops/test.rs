//! `test`: runs a spec's trials in its built image, and holds what they show against what they must show.

use std::path::Path;

use serde::Serialize;

use crate::container::Ran;
use crate::diag::{Problems, Warning};
use crate::lock::Move;
use crate::spec::{Spanned, Trial};

use super::run::{self, RunOptions, job};
use super::{Error, Project, World, shown};

/// The most bytes that are shown of what a failed run wrote.
const MAX_SHOWN: usize = 4 << 10;

/// What `test` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// The spec as the user named it.
    pub spec: String,
    /// Digest of the whole image.
    pub digest: String,
    /// Whether every run showed what it must.
    pub passed: bool,
    /// One per platform.
    pub images: Vec<TestedImage>,
    /// What moved in the lock, where it was renewed.
    #[serde(skip)]
    pub moved: Vec<Move>,
    /// Worth saying.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// The runs of one platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestedImage {
    /// `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest.
    pub digest: String,
    /// In the spec's order.
    pub runs: Vec<TestedRun>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestedRun {
    /// The program with its arguments.
    pub command: Vec<String>,
    /// What is not as it must be, as sentences; empty where all is.
    pub problems: Vec<String>,
    /// Exit status; absent where it never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The end of what it wrote to standard output.
    pub stdout: String,
    /// The end of what it wrote to standard error.
    pub stderr: String,
    /// The end of what its port answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// Builds the spec at `path` into the store, writing no image, and runs what its `checks` say.
///
/// # Errors
/// No runs in the spec; no runtime; whatever would stop a build. A run that fails is no error.
pub fn test(world: &World<'_>, path: &Path, options: &RunOptions<'_>) -> Result<Tested, Problems> {
    let project = Project::read(path, options.variant.as_deref())?;
    let trials = project.spec.checks.as_ref().map(|checks| checks.run.clone()).unwrap_or_default();
    if trials.is_empty() {
        return Err(Error::NoTrials { spec: shown(path) }.into());
    }
    let mut images = Vec::new();
    let prepared = run::each(world, path, project, options, false, &mut |ready, _| {
        world.progress.start("test", trials.len() as u64);
        let mut runs = Vec::new();
        for Spanned { value: trial, .. } in &trials {
            let job = job(&ready.bundle, trial)?;
            let ran = ready.bundle.run(&job)?;
            runs.push(TestedRun {
                problems: problems(trial, &ran),
                command: job.arguments,
                exit: ran.exit,
                stdout: end(&ran.stdout),
                stderr: end(&ran.stderr),
                answer: ran.answer.as_deref().map(end),
            });
            world.progress.advance("test", 1);
        }
        world.progress.finish("test");
        let (platform, digest) = (ready.platform.oci().to_owned(), ready.digest.to_string());
        images.push(TestedImage { platform, digest, runs });
        Ok(())
    })?;
    let passed = images.iter().flat_map(|image| &image.runs).all(|run| run.problems.is_empty());
    let (spec, digest) = (shown(path), prepared.digest.to_string());
    Ok(Tested { spec, digest, passed, images, moved: prepared.moved, warnings: prepared.warnings })
}

/// Returns what a run did not show that it must.
fn problems(trial: &Trial, ran: &Ran) -> Vec<String> {
    if let Some(why) = &ran.refused {
        return vec![format!("it could not be started: {why}")];
    }
    let mut problems = Vec::new();
    if ran.timed_out {
        let seconds = trial.timeout.unwrap_or(Trial::TIMEOUT);
        problems.push(match trial.listen {
            Some(port) => format!("nothing listened on port {port} within {seconds} s"),
            None => format!("it had not ended after {seconds} s"),
        });
    } else if let (Some(port), None) = (trial.listen, &ran.answer) {
        let status = ran.exit.unwrap_or(-1);
        problems.push(format!("it ended with exit status {status} before anything listened on port {port}"));
    }
    // What was stopped by us may end as it likes, unless the spec says how.
    let expected = trial.exit.map(i32::from).or((trial.listen.is_none() && !ran.timed_out).then_some(0));
    if let (Some(expected), Some(exit)) = (expected, ran.exit)
        && expected != exit
    {
        problems.push(format!("its exit status is {exit}, not {expected}"));
    }
    let answer = ran.answer.as_deref().unwrap_or_default();
    for (what, bytes, texts) in [
        ("standard output", ran.stdout.as_slice(), &trial.stdout),
        ("standard error", ran.stderr.as_slice(), &trial.stderr),
        ("the answer from its port", answer, &trial.answer),
    ] {
        for text in texts.iter().filter(|text| memchr::memmem::find(bytes, text.as_bytes()).is_none()) {
            problems.push(format!("{what} has no `{}`", text.escape_debug()));
        }
    }
    problems
}

/// Returns the end of what was written, from the beginning of a line.
fn end(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(MAX_SHOWN);
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_told() {
        let trial = Trial { stdout: vec!["a".into(), "b\n".into()], stderr: vec!["e".into()], ..Trial::default() };
        let ran = Ran { exit: Some(3), stdout: b"xax".to_vec(), ..Ran::default() };
        assert_eq!(
            problems(&trial, &ran),
            ["its exit status is 3, not 0", "standard output has no `b\\n`", "standard error has no `e`",]
        );
        let refused = Ran { refused: Some("no such file".into()), ..Ran::default() };
        assert_eq!(problems(&trial, &refused), ["it could not be started: no such file"]);
        let ran = Ran { exit: Some(137), timed_out: true, ..Ran::default() };
        assert_eq!(problems(&Trial::default(), &ran), ["it had not ended after 60 s"]);
        let ran = Ran { exit: Some(0), ..Ran::default() };
        assert_eq!(problems(&Trial { exit: Some(7), ..Trial::default() }, &ran), ["its exit status is 0, not 7"]);
    }

    #[test]
    fn a_program_that_listens_may_end_as_it_likes() {
        let trial = Trial { listen: Some(80), answer: vec!["200".into()], ..Trial::default() };
        let answered = Ran { exit: Some(143), answer: Some(b"HTTP/1.0 200".to_vec()), ..Ran::default() };
        assert!(problems(&trial, &answered).is_empty());
        let ended = Ran { exit: Some(1), ..Ran::default() };
        assert_eq!(
            problems(&trial, &ended),
            [
                "it ended with exit status 1 before anything listened on port 80",
                "the answer from its port has no `200`",
            ]
        );
        let late = Ran { exit: Some(143), timed_out: true, ..Ran::default() };
        assert_eq!(problems(&trial, &late)[0], "nothing listened on port 80 within 60 s");
    }

    #[test]
    fn the_end_of_a_long_text_begins_with_a_line() {
        assert_eq!(end(b"short\n"), "short\n");
        let long = format!("{}\nlast\n", "x".repeat(2 * MAX_SHOWN));
        assert_eq!(end(format!("{long}{}", "y\n".repeat(100)).as_bytes()), format!("last\n{}", "y\n".repeat(100)));
    }
}
