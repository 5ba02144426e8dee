use super::*;

#[allow(clippy::duplicate_mod, reason = "one fixture for unit and integration tests")]
#[path = "../../../tests/it/deb.rs"]
mod deb;
use deb::{Tar, header, sealed};

/// Lists an archive, an entry a line, or says why it is refused.
fn list(bytes: &[u8], options: Options) -> String {
    let mut reader = Reader::new(bytes, options);
    let mut text = String::new();
    loop {
        match reader.next() {
            Ok(None) => return text,
            Ok(Some(entry)) => {
                let mut content = vec![0; entry.size as usize];
                let mut filled = 0;
                while filled < content.len() {
                    match reader.read_data(&mut content[filled..]) {
                        Ok(count) => filled += count,
                        Err(error) => return format!("{}: {error}", error.code()),
                    }
                }
                assert_eq!(content, bytes[entry.offset as usize..][..content.len()]);
                let what = match &entry.kind {
                    Kind::Directory => "directory".to_owned(),
                    Kind::File => format!("file {:?}", String::from_utf8_lossy(&content)),
                    Kind::Symlink(target) => format!("-> {target}"),
                    Kind::Hardlink(target) => format!("= {target}"),
                };
                text += &format!("{} {:o} {}:{} {} {what}", entry.path, entry.mode, entry.uid, entry.gid, entry.mtime);
                for (name, value) in &entry.xattrs {
                    text += &format!(" {name}={}", String::from_utf8_lossy(value));
                }
                text += "\n";
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                return format!("{}: {error}{}", error.code(), source.unwrap_or_default());
            }
        }
    }
}

/// Returns how the only entry of an archive is written, held against another's.
fn forms(a: &[u8], b: &[u8], moved: &[&str]) -> Vec<String> {
    let form = |bytes| {
        let mut reader = Reader::new(bytes, Options { third_party: true, forms: true, ..Options::default() });
        reader.next().unwrap().unwrap();
        let form = reader.form().clone();
        assert!(reader.next().unwrap().is_none());
        form
    };
    let shown = |(fact, a, b): (&str, String, String)| format!("{fact}: {a} | {b}");
    form(a).differences(&form(b), moved).into_iter().map(shown).collect()
}

#[test]
fn how_an_entry_is_written_is_told_apart_from_what_it_says() {
    let plain = Tar::new().file("a", 0o644, b"").build();
    assert_eq!(forms(&plain, &Tar::new().file("a", 0o600, b"").build(), &[]), [""; 0]);
    let dotted = Tar::new().file("./a", 0o644, b"").build();
    assert_eq!(forms(&plain, &dotted, &[]), ["start of the name:  | `./`"]);
    let mut block = header("a", 0, 0o100_644, "", 0, 0);
    block[100..108].copy_from_slice(b"644    \0");
    let odd = [&sealed(block)[..], &[0; 1024]].concat();
    let found = forms(&plain, &odd, &[]).join("; ");
    assert!(found.contains("type flag:  | NUL") && found.contains("numbers: "), "{found}");
    let record = |text: &str| {
        let body = format!("{} {text}\n", text.len() + 2 + (text.len() + 4).to_string().len());
        let pax = header("pax_header", b'x', 0o644, "", body.len() as u64, 0);
        Tar::new().raw(&pax).content(body.as_bytes()).file("a", 0o644, b"").build()
    };
    assert_eq!(forms(&plain, &record("mtime=5"), &[]), ["pax records:  | mtime"]);
    assert_eq!(forms(&plain, &record("mtime=5"), &["mtime"]), [""; 0], "the time moved, and needs a record");
    assert_eq!(forms(&record("mtime=5"), &record("mtime=5.25"), &[]), ["pax values:  | mtime .25"]);
    assert_eq!(forms(&plain, &record("SCHILY.xattr.user.x=y"), &[]), [""; 0], "an attribute is no form");
    assert_eq!(forms(&record("atime=1"), &record("atime=2"), &[]), ["pax values: atime 1 | atime 2"]);
}

