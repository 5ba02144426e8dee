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
    let v1 = "package: aa\narchive: x\nessential:\n  - aa_all\nv3-essential: {bb_libs: {arch: arm64}}\nslices:\n  all:\n    contents: {/x: , /y: {prefer: bb}}\n  \
              bins:\n    essential: [bb_libs, aa_bins]\n    hint: short\n    contents:\n";
    let b = "package: bb\nslices:\n  libs:\n    contents: {/y: , /z/**: {until: mutate}, /w: {text: FIXME, mutable: true}}\n    mutate: |\n      content.write(\"/w\", \"\")\n";
    let slices = slices(&[("aa.yaml", v1), ("bb.yaml", b)]).unwrap();
    let chosen = slices.choose(&[name("aa_bins")], "amd64").unwrap();
    let of = |text: &str| chosen.slices[&name(text)].keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    // `/y` is b's, `/z` is for the script alone, and `/w` would have been written by it.
    assert_eq!((of("aa_all"), of("aa_bins"), of("bb_libs")), ("/x".to_owned(), String::new(), "/y".to_owned()));
    assert_eq!(chosen.mutations.keys().collect::<Vec<_>>(), [&name("bb_libs")]);
}

#[test]
fn what_cannot_be_followed_is_named() {
    let of = |text: &str, wanted: &str| {
        let slices =
            slices(&[("aa.yaml", text), ("cc.yaml", "package: cc\nslices: {all: {contents: {/l: {symlink: y}}}}\n")])
                .unwrap();
        slices.choose(&[name(wanted), name("cc_all")], "amd64").unwrap_err().to_string()
    };
    assert_eq!(
        of("package: aa\nslices: {all: {essential: {bb_libs: }}}\n", "aa_all"),
        "there is no slice `bb_libs`, which `aa_all` needs"
    );
    assert_eq!(of("package: aa\nslices: {all: }\n", "aa_other"), "there is no slice `aa_other`");
    let manifest = "package: aa\nslices: {all: {contents: {/var/lib/chisel/**: {generate: manifest}}}}\n";
    assert!(of(manifest, "aa_all").starts_with("slice `aa_all` has `generate: manifest` at `/var/lib/chisel/**`"));
    let link = "package: aa\nslices: {all: {contents: {/l: {symlink: x}}}}\n";
    assert_eq!(of(link, "aa_all"), "slices `aa_all` and `cc_all` make different things at `/l`");
}

#[test]
fn mistakes_have_their_place() {
    for (text, expected) in [
        ("package: bb\nslices: {all: }\n", "the file is named for `aa`, and the package `bb`"),
        ("slices: {all: }\n", "it names no `package`"),
        ("package: aa\nfoo: x\n", "`foo` is no key of a package's slices"),
        ("package: aa\nslices: {All: }\n", "`All` is no name of a slice"),
        ("package: aa\nslices: {all: {contents: {x: }}}\n", "`x` is no absolute path"),
        ("package: aa\nslices: {all: {contents: {/a/../b: }}}\n", "`/a/../b` is no absolute path"),
        ("package: aa\nslices: {all: {contents: {/x*: {text: y}}}}\n", "`/x*` is a glob"),
        ("package: aa\nslices: {all: {contents: {/x: {text: y, copy: /z}}}}\n", "`/x` is said to be several things"),
        ("package: aa\nslices: {all: {contents: {/x: {make: true}}}}\n", "those end in a slash"),
        ("package: aa\nslices: {all: {contents: {/x: {mode: 099}}}}\n", "`099` is no mode"),
        ("package: aa\nslices: {all: {contents: {/x: {until: noon}}}}\n", "`until` is no key of a content"),
        ("package: aa\nslices: {all: {essential: [libs]}}\n", "`libs` is no slice"),
        ("package: aa\nslices: [x]\n", "this is to be a mapping"),
    ] {
        let problem = slices(&[("aa.yaml", text)]).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
    let twice =
        slices(&[("x/aa.yaml", "package: aa\nslices: {all: }\n"), ("y/aa.yaml", "package: aa\nslices: {all: }\n")]);
    assert!(twice.unwrap_err().contains("`x/aa.yaml` has slices of `aa` already"));
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
