use super::inside::find;
use super::spool::{Piece, Spool};

#[allow(clippy::duplicate_mod, reason = "one fixture for unit and integration tests")]
#[path = "../../tests/it/deb.rs"]
mod deb;
use deb::{Packing, Tar, ar, pack};

/// A member of a zip archive: name, whether it is deflated, content.
type Member<'a> = (&'a str, bool, &'a [u8]);

fn zip(members: &[Member<'_>]) -> Vec<u8> {
    use std::io::Write as _;
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, deflated, content) in members {
        let data = if *deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        } else {
            content.to_vec()
        };
        let start = bytes.len() as u32;
        let mut fields = vec![20, 0, 0, 0, if *deflated { 8 } else { 0 }, 0, 0, 0, 0x21, 0];
        fields[9] = 0x54;
        fields.extend([0; 4]);
        fields.extend((data.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&fields);
        bytes.extend(name.as_bytes());
        bytes.extend(&data);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([(members.len() as u16).to_le_bytes(); 2].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// Says where two files differ.
fn told(a: &[u8], b: &[u8]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(scratch.path()).unwrap();
    let mut keep = |bytes: &[u8]| -> Piece { spool.take(&mut &*bytes, |_| unreachable!()).unwrap() };
    let (a, b) = (keep(a), keep(b));
    find(&a, &b, &mut spool).unwrap().to_string()
}

#[test]
fn members_of_archives_are_named() {
    let list = |content: &str| ar(&[("first.o", b"same"), ("second.o", content.as_bytes())]);
    assert_eq!(told(&list("one\n"), &list("two\n")), "content of second.o: line 1: `one` -> `two` in the ar");
    assert_eq!(
        told(&list("one\n"), &ar(&[("second.o", b"one\n"), ("first.o", b"same")])),
        "order of first.o: member 1 -> member 2 in the ar"
    );
    assert_eq!(told(&list(""), &ar(&[("first.o", b"same")])), "name of second.o: 0 bytes -> none in the ar");

    let tar = |mode, content: &str| Tar::new().file("a/b", mode, content.as_bytes()).file("c", 0o644, b"c").build();
    assert_eq!(told(&tar(0o644, "x"), &tar(0o600, "x")), "mode of a/b: 0644 -> 0600 in the tar");
    assert_eq!(told(&tar(0o644, "x"), &tar(0o644, "y")), "content of a/b: line 1: `x` -> `y` in the tar");

    let jar = |deflated, text: &str| zip(&[("m", false, b"same"), ("p/x.txt", deflated, text.as_bytes())]);
    assert_eq!(told(&jar(true, "one\n"), &jar(true, "two\n")), "content of p/x.txt: line 1: `one` -> `two` in the zip");
    assert_eq!(
        told(&jar(true, "one\n"), &jar(false, "one\n")),
        "encoding of p/x.txt (method): 8 -> 0, and 1 difference more in the zip"
    );
}

#[test]
fn what_is_compressed_is_looked_into() {
    for packing in [Packing::Gzip, Packing::Xz, Packing::Zstd] {
        let said = told(&pack(packing, b"one\ntwo\n"), &pack(packing, b"one\nthree\n"));
        assert!(said.starts_with("line 2: `two` -> `three`, under "), "{said}");
    }
    let plain = pack(Packing::Gzip, b"same\n");
    let mut dated = plain.clone();
    dated[4] = 9;
    assert_eq!(told(&plain, &dated), "same bytes under gzip: time 0 -> 9");
    let package = |text: &str| deb::deb("x", "1").packing(Packing::Gzip).file("/etc/x", 0o644, text).build();
    assert_eq!(
        told(&package("1\n"), &package("2\n")),
        "content of data.tar.gz: content of etc/x: line 1: `1` -> `2` in the tar, under gzip in the ar"
    );
}

#[test]
fn files_that_only_look_like_archives_are_bytes() {
    let jar = zip(&[("m", true, b"content of a member")]);
    for end in [4, 20, 40, jar.len() - 30, jar.len() - 5] {
        let said = told(&jar[..end], &[&jar[..end], b"\0"].concat());
        assert!(said.contains("from offset"), "{end}: {said}");
    }
    for damaged in 0..jar.len() {
        let mut other = jar.clone();
        other[damaged] ^= 0xff;
        assert_ne!(told(&jar, &other), "nowhere", "{damaged}");
    }
    let list = ar(&[("a", b"a"), ("b", b"bb")]);
    for damaged in 0..list.len() {
        let mut other = list.clone();
        other[damaged] ^= 0x55;
        assert_ne!(told(&list, &other), "nowhere", "{damaged}");
    }
    assert_eq!(told(b"\x7fELF\0", b"\x7fELF\x01"), "1 byte from offset 0x4: 00 -> 01");
    assert_eq!(told(b"", b"\0"), "0 bytes from offset 0x0: the end -> 00, size 0 -> 1");
    // Gzip within gzip within gzip: followed a few times, and then compared as bytes.
    let nested = |text: &[u8]| (0..6).fold(text.to_vec(), |bytes, _| pack(Packing::Gzip, &bytes));
    assert!(told(&nested(b"x\n"), &nested(b"y\n")).contains("offset"));
}

#[test]
fn lines_that_differ_in_their_ends_alone_are_shown_with_them() {
    assert_eq!(told(b"a\nb\n", b"a\nb"), "line 2: `b\\n` -> `b`");
    assert_eq!(told(b"a\r\n", b"a\n"), "line 1: `a\\r\\n` -> `a\\n`");
    assert_eq!(told(b"a\n", b"a\nb\n"), "line 2: the end -> `b`");
    assert_eq!(told(b"a\nb\nc\n", b"a\nx\ny\nc\n"), "line 2: `b` -> `x`, and 1 line more");
}
