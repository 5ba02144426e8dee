//! `/etc/ld.so.cache` as `ldconfig` of glibc 2.36 and 2.41 writes it, byte for byte, and the SONAME links it makes.
//!
//! The format is glibc's own (`elf/cache.c`, `sysdeps/generic/dl-cache.h`): a header, entries sorted backwards by
//! `_dl_cache_libcmp`, a string table with shared tails, extensions. Directories named after legacy hardware
//! capabilities (`tls`, `haswell`; glibc before 2.37) are not looked into: no package of Debian 12 ships one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::merge::{Node, Owner, Tree, What};
use crate::digest::Digest;
use crate::elf::Facts;
use crate::spec::Platform;
use crate::tree::{ImagePath, Meta};

/// Magic and version of the new format.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// `cache_file_new_flags_endian_little`.
const LITTLE_ENDIAN: u8 = 2;
/// Size of the header and of an entry.
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// Marks the hwcap field of an entry in a glibc-hwcaps directory.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// Magic of the extension directory (-358342284).
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
/// Flags of libraries: kind and what the loader must be.
const FLAG_ELF: i32 = 1;
const FLAG_LIBC6: i32 = 3;
const FLAG_X86_64: i32 = 0x0303;
const FLAG_X32: i32 = 0x0803;
const FLAG_AARCH64: i32 = 0x0a03;

/// A directory that is searched.
struct Directory {
    /// As the configuration writes it; the cache says it so.
    path: String,
    real: ImagePath,
    hwcaps: Option<String>,
}

/// A library of one directory.
struct Library {
    name: String,
    is_link: bool,
    flags: i32,
    isa_level: u32,
}

/// One line of the cache.
struct Entry {
    soname: String,
    path: String,
    flags: i32,
    isa_level: u32,
    hwcaps: Option<String>,
}

/// Adds the cache and the missing SONAME links, where libc6 is in.
pub(super) fn derive(tree: &mut Tree<'_>, platform: Platform, source_date: i64) -> Result<(), Error> {
    let own = tree.package("libc6").map(|package| package.locked.version.clone());
    // Libraries of ours over a base's glibc: the cache then holds both.
    let elf = |what: &What<'_>| matches!(what, What::File { facts, .. } if facts.elf.is_some());
    let over = |tree: &Tree<'_>| tree.nodes.values().any(|node| node.owner != Owner::Base && elf(&node.what));
    let Some(version) = own.or_else(|| tree.base_version("libc6").filter(|_| over(tree))) else { return Ok(()) };
    let (bytes, links) = cache(tree, platform, &version);
    for (path, target) in links {
        tree.derive("soname-links", path.as_str(), Meta::root(0o777, source_date), What::Symlink(target.into()))?;
    }
    let same = |node: &Node<'_>| matches!(&node.what, What::File { facts, .. } if facts.digest == Digest::of(&bytes));
    if tree.nodes.get("etc/ld.so.cache").is_some_and(same) {
        return Ok(());
    }
    tree.derive_over("ld.so.cache", "etc/ld.so.cache", Meta::root(0o644, source_date), What::Inline(bytes))?;
    Ok(())
}

/// Returns the cache of the tree, and the links that `ldconfig` would make beside it.
fn cache(tree: &Tree<'_>, platform: Platform, version: &str) -> (Vec<u8>, Vec<(ImagePath, String)>) {
    let directories = directories(tree, platform);
    let mut strings: BTreeSet<String> = directories.iter().filter_map(|directory| directory.hwcaps.clone()).collect();
    let mut entries = Vec::new();
    let mut links = Vec::new();
    let old = version.starts_with("2.36");
    for directory in &directories {
        for (soname, library) in libraries(tree, directory, platform, old) {
            let file = if directory.hwcaps.is_some() { &library.name } else { &soname };
            if directory.hwcaps.is_none()
                && !library.is_link
                && library.name != soname
                && let Ok(path) = directory.real.join(&soname)
                && !tree.nodes.contains_key(path.as_str())
            {
                links.push((path, library.name.clone()));
            }
            entries.push(Entry {
                path: format!("{}/{file}", directory.path),
                soname,
                flags: library.flags,
                isa_level: library.isa_level,
                hwcaps: directory.hwcaps.clone(),
            });
        }
    }
    entries.sort_by(compare);
    for entry in &entries {
        strings.insert(entry.soname.clone());
        strings.insert(entry.path.clone());
    }
    (write(&entries, strings, version), links)
}

