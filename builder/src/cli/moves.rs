//! What moved between two locks, as lines and as JSON.

use serde_json::{Value, json};
use tarsia::lock::Move;

/// Returns one line per move.
pub(crate) fn text(moved: &[Move]) -> String {
    moved.iter().map(|moved| format!("{moved}\n")).collect()
}

/// Returns one object per move.
pub(crate) fn json(moved: &[Move]) -> Vec<Value> {
    let object = |moved: &Move| {
        json!({
            "name": moved.name,
            "from": moved.from,
            "to": moved.to,
            "origin": moved.origin,
            "platforms": moved.platforms,
        })
    };
    moved.iter().map(object).collect()
}
