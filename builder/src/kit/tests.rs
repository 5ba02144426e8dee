use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::*;

fn file(path: String, kind: &str, name: &str, bytes: &[u8]) -> File {
    let (kind, name) = (kind.to_owned(), name.to_owned());
    File {
        path,
        kind,
        name,
        archive: None,
        location: None,
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        special: None,
    }
}

/// Returns three files, of which two are blobs, and a store of the blobs' bytes.
fn files(room: &Path) -> (Vec<(File, Content)>, BTreeMap<Digest, std::path::PathBuf>) {
    let large = (0..9 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>();
    let mut files = Vec::new();
    let mut stored = BTreeMap::new();
    for (name, bytes) in [("hello 1.0 amd64", large.as_slice()), ("web InRelease", b"signed")] {
        let digest = Digest::of(bytes);
        let path = room.join(digest.hex());
        fs::write(&path, bytes).unwrap();
        stored.insert(digest, path);
        files.push((file(blob_path(&digest), "package", name, bytes), Content::Stored));
    }
    let path = spec_path("web", "./keys/../web.yaml").unwrap();
    files.push((file(path, "spec", "web.yaml", b"version: 1\n"), Content::Bytes(b"version: 1\n".to_vec())));
    (files, stored)
}

fn made(room: &Path, name: &str) -> std::path::PathBuf {
    let (files, stored) = files(room);
    let source = |digest: &Digest| stored.get(digest).map(fs::File::open).transpose();
    let to = room.join(name);
    write(files, &source, &to).unwrap();
    to
}

fn bytes(kit: &Kit, digest: &Digest) -> Option<Vec<u8>> {
    kit.blob(digest).unwrap().map(|mut body| {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

#[test]
fn every_form_gives_back_what_went_in_and_is_always_the_same() {
    for name in ["kit", "kit.tar", "kit.tar.zst"] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (made(one.path(), name), made(two.path(), name));
        made(one.path(), name);
        let kit = Kit::open(&first, one.path()).unwrap();
        let (files, stored) = files(two.path());
        assert_eq!(kit.manifest().files.len(), files.len());
        for (digest, path) in &stored {
            assert!(bytes(&kit, digest).unwrap() == fs::read(path).unwrap(), "{name}");
        }
        assert_eq!(bytes(&kit, &Digest::of(b"another")), None);
        if name != "kit" {
            assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "{name} is not the same twice");
        } else {
            assert_eq!(fs::read(first.join("specs/web/web.yaml")).unwrap(), b"version: 1\n");
            assert_eq!(fs::read(first.join(MANIFEST)).unwrap(), fs::read(second.join(MANIFEST)).unwrap());
        }
    }
}

#[test]
fn other_tools_read_the_archives() {
    let room = tempfile::tempdir().unwrap();
    let path = made(room.path(), "kit.tar");
    let mut archive = ::tar::Archive::new(fs::File::open(path).unwrap());
    let entries: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
            entry.path().unwrap().display().to_string()
        })
        .collect();
    assert_eq!(entries[0], MANIFEST);
    assert_eq!(entries.last().unwrap(), "specs/web/web.yaml");
}

#[test]
fn what_cannot_be_had_or_is_another_file_leaves_nothing() {
    let room = tempfile::tempdir().unwrap();
    let (files, stored) = files(room.path());
    let before = names(room.path());
    for name in ["kit", "kit.tar", "kit.tar.zst"] {
        let to = room.path().join(name);
        let none = |_: &Digest| Ok(None);
        assert!(matches!(write(files.clone(), &none, &to), Err(Error::Missing { .. })));
        let other = |_: &Digest| stored.values().next().map(fs::File::open).transpose();
        assert!(matches!(write(files.clone(), &other, &to), Err(Error::Content { .. })));
        let mut twice = files.clone();
        twice.push((file("specs/web/web.yaml".to_owned(), "spec", "x", b"x"), Content::Bytes(b"x".to_vec())));
        assert!(matches!(write(twice, &none, &to), Err(Error::Twice { .. })));
        assert_eq!(names(room.path()), before);
    }
}

