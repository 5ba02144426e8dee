//! Ruby's gems: installed specifications, which RubyGems writes in one form (`Gem::Specification#to_ruby`).

use super::{Language, LanguagePackage, named_license, value};
use crate::license;

pub(super) fn is_read(parent: &str, name: &str) -> bool {
    name.ends_with(".gemspec") && (parent.ends_with("/specifications") || parent.ends_with("/specifications/default"))
}

/// Reads literal assignments `s.NAME = …` to strings, versions and lists of strings.
pub(super) fn read(path: &str, text: &str) -> Option<LanguagePackage> {
    let assigned = |name: &str| {
        text.lines().find_map(|line| {
            let (left, right) = line.trim_start().split_once('=')?;
            let (_, field) = left.trim().split_once('.')?;
            (field == name && !right.starts_with('=')).then_some(right)
        })
    };
    let text =
        |name: &str| assigned(name).and_then(|right| strings(right).into_iter().next()).and_then(|text| value(&text));
    let licenses = assigned("licenses").or_else(|| assigned("license")).map(strings).unwrap_or_default();
    let all: Option<Vec<license::Expression>> =
        licenses.iter().map(|name| license::read_spdx(&named_license(name)?)).collect();
    let authors = assigned("authors").or_else(|| assigned("author")).map(strings).unwrap_or_default();
    Some(LanguagePackage {
        language: Language::Ruby,
        name: text("name")?,
        version: text("version")?,
        // Several licences of a gem are a choice (RubyGems' specification reference, `licenses`).
        license: all.and_then(license::Expression::any).map(|any| any.to_string()),
        summary: text("summary"),
        homepage: text("homepage"),
        author: value(&authors.join(", ")),
        metadata: path.to_owned(),
        files: Vec::new(),
    })
}

/// Returns the plain strings of a literal: `"a".freeze`, `["a", "b"]`, `Gem::Version.new("1")`.
fn strings(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '\'']) {
        let mark = &rest[start..start + 1];
        let Some(end) = rest[start + 1..].find(mark) else { break };
        all.push(rest[start + 1..start + 1 + end].replace('\\', ""));
        rest = &rest[start + end + 2..];
    }
    all
}
