//! Node's modules: `package.json` of a module itself, not of its parts.

use serde_json::Value;

use super::{Language, LanguagePackage, named_license, value};
use crate::license;

/// Returns whether this is the `package.json` of a module: directly below `node_modules`, or where Debian has them.
pub(super) fn is_read(parent: &str, name: &str) -> bool {
    if name != "package.json" {
        return false;
    }
    let (above, last) = parent.rsplit_once('/').unwrap_or(("", parent));
    let above = match above.rsplit_once('/') {
        Some((above, scope)) if scope.starts_with('@') => above,
        _ => above,
    };
    let is_home = matches!(above, "usr/share/nodejs" | "usr/lib/nodejs" | "node_modules");
    !last.starts_with('@') && (is_home || above.ends_with("/node_modules"))
}

pub(super) fn read(path: &str, text: &str) -> Option<LanguagePackage> {
    let json: Value = serde_json::from_str(text).ok()?;
    let text = |key: &str| json.get(key).and_then(Value::as_str).and_then(value);
    let author = match json.get("author") {
        Some(Value::String(author)) => value(author.split(['<', '(']).next().unwrap_or_default()),
        Some(author) => author.get("name").and_then(Value::as_str).and_then(value),
        None => None,
    };
    Some(LanguagePackage {
        language: Language::Node,
        name: text("name")?,
        version: text("version")?,
        license: licensed(&json),
        summary: text("description"),
        homepage: text("homepage"),
        author,
        metadata: path.to_owned(),
        files: Vec::new(),
    })
}

/// Reads `license: SPDX`, and the older `license: {type}` and `licenses: [{type}]`, which is a choice.
fn licensed(json: &Value) -> Option<String> {
    let one = |value: &Value| {
        let text = value.as_str().or_else(|| value.get("type").and_then(Value::as_str));
        text.and_then(named_license)
    };
    if let Some(license) = json.get("license") {
        return one(license);
    }
    let all: Option<Vec<license::Expression>> =
        json.get("licenses")?.as_array()?.iter().map(|value| license::read_spdx(&one(value)?)).collect();
    license::Expression::any(all?).map(|any| any.to_string())
}
