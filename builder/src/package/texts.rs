//! Which files' whole contents go into a pack's index, because selection reads them.
//!
//! A change here changes packs: raise [`PACK_FORMAT`](super::PACK_FORMAT).

use crate::languages;

/// The largest file whose contents are kept: PHP's masters of `php.ini`, which scripts of other packages copy, are 68 KiB.
const MAX_TEXT: u64 = 96 << 10;
/// The largest copyright file whose contents are kept: Java's has 246 KiB.
const MAX_COPYRIGHT: u64 = 1 << 20;

/// Exact paths.
const FILES: [&str; 9] = [
    "etc/ca-certificates.conf",
    "etc/debian_version",
    "etc/host.conf",
    "etc/ld.so.conf",
    "etc/nsswitch.conf",
    "etc/os-release",
    "etc/passwd",
    "usr/lib/os-release",
    "usr/share/libc-bin/nsswitch.conf",
];

/// Everything directly in these directories.
const DIRECTORIES: [&str; 18] = [
    "etc/fonts",
    "etc/fonts/conf.d",
    "etc/ld.so.conf.d",
    "etc/pam.d",
    "etc/php",
    "etc/sysusers.d",
    "etc/tmpfiles.d",
    "usr/lib/pam.d",
    "usr/lib/sysusers.d",
    "usr/lib/tmpfiles.d",
    "usr/share/base-files",
    "usr/share/base-passwd",
    "usr/share/dictionaries-common",
    "usr/share/pam",
    "usr/share/pam-configs",
    "usr/share/postgresql-common",
    "usr/share/mysql-common",
    "usr/share/python3",
];

/// Everything below these directories.
const TREES: [&str; 3] = ["usr/share/ca-certificates/", "usr/share/fontconfig/", "usr/share/xml/fontconfig/"];

/// Returns whether the contents of a file of `size` bytes at this path (as shipped, without leading slash) are kept.
pub(super) fn wanted(path: &str, size: u64) -> bool {
    if is_copyright(path) { size <= MAX_COPYRIGHT } else { size <= MAX_TEXT && is_read(path) }
}

/// Returns whether this is a package's copyright file (Debian policy 12.5).
fn is_copyright(path: &str) -> bool {
    let directory = path.strip_prefix("usr/share/doc/").and_then(|rest| rest.strip_suffix("/copyright"));
    directory.is_some_and(|package| !package.contains('/'))
}

fn is_read(path: &str) -> bool {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    // A package may still ship to /lib what belongs to /usr/lib.
    let usr = |path: &str| if path.starts_with("lib/") { format!("usr/{path}") } else { path.to_owned() };
    FILES.contains(&usr(path).as_str())
        || DIRECTORIES.contains(&usr(parent).as_str())
        || TREES.iter().any(|tree| path.starts_with(tree))
        || languages::is_read(path)
        || name.starts_with("php.ini-") && parent.starts_with("usr/lib/php/")
        || name.starts_with("gconv-modules") && (name.ends_with(".conf") || name == "gconv-modules")
        || name == "entry_points.txt" && (parent.ends_with(".dist-info") || parent.ends_with(".egg-info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for path in [
            "etc/ld.so.conf.d/x86_64-linux-gnu.conf",
            "usr/share/ca-certificates/mozilla/A.crt",
            "lib/tmpfiles.d/x.conf",
            "usr/lib/php/8.4/php.ini-production.cli",
            "usr/share/doc/hello/copyright",
            "usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/gconv-modules-extra.conf",
            "usr/lib/python3/dist-packages/x-1.dist-info/RECORD",
            "usr/lib/python3/dist-packages/x-1.egg-info",
            "usr/share/nodejs/acorn/package.json",
            "app/node_modules/@scope/x/package.json",
            "app/node_modules/x/node_modules/y/package.json",
            "usr/share/rubygems-integration/all/specifications/rake-13.gemspec",
        ] {
            assert!(wanted(path, MAX_TEXT), "{path}");
            assert_eq!(wanted(path, MAX_TEXT + 1), path.ends_with("/copyright"), "{path}");
        }
        for path in [
            "etc/x",
            "usr/share/doc/a/b/copyright",
            "RECORD",
            "usr/bin/gconv-modules.bin",
            "package.json",
            "usr/share/nodejs/acorn/dist/package.json",
            "usr/share/nodejs/@scope/package.json",
            "",
        ] {
            assert!(!wanted(path, 1), "{path}");
        }
        assert!(!wanted("usr/share/doc/hello/copyright", MAX_COPYRIGHT + 1));
    }
}
