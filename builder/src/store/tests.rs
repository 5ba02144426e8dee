use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn store(root: &Path) -> Store {
    Store::open(root, StoreOptions::default()).unwrap()
}

fn read(file: Option<File>) -> Option<String> {
    file.map(|mut file| {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    })
}

/// Damages a file in place, so that inode and size stay.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes).unwrap();
}

/// Lets the clock that files are stamped with go on.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn files(store: &Store) -> Vec<String> {
    let mut names: Vec<_> = walk::below(store.root())
        .unwrap()
        .into_iter()
        .filter(|(_, meta)| meta.is_file())
        .map(|(path, _)| path.strip_prefix(store.root()).unwrap().display().to_string())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

#[test]
fn a_blob_is_read_back_by_its_digest_and_made_private() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("deep/store");
    let store = store(&root);
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
    let mut writer = store.write_blob().unwrap();
    writer.write_all(b"hel").unwrap();
    writer.restart().unwrap();
    writer.write_all(b"hello").unwrap();
    assert_eq!((writer.length(), writer.digest()), (5, Digest::of(b"hello")));
    let digest = Digest::of(b"hello");
    assert_eq!(writer.commit(Some(&digest)).unwrap(), (digest, 5));
    assert_eq!(read(store.blob(&digest).unwrap()).as_deref(), Some("hello"));
    assert_eq!(store.blob_bytes(&digest, 5).unwrap().as_deref(), Some(&b"hello"[..]));
    assert!(store.blob_bytes(&digest, 4).is_err());
    assert!(store.blob(&Digest::of(b"other")).unwrap().is_none());
}

#[test]
fn a_dropped_or_wrong_blob_leaves_nothing() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path().join("store").as_path());
    let mut writer = store.write_blob().unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    let mut writer = store.write_blob().unwrap();
    writer.write_all(b"wrong").unwrap();
    let error = writer.commit(Some(&Digest::of(b"right"))).unwrap_err();
    assert!(error.to_string().contains(&Digest::of(b"wrong").to_string()), "{error}");
    assert_eq!(files(&store), Vec::<String>::new());
}

#[test]
fn a_damaged_blob_is_thrown_out_with_a_warning() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("store");
    for paranoid in [false, true] {
        let store = Store::open(&root, StoreOptions { paranoid, ..StoreOptions::default() }).unwrap();
        let digest = store.put_blob(b"hello").unwrap();
        tick();
        damage(&store.blob_path(&digest));
        assert!(store.blob(&digest).unwrap().is_none());
        assert!(!store.blob_path(&digest).exists());
        assert_eq!(store.take_warnings().len(), 1);
        assert_eq!(store.take_warnings(), []);
    }
}

#[test]
fn a_checked_file_is_hashed_again_only_where_it_changed_or_paranoia_asks() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("store");
    let first = store(&root);
    let digest = first.put_blob(b"hello").unwrap();
    let path = first.blob_path(&digest);
    tick();
    // The record vouches for other bytes: whoever still reads them did not hash.
    damage(&path);
    let record = first.record_path("blobs", &digest);
    first.remember_file(&record, &File::open(&path).unwrap(), &digest);
    drop(first);
    assert_eq!(read(store(&root).blob(&digest).unwrap()).as_deref(), Some("helln"));
    let paranoid = Store::open(&root, StoreOptions { paranoid: true, ..StoreOptions::default() }).unwrap();
    assert!(paranoid.blob(&digest).unwrap().is_none());
}

#[test]
fn a_damaged_record_is_no_record() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("store");
    let first = store(&root);
    let digest = first.put_blob(b"hello").unwrap();
    let record = first.record_path("blobs", &digest);
    damage(&first.blob_path(&digest));
    first.remember_file(&record, &File::open(first.blob_path(&digest)).unwrap(), &digest);
    damage(&record);
    drop(first);
    assert!(store(&root).blob(&digest).unwrap().is_none());
}

#[test]
fn an_entry_holds_under_its_own_key_alone() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path().join("store").as_path());
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    for body in [&b"first"[..], b"", b"second"] {
        store.put_entry(Kind::Packs, &a, body).unwrap();
        assert_eq!(store.entry(Kind::Packs, &a).as_deref(), Some(body));
    }
    assert_eq!(store.entry(Kind::Frames, &a), None);
    fs::create_dir_all(store.entry_path(Kind::Packs, &b).parent().unwrap()).unwrap();
    fs::copy(store.entry_path(Kind::Packs, &a), store.entry_path(Kind::Packs, &b)).unwrap();
    assert_eq!(store.entry(Kind::Packs, &b), None);
    for length in [0, 10, 48, 53] {
        store.put_entry(Kind::Packs, &a, b"second").unwrap();
        let path = store.entry_path(Kind::Packs, &a);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        assert_eq!(store.entry(Kind::Packs, &a), None, "{length}");
        assert!(!path.exists());
    }
}

