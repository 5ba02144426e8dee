//! Packages that are properly signed and mean harm.

use super::{BUILD, bounded, digest, good, judge, mends};
use crate::deb::{Packing, Tar, ar, deb, header, pack, sealed};
use crate::program::{Place, names};
use crate::world::{Archive, spec};

const VERSION: (&str, &[u8]) = ("debian-binary", b"2.0\n");
const CONTROL: &str = "Package: evil\nVersion: 1.0\nArchitecture: amd64\n";

/// A place whose spec asks for a package `evil` of these bytes.
fn place(bytes: Vec<u8>) -> Place {
    let place = Place::new();
    Archive::new(9).raw(format!("{CONTROL}Maintainer: x\n"), bytes).write(&place);
    spec(&place, "web", "packages: [evil]\nkeep: runtime\n");
    place
}

fn control(text: &str) -> Vec<u8> {
    pack(Packing::Xz, &Tar::new().file("./control", 0o644, text.as_bytes()).build())
}

fn with_control(control: &[u8]) -> Vec<u8> {
    let data = pack(Packing::Xz, &Tar::new().file("./f", 0o644, b"x").build());
    ar(&[VERSION, ("control.tar.xz", control), ("data.tar.xz", &data)])
}

fn with_data(name: &str, data: &[u8]) -> Vec<u8> {
    ar(&[VERSION, ("control.tar.xz", &control(CONTROL)), (name, data)])
}

fn with_tar(tar: &Tar) -> Vec<u8> {
    with_data("data.tar.xz", &pack(Packing::Xz, &tar.build()))
}

fn with_script(name: &str, text: &[u8]) -> Vec<u8> {
    let tar = Tar::new().file("./control", 0o644, CONTROL.as_bytes()).file(&format!("./{name}"), 0o755, text);
    with_control(&pack(Packing::Xz, &tar.build()))
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        bytes.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    bytes
}

fn with_pax(records: &[u8]) -> Vec<u8> {
    with_tar(&Tar::new().entry("./p", b'x', 0o644, "", records).file("./f", 0o644, b"abc"))
}

fn changed(change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut block = header("./f", b'0', 0o644, "", 0, 0);
    change(&mut block);
    with_tar(&Tar::new().raw(&sealed(block)))
}

