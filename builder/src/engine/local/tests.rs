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
        variants: BTreeMap::new(),
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
        remote: None,
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
    image::write_layout(&again.image, &["1".to_owned()].into(), &blobs, &out).unwrap().commit().unwrap();
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

#[test]
fn a_state_that_could_hide_a_change_is_held_against_the_content() {
    let room = tempfile::tempdir().unwrap();
    let app = room.path().join("app");
    // A time to come is never older than the record.
    let future = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(4_102_444_800, 7);
    let write = |text: &str| {
        fs::write(&app, text).unwrap();
        fs::File::options().write(true).open(&app).unwrap().set_modified(future).unwrap();
    };
    write("#!x");
    let (old, store) = build_in(room.path(), 1).unwrap();
    let spec = Spec::parse(&crate::diag::Source::new("web.yaml", SPEC), "web").unwrap();
    let lock = lock(&spec);
    let keys = || {
        let workers = Workers::new(1, 16 << 20).unwrap();
        let input = BuildInput {
            spec: &spec,
            lock: &lock,
            platforms: &[],
            store: &store,
            workers: &workers,
            directory: room.path(),
            progress: &Silent,
            remote: None,
        };
        let seen = local::inputs(&spec, room.path()).unwrap();
        let digest = Digest::of(lock.to_text().as_bytes());
        [Platform::Amd64, Platform::Arm64].map(|platform| key(&input, platform, &digest, &seen))
    };
    let records = keys().map(|key| find(&store, &key).unwrap().unwrap());
    assert!(records.iter().all(|record| record.local.is_some()));
    assert!(build_in(room.path(), 1).unwrap().0.selected.values().all(Option::is_none), "found again by content");
    // As if the file had been rewritten within a tick of the clock: the state is that of the record, the content is not.
    write("#!y");
    for (key, record) in keys().iter().zip(&records) {
        keep(&store, key, record).unwrap();
    }
    let new = build_in(room.path(), 1).unwrap().0;
    assert_ne!(new.digest(), old.digest());
    // Where the state tells all, nothing is read.
    let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 7);
    fs::File::options().write(true).open(&app).unwrap().set_modified(past).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    build_in(room.path(), 1).unwrap();
    assert!(keys().map(|key| find(&store, &key).unwrap().unwrap()).iter().all(|record| record.local.is_none()));
}
