//! Progress on a terminal: one bar per stage, gone when the stage is over. Elsewhere nothing is drawn.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tarsia::diag::Progress;

use super::output;

/// The bars of a run.
pub(crate) struct Bars {
    screen: MultiProgress,
    drawn: bool,
    verbose: bool,
    running: Mutex<BTreeMap<&'static str, ProgressBar>>,
}

impl Bars {
    /// Returns bars on standard error, or bars that nobody sees; `verbose` says each step in a line of its own as well.
    pub(crate) fn new(drawn: bool, verbose: bool) -> Self {
        let target = if drawn { ProgressDrawTarget::stderr_with_hz(15) } else { ProgressDrawTarget::hidden() };
        Self { screen: MultiProgress::with_draw_target(target), drawn, verbose, running: Mutex::default() }
    }

    /// Writes around the bars, which are drawn again below what was written.
    pub(crate) fn around(&self, write: impl FnOnce()) {
        if self.drawn { self.screen.suspend(write) } else { write() }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<&'static str, ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn start(&self, stage: &'static str, total: u64) {
        if !self.drawn {
            return;
        }
        let bar = self.screen.add(ProgressBar::new(total).with_style(style(stage, total)).with_prefix(title(stage)));
        bar.enable_steady_tick(Duration::from_millis(150));
        if let Some(before) = self.running().insert(stage, bar) {
            before.finish_and_clear();
        }
    }

    fn advance(&self, stage: &'static str, count: u64) {
        if self.drawn
            && let Some(bar) = self.running().get(stage)
        {
            bar.inc(count);
        }
    }

    fn finish(&self, stage: &'static str) {
        if self.drawn
            && let Some(bar) = self.running().remove(&stage)
        {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    fn step(&self, line: &str) {
        if self.verbose {
            self.around(|| output::say(line));
        }
    }
}

/// Returns how a stage is drawn: bytes with a rate, items as a count, and a spinner where the end is not known.
fn style(stage: &str, total: u64) -> ProgressStyle {
    let template = match (total, counts_bytes(stage)) {
        (0, _) => "{prefix:>10} {spinner} {elapsed}",
        (_, true) => "{prefix:>10} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}",
        (_, false) => "{prefix:>10} [{bar:30}] {pos}/{len}",
    };
    ProgressStyle::with_template(template).expect("the templates above are well formed").progress_chars("=> ")
}

/// Returns whether a stage reports bytes; the others report items.
fn counts_bytes(stage: &str) -> bool {
    matches!(stage, "fetch" | "layer" | "write" | "output" | "verify" | "push" | "pull")
}

/// Returns the word beside a stage's bar.
fn title(stage: &'static str) -> Cow<'static, str> {
    match stage {
        "metadata" => "Reading".into(),
        "resolve" => "Resolving".into(),
        "proof" => "Proving".into(),
        "fetch" => "Fetching".into(),
        "open" => "Opening".into(),
        "select" => "Selecting".into(),
        "layer" => "Packing".into(),
        "write" | "output" => "Writing".into(),
        "verify" => "Verifying".into(),
        "push" => "Pushing".into(),
        "pull" => "Pulling".into(),
        "gc" => "Removing".into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_style_and_unknown_ones_are_shown_by_name() {
        for stage in ["fetch", "open", "a stage of tomorrow"] {
            style(stage, 0);
            style(stage, 7);
        }
        assert_eq!(title("a stage of tomorrow"), "a stage of tomorrow");
        let bars = Bars::new(false, false);
        bars.start("fetch", 1);
        bars.advance("fetch", 1);
        bars.finish("fetch");
        bars.finish("never started");
    }
}