/// Returns the directories in `ldconfig`'s order: configuration, then Debian's defaults; each once, by where it is.
fn directories(tree: &Tree<'_>, platform: Platform) -> Vec<Directory> {
    let triplet = match platform {
        Platform::Amd64 => "x86_64-linux-gnu",
        Platform::Arm64 => "aarch64-linux-gnu",
    };
    let mut named = Vec::new();
    read_configuration(tree, "etc/ld.so.conf", 0, &mut named);
    named.extend([format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".to_owned(), "/usr/lib".to_owned()]);
    let mut all: Vec<Directory> = Vec::new();
    for path in named {
        let path = path.trim_end().trim_end_matches('/').to_owned();
        let Some(real) = directory(tree, &path) else { continue };
        if all.iter().any(|known| known.real == real) {
            continue;
        }
        let capabilities = real.join("glibc-hwcaps").ok().and_then(|path| directory(tree, path.as_str()));
        all.push(Directory { path: path.clone(), real, hwcaps: None });
        for (name, _) in capabilities.iter().flat_map(|path| children(tree, path)) {
            if name.starts_with('.') || name.contains(':') {
                continue;
            }
            let path = format!("{path}/glibc-hwcaps/{name}");
            if let Some(real) = directory(tree, &path)
                && !all.iter().any(|known| known.real == real)
            {
                all.push(Directory { path, real, hwcaps: Some(name.to_owned()) });
            }
        }
    }
    all
}

fn directory(tree: &Tree<'_>, path: &str) -> Option<ImagePath> {
    let real = tree.resolve(&ImagePath::parse(path).ok()?).ok()?;
    tree.nodes.get(real.as_str()).filter(|node| node.what == What::Directory)?;
    Some(real)
}

/// Returns the nodes directly below a directory, by name.
fn children<'t, 'a>(
    tree: &'t Tree<'a>,
    directory: &ImagePath,
) -> impl Iterator<Item = (&'t str, &'t super::merge::Node<'a>)> {
    let prefix = format!("{directory}/").split_off(1);
    let length = prefix.len();
    tree.nodes
        .range::<str, _>((std::ops::Bound::Excluded(prefix.as_str()), std::ops::Bound::Unbounded))
        .take_while(move |(path, _)| path.as_str().starts_with(&prefix))
        .filter_map(move |(path, node)| {
            let name = &path.as_str()[length..];
            (!name.contains('/')).then_some((name, node))
        })
}

fn read_configuration(tree: &Tree<'_>, path: &str, depth: u32, named: &mut Vec<String>) {
    /// `include` of an `include` of a …: real configurations have two levels.
    const MAX_DEPTH: u32 = 8;
    let Some(text) = text_of(tree, path).filter(|_| depth < MAX_DEPTH) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim_start();
        if let Some(patterns) = line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
            for pattern in patterns.split_whitespace() {
                let Some((parent, name)) = pattern.rsplit_once('/') else { continue };
                let Some(parent) = directory(tree, parent) else { continue };
                let found: Vec<String> = children(tree, &parent)
                    .filter(|(child, _)| matches(name, child))
                    .filter_map(|(child, _)| Some(parent.join(child).ok()?.as_str().to_owned()))
                    .collect();
                for path in found {
                    read_configuration(tree, &path, depth + 1, named);
                }
            }
        } else if !line.trim().is_empty() && !line.to_ascii_lowercase().starts_with("hwcap ") {
            named.push(line.to_owned());
        }
    }
}

/// Matches a glob with `*` alone against a file name; a leading dot must be written out.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            tail.is_empty()
                || rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| glob_tail(tail, &rest[at..]))
        }),
    }
}

fn glob_tail(pattern: &str, rest: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == rest,
        Some((head, tail)) => rest.strip_prefix(head).is_some_and(|rest| {
            tail.is_empty()
                || rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| glob_tail(tail, &rest[at..]))
        }),
    }
}

/// Returns the text of a small file in the tree.
fn text_of(tree: &Tree<'_>, path: &str) -> Option<String> {
    let node = tree.file(&ImagePath::parse(path).ok()?)?;
    Some(String::from_utf8_lossy(&tree.content(node)?).into_owned())
}

