//! Archive metadata that is broken, by whoever stands between: and, worse, well signed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tarsia::digest::Digest;

use super::{BUILD, good, mends, refused};
use crate::deb::{Packing, pack};
use crate::program::Place;
use crate::signing;
use crate::world::{DATE, spec};

/// What a case does to a good archive at this directory.
type Harm = Box<dyn Fn(&Path)>;

fn place() -> (Place, PathBuf) {
    let place = Place::new();
    let root = good().write(&place);
    spec(&place, "web", "packages: [hello]\nkeep: runtime\n");
    (place, root)
}

/// Signs another Release in the place of the good one.
fn signed(root: &Path, change: impl Fn(&str) -> String) {
    let path = root.join("dists/test/InRelease");
    let text = std::fs::read_to_string(&path).unwrap();
    let body = text.split("\n\n").nth(1).unwrap().split("-----BEGIN PGP SIGNATURE").next().unwrap();
    let (secret, _) = signing::generate_key(9);
    std::fs::write(path, signing::clearsign(&secret, &change(body), DATE)).unwrap();
}

/// Puts an index in the place of the good ones, and signs it.
fn indexed(root: &Path, name: &str, bytes: &[u8]) {
    let directory = root.join("dists/test/main/binary-amd64");
    for name in ["Packages", "Packages.gz"] {
        std::fs::remove_file(directory.join(name)).unwrap();
    }
    std::fs::write(directory.join(name), bytes).unwrap();
    signed(root, |text| {
        let head = text.split("SHA256:\n").next().unwrap();
        format!("{head}SHA256:\n {} {} main/binary-amd64/{name}\n", Digest::of(bytes).hex(), bytes.len())
    });
}

fn in_release(change: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Harm {
    Box::new(move |root| {
        let path = root.join("dists/test/InRelease");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, change(bytes)).unwrap();
    })
}

fn release(from: &'static str, to: &'static str) -> Harm {
    Box::new(move |root| {
        signed(root, |text| {
            assert!(text.contains(from), "{from} is not in {text}");
            text.replacen(from, to, 1)
        });
    })
}

