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
