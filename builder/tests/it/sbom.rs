//! SBOMs of images made of packages that the tests build.

use std::path::Path;

use tarsia::diag::Silent;
use tarsia::engine::local::{self, BuildInput};
use tarsia::layer::Workers;
use tarsia::lock::Lock;
use tarsia::sbom::Inventory;
use tarsia::spec::Platform;
use tarsia::store::{Store, StoreOptions};

/// Builds a locked spec with what `store` holds, and returns what its image for amd64 consists of.
pub(crate) fn inventory(spec: &Path, store: &Path, threads: usize) -> Inventory {
    let text = std::fs::read_to_string(spec.with_extension("lock")).unwrap();
    let lock = Lock::parse("lock", &text).unwrap().section(None).unwrap();
    let parsed = tarsia::spec::read(spec).unwrap();
    let store = Store::open(store, StoreOptions::default()).unwrap();
    let workers = Workers::new(threads, 192 << 20).unwrap();
    let input = BuildInput {
        spec: &parsed,
        lock: &lock,
        platforms: &[Platform::Amd64],
        store: &store,
        workers: &workers,
        directory: spec.parent().unwrap(),
        progress: &Silent,
    };
    let built = local::build(&input).unwrap();
    let selected = local::select(&input, Platform::Amd64).unwrap();
    local::inventory(&input, &selected, &built.image.images()[0]).unwrap()
}
