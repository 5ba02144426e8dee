//! Runs the arrows from a spec and its lock to images.

pub mod farm;
pub mod graph;
pub mod local;
pub mod worker;

use crate::image::Image;
use crate::spec::Platform;

use local::{BuildInput, Selected};

/// What opens packages and writes layers in the place of this process. All else of a build is the same code whoever does
/// that.
pub trait Remote: Sync {
    /// Opens a platform's packages, as far as the store does not know what is in them, and selects what is kept.
    ///
    /// # Errors
    /// Whatever stops it.
    fn select(&self, input: &BuildInput<'_>, platform: Platform) -> Result<Selected, local::Error>;

    /// Brings the layers of a selection into the store, as far as they are not there, and returns the image of them.
    ///
    /// # Errors
    /// Whatever stops it.
    fn write(&self, input: &BuildInput<'_>, platform: Platform, selected: &Selected) -> Result<Image, local::Error>;
}