#[test]
fn a_large_file_is_checked_against_the_digest_asked_for() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path().join("store").as_path());
    let key = Digest::of(b"key");
    let digest = Digest::of(b"data");
    let writer = store.write_large(Kind::Packs, &key).unwrap();
    writer.file().write_all(b"data").unwrap();
    writer.commit(&digest).unwrap();
    store.put_entry(Kind::Packs, &key, b"index").unwrap();
    assert_eq!(read(store.large(Kind::Packs, &key, &digest)).as_deref(), Some("data"));
    assert!(store.large(Kind::Packs, &key, &Digest::of(b"other")).is_none());
    assert!(store.large(Kind::Packs, &key, &digest).is_none(), "thrown out");
    assert_eq!(store.entry(Kind::Packs, &key).as_deref(), Some(&b"index"[..]));
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    let room = tempfile::tempdir().unwrap();
    for mode in [0o770, 0o707, 0o722, 0o777] {
        fs::set_permissions(room.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = Store::open(room.path(), StoreOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Mode { .. }), "{error}");
        assert!(!crate::diag::Diagnose::hints(&error).is_empty());
    }
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
    store(room.path());
}

#[test]
fn a_read_only_store_reads_and_a_private_one_over_it_writes() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("store");
    let digest = store(&root).put_blob(b"hello").unwrap();
    let before = files(&store(&root));
    let below = Store::open(&root, StoreOptions { read_only: true, ..StoreOptions::default() }).unwrap();
    assert_eq!(read(below.blob(&digest).unwrap()).as_deref(), Some("hello"));
    assert!(matches!(below.put_blob(b"more"), Err(Error::ReadOnly { .. })));
    assert!(!below.is_writable());
    let private = Store::private_over(room.path(), below).unwrap();
    let more = private.put_blob(b"more").unwrap();
    assert_eq!(read(private.blob(&digest).unwrap()).as_deref(), Some("hello"));
    assert_eq!(read(private.blob(&more).unwrap()).as_deref(), Some("more"));
    let place = private.root().to_owned();
    drop(private);
    assert!(!place.exists());
    assert_eq!(files(&store(&root)), before);
}

#[test]
fn a_private_store_stands_in_where_none_can_be_written() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("store");
    let open = |root: &Path, read_only| {
        Store::open_or_private(root, StoreOptions { read_only, ..StoreOptions::default() }, room.path())
    };
    let digest = open(&root, false).unwrap().put_blob(b"hello").unwrap();
    let stand_in = open(&root, true).unwrap();
    assert!(stand_in.is_writable() && stand_in.root() != root);
    assert!(stand_in.blob(&digest).unwrap().is_some());
    fs::write(room.path().join("file"), "").unwrap();
    let stand_in = open(&room.path().join("file/store"), false).unwrap();
    assert!(stand_in.put_blob(b"hello").is_ok());
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(open(&root, false), Err(Error::Mode { .. })));
}

#[test]
fn gc_removes_what_was_used_longest_ago_and_what_crashes_left() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path().join("store").as_path());
    let old = store.put_blob(&[1; 1000]).unwrap();
    let new = store.put_blob(&[2; 1000]).unwrap();
    let used = store.put_blob(&[3; 1000]).unwrap();
    let age = |path: &Path, seconds| {
        let time = fs::metadata(path).unwrap().modified().unwrap() - std::time::Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    for (digest, seconds) in [(&old, 3000), (&used, 4000), (&new, 2000)] {
        age(&store.record_path("blobs", digest), seconds);
        age(&store.blob_path(digest), 9000);
    }
    for digest in [&old, &used, &new] {
        store.blob(digest).unwrap().unwrap();
    }
    for (digest, seconds) in [(&old, 3000), (&new, 2000)] {
        age(&store.record_path("blobs", digest), seconds);
    }
    for (name, seconds) in [(".tmp-young", 60), (".tmp-old", 25 * 60 * 60)] {
        let path = store.root().join("blobs/sha256").join(name);
        fs::write(&path, "").unwrap();
        age(&path, seconds);
    }
    let of_a_directory = store.root().join(".tmp-layout/index.json");
    fs::create_dir(of_a_directory.parent().unwrap()).unwrap();
    fs::write(&of_a_directory, "").unwrap();
    age(&of_a_directory, 25 * 60 * 60);
    store.gc(u64::MAX).unwrap();
    assert!(!of_a_directory.exists());
    assert!(store.root().join("blobs/sha256/.tmp-young").exists());
    assert!(!store.root().join("blobs/sha256/.tmp-old").exists());
    let total = store.usage().unwrap().total().bytes;
    let other = self::store(store.root());
    store.gc(0).unwrap();
    assert_eq!(store.usage().unwrap().total().bytes, total, "another build uses the store");
    drop(other);
    store.gc(total - 1).unwrap();
    let left: Vec<_> = [&old, &new, &used].into_iter().map(|digest| store.blob(digest).unwrap().is_some()).collect();
    assert_eq!(left, [false, true, true]);
    store.gc(0).unwrap();
    assert_eq!(files(&store), ["blobs/sha256/.tmp-young"]);
}

