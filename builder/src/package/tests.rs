use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use super::*;
use crate::diag::Diagnose;

#[allow(clippy::duplicate_mod, reason = "one fixture for unit and integration tests")]
#[path = "../../tests/it/deb.rs"]
mod deb;
use deb::{Packing, Tar, ar, deb, pack};

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(bytes: &[u8]) -> Result<(PackIndex, Vec<u8>), Error> {
    let sink = tempfile::tempfile().unwrap();
    let index = open_deb(&file(bytes), Digest::of(bytes), &sink, &Limits::default())?;
    let mut data = vec![0; sink.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(&sink, &mut data, 0).unwrap();
    Ok((index, data))
}

/// Says why a package is refused.
fn refused(bytes: &[u8]) -> String {
    let error = open(bytes).expect_err("a hostile package is refused");
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    format!("{}: {error}{}", error.code(), source.unwrap_or_default())
}

/// Writes an index as text that a person can read.
fn dump(index: &PackIndex, data: &[u8]) -> String {
    let mut text = String::new();
    writeln!(text, "date {}", index.date).unwrap();
    for (name, value) in &index.control {
        writeln!(text, "{name}: {value}").unwrap();
    }
    for (sum, path) in &index.md5sums {
        writeln!(text, "md5 {sum} {path}").unwrap();
    }
    writeln!(text, "conffiles {:?} triggers {:?} scripts {:?}", index.conffiles, index.triggers, index.scripts)
        .unwrap();
    for (number, entry) in index.entries.iter().enumerate() {
        write!(text, "/{} {:o} {}:{} {}", entry.path, entry.mode, entry.uid, entry.gid, entry.mtime).unwrap();
        match &entry.kind {
            EntryKind::Directory => {}
            EntryKind::Symlink(target) => write!(text, " -> {target}").unwrap(),
            EntryKind::Hardlink(target) => write!(text, " = /{target}").unwrap(),
            EntryKind::File(facts) => {
                let bytes = &data[facts.offset as usize..][..facts.size as usize];
                assert_eq!(facts.digest, Digest::of(bytes));
                write!(text, " {} at {}", facts.size, facts.offset).unwrap();
                if let Some(shebang) = &facts.shebang {
                    write!(text, " #!{shebang}").unwrap();
                }
                if facts.elf.is_some() {
                    write!(text, " elf").unwrap();
                }
            }
        }
        for (_, content) in index.texts.iter().filter(|(of, _)| *of as usize == number) {
            write!(text, " text {:?}", String::from_utf8_lossy(content)).unwrap();
        }
        for (_, scan) in index.scans.iter().filter(|(of, _)| *of as usize == number) {
            write!(text, " scan {:?} {:?} {:?}", scan.sonames, scan.commands, scan.paths).unwrap();
        }
        text.push('\n');
    }
    text
}

fn hello() -> deb::Deb {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    elf.extend_from_slice(b"libdlopened.so.3\0");
    deb("hello", "1.0")
        .depends("libc6 (>= 2.36)")
        .control_file("md5sums", "49f68a5c8493ec2c0bf489821c21fc3b  usr/bin/hello\n")
        .control_file("conffiles", "/etc/ld.so.conf.d/hello.conf\nremove-on-upgrade /etc/old\n")
        .control_file("triggers", "activate-noawait ldconfig\n")
        .control_file("postinst", "#!/bin/sh\nset -e\n")
        .file("/etc/ld.so.conf.d/hello.conf", 0o644, "/opt/lib\n")
        .file("/usr/bin/hello", 0o755, "#!/bin/sh -e\nexec sed s/a/b/ /etc/hello/words\n")
        .hardlink("/usr/bin/hi", "/usr/bin/hello")
        .symlink("/usr/bin/hey", "hello")
        .file("/usr/lib/libhello.so.1", 0o644, elf)
        .dir("/var/lib/hello", 0o2750)
}

#[test]
fn a_pack_as_text() {
    let (index, data) = open(&hello().build()).unwrap();
    assert_eq!(index.data, (Digest::of(&data), data.len() as u64));
    insta::assert_snapshot!(dump(&index, &data), @r##"
    date 1700000000
    Package: hello
    Version: 1.0
    Architecture: amd64
    Maintainer: Nobody <nobody@example.org>
    Installed-Size: 1
    Description: a package of the tests
    Depends: libc6 (>= 2.36)
    md5 49f68a5c8493ec2c0bf489821c21fc3b usr/bin/hello
    conffiles ["etc/ld.so.conf.d/hello.conf"] triggers "activate-noawait ldconfig\n" scripts [("postinst", "#!/bin/sh\nset -e\n")]
    / 755 0:0 1700000000
    /etc 755 0:0 1700000000
    /etc/ld.so.conf.d 755 0:0 1700000000
    /etc/ld.so.conf.d/hello.conf 644 0:0 1700000000 9 at 2048 text "/opt/lib\n"
    /usr 755 0:0 1700000000
    /usr/bin 755 0:0 1700000000
    /usr/bin/hello 755 0:0 1700000000 46 at 4096 #!/bin/sh -e scan [] ["sed"] ["/bin/sh", "/etc/hello/words"]
    /usr/bin/hi 755 0:0 1700000000 = /usr/bin/hello
    /usr/bin/hey 777 0:0 1700000000 -> hello
    /usr/lib 755 0:0 1700000000
    /usr/lib/libhello.so.1 644 0:0 1700000000 81 at 6656 elf scan ["libdlopened.so.3"] [] []
    /var 755 0:0 1700000000
    /var/lib 755 0:0 1700000000
    /var/lib/hello 2750 0:0 1700000000
    "##);
}

#[test]
fn the_pack_is_the_same_whatever_the_packing() {
    let (xz, data) = open(&hello().build()).unwrap();
    for packing in [Packing::Stored, Packing::Zstd, Packing::Gzip] {
        let deb = hello().packing(packing).build();
        let (other, other_data) = open(&deb).unwrap();
        assert_eq!(other.source, Digest::of(&deb));
        assert_eq!(PackIndex { source: xz.source, sha512: xz.sha512, ..other }, xz, "{packing:?}");
        assert_eq!(other_data, data);
    }
}

#[test]
fn an_index_comes_back_from_its_bytes_alone() {
    let (index, _) = open(&hello().build()).unwrap();
    let bytes = index.to_bytes();
    assert_eq!(PackIndex::from_bytes(&bytes).unwrap(), index);
    assert!(PackIndex::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    assert!(PackIndex::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
    assert_eq!(index.field("depends"), Some("libc6 (>= 2.36)"));
    assert_ne!(pack_key(&index.source), pack_key(&index.data.0));
}

#[test]
fn memory_follows_the_headers() {
    let limits = Limits::default();
    // The presets of the builder: xz level 0 has a dictionary of 256 KiB.
    assert_eq!(decoder_memory(&file(&hello().build()), &limits), (256 << 10) + (2 << 20));
    assert!(decoder_memory(&file(b"no package"), &limits) > 128 << 20);
}

#[test]
fn hostile_packages_are_refused() {
    let control = |text: &str| pack(Packing::Xz, &Tar::new().file("./control", 0o644, text.as_bytes()).build());
    let good = control("Package: a\nVersion: 1\nArchitecture: all\n");
    let data = pack(Packing::Xz, &Tar::new().file("./f", 0o644, b"x").build());
    let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let whole = ar(&[version, ("control.tar.xz", &good), ("data.tar.xz", &data)]);
    open(&whole).unwrap();
    let with_control = |bytes: &[u8]| ar(&[version, ("control.tar.xz", bytes), ("data.tar.xz", &data)]);
    let with_data = |bytes: &[u8]| ar(&[version, ("control.tar.xz", &good), ("data.tar.xz", bytes)]);
    let patched = |at: usize, bytes: &[u8]| {
        let mut patched = whole.clone();
        patched[at..at + bytes.len()].copy_from_slice(bytes);
        patched
    };
    let bomb = pack(Packing::Zstd, &Tar::new().file("./f", 0o644, &vec![0; 64 << 20]).build());
    let long = "x".repeat((4 << 20) + 1);
    let big_script = Tar::new().file("./control", 0o644, b"Package: a\nVersion: 1\nArchitecture: all\n");
    let big_script = pack(Packing::Xz, &big_script.file("./postinst", 0o755, long.as_bytes()).build());
    let evil = |tar: Tar| with_data(&pack(Packing::Xz, &tar.build()));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "package::ar: cannot open the package: it is cut short"),
        ("magic", patched(0, b"!<thin>\n"), "it is no ar archive"),
        ("cut in a header", whole[..40].to_vec(), "it is cut short"),
        ("cut in a member", whole[..whole.len() - 9].to_vec(), "`data.tar.xz` is cut short"),
        ("version", patched(68, b"3.0\n"), "its format is not 2.0"),
        ("junk after", [&whole[..], b"junk"].concat(), "something follows its `data.tar`"),
        ("header end", patched(66, b"xx"), "no ar header at byte 8"),
        ("signed size", patched(56, b"+4        "), "the size of `debian-binary` is no number"),
        ("padded size", patched(56, b"04        "), "the size of `debian-binary` is no number"),
        ("no members", ar(&[version]), "it is cut short"),
        ("no data", ar(&[version, ("control.tar.xz", &good)]), "it is cut short"),
        (
            "wrong order",
            ar(&[version, ("data.tar.xz", &data), ("control.tar.xz", &good)]),
            "stands where `control.tar`",
        ),
        (
            "control twice",
            ar(&[version, ("control.tar.xz", &good), ("control.tar.xz", &good)]),
            "stands where `data.tar`",
        ),
        (
            "extra member",
            ar(&[version, ("_gpgorigin", b"xx"), ("control.tar.xz", &good)]),
            "stands where `control.tar`",
        ),
        ("two data", [&whole[..], &ar(&[("data.tar.xz", &data)])[8..]].concat(), "something follows its `data.tar`"),
        ("bzip2", ar(&[version, ("control.tar.xz", &good), ("data.tar.bz2", &data)]), "stands where `data.tar`"),
        ("wrong name", ar(&[version, ("control.tar.gz", &good), ("data.tar.xz", &data)]), "is not what its name says"),
        ("cut xz", with_data(&data[..data.len() - 4]), "codec::truncated"),
        ("xz junk", with_data(&[&data[..], b"\0\0\0\0"].concat()), "codec::trailing"),
        ("two xz streams", with_data(&[&data[..], &data].concat()), "codec::trailing"),
        ("bomb", ar(&[version, ("control.tar.xz", &good), ("data.tar.zst", &bomb)]), "codec::ratio"),
        (
            "no control",
            with_control(&pack(Packing::Xz, &Tar::new().build())),
            "`control` of the package: it is missing",
        ),
        ("no version", with_control(&control("Package: a\nArchitecture: all\n")), "it has no field `Version`"),
        ("twice", with_control(&control("Package: a\npackage: b\n")), "line 2: the field `package` comes twice"),
        ("two stanzas", with_control(&control("Package: a\n\nVersion: 1\n")), "line 3: a second stanza"),
        ("no field", with_control(&control("Package\n")), "line 1: no field"),
        ("continuation", with_control(&control(" x\n")), "line 1: a continuation of nothing"),
        ("large script", with_control(&big_script), "`postinst` of the package: it is larger than 4194304 bytes"),
        ("escape", evil(Tar::new().file("../f", 0o644, b"")), "tar::path: cannot read `data.tar.xz` of the package"),
        (
            "below a link",
            evil(Tar::new().entry("./a", b'2', 0o777, "/etc", b"").file("./a/f", 0o644, b"")),
            "tar::entry",
        ),
        ("device", evil(Tar::new().entry("./a", b'3', 0o644, "", b"")), "tar::header"),
        ("after the end", evil(Tar::new().raw(&[0; 1024]).file("./a", 0o644, b"")), "tar::trailing"),
    ];
    for (name, bytes, problem) in cases {
        let answer = refused(&bytes);
        assert!(answer.contains(problem), "{name}: {answer}");
    }
}

#[test]
fn texts_are_bounded_together() {
    let deb = deb("a", "1").file("/usr/share/doc/a/copyright", 0o644, "x".repeat(2000)).build();
    let limits = Limits { max_facts: 1000, ..Limits::default() };
    let sink = tempfile::tempfile().unwrap();
    let error = open_deb(&file(&deb), Digest::of(&deb), &sink, &limits).unwrap_err();
    assert_eq!(error.code(), "package::limit");
}

#[test]
fn a_changed_byte_is_never_a_panic() {
    let whole = hello().packing(Packing::Stored).build();
    for at in 0..whole.len().min(16 << 10) {
        for value in [0, b'9', 0xff] {
            let mut broken = whole.clone();
            broken[at] = value;
            if at < 140 || at % 97 == 0 {
                let _ = open(&broken);
            }
        }
    }
}

#[test]
fn an_index_of_somebody_else_holds_together() {
    let package = deb("hello", "1.0")
        .file("/usr/bin/hello", 0o755, "#!/bin/sh\nexec /usr/lib/hello/run\n")
        .file("/etc/nsswitch.conf", 0o644, "passwd: files\n")
        .symlink("/usr/bin/hi", "hello")
        .build();
    let (index, _) = open(&package).unwrap();
    let of = Digest::of(&package);
    assert_eq!(PackIndex::received(&index.to_bytes(), &of).unwrap(), index);
    let refused = |change: &dyn Fn(&mut PackIndex)| {
        let mut other = index.clone();
        change(&mut other);
        PackIndex::received(&other.to_bytes(), &of).expect_err("it is not taken").to_string()
    };
    let at = |path: &str| index.entries.iter().position(|entry| entry.path == path).unwrap();
    let hello = at("usr/bin/hello");
    let kind = |kind: EntryKind| refused(&|other| other.entries[hello].kind = kind.clone());
    let path = |path: &str| refused(&|other| other.entries[hello].path = path.to_owned());
    let below =
        |path: &str| refused(&|other| other.entries.push(Entry { path: path.to_owned(), ..other.entries[1].clone() }));
    let EntryKind::File(facts) = index.entries[hello].kind.clone() else { panic!() };
    let far = FileFacts { offset: u64::MAX, ..facts.clone() };
    let outside = FileFacts { offset: index.data.1, ..facts };
    let all = [
        PackIndex::received(&index.to_bytes(), &Digest::of(b"")).unwrap_err().to_string(),
        PackIndex::received(&index.to_bytes()[1..], &of).unwrap_err().to_string(),
        refused(&|other| other.sha512 = None),
        path("../x"),
        path("/usr/bin/hello"),
        path("usr/bin"),
        path("usr/bin/.wh.x"),
        path("usr/bin/hi/x"),
        below("usr/bin/hi/x"),
        kind(EntryKind::Hardlink("usr/bin/hi".to_owned())),
        kind(EntryKind::Symlink(String::new())),
        kind(EntryKind::File(far)),
        kind(EntryKind::File(outside)),
        refused(&|other| other.entries[0].mode = 0o10000),
        refused(&|other| other.texts.push((u32::MAX, Vec::new()))),
        refused(&|other| other.texts.push((0, Vec::new()))),
        refused(&|other| other.scans.push((0, Scan::default()))),
    ];
    let all: Vec<&str> = all.iter().map(|one| one.trim_start_matches("cannot take the pack's index: ")).collect();
    insta::assert_snapshot!(all.join("\n").replace(&of.to_string(), "OF").replace(&Digest::of(b"").to_string(), "OTHER"), @r#"
    it is of OF, not of OTHER
    it is not of this format
    it does not say the package's SHA-512
    its entry `../x` has no place in an image
    its entry `/usr/bin/hello` has no place in an image
    its entry `usr/bin` comes twice
    its entry `usr/bin/.wh.x` marks a whiteout
    its entry `usr/bin/hi` is no directory, and something stands below it
    its entry `usr/bin/hi/x` lies below what is no directory
    its entry `usr/bin/hello` is a hard link to no file before it
    its entry `usr/bin/hello` leads nowhere
    it is not of this format
    its entry `usr/bin/hello` lies outside of the data
    its entry `` has a mode that is none
    it is not of this format
    its texts or findings are of no files
    its texts or findings are of no files
    "#);
}
