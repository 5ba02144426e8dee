use super::*;
use crate::diag::Source;

fn slices(files: &[(&str, &str)]) -> Result<Slices, String> {
    let sources: Vec<_> = files.iter().map(|(name, text)| Source::new(*name, *text)).collect();
    parse(&sources).map_err(|problems| problems.to_string())
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

const LIBC6: &str = "package: libc6\nessential:\n  libc6_copyright:\nslices:\n  libs:\n    essential:\n      \
                     base-files_lib: {arch: [amd64, ppc64el]}\n    contents:\n      /usr/lib/*-linux-*/libc.so.*:\n      \
                     /usr/lib/*-linux-*/libmvec.so.*: {arch: [amd64, arm64]}\n      /usr/lib/x: {arch: s390x}\n  copyright:\n    \
                     contents:\n      /usr/share/doc/libc6/copyright:\n";
const BASE: &str = "package: base-files\nslices:\n  lib:\n    contents:\n      /lib:\n      /run/lock/: {make: true, mode: 01777}\n      \
                    /var/run/: {symlink: /run}\n      /etc/hosts: {text: \"a\\n\"}\n      /etc/copy: {copy: /usr/share/x, mode: 0640}\n";

#[test]
fn slices_lead_to_what_they_need() {
    let slices =
        slices(&[("s/libc6.yaml", LIBC6), ("s/base-files.yaml", BASE), ("chisel.yaml", "format: v3\n")]).unwrap();
    let chosen = slices.choose(&[name("libc6_libs")], "amd64").unwrap();
    let names: Vec<String> = chosen.slices.keys().map(Name::to_string).collect();
    assert_eq!(names, ["base-files_lib", "libc6_copyright", "libc6_libs"]);
    let paths: Vec<&str> = chosen.slices[&name("libc6_libs")].keys().map(String::as_str).collect();
    assert_eq!(paths, ["/usr/lib/*-linux-*/libc.so.*", "/usr/lib/*-linux-*/libmvec.so.*"]);
    assert!(chosen.because[&name("libc6_libs")].is_empty());
    assert_eq!(chosen.because[&name("base-files_lib")], [name("libc6_libs")].into());
    let lib = &chosen.slices[&name("base-files_lib")];
    assert_eq!((&lib["/run/lock/"].kind, lib["/run/lock/"].mode), (&ContentKind::Make, Some(0o1777)));
    assert_eq!(lib["/var/run/"].kind, ContentKind::Symlink("/run".into()));
    assert_eq!(
        lib["/etc/copy"],
        Content { kind: ContentKind::Copy("/usr/share/x".into()), mode: Some(0o640), ..Content::default() }
    );
    // Elsewhere the loader needs no link.
    let chosen = slices.choose(&[name("libc6_libs")], "arm64").unwrap();
    assert_eq!(chosen.packages(), ["libc6"].into());
}

#[test]
fn older_formats_have_lists() {
    let v1 = "package: a\narchive: x\nessential:\n  - a_all\nv3-essential: {b_libs: {arch: arm64}}\nslices:\n  all:\n    contents: {/x: , /y: {prefer: b}}\n  \
              bins:\n    essential: [b_libs, a_bins]\n    hint: short\n    contents:\n";
    let b = "package: b\nslices:\n  libs:\n    contents: {/y: , /z/**: {until: mutate}, /w: {text: FIXME, mutable: true}}\n    mutate: |\n      content.write(\"/w\", \"\")\n";
    let slices = slices(&[("a.yaml", v1), ("b.yaml", b)]).unwrap();
    let chosen = slices.choose(&[name("a_bins")], "amd64").unwrap();
    let of = |text: &str| chosen.slices[&name(text)].keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    // `/y` is b's, `/z` is for the script alone, and `/w` would have been written by it.
    assert_eq!((of("a_all"), of("a_bins"), of("b_libs")), ("/x".to_owned(), String::new(), "/y".to_owned()));
    assert_eq!(chosen.mutations.keys().collect::<Vec<_>>(), [&name("b_libs")]);
}

#[test]
fn what_cannot_be_followed_is_named() {
    let of = |text: &str, wanted: &str| {
        let slices =
            slices(&[("a.yaml", text), ("c.yaml", "package: c\nslices: {all: {contents: {/l: {symlink: y}}}}\n")])
                .unwrap();
        slices.choose(&[name(wanted), name("c_all")], "amd64").unwrap_err().to_string()
    };
    assert_eq!(
        of("package: a\nslices: {all: {essential: {b_libs: }}}\n", "a_all"),
        "there is no slice `b_libs`, which `a_all` needs"
    );
    assert_eq!(of("package: a\nslices: {all: }\n", "a_other"), "there is no slice `a_other`");
    let manifest = "package: a\nslices: {all: {contents: {/var/lib/chisel/**: {generate: manifest}}}}\n";
    assert!(of(manifest, "a_all").starts_with("slice `a_all` has `generate: manifest` at `/var/lib/chisel/**`"));
    let link = "package: a\nslices: {all: {contents: {/l: {symlink: x}}}}\n";
    assert_eq!(of(link, "a_all"), "slices `a_all` and `c_all` make different things at `/l`");
}

#[test]
fn mistakes_have_their_place() {
    for (text, expected) in [
        ("package: b\nslices: {all: }\n", "the file is named for `a`, and the package `b`"),
        ("slices: {all: }\n", "it names no `package`"),
        ("package: a\nfoo: x\n", "`foo` is no key of a package's slices"),
        ("package: a\nslices: {All: }\n", "`All` is no name of a slice"),
        ("package: a\nslices: {all: {contents: {x: }}}\n", "`x` is no absolute path"),
        ("package: a\nslices: {all: {contents: {/a/../b: }}}\n", "`/a/../b` is no absolute path"),
        ("package: a\nslices: {all: {contents: {/x*: {text: y}}}}\n", "`/x*` is a glob"),
        ("package: a\nslices: {all: {contents: {/x: {text: y, copy: /z}}}}\n", "`/x` is said to be several things"),
        ("package: a\nslices: {all: {contents: {/x: {make: true}}}}\n", "those end in a slash"),
        ("package: a\nslices: {all: {contents: {/x: {mode: 099}}}}\n", "`099` is no mode"),
        ("package: a\nslices: {all: {contents: {/x: {until: noon}}}}\n", "`until` is no key of a content"),
        ("package: a\nslices: {all: {essential: [libs]}}\n", "`libs` is no slice"),
        ("package: a\nslices: [x]\n", "this is to be a mapping"),
    ] {
        let problem = slices(&[("a.yaml", text)]).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
    let twice = slices(&[("x/a.yaml", "package: a\nslices: {all: }\n"), ("y/a.yaml", "package: a\nslices: {all: }\n")]);
    assert!(twice.unwrap_err().contains("`x/a.yaml` has slices of `a` already"));
    assert!(slices(&[("chisel.yaml", "format: v9\n")]).unwrap_err().contains("format `v9` is not known"));
}

#[test]
fn globs_are_chisel_s() {
    for (pattern, path, expected) in [
        ("usr/lib/*-linux-*/libc.so.*", "usr/lib/x86_64-linux-gnu/libc.so.6", true),
        ("usr/lib/*-linux-*/libc.so.*", "usr/lib/x86_64-linux-gnu/a/libc.so.6", false),
        ("usr/lib/**", "usr/lib/a/b", true),
        ("usr/**/b", "usr/lib/a/b", true),
        ("usr/**b", "usr/lib/a/b", true),
        ("etc/ssl/certs/", "etc/ssl/certs", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("*", "", true),
        ("a", "ab", false),
        ("**", "a/b/c", true),
    ] {
        assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
    }
    let stars = "*a".repeat(200);
    assert!(!fits(&stars, &"a".repeat(190)), "bounded");
}

#[test]
fn names_of_slices_are_told_from_packages() {
    assert_eq!(name("libstdc++6_libs").to_string(), "libstdc++6_libs");
    for text in ["libc6", "libc6_", "_libs", "libc6_Libs", "libc6_ab", "libc6_a-", "libc6_libs_x", "LIBC6_libs"] {
        assert_eq!(Name::parse(text), None, "{text}");
    }
}
