use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::*;
use crate::diag::Span;
use crate::spec::{Compression, Spanned};
use crate::store::{Store, StoreOptions};
use crate::tar::write::{END, Header, Kind, append_header};

fn run() -> Run {
    Run {
        user: Spanned { value: "web".to_owned(), span: Span::default() },
        entrypoint: vec!["/usr/sbin/web".to_owned()],
        cmd: vec!["-g".to_owned(), "a && b <c> \u{2028}".to_owned()],
        env: BTreeMap::from([("TZ".to_owned(), "UTC".to_owned()), ("PATH".to_owned(), "/usr/bin".to_owned())]),
        workdir: "/".to_owned(),
        ports: vec!["8080/tcp".to_owned()],
        volumes: vec!["/data".to_owned()],
        stop_signal: Some("SIGQUIT".to_owned()),
    }
}

/// Stores a layer of one file and returns it.
fn layer(store: &Store, compression: Compression) -> Layer {
    let mut tar = Vec::new();
    let header = Header { path: "hello", kind: Kind::File(512), mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
    append_header(&mut tar, &header).unwrap();
    tar.extend_from_slice(&[b'h'; 512]);
    tar.extend_from_slice(&END);
    let blob = crate::codec::encode::encode(compression, &tar).unwrap();
    let digest = store.put_blob(&blob).unwrap();
    Layer { diff_id: DiffId::of(&tar), digest, size: blob.len() as u64, compression }
}

fn image(store: &Store, platform: Platform) -> Image {
    let labels = BTreeMap::from([("org.example.b".to_owned(), "&".to_owned()), ("a".to_owned(), "1".to_owned())]);
    let run = run();
    let settings =
        Settings { run: &run, user: (10001, 10001), labels: &labels, source_date: 1_700_000_000, base: None };
    let layers = vec![layer(store, Compression::Zstd(3)), layer(store, Compression::Gzip(6))];
    Image::new(platform, &settings, layers).unwrap()
}

fn store(room: &Path) -> Store {
    Store::open(&room.join("store"), StoreOptions::default()).unwrap()
}

#[test]
fn golden_config_and_manifest() {
    let room = tempfile::tempdir().unwrap();
    let image = image(&store(room.path()), Platform::Amd64);
    insta::assert_snapshot!(String::from_utf8(image.config().to_vec()).unwrap(), @r#"{"architecture":"amd64","config":{"Cmd":["-g","a \u0026\u0026 b \u003cc\u003e \u2028"],"Entrypoint":["/usr/sbin/web"],"Env":["PATH=/usr/bin","TZ=UTC"],"ExposedPorts":{"8080/tcp":{}},"Labels":{"a":"1","org.example.b":"\u0026"},"StopSignal":"SIGQUIT","User":"10001:10001","Volumes":{"/data":{}},"WorkingDir":"/"},"created":"2023-11-14T22:13:20Z","history":[{"created":"2023-11-14T22:13:20Z","created_by":"tarsia build"},{"created":"2023-11-14T22:13:20Z","created_by":"tarsia build"}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:d2930796b9b10cc14c9ea69cd5ec2336d7452fc510d27db6207375b9b122a5e5","sha256:d2930796b9b10cc14c9ea69cd5ec2336d7452fc510d27db6207375b9b122a5e5"]}}"#);
    insta::assert_snapshot!(String::from_utf8(image.manifest().to_vec()).unwrap(), @r#"
        {
          "schemaVersion": 2,
          "mediaType": "application/vnd.oci.image.manifest.v1+json",
          "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": "sha256:844a648ae01923f8643ccafb5221472a252eaa7345e1ceeb7e7a3473623c161a",
            "size": 683
          },
          "layers": [
            {
              "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
              "digest": "sha256:72e3db9faa06763710006c66e9cf601e2b2b5ab4481793dbad28195ae4f18b31",
              "size": 82
            },
            {
              "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
              "digest": "sha256:83b49161af70c99b788102257aa7bf614874eafe3d7a9977389a3ea12b408a80",
              "size": 87
            }
          ]
        }
    "#);
}

#[test]
fn layouts_and_archives_are_read_back_and_always_the_same() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path());
    let blobs = |digest: &Digest| store.blob(digest).map_err(std::io::Error::other);
    let both = vec![image(&store, Platform::Arm64), image(&store, Platform::Amd64)];
    for (images, tag) in [(both[..1].to_vec(), None), (both, Some("1.0"))] {
        let whole = ImageIndex::new(images).unwrap();
        let (directory, archive) = (room.path().join("web.oci"), room.path().join("web.tar"));
        write_layout(&whole, tag, &blobs, &directory).unwrap();
        write_archive(&whole, tag, &blobs, &archive).unwrap();
        let first = std::fs::read(&archive).unwrap();
        write_archive(&whole, tag, &blobs, &archive).unwrap();
        assert!(std::fs::read(&archive).unwrap() == first);
        let tag = tag.map(str::to_owned);
        for place in [Destination::Layout(directory, tag.clone()), Destination::Archive(archive, tag)] {
            let read = open(&place).unwrap();
            assert_eq!(read.descriptor().digest, whole.digest());
            assert_eq!(read.index(), whole.index());
            for (opened, image) in read.images().iter().zip(whole.images()) {
                assert_eq!(opened.manifest_bytes, image.manifest());
                assert_eq!(opened.config_bytes, image.config());
                assert_eq!(opened.platform, Some(image.platform()));
                for layer in &opened.layers {
                    let mut seen = Vec::new();
                    read.entries::<Error>(layer, |entry, body| {
                        let mut bytes = Vec::new();
                        body.read_to_end(&mut bytes).unwrap();
                        seen.push((entry.path.to_string(), bytes.len()));
                        Ok(())
                    })
                    .unwrap();
                    assert_eq!(seen, [("/hello".to_owned(), 512)]);
                }
            }
            assert!(open(&Destination::Layout(place.path().to_owned(), Some("other".to_owned()))).is_err());
        }
    }
}

#[test]
fn a_layout_that_is_not_what_it_says_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path());
    let blobs = |digest: &Digest| store.blob(digest).map_err(std::io::Error::other);
    let image = image(&store, Platform::Amd64);
    let (config, layer) = (Digest::of(image.config()), image.layers()[0].digest);
    let whole = ImageIndex::new(vec![image]).unwrap();
    let directory = room.path().join("web.oci");
    let place = Destination::Layout(directory.clone(), None);
    let edit = |digest: Digest| {
        let path = directory.join("blobs/sha256").join(digest.hex());
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b" ").unwrap();
    };
    write_layout(&whole, None, &blobs, &directory).unwrap();
    edit(layer);
    let read = open(&place).unwrap();
    assert!(read.entries::<Error>(&read.images()[0].layers[0], |_, _| Ok(())).is_err());
    edit(config);
    assert!(matches!(open(&place), Err(Error::Invalid { .. })));

    let missing = ImageIndex::new(whole.images().to_vec()).unwrap();
    let error = write_layout(&missing, None, &|_| Ok(None), &directory).unwrap_err();
    assert!(matches!(error, Error::MissingBlob { .. }));
    assert!(directory.join("index.json").exists(), "what stood there stands");
    assert!(ImageIndex::new(vec![whole.images()[0].clone(), whole.images()[0].clone()]).is_err());
}
