use std::fs;
use std::path::Path;

use super::*;
use crate::diag::Silent;
use crate::image::{self, Destination};
use crate::lock::{PlatformLock, REVISION, VERSION};
use crate::store::StoreOptions;

const SPEC: &str = r#"
version: 1
name: web
platforms: [linux/amd64, linux/arm64]
files:
  - {copy: app, to: /usr/bin/app, mode: "0755"}
  - {text: "hello\n", to: /etc/motd}
run:
  entrypoint: [/usr/bin/app]
"#;

fn lock(spec: &Spec) -> Lock {
    let platform = ["linux/amd64", "linux/arm64"].map(|name| (name.to_owned(), PlatformLock::default()));
    Lock {
        version: VERSION,
        revision: REVISION,
        tarsia: "0.1.0".to_owned(),
        encoding: ENCODING,
        rules: RULES,
        spec: spec.digest,
        keep: "runtime".to_owned(),
        source_date: 1_700_000_000,
        source_date_given: false,
        archives: Vec::new(),
        inputs: Vec::new(),
        platform: platform.into(),
    }
}

fn build_in(room: &Path, threads: usize) -> Result<(Built, Store), Error> {
    let spec = Spec::parse(&crate::diag::Source::new("web.yaml", SPEC), "web").unwrap();
    let lock = lock(&spec);
    let store = Store::open(&room.join("store"), StoreOptions::default()).unwrap();
    let workers = Workers::new(threads, 16 << 20).unwrap();
    let built = build(&BuildInput {
        spec: &spec,
        lock: &lock,
        platforms: &[],
        store: &store,
        workers: &workers,
        directory: room,
        progress: &Silent,
    })?;
    Ok((built, store))
}

#[test]
fn a_build_is_found_again_until_something_changes() {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("app"), "#!x").unwrap();
    let (first, _) = build_in(room.path(), 1).unwrap();
    assert!(first.selected.values().all(Option::is_some));
    let (again, store) = build_in(room.path(), 4).unwrap();
    assert!(again.selected.values().all(Option::is_none), "nothing was opened");
    assert_eq!((again.digest(), &again.image), (first.digest(), &first.image));

    let out = room.path().join("web.oci");
    let blobs = |digest: &Digest| store.blob(digest).map_err(io::Error::other);
    image::write_layout(&again.image, Some("1"), &blobs, &out).unwrap();
    let read = image::open(&Destination::Layout(out, None)).unwrap();
    assert_eq!((read.descriptor().digest, read.images().len()), (first.digest(), 2));

    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("app"), "#!x").unwrap();
    assert_eq!(build_in(other.path(), 2).unwrap().0.digest(), first.digest(), "another place");
    fs::write(room.path().join("app"), "#!y").unwrap();
    assert_ne!(build_in(room.path(), 2).unwrap().0.digest(), first.digest());
}

#[test]
fn a_layer_that_went_missing_is_made_again() {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("app"), "#!x").unwrap();
    let (first, store) = build_in(room.path(), 1).unwrap();
    fs::remove_file(store.blob_path(&first.image.images()[0].layers()[0].digest)).unwrap();
    let (again, store) = build_in(room.path(), 1).unwrap();
    assert_eq!(again.digest(), first.digest());
    assert!(store.blob(&first.image.images()[0].layers()[0].digest).unwrap().is_some());
}