/// Returns the libraries of one directory by SONAME.
fn libraries(tree: &Tree<'_>, directory: &Directory, platform: Platform, old: bool) -> BTreeMap<String, Library> {
    let mut found: BTreeMap<String, Library> = BTreeMap::new();
    for (name, node) in children(tree, &directory.real) {
        if !is_library_name(name) {
            continue;
        }
        let mut is_link = matches!(node.what, What::Symlink(_));
        let Ok(path) = directory.real.join(name) else { continue };
        let Some(What::File { facts, .. }) = tree.file(&path).map(|node| &node.what) else { continue };
        let Some(elf) = facts.elf.as_deref() else { continue };
        let Some(flags) = flags(elf, platform, old) else { continue };
        let mut soname = elf.soname.clone().unwrap_or_else(|| name.to_owned());
        // A link that is neither the SONAME nor the linker's `.so` counts as a file.
        if is_link && name != soname && !(name.ends_with(".so") && soname.starts_with(name)) {
            is_link = false;
        }
        if is_link {
            name.clone_into(&mut soname);
        }
        let isa_level = elf.isa_needed.checked_ilog2().unwrap_or(0);
        let library = Library { name: name.to_owned(), is_link, flags, isa_level };
        match found.get_mut(&soname) {
            None => {
                found.insert(soname, library);
            }
            Some(known)
                if (!is_link && known.is_link)
                    || (is_link == known.is_link && compare_names(&known.name, name) == Ordering::Less) =>
            {
                // ldconfig keeps the first one's flags.
                *known = Library { flags: known.flags, ..library };
            }
            Some(_) => {}
        }
    }
    found
}

/// `_dl_is_dso`, less the temporary files of prelink.
fn is_library_name(name: &str) -> bool {
    ((name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so")
        || name.starts_with("ld.so.")
        || name.starts_with("ld64.so."))
        && !name.contains(".#prelink#")
}

/// Returns an object's flags; `None` where this platform's `ldconfig` passes over it.
fn flags(elf: &Facts, platform: Platform, old: bool) -> Option<i32> {
    const SHARED: u16 = 3;
    const I386: u16 = 3;
    const X86_64: u16 = 62;
    if elf.kind != SHARED || !elf.dynamic {
        return None;
    }
    match (platform, elf.machine, elf.class) {
        (Platform::Amd64, X86_64, 64) => Some(FLAG_X86_64),
        (Platform::Amd64, X86_64, _) => Some(FLAG_X32),
        (Platform::Amd64, I386, 32) => {
            let known = elf.interpreter.as_deref() == Some("/lib/ld-linux.so.2")
                || elf.needed.iter().any(|needed| needed == "libc.so.6" || needed == "libm.so.6");
            Some(if known || !old { FLAG_LIBC6 } else { FLAG_ELF })
        }
        (Platform::Amd64, ..) => None,
        (Platform::Arm64, _, 64) => Some(FLAG_AARCH64),
        (Platform::Arm64, ..) => Some(FLAG_LIBC6),
    }
}

/// glibc's `_dl_cache_libcmp`: numbers in names compare as numbers.
fn compare_names(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let number = |bytes: &mut &[u8]| {
        let mut value = 0_i32;
        while let [digit @ b'0'..=b'9', rest @ ..] = *bytes {
            value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
            *bytes = rest;
        }
        value
    };
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match (x.is_ascii_digit(), y.is_ascii_digit()) {
                (true, true) => match number(&mut a).cmp(&number(&mut b)) {
                    Ordering::Equal => {}
                    other => return other,
                },
                (true, false) => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                (false, false) if x == y => {
                    a = &a[1..];
                    b = &b[1..];
                }
                // `char` is signed on amd64 and unsigned on arm64; library names are ASCII.
                (false, false) => return x.cmp(y),
            },
        }
    }
}

/// The order of entries: names backwards, higher flags first, hwcaps variants before the plain one.
fn compare(a: &Entry, b: &Entry) -> Ordering {
    compare_names(&b.soname, &a.soname).then_with(|| b.flags.cmp(&a.flags)).then_with(|| match (&a.hwcaps, &b.hwcaps) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    })
}

/// Lays strings out with shared tails: (table, offset of each string).
fn string_table(strings: BTreeSet<String>) -> (Vec<u8>, BTreeMap<String, u32>) {
    let mut sorted: Vec<String> = strings.into_iter().collect();
    // Reversed strings in reverse order; where one ends in the other, the longer one comes first.
    sorted.sort_by(|a, b| b.bytes().rev().cmp(a.bytes().rev()));
    let mut table = Vec::new();
    let mut offsets = BTreeMap::new();
    let mut previous: Option<(String, usize)> = None;
    for string in sorted {
        let offset = match &previous {
            Some((longer, at)) if longer.ends_with(&string) => at + longer.len() - string.len(),
            _ => {
                let at = table.len();
                table.extend_from_slice(string.as_bytes());
                table.push(0);
                at
            }
        };
        offsets.insert(string.clone(), u32::try_from(offset).unwrap_or(u32::MAX));
        previous = Some((string, offset));
    }
    (table, offsets)
}

