use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::tree::{ImagePath, Origin};

fn reasons(image: Digest) -> Reasons {
    let path = ImagePath::parse("usr/bin/hello").unwrap();
    let origin = Origin::Package("hello".to_owned());
    Reasons::new("web", image, "linux/amd64", [(&path, &origin, "keep: runtime")].into_iter())
}

/// Writes evidence of an image of these platforms at `web.oci.evidence`.
fn made(room: &Path, platforms: &[&str]) -> PathBuf {
    let mut blobs = BTreeMap::new();
    let mut put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        let path = room.join(digest.hex());
        fs::write(&path, bytes).unwrap();
        blobs.insert(digest, path);
        Stored { digest, size: bytes.len() as u64 }
    };
    let mut manifests = BTreeMap::new();
    for platform in platforms {
        let digest = Digest::of(platform.as_bytes());
        let statement = crate::attest::Statement::new("web", digest, crate::attest::PROVENANCE, serde_json::json!({}));
        let documents = BTreeMap::from([
            (Document::Provenance, put(&statement.to_bytes())),
            (Document::Reasons, put(&reasons(digest).to_bytes())),
            (Document::Spdx, put(format!("{{\"spdxVersion\":\"SPDX-2.3 {platform}\"}}").as_bytes())),
        ]);
        manifests.insert((*platform).to_owned(), (digest, Digest::of(b"config"), documents));
    }
    let digest = if platforms.len() == 1 { Digest::of(platforms[0].as_bytes()) } else { Digest::of(b"index") };
    let contents = Contents { name: "web".to_owned(), digest, manifests, kit: Some(put(b"kit")) };
    let to = Evidence::beside(&room.join("web.oci/"));
    let source = |digest: &Digest| blobs.get(digest).map(fs::File::open).transpose();
    stage(&contents, &source, &to).unwrap().commit().unwrap();
    to
}

#[test]
fn what_is_written_is_read_again() {
    let room = tempfile::tempdir().unwrap();
    for platforms in [&["linux/amd64"][..], &["linux/amd64", "linux/arm64"]] {
        let directory = made(room.path(), platforms);
        assert_eq!(directory, room.path().join("web.oci.evidence"));
        let evidence = Evidence::open(&directory).unwrap();
        assert_eq!((evidence.name(), evidence.manifests().len()), ("web", platforms.len()));
        let (kit, digest) = evidence.kit().unwrap();
        assert_eq!(Digest::of(&fs::read(kit).unwrap()), digest);
        for one in evidence.manifests() {
            let bytes = evidence.read(&one.digest, Document::Reasons).unwrap().unwrap();
            let reasons = Reasons::parse(&bytes).unwrap();
            assert_eq!((reasons.image, reasons.to_bytes()), (one.digest, bytes));
            assert_eq!(reasons.paths["/usr/bin/hello"].package.as_deref(), Some("hello"));
            assert_eq!(evidence.read(&one.digest, Document::Spdx3).unwrap(), None);
            for document in [Document::Provenance, Document::Spdx] {
                let statement = evidence.statement(&one.digest, document).unwrap().unwrap();
                assert!(statement.is_about(&one.digest), "{document:?}");
                assert_eq!(statement.predicate_type(), document.predicate_type());
            }
            assert!(Evidence::open_for(&directory, &one.digest).is_ok());
        }
        assert_eq!(evidence.read(&Digest::of(b"other"), Document::Spdx).unwrap(), None);
        assert!(Evidence::open_for(&directory, &evidence.digest()).is_ok());
        let error = Evidence::open_for(&directory, &Digest::of(b"other")).unwrap_err();
        assert!(matches!(error, Error::Other { .. }), "{error}");
    }
    // The config names an image of one platform alone.
    let config = Digest::of(b"config");
    assert!(!Evidence::open(&room.path().join("web.oci.evidence")).unwrap().is_about(&config));
    assert!(Evidence::open_for(&made(room.path(), &["linux/amd64"]), &config).is_ok());
}