/// A tar that is written as it is asked for, in Zstandard: `length` zeros in a file, held by nobody.
fn bomb(length: u64) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let tar = Tar::new().raw(&header("./zeros", b'0', 0o644, "", length, 0));
    encoder.write_all(&tar.build()[..512]).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..length >> 20 {
        encoder.write_all(&block).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

fn cases() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let data = pack(Packing::Xz, &Tar::new().file("./f", 0o644, b"x").build());
    let good = control(CONTROL);
    let whole = with_data("data.tar.xz", &data);
    let patched = |at: usize, bytes: &[u8]| {
        let mut patched = whole.clone();
        patched[at..at + bytes.len()].copy_from_slice(bytes);
        patched
    };
    let pair = |first: (&str, u8, &str), second: (&str, u8, &str)| {
        let add = |tar: Tar, (path, kind, link): (&str, u8, &str)| tar.entry(path, kind, 0o644, link, b"");
        with_tar(&add(add(Tar::new(), first), second))
    };
    let kind = |kind: u8| with_tar(&Tar::new().entry("./f", kind, 0o644, "", b""));
    let file = |path: &str| with_tar(&Tar::new().file(path, 0o644, b"x"));
    let mut wide = xz_with_dictionary();
    wide.extend_from_slice(&[0; 64]);
    let window = [b"\x28\xb5\x2f\xfd".as_slice(), &[0x00, 0xa8, 0x01, 0x00, 0x00]].concat();
    let script = "x".repeat((4 << 20) + 1);
    let zst = pack(Packing::Zstd, &Tar::new().file("./f", 0o644, &[b'x'; 4096]).build());
    let mut flipped = data.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    vec![
        // The outside.
        ("empty", Vec::new(), "archive::package", "Size"),
        ("no ar", b"PK\x03\x04 not a package".to_vec(), "package::ar", "no ar archive"),
        ("thin ar", patched(0, b"!<thin>\n"), "package::ar", "no ar archive"),
        ("cut in a header", whole[..40].to_vec(), "package::ar", "cut short"),
        ("cut in a member", whole[..whole.len() - 9].to_vec(), "package::ar", "cut short"),
        ("another format", patched(68, b"3.0\n"), "package::ar", "not 2.0"),
        ("junk behind", [&whole[..], b"junk"].concat(), "package::ar", "follows"),
        ("a signed size", patched(56, b"+4        "), "package::ar", "no number"),
        ("a padded size", patched(56, b"04        "), "package::ar", "no number"),
        ("no data", ar(&[VERSION, ("control.tar.xz", &good)]), "package::ar", "cut short"),
        (
            "wrong order",
            ar(&[VERSION, ("data.tar.xz", &data), ("control.tar.xz", &good)]),
            "package::ar",
            "stands where",
        ),
        (
            "control twice",
            ar(&[VERSION, ("control.tar.xz", &good), ("control.tar.xz", &good)]),
            "package::ar",
            "stands where",
        ),
        ("data twice", [&whole[..], &ar(&[("data.tar.xz", &data)])[8..]].concat(), "package::ar", "follows"),
        (
            "a member more",
            ar(&[VERSION, ("_gpgorigin", b"xx"), ("control.tar.xz", &good)]),
            "package::ar",
            "stands where",
        ),
        ("bzip2", with_data("data.tar.bz2", &data), "package::ar", "stands where"),
        ("a name that lies", with_data("data.tar.gz", &data), "package::ar", "not what its name says"),
        // Codecs.
        ("a cut xz", with_data("data.tar.xz", &data[..data.len() - 4]), "codec::truncated", ""),
        ("a cut zstd", with_data("data.tar.zst", &zst[..zst.len() / 2]), "codec::truncated", ""),
        ("junk behind xz", with_data("data.tar.xz", &[&data[..], b"\0\0\0\0"].concat()), "codec::trailing", ""),
        ("two xz streams", with_data("data.tar.xz", &[&data[..], &data].concat()), "codec::trailing", ""),
        ("a flipped bit", with_data("data.tar.xz", &flipped), "codec::corrupt", ""),
        ("a bomb", with_data("data.tar.zst", &bomb(256 << 20)), "codec::ratio", "times"),
        (
            "a bomb for a control archive",
            ar(&[VERSION, ("control.tar.zst", &bomb(128 << 20)), ("data.tar.xz", &data)]),
            "tar::limit",
            "",
        ),
        ("a wide dictionary", with_data("data.tar.xz", &wide), "codec::window", ""),
        ("a wide window", with_data("data.tar.zst", &window), "codec::window", ""),
        // Control.
        ("no control", with_control(&pack(Packing::Xz, &Tar::new().build())), "package::control", "missing"),
        (
            "a control that is a link",
            with_control(&pack(Packing::Xz, &Tar::new().entry("./control", b'2', 0o777, "/etc/passwd", b"").build())),
            "package::control",
            "regular",
        ),
        ("no version", with_control(&control("Package: evil\nArchitecture: amd64\n")), "package::control", "Version"),
        ("a field twice", with_control(&control("Package: a\npackage: b\n")), "package::control", "twice"),
        ("two stanzas", with_control(&control("Package: a\n\nVersion: 1\n")), "package::control", "second stanza"),
        ("no field", with_control(&control("Package\n")), "package::control", "no field"),
        (
            "control is no text",
            with_control(&pack(Packing::Xz, &Tar::new().file("./control", 0o644, b"\xff\xff").build())),
            "package::control",
            "UTF-8",
        ),
        ("md5sums that are none", with_script("md5sums", b"junk"), "package::control", "md5sums"),
        ("a huge script", with_script("postinst", script.as_bytes()), "package::control", "larger"),
        // The tar.
        ("dot-dot", file("./../../etc/passwd"), "tar::path", ".."),
        ("absolute", file("/etc/passwd"), "tar::path", "absolute"),
        ("no name", file(""), "tar::path", "empty"),
        ("an empty component", file("./a//f"), "tar::path", "empty"),
        ("a whiteout", file("./.wh.f"), "tar::", "whiteout"),
        ("an opaque whiteout", file("./d/.wh..wh..opq"), "tar::", "whiteout"),
        (
            "a path without end",
            with_tar(&Tar::new().file(&format!("./{}", "d/".repeat(3000)), 0o644, b"")),
            "tar::",
            "",
        ),
        ("a component without end", file(&format!("./{}", "x".repeat(300))), "tar::path", ""),
        ("a deep path", file(&format!("./{}f", "d/".repeat(300))), "tar::path", ""),
        ("a character device", kind(b'3'), "tar::header", "device"),
        ("a block device", kind(b'4'), "tar::header", "device"),
        ("a fifo", kind(b'6'), "tar::header", "fifo"),
        ("a sparse file", kind(b'S'), "tar::header", "sparse"),
        ("a volume label", kind(b'V'), "tar::header", ""),
        ("below a symbolic link", pair(("./a", b'2', "/etc"), ("./a/f", b'0', "")), "tar::entry", "symbolic link"),
        ("below a file", pair(("./a", b'0', ""), ("./a/f", b'0', "")), "tar::entry", "below"),
        ("a link over its parent", pair(("./a/f", b'0', ""), ("./a", b'2', "/")), "tar::entry", "parent"),
        ("a file twice", pair(("./a", b'0', ""), ("./a", b'0', "")), "tar::entry", "twice"),
        ("a hard link to nothing", pair(("./a", b'1', "./b"), ("./b", b'0', "")), "tar::entry", "before"),
        ("a hard link that leads out", pair(("./a", b'0', ""), ("./b", b'1', "../../etc/passwd")), "tar::", ".."),
        ("a hard link to a symbolic one", pair(("./a", b'2', "/x"), ("./b", b'1', "./a")), "tar::entry", "regular"),
        ("a symbolic link to nothing", with_tar(&Tar::new().entry("./a", b'2', 0o777, "", b"")), "tar::", "target"),
        (
            "a wrong checksum",
            with_tar(&Tar::new().raw(&{
                let mut block = header("./f", b'0', 0o644, "", 0, 0);
                block[0] = b'x';
                block
            })),
            "tar::header",
            "checksum",
        ),
        ("no magic", changed(|block| block[257..265].fill(0)), "tar::header", ""),
        ("no octal", changed(|block| block[124] = b'9'), "tar::header", "octal"),
        (
            "a needless number",
            changed(|block| block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3])),
            "tar::header",
            "256",
        ),
        ("a negative size", changed(|block| block[124..136].fill(0xff)), "tar::header", "negative"),
        (
            "a huge size",
            changed(|block| block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])),
            "tar::limit",
            "",
        ),
        (
            "a size beyond all",
            changed(|block| {
                block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
            }),
            "tar::",
            "",
        ),
        ("a name behind a NUL", changed(|block| block[50] = b'x'), "tar::header", "NUL"),
        ("a name that is no text", changed(|block| block[2] = 0xff), "tar::", "UTF-8"),
        ("behind the end", with_tar(&Tar::new().raw(&[0; 1024]).file("./a", 0o644, b"")), "tar::trailing", ""),
        (
            "a single zero block",
            with_tar(&Tar::new().raw(&[0; 512]).file("./g", 0o644, b"")),
            "tar::header",
            "zero block",
        ),
        (
            "cut short",
            with_data("data.tar.xz", &pack(Packing::Xz, &Tar::new().file("./f", 0o644, &[b'x'; 700]).build()[..1000])),
            "tar::truncated",
            "",
        ),
        (
            "a global record",
            with_tar(&Tar::new().entry("./g", b'g', 0o644, "", &pax(&[("comment", "x")]))),
            "tar::header",
            "global",
        ),
        ("a record twice", with_pax(&pax(&[("path", "a"), ("path", "b")])), "tar::header", "twice"),
        ("a record that is not known", with_pax(&pax(&[("VENDOR.x", "1")])), "tar::header", "not known"),
        ("a sparse record", with_pax(&pax(&[("GNU.sparse.major", "1")])), "tar::header", "sparse"),
        ("another size in a record", with_pax(&pax(&[("size", "512")])), "tar::header", "size"),
        ("a record that leads out", with_pax(&pax(&[("path", "../f")])), "tar::path", ".."),
        ("a record of no length", with_pax(b"99 path=a\n"), "tar::header", "pax"),
        (
            "long records",
            with_tar(&Tar::new().entry("./p", b'x', 0, "", &vec![b'x'; (1 << 20) + 1])),
            "tar::limit",
            "pax",
        ),
        (
            "two kinds of extension",
            with_tar(&Tar::new().entry("./p", b'x', 0, "", &pax(&[("path", "a")])).file(
                &format!("./{}", "x".repeat(120)),
                0o644,
                b"",
            )),
            "tar::header",
            "GNU",
        ),
        (
            "an extension of nothing",
            with_tar(&Tar::new().entry("./L", b'L', 0, "", b"a\0")),
            "tar::header",
            "extension",
        ),
    ]
}