#[test]
fn a_layer_may_have_whiteouts_and_types_in_modes() {
    let layer = Options { layer: true, third_party: true, ..Options::default() };
    let tar =
        Tar::new().entry("d", b'5', 0o040_755, "", b"").file("d/.wh.f", 0o100_644, b"").file("g", 0o104_755, b"g");
    assert_eq!(
        list(&tar.build(), layer),
        "/d 755 0:0 1700000000 directory\n/d/.wh.f 644 0:0 1700000000 file \"\"\n/g 4755 0:0 1700000000 file \"g\"\n"
    );
    let whole = Tar::new().file("f", 0o644, b"f").build();
    for length in [513, 600, 1024] {
        assert_eq!(list(&whole[..length], layer), "/f 644 0:0 1700000000 file \"f\"\n", "{length}");
        assert!(list(&whole[..length], Options::default()).contains("cut short"), "{length}");
    }
    assert!(list(&whole[..512], layer).contains("cut short"));
    for (tar, problem) in [
        (Tar::new().file(".wh.f", 0o644, b"x"), "marks a whiteout"),
        (Tar::new().file(".wh.d/f", 0o644, b""), "marks a whiteout"),
        (Tar::new().file("f", 0o040_644, b""), "bits beyond 7777"),
    ] {
        let found = list(&tar.build(), layer);
        assert!(found.contains(problem), "{found}");
    }
}

fn strict(tar: Tar) -> String {
    list(&tar.build(), Options::default())
}

/// A header changed by hand, its checksum right.
fn changed(change: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let mut block = header("./f", b'0', 0o644, "", 0, 0);
    change(&mut block);
    sealed(block)
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..).find(|digits| (rest + digits).to_string().len() == *digits).unwrap() + rest;
        bytes.extend(format!("{length} {key}={value}\n").bytes());
    }
    bytes
}

fn with_pax(records: &[u8]) -> Tar {
    Tar::new().entry("./PaxHeaders/f", b'x', 0o644, "", records).file("./f", 0o644, b"abc")
}

#[test]
fn every_kind_of_entry() {
    let long = format!("./{}/{}", "d".repeat(90), "f".repeat(90));
    let tar = Tar::new()
        .directory("./", 0o755)
        .directory("./usr/", 0o755)
        .file("./usr/a", 0o4755, b"hello")
        .entry("./usr/b", b'2', 0o777, "a", b"")
        .entry("./usr/c", b'1', 0o4755, "./usr/a", b"")
        .entry("./usr/d", b'1', 0o4755, "usr/c", b"")
        .file(&long, 0o644, b"")
        .entry("./x", b'x', 0o644, "", &pax(&[("path", "./é"), ("mtime", "-1.5"), ("SCHILY.xattr.user.k", "v")]))
        .file("./short", 0o644, b"");
    let expected = format!(
        "/ 755 0:0 1700000000 directory\n/usr 755 0:0 1700000000 directory\n/usr/a 4755 0:0 1700000000 file \"hello\"\n\
         /usr/b 777 0:0 1700000000 -> a\n/usr/c 4755 0:0 1700000000 = /usr/a\n/usr/d 4755 0:0 1700000000 = /usr/a\n\
         {} 644 0:0 1700000000 file \"\"\n/é 644 0:0 -2 file \"\" user.k=v\n",
        &long[1..]
    );
    assert_eq!(strict(tar), expected);
}

#[test]
fn numbers_that_octal_cannot_hold_come_in_base_256() {
    let block = changed(|block| {
        block[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe]);
        block[136..148].fill(0xff);
    });
    assert_eq!(strict(Tar::new().raw(&block)), "/f 644 4294967294:0 -1 file \"\"\n");
}

