//! Sizes and attack surface of images by `keep`, beside a minimal system with the same packages and beside what
//! distroless ships: the table in the README.
//!
//! `sizes TARSIA DIR MIRROR|- [ROW…]` builds each row of the table with the program TARSIA below DIR, and, with the address of
//! a Debian mirror, makes a root by `mmdebstrap --variant=minbase` (as root) for comparison. It prints Markdown. Files are
//! all entries but directories; `ret` counts the bytes that end a gadget (0xC3 and 0xC2) in executable segments of x86-64
//! ELF files, wherever an instruction could be made to begin.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tarsia::image::{Destination, Rootfs, open};

/// A row: its name, its packages, and what distroless ships for it.
struct Row {
    name: &'static str,
    packages: &'static [&'static str],
    distroless: &'static [&'static str],
}

const BASE: &[&str] = &[
    "base-files",
    "netbase",
    "tzdata",
    "tzdata-legacy",
    "media-types",
    "libc6",
    "libssl3t64",
    "libzstd1",
    "zlib1g",
    "ca-certificates",
];
const CC: &[&str] = &[
    "base-files",
    "netbase",
    "tzdata",
    "tzdata-legacy",
    "media-types",
    "libc6",
    "libssl3t64",
    "libzstd1",
    "zlib1g",
    "ca-certificates",
    "libgomp1",
    "libstdc++6",
    "libgcc-s1",
    "gcc-14-base",
];
const PYTHON: &[&str] = &[
    "base-files",
    "netbase",
    "tzdata",
    "tzdata-legacy",
    "media-types",
    "libc6",
    "libssl3t64",
    "libzstd1",
    "zlib1g",
    "ca-certificates",
    "libgomp1",
    "libstdc++6",
    "libgcc-s1",
    "gcc-14-base",
    "libbz2-1.0",
    "libdb5.3t64",
    "libexpat1",
    "liblzma5",
    "libsqlite3-0",
    "libuuid1",
    "libncursesw6",
    "libtinfo6",
    "libcom-err2",
    "libcrypt1",
    "libc-bin",
    "libgssapi-krb5-2",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libnsl2",
    "libreadline8t64",
    "libtirpc3t64",
    "libffi8",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "python3.13-minimal",
    "python3.13-venv",
];

const ROWS: [Row; 8] = [
    Row { name: "base", packages: &["libssl3t64", "ca-certificates", "tzdata", "netbase"], distroless: BASE },
    Row { name: "cc", packages: &["libc6", "libgcc-s1", "libstdc++6"], distroless: CC },
    Row { name: "python", packages: &["python3", "ca-certificates"], distroless: PYTHON },
    Row { name: "nginx", packages: &["nginx-light"], distroless: &[] },
    Row { name: "redis", packages: &["redis-server"], distroless: &[] },
    Row { name: "haproxy", packages: &["haproxy"], distroless: &[] },
    Row { name: "memcached", packages: &["memcached"], distroless: &[] },
    Row { name: "curl", packages: &["curl", "ca-certificates"], distroless: &[] },
];

/// What is counted of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    files: u64,
    bytes: u64,
    elf: u64,
    setuid: u64,
    ret: u64,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tarsia, directory, mirror, rows @ ..] = &arguments[..] else {
        eprintln!("usage: sizes TARSIA DIR MIRROR|- [ROW…]");
        return ExitCode::from(2);
    };
    match table(Path::new(tarsia), Path::new(directory), Some(mirror.as_str()).filter(|text| *text != "-"), rows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn table(tarsia: &Path, directory: &Path, mirror: Option<&str>, rows: &[String]) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)?;
    println!("| packages | kept | files | MB | ELF | setuid | `ret` |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for row in ROWS.iter().filter(|row| rows.is_empty() || rows.iter().any(|name| name == row.name)) {
        for keep in ["needed", "runtime", "all"] {
            line(row.name, &format!("`keep: {keep}`"), built(tarsia, directory, row.name, row.packages, keep)?);
        }
        if !row.distroless.is_empty() {
            let counts = built(tarsia, directory, &format!("{}-distroless", row.name), row.distroless, "all")?;
            line(row.name, "distroless' list, whole", counts);
        }
        if let Some(mirror) = mirror {
            line(row.name, "`mmdebstrap`, minbase", minbase(directory, row, mirror)?);
        }
    }
    Ok(())
}

fn line(name: &str, kept: &str, Counts { files, bytes, elf, setuid, ret }: Counts) {
    let megabytes = bytes as f64 / 1e6;
    println!("| {name} | {kept} | {files} | {megabytes:.1} | {elf} | {setuid} | {ret} |");
}