#[test]
fn the_index_has_a_form_that_stays() {
    let room = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(made(room.path(), &["linux/amd64"]).join(INDEX)).unwrap();
    let text = text.lines().take(22).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(text, @r#"
    {
      "version": 1,
      "name": "web",
      "digest": "sha256:baf0239e48ff4c47ebac3ba02b5cf1506b69cd5a0c0d0c825a53ba65976fb942",
      "kit": {
        "file": "kit.tar.zst",
        "mediaType": "application/vnd.tarsia.kit.v1.tar+zstd",
        "digest": "sha256:cbc8a597a67c465497550c4a4a7eebdb138442c06be06a78cc1ee8715658ff44",
        "size": 3
      },
      "manifests": [
        {
          "platform": "linux/amd64",
          "digest": "sha256:baf0239e48ff4c47ebac3ba02b5cf1506b69cd5a0c0d0c825a53ba65976fb942",
          "config": "sha256:b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910",
          "documents": [
            {
              "document": "spdx",
              "file": "spdx.json",
              "mediaType": "application/spdx+json",
              "digest": "sha256:415275e737a4df27fe9fbf2fad84d9cbb5de740fd28256dc18f93abed17f9f12",
              "size": 38
    "#);
}

fn broken(room: &Path, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let directory = made(room, &["linux/amd64"]);
    let path = directory.join(INDEX);
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    fs::write(path, index.to_string()).unwrap();
    Evidence::open(&directory).unwrap_err().to_string()
}

#[test]
fn an_index_that_does_not_hold_together_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let room = room.path();
    let secret = "../secret";
    for (said, error) in [
        ("version 2", broken(room, |index| index["version"] = 2.into())),
        ("unknown field `more`", broken(room, |index| index["more"] = 1.into())),
        ("no name", broken(room, |index| index["name"] = "a\nb".into())),
        ("0 manifests", broken(room, |index| index["manifests"] = serde_json::json!([]))),
        (
            "`../secret` where `spdx.json`",
            broken(room, |index| {
                index["manifests"][0]["documents"][0]["file"] = secret.into();
            }),
        ),
        ("its kit is `../secret`", broken(room, |index| index["kit"]["file"] = secret.into())),
        ("no platform", broken(room, |index| index["manifests"][0]["platform"] = "../x".into())),
        (
            "twice",
            broken(room, |index| {
                let mut one = index["manifests"][0].clone();
                one["documents"] = serde_json::json!([]);
                index["manifests"][0]["documents"] = serde_json::json!([]);
                index["manifests"].as_array_mut().unwrap().push(one);
            }),
        ),
        ("more than", broken(room, |index| index["manifests"][0]["documents"][0]["size"] = u64::MAX.into())),
        (
            "of type `text/html`",
            broken(room, |index| {
                index["manifests"][0]["documents"][0]["mediaType"] = "text/html".into();
            }),
        ),
        ("malformed", broken(room, |index| index["digest"] = "sha256:../../etc/passwd".into())),
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
    let directory = made(room, &["linux/amd64"]);
    fs::write(directory.join(INDEX), vec![b' '; (4 << 20) + 1]).unwrap();
    assert!(matches!(Evidence::open(&directory), Err(Error::Read { .. })));
    fs::remove_file(directory.join(INDEX)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.join(INDEX)).unwrap();
    assert!(matches!(Evidence::open(&directory), Err(Error::Read { .. })));
    assert!(matches!(Evidence::open(&room.join("none")), Err(Error::Absent { .. })));
}

#[test]
fn a_document_is_what_the_index_says_or_an_error() {
    let room = tempfile::tempdir().unwrap();
    for platforms in [&["linux/amd64"][..], &["linux/amd64", "linux/arm64"]] {
        let directory = made(room.path(), platforms);
        let manifest = Digest::of(b"linux/amd64");
        let evidence = Evidence::open(&directory).unwrap();
        let file = directory.join(if platforms.len() > 1 { "linux-amd64" } else { "." }).join("spdx.json");
        let good = fs::read(&file).unwrap();
        fs::write(&file, b"{}").unwrap();
        let error = evidence.read(&manifest, Document::Spdx).unwrap_err().to_string();
        assert!(error.contains("`") && error.contains("and its index says sha256:"), "{error}");
        fs::write(&file, [&good[..], b"x"].concat()).unwrap();
        assert!(evidence.read(&manifest, Document::Spdx).is_err());
        // A link is not followed, wherever it leads and whatever stands on the way.
        fs::write(room.path().join("good"), &good).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(room.path().join("good"), &file).unwrap();
        assert!(evidence.read(&manifest, Document::Spdx).is_err());
        if platforms.len() > 1 {
            fs::remove_file(&file).unwrap();
            fs::write(&file, &good).unwrap();
            assert!(evidence.read(&manifest, Document::Spdx).is_ok());
            fs::rename(directory.join("linux-amd64"), room.path().join("moved")).unwrap();
            std::os::unix::fs::symlink(room.path().join("moved"), directory.join("linux-amd64")).unwrap();
            assert!(evidence.read(&manifest, Document::Spdx).is_err());
            fs::remove_file(directory.join("linux-amd64")).unwrap();
            fs::remove_dir_all(room.path().join("moved")).unwrap();
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn a_provenance_about_something_else_is_no_statement() {
    let room = tempfile::tempdir().unwrap();
    let directory = made(room.path(), &["linux/amd64"]);
    let (path, manifest) = (directory.join(INDEX), Digest::of(b"linux/amd64"));
    let other = crate::attest::Statement::new("web", Digest::of(b"other"), crate::attest::PROVENANCE, "x".into());
    let swapped = crate::attest::Statement::new("web", manifest, crate::attest::SPDX, "x".into());
    for statement in [other.to_bytes(), swapped.to_bytes(), b"{}".to_vec()] {
        let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let listed = index["manifests"][0]["documents"].as_array_mut().unwrap();
        let listed = listed.iter_mut().find(|one| one["document"] == "provenance").unwrap();
        listed["digest"] = Digest::of(&statement).to_string().into();
        listed["size"] = statement.len().into();
        fs::write(&path, index.to_string()).unwrap();
        fs::write(directory.join("provenance.json"), &statement).unwrap();
        let evidence = Evidence::open(&directory).unwrap();
        assert!(evidence.read(&manifest, Document::Provenance).unwrap().is_some());
        assert!(evidence.statement(&manifest, Document::Provenance).is_err());
    }
}

#[test]
fn only_evidence_is_written_over_or_removed() {
    let room = tempfile::tempdir().unwrap();
    let directory = made(room.path(), &["linux/amd64", "linux/arm64"]);
    assert!(made(room.path(), &["linux/amd64"]).join("spdx.json").exists());
    assert!(!directory.join("linux-amd64").exists(), "nothing of another image remains");
    remove_other(&directory, &Digest::of(b"linux/amd64")).unwrap();
    assert!(directory.exists(), "it is about this image");
    remove_other(&directory, &Digest::of(b"other")).unwrap();
    assert!(!directory.exists());
    remove_other(&directory, &Digest::of(b"other")).unwrap();
    let directory = made(room.path(), &["linux/amd64"]);
    fs::write(directory.join("thesis.txt"), "").unwrap();
    assert!(remove_other(&directory, &Digest::of(b"other")).is_err());
    assert!(directory.join("thesis.txt").exists());
}
