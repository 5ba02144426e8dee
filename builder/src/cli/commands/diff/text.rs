//! A difference as a person reads it on a terminal. What comes from images is shown without control characters.

use std::fmt::Write as _;

use tarsia::compare::{Class, Difference, LockComparison, LockDifference, ManifestComparison};
use tarsia::ops::{Diff, ImageDiff, PlatformSummary};

use super::{by_class, counts};
use crate::cli::output::plain;
use crate::cli::size::{counted, human_size};

/// Classes in the order of what a reader wants to know first.
const ORDER: [Class; 12] = [
    Class::Config,
    Class::Manifest,
    Class::Name,
    Class::Type,
    Class::Content,
    Class::Mode,
    Class::Owner,
    Class::Xattr,
    Class::Order,
    Class::Encoding,
    Class::Format,
    Class::Mtime,
];

/// Returns the answer, with at most `limit` differences of each platform.
pub(super) fn written(diff: &Diff, limit: usize) -> String {
    match diff {
        Diff::Images(diff) => images(diff, limit),
        Diff::Locks(comparison) => locks(comparison, limit),
    }
}

fn images(diff: &ImageDiff, limit: usize) -> String {
    let comparison = &diff.comparison;
    let mut text = String::new();
    let width = comparison.a.image.chars().count().max(comparison.b.image.chars().count());
    for (name, side) in [("a", &comparison.a), ("b", &comparison.b)] {
        let _ = writeln!(text, "{name}  {:<width$}  {}", plain(&side.image), side.digest);
    }
    if comparison.same {
        text.push_str("same\n");
        return text;
    }
    for (at, difference) in comparison.differences.iter().enumerate() {
        let _ = writeln!(text, "{}{}", if at == 0 { "\n" } else { "" }, line(difference, 0));
    }
    for one in &comparison.manifests {
        match diff.summaries.iter().find(|summary| summary.platform == one.platform) {
            Some(summary) if !one.counts.is_empty() => platform(&mut text, one, summary, limit),
            _ => drop(writeln!(text, "\n{}: same", plain(&one.platform))),
        }
    }
    text
}

fn platform(text: &mut String, one: &ManifestComparison, summary: &PlatformSummary, limit: usize) {
    let _ = writeln!(text, "\n{}: {}", plain(&one.platform), summary.verdict);
    for (name, value) in facts(one, summary) {
        let _ = writeln!(text, "  {name:<12} {value}");
    }
    let mut packages: Vec<String> = summary.packages.iter().take(limit).map(package).collect();
    if summary.packages.len() > limit {
        packages.push(format!("and {} more", summary.packages.len() - limit));
    }
    if !packages.is_empty() {
        let _ = writeln!(text, "\n  {}", packages.join("\n  "));
    }
    text.push('\n');
    let (lines, more) = lines(one, limit);
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    if more > 0 {
        let _ = writeln!(text, "  and {} more; `-v` shows all", counted(more, "difference"));
    }
}

