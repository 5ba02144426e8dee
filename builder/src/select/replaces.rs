//! `Replaces` (Debian policy 7.6): who may take over whose files.

use super::merge::Package;
use crate::deb822::{Version, parse_dependencies};

/// Returns whether `winner` declares that it replaces this version of `loser`.
pub(super) fn replaces(winner: &Package<'_>, loser: &Package<'_>) -> bool {
    let Some((_, field)) = winner.index.control.iter().find(|(name, _)| name.eq_ignore_ascii_case("Replaces")) else {
        return false;
    };
    let Ok(dependencies) = parse_dependencies(field) else { return false };
    let version = Version::parse(&loser.locked.version).ok();
    dependencies.iter().flat_map(|dependency| &dependency.0).any(|relation| {
        relation.name == loser.name
            && match (&relation.version, &version) {
                (None, _) => true,
                (Some((op, bound)), Some(version)) => op.holds(version, bound),
                (Some(_), None) => false,
            }
    })
}
