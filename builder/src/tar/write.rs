//! Writes tar headers, byte for byte the same for the same entry.
//!
//! Plain ustar (POSIX.1-2017, pax interchange format), and a pax extended header only where ustar cannot say it: a
//! name that is not ASCII or does not split, a large size or number, a time before 1970, extended attributes. Owner
//! names are empty, device numbers zero, directories end in `/`. Bodies are the caller's, padded with [`padding`].

/// Size of a tar block.
const BLOCK: usize = 512;
/// Name of every pax extended header; readers that know pax never show it.
const PAX_NAME: &[u8] = b"pax_header";
/// Largest value of an 11-digit octal field.
const MAX_11: u64 = 0o77_777_777_777;
/// Largest value of a 7-digit octal field.
const MAX_7: u32 = 0o7_777_777;

/// The two zero blocks that end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// An entry's header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Path without slashes at its ends; empty for the root.
    pub path: &'a str,
    /// What it is.
    pub kind: Kind<'a>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Extended attributes, sorted by name.
    pub xattrs: &'a [(String, Vec<u8>)],
}

/// What an entry is.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// A directory.
    Directory,
    /// A regular file of this many bytes.
    File(u64),
    /// A symbolic link to this target.
    Symlink(&'a str),
    /// A hard link to this path of the same archive, without slashes at its ends.
    Hardlink(&'a str),
}

/// An entry that no tar can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write `/{path}` to a tar: {problem}")]
pub struct Unwritable {
    /// The entry.
    pub path: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Returns how many zero bytes follow a body of `size` bytes.
pub fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

/// Appends the header of an entry to `out`: one block, and before it a pax header where one is needed.
pub fn append_header(out: &mut Vec<u8>, header: &Header<'_>) -> Result<(), Unwritable> {
    let refuse = |problem| Err(Unwritable { path: header.path.to_owned(), problem });
    let mut path = if header.path.is_empty() { ".".to_owned() } else { header.path.to_owned() };
    let (flag, size, link) = match header.kind {
        Kind::Directory => {
            path.push('/');
            (b'5', 0, "")
        }
        Kind::File(size) => (b'0', size, ""),
        Kind::Symlink(target) => (b'2', 0, target),
        Kind::Hardlink(target) => (b'1', 0, target),
    };
    if matches!(header.kind, Kind::Symlink(_) | Kind::Hardlink(_)) && link.is_empty() {
        return refuse("its link target is empty");
    }
    if path.contains('\0') || link.contains('\0') {
        return refuse("a name holds a NUL byte");
    }

    let mut records = Vec::new();
    for (name, value) in header.xattrs {
        if name.is_empty() || name.contains(['=', '\0', '\n']) {
            return refuse("the name of an extended attribute is empty or holds `=`, a newline or a NUL byte");
        }
        records.push((format!("SCHILY.xattr.{name}"), value.clone()));
    }
    let (prefix, name) = split(&path).unwrap_or_else(|| {
        records.push(("path".to_owned(), path.clone().into_bytes()));
        ("", cut(&path))
    });
    if link.len() > 100 || !link.is_ascii() {
        records.push(("linkpath".to_owned(), link.as_bytes().to_vec()));
    }
    let mut number = |key: &str, value: i128, fits: bool| {
        if fits {
            return value as u64;
        }
        records.push((key.to_owned(), value.to_string().into_bytes()));
        0
    };
    let octal = Numbers {
        mode: u64::from(header.mode & 0o7777),
        uid: number("uid", i128::from(header.uid), header.uid <= MAX_7),
        gid: number("gid", i128::from(header.gid), header.gid <= MAX_7),
        size: number("size", i128::from(size), size <= MAX_11),
        mtime: number("mtime", i128::from(header.mtime), u64::try_from(header.mtime).is_ok_and(|time| time <= MAX_11)),
    };
    if !records.is_empty() {
        records.sort();
        let mut body = Vec::new();
        for (key, value) in &records {
            append_record(&mut body, key, value);
        }
        let numbers = Numbers { mode: 0o644, uid: 0, gid: 0, size: body.len() as u64, mtime: 0 };
        out.extend_from_slice(&block(b"", PAX_NAME, b'x', b"", &numbers));
        out.extend_from_slice(&body);
        out.resize(out.len() + padding(body.len() as u64), 0);
    }
    out.extend_from_slice(&block(prefix.as_bytes(), name.as_bytes(), flag, cut(link).as_bytes(), &octal));
    Ok(())
}

/// Splits a path at a slash into ustar's prefix and name; `None` where it does not fit or is not ASCII.
fn split(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some(("", path));
    }
    let at = path.len() - 101 + path[path.len() - 101..].find('/')?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (prefix.len() <= 155 && !prefix.is_empty() && !name.is_empty()).then_some((prefix, name))
}

/// Returns the start of a text that fits a ustar name; what stands there beside a pax record is read by nobody.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(100)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// Appends `LENGTH KEY=VALUE\n`, where the length counts itself.
fn append_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Numeric fields of a header, each known to fit.
struct Numbers {
    mode: u64,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: u64,
}

fn block(prefix: &[u8], name: &[u8], flag: u8, link: &[u8], numbers: &Numbers) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{:07o}", numbers.mode).as_bytes());
    put(108, format!("{:07o}", numbers.uid).as_bytes());
    put(116, format!("{:07o}", numbers.gid).as_bytes());
    put(124, format!("{:011o}", numbers.size).as_bytes());
    put(136, format!("{:011o}", numbers.mtime).as_bytes());
    put(148, b"        ");
    put(156, &[flag]);
    put(157, link);
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, prefix);
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Entries that plain ustar can say, and entries that it cannot, by what is special about them.
    fn archive() -> Vec<u8> {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let deep = format!("{}/{}", "d".repeat(90), "e".repeat(150));
        let edge = "x".repeat(100);
        let link = "t".repeat(101);
        let xattrs = [("user.x".to_owned(), b"a\0\n=b".to_vec())];
        let plain =
            Header { path: "a", kind: Kind::File(3), mode: 0o4755, uid: 7, gid: 2_097_151, mtime: 1, xattrs: &[] };
        let headers = [
            Header { path: "", kind: Kind::Directory, mode: 0o755, ..plain },
            plain,
            Header { path: "b", kind: Kind::Symlink(&link), ..plain },
            Header { path: "c", kind: Kind::Hardlink("a"), ..plain },
            Header { path: &edge, ..plain },
            Header { path: &edge, kind: Kind::Directory, mode: 0o1777, ..plain },
            Header { path: &long, ..plain },
            Header { path: &deep, ..plain },
            Header { path: "ünï", kind: Kind::Symlink("é"), ..plain },
            Header { path: "big", uid: 2_097_152, gid: u32::MAX, mtime: -5, ..plain },
            Header { path: "late", mtime: MAX_11 as i64 + 1, xattrs: &xattrs, ..plain },
        ];
        let mut tar = Vec::new();
        for header in &headers {
            append_header(&mut tar, header).unwrap();
            if let Kind::File(size) = header.kind {
                tar.extend_from_slice(b"abc");
                tar.resize(tar.len() + padding(size), 0);
            }
        }
        tar.extend_from_slice(&END);
        tar
    }

    #[test]
    fn another_tool_reads_back_what_was_written() {
        const LIST: &str = "
import sys, tarfile
for m in tarfile.open(fileobj=sys.stdin.buffer, mode='r|', encoding='utf-8'):
    x = {k: v.encode('utf-8', 'surrogateescape') for k, v in m.pax_headers.items() if 'xattr' in k}
    print(m.name[:4], len(m.name), m.type.decode(), oct(m.mode), m.uid, m.gid, int(m.mtime), m.size, len(m.linkname), repr(m.uname), x)
";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &archive()).unwrap();
        let open = || std::fs::File::open(file.path()).unwrap();
        let python = Command::new("python3").args(["-c", LIST]).stdin(open()).output();
        match python {
            Ok(output) => {
                insta::assert_snapshot!(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()), @r#"
            . 1 5 0o755 7 2097151 1 0 0 '' {}
            a 1 0 0o4755 7 2097151 1 3 0 '' {}
            b 1 2 0o4755 7 2097151 1 0 101 '' {}
            c 1 1 0o4755 7 2097151 1 0 1 '' {}
            xxxx 100 0 0o4755 7 2097151 1 3 0 '' {}
            xxxx 100 5 0o1777 7 2097151 1 0 0 '' {}
            dddd 211 0 0o4755 7 2097151 1 3 0 '' {}
            dddd 241 0 0o4755 7 2097151 1 3 0 '' {}
            ünï 3 2 0o4755 7 2097151 1 0 1 '' {}
            big 3 0 0o4755 2097152 4294967295 -5 3 0 '' {}
            late 4 0 0o4755 7 2097151 8589934592 3 0 '' {'SCHILY.xattr.user.x': b'a\x00\n=b'}
            "#)
            }
            Err(_) => eprintln!("python3 is not installed: not asked"),
        }
        match Command::new("tar").args(["-tf", "-"]).env("LC_ALL", "C.UTF-8").stdin(open()).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 11);
            }
            Err(_) => eprintln!("tar is not installed: not asked"),
        }
    }

    #[test]
    fn a_size_that_ustar_cannot_say_stands_in_a_pax_record() {
        let mut out = Vec::new();
        let header =
            Header { path: "x", kind: Kind::File(9 << 30), mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
        append_header(&mut out, &header).unwrap();
        assert_eq!(out.len(), 3 * BLOCK);
        assert!(out[BLOCK..].starts_with(b"19 size=9663676416\n\0"));
        assert_eq!(&out[2 * BLOCK + 124..][..12], b"00000000000\0");
    }

    #[test]
    fn what_no_tar_can_hold_is_refused() {
        let xattrs = [("user.a=b".to_owned(), Vec::new())];
        let plain = Header { path: "a", kind: Kind::File(0), mode: 0, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
        for wrong in [
            Header { path: "a\0b", ..plain },
            Header { kind: Kind::Symlink(""), ..plain },
            Header { xattrs: &xattrs, ..plain },
        ] {
            assert!(append_header(&mut Vec::new(), &wrong).is_err(), "{wrong:?}");
        }
    }
}