/// The start of an xz stream whose block asks for a dictionary of 1.5 GiB.
fn xz_with_dictionary() -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    std::io::Write::write_all(&mut encoder, b"x").unwrap();
    let mut bytes = encoder.finish().unwrap();
    // Block header: size, flags, filter id 0x21, properties of one byte, the dictionary, padding, CRC-32.
    let at = 12;
    let length = (usize::from(bytes[at]) + 1) * 4;
    assert_eq!(bytes[at + 2..at + 4], [0x21, 1]);
    bytes[at + 4] = 37;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[at..at + length - 4]);
    bytes[at + length - 4..at + length].copy_from_slice(&crc.sum().to_le_bytes());
    bytes
}

#[test]
fn packages() {
    let mut wrong = Vec::new();
    for (case, bytes, code, said) in cases() {
        let place = place(bytes);
        let ran = bounded(&place, BUILD);
        let judged = std::panic::catch_unwind(|| {
            judge(case, &ran, code, said);
            let left = names(&place.path("."));
            assert!(
                left.iter()
                    .all(|name| matches!(name.as_str(), "archive" | "archive.asc" | "store" | "web.lock" | "web.yaml")),
                "{case}: {left:?}"
            );
            assert!(!names(&place.path("store")).iter().any(|name| name.starts_with(".tmp")), "{case}");
        });
        wrong.extend(judged.err().map(|_| case));
        mends(&place, case);
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

/// What is odd and harmless is data: it builds, always to the same digest.
#[test]
fn odd_but_harmless() {
    let elf = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read("/proc/self/exe").unwrap();
        bytes.truncate(64 << 10);
        change(&mut bytes);
        bytes
    };
    let number = |bytes: &mut Vec<u8>, at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    let program: Vec<(&str, Vec<u8>)> = vec![
        ("a head alone", b"\x7fELF".to_vec()),
        ("cut short", elf(&|bytes| bytes.truncate(100))),
        ("sections cut off", elf(&|_| {})),
        ("no class", elf(&|bytes| bytes[4] = 9)),
        ("program headers at the end of all", elf(&|bytes| number(bytes, 32, u64::MAX))),
        ("program headers on the head", elf(&|bytes| number(bytes, 32, 0))),
        ("many program headers", elf(&|bytes| bytes[56..58].fill(0xff))),
        ("small program headers", elf(&|bytes| bytes[54..56].copy_from_slice(&[1, 0]))),
        (
            "all segments overlap",
            elf(&|bytes| {
                for n in 0..12 {
                    number(bytes, 64 + n * 56 + 8, 0);
                    number(bytes, 64 + n * 56 + 32, u64::MAX);
                }
            }),
        ),
        (
            "dynamic everywhere",
            elf(&|bytes| {
                for n in 0..12 {
                    bytes[64 + n * 56..64 + n * 56 + 4].copy_from_slice(&2u32.to_le_bytes());
                }
            }),
        ),
        (
            "noise",
            elf(&|bytes| {
                for (at, byte) in bytes.iter_mut().enumerate().skip(16) {
                    *byte ^= (at as u8).wrapping_mul(31);
                }
            }),
        ),
    ];
    let mut evil = deb("evil", "1.0")
        .symlink("/usr/lib/libcycle.so.1", "libcycle.so.2")
        .symlink("/usr/lib/libcycle.so.2", "libcycle.so.1")
        .symlink("/usr/bin/self", "self")
        .symlink("/usr/bin/out", "../../../../../../../../etc/passwd")
        .symlink("/usr/share/loop", "../share/loop/x");
    for (n, (_, bytes)) in program.iter().enumerate() {
        evil = evil.file(&format!("/usr/lib/lib{n}.so.1"), 0o644, bytes).file(&format!("/usr/bin/p{n}"), 0o755, bytes);
    }
    for (n, line) in ["#!", "#! ", "#!/", "#!/bin/sh\0x", &format!("#!{}", "x".repeat(5000)), "#!\u{2028}/bin/x y z"]
        .iter()
        .enumerate()
    {
        evil = evil.file(&format!("/usr/bin/s{n}"), 0o755, line.as_bytes());
    }
    for (name, text) in [
        ("postinst", "#!/bin/sh\nset -e\necho 'never closed\nupdate-alternatives --install \"$x `\n".to_owned()),
        ("preinst", format!("#!/bin/sh\n{}\0\u{7}\u{1b}[31m\n", "if ".repeat(20_000))),
        ("postrm", format!("#!/bin/sh\n{}", "$(".repeat(100_000))),
        ("prerm", format!("#!/bin/sh\nfor x in {}; do :; done\n", "a ".repeat(100_000))),
        ("config", format!("#!/usr/bin/perl\n{}", "\\\n".repeat(100_000))),
        ("triggers", "interest \0\n\n\n".to_owned()),
        ("conffiles", "/etc/../../x\nno path\n".to_owned()),
        ("md5sums", "d41d8cd98f00b204e9800998ecf8427e  ../../etc/passwd\n".to_owned()),
    ] {
        evil = evil.control_file(name, &text);
    }
    let bytes = evil.build();
    let one = place(bytes.clone());
    let two = place(bytes);
    let (first, second) = (bounded(&one, BUILD), bounded(&two, BUILD));
    assert_eq!(first.status, 0, "{}", first.err);
    assert!(!first.err.contains('\u{1b}') && !first.err.contains('\u{7}'), "{}", first.err);
    assert_eq!(digest(&first), digest(&second));
    one.ok(&["inspect", "web.oci"]);
    one.ok(&["check", "--proof", "web.yaml"]);
    mends(&one, "odd");
}

#[test]
fn packages_that_do_not_go_together() {
    let two = |one: crate::deb::Deb, other: crate::deb::Deb, code: &str, said: &str| {
        let place = Place::new();
        Archive::new(9).deb(one).deb(other).write(&place);
        spec(&place, "web", "packages: [one, two]\nkeep: runtime\n");
        let ran = bounded(&place, BUILD);
        judge(said, &ran, code, said);
        mends(&place, said);
    };
    let one = || deb("one", "1.0");
    let other = || deb("two", "1.0");
    two(one().file("/usr/x", 0o644, "1"), other().file("/usr/x", 0o644, "2"), "select::conflict", "/usr/x");
    two(one().symlink("/usr/x", "y"), other().file("/usr/x", 0o644, "2"), "select::conflict", "/usr/x");
    two(one().file("/usr/x", 0o644, "1"), other().file("/usr/x/y", 0o644, "2"), "select::", "/usr/x");
    two(one().depends("nowhere"), other(), "resolve::unsatisfiable", "nowhere");
    two(one().field("Conflicts", "two"), other(), "resolve::unsatisfiable", "two");
    let place = Place::new();
    let deep = (0..1000).fold(Archive::new(9), |archive, n| {
        archive.deb(deb(&format!("p{n}"), "1.0").depends(&format!("p{}", (n + 1) % 1000)).packing(Packing::Stored))
    });
    deep.write(&place);
    spec(&place, "web", "packages: [p0]\nkeep: runtime\n");
    let ran = bounded(&place, &["lock", "web.yaml"]);
    assert_eq!(ran.status, 0, "a circle of 1000 packages locks: {}", ran.err);
    let _ = good();
}