/// Builds packages with a `keep`, and counts the image.
fn built(tarsia: &Path, directory: &Path, name: &str, packages: &[&str], keep: &str) -> Result<Counts, Failure> {
    let stem = format!("{name}-{keep}");
    let spec = directory.join(format!("{stem}.yaml"));
    let packages = packages.join(", ");
    std::fs::write(
        &spec,
        format!("version: 1\ndistro: debian/13\nplatforms: [linux/amd64]\npackages: [{packages}]\nkeep: {keep}\n"),
    )?;
    let image = directory.join(format!("{stem}.oci"));
    let done = Command::new(tarsia).args(["build", "-q"]).arg(&spec).arg("-o").arg(&image).output()?;
    if !done.status.success() {
        return Err(format!("{stem}: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    let open = open(&Destination::parse(&image.display().to_string())?)?;
    let one = open.images().first().ok_or("an image without a platform")?;
    let rootfs = Rootfs::read(&open, one, &mut |entry, body| {
        let mut bytes = Vec::new();
        if entry.size > 0 {
            body.read_to_end(&mut bytes)
                .map_err(|source| tarsia::image::Error::Read { image: stem.clone(), source })?;
        }
        Ok(executable(&bytes))
    })?;
    let mut counts = Counts::default();
    for node in rootfs.nodes.values().filter(|node| node.kind != tarsia::tar::read::Kind::Directory) {
        counts.files += 1;
        counts.bytes += node.size;
        if node.kind == tarsia::tar::read::Kind::File {
            counts.elf += u64::from(node.content.is_some());
            counts.ret += node.content.unwrap_or(0);
            counts.setuid += u64::from(node.mode & 0o6000 != 0);
        }
    }
    Ok(counts)
}

/// Makes a minimal system with the packages, and counts it.
fn minbase(directory: &Path, row: &Row, mirror: &str) -> Result<Counts, Failure> {
    let root = directory.join(format!("{}-minbase", row.name));
    if !root.exists() {
        let mut make = Command::new("mmdebstrap");
        make.args(["--variant=minbase", "--mode=root", "--quiet", "--aptopt=APT::Install-Recommends \"false\""]);
        make.arg(format!("--include={}", row.packages.join(","))).arg("trixie").arg(&root);
        make.arg(format!("deb [trusted=yes] {mirror} trixie main"));
        let done = make.output()?;
        if !done.status.success() {
            return Err(format!("mmdebstrap: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
    }
    let mut counts = Counts::default();
    let mut seen = BTreeSet::new();
    walk(&root, &mut counts, &mut seen)?;
    Ok(counts)
}

fn walk(directory: &Path, counts: &mut Counts, seen: &mut BTreeSet<u64>) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    #[expect(clippy::disallowed_methods, reason = "sums do not depend on the order")]
    let entries = std::fs::read_dir(directory)?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    for path in paths {
        let meta = path.symlink_metadata()?;
        if meta.is_dir() {
            walk(&path, counts, seen)?;
            continue;
        }
        counts.files += 1;
        if meta.is_file() && (meta.nlink() == 1 || seen.insert(meta.ino())) {
            counts.bytes += meta.len();
            counts.setuid += u64::from(meta.mode() & 0o6000 != 0);
            let mut bytes = Vec::new();
            std::fs::File::open(&path)?.read_to_end(&mut bytes)?;
            let found = executable(&bytes);
            counts.elf += u64::from(found.is_some());
            counts.ret += found.unwrap_or(0);
        }
    }
    Ok(())
}

/// Returns how many bytes of an x86-64 ELF file's executable segments end a gadget; `None` for what is no ELF file.
fn executable(bytes: &[u8]) -> Option<u64> {
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let number = |at: usize, size: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        let value = field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    let segments = || -> Option<u64> {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut sum = 0;
        for segment in 0..count {
            let at = table.checked_add(segment.checked_mul(size)?)?;
            // PT_LOAD with PF_X.
            if number(at, 4)? == 1 && number(at.checked_add(4)?, 4)? & 1 == 1 {
                let (offset, length) = (number(at.checked_add(8)?, 8)?, number(at.checked_add(32)?, 8)?);
                let code = bytes.get(offset..offset.checked_add(length)?)?;
                sum += code.iter().filter(|byte| matches!(byte, 0xc2 | 0xc3)).count() as u64;
            }
        }
        Some(sum)
    };
    // Of another class or processor, or malformed: an ELF file all the same, with nothing to count.
    let x86_64 = bytes.get(4) == Some(&2) && number(18, 2) == Some(62);
    Some(if x86_64 { segments().unwrap_or(0) } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_counted() {
        let mut elf = vec![0_u8; 64 + 56 + 8];
        elf[..4].copy_from_slice(b"\x7fELF");
        (elf[4], elf[18], elf[32], elf[54], elf[56]) = (2, 62, 64, 56, 1);
        (elf[64], elf[68], elf[72], elf[96]) = (1, 5, 120, 6);
        elf[120..].copy_from_slice(&[0xc3, 0x90, 0xc2, 0xc3, 0, 0, 0xc3, 0xc3]);
        assert_eq!(executable(&elf), Some(3));
        elf[68] = 4;
        assert_eq!(executable(&elf), Some(0));
        elf[32] = 255;
        assert_eq!(executable(&elf), Some(0));
        assert_eq!(executable(b"#!/bin/sh\n"), None);
    }
}
