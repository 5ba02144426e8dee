use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write};
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
    Layer { diff_id: DiffId::of(&tar), digest, size: blob.len() as u64, compression, tar_size: tar.len() as u64 }
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

fn tags(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|&tag| tag.to_owned()).collect()
}

#[test]
fn layouts_and_archives_are_read_back_and_always_the_same() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path());
    let blobs = |digest: &Digest| store.blob(digest).map_err(std::io::Error::other);
    let both = vec![image(&store, Platform::Arm64), image(&store, Platform::Amd64)];
    for (images, names) in [(both[..1].to_vec(), tags(&[])), (both.clone(), tags(&["1.0"])), (both, tags(&["a", "b"]))]
    {
        let whole = ImageIndex::new(images).unwrap();
        let (directory, archive) = (room.path().join("web.oci"), room.path().join("web.tar"));
        write_layout(&whole, &names, &blobs, &directory).unwrap().commit().unwrap();
        write_archive(&whole, &names, &blobs, &archive).unwrap().commit().unwrap();
        let first = std::fs::read(&archive).unwrap();
        write_archive(&whole, &names, &blobs, &archive).unwrap().commit().unwrap();
        assert!(std::fs::read(&archive).unwrap() == first);
        // With a tag, and without: several tags name one image.
        for tag in names.iter().cloned().map(Some).chain([None]) {
            for place in
                [Destination::Layout(directory.clone(), tag.clone()), Destination::Archive(archive.clone(), tag)]
            {
                let read = open(&place).unwrap();
                assert_eq!(read.descriptor().digest, whole.digest());
                assert_eq!(read.index(), whole.index());
                for (opened, image) in read.images().iter().zip(whole.images()) {
                    assert_eq!(opened.manifest_bytes, image.manifest());
                    assert_eq!(opened.config_bytes, image.config());
                    assert_eq!(opened.platform, Some(image.platform()));
                    opened.layers.iter().for_each(|layer| assert_eq!(entries(&read, layer), ENTRIES));
                }
            }
        }
        for place in [Destination::Layout(directory, other()), Destination::Archive(archive, other())] {
            assert!(open(&place).is_err());
        }
    }
}

const ENTRIES: [(&str, usize); 1] = [("/hello", 512)];

fn other() -> Option<String> {
    Some("other".to_owned())
}

fn entries(read: &OpenImage, layer: &OpenLayer) -> Vec<(&'static str, usize)> {
    let mut seen = Vec::new();
    read.entries::<Error>(layer, |entry, body| {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).unwrap();
        assert_eq!(entry.path.to_string(), "/hello");
        seen.push(("/hello", bytes.len()));
        Ok(())
    })
    .unwrap();
    seen
}