#[test]
fn what_is_no_kit_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("kit");
    let said = |path: &Path| Kit::open(path, room.path()).unwrap_err().to_string();
    assert!(said(&path).starts_with("cannot read vendored inputs"));
    fs::create_dir(&path).unwrap();
    assert!(said(&path).ends_with("it has no `vendor.json`"));
    for (text, why) in [
        ("{", "malformed"),
        (r#"{"version":2,"new":1}"#, "version 2"),
        (r#"{"version":1,"files":[],"more":1}"#, "malformed"),
        (
            r#"{"version":1,"files":[{"path":"x","kind":"k","name":"n","digest":"sha256:../../x","size":1}]}"#,
            "malformed",
        ),
    ] {
        fs::write(path.join(MANIFEST), text).unwrap();
        assert!(said(&path).contains(why), "{}", said(&path));
    }
    let archive = room.path().join("kit.tar");
    for bytes in [b"junk".to_vec(), vec![0; 1024], b"\x28\xb5\x2f\xfd junk".to_vec(), Vec::new()] {
        fs::write(&archive, &bytes).unwrap();
        assert!(said(&archive).starts_with("cannot use"), "{bytes:?}: {}", said(&archive));
    }
    let whole = fs::read(made(room.path(), "whole.tar")).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    assert!(said(&archive).contains("cut short"), "{}", said(&archive));
}

#[test]
fn a_blob_that_is_no_regular_file_is_an_error_and_never_waited_for() {
    let room = tempfile::tempdir().unwrap();
    let path = made(room.path(), "kit");
    let digest = Digest::of(b"fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, path.join(blob_path(&digest)), rustix::fs::Mode::RWXU).unwrap();
    let kit = Kit::open(&path, room.path()).unwrap();
    assert!(kit.blob(&digest).is_err());
}

#[test]
fn a_file_beside_a_spec_stays_beneath_it() {
    assert_eq!(spec_path("web", "keys/a.asc").as_deref(), Some("specs/web/keys/a.asc"));
    assert_eq!(spec_path("web", "./a/./b/../c").as_deref(), Some("specs/web/a/c"));
    for (spec, path) in
        [("web", "../a"), ("web", "a/../../b"), ("web", "/etc/x"), ("web", "."), ("..", "a"), ("a/b", "c")]
    {
        assert_eq!(spec_path(spec, path), None, "{spec} {path}");
    }
}

#[expect(clippy::disallowed_methods, reason = "sorted here")]
fn names(directory: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Writes a rebuild kit with these files beside the spec.
fn rebuild_kit(room: &Path, beside: Vec<(File, Content)>) -> std::path::PathBuf {
    let spec = file(SPEC.to_owned(), "spec", SPEC, b"version: 1\n");
    let lock = file(LOCK.to_owned(), "lock", LOCK, b"lock\n");
    let mut files = vec![(spec, Content::Bytes(b"version: 1\n".to_vec())), (lock, Content::Bytes(b"lock\n".to_vec()))];
    files.extend(beside);
    let to = room.join("kit");
    write(files, &|_| Ok(None), &to).unwrap();
    to
}

fn special(path: &str, special: Special) -> (File, Content) {
    let bytes = match &special {
        Special::Link(target) => target.clone().into_bytes(),
        _ => Vec::new(),
    };
    let listed = file(format!("specs/image/{path}"), "copy", path, &bytes);
    (File { special: Some(special), ..listed }, Content::Bytes(bytes))
}

fn plain(path: &str, text: &str) -> (File, Content) {
    (file(format!("specs/image/{path}"), "copy", path, text.as_bytes()), Content::Bytes(text.as_bytes().to_vec()))
}

#[test]
fn a_rebuild_kit_gives_back_what_stood_beside_its_spec() {
    let room = tempfile::tempdir().unwrap();
    let mut run = plain("bin/run", "run");
    // Listed as a key too, which says nothing of how it can be used.
    let mut key = run.clone();
    key.0.kind = "a-key".to_owned();
    run.0.special = Some(Special::Executable);
    let beside = vec![
        plain("conf/a", "a"),
        key,
        run,
        special("conf/empty", Special::Directory),
        special("conf/link", Special::Link("../bin/run".to_owned())),
    ];
    let kit = rebuild_kit(room.path(), beside);
    for name in ["kit", "kit.tar", "kit.tar.zst"] {
        let to = room.path().join(format!("{name}.unpacked"));
        fs::create_dir(&to).unwrap();
        let opened = Kit::open(&kit, room.path()).unwrap();
        opened.unpack(&to).unwrap();
        assert_eq!(opened.texts().unwrap(), ("version: 1\n".to_owned(), "lock\n".to_owned()));
        assert_eq!(fs::read_to_string(to.join("conf/a")).unwrap(), "a");
        assert_eq!(fs::read_to_string(to.join("conf/link")).unwrap(), "run");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(to.join("bin/run")).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o755);
        assert!(to.join("conf/empty").is_dir());
        assert!(!to.join("image.yaml").exists());
    }
}

#[test]
fn a_hostile_kit_writes_nothing_where_it_should_not() {
    let room = tempfile::tempdir().unwrap();
    let outside = room.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let refused = |change: &dyn Fn(&Path, &mut serde_json::Value)| {
        let kit = rebuild_kit(room.path(), vec![plain("a", "aaaa"), plain("b", "bbbb")]);
        let path = kit.join(MANIFEST);
        let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&kit, &mut manifest);
        fs::write(&path, manifest.to_string()).unwrap();
        let to = tempfile::tempdir().unwrap();
        let said = Kit::open(&kit, room.path())
            .and_then(|opened| opened.unpack(to.path()).and_then(|()| opened.texts().map(|_| ())))
            .unwrap_err()
            .to_string();
        assert!(!to.path().join("../b").exists());
        fs::remove_dir_all(&kit).unwrap();
        said
    };
    let at = |manifest: &serde_json::Value, path: &str| {
        manifest["files"].as_array().unwrap().iter().position(|one| one["path"] == path).unwrap()
    };
    for path in ["specs/image/../../../b", "specs/image//b", "specs/image/./b", "specs/image/c/../b"] {
        let said = refused(&|_, manifest| {
            let b = at(manifest, "specs/image/b");
            manifest["files"][b]["path"] = path.into();
        });
        assert!(said.contains("leads elsewhere"), "{path}: {said}");
    }
    // Through a link, wherever it stands in the manifest.
    let link = outside.display().to_string();
    let said = refused(&|kit, manifest| {
        let (a, b) = (at(manifest, "specs/image/a"), at(manifest, "specs/image/b"));
        manifest["files"][a]["special"] = serde_json::json!({ "link": link });
        manifest["files"][b]["path"] = "specs/image/a/b".into();
        fs::remove_file(kit.join("specs/image/a")).unwrap();
        fs::create_dir(kit.join("specs/image/a")).unwrap();
        fs::rename(kit.join("specs/image/b"), kit.join("specs/image/a/b")).unwrap();
    });
    assert!(said.contains("cannot write"), "{said}");
    assert!(!outside.join("b").exists());
    // Other bytes, none, too many, twice.
    let said = refused(&|kit, _| fs::write(kit.join("specs/image/a"), "aaab").unwrap());
    assert!(said.contains("and its manifest says"), "{said}");
    let said = refused(&|kit, _| fs::remove_file(kit.join("specs/image/a")).unwrap());
    assert!(said.contains("does not hold it"), "{said}");
    let said = refused(&|_, manifest| {
        let a = at(manifest, "specs/image/a");
        manifest["files"][a]["size"] = (65_u64 << 30).into();
    });
    assert!(said.contains("more than"), "{said}");
    let said = refused(&|_, manifest| {
        let mut one = manifest["files"][at(manifest, "specs/image/a")].clone();
        one["digest"] = Digest::of(b"other").to_string().into();
        manifest["files"].as_array_mut().unwrap().push(one);
    });
    assert!(said.contains("twice"), "{said}");
    // No spec, or one of other bytes.
    let said = refused(&|kit, _| fs::write(kit.join(SPEC), "version: 2\n").unwrap());
    assert!(said.contains("and its manifest says"), "{said}");
    let said = refused(&|_, manifest| manifest["files"].as_array_mut().unwrap().retain(|one| one["path"] != SPEC));
    assert!(said.contains("no rebuild kit"), "{said}");
}