/// What is refused, and with which words.
#[test]
fn hostile_archives_are_refused() {
    let file = || Tar::new().file("./f", 0o644, b"abc");
    let kind = |kind: u8| Tar::new().entry("./f", kind, 0o644, "", b"");
    let pair = |first: (&str, u8, &str), second: (&str, u8, &str)| {
        let add = |tar: Tar, (path, kind, link): (&str, u8, &str)| tar.entry(path, kind, 0o644, link, b"");
        add(add(Tar::new(), first), second)
    };
    let cases: Vec<(&str, Tar, &str)> = vec![
        ("absolute", Tar::new().file("/etc/f", 0o644, b""), "path `/etc/f` is absolute"),
        ("dots", Tar::new().file("./a/../f", 0o644, b""), "has a `..` component"),
        ("above", Tar::new().file("../f", 0o644, b""), "has a `..` component"),
        ("no name", Tar::new().file("", 0o644, b""), "is empty"),
        ("empty component", Tar::new().file("./a//f", 0o644, b""), "has an empty component"),
        ("not UTF-8", Tar::new().raw(&changed(|b| b[2] = 0xff)), "its path is not UTF-8"),
        ("file as directory", Tar::new().file("./f/", 0o644, b""), "a path that only a directory can have"),
        ("root as file", Tar::new().file("./", 0o644, b""), "a path that only a directory can have"),
        ("character device", kind(b'3'), "a device"),
        ("block device", kind(b'4'), "a device"),
        ("fifo", kind(b'6'), "a fifo"),
        ("sparse", kind(b'S'), "a sparse file"),
        ("contiguous", kind(b'7'), "an entry of type `7`"),
        ("volume", kind(b'V'), "an entry of type `V`"),
        ("whiteout", Tar::new().file("./.wh.f", 0o644, b""), "its name marks a whiteout"),
        ("opaque", Tar::new().file("./d/.wh..wh..opq", 0o644, b""), "its name marks a whiteout"),
        ("below a symlink", pair(("./a", b'2', "/etc"), ("./a/f", b'0', "")), "it lies below the symbolic link `/a`"),
        ("below a file", pair(("./a", b'0', ""), ("./a/f", b'0', "")), "it lies below the file `/a`"),
        ("symlink over parent", pair(("./a/f", b'0', ""), ("./a", b'2', "/")), "the parent of an earlier entry"),
        ("file twice", pair(("./a", b'0', ""), ("./a", b'0', "")), "it comes twice"),
        ("directory twice", pair(("./a", b'5', ""), ("./a", b'5', "")), "it comes twice"),
        ("symlink then directory", pair(("./a", b'2', "b"), ("./a", b'5', "")), "it comes twice"),
        ("link before target", pair(("./a", b'1', "./b"), ("./b", b'0', "")), "does not come before it"),
        ("link to directory", pair(("./a", b'5', ""), ("./b", b'1', "./a")), "is no regular file"),
        ("link to symlink", pair(("./a", b'2', "/x"), ("./b", b'1', "./a")), "is no regular file"),
        ("link to itself", pair(("./a", b'1', "./a"), ("./b", b'0', "")), "a hard link to itself"),
        (
            "link with another mode",
            Tar::new().file("./a", 0o755, b"").entry("./b", b'1', 0o4755, "./a", b""),
            "its mode or owner is not that of its hard link's target `/a`",
        ),
        ("link above", pair(("./a", b'0', ""), ("./b", b'1', "../a")), "has a `..` component"),
        ("symlink to nothing", pair(("./a", b'2', ""), ("./b", b'0', "")), "a symbolic link without a target"),
        ("target on a file", Tar::new().entry("./f", b'0', 0o644, "x", b""), "a link target on what is no link"),
        ("size on a directory", Tar::new().entry("./f", b'5', 0o644, "", b"x"), "a size on what is no regular file"),
        ("size on a link", Tar::new().entry("./f", b'2', 0o644, "x", b"x"), "a size on what is no regular file"),
        (
            "checksum",
            Tar::new().raw(&{
                let mut block = header("./f", b'0', 0o644, "", 0, 0);
                block[0] = b'x';
                block
            }),
            "its checksum does not match",
        ),
        ("magic", Tar::new().raw(&changed(|b| b[257..265].fill(0))), "neither a ustar nor a GNU header"),
        ("bad octal", Tar::new().raw(&changed(|b| b[124] = b'9')), "its size is not written in octal"),
        ("space before octal", Tar::new().raw(&changed(|b| b[100] = b' ')), "its mode is not written in octal"),
        ("no number", Tar::new().raw(&changed(|b| b[108..116].fill(0))), "its uid is not written in octal"),
        (
            "needless base 256",
            Tar::new().raw(&changed(|b| {
                b[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
            })),
            "base 256 where octal would do",
        ),
        ("negative size", Tar::new().raw(&changed(|b| b[124..136].fill(0xff))), "its size is negative"),
        (
            "wide number",
            Tar::new().raw(&changed(|b| {
                b[136..148].fill(0xff);
                b[137] = 0;
            })),
            "does not fit 64 bits",
        ),
        (
            "huge",
            Tar::new().raw(&changed(|b| {
                b[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
            })),
            "more than 8589934592 bytes",
        ),
        ("mode bits", Tar::new().raw(&changed(|b| b[100..107].copy_from_slice(b"0100644"))), "bits beyond 7777"),
        ("junk after a name", Tar::new().raw(&changed(|b| b[50] = b'x')), "its path goes on after a NUL byte"),
        ("GNU prefix", Tar::new().raw(&changed(|b| b[345] = b'x')), "sparse or incremental"),
        ("junk at the end of a header", Tar::new().raw(&changed(|b| b[511] = 1)), "bytes after its last field"),
        ("device numbers", Tar::new().raw(&changed(|b| b[329..336].copy_from_slice(b"0000001"))), "a device number"),
        ("zero block inside", file().raw(&[0; 512]).file("./g", 0o644, b""), "a single zero block"),
        ("after the end", file().raw(&[0; 1024]).file("./g", 0o644, b""), "bytes follow its end"),
        ("much padding", file().raw(&[0; 80 << 10]), "bytes follow its end"),
        ("global pax", Tar::new().entry("./g", b'g', 0o644, "", &pax(&[("comment", "x")])), "a global pax header"),
        (
            "pax twice",
            Tar::new().entry("./p", b'x', 0, "", &pax(&[("path", "a")])).raw(&{ header("./p", b'x', 0, "", 0, 0) }),
            "a second pax header",
        ),
        ("duplicate record", with_pax(&pax(&[("path", "a"), ("path", "b")])), "`path` comes twice"),
        ("unknown record", with_pax(&pax(&[("VENDOR.x", "1")])), "`VENDOR.x` is not known"),
        ("sparse record", with_pax(&pax(&[("GNU.sparse.major", "1")])), "a sparse file"),
        ("empty record", with_pax(&pax(&[("path", "")])), "is empty or no UTF-8 text"),
        ("other size", with_pax(&pax(&[("size", "512")])), "its pax header says another size"),
        ("signed size", with_pax(&pax(&[("size", "+3")])), "is no decimal number"),
        ("pax above", with_pax(&pax(&[("path", "../f")])), "has a `..` component"),
        ("short record", with_pax(b"8 path=a\n"), "a malformed pax record"),
        ("long record", with_pax(b"99 path=a\n"), "a malformed pax record"),
        ("padded record length", with_pax(b"010 path=a\n"), "a malformed pax record"),
        ("no line feed", with_pax(b"9 path=a-"), "a malformed pax record"),
        (
            "pax and long name",
            Tar::new().entry("./p", b'x', 0, "", &pax(&[("path", "a")])).file(
                &format!("./{}", "x".repeat(120)),
                0o644,
                b"",
            ),
            "pax and GNU extension headers",
        ),
        (
            "long name twice",
            Tar::new().entry("./L", b'L', 0, "", b"a\0").entry("./L", b'L', 0, "", b"b\0"),
            "second long name",
        ),
        (
            "NUL in a long name",
            Tar::new().entry("./L", b'L', 0, "", b"a\0b\0").file("./f", 0o644, b""),
            "holds a NUL byte",
        ),
        ("dangling extension", Tar::new().entry("./L", b'L', 0, "", b"a\0"), "ends after an extension header"),
        ("long long name", Tar::new().entry("./L", b'L', 0, "", &[b'x'; 5000]), "more than 4100 bytes in a long name"),
        ("long pax", Tar::new().entry("./p", b'x', 0, "", &vec![b'x'; (1 << 20) + 1]), "bytes in a pax header"),
    ];
    for (name, tar, problem) in cases {
        let answer = strict(tar);
        assert!(answer.starts_with("tar::") && answer.contains(problem), "{name}: {answer}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let whole = Tar::new().directory("./a/", 0o755).file("./a/f", 0o644, &[b'x'; 700]).build();
    let end = 512 * 4 + 1024;
    for length in (0..end).step_by(100).chain([end - 1]) {
        let answer = list(&whole[..length], Options::default());
        assert!(answer.starts_with("tar::truncated"), "{length}: {answer}");
    }
    assert!(list(&whole[..end], Options::default()).starts_with("/a "));
}

#[test]
fn counts_and_sizes_are_bounded() {
    let tar = Tar::new().file("./a/b/c/d/e", 0o644, b"x").file("./f", 0o644, b"x").build();
    let few = Options { max_entries: 5, ..Options::default() };
    assert_eq!(list(&tar, few), "tar::limit: cannot read the tar archive: it has more than 5 entries");
    let small = Options { max_size: 2000, ..Options::default() };
    assert_eq!(list(&tar, small), "tar::limit: cannot read the tar archive: it has more than 2000 bytes");
    let short = Options { max_names: 10, ..Options::default() };
    assert_eq!(list(&tar, short), "tar::limit: cannot read the tar archive: it has more than 10 bytes of names");
}

#[test]
fn third_parties_may_comment() {
    let tar = Tar::new()
        .entry("pax_global_header", b'g', 0o644, "", &pax(&[("comment", "0123abc")]))
        .directory("x/", 0o755)
        .directory("x/", 0o700)
        .file("x/f", 0o644, b"")
        .build();
    let options = Options { third_party: true, ..Options::default() };
    assert_eq!(list(&tar, options).lines().count(), 3);
    // As `docker save` of 20.10 writes it.
    let typed = Tar::new().entry("d", b'5', 0o040_755, "", b"").file("d/f", 0o100_644, b"");
    let typed = typed.entry("l", b'2', 0o120_777, "d/f", b"");
    assert_eq!(list(&typed.build(), options).lines().count(), 3);
    let other = Tar::new().file("f", 0o040_644, b"");
    assert!(list(&other.build(), options).contains("bits beyond 7777"));
    let path = Tar::new().entry("g", b'g', 0o644, "", &pax(&[("path", "x")])).file("f", 0o644, b"").build();
    assert!(list(&path, options).contains("a global pax header"));
}

#[test]
fn a_changed_byte_is_never_a_panic() {
    let records = pax(&[("path", "./g"), ("mtime", "1.5"), ("size", "3"), ("SCHILY.xattr.user.k", "v")]);
    let tar = Tar::new().directory("./", 0o755).entry("./p", b'x', 0, "", &records).file("./f", 0o644, b"abc");
    let long = format!("./{}", "x".repeat(120));
    let whole = tar.entry(&long, b'1', 0o644, "./g", b"").build();
    for options in [Options::default(), Options { third_party: true, ..Options::default() }] {
        for at in 0..whole.len().min(512 * 9) {
            for value in [0, b' ', b'7', b'9', b'=', b'x', 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                // Make the checksum right again, so that what lies behind it is reached.
                let header = at / 512 * 512;
                let block: [u8; 512] = broken[header..header + 512].try_into().unwrap();
                if block[257..262] == *b"ustar" {
                    broken[header..header + 512].copy_from_slice(&sealed(block));
                }
                list(&broken, options);
            }
        }
    }
}