#[test]
fn verify_hashes_everything_and_names_what_it_threw_out() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path().join("store").as_path());
    let key = Digest::of(b"key");
    let (good, bad) = (store.put_blob(b"good").unwrap(), store.put_blob(b"bad").unwrap());
    store.put_entry(Kind::Images, &key, b"entry").unwrap();
    let writer = store.write_large(Kind::Images, &key).unwrap();
    writer.file().write_all(b"data").unwrap();
    writer.commit(&Digest::of(b"data")).unwrap();
    assert_eq!(store.verify().unwrap().thrown_out, Vec::<String>::new());
    assert_eq!(store.usage().unwrap().rooms["blobs"], Share { files: 2, bytes: 7 });
    // Damage that no stat shows.
    damage(&store.blob_path(&bad));
    let record = store.record_path("blobs", &bad);
    store.remember_file(&record, &File::open(store.blob_path(&bad)).unwrap(), &bad);
    damage(&store.entry_path(Kind::Images, &key));
    let found = store.verify().unwrap();
    assert_eq!(found.sound.files, 2);
    let (bad, key) = (bad.hex(), key.hex());
    assert_eq!(found.thrown_out, [format!("blobs/sha256/{}/{bad}", &bad[..2]), format!("images/{}/{key}", &key[..2])]);
    assert!(store.blob(&good).unwrap().is_some());
}

#[test]
fn many_threads_share_a_store() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("store");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = store(&root);
                for n in 0..20_u8 {
                    let digest = store.put_blob(&[n; 64]).unwrap();
                    assert!(store.blob(&digest).unwrap().is_some());
                    store.put_entry(Kind::Frames, &digest, &[n]).unwrap();
                    assert_eq!(store.entry(Kind::Frames, &digest), Some(vec![n]));
                }
            });
        }
    });
    let store = store(&root);
    assert_eq!(store.verify().unwrap().sound.files, 40);
    assert_eq!(store.take_warnings(), []);
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let error = Error::write("a blob", Path::new("store"), io::ErrorKind::StorageFull.into());
    assert_eq!(error.to_string(), "cannot write a blob at `store`");
    assert_eq!(crate::diag::Diagnose::hints(&error), ["free some space with `tarsia cache gc --max-size SIZE`"]);
    let again = Error::write("something else", Path::new("/"), io::Error::other(error));
    assert_eq!(again.to_string(), "cannot write a blob at `store`");
}

#[test]
fn a_fresh_store_knows_blobs_alone_and_hashes_each_on_every_read() {
    let room = tempfile::tempdir().unwrap();
    let store = Store::open(&room.path().join("store"), StoreOptions::default()).unwrap();
    let (digest, key) = (store.put_blob(b"a package").unwrap(), Digest::of(b"key"));
    store.put_entry(Kind::Images, &key, b"made by somebody").unwrap();
    let fresh = Store::fresh_over(&store).unwrap();
    let root = fresh.root().to_owned();
    assert!(fresh.blob(&digest).unwrap().is_some());
    assert_eq!(fresh.entry(Kind::Images, &key), None);
    fresh.put_entry(Kind::Images, &key, b"made anew").unwrap();
    assert_eq!(store.entry(Kind::Images, &key).unwrap(), b"made by somebody");
    // Another file of the same size, and the stat of the one that was hashed.
    let path = store.blob_path(&digest);
    let times = std::fs::metadata(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"A package").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(times.modified().unwrap()).unwrap();
    assert!(fresh.blob(&digest).unwrap().is_none());
    drop(fresh);
    assert!(!root.exists(), "it is gone with its last handle");
}

#[test]
fn what_one_party_says_is_found_by_nobody_else() {
    let room = tempfile::tempdir().unwrap();
    let of = |party: Option<&[u8]>| {
        Store::open(room.path(), StoreOptions { party: party.map(Digest::of), ..StoreOptions::default() }).unwrap()
    };
    let (own, one, other) = (of(None), of(Some(b"one")), of(Some(b"other")));
    let key = Digest::of(b"key");
    one.put_entry(Kind::Images, &key, b"said").unwrap();
    let bytes = Digest::of(b"large");
    let large = one.write_large(Kind::Packs, &key).unwrap();
    large.file().write_all(b"large").unwrap();
    large.commit(&bytes).unwrap();
    assert_eq!(one.entry(Kind::Images, &key).as_deref(), Some(&b"said"[..]));
    assert!(one.large(Kind::Packs, &key, &bytes).is_some());
    for store in [&own, &other] {
        assert_eq!(store.entry(Kind::Images, &key), None);
        assert!(store.large(Kind::Packs, &key, &bytes).is_none());
    }
    // What was made here counts for all, and before what others say.
    own.put_entry(Kind::Images, &key, b"made").unwrap();
    for store in [&own, &one, &other] {
        assert_eq!(store.entry(Kind::Images, &key).as_deref(), Some(&b"made"[..]));
    }
}
