//! What stands on the disk: files of the spec, the store, images that are read, outputs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tarsia::digest::Digest;

use super::text::fifo;
use super::{BUILD, bounded, digest, expected, judge, locked, mends, refused};
use crate::deb::{Packing, Tar, pack};
use crate::program::{Place, names};

#[test]
fn files_of_the_spec() {
    let place = Place::new();
    place.write("conf/a", "a");
    place.write("other/secret", "secret");
    fifo(&place, "conf/fifo");
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    assert!(
        std::process::Command::new("mknod")
            .arg(place.path("null-device"))
            .args(["c", "1", "3"])
            .status()
            .unwrap()
            .success()
    );
    symlink("../other", place.path("conf2")).unwrap();
    fs::create_dir(place.path("links")).unwrap();
    symlink("/etc/passwd", place.path("links/absolute")).unwrap();
    fs::create_dir(place.path("up")).unwrap();
    symlink("../other/secret", place.path("up/secret")).unwrap();
    symlink("/", place.path("root")).unwrap();
    fs::create_dir(place.path("bytes")).unwrap();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xff");
    fs::write(place.path("bytes").join(name), "").unwrap();
    place.write("white/.wh.a", "");
    let deep: PathBuf = std::iter::repeat_n("d", 300).collect();
    fs::create_dir_all(place.path("deep").join(deep)).unwrap();
    let tar = |name: &str, tar: Tar| {
        let bytes = tar.build();
        format!(
            "files: [{{fetch: \"file://{}\", sha256: \"{}\", to: /opt/m/, unpack: true}}]",
            place.write(name, &bytes).display(),
            Digest::of(&bytes).hex()
        )
    };
    let copy = |path: &str| format!("files: [{{copy: {path}, to: /x}}]");
    let zip = place.write("m.zip", b"PK\x03\x04");
    let cases: Vec<(&str, String, &str, &str)> = vec![
        ("absent", copy("nowhere"), "package::local", "nowhere"),
        ("a fifo", copy("conf/fifo"), "package::refused", "fifo"),
        ("a fifo among files", copy("conf"), "package::refused", "fifo"),
        ("a socket", copy("socket"), "package::refused", "socket"),
        ("a device", copy("null-device"), "package::refused", "device"),
        ("through a link", copy("root/etc/passwd"), "package::refused", "leaves"),
        ("a link that is absolute", copy("links"), "package::refused", "outside"),
        ("a link that leads out", copy("up"), "package::refused", "outside"),
        ("a name that is no text", copy("bytes"), "package::refused", "UTF-8"),
        ("a whiteout", copy("white"), "select::file", "whiteout"),
        ("a deep directory", copy("deep"), "package::refused", "256"),
        ("a certificate that is none", "certificates: [conf/a]".to_owned(), "select::certificate", "conf/a"),
        ("a certificate that is a directory", "certificates: [other]".to_owned(), "package::refused", "regular"),
        (
            "a tar with a device",
            tar("a.tar", Tar::new().entry("null", b'3', 0o644, "", b"")),
            "package::unpack",
            "device",
        ),
        ("a tar that leads out", tar("b.tar", Tar::new().file("../x", 0o644, b"")), "package::unpack", ".."),
        (
            "a tar through its link",
            tar("c.tar", Tar::new().entry("a", b'2', 0o777, "/etc", b"").file("a/x", 0o644, b"")),
            "package::unpack",
            "symbolic link",
        ),
        (
            "a zip",
            format!(
                "files: [{{fetch: \"file://{}\", sha256: \"{}\", to: /opt/m/, unpack: true}}]",
                zip.display(),
                Digest::of(b"PK\x03\x04").hex()
            ),
            "package::unpack",
            "",
        ),
        (
            "another file than named",
            format!("files: [{{fetch: \"file://{}\", sha256: \"{}\", to: /x}}]", zip.display(), Digest::of(b"").hex()),
            "fetch::mismatch",
            "",
        ),
    ];
    let mut wrong = Vec::new();
    for (case, rest, code, said) in cases {
        place.write("web.yaml", format!("version: 1\nname: web\nplatforms: [linux/amd64]\n{rest}\n"));
        let _ = fs::remove_file(place.path("web.lock"));
        let judged = std::panic::catch_unwind(|| refused(&place, case, BUILD, code, said));
        wrong.extend(judged.err().map(|_| case));
    }
    assert_eq!(wrong, Vec::<&str>::new());
    mends(&place, "files");
}

