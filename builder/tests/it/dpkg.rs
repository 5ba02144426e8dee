//! The group `real`: images held against what real dpkg makes of the same packages, path by path.
//!
//! Root A has the Essential packages, configured by dpkg; root B is A and the locked set, unpacked and configured by
//! dpkg with its maintainer scripts. Every difference between B and the image stands in [`table::ROWS`] with its reason.

mod compare;
mod root;
mod table;
mod tree;

use std::path::PathBuf;

use tarsia::lock::Lock;
use tarsia::store::{Store, StoreOptions};

use crate::program::Place;
use compare::Difference;
use tree::Tree;

/// A set that is compared.
struct Example {
    /// How rows of the table name it.
    name: &'static str,
    suite: &'static str,
    /// The spec, in place of the file in `specs/`.
    spec: &'static str,
}

const EXAMPLES: &[Example] = &[];

/// Builds an example, has dpkg make the same set, and returns what differs.
fn differences(example: &Example) -> Vec<Difference> {
    let place = Place::new();
    place.write("spec.yaml", example.spec);
    let store = PathBuf::from("/var/tmp/tarsia-store");
    let ran = crate::program::Ran::from(
        place.tarsia(["build", "spec.yaml", "-o", "image.oci"]).env("TARSIA_STORE", &store).output().unwrap(),
    );
    assert_eq!(ran.status, 0, "{}", ran.err);
    eprintln!("{}", ran.err);
    let lock = Lock::parse("spec.lock", &std::fs::read_to_string(place.path("spec.lock")).unwrap()).unwrap();
    let store = Store::open(&store, StoreOptions::default()).unwrap();
    let set: Vec<_> =
        lock.platform["linux/amd64"].packages.iter().map(|one| (one, store.blob_path(&one.digest))).collect();
    let essential = root::essential(example.suite);
    let configured = place.path("root");
    root::configure(&essential, &configured, &set);
    let packages: Vec<_> = set.iter().map(|(package, _)| *package).collect();
    compare::differences(
        &Tree::of_disk(&essential),
        &Tree::of_disk(&configured),
        &configured,
        &packages,
        lock.keep == "all",
        &Tree::of_image(&place.path("image.oci")),
    )
}

#[test]
fn try_one() {
    #[expect(clippy::disallowed_methods)]
    let spec = std::env::var("TRY").unwrap();
    let suite = if spec.contains("debian/12") { "bookworm" } else { "trixie" };
    let example = Example { name: "try", suite, spec: Box::leak(spec.into_boxed_str()) };
    for difference in differences(&example) {
        println!("{difference}");
    }
    let _ = (example.name, root::missing(), EXAMPLES, table::ROWS);
}