/// Returns what differences of a platform come to, by name.
pub(super) fn facts(one: &ManifestComparison, summary: &PlatformSummary) -> Vec<(&'static str, String)> {
    let packages = [
        (summary.packages.iter().filter(|one| one.a.is_some() && one.b.is_some()).count(), "changed"),
        (summary.packages.iter().filter(|one| one.a.is_none()).count(), "added"),
        (summary.packages.iter().filter(|one| one.b.is_none()).count(), "removed"),
    ];
    let files = [
        (summary.files_changed as usize, "changed"),
        (summary.files_added as usize, "added"),
        (summary.files_removed as usize, "removed"),
    ];
    let mut facts = vec![("packages", counts(&packages)), ("files", counts(&files))];
    let config = one.counts.get(&Class::Config).copied().unwrap_or(0);
    facts.push(("config", if config == 0 { "same".to_owned() } else { format!("{} changed", counted(config, "key")) }));
    facts.push((
        "layers",
        match summary.layers_new {
            0 => "same".to_owned(),
            new => {
                let bytes = human_size(summary.layers_new_bytes);
                format!("{new} of {} new, {bytes} to pull", summary.layers)
            }
        },
    ));
    let mut surface: Vec<String> = summary
        .totals
        .iter()
        .filter(|total| total.name == "ELF files" && total.a != total.b)
        .map(|total| format!("{} ELF files -> {}", total.a, total.b))
        .collect();
    let sign = |new: bool| if new { '+' } else { '-' };
    surface.extend(
        summary.surface.iter().take(12).map(|one| format!("{}{} {}", sign(one.new), one.finding, plain(&one.path))),
    );
    if summary.surface.len() > 12 {
        surface.push(format!("and {} more", summary.surface.len() - 12));
    }
    facts.push(("surface", if surface.is_empty() { "same".to_owned() } else { surface.join(", ") }));
    let sizes: Vec<String> = [("compressed bytes", "compressed"), ("bytes of files", "of files")]
        .iter()
        .filter_map(|(name, word)| {
            let total = summary.totals.iter().find(|total| total.name == *name)?;
            (total.a != total.b).then(|| format!("{} {word}", change(total.a, total.b)))
        })
        .collect();
    facts.push(("size", if sizes.is_empty() { "same".to_owned() } else { sizes.join(", ") }));
    facts.push(("differences", by_class(&one.counts, |class| class.as_str())));
    facts
}

/// Returns two sizes with the difference: `1.0 MB -> 1.2 MB (+0.2 MB)`.
fn change(a: u64, b: u64) -> String {
    let (one, other) = (human_size(a), human_size(b));
    let sign = if b < a { '-' } else { '+' };
    format!("{one} -> {other} ({sign}{})", human_size(a.abs_diff(b)))
}

pub(super) fn package(change: &tarsia::ops::PackageChange) -> String {
    plain(&match (&change.a, &change.b) {
        (Some(a), Some(b)) => format!("{} {a} -> {b}", change.name),
        (None, Some(b)) => format!("{} {b} (added)", change.name),
        (Some(a), None) => format!("{} {a} (removed)", change.name),
        (None, None) => change.name.clone(),
    })
}

/// Returns a line for each difference, what matters most first, at most `limit`, and how many differences there are
/// beyond those. With a limit, what is said alike of several paths is one line.
pub(super) fn lines(one: &ManifestComparison, limit: usize) -> (Vec<String>, u64) {
    let mut differences: Vec<&Difference> = one.differences.iter().collect();
    let place = |class: Class| ORDER.iter().position(|other| *other == class);
    differences.sort_by_key(|one| (place(one.class), one.class == Class::Name && is_directory(one)));
    let mut groups: Vec<(&Difference, u64)> = Vec::new();
    for difference in differences {
        let alike = |first: &&Difference| {
            let said = |one: &Difference| (one.class, one.what.clone(), one.a.clone(), one.b.clone());
            let side = |one: &Difference| (one.class, one.package.clone(), one.a.is_some(), is_directory(one));
            limit != usize::MAX
                && first.at.as_deref().is_some_and(|at| at.starts_with('/'))
                && match first.class {
                    Class::Mode | Class::Owner | Class::Xattr | Class::Format | Class::Mtime => {
                        said(first) == said(difference)
                    }
                    // What comes or goes with a package is one line.
                    Class::Name => side(first) == side(difference) && (first.package.is_some() || is_directory(first)),
                    _ => false,
                }
        };
        match groups.iter_mut().rev().take(64).find(|(first, _)| alike(first)) {
            Some((_, count)) => *count += 1,
            None => groups.push((difference, 1)),
        }
    }
    let told: u64 = groups.iter().take(limit).map(|(_, count)| count).sum();
    let lines = groups.iter().take(limit).map(|(one, count)| line(one, count - 1));
    (lines.collect(), one.counts.values().sum::<u64>() - told)
}

