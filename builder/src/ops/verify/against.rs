//! Whether another build is the same.

use crate::compare::{self, Comparison, ManifestComparison};
use crate::diag::Problems;
use crate::image::Opened;
use crate::spec::Platform;
use crate::verify::{Check, Outcome, Requirement};

use super::super::World;
use super::ImageSource;

/// Compares an image with the one at `other`: one answer per platform, and one of the whole where that alone differs.
///
/// # Errors
/// No such image, or one that does not hold together.
pub(super) fn against(
    world: &World<'_>,
    source: &ImageSource<'_>,
    other: &str,
    platforms: &[Platform],
) -> Result<(Vec<Check>, Comparison), Problems> {
    let there = ImageSource::in_world(world, other)?;
    let (a, b) = (&source.open, &there.open);
    // What builders put beside the images of an index is no image.
    let known = |open: &crate::image::OpenImage| open.images().iter().any(Opened::is_attestation);
    let platforms: Vec<Platform> = if platforms.is_empty() && (known(a) || known(b)) {
        a.images().iter().chain(b.images()).filter_map(|one| one.platform).collect()
    } else {
        platforms.to_vec()
    };
    for (one, other) in compare::pairs(a, b, &platforms).matched {
        if one.descriptor.digest != other.descriptor.digest {
            source.fetch(&[one])?;
            there.fetch(&[other])?;
        }
    }
    let comparison = compare::images(a, b, &platforms, world.store.root())?;
    Ok((checks(Requirement::Against, &comparison), comparison))
}

/// Returns the answers of a comparison.
pub(super) fn checks(requirement: Requirement, comparison: &Comparison) -> Vec<Check> {
    let mut checks: Vec<Check> = comparison.manifests.iter().map(|one| check(requirement, one)).collect();
    if !comparison.differences.is_empty() && checks.iter().all(|check| check.outcome == Outcome::Yes) {
        let says = format!("`{}` is {}", comparison.b.image, comparison.b.digest);
        checks.push(Check::new(requirement, "index", &comparison.a.digest, Outcome::No, says));
    }
    checks
}

fn check(requirement: Requirement, one: &ManifestComparison) -> Check {
    let (outcome, says) = if one.counts.is_empty() {
        (Outcome::Yes, "the same".to_owned())
    } else {
        let counts: Vec<String> =
            one.counts.iter().map(|(class, count)| format!("{count} in {}", class.as_str())).collect();
        (Outcome::No, format!("{}, {}: {}", one.verdict(), one.b, counts.join(", ")))
    };
    Check::new(requirement, &one.platform, &one.a, outcome, says)
}
