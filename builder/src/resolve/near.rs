//! What a package that is not there might be instead.

use std::collections::BTreeSet;

use super::error::Missing;
use super::installed::is_installed;
use super::universe::{Choice, Universe};
use crate::archive::Candidate;
use crate::spec::{PackageRequest, Spanned, Spec};

/// How many other names a hint offers.
const OFFERS: usize = 3;

/// Says what is missing of a request that nothing meets, or that several providers of a virtual name would.
pub(super) fn missing(
    spec: &Spec,
    request: &Spanned<PackageRequest>,
    universe: &Universe<'_, '_>,
    choices: &[Choice],
) -> Missing {
    let PackageRequest { name, version, from, .. } = &request.value;
    let everywhere = || universe.everywhere(name);
    let (what, hints) = if spec.excluded.iter().any(|excluded| excluded.value == *name) {
        let what = format!("`{name}` is asked for and excluded");
        (what, vec![format!("remove `{name}` or `!{name}`")])
    } else if !choices.is_empty() {
        let providers = choices.iter().filter_map(|choice| Some(universe.candidate(*choice.ids.first()?)));
        let mut there: Vec<String> = providers.take(OFFERS + 1).map(|candidate| place(candidate, false)).collect();
        if there.len() > OFFERS {
            there[OFFERS] = format!("{} more", choices.len() - OFFERS);
        }
        (format!("`{name}` is a virtual package"), vec![format!("ask for one that provides it: {}", there.join(", "))])
    } else if let Some((op, bound)) = version.as_ref().filter(|_| everywhere().next().is_some()) {
        let there: Vec<String> = everywhere().map(|candidate| place(candidate, true)).collect();
        (format!("no version of `{name}` is {op} {bound}"), vec![format!("there is {}", there.join(", "))])
    } else if let Some(archive) = from.as_ref().filter(|_| everywhere().next().is_some()) {
        let there: BTreeSet<String> = everywhere().map(|candidate| place(candidate, false)).collect();
        let there: Vec<String> = there.into_iter().collect();
        (format!("no package named `{name}` in archive `{archive}`"), vec![format!("there is {}", there.join(", "))])
    } else {
        (format!("no package named `{name}`"), near(name, universe))
    };
    Missing { span: request.span, what, hints }
}

fn place(candidate: &Candidate, with_version: bool) -> String {
    let version = if with_version { format!(" {}", candidate.version) } else { String::new() };
    format!("`{}`{version} in {}", candidate.name, suite(candidate))
}

fn suite(candidate: &Candidate) -> String {
    if is_installed(candidate) { "the base image".to_owned() } else { format!("`{}`", candidate.suite) }
}

/// Returns hints with the names nearest to `name`.
pub(super) fn near(name: &str, universe: &Universe<'_, '_>) -> Vec<String> {
    let hint = |name: &str| {
        let found = universe.find(name)?;
        let id = universe.candidates_of(found).next()?;
        Some(format!("`{name}` is in {}", suite(universe.candidate(id))))
    };
    // The 64-bit time transition renamed libraries.
    let renamed = match name.strip_suffix("t64") {
        Some(old) => old.to_owned(),
        None => format!("{name}t64"),
    };
    if let Some(hint) = hint(&renamed) {
        return vec![hint];
    }
    let allowed = match name.chars().count() {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut found: Vec<(usize, &str)> = universe
        .names()
        .iter()
        .filter_map(|other| {
            let old = other.strip_suffix("t64").and_then(|old| distance(name, old, allowed));
            Some((distance(name, other, allowed).into_iter().chain(old).min()?, *other))
        })
        .collect();
    found.sort_unstable();
    let best = found.first().map_or(0, |(distance, _)| *distance);
    found.iter().take_while(|(distance, _)| *distance == best).take(OFFERS).filter_map(|(_, name)| hint(name)).collect()
}

/// Returns the edit distance, a swap of neighbours counted as one edit, where it is at most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit || a.len() > 255 {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        if next.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_up_to_a_limit() {
        assert_eq!(distance("libsll3", "libssl3", 2), Some(1));
        assert_eq!(distance("ngnix", "nginx", 2), Some(1));
        assert_eq!(distance("curl", "curl", 1), Some(0));
        assert_eq!(distance("curl", "perl", 1), None);
        assert_eq!(distance("", "ab", 2), Some(2));
    }
}
