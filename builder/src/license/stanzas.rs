//! Machine-readable copyright files (DEP-5, copyright format 1.0).

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{self, Expression};
use super::names::{self, Name};
use super::refs::Refs;
use super::shipped::{Absent, Shipped};
use super::{Package, known};
use crate::deb822::LooseStanza;

/// The most patterns of one stanza that are looked at one by one; more of them are taken as there.
const MAX_PATTERNS: usize = 5_000;

/// What a copyright file says of its source tree.
#[derive(Debug)]
pub(super) struct Described {
    /// All that is in the tree.
    pub declared: Expression,
    /// What may be in the package.
    pub concluded: Expression,
    /// Lines of the `Copyright` fields of what may be in the package.
    pub copyright: Vec<String>,
    /// How many stanzas were left out, by reason.
    pub absent: BTreeMap<Absent, usize>,
}

/// Returns whether these are stanzas of a machine-readable copyright file.
pub(super) fn are_machine_readable(stanzas: &[LooseStanza<'_>]) -> bool {
    let head = stanzas.first().is_some_and(|first| {
        let format = first.lines("Format").or_else(|| first.lines("Format-Specification"));
        format.is_some_and(|lines| {
            let text = lines.concat().to_lowercase();
            text.contains("copyright-format")
                || text.contains("dep5")
                || text.contains("dep.debian")
                || text.contains("/copyright")
        })
    });
    head && stanzas.iter().any(|stanza| stanza.has("Files") && stanza.has("License"))
}

/// Reads the stanzas; `None` where none of them names a licence.
pub(super) fn read(stanzas: &[LooseStanza<'_>], package: &Package<'_>, refs: &mut Refs) -> Option<Described> {
    let texts = texts(stanzas);
    let shipped = Shipped::of(package);
    let (mut declared, mut concluded) = (Vec::new(), Vec::new());
    let mut absent: BTreeMap<Absent, usize> = BTreeMap::new();
    let (mut copyright, mut all_copyright) = (Vec::new(), Vec::new());
    for stanza in stanzas {
        let (Some(files), Some(license)) = (stanza.lines("Files"), stanza.lines("License")) else { continue };
        let Some(one) = license_of(stanza, license, &texts, package, refs) else { continue };
        let reason = absence(files, &shipped);
        let holders = holders(stanza);
        all_copyright.extend(holders.iter().cloned());
        match reason {
            Some(reason) => *absent.entry(reason).or_default() += 1,
            None => {
                copyright.extend(holders);
                concluded.push(one.clone());
            }
        }
        declared.push(one);
    }
    if concluded.is_empty() {
        // A package of packaging alone, or of documentation: then all of it is what is in the package.
        (copyright, concluded) = (all_copyright, declared.clone());
        absent.clear();
    }
    Some(Described { declared: Expression::all(declared)?, concluded: Expression::all(concluded)?, copyright, absent })
}

/// Returns why nothing that a stanza names is in the package, where all its patterns say so.
fn absence(files: &[&str], shipped: &Shipped<'_>) -> Option<Absent> {
    let mut reason = None;
    let mut count = 0;
    for pattern in files.iter().flat_map(|line| line.split([' ', '\t', ','])).filter(|pattern| !pattern.is_empty()) {
        count += 1;
        if count > MAX_PATTERNS {
            return None;
        }
        reason = Some(shipped.absent(pattern)?);
    }
    reason
}

fn holders(stanza: &LooseStanza<'_>) -> Vec<String> {
    let lines = stanza.lines("Copyright").unwrap_or_default();
    lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Returns the texts of stand-alone licence stanzas, and those that stand in another one, by name.
fn texts(stanzas: &[LooseStanza<'_>]) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let alone = stanzas.iter().filter(|stanza| !stanza.has("Files"));
    for stanza in alone.chain(stanzas.iter().filter(|stanza| stanza.has("Files"))) {
        let Some([first, text @ ..]) = stanza.lines("License") else { continue };
        let text = text.join("\n");
        if !text.trim().is_empty() {
            texts.entry(key(first)).or_insert(text);
        }
    }
    texts
}

fn key(short: &str) -> String {
    short.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn license_of(
    stanza: &LooseStanza<'_>,
    license: &[&str],
    texts: &BTreeMap<String, String>,
    package: &Package<'_>,
    refs: &mut Refs,
) -> Option<Expression> {
    let (first, rest) = license.split_first()?;
    let own = rest.join("\n");
    let own = own.trim();
    let comment = stanza.lines("Comment").map(|lines| lines.join("\n")).unwrap_or_default();
    if first.trim().is_empty() {
        if own.is_empty() {
            return None;
        }
        return Some(known::whole(own).unwrap_or_else(|| refs.add(package.source, "unnamed", own)));
    }
    // A text of the stanza's own is that of its one name, or of all together.
    let single = !first.contains([',', ' ']) || first.to_lowercase().contains(" with ");
    let mut resolve = |name: &Name| {
        let written = name.to_string();
        let exception = format!("{written} exception");
        let candidates = [key(&written), key(&exception), key(first)];
        let listed = candidates[..2].iter().find_map(|key| texts.get(key)).map(String::as_str);
        let text = match listed {
            _ if single && !own.is_empty() => own,
            Some(listed) => listed,
            None if !own.is_empty() => own,
            None => texts.get(&candidates[2]).map_or("", String::as_str),
        };
        resolved(name, &written, text, &comment, package, refs)
    };
    expression::read_short(first, &mut resolve)
}

/// Returns what a name and its text stand for.
fn resolved(
    name: &Name,
    written: &str,
    text: &str,
    comment: &str,
    package: &Package<'_>,
    refs: &mut Refs,
) -> Expression {
    // A family without a version says it in the text, or leaves it open.
    let bare = matches!(name.base.to_ascii_uppercase().as_str(), "GPL" | "LGPL" | "AGPL") && name.exception.is_none();
    if bare
        && !name.later
        && let Some(found) = known::whole(text)
        && found.to_string().starts_with(&name.base.to_ascii_uppercase())
    {
        return found;
    }
    if let Some(found) = names::spdx_name(name).and_then(|found| expression::read_spdx(&found)) {
        return found;
    }
    if let Some(found) = known::whole(text) {
        return found;
    }
    let text = match text.trim() {
        "" => comment.trim(),
        text => text,
    };
    refs.add(package.source, written, text)
}

/// Returns lines without those that came before, in their order.
pub(super) fn unique(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.into_iter().filter(|line| seen.insert(line.clone())).collect()
}
