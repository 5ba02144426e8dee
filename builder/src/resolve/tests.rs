use std::collections::BTreeMap;

use super::*;
use crate::archive::{Candidate, MultiArch, Priority};
use crate::deb822::{parse, parse_dependencies};
use crate::diag::{Diagnose, Source, Span};
use crate::digest::Digest;
use crate::lock::{LockedPackage, MetadataSet, PackagesFile, Why};
use crate::spec::Keep;

fn set(archive: &str, date: i64) -> MetadataSet {
    MetadataSet {
        name: archive.to_owned(),
        suite: format!("{archive}-suite"),
        in_release: Digest::of(format!("{archive} {date}").as_bytes()),
        signature: None,
        date,
        valid_until: None,
        signers: Vec::new(),
        packages: vec![PackagesFile {
            path: "main/binary-amd64/Packages.xz".to_owned(),
            digest: Digest::of(archive.as_bytes()),
            size: 1,
        }],
    }
}

/// Reads stanzas whose first line is `NAME VERSION`; other fields as in a Packages file.
fn index_of(archive: &str, date: i64, text: &str) -> Index {
    let set = set(archive, date);
    let mut stanzas = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        let (name, version) = first.trim().split_once(' ').unwrap();
        stanzas.push_str(&format!("Package: {name}\nVersion: {version}\n"));
        rest.lines().for_each(|line| stanzas.push_str(&format!("{}\n", line.trim())));
        stanzas.push('\n');
    }
    let candidates = parse(&stanzas)
        .unwrap()
        .iter()
        .map(|stanza| {
            let get = |name: &str| stanza.get(name).unwrap_or("").to_owned();
            let relations = |name: &str| parse_dependencies(&get(name)).unwrap();
            let (name, version) = (get("Package"), get("Version"));
            Candidate {
                version: Version::parse(&version).unwrap(),
                architecture: stanza.get("Architecture").unwrap_or("amd64").to_owned(),
                multi_arch: match stanza.get("Multi-Arch") {
                    Some("allowed") => MultiArch::Allowed,
                    Some("foreign") => MultiArch::Foreign,
                    Some("same") => MultiArch::Same,
                    _ => MultiArch::No,
                },
                source: stanza.get("Source").unwrap_or(&name).to_owned(),
                source_version: version.clone(),
                depends: [relations("Pre-Depends"), relations("Depends")].concat(),
                conflicts: relations("Conflicts"),
                breaks: relations("Breaks"),
                provides: relations("Provides"),
                replaces: relations("Replaces"),
                recommends: get("Recommends").into(),
                suggests: get("Suggests").into(),
                enhances: get("Enhances").into(),
                essential: stanza.get("Essential") == Some("yes"),
                protected: stanza.get("Protected") == Some("yes"),
                priority: match stanza.get("Priority") {
                    Some("required") => Priority::Required,
                    _ => Priority::Optional,
                },
                installed_size_kib: stanza.get("Installed-Size").map_or(0, |size| size.parse().unwrap()),
                path: format!("pool/{name}_{version}.deb"),
                size: 1,
                digest: Digest::of(format!("{name} {version}").as_bytes()),
                archive: archive.to_owned(),
                suite: set.suite.clone(),
                in_release: Some(set.in_release),
                name,
            }
        })
        .collect();
    Index::unverified(set, candidates)
}

fn world(text: &str) -> Vec<Index> {
    vec![index_of("debian", 1, text)]
}

/// A spec whose text is its packages, one a line: `name`, `name >= 1`, `name @archive`, `!name`.
fn spec(text: &str) -> Spec {
    let mut packages = Vec::new();
    let mut excluded = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let span = Span { start, end: start + line.trim_end().len() };
        start += line.len();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name] if name.starts_with('!') => excluded.push(Spanned { value: name[1..].to_owned(), span }),
            [name, ref rest @ ..] => packages.push(Spanned {
                value: PackageRequest {
                    name: name.to_owned(),
                    version: match rest {
                        [op, version] => Some(((*op).to_owned(), (*version).to_owned())),
                        _ => None,
                    },
                    from: match rest {
                        [archive] => Some(archive[1..].to_owned()),
                        _ => None,
                    },
                    keep: None,
                },
                span,
            }),
            [] => {}
        }
    }
    let bare = Spec::parse(&Source::new("web.yaml", "version: 1\n"), "web").unwrap();
    let digest = Digest::of(text.as_bytes());
    Spec { source: Source::new("web.yaml", text), packages, excluded, keep: Keep::Needed, digest, ..bare }
}

