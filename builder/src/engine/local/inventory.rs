//! The inventory of an image that was built, for documents.

use crate::fetch::published;
use crate::image::Image;
use crate::sbom::{Inventory, InventoryInput};

use super::{BuildInput, Error, Selected};

/// Returns what one platform's image consists of; `selected` is what it was made from, as [`select()`](super::select())
/// tells it again where an earlier build's result was found.
///
/// # Errors
/// Parts that do not belong together.
pub fn inventory(input: &BuildInput<'_>, selected: &Selected, image: &Image) -> Result<Inventory, Error> {
    let input = InventoryInput {
        spec: input.spec,
        lock: input.lock,
        packs: selected.packs.indexes(),
        local: selected.packs.local(),
        base: selected.base.as_ref().map(|base| &base.index),
        selection: &selected.selection,
        image,
        published: &published,
    };
    Ok(Inventory::of(&input)?)
}