#[test]
fn an_index_says_of_a_platform_what_buildkit_says() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path());
    let whole = ImageIndex::new(vec![image(&store, Platform::Arm64), image(&store, Platform::Amd64)]).unwrap();
    let index: Value = serde_json::from_slice(whole.index().unwrap()).unwrap();
    let platform = |at: usize| index["manifests"][at]["platform"].to_string();
    assert_eq!(platform(0), r#"{"architecture":"amd64","os":"linux"}"#);
    assert_eq!(platform(1), r#"{"architecture":"arm64","os":"linux"}"#, "no variant: v8 goes without saying");
    let config: Value = serde_json::from_slice(whole.images()[1].config()).unwrap();
    assert_eq!((&config["architecture"], &config["variant"]), (&json!("arm64"), &Value::Null));
}

#[test]
fn an_archive_for_docker_is_read_back_and_depends_on_contents_alone() {
    let room = tempfile::tempdir().unwrap();
    let store = store(room.path());
    let blobs = |digest: &Digest| store.blob(digest).map_err(std::io::Error::other);
    let run = run();
    let labels = BTreeMap::new();
    let settings = Settings { run: &run, user: (0, 0), labels: &labels, source_date: 0, base: None };
    let path = room.path().join("web.tar");
    let mut written = Vec::new();
    let name = |text: &str| Reference::of_engine(text).unwrap();
    for compression in [Compression::Zstd(3), Compression::Gzip(6)] {
        let image = Image::new(Platform::Amd64, &settings, vec![layer(&store, compression)]).unwrap();
        let names = [name("acme/web:1"), name("web")].into();
        stage_docker_archive(&image, &names, &blobs, &path).unwrap().commit().unwrap();
        written.push(std::fs::read(&path).unwrap());
        let found = |name: Option<&str>| {
            open(&Destination::DockerArchive(path.clone(), name.map(|name| Reference::of_engine(name).unwrap())))
        };
        for read in [found(None), found(Some("web")), found(Some("acme/web:1"))] {
            let read = read.unwrap();
            assert_eq!(read.descriptor().digest, Digest::of(image.config()), "the id that Docker shows");
            let [opened] = read.images() else { panic!("one image") };
            assert_eq!(opened.config_bytes, image.config());
            assert_eq!(entries(&read, &opened.layers[0]), ENTRIES);
        }
        assert!(matches!(found(Some("web:2")), Err(Error::Invalid { .. })));
        assert!(open(&Destination::Archive(path.clone(), None)).is_ok(), "whatever kind of archive it is");
    }
    assert!(written[0] == written[1]);
    insta::assert_snapshot!(members(&written[0]), @r#"
    644 0 2048 d2930796b9b10cc14c9ea69cd5ec2336d7452fc510d27db6207375b9b122a5e5.tar
    644 0 494 ea7ba90353ad7d979628f6837f494bd29f7f0a2ad8ddc7a1957897cd0ca6ed35.json
    644 0 205 manifest.json
    [{"Config":"ea7ba90353ad7d979628f6837f494bd29f7f0a2ad8ddc7a1957897cd0ca6ed35.json","RepoTags":["acme/web:1","web:latest"],"Layers":["d2930796b9b10cc14c9ea69cd5ec2336d7452fc510d27db6207375b9b122a5e5.tar"]}]
    "#);

    let image = Image::new(Platform::Amd64, &settings, vec![layer(&store, Compression::Zstd(3))]).unwrap();
    let wrong = Layer { diff_id: DiffId::of(b"other"), ..image.layers()[0] };
    let wrong = Image::new(Platform::Amd64, &settings, vec![wrong]).unwrap();
    assert!(matches!(stage_docker_archive(&wrong, &BTreeSet::new(), &blobs, &path), Err(Error::Blob { .. })));
    for tar_size in [1023, 2 << 20] {
        let wrong = Layer { tar_size, ..image.layers()[0] };
        let wrong = Image::new(Platform::Amd64, &settings, vec![wrong]).unwrap();
        assert!(matches!(stage_docker_archive(&wrong, &BTreeSet::new(), &blobs, &path), Err(Error::Blob { .. })));
    }
    assert!(std::fs::read(&path).unwrap() == written[1], "what stood there stands");
}

/// Returns the entries of a tar, with the texts of short JSON files.
fn members(bytes: &[u8]) -> String {
    let mut text = String::new();
    for entry in ::tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, header) = (entry.path().unwrap().display().to_string(), entry.header().clone());
        let (mode, mtime) = (header.mode().unwrap(), header.mtime().unwrap());
        text += &format!("{mode:o} {mtime} {} {path}", header.size().unwrap());
        if path == "manifest.json" {
            text += "\n";
            entry.read_to_string(&mut text).unwrap();
        }
        text += "\n";
    }
    text
}

#[test]
fn a_hostile_archive_for_docker_is_an_error() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("web.tar");
    let config = br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let list = |config: &str, layers: &str| format!(r#"[{{"Config":"{config}","RepoTags":null,"Layers":[{layers}]}}]"#);
    let write = |list: &str, links: &[(&str, &str)]| {
        let mut tar = Vec::new();
        for (path, bytes) in [("c.json", &config[..]), ("manifest.json", list.as_bytes())] {
            let kind = Kind::File(bytes.len() as u64);
            let header = Header { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
            append_header(&mut tar, &header).unwrap();
            tar.extend_from_slice(bytes);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        for (path, target) in links {
            let kind = Kind::Symlink(target);
            let header = Header { path, kind, mode: 0o777, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
            append_header(&mut tar, &header).unwrap();
        }
        tar.extend_from_slice(&END);
        std::fs::write(&path, tar).unwrap();
        open(&Destination::DockerArchive(path.clone(), None))
    };
    assert!(write(&list("c.json", ""), &[]).is_ok());
    assert!(write(&list("a/link.json", ""), &[("a/link.json", "../c.json")]).is_ok());
    for (list, links) in [
        (list("none.json", ""), vec![]),
        (list("/etc/passwd", ""), vec![]),
        (list("../c.json", ""), vec![]),
        (list("c.json", r#""c.json""#), vec![]),
        (list("x", ""), vec![("x", "/etc/passwd")]),
        (list("x", ""), vec![("x", "../../etc/passwd")]),
        (list("x", ""), vec![("x", "y"), ("y", "x")]),
        ("[]".to_owned(), vec![]),
        ("{".to_owned(), vec![]),
        (format!("[{0},{0}]", list("c.json", "").trim_matches(['[', ']'])), vec![]),
    ] {
        assert!(matches!(write(&list, &links), Err(Error::Invalid { .. })), "{list}");
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
    write_layout(&whole, &tags(&[]), &blobs, &directory).unwrap().commit().unwrap();
    edit(layer);
    let read = open(&place).unwrap();
    assert!(read.entries::<Error>(&read.images()[0].layers[0], |_, _| Ok(())).is_err());
    edit(config);
    assert!(matches!(open(&place), Err(Error::Invalid { .. })));

    let missing = ImageIndex::new(whole.images().to_vec()).unwrap();
    let error = write_layout(&missing, &tags(&[]), &|_| Ok(None), &directory).unwrap_err();
    assert!(matches!(error, Error::MissingBlob { .. }));
    assert!(directory.join("index.json").exists(), "what stood there stands");
    assert!(ImageIndex::new(vec![whole.images()[0].clone(), whole.images()[0].clone()]).is_err());
}
