//! `Replaces` (Debian policy 7.6): who may take over whose files.

use crate::deb822::{Version, parse_dependencies};
use crate::package::PackIndex;

/// Returns whether `winner` declares that it replaces this version of the package `loser`.
pub(super) fn replaces(winner: &PackIndex, loser: &str, version: &str) -> bool {
    let Some(field) = winner.field("Replaces") else { return false };
    let Ok(dependencies) = parse_dependencies(field) else { return false };
    let version = Version::parse(version).ok();
    dependencies.iter().flat_map(|dependency| &dependency.0).any(|relation| {
        relation.name == loser
            && match (&relation.version, &version) {
                (None, _) => true,
                (Some((op, bound)), Some(version)) => op.holds(version, bound),
                (Some(_), None) => false,
            }
    })
}
