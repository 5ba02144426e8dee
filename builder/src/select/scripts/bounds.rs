//! What following one script may cost: a meter that everything which goes over texts, paths and lists counts on.
//!
//! Scripts are hostile input: a few lines can double a text for ever, or go over every file of a root in a loop. What
//! the meter counts stands for time, and what stays is counted several times, so it stands for memory too.

use std::cell::Cell;

use super::expand::{Truth, matches};

/// The most that one call of a script may cost, in bytes or entries gone over.
const MAX_WORK: u64 = 48 << 20;
/// How much more than going over it keeping a byte costs.
const KEPT: usize = 8;
/// The most that one comparison with a pattern may cost.
const MAX_MATCH: usize = 1 << 22;

/// Counts what following a script costs.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Cell<u64>);

impl Meter {
    /// Starts again.
    pub(super) fn reset(&self) {
        self.0.set(0);
    }

    /// Counts what was gone over.
    pub(super) fn spend(&self, amount: usize) {
        self.0.set(self.0.get().saturating_add(u64::try_from(amount).unwrap_or(u64::MAX)));
    }

    /// Counts what stays.
    pub(super) fn keep(&self, bytes: usize) {
        self.spend(bytes.saturating_mul(KEPT).saturating_add(512));
    }

    /// Returns whether the script has cost what it may.
    pub(super) fn is_spent(&self) -> bool {
        self.0.get() > MAX_WORK
    }

    /// Returns whether a text fits a pattern, where that can be said at a bounded cost.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> Truth {
        let wild = pattern.contains('*');
        let sets = if pattern.contains('[') { pattern.len() } else { 1 };
        let length = if wild { text.len() + 1 } else { 1 };
        let cost = pattern.len().saturating_mul(length).saturating_mul(sets).saturating_add(text.len());
        if cost > MAX_MATCH || self.is_spent() {
            self.spend(text.len());
            return Truth::Unknown;
        }
        self.spend(cost);
        matches(pattern, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_that_would_take_long_is_not_decided() {
        let meter = Meter::default();
        assert_eq!(meter.matches("a*b", "aab"), Truth::Yes);
        let long = "a".repeat(1 << 17);
        assert_eq!(meter.matches(&format!("*{long}b"), &long), Truth::Unknown);
        assert!(!meter.is_spent());
        meter.keep(1 << 30);
        assert!(meter.is_spent());
        assert_eq!(meter.matches("a", "a"), Truth::Unknown);
        meter.reset();
        assert_eq!(meter.matches("a", "a"), Truth::Yes);
    }
}