fn resolve_with(spec_text: &str, indexes: &[Index], options: &ResolveOptions<'_>) -> Result<PlatformLock, Error> {
    resolve(&spec(spec_text), Platform::Amd64, indexes, options)
}

fn chosen(spec_text: &str, indexes: &[Index]) -> String {
    match resolve_with(spec_text, indexes, &ResolveOptions::default()) {
        Ok(lock) => show(&lock),
        Err(error) => error.to_string(),
    }
}

fn show(lock: &PlatformLock) -> String {
    let show = |package: &LockedPackage| format!("{} {}", package.name, package.version);
    lock.packages.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn reasons_of(spec_text: &str, indexes: &[Index]) -> String {
    let lock = resolve_with(spec_text, indexes, &ResolveOptions::default()).unwrap();
    let show = |package: &LockedPackage| {
        let mark = if package.script_only { " [scripts]" } else { "" };
        format!("{}: {}{mark}", package.name, package.why)
    };
    lock.packages.iter().map(show).collect::<Vec<_>>().join("\n")
}

#[test]
fn dependencies_come_along_at_their_highest_version() {
    let main = "app 1\nDepends: lib (>= 2)\n\nlib 2\n\nlib 3\n\nother 1";
    assert_eq!(chosen("app", &world(main)), "app 1, lib 3");
    let indexes = [index_of("debian", 1, main), index_of("debian-security", 2, "lib 3+deb13u1")];
    assert_eq!(chosen("app", &indexes), "app 1, lib 3+deb13u1");
    let turned = [index_of("debian-security", 2, "lib 3+deb13u1"), index_of("debian", 1, main)];
    assert_eq!(chosen("app", &turned), "app 1, lib 3+deb13u1");
}

#[test]
fn alternatives_are_tried_in_order() {
    let text = "app 1\nDepends: aa | bb\n\naa 1\n\nbb 1\n\nccc 1\nConflicts: aa";
    assert_eq!(chosen("app", &world(text)), "aa 1, app 1");
    assert_eq!(chosen("app\nccc", &world(text)), "app 1, bb 1, ccc 1");
    assert_eq!(chosen("app\n!aa", &world(text)), "app 1, bb 1");
    assert_eq!(chosen("app\nbb", &world(text)), "app 1, bb 1");
    let broken = "app 1\nDepends: aa | bb\n\naa 1\nDepends: gone\n\nbb 1";
    assert_eq!(chosen("app", &world(broken)), "app 1, bb 1");
}

#[test]
fn a_real_package_beats_a_provider_and_provides_have_versions() {
    let text = "app 1\nDepends: lib\n\nlib 1\n\nzlib 9\nProvides: lib";
    assert_eq!(chosen("app", &world(text)), "app 1, lib 1");
    let text = "app 1\nDepends: lib (>= 2)\n\nlib 1\n\nzlib 9\nProvides: lib\n\nylib 1\nProvides: lib (= 3)";
    assert_eq!(chosen("app", &world(text)), "app 1, ylib 1");
    let text = "app 1\nDepends: awk\n\ngawk 5\nProvides: awk\n\nmawk 1\nPriority: required\nProvides: awk\n\noawk 1\nProvides: awk";
    assert_eq!(chosen("app", &world(text)), "app 1, mawk 1");
    let essential = text.replace("gawk 5\n", "gawk 5\nEssential: yes\n");
    assert_eq!(chosen("app", &world(&essential)), "app 1, gawk 5");
    // Nothing decides but the order in which apt meets the names, and the last one wins.
    let text = "app 1\nDepends: lib\nSuggests: zlib\n\nxlib 1\nProvides: lib\n\nylib 2\nProvides: lib\n\nzlib 2\nProvides: lib";
    assert_eq!(chosen("app", &world(text)), "app 1, ylib 2");
    assert_eq!(chosen("app", &world(&text.replace("\nSuggests: zlib", ""))), "app 1, zlib 2");
}

#[test]
fn a_virtual_name_is_a_request_where_it_has_one_meaning() {
    let text = "gawk 5\nProvides: awk\n\nmawk 1\nProvides: awk, nawk";
    assert_eq!(chosen("nawk", &world(text)), "mawk 1");
    let error = resolve_with("awk", &world(text), &ResolveOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot lock `web`: `awk` is a virtual package");
    assert_eq!(error.hints(), ["ask for one that provides it: `mawk` in `debian-suite`, `gawk` in `debian-suite`"]);
}

#[test]
fn conflicts_and_breaks_reach_provided_names_and_spare_their_owner() {
    let text = "exim 1\nProvides: mta\nConflicts: mta\n\npostfix 1\nProvides: mta\nConflicts: mta";
    assert_eq!(chosen("exim", &world(text)), "exim 1");
    assert!(chosen("exim\npostfix", &world(text)).starts_with("cannot lock `web` for linux/amd64"));
    let text = "app 1\nDepends: lib\nBreaks: lib (<< 2)\n\nlib 1\n\nlib 2\n\nold 1\nDepends: lib (<< 2)";
    assert_eq!(chosen("app", &world(text)), "app 1, lib 2");
    assert!(chosen("app\nold", &world(text)).contains("`old` 1 depends on `lib (<< 2)`, and `lib` is there in 2 only"));
}

#[test]
fn an_older_version_is_taken_where_it_is_asked_for_and_offered_where_it_would_do() {
    let text = "app 2\nDepends: gone\n\napp 1\nDepends: lib\n\nlib 1";
    let error = resolve_with("app", &world(text), &ResolveOptions::default()).unwrap_err();
    assert!(error.to_string().contains("`app` 2 depends on `gone`"), "{error}");
    assert_eq!(error.hints(), ["an older `app` would do: ask for `app = 1`"]);
    assert_eq!(chosen("app = 1", &world(text)), "app 1, lib 1");
    assert_eq!(chosen("app << 2", &world(text)), "app 1, lib 1");
}

#[test]
fn qualifiers_and_architecture_lists_hold() {
    let text = "app 1\nDepends: python:any, lib:amd64, win [!amd64]\n\npython 3\nMulti-Arch: allowed\n\nlib 1";
    assert_eq!(chosen("app", &world(text)), "app 1, lib 1, python 3");
    let text = "app 1\nDepends: python:any\n\npython 3";
    assert!(chosen("app", &world(text)).contains("depends on `python:any`"));
    let text = "app 1\nDepends: lib:arm64\n\nlib 1\n\napp2 1\nArchitecture: arm64";
    assert!(chosen("app", &world(text)).contains("depends on `lib:arm64`"));
    assert!(chosen("app2", &world(text)).contains("no package named `app2`"));
}

#[test]
fn requests_have_versions_and_archives() {
    let indexes = [index_of("debian", 1, "app 1\n\napp 2"), index_of("acme", 1, "app 1.5\n\ntool 1")];
    assert_eq!(chosen("app", &indexes), "app 2");
    assert_eq!(chosen("app << 2", &indexes), "app 1.5");
    assert_eq!(chosen("app @acme", &indexes), "app 1.5");
    assert_eq!(chosen("app >= 3", &indexes), "cannot lock `web`: no version of `app` is >= 3");
    let error = resolve_with("tool @debian", &indexes, &ResolveOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot lock `web`: no package named `tool` in archive `debian`");
    assert_eq!(error.hints(), ["there is `tool` in `acme-suite`"]);
}

#[test]
fn what_is_missing_is_named_with_its_place_and_what_it_might_be() {
    let indexes = world("libssl3t64 3\n\nnginx 1");
    let error = resolve_with("libssl3\nngnix\n", &indexes, &ResolveOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot lock `web`: no package named `libssl3`; no package named `ngnix`");
    assert_eq!(error.hints(), ["`libssl3t64` is in `debian-suite`", "`nginx` is in `debian-suite`"]);
    assert_eq!(error.labels()[1].span, Span { start: 8, end: 13 });
    let error = resolve_with("libsll3", &indexes, &ResolveOptions::default()).unwrap_err();
    assert_eq!(error.hints(), ["`libssl3t64` is in `debian-suite`"]);
}

#[test]
fn a_failure_is_derived_step_by_step() {
    let text = "app 1\nDepends: mid\n\nmid 2\nDepends: low (>= 5)\n\nlow 4";
    assert_eq!(
        chosen("app", &world(text)),
        "cannot lock `web` for linux/amd64: `app` cannot be installed\n  \
         `app` 1 depends on `mid`\n  \
         `mid` 2 depends on `low (>= 5)`, and `low` is there in 4 only"
    );
    assert!(chosen("app\n!mid", &world(text)).ends_with("`app` 1 depends on `mid`, and `mid` is excluded"));
    let text = "app 1\nDepends: left\n\ntool 1\nDepends: right\n\nleft 1\nConflicts: right\n\nright 1\n\nother 1";
    assert_eq!(
        chosen("other\napp\ntool", &world(text)),
        "cannot lock `web` for linux/amd64: no choice of packages meets `app` and `tool` together\n  \
         `app` 1 leads to `left` 1\n  \
         `tool` 1 leads to `right` 1\n  \
         `left` 1 and `right` 1 exclude each other"
    );
}

#[test]
fn what_a_base_has_stays_and_excludes() {
    let base = installed(&["Package: aa\nVersion: 1\nArchitecture: amd64\nBreaks: old (<< 5)\n".to_owned()]);
    let options = ResolveOptions { installed: &base, ..ResolveOptions::default() };
    let indexes = world("bb 1\nConflicts: aa\n\nold 4\n\nwants 1\nDepends: aa | bb\n\naa 2");
    let failed = |text: &str| resolve_with(text, &indexes, &options).unwrap_err();
    assert_eq!(
        failed("bb").to_string(),
        "cannot lock `web` for linux/amd64: no choice of packages meets `bb` and `aa`, which the base has, together\n  \
         `bb` 1 and `aa` 1 exclude each other"
    );
    assert!(failed("old").to_string().ends_with("exclude each other"));
    assert_eq!(failed("aa = 2").hints(), ["there is `aa` 1 in the base image"]);
    assert_eq!(show(&resolve_with("wants", &indexes, &options).unwrap()), "wants 1");
}

const DISTRO: &str = "
    base-files 13
    Pre-Depends: awk

    base-passwd 3
    Depends: libc6, libdebconfclient0

    libdebconfclient0 1

    mawk 1
    Provides: awk
    Depends: libc6

    libc6 2
    Depends: libgcc

    libgcc 1

    libc-bin 2
    Depends: libc6

    debconf 1
    Depends: perl-base

    perl-base 5
    Depends: libcrypt1

    libcrypt1 4

    app 1
    Depends: libc6, debconf, lib

    lib 1

    data 1

    script 1
    Depends: perl-base

    git 2
    Depends: libc6

    dash 1
    Depends: debianutils, libc6

    debianutils 5

    sed 4

    coreutils 9
";

#[test]
fn implicit_packages_come_and_what_only_scripts_want_is_marked() {
    assert_eq!(
        reasons_of("app", &world(DISTRO)),
        "app: requested\n\
         base-files: implicit: always\n\
         base-passwd: implicit: always\n\
         debconf: app [scripts]\n\
         lib: app\n\
         libc-bin: implicit: libc6\n\
         libc6: app\n\
         libcrypt1: app > debconf > perl-base [scripts]\n\
         libdebconfclient0: base-passwd [scripts]\n\
         libgcc: app > libc6\n\
         mawk: base-files [scripts]\n\
         perl-base: app > debconf [scripts]"
    );
    let both = reasons_of("app\nscript", &world(DISTRO));
    assert!(both.contains("perl-base: script\n") && both.contains("libcrypt1: script > perl-base\n"), "{both}");
    assert!(reasons_of("app\ndebconf", &world(DISTRO)).contains("perl-base: debconf"));
}

#[test]
fn every_rule_of_implicit_packages_changes_what_is_locked() {
    use crate::rules::closure::{built_in, taken_out};
    use crate::rules::glob::component;
    const CASES: &[(&str, &[&str])] = &[
        ("base-files", &["app"]),
        ("base-passwd", &["app"]),
        ("libc-bin", &["libc6"]),
        ("ncurses-base", &["libtinfo6"]),
        ("git-sh", &["git"]),
        ("git-sed", &["git"]),
        ("git-coreutils", &["git"]),
        ("postgresql-sh", &["postgresql", "postgresql-9", "postgresql-17"]),
    ];
    let rules: Vec<_> = built_in().filter(|rule| rule.implicit.is_some()).collect();
    for rule in rules {
        let case = CASES.iter().find(|(name, _)| *name == rule.name);
        let (_, brought_by) = case.unwrap_or_else(|| panic!("rule `{}` has no case", rule.name));
        let package = rule.implicit.as_deref().unwrap();
        for name in *brought_by {
            let there = world(&format!("{package} 1\n\n{name} 1\n\nother 1"));
            let has = |spec: &str| chosen(spec, &there).split(", ").any(|one| one == format!("{package} 1"));
            assert!(has(name), "rule `{}` brings nothing with `{name}`", rule.name);
            assert_eq!(has("other"), rule.always, "rule `{}`", rule.name);
            assert!(!taken_out::without(&rule.name, || has(name)), "`{package}` comes without rule `{}`", rule.name);
        }
        let named = |pattern: &String| brought_by.iter().any(|name| component(pattern, name));
        assert!(rule.with.iter().all(named), "rule `{}`: a name of `with` has no case", rule.name);
    }
}

#[test]
fn an_image_of_data_keeps_no_c_library() {
    let reasons = reasons_of("data", &world(DISTRO));
    assert!(reasons.contains("libc6: base-passwd [scripts]"), "{reasons}");
    assert!(reasons.contains("libc-bin: implicit: libc6 [scripts]"), "{reasons}");
}

#[test]
fn implicit_packages_bring_their_own_and_can_be_excluded() {
    let reasons = reasons_of("git", &world(DISTRO));
    assert!(reasons.contains("dash: implicit: git\ndebianutils: dash [scripts]"), "{reasons}");
    assert!(reasons.contains("sed: implicit: git"), "{reasons}");
    assert!(!chosen("git\n!dash", &world(DISTRO)).contains("dash"));
    assert_eq!(chosen("app", &world("app 1")), "app 1");
    assert_eq!(chosen("", &world(DISTRO)), "");
}

#[test]
fn a_lock_holds_what_is_not_to_move() {
    let old = world("app 1\nDepends: lib, tool\n\nlib 1\n\ntool 1");
    let lock = resolve_with("app", &old, &ResolveOptions::default()).unwrap();
    let new = [
        index_of("debian", 1, "app 1\nDepends: lib, tool\n\nlib 1\n\ntool 1"),
        index_of(
            "debian",
            2,
            "app 1\nDepends: lib, tool\n\nlib 2\nBreaks: app (<< 2)\n\napp 2\nDepends: lib, tool\n\ntool 2",
        ),
    ];
    let with = |update| {
        let options = ResolveOptions { previous: Some(&lock), update, ..ResolveOptions::default() };
        resolve_with("app", &new, &options).unwrap()
    };
    assert_eq!(with(Update::None), lock, "sets and layers stay as well");
    let only = |name: &str| Update::Some(BTreeSet::from([name.to_owned()]));
    assert_eq!(show(&with(only("tool"))), "app 1, lib 1, tool 2");
    assert_eq!(show(&with(only("lib"))), "app 2, lib 2, tool 1", "what it forces moves too");
    let two = Update::Some(BTreeSet::from(["lib".to_owned(), "tool".to_owned(), "absent".to_owned()]));
    assert_eq!(show(&with(two)), "app 2, lib 2, tool 2");
    assert_eq!(show(&with(Update::All)), "app 2, lib 2, tool 2");
    let gone = world("app 2\nDepends: lib, tool\n\nlib 1\n\ntool 1");
    let options = ResolveOptions { previous: Some(&lock), ..ResolveOptions::default() };
    assert_eq!(show(&resolve_with("app", &gone, &options).unwrap()), "app 2, lib 1, tool 1");
}

#[test]
fn what_cannot_move_stays_and_the_others_move() {
    let before = world("app 1\nDepends: lib (<< 2), tool\n\nlib 1\n\ntool 1");
    let lock = resolve_with("app", &before, &ResolveOptions::default()).unwrap();
    let world = world("app 1\nDepends: lib (<< 2), tool\n\nlib 1\n\nlib 2\n\ntool 1\n\ntool 2");
    let update = Update::Some(BTreeSet::from(["lib".to_owned(), "tool".to_owned()]));
    let options = ResolveOptions { previous: Some(&lock), update, ..ResolveOptions::default() };
    assert_eq!(show(&resolve_with("app", &world, &options).unwrap()), "app 1, lib 1, tool 2");
}

#[test]
fn alternatives_are_decided_in_the_order_of_the_fields_as_apt_does() {
    let text = "app 1\nDepends: extra | python (>= 3), python\n\nextra 1\n\npython 3";
    assert_eq!(chosen("app", &world(text)), "app 1, extra 1, python 3");
    let text = "app 1\nDepends: python, extra | python (>= 3)\n\nextra 1\n\npython 3";
    assert_eq!(chosen("app", &world(text)), "app 1, python 3");
}

#[test]
fn a_blocked_way_is_searched_anew() {
    let text = "app 1\nDepends: aa | bb, ccc\n\naa 1\n\nbb 1\n\nccc 1\nConflicts: aa";
    assert_eq!(chosen("app", &world(text)), "app 1, bb 1, ccc 1");
    let text = "app 1\nDepends: aa | bb\n\naa 1\nDepends: lib (<< 2)\n\nlib 2\n\nlib 1\n\nbb 1";
    assert_eq!(chosen("app", &world(text)), "app 1, bb 1");
}

#[test]
fn hard_problems_are_searched_to_the_end() {
    // Pigeons: five packages, each needing one of four holes that exclude one another's guests.
    let mut text = String::new();
    for pigeon in 0..5 {
        let holes: Vec<String> = (0..4).map(|hole| format!("p{pigeon}h{hole}")).collect();
        text.push_str(&format!("pigeon{pigeon} 1\nDepends: {}\n\n", holes.join(" | ")));
        for hole in 0..4 {
            let others: Vec<String> =
                (0..5).filter(|other| *other != pigeon).map(|other| format!("p{other}h{hole}")).collect();
            text.push_str(&format!("p{pigeon}h{hole} 1\nConflicts: {}\n\n", others.join(", ")));
        }
    }
    let four: String = (0..4).map(|n| format!("pigeon{n}\n")).collect();
    let five: String = (0..5).map(|n| format!("pigeon{n}\n")).collect();
    let first = chosen(&four, &world(&text));
    assert_eq!(first.split(", ").count(), 8);
    for _ in 0..10 {
        assert_eq!(chosen(&four, &world(&text)), first, "every run gives the same answer");
    }
    assert!(chosen(&five, &world(&text)).contains("no choice of packages meets `pigeon0` and `pigeon1`"));
}

#[test]
fn a_lock_is_proved_against_its_stanzas() {
    let app = spec("app");
    let indexes = world("app 1\nDepends: lib\n\nlib 2");
    let share = resolve_with("app", &indexes, &ResolveOptions::default()).unwrap();
    let mut lock = crate::lock::Lock {
        version: crate::lock::VERSION,
        revision: crate::lock::REVISION,
        tarsia: "0.1.0".to_owned(),
        encoding: crate::lock::ENCODING,
        rules: crate::lock::RULES,
        spec: Digest::of(b""),
        keep: "needed".to_owned(),
        source_date: 1,
        source_date_given: false,
        archives: vec![indexes[0].set.clone()],
        inputs: Vec::new(),
        platform: BTreeMap::from([("linux/amd64".to_owned(), share)]),
        variants: BTreeMap::new(),
    };
    assert_eq!(crate::lock::Lock::parse("web.lock", &lock.to_text()).unwrap(), lock);
    assert!(prove(&lock, &app, &indexes, &BTreeMap::new()).is_empty() && unproved(&lock, &indexes).is_empty());
    assert_eq!(unproved(&lock, &[]).len(), 1);
    let packages = &mut lock.platform.get_mut("linux/amd64").unwrap().packages;
    packages[0].digest = Digest::of(b"swapped");
    packages[1].version = "3".to_owned();
    let found = prove(&lock, &app, &indexes, &BTreeMap::new());
    let fields: Vec<_> = found.iter().map(|c| (c.subject.as_str(), c.field)).collect();
    assert!(fields.contains(&("app", "digest")) && fields.contains(&("lib", "version")), "{fields:?}");
    assert!(found[0].to_string().starts_with("`app` (linux/amd64) has digest `sha256:"));
    assert!(prove(&lock, &app, &[], &BTreeMap::new()).is_empty(), "an absent set proves nothing");
}

#[test]
fn a_lock_is_proved_to_be_whole() {
    let indexes = world(
        "app 1\nDepends: lib | other, virtual (>= 2)\n\nlib 2\n\nprov 1\nProvides: virtual (= 2)\n\nfoe 1\nBreaks: lib",
    );
    let lock = |names: &[&str]| crate::lock::Lock {
        version: crate::lock::VERSION,
        revision: crate::lock::REVISION,
        tarsia: "0.1.0".to_owned(),
        encoding: crate::lock::ENCODING,
        rules: crate::lock::RULES,
        spec: Digest::of(b""),
        keep: "needed".to_owned(),
        source_date: 1,
        source_date_given: false,
        archives: vec![indexes[0].set.clone()],
        inputs: Vec::new(),
        variants: BTreeMap::new(),
        platform: BTreeMap::from([("linux/amd64".to_owned(), {
            let mut all = resolve_with("app", &indexes, &ResolveOptions::default()).unwrap();
            all.packages.extend(resolve_with("foe", &indexes, &ResolveOptions::default()).unwrap().packages);
            all.packages.retain(|package| names.contains(&package.name.as_str()));
            all
        })]),
    };
    let said = |spec_text: &str, lock: &crate::lock::Lock| {
        let found = prove(lock, &spec(spec_text), &indexes, &BTreeMap::new());
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(said("app", &lock(&["app", "lib", "prov"])), "");
    assert_eq!(
        said("app", &lock(&["app", "prov"])),
        "`app` (linux/amd64) has the dependency `lib | other`, and the lock has nothing that meets it"
    );
    assert!(said("app", &lock(&["app", "lib"])).contains("has the dependency `virtual (>= 2)`"));
    assert_eq!(
        said("app", &lock(&["app", "foe", "lib", "prov"])),
        "`foe` (linux/amd64) has a conflict, and the lock has `lib 2` beside it"
    );
    assert_eq!(
        said("app >= 1\nfoe", &lock(&["app", "lib", "prov"])),
        "`web` (linux/amd64) has the package `foe`, and the lock has no such package"
    );
    assert!(said("app\n!lib", &lock(&["app", "lib", "prov"])).contains("has the exclusion `!lib`"));
    let mut dated = lock(&["app", "lib", "prov"]);
    dated.source_date = 5;
    assert_eq!(said("app", &dated), "`source-date` has value `5` in the lock, and `1` in its signed metadata");
    dated.source_date_given = true;
    assert_eq!(said("app", &dated), "");
    dated.source_date_given = false;
    dated.revision = 1;
    assert_eq!(said("app", &dated), "", "older locks do not say where it is from");
}

#[test]
fn a_lock_goes_stale_for_a_reason() {
    let spec = spec("app");
    let mut lock = crate::lock::Lock {
        version: crate::lock::VERSION,
        revision: crate::lock::REVISION,
        tarsia: "0.1.0".to_owned(),
        encoding: crate::lock::ENCODING,
        rules: crate::lock::RULES,
        spec: spec.digest,
        keep: "needed".to_owned(),
        source_date: 1,
        source_date_given: false,
        archives: Vec::new(),
        inputs: Vec::new(),
        platform: BTreeMap::from([("linux/amd64".to_owned(), PlatformLock::default())]),
        variants: BTreeMap::new(),
    };
    assert!(stale(&lock, &spec).is_empty());
    lock.keep = "all".to_owned();
    lock.platform.clear();
    assert_eq!(stale(&lock, &spec), ["`keep` is `needed`, in the lock `all`", "no platform is locked"]);
}

#[test]
fn reasons_are_read_as_written() {
    assert_eq!(Why::Dependency(vec!["aa".to_owned(), "bb".to_owned()]).to_string(), "aa > bb");
}
