//! What is needed, on packages built by code.

use super::*;
use crate::elf::Facts;
use crate::package::Scan;
use crate::rules::closure;
use crate::spec::{Feature, Keep};
use crate::tree::ImagePath;

pub(super) const LIB: &str = "usr/lib/x86_64-linux-gnu";

/// A 64-bit shared object for x86-64 that needs these.
pub(super) fn elf(needed: &[&str]) -> Facts {
    Facts {
        class: 64,
        machine: 62,
        kind: 3,
        dynamic: true,
        needed: needed.iter().map(|name| (*name).to_owned()).collect(),
        ..Facts::default()
    }
}

pub(super) fn file(path: &str) -> Entry {
    let digest = Digest::of(path.as_bytes());
    let facts = FileFacts { size: 1, offset: 0, digest, sha1: Sha1::of(path.as_bytes()), elf: None, shebang: None };
    entry(path, EntryKind::File(facts), 0o644)
}

pub(super) fn binary(path: &str, facts: Facts) -> Entry {
    let mut made = file(path);
    if let EntryKind::File(file) = &mut made.kind {
        file.elf = Some(Box::new(facts));
    }
    made
}

fn script(path: &str, shebang: &str) -> Entry {
    let mut made = file(path);
    if let EntryKind::File(file) = &mut made.kind {
        file.shebang = Some(shebang.to_owned());
    }
    made
}

fn link(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::Symlink(target.to_owned()), 0o777)
}

/// A library in the public directory.
fn library(name: &str, needed: &[&str]) -> Entry {
    binary(&format!("{LIB}/{name}"), Facts { soname: Some(name.to_owned()), ..elf(needed) })
}

pub(super) struct Needed(pub(super) World);

impl Needed {
    pub(super) fn new() -> Self {
        let mut world = World::new();
        world.lock.keep = "needed".into();
        Self(world)
    }

    pub(super) fn add(mut self, name: &str, why: Why, fields: &[(&str, &str)], entries: Vec<Entry>) -> Self {
        self.0 = self.0.package(name, why, "one", "");
        let pack = self.0.packs.get_mut(name).unwrap();
        pack.control.extend(fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())));
        pack.entries = entries;
        if let Some((_, source)) = fields.iter().find(|(field, _)| *field == "Source") {
            let packages = &mut self.0.lock.platform.get_mut("linux/amd64").unwrap().packages;
            packages.last_mut().unwrap().source = (*source).to_owned();
        }
        self
    }

    pub(super) fn named(self, name: &str, depends: &str, entries: Vec<Entry>) -> Self {
        self.add(name, Why::Requested, &[("Depends", depends)], entries)
    }

    pub(super) fn pulled(self, name: &str, depends: &str, entries: Vec<Entry>) -> Self {
        self.add(name, dependency(), &[("Depends", depends)], entries)
    }

    fn text(mut self, package: &str, path: &str, text: &str) -> Self {
        let pack = self.0.packs.get_mut(package).unwrap();
        let at = pack.entries.iter().position(|entry| entry.path == path).unwrap();
        pack.texts.push((u32::try_from(at).unwrap(), text.as_bytes().to_vec()));
        pack.texts.sort();
        self
    }

    /// Gives a file its text where the package is there.
    pub(super) fn text_if(self, package: &str, path: &str, text: &str) -> Self {
        if self.0.packs.contains_key(package) { self.text(package, path, text) } else { self }
    }

    pub(super) fn also(mut self, path: &str) -> Self {
        self.0.spec.also.push(Spanned { value: format!("/{path}"), span: Span::default() });
        self
    }

    fn scan(mut self, package: &str, path: &str, scan: Scan) -> Self {
        let pack = self.0.packs.get_mut(package).unwrap();
        let at = pack.entries.iter().position(|entry| entry.path == path).unwrap();
        pack.scans.push((u32::try_from(at).unwrap(), scan));
        self
    }

    pub(super) fn feature(mut self, name: &str, value: Option<&str>) -> Self {
        let value = Feature { name: name.into(), value: value.map(str::to_owned) };
        self.0.spec.features.push(Spanned { value, span: Span::default() });
        self
    }

    fn entrypoint(mut self, words: &[&str]) -> Self {
        self.0.spec.run.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn never(mut self, glob: &str, force: bool) -> Self {
        let value = crate::spec::Never { glob: glob.to_owned(), force };
        self.0.spec.never.push(Spanned { value, span: Span::default() });
        self
    }

    pub(super) fn select(&self) -> Selection {
        self.0.select().unwrap()
    }

    /// Returns the paths of packages that are kept, directories and metadata aside.
    pub(super) fn kept(&self) -> Vec<String> {
        let selection = self.select();
        let mut paths = Vec::new();
        for plan in selection.layers.iter().filter(|plan| plan.name != "state" && plan.name != "files") {
            for entry in plan.groups.iter().flat_map(|group| &group.entries) {
                if !entry.path.as_str().starts_with("var/lib/dpkg/") {
                    let slash = if entry.body == Body::Directory { "/" } else { "" };
                    paths.push(format!("{}{slash}", entry.path.as_str()));
                }
            }
        }
        paths
    }

    fn error(&self) -> String {
        let error = self.0.select().unwrap_err();
        format!("{}: {error}; {}", error.code(), error.hints().join("; "))
    }

    fn why(&self, path: &str) -> String {
        let selection = self.select();
        let path = ImagePath::parse(path).unwrap();
        let chain = selection.reasons.chain(&path);
        chain.iter().map(|(_, reason)| reason.to_string()).collect::<Vec<_>>().join(" < ")
    }

    fn why_not(&self, path: &str) -> String {
        let input = SelectInput {
            spec: &self.0.spec,
            lock: &self.0.lock,
            platform: Platform::Amd64,
            packs: &self.0.packs,
            pack_keys: &self.0.keys,
            local: &self.0.local,
            local_key: Digest::of(b"local"),
            base: None,
        };
        let found = absent(&input, &ImagePath::parse(path).unwrap()).unwrap();
        found.into_iter().map(|(package, why)| format!("{package}: {why}")).collect::<Vec<_>>().join("; ")
    }
}