/// A file that is cut and written while it is read gives one of its states, or an error, and never a crash.
#[test]
fn a_file_that_changes_while_it_is_read() {
    let place = Place::new();
    let size = 24 << 20;
    place.write("app", vec![7; size]);
    place.write("web.yaml", "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles: [{copy: app, to: /app}]\n");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::File::options().write(true).open(place.path("app")).unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                file.set_len(100).unwrap();
                file.set_len(size as u64).unwrap();
            }
        });
        for _ in 0..6 {
            let ran = bounded(&place, BUILD);
            if ran.status != 0 {
                judge("changing", &ran, "package::refused", "changes while it is read");
                assert!(!place.path("web.oci").exists());
            }
            let _ = fs::remove_dir_all(place.path("web.oci"));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    place.write("app", vec![7; size]);
    let still = bounded(&place, BUILD);
    let other = Place::new();
    other.write("app", vec![7; size]);
    fs::copy(place.path("web.yaml"), other.path("web.yaml")).unwrap();
    assert_eq!(digest(&still), digest(&bounded(&other, BUILD)), "nothing that was seen half is remembered");
}

/// Returns every file below a directory, sorted.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_dir() { all.extend(below(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn every_kind_of_entry_of_the_store() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 7] = [
        ("a flipped bit in the middle", |path| {
            let mut bytes = fs::read(path).unwrap();
            if !bytes.is_empty() {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            fs::write(path, bytes).unwrap();
        }),
        ("a flipped bit that hides its time", |path| {
            let times = fs::metadata(path).unwrap().modified().unwrap();
            let mut bytes = fs::read(path).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            fs::write(path, bytes).unwrap();
            fs::File::options().write(true).open(path).unwrap().set_modified(times).unwrap();
        }),
        ("cut short", |path| {
            let length = fs::metadata(path).unwrap().len();
            fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
        }),
        ("empty", |path| fs::write(path, "").unwrap()),
        ("longer", |path| {
            let length = fs::metadata(path).unwrap().len();
            fs::File::options().write(true).open(path).unwrap().set_len(length + 1).unwrap();
        }),
        ("a fifo", |path| {
            fs::remove_file(path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("a link to nowhere", |path| {
            fs::remove_file(path).unwrap();
            symlink("/nowhere/at/all", path).unwrap();
        }),
    ];
    let (place, _) = locked();
    assert_eq!(digest(&bounded(&place, BUILD)), expected());
    let rooms = ["blobs", "packs", "frames", "images", "checks"];
    let mut wrong = Vec::new();
    for (harm_name, harm) in harms {
        for room in rooms {
            let files = below(&place.path("store").join(room));
            assert!(!files.is_empty(), "{room} holds nothing");
            files.iter().for_each(|path| harm(path));
            let ran = bounded(&place, BUILD);
            if ran.status != 0 || digest(&ran) != expected() {
                wrong.push(format!("{room}: {harm_name}: {}", ran.err));
                fs::remove_dir_all(place.path("store")).unwrap();
            }
            fs::remove_dir_all(place.path("web.oci")).unwrap();
            place.run(&["build", "web.yaml", "-o", "web.oci"]);
        }
        // All at once, and the store is told to look after itself.
        rooms.iter().flat_map(|room| below(&place.path("store").join(room))).for_each(|path| harm(&path));
        let ran = bounded(&place, &["cache", "verify"]);
        assert!(ran.status < 2 && !ran.err.contains("panicked"), "{harm_name}: {ran:?}");
        let ran = bounded(&place, BUILD);
        if ran.status != 0 || digest(&ran) != expected() {
            wrong.push(format!("everything: {harm_name}: {}", ran.err));
            fs::remove_dir_all(place.path("store")).unwrap();
            place.run(&["build", "web.yaml", "-o", "web.oci"]);
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_store_of_somebody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let (place, _) = locked();
    fs::set_permissions(place.path("store"), fs::Permissions::from_mode(0o777)).unwrap();
    refused(&place, "writable by all", BUILD, "store::mode", "0777");
    fs::set_permissions(place.path("store"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(std::process::Command::new("chown").arg("1234").arg(place.path("store")).status().unwrap().success());
    refused(&place, "of another user", BUILD, "store::owner", "1234");
    assert!(std::process::Command::new("chown").arg("0").arg(place.path("store")).status().unwrap().success());
    mends(&place, "store");
}

/// A name, what stands at the output, and a word of the message.
type Foreign<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);

#[test]
fn outputs_of_somebody_else() {
    let (place, _) = locked();
    let outputs: [Foreign<'_>; 5] = [
        (
            "a directory with files of its own",
            &|path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("thesis"), "x").unwrap();
            },
            "thesis",
        ),
        ("a file", &|path| fs::write(path, "x").unwrap(), "a file"),
        ("a symbolic link", &|path| symlink("/etc", path).unwrap(), "symbolic link"),
        (
            "a fifo",
            &|path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
            "a file",
        ),
        ("a directory that looks like one", &|path| fs::create_dir_all(path.join("blobs")).unwrap(), "oci-layout"),
    ];
    for (case, make, said) in outputs {
        let path = place.path("web.oci");
        make(&path);
        let before = fs::symlink_metadata(&path).unwrap().modified().unwrap();
        refused(&place, case, BUILD, "store::occupied", said);
        assert_eq!(fs::symlink_metadata(&path).unwrap().modified().unwrap(), before, "{case}");
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    refused(&place, "nowhere", &["build", "web.yaml", "-o", "no/such/web.oci"], "store::write", "no/such");
    mends(&place, "outputs");
}

/// An OCI layout that is edited, each time from the good one.
#[test]
fn images_that_are_read() {
    let (place, _) = locked();
    let whole = place.path("whole.oci");
    place.ok(&["build", "web.yaml", "-o", "whole.oci"]);
    let read = |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let hex = |descriptor: &serde_json::Value| descriptor["digest"].as_str().unwrap()[7..].to_owned();
    let index = read(&whole.join("index.json"));
    let blob = |root: &Path, name: &str| root.join("blobs/sha256").join(name);
    let manifest = read(&blob(&whole, &hex(&index["manifests"][0])));
    // Writes a document in the place of the good one, and everything above it so that it is found.
    let with_manifest = |root: &Path, change: &dyn Fn(&mut serde_json::Value)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        let bytes = serde_json::to_vec(&manifest).unwrap();
        fs::write(blob(root, &Digest::of(&bytes).hex()), &bytes).unwrap();
        let mut index = index.clone();
        index["manifests"][0]["digest"] = Digest::of(&bytes).to_string().into();
        index["manifests"][0]["size"] = bytes.len().into();
        fs::write(root.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    };
    let with_layer = |root: &Path, bytes: &[u8]| {
        fs::write(blob(root, &Digest::of(bytes).hex()), bytes).unwrap();
        with_manifest(root, &|manifest| {
            manifest["layers"][0]["digest"] = Digest::of(bytes).to_string().into();
            manifest["layers"][0]["size"] = bytes.len().into();
        });
    };
    let evil = |tar: Tar| pack(Packing::Zstd, &tar.build());
    type Harm<'a> = Box<dyn Fn(&Path) + 'a>;
    let edit = |name: &'static str, bytes: &'static [u8]| -> Harm<'_> {
        Box::new(move |root| fs::write(root.join(name), bytes).unwrap())
    };
    let top = |change: fn(&mut serde_json::Value)| -> Harm<'_> {
        let mut changed = index.clone();
        change(&mut changed);
        Box::new(move |root| fs::write(root.join("index.json"), changed.to_string()).unwrap())
    };
    let cases: Vec<(&str, Harm<'_>, &str)> = vec![
        ("no layout file", Box::new(|root| fs::remove_file(root.join("oci-layout")).unwrap()), "image::read"),
        ("another layout", edit("oci-layout", br#"{"imageLayoutVersion":"9.0.0"}"#), "image::invalid"),
        (
            "a layout file without end",
            Box::new(|root| fs::write(root.join("oci-layout"), vec![b' '; 5 << 20]).unwrap()),
            "image::invalid",
        ),
        (
            "a layout file that is a fifo",
            Box::new(|root| {
                fs::remove_file(root.join("oci-layout")).unwrap();
                assert!(std::process::Command::new("mkfifo").arg(root.join("oci-layout")).status().unwrap().success());
            }),
            "image::read",
        ),
        ("no JSON", edit("index.json", b"{"), "image::invalid"),
        (
            "deep JSON",
            Box::new(|root| fs::write(root.join("index.json"), "[".repeat(1 << 20)).unwrap()),
            "image::invalid",
        ),
        ("an empty index", top(|index| index["manifests"] = serde_json::json!([])), "image::invalid"),
        (
            "two images",
            top(|index| index["manifests"] = serde_json::json!([index["manifests"][0], index["manifests"][0]])),
            "image::invalid",
        ),
        (
            "a digest that is a path",
            top(|index| index["manifests"][0]["digest"] = "sha256:../../../../etc/passwd".into()),
            "image::invalid",
        ),
        (
            "another hash",
            top(|index| index["manifests"][0]["digest"] = "md5:d41d8cd98f00b204e9800998ecf8427e".into()),
            "image::invalid",
        ),
        ("another kind", top(|index| index["manifests"][0]["mediaType"] = "text/html".into()), "image::invalid"),
        ("another size", top(|index| index["manifests"][0]["size"] = 1.into()), "image::invalid"),
        ("a size without measure", top(|index| index["manifests"][0]["size"] = u64::MAX.into()), "image::invalid"),
        (
            "a manifest that is not there",
            Box::new(|root| fs::remove_file(blob(root, &hex(&index["manifests"][0]))).unwrap()),
            "image::read",
        ),
        (
            "a flipped bit in the manifest",
            Box::new(|root| flip(&blob(root, &hex(&index["manifests"][0])))),
            "image::invalid",
        ),
        (
            "a flipped bit in the config",
            Box::new(|root| flip(&blob(root, &hex(&manifest["config"])))),
            "image::invalid",
        ),
        (
            "a flipped bit in a layer",
            Box::new(|root| flip(&blob(root, &hex(&manifest["layers"][0])))),
            "image::invalid",
        ),
        (
            "a manifest that is an index",
            Box::new(|root| {
                with_manifest(root, &|manifest| {
                    manifest["mediaType"] = "application/vnd.oci.image.index.v1+json".into()
                })
            }),
            "image::invalid",
        ),
        (
            "no layers",
            Box::new(|root| with_manifest(root, &|manifest| manifest["layers"] = serde_json::json!([]))),
            "image::invalid",
        ),
        (
            "a foreign layer",
            Box::new(|root| {
                with_manifest(root, &|manifest| {
                    manifest["layers"][0]["mediaType"] =
                        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
                    manifest["layers"][0]["urls"] = serde_json::json!(["http://127.0.0.1:1/x"]);
                })
            }),
            "image::invalid",
        ),
        (
            "a layer of another kind",
            Box::new(|root| {
                with_manifest(root, &|manifest| {
                    manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip".into()
                })
            }),
            "image::invalid",
        ),
        (
            "a layer that leads out",
            Box::new(|root| with_layer(root, &evil(Tar::new().file("../../x", 0o644, b"")))),
            "image::invalid",
        ),
        (
            "a layer through its link",
            Box::new(|root| {
                with_layer(root, &evil(Tar::new().entry("a", b'2', 0o777, "/etc", b"").file("a/x", 0o644, b"")))
            }),
            "image::invalid",
        ),
        (
            "a layer of another tar",
            Box::new(|root| with_layer(root, &evil(Tar::new().file("x", 0o644, b"")))),
            "image::invalid",
        ),
        (
            "a layer that is cut short",
            Box::new(|root| {
                let bytes = evil(Tar::new().file("x", 0o644, &[b'x'; 4096]));
                with_layer(root, &bytes[..bytes.len() / 2]);
            }),
            "image::invalid",
        ),
    ];
    let mut wrong = Vec::new();
    for (case, harm, code) in cases {
        let copied =
            std::process::Command::new("cp").arg("-r").arg(&whole).arg(place.path("evil.oci")).status().unwrap();
        assert!(copied.success());
        harm(&place.path("evil.oci"));
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            refused(&place, case, &["inspect", "evil.oci"], code, "")
        }));
        wrong.extend(judged.err().map(|_| case));
        fs::remove_dir_all(place.path("evil.oci")).unwrap();
    }
    assert_eq!(wrong, Vec::<&str>::new());
    for (case, bytes) in [
        ("junk", b"junk".to_vec()),
        ("nothing", Vec::new()),
        ("no image", Tar::new().file("x", 0o644, b"").build()),
        ("zeros", vec![0; 1 << 20]),
    ] {
        place.write("evil.tar", &bytes);
        let ran = bounded(&place, &["inspect", "evil.tar"]);
        let code = if ran.err.contains("image::read") { "image::read" } else { "image::invalid" };
        judge(case, &ran, code, "");
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}