fn packages(from: &'static str, to: &'static str) -> Harm {
    Box::new(move |root| {
        let text = std::fs::read_to_string(root.join("dists/test/main/binary-amd64/Packages")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        indexed(root, "Packages", text.replacen(from, to, 1).as_bytes());
    })
}

fn index(name: &'static str, make: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Harm {
    Box::new(move |root| {
        let text = std::fs::read(root.join("dists/test/main/binary-amd64/Packages")).unwrap();
        indexed(root, name, &make(&text));
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip file of `length` times one byte, made without holding them.
fn bomb(byte: u8, length: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![byte; 1 << 20];
    for _ in 0..length >> 20 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn metadata() {
    let cases: Vec<(&str, Harm, &str, &str)> = vec![
        (
            "no InRelease",
            Box::new(|root| std::fs::remove_file(root.join("dists/test/InRelease")).unwrap()),
            "fetch::unavailable",
            "",
        ),
        ("an empty InRelease", in_release(|_| Vec::new()), "archive::frame", ""),
        ("html", in_release(|_| b"<!DOCTYPE html>\n<html>".to_vec()), "archive::frame", ""),
        ("unsigned", in_release(|_| b"Origin: Test\nSuite: test\n".to_vec()), "archive::frame", ""),
        ("no text", in_release(|_| vec![0xff; 4096]), "archive::frame", ""),
        ("too large", in_release(|bytes| [bytes, vec![b'\n'; 5 << 20]].concat()), "fetch::unavailable", "bytes"),
        ("cut short", in_release(|bytes| bytes[..bytes.len() / 2].to_vec()), "archive::frame", ""),
        ("text before it", in_release(|bytes| [b"Suite: test\n".to_vec(), bytes].concat()), "archive::frame", "start"),
        (
            "text behind it",
            in_release(|bytes| [bytes, b"Suite: test\n".to_vec()].concat()),
            "archive::frame",
            "goes on",
        ),
        ("two of them", in_release(|bytes| [bytes.clone(), bytes].concat()), "archive::frame", "goes on"),
        (
            "line ends of another system",
            in_release(|bytes| String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into()),
            "archive::frame",
            "",
        ),
        (
            "a NUL",
            in_release(|bytes| String::from_utf8(bytes).unwrap().replacen("Origin", "Ori\0gin", 1).into()),
            "archive::frame",
            "",
        ),
        (
            "a changed letter",
            in_release(|bytes| String::from_utf8(bytes).unwrap().replacen("Test", "Tast", 1).into()),
            "archive::signatures",
            "not of this text",
        ),
        (
            "a weak hash",
            in_release(|bytes| String::from_utf8(bytes).unwrap().replacen("Hash: SHA", "Hash: MD5, SHA", 1).into()),
            "archive::frame",
            "hash",
        ),
        (
            "another suite",
            release("Suite: test\nCodename: test", "Suite: sid\nCodename: sid"),
            "archive::other-suite",
            "sid",
        ),
        ("a date to come", release("Date: Fri, 02 Jan 2026", "Date: Sat, 02 Jan 2066"), "archive::future", "2066"),
        (
            "a date that is none",
            release("Date: Fri, 02 Jan 2026", "Date: Fri, 99 Jan 2026"),
            "archive::release",
            "date",
        ),
        ("no date", release("Date: ", "Dote: "), "archive::release", "Date"),
        (
            "past its time",
            release("Date: ", "Valid-Until: Sat, 03 Jan 2026 00:00:00 UTC\nDate: "),
            "archive::expired",
            "",
        ),
        ("a weak sum alone", release("SHA256:", "MD5Sum:"), "archive::release", "SHA256"),
        ("a field twice", release("Origin: Test", "Origin: Test\norigin: Other"), "archive::release", "second time"),
        (
            "a second stanza",
            release("Codename: test\n", "Codename: test\n\nPackage: x\n"),
            "archive::release",
            "second stanza",
        ),
        (
            "a path that leads out",
            release(" main/binary-amd64/Packages\n", " ../../../etc/passwd\n"),
            "archive::release",
            "SHA256",
        ),
        (
            "an index twice",
            release(
                "SHA256:\n",
                "SHA256:\n 0000000000000000000000000000000000000000000000000000000000000000 1 main/binary-amd64/Packages\n",
            ),
            "archive::release",
            "twice",
        ),
        (
            "no such component",
            Box::new(|root| signed(root, |text| text.replace("main/binary", "other/binary"))),
            "archive::no-packages",
            "",
        ),
        (
            "an index of wild size",
            release("main/binary-amd64/Packages\n", "main/binary-amd64/Packages.xz\n"),
            "fetch::unavailable",
            "",
        ),
        (
            "an index of no number",
            release(" main/binary-amd64/Packages\n", "99999999999999999999 main/binary-amd64/Packages\n"),
            "archive::release",
            "",
        ),
        (
            "an index that is not there",
            Box::new(|root| {
                for name in ["Packages", "Packages.gz"] {
                    std::fs::remove_file(root.join("dists/test/main/binary-amd64").join(name)).unwrap();
                }
            }),
            "fetch::unavailable",
            "",
        ),
        (
            "an index that is a directory",
            Box::new(|root| {
                for name in ["Packages", "Packages.gz"] {
                    let path = root.join("dists/test/main/binary-amd64").join(name);
                    std::fs::remove_file(&path).unwrap();
                    std::fs::create_dir(path).unwrap();
                }
            }),
            "fetch::unavailable",
            "regular file",
        ),
        (
            "an index that is a fifo",
            Box::new(|root| {
                for name in ["Packages", "Packages.gz"] {
                    let path = root.join("dists/test/main/binary-amd64").join(name);
                    std::fs::remove_file(&path).unwrap();
                    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
                }
            }),
            "fetch::unavailable",
            "regular file",
        ),
        (
            "a longer index",
            Box::new(|root| {
                for name in ["Packages", "Packages.gz"] {
                    let path = root.join("dists/test/main/binary-amd64").join(name);
                    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"\n").unwrap();
                }
            }),
            "fetch::unavailable",
            "bytes",
        ),
        (
            "a cut gzip",
            index("Packages.gz", |text| {
                let packed = gzip(text);
                packed[..packed.len() - 6].to_vec()
            }),
            "archive::index-content",
            "cut short",
        ),
        ("a gzip that is none", index("Packages.gz", |text| text.to_vec()), "archive::index-content", ""),
        ("an xz that is a gzip", index("Packages.xz", gzip), "archive::index-content", ""),
        (
            "junk behind xz",
            index("Packages.xz", |text| [pack(Packing::Xz, text), b"junk".to_vec()].concat()),
            "archive::index-content",
            "",
        ),
        (
            "a flipped bit",
            index("Packages.gz", |text| {
                let mut packed = gzip(text);
                let at = packed.len() / 2;
                packed[at] ^= 4;
                packed
            }),
            "archive::",
            "",
        ),
        ("a bomb of one line", index("Packages.gz", |_| bomb(0, 256 << 20)), "archive::index-syntax", "4194304"),
        (
            "a bomb of many lines",
            index("Packages.gz", |_| bomb(b'\n', 768 << 20)),
            "archive::index-syntax",
            "blank lines",
        ),
        ("no text at all", index("Packages", |_| vec![0xff; 4096]), "archive::index-syntax", ""),
        (
            "a stanza without end",
            index("Packages", |_| [b"Package: x\nDescription:".to_vec(), b" x\n".repeat(2 << 20)].concat()),
            "archive::index-syntax",
            "",
        ),
        (
            "a line without end",
            index("Packages", |_| [b"Package: ".to_vec(), vec![b'x'; 6 << 20]].concat()),
            "archive::index-syntax",
            "",
        ),
        (
            "many fields",
            index("Packages", |_| (0..5000).map(|n| format!("F{n}: x\n")).collect::<String>().into_bytes()),
            "archive::index-syntax",
            "",
        ),
        ("no field", packages("Version: 1.0\n", "Version 1.0\n"), "archive::index-syntax", ""),
        (
            "a field again",
            packages("Version: 1.0\n", "Version: 1.0\nVERSION: 2.0\n"),
            "archive::index-syntax",
            "second time",
        ),
        ("no version", packages("Version: 1.0\n", ""), "archive::package", "Version"),
        ("a version that is none", packages("Version: 1.0\n", "Version: 1_0\n"), "archive::package", "1_0"),
        (
            "an epoch without end",
            packages("Version: 1.0\n", "Version: 99999999999999999999999:1\n"),
            "archive::package",
            "",
        ),
        ("a name that is a path", packages("Package: hello\n", "Package: ../hello\n"), "archive::package", ""),
        (
            "a relation that is none",
            packages("Depends: libgreet1\n", "Depends: libgreet1 (>> \n"),
            "archive::package",
            "relation",
        ),
        ("a file that leads out", packages("Filename: pool", "Filename: ../pool"), "archive::package", "Filename"),
        ("a file from the root", packages("Filename: pool", "Filename: /pool"), "archive::package", "Filename"),
        ("no file", packages("Filename: pool", "Filenome: pool"), "archive::package", "Filename"),
        ("a size that is none", packages("Size: ", "Size: -"), "archive::package", "Size"),
        ("a sum in capitals", packages("SHA256: ", "SHA256: A"), "archive::package", "SHA256"),
        ("a weak sum", packages("SHA256: ", "SHA1: "), "archive::package", "SHA256"),
    ];
    let mut wrong = Vec::new();
    for (case, harm, code, said) in cases {
        let (place, root) = place();
        harm(&root);
        let judged = std::panic::catch_unwind(|| {
            refused(&place, case, BUILD, code, said);
            assert!(!place.path("web.lock").exists(), "{case}: a lock was written");
        });
        wrong.extend(judged.err().map(|_| case));
        mends(&place, case);
    }
    assert_eq!(wrong, Vec::<&str>::new());
}