fn server() -> Needed {
    Needed::new()
        .named(
            "server",
            "libone (>= 1), server-common, tools | other, debconf",
            vec![
                binary("usr/sbin/server", Facts { interpreter: Some("/lib64/ld.so".into()), ..elf(&["libone.so.1"]) }),
                script("usr/sbin/server-setup", "/bin/sh"),
                file("etc/server.conf"),
                entry("var/log/server", EntryKind::Directory, 0o755),
                file("usr/share/doc/server/copyright"),
                file("usr/share/doc/server/README"),
                file("etc/init.d/server"),
            ],
        )
        .pulled(
            "libone",
            "libc6",
            vec![
                link(&format!("{LIB}/libone.so.1"), "libone.so.1.2"),
                library("libone.so.1.2", &["libc.so.6"]),
                library("libunused.so.1", &["libc.so.6"]),
                file("usr/share/one/data"),
                binary("usr/bin/one", elf(&[])),
            ],
        )
        .pulled("libc6", "", vec![library("libc.so.6", &[]), binary("usr/lib64/ld.so", elf(&[]))])
        .add(
            "server-common",
            dependency(),
            &[("Source", "server"), ("Depends", "libtwo")],
            vec![file("usr/share/server/page"), script("usr/bin/server-help", "/usr/bin/perl")],
        )
        .pulled("libtwo", "", vec![library("libtwo.so.2", &[]), file("usr/share/two/data")])
        .pulled("tools", "libtwo", vec![binary("usr/bin/tool", elf(&["libtwo.so.2"])), file("usr/share/tools/table")])
        .pulled("dash", "", vec![binary("usr/bin/dash", elf(&[])), link("usr/bin/sh", "dash")])
        .pulled("debconf", "", vec![file("usr/share/debconf/x"), binary("usr/bin/debconf", elf(&[]))])
}