/// Returns whether this is a directory that one side has.
fn is_directory(one: &Difference) -> bool {
    one.a.as_deref().or(one.b.as_deref()) == Some("directory")
}

/// Returns a difference as one line: `content  /usr/bin/x (hello): …`; `more` paths are said to be the same.
pub(super) fn line(one: &Difference, more: u64) -> String {
    let mut text = format!("{:<9}", one.class.as_str());
    let layer = match (one.layer_a, one.layer_b) {
        (Some(a), Some(b)) if a == b => format!("layer {a}"),
        (Some(a), Some(b)) => format!("layer {a} and {b}"),
        (Some(layer), None) | (None, Some(layer)) => format!("layer {layer}"),
        (None, None) => String::new(),
    };
    match (&one.at, layer.as_str()) {
        (Some(at), _) => text.push_str(at),
        (None, _) if one.class == Class::Order => text.push_str("layers"),
        (None, layer) => text.push_str(layer),
    }
    if let Some(package) = &one.package {
        let _ = write!(text, " ({package})");
    }
    if more > 0 {
        let _ = write!(text, " and {}", counted(more, "more path"));
    }
    if let Some(what) = one.what.as_ref().filter(|what| *what != "layer" || one.class != Class::Name) {
        let _ = write!(text, ", {what}");
    }
    match (&one.inside, &one.a, &one.b) {
        (Some(inside), ..) => drop(write!(text, ": {inside}")),
        (None, Some(_), None) if more > 0 => text.push_str(": removed"),
        (None, None, Some(_)) if more > 0 => text.push_str(": added"),
        (None, Some(a), None) => drop(write!(text, ": {a}, removed")),
        (None, None, Some(b)) => drop(write!(text, ": {b}, added")),
        (None, Some(a), Some(b)) => {
            let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
            let _ = write!(text, ": {} -> {}", shown(a), shown(b));
        }
        (None, None, None) => {}
    }
    plain(&text)
}

fn locks(comparison: &LockComparison, limit: usize) -> String {
    let mut text = format!("a  {}\nb  {}\n", plain(&comparison.a), plain(&comparison.b));
    if comparison.same {
        text.push_str("same\n");
        return text;
    }
    let (packages, rest): (Vec<_>, Vec<_>) = comparison.differences.iter().partition(|one| one.kind == "package");
    // Chains of reasons and layers follow from packages as a rule.
    let (quiet, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| matches!(one.kind, "reason" | "layer"));
    for (name, all) in [("packages", packages), ("other", rest), ("reasons and layers", quiet)] {
        if all.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{name}: {}", all.len());
        for one in all.iter().take(limit) {
            let _ = writeln!(text, "  {}", lock_line(one));
        }
        if all.len() > limit {
            let _ = writeln!(text, "  and {} more; `-v` shows all", counted((all.len() - limit) as u64, "difference"));
        }
    }
    text
}

/// Returns a difference of locks as one line.
pub(super) fn lock_line(one: &LockDifference) -> String {
    let mut text = match one.kind {
        "package" => one.name.clone(),
        kind => format!("{kind} {}", one.name),
    };
    match (&one.a, &one.b) {
        (Some(a), Some(b)) if a == b => drop(write!(text, " {a} (same version, other bytes)")),
        (Some(a), Some(b)) => drop(write!(text, " {a} -> {b}")),
        (None, Some(b)) => drop(write!(text, " {b} (added)")),
        (Some(a), None) => drop(write!(text, " {a} (removed)")),
        (None, None) => {}
    }
    let mut notes: Vec<String> = one.origin.iter().cloned().collect();
    notes.extend(one.platforms.iter().cloned());
    notes.extend(one.variant.iter().map(|name| format!("variant {name}")));
    if !notes.is_empty() {
        let _ = write!(text, " [{}]", notes.join(", "));
    }
    plain(&text)
}
