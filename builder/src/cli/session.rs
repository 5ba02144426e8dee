//! What every command is given: the environment, the flags on how to speak, and a way to speak.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use tarsia::diag::{Problems, Progress, Warning};
use tarsia::spec::Platform;

use super::arguments::{Globals, MachineFlags, StoreFlag};
use super::environment::Environment;
use super::error::Error;
use super::progress::Bars;
use super::{output, render};

/// The outside of one run.
pub(crate) struct Session {
    /// Read once, at the start.
    pub(crate) environment: Environment,
    /// `--json`, `-q`, `-v`.
    pub(crate) globals: Globals,
    bars: Bars,
    started: Instant,
}

impl Session {
    /// Returns the session of this run.
    pub(crate) fn new(environment: Environment, globals: Globals) -> Self {
        let drawn = environment.terminal && !globals.quiet && !globals.json;
        Self { environment, globals, bars: Bars::new(drawn), started: Instant::now() }
    }

    /// Returns where progress goes.
    pub(crate) fn progress(&self) -> &dyn Progress {
        &self.bars
    }

    /// Returns the directory of the store: the flag, `TARSIA_STORE`, or `tarsia` in the user's cache.
    pub(crate) fn store(&self, flags: &StoreFlag) -> Result<PathBuf, Error> {
        match (&flags.store, &self.environment.cache) {
            (Some(named), _) => Ok(named.clone()),
            (None, Some(cache)) => Ok(cache.join("tarsia")),
            (None, None) => Err(Error::NoStore),
        }
    }

    /// Returns how many threads to use.
    pub(crate) fn threads(&self, flags: &MachineFlags) -> usize {
        flags.threads.unwrap_or(self.environment.threads).max(1) as usize
    }

    /// Returns the platform that this program runs on: the default of a spec that names none.
    pub(crate) fn host(&self) -> Result<Platform, Error> {
        self.environment.platform.ok_or(Error::NoPlatform)
    }

    /// Returns `SOURCE_DATE_EPOCH` in seconds; read by `lock` alone.
    pub(crate) fn source_date_epoch(&self) -> Result<Option<i64>, Error> {
        let Some(value) = &self.environment.source_date_epoch else { return Ok(None) };
        match value.to_str().and_then(|text| text.parse::<i64>().ok()).filter(|seconds| *seconds >= 0) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(Error::SourceDateEpoch(value.to_string_lossy().into_owned())),
        }
    }

    /// Prints the answer: `text`, or `value` with `--json`.
    pub(crate) fn answer<T: Serialize>(&self, value: &T, text: &str) -> Result<(), Error> {
        if self.globals.json {
            let mut json = serde_json::to_string_pretty(value).expect("answers are plain trees with text keys");
            json.push('\n');
            output::print(&json)
        } else {
            output::print(text)
        }
    }

    /// Says one line about finished work, `Locked 34 packages`, with the time it took.
    pub(crate) fn finished(&self, line: &str) {
        if !self.globals.quiet && !self.globals.json {
            let seconds = self.started.elapsed().as_secs_f64();
            self.bars.around(|| output::say(&format!("{line} in {seconds:.1}s")));
        }
    }

    /// Says one more line where `-v` asks for it.
    pub(crate) fn detail(&self, line: &str) {
        if self.globals.verbose {
            self.bars.around(|| output::say(line));
        }
    }

    /// Shows a warning.
    pub(crate) fn warning(&self, warning: &Warning) {
        let text = if self.globals.json {
            render::warning_json(warning)
        } else if self.globals.quiet {
            return;
        } else {
            render::warning(warning, self.style())
        };
        self.bars.around(|| output::say(&text));
    }

    /// Shows why a command did not do what it was asked.
    pub(crate) fn problems(&self, problems: &Problems) {
        for problem in problems.iter() {
            let text =
                if self.globals.json { render::error_json(problem) } else { render::error(problem, self.style()) };
            self.bars.around(|| output::say(&text));
        }
    }

    fn style(&self) -> render::Style {
        render::Style { colour: self.environment.colour, code: self.globals.verbose }
    }
}