#[test]
fn what_is_named_is_kept_and_what_is_pulled_in_as_far_as_it_is_needed() {
    insta::assert_snapshot!(server().kept().join("\n"), @r"
    usr/lib/x86_64-linux-gnu/libc.so.6
    usr/lib64/ld.so
    usr/lib/x86_64-linux-gnu/libone.so.1
    usr/lib/x86_64-linux-gnu/libone.so.1.2
    usr/share/one/data
    etc/server.conf
    usr/sbin/server
    usr/share/doc/server/copyright
    var/log/server/
    usr/share/server/page
    usr/share/tools/table
    ");
}

#[test]
fn every_reason_leads_to_what_the_spec_says() {
    let world = server();
    assert_eq!(
        world.why(&format!("{LIB}/libone.so.1.2")),
        "needed as `libone.so.1` by /usr/sbin/server < program of `server` < named by the spec: `packages: server`"
    );
    assert_eq!(
        world.why("usr/share/one/data"),
        "data of `libone` < needed for /usr/lib/x86_64-linux-gnu/libone.so.1 < needed as `libone.so.1` by /usr/sbin/server \
         < program of `server` < named by the spec: `packages: server`"
    );
    let selection = world.select();
    for path in selection.reasons.files.keys() {
        let chain = selection.reasons.chain(path);
        assert!(!chain.is_empty(), "{path} hangs on nothing");
        assert_eq!(selection.reasons.chains(path, 100)[0].len(), chain.len(), "{path}");
    }
    assert!(selection.reasons.packages.contains_key("libone") && !selection.reasons.packages.contains_key("libtwo"));
}

#[test]
fn what_is_absent_has_its_reason() {
    let world = server();
    for (path, said) in [
        ("usr/share/doc/server/README", "server: it is of class `doc`, which `keep: needed` drops"),
        ("etc/init.d/server", "server: it is of class `admin`"),
        ("usr/sbin/server-setup", "server: it is a script, and what runs it is not kept: `/bin/sh`"),
        ("usr/lib/x86_64-linux-gnu/libunused.so.1", "libone: nothing kept is linked to it"),
        ("usr/bin/one", "libone: nothing kept runs it, and the spec does not name its package"),
        ("usr/share/two/data", "libtwo: nothing kept needs it, or any other file of that package"),
        ("usr/bin/debconf", "debconf: only maintainer scripts use that package"),
        ("nowhere", ""),
    ] {
        assert!(world.why_not(path).starts_with(said), "{path}: {}", world.why_not(path));
    }
    let dropped =
        [("/usr/bin/server-help", "server-common", "/usr/bin/perl"), ("/usr/sbin/server-setup", "server", "/bin/sh")];
    let dropped = dropped.map(|(path, package, shebang)| (path.to_owned(), package.to_owned(), shebang.to_owned()));
    assert_eq!(world.select().report.scripts, dropped);
}

#[test]
fn the_order_of_input_means_nothing() {
    let world = server();
    let expected = (world.kept(), world.select().reasons);
    let mut other = server();
    for pack in other.0.packs.values_mut() {
        pack.entries.reverse();
    }
    other.0.lock.platform.get_mut("linux/amd64").unwrap().packages.reverse();
    let mut kept = other.kept();
    let mut wanted = expected.0;
    kept.sort();
    wanted.sort();
    assert_eq!(kept, wanted);
    assert_eq!(other.select().reasons, expected.1);
}

#[test]
fn a_need_that_nothing_meets_is_named() {
    let world = Needed::new().named("app", "", vec![binary("usr/bin/app", elf(&["libgone.so.3"]))]);
    insta::assert_snapshot!(world.error(), @"select::needed: cannot keep /usr/bin/app of `app`: it needs `libgone.so.3`, which nothing in the lock ships; its package is likely `libgone3`: `tarsia add libgone3`; or leave the file out with `never:`");
    let world = Needed::new().named("app", "libone", vec![binary("usr/bin/app", elf(&["libone.so.1"]))]).pulled(
        "libone",
        "",
        vec![binary(&format!("{LIB}/libone.so.1"), Facts { class: 32, machine: 3, ..elf(&[]) })],
    );
    assert!(
        world.error().contains("and /usr/lib/x86_64-linux-gnu/libone.so.1 is for another machine"),
        "{}",
        world.error()
    );
    let world = Needed::new().named("app", "", vec![script("usr/bin/app", "/bin/sh")]).entrypoint(&["/usr/bin/app"]);
    insta::assert_snapshot!(world.error(), @"select::interpreter: cannot keep /usr/bin/app of `app`: it is run by `/bin/sh`, which nothing in the lock ships; `tarsia add dash`");
}

#[test]
fn a_never_that_breaks_a_need_is_named_unless_it_is_forced() {
    let error = server().never("/usr/lib/**/libone.so*", false).error();
    assert!(error.contains("/usr/sbin/server of `server` needs `libone.so.1`"), "{error}");
    let kept = server().never("/usr/lib/**/libone.so*", true).kept();
    assert!(!kept.iter().any(|path| path.contains("libone")), "{kept:?}");
    // What it alone needed goes with it.
    assert!(!kept.iter().any(|path| path.contains("libc.so.6")), "{kept:?}");
    assert!(!server().never("/usr/share/one/**", false).kept().iter().any(|path| path.contains("share/one")));
}

#[test]
fn scripts_follow_their_interpreter() {
    let world = |group: &str| {
        let perl = vec![binary("usr/bin/perl", elf(&[])), file("usr/share/perl5/Core.pm")];
        Needed::new()
            .add(
                "app",
                Why::Requested,
                &[("Depends", "perl, env, lib-perl"), ("Source", "app")],
                vec![
                    script("usr/bin/app", "/usr/bin/env perl"),
                    script("usr/bin/app-sh", "/bin/sh"),
                    link("usr/bin/alias", "app"),
                ],
            )
            .add("app-bin", Why::Requested, &[("Source", group)], vec![binary("usr/bin/app-bin", elf(&[]))])
            .pulled("perl", "", perl)
            .pulled("lib-perl", "", vec![file("usr/share/perl5/Module.pm")])
            .add("env", dependency(), &[("Essential", "yes")], vec![binary("usr/bin/env", elf(&[]))])
            .add(
                "dash",
                dependency(),
                &[("Essential", "yes")],
                vec![binary("usr/bin/dash", elf(&[])), link("usr/bin/sh", "dash")],
            )
    };
    // Nothing of its source is an ELF program, so it brings what runs it; a shell is never brought.
    let alone = [
        "usr/bin/alias",
        "usr/bin/app",
        "usr/bin/app-bin",
        "usr/bin/env",
        "usr/share/perl5/Module.pm",
        "usr/bin/perl",
        "usr/share/perl5/Core.pm",
    ];
    assert_eq!(world("other").kept(), alone);
    assert_eq!(world("app").kept(), ["usr/bin/app-bin"]);
    // What the image runs brings everything.
    assert_eq!(world("app").entrypoint(&["app"]).kept(), alone);
    let sh = world("app").entrypoint(&["/usr/bin/app-sh"]).kept();
    assert_eq!(sh, ["usr/bin/app-sh", "usr/bin/app-bin", "usr/bin/dash", "usr/bin/sh"]);
}

#[test]
fn an_entrypoint_brings_the_programs_that_it_runs_from_near() {
    let scan = Scan { commands: vec!["near".into(), "far".into(), "uname".into()], ..Scan::default() };
    let world = Needed::new()
        .named("app", "dash, near", vec![script("usr/bin/app", "/bin/sh")])
        .pulled("dash", "", vec![link("usr/bin/sh", "dash"), binary("usr/bin/dash", elf(&[]))])
        .pulled("near", "", vec![binary("usr/bin/near", elf(&[]))])
        .pulled("far", "", vec![binary("usr/bin/far", elf(&[]))])
        .scan("app", "usr/bin/app", scan)
        .entrypoint(&["/usr/bin/app"]);
    assert_eq!(world.kept(), ["usr/bin/app", "usr/bin/dash", "usr/bin/sh", "usr/bin/near"]);
    assert_eq!(world.why("usr/bin/near"), "run as `near` by /usr/bin/app < run.entrypoint");
}

#[test]
fn scripts_that_run_each_other_come_to_an_end() {
    let runs = |name: &str| Scan { commands: vec![name.into()], ..Scan::default() };
    let world = || {
        Needed::new()
            .named("app", "dash", vec![script("usr/bin/one", "/bin/sh"), script("usr/bin/two", "/bin/sh")])
            .pulled("dash", "", vec![link("usr/bin/sh", "dash"), binary("usr/bin/dash", elf(&[]))])
            .scan("app", "usr/bin/one", runs("two"))
            .scan("app", "usr/bin/two", runs("one"))
            .entrypoint(&["/usr/bin/one"])
    };
    assert!(world().kept().contains(&"usr/bin/two".to_owned()));
    // What is dropped is still asked for, and asks for nothing.
    let kept = world().never("/usr/bin/two", true).never("/usr/bin/one", true).kept();
    assert_eq!(kept, ["usr/bin/dash", "usr/bin/sh"]);
}

#[test]
fn plugins_wait_for_a_library_of_their_source_and_for_what_they_need() {
    let world = |needs: &[&str]| {
        Needed::new()
            .named("app", "libone", vec![binary("usr/bin/app", elf(needs))])
            .add(
                "libone",
                dependency(),
                &[("Source", "one"), ("Depends", "one-plugins")],
                vec![library("libone.so.1", &[])],
            )
            .add(
                "one-plugins",
                dependency(),
                &[("Source", "one")],
                vec![
                    binary("usr/lib/one/good.so", elf(&[])),
                    binary("usr/lib/one/bad.so.0", elf(&["libgone.so.1"])),
                    link("usr/lib/one/bad.so", "bad.so.0"),
                    file("usr/share/one/table"),
                ],
            )
    };
    assert_eq!(world(&[]).kept(), ["usr/bin/app"]);
    let needed = world(&["libone.so.1"]);
    assert_eq!(
        needed.kept(),
        ["usr/bin/app", "usr/lib/x86_64-linux-gnu/libone.so.1", "usr/lib/one/good.so", "usr/share/one/table"]
    );
    let notes = needed.select().report.notes.join("\n");
    assert!(notes.contains("/usr/lib/one/bad.so.0 is left out: it needs `libgone.so.1`"), "{notes}");
}

#[test]
fn libraries_are_found_as_the_loader_finds_them() {
    let found = |facts: Facts, others: Vec<Entry>| {
        let world = Needed::new().named("app", "libs", vec![binary("usr/bin/app", facts)]).pulled("libs", "", others);
        let kept = world.kept();
        kept.into_iter().filter(|path| path != "usr/bin/app").collect::<Vec<_>>().join(" ")
    };
    let lib = |path: &str, needed: &[&str]| binary(path, elf(needed));
    let run =
        |runpath: &[&str]| Facts { runpath: runpath.iter().map(|p| (*p).to_owned()).collect(), ..elf(&["liba.so.1"]) };
    let both = || vec![lib("usr/lib/app/liba.so.1", &[]), library("liba.so.1", &[])];
    // Plugins of a reached package are data to the closure, so the private library is looked at by name alone.
    assert!(found(run(&["$ORIGIN/../lib/app"]), both()).contains("usr/lib/app/liba.so.1"));
    assert!(!found(run(&["$ORIGIN/../lib/app"]), both()).contains("x86_64"), "RUNPATH comes first");
    assert!(found(run(&["/nowhere"]), both()).contains("x86_64-linux-gnu/liba.so.1"));
    let rpath = Facts { rpath: vec!["/usr/lib/app".into()], ..elf(&["liba.so.1"]) };
    let inherited = vec![lib("usr/lib/app/liba.so.1", &["libb.so.1"]), lib("usr/lib/app/libb.so.1", &[])];
    assert!(found(rpath, inherited).contains("usr/lib/app/libb.so.1"), "an RPATH is handed on");
    let variants = vec![
        lib(&format!("{LIB}/glibc-hwcaps/x86-64-v3/liba.so.1"), &[]),
        library("liba.so.1", &[]),
        library("libc.so.1", &[]),
    ];
    let kept = found(elf(&["liba.so.1"]), variants);
    assert!(kept.contains("glibc-hwcaps") && kept.contains("gnu/liba.so.1") && !kept.contains("libc.so.1"), "{kept}");
    // A program that loads by path has it before it is asked for by name; of several, all stay, and it is said.
    let world = Needed::new().named(
        "app",
        "",
        vec![
            binary("usr/bin/app", elf(&["libjvm.so"])),
            lib("usr/lib/app/client/libjvm.so", &[]),
            lib("usr/lib/app/server/libjvm.so", &[]),
        ],
    );
    assert!(
        world
            .select()
            .report
            .notes
            .iter()
            .any(|note| note.contains("`libjvm.so`, which /usr/bin/app needs, is in several places"))
    );
}

#[test]
fn what_is_loaded_by_name_is_found_where_it_is_written_down() {
    let libc = Facts { soname: Some("libc.so.6".into()), ..elf(&[]) };
    let world = Needed::new()
        .named(
            "app",
            "libc6, libpam, libopt",
            vec![
                binary(
                    "usr/bin/app",
                    Facts {
                        dlopen: vec![
                            (vec!["libnone.so.1".into(), "libopt.so.1".into()], "recommended".into()),
                            (vec!["libmaybe.so.1".into()], "suggested".into()),
                        ],
                        ..elf(&["libc.so.6", "libpam.so.0"])
                    },
                ),
                file("etc/pam.d/app"),
                file("etc/nsswitch.conf"),
            ],
        )
        .text("app", "etc/pam.d/app", "auth required pam_unix.so\n# pam_no.so\n")
        .text("app", "etc/nsswitch.conf", "hosts: files [NOTFOUND=return] dns mymachines\n")
        .pulled(
            "libc6",
            "libgcc-s1",
            vec![
                binary(&format!("{LIB}/libc.so.6"), libc),
                library("libnss_mymachines.so.2", &[]),
                library("libnss_other.so.2", &[]),
            ],
        )
        .scan("libc6", &format!("{LIB}/libc.so.6"), Scan { sonames: vec!["libgcc_s.so.1".into()], ..Scan::default() })
        .pulled("libgcc-s1", "", vec![library("libgcc_s.so.1", &[])])
        .pulled(
            "libpam",
            "",
            vec![
                library("libpam.so.0", &[]),
                binary(&format!("{LIB}/security/pam_unix.so"), elf(&[])),
                binary(&format!("{LIB}/security/pam_no.so"), elf(&[])),
            ],
        )
        .pulled("libopt", "", vec![library("libopt.so.1", &[])])
        .pulled("libmaybe", "", vec![library("libmaybe.so.1", &[])]);
    let kept = world.kept().join(" ");
    for name in ["libnss_mymachines", "libgcc_s", "pam_unix.so", "libopt.so.1"] {
        assert!(kept.contains(name), "{name}: {kept}");
    }
    for name in ["libnss_other", "pam_no", "libmaybe"] {
        assert!(!kept.contains(name), "{name}: {kept}");
    }
    assert!(world.why(&format!("{LIB}/security/pam_unix.so")).starts_with("module `pam_unix.so` of /etc/pam.d/app <"));
}

#[test]
fn modules_wait_for_what_reads_them() {
    let world = || {
        Needed::new()
            .named("app", "python3-x", vec![binary("usr/bin/app", elf(&[]))])
            .pulled("python3-x", "python3", vec![file("usr/lib/python3/dist-packages/x.py"), file("usr/share/x/table")])
            .pulled("python3", "", vec![binary("usr/bin/python3.13", elf(&[])), link("usr/bin/python3", "python3.13")])
    };
    assert_eq!(world().kept(), ["usr/bin/app", "usr/share/x/table"]);
    let kept = world().entrypoint(&["/usr/bin/python3", "-m", "x"]).kept().join(" ");
    assert!(kept.contains("dist-packages/x.py") && kept.contains("bin/python3.13"), "{kept}");
    // Who names modules and nothing else wants them read.
    let modules = Needed::new().named("python3-x", "python3", vec![file("usr/lib/python3/dist-packages/x.py")]).pulled(
        "python3",
        "",
        vec![binary("usr/bin/python3.13", elf(&[])), link("usr/bin/python3", "python3.13")],
    );
    assert!(modules.kept().contains(&"usr/bin/python3.13".to_owned()), "{:?}", modules.kept());
}

#[test]
fn features_keep_what_no_reading_can_see() {
    let gconv = |name: &str| binary(&format!("{LIB}/gconv/{name}.so"), elf(&[]));
    let world = || {
        Needed::new()
            .named("libc6", "", vec![library("libc.so.6", &[]), gconv("UTF-16"), gconv("ISO8859-1"), gconv("BIG5"),
                file(&format!("{LIB}/gconv/gconv-modules"))])
            .text("libc6", &format!("{LIB}/gconv/gconv-modules"),
                "alias LATIN1// ISO-8859-1//\nmodule ISO-8859-1// INTERNAL ISO8859-1 1\nmodule UTF-16// INTERNAL UTF-16 1\n")
            .named("tzdata", "", ["Europe/Rome", "Asia/Tokyo", "Etc/UTC"].map(|zone| file(&format!("usr/share/zoneinfo/{zone}"))).into())
    };
    let has = |world: Needed, words: &[&str], not: &[&str]| {
        let kept = world.kept().join(" ");
        assert!(words.iter().all(|word| kept.contains(word)) && !not.iter().any(|word| kept.contains(word)), "{kept}");
    };
    has(world(), &["libc.so.6", "Rome", "Tokyo"], &["gconv"]);
    has(world().feature("iconv", None), &["UTF-16.so", "BIG5.so", "gconv-modules"], &[]);
    has(world().feature("iconv", Some("latin1")), &["ISO8859-1.so"], &["UTF-16.so", "BIG5", "gconv-modules"]);
    let state = dump(&world().feature("iconv", Some("latin1")).select(), "state");
    assert!(state.contains("/gconv/gconv-modules.cache") && state.contains("LATIN1//"), "{state}");
    assert!(!state.contains("UTF-16//") && !dump(&world().select(), "state").contains("gconv"), "{state}");
    has(world().feature("timezones", Some("Europe/Rome")), &["Europe/Rome", "Etc/UTC"], &["Tokyo", "gconv"]);
    let error = world().feature("iconv", Some("klingon")).error();
    assert!(error.contains("cannot keep what converts `klingon`"), "{error}");
    let error = world().feature("icnv", None).error();
    assert!(
        error.starts_with("select::feature: cannot select by feature `icnv`") && error.contains("`iconv`:"),
        "{error}"
    );
    assert!(world().why_not(&format!("{LIB}/gconv/BIG5.so")).contains("the feature `iconv` keeps it"));
}

#[test]
fn the_spec_has_rules_of_its_own() {
    let text = "- {rule: mine, why: the server reads it by name, when: /usr/sbin/server, keep: /usr/share/two/**}\n\
                - {rule: idle, why: nobody needs this at all, with: nobody, keep: /usr/share/x}\n";
    let mut world = server();
    world.0.local.rules = closure::parse(&Source::new("rules/own.yaml", text)).unwrap();
    assert!(world.kept().contains(&"usr/share/two/data".to_owned()));
    assert_eq!(world.select().report.idle, ["idle"]);
    assert_eq!(world.why("usr/share/two/data"), "rule mine: the server reads it by name");
}

#[test]
fn a_package_can_be_kept_whole_among_others() {
    let mut world = server();
    let packages = &mut world.0.lock.platform.get_mut("linux/amd64").unwrap().packages;
    packages.iter_mut().find(|package| package.name == "tools").unwrap().keep = Some(Keep::All.as_str().to_owned());
    let kept = world.kept().join(" ");
    assert!(
        kept.contains("usr/bin/tool") && kept.contains("libtwo.so.2") && kept.contains("usr/share/two/data"),
        "{kept}"
    );
    assert!(!kept.contains("libunused"), "{kept}");
}
