//! The group `real`: what `keep: needed` keeps of real packages, and that it is enough.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::container::Bundle;
use crate::program::Place;
use crate::real::{built_in_store, image};

/// Builds an image of these packages in the store of the examples.
fn packages(place: &Place, name: &str, rest: &str) -> PathBuf {
    let text = format!("version: 1\nname: {name}\ndistro: debian/13\nplatforms: [linux/amd64]\n{rest}\n");
    place.write(&format!("{name}.yaml"), text);
    built_in_store(place, name)
}

/// Returns the files of an image with their sizes, paths from the root.
fn files(bundle: &Bundle) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut directories = vec![bundle.root()];
    while let Some(directory) = directories.pop() {
        #[expect(clippy::disallowed_methods, reason = "the order does not matter: sizes are added, paths become a set")]
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(bundle.root()).unwrap().display().to_string();
                found.push((path, if metadata.is_file() { metadata.len() } else { 0 }));
            }
        }
    }
    found
}

#[test]
fn naming_a_server_brings_no_shell_and_no_perl() {
    let place = Place::new();
    let all = packages(&place, "servers", "packages: [ca-certificates, haproxy, memcached, nginx, redis-server]");
    let found: BTreeSet<String> = files(&Bundle::unpack(&all)).into_iter().map(|(path, _)| path).collect();
    for program in ["sh", "dash", "bash", "perl", "busybox"] {
        assert!(!found.contains(&format!("usr/bin/{program}")), "{program}");
    }
    assert!(!found.iter().any(|path| path.contains("/perl5/") || path.contains("/perl-base/")), "{found:?}");
    for program in ["usr/sbin/nginx", "usr/sbin/haproxy", "usr/bin/redis-server", "usr/bin/memcached"] {
        assert!(found.contains(program), "{program}");
    }
}

#[test]
fn images_are_as_small_as_they_are_said_to_be() {
    let place = Place::new();
    for (name, rest, most) in [
        ("cc", "packages: [libc6, libgcc-s1, libstdc++6]", 6_700_000),
        ("base", "packages: [ca-certificates, libssl3t64, netbase, tzdata]", 13_010_000),
    ] {
        let bundle = Bundle::unpack(&packages(&place, name, rest));
        let size: u64 = files(&bundle).iter().map(|(_, size)| size).sum();
        assert!(size <= most, "{name} has {size} bytes");
    }
    let size: u64 = files(&Bundle::unpack(&image("python"))).iter().map(|(_, size)| size).sum();
    assert!(size <= 41_500_000, "python has {size} bytes");
}

/// Imports every module of the standard library and of three compiled packages, and tells which of them work.
const IMPORTS: &str = r#"
import importlib, sys, warnings
warnings.simplefilter("ignore")
for name in sorted(sys.stdlib_module_names) + [
    "numpy", "numpy.fft", "numpy.linalg", "numpy.random", "cryptography.fernet", "cryptography.x509",
    "cryptography.hazmat.primitives.ciphers.aead", "lxml.etree", "lxml.html", "lxml.objectify",
]:
    if name in ("antigravity", "idlelib", "this"):
        continue
    try:
        importlib.import_module(name)
        print(name)
    except BaseException as error:
        print("-", name, type(error).__name__)
"#;

#[test]
fn python_imports_what_it_imports_when_it_is_whole() {
    let place = Place::new();
    let imports = |keep: &str| {
        let rest = format!(
            "packages: [python3, python3-cryptography, python3-lxml, python3-numpy]\nkeep: {keep}\n\
             run: {{entrypoint: [/usr/bin/python3]}}"
        );
        let bundle = Bundle::unpack(&packages(&place, &format!("python-{keep}"), &rest));
        bundle.run_ok(Some(&["/usr/bin/python3", "-c", IMPORTS]))
    };
    let (needed, whole) = (imports("needed"), imports("runtime"));
    assert_eq!(needed, whole);
    for module in ["ssl", "sqlite3", "curses", "numpy.linalg", "cryptography.fernet", "lxml.etree"] {
        assert!(needed.lines().any(|line| line == module), "{module}: {needed}");
    }
}

#[test]
fn iconv_converts_the_character_sets_that_are_asked_for_and_no_others() {
    let place = Place::new();
    place.write("latin1.txt", b"perch\xe9\n");
    for release in ["12", "13"] {
        let name = format!("iconv-{release}");
        let text = format!(
            "version: 1\nname: {name}\ndistro: debian/{release}\nplatforms: [linux/amd64]\npackages: [libc-bin]\n\
             features: [iconv:utf-16, iconv:latin1, iconv:euc-jp]\nalso: [/usr/bin/iconv]\n\
             files:\n  - {{copy: latin1.txt, to: /latin1}}\n  - {{text: \"perché\\n\", to: /utf8}}\n  - {{text: \"日本\\n\", to: /japanese}}\n"
        );
        place.write(&format!("{name}.yaml"), text);
        let bundle = Bundle::unpack(&built_in_store(&place, &name));
        let convert = |from: &str, to: &str, file: &str| {
            let output = bundle.run(Some(&["/usr/bin/iconv", "-f", from, "-t", to, file]));
            assert!(output.status.success(), "{from} to {to} on {release}: {}", crate::container::said(&output));
            output.stdout
        };
        assert_eq!(convert("latin1", "utf-8", "/latin1"), "perché\n".as_bytes());
        assert_eq!(convert("UTF-8", "ISO_8859-1", "/utf8"), b"perch\xe9\n");
        let utf16: Vec<u8> = "\u{feff}perché\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(convert("utf-8", "utf-16", "/utf8"), utf16);
        assert_eq!(convert("latin1", "utf16", "/latin1"), utf16, "from one module to the other");
        assert_eq!(convert("utf-8", "euc-jp", "/japanese"), b"\xc6\xfc\xcb\xdc\n", "a module that needs others");
        let output = bundle.run(Some(&["/usr/bin/iconv", "-f", "utf-8", "-t", "koi8-r", "/utf8"]));
        let said = crate::container::said(&output);
        assert!(!output.status.success() && said.contains("conversion"), "on {release}: {said}");
        let listed = bundle.run_ok(Some(&["/usr/bin/iconv", "-l"]));
        assert!(listed.contains("LATIN1//") && listed.contains("UTF-16//") && !listed.contains("KOI8-R//"), "{listed}");
        let gconv: Vec<String> =
            files(&bundle).into_iter().map(|(path, _)| path).filter(|path| path.contains("/gconv/")).collect();
        assert!(gconv.iter().any(|path| path.ends_with("gconv-modules.cache")), "{gconv:?}");
        assert!(gconv.len() < 8 && !gconv.iter().any(|path| path.ends_with("gconv-modules")), "{gconv:?}");
    }
}