fn write(entries: &[Entry], strings: BTreeSet<String>, version: &str) -> Vec<u8> {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let (table, offsets) = string_table(strings);
    let base = size(HEADER + entries.len() * ENTRY);
    let offset = |string: &str| base + offsets.get(string).copied().unwrap_or(0);
    let used: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.hwcaps.as_deref()).collect();
    let index = |name: &str| used.iter().position(|other| *other == name).unwrap_or(0) as u64;
    let extension = (HEADER + entries.len() * ENTRY + table.len()).next_multiple_of(4);

    let mut bytes = Vec::with_capacity(extension + 256);
    bytes.extend_from_slice(MAGIC);
    bytes.extend(size(entries.len()).to_le_bytes());
    bytes.extend(size(table.len()).to_le_bytes());
    bytes.extend([LITTLE_ENDIAN, 0, 0, 0]);
    bytes.extend(size(extension).to_le_bytes());
    bytes.resize(HEADER, 0);
    for entry in entries {
        bytes.extend(entry.flags.to_le_bytes());
        bytes.extend(offset(&entry.soname).to_le_bytes());
        bytes.extend(offset(&entry.path).to_le_bytes());
        bytes.extend([0; 4]);
        let hwcap =
            entry.hwcaps.as_deref().map_or(0, |name| HWCAP_EXTENSION | u64::from(entry.isa_level) << 32 | index(name));
        bytes.extend(hwcap.to_le_bytes());
    }
    bytes.extend_from_slice(&table);
    bytes.resize(extension, 0);

    let generator = format!("ldconfig (Debian GLIBC {version}) stable release version {}", upstream(version));
    let sections = if used.is_empty() { 1 } else { 2 };
    let array = extension + 8 + 16 * sections;
    let section = |tag: u32, at: usize, length: usize, bytes: &mut Vec<u8>| {
        bytes.extend(tag.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(size(at).to_le_bytes());
        bytes.extend(size(length).to_le_bytes());
    };
    bytes.extend(EXTENSION_MAGIC.to_le_bytes());
    bytes.extend(size(sections).to_le_bytes());
    section(0, array + 4 * used.len(), generator.len(), &mut bytes);
    if !used.is_empty() {
        section(1, array, 4 * used.len(), &mut bytes);
    }
    for name in &used {
        bytes.extend(offset(name).to_le_bytes());
    }
    bytes.extend_from_slice(generator.as_bytes());
    bytes
}

/// Returns glibc's own version in a Debian version without epoch.
fn upstream(version: &str) -> &str {
    version.split_once('-').map_or(version, |(upstream, _)| upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_numbers_as_numbers() {
        for (a, b, expected) in [
            ("libx.so.9", "libx.so.10", Ordering::Less),
            ("libx.so.1", "libx.so.1.0", Ordering::Less),
            ("liba.so", "libb.so", Ordering::Less),
            ("lib1", "liba", Ordering::Greater),
            ("libx.so.1", "libx.so.1", Ordering::Equal),
        ] {
            assert_eq!(compare_names(a, b), expected, "{a} {b}");
            assert_eq!(compare_names(b, a), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn strings_share_their_tails() {
        let strings = ["/lib/libx.so.1", "libx.so.1", "libxx.so.1"].map(str::to_owned).into();
        let (table, offsets) = string_table(strings);
        assert_eq!(table, b"libxx.so.1\0/lib/libx.so.1\0");
        assert_eq!(offsets["libx.so.1"], 16);
    }

    #[test]
    fn globs_of_includes_match() {
        assert!(matches("*.conf", "x.conf") && matches("a*b*.c", "a1b2.c") && matches("x", "x"));
        assert!(!matches("*.conf", ".x.conf") && !matches("*.conf", "x.conf.dpkg-new") && !matches("x", "y"));
    }

    #[test]
    fn the_cache_has_glibc_s_shape() {
        let entry = |hwcaps: Option<&str>| Entry {
            soname: "libx.so.1".to_owned(),
            path: "/lib/libx.so.1".to_owned(),
            flags: FLAG_X86_64,
            isa_level: 2,
            hwcaps: hwcaps.map(str::to_owned),
        };
        let strings = || ["/lib/libx.so.1", "libx.so.1", "x86-64-v3"].map(str::to_owned).into();
        let bytes = write(&[entry(Some("x86-64-v3")), entry(None)], strings(), "2.41-12+deb13u5");
        assert_eq!(&bytes[..20], MAGIC);
        assert_eq!(bytes[64..72], (HWCAP_EXTENSION | 2 << 32).to_le_bytes());
        assert!(bytes.ends_with(b"ldconfig (Debian GLIBC 2.41-12+deb13u5) stable release version 2.41"));
        let extension = u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
        assert_eq!(bytes[extension..extension + 4], EXTENSION_MAGIC.to_le_bytes());
    }
}
