//! The language from outside: what a spec extends, its variants, packages of its own, `keep`, `also` and `never`, and
//! the commands that change it.

use std::process::Command;

use crate::deb::{Deb, deb};
use crate::program::{Place, Ran};
use crate::world::{Archive, spec};

fn archive(place: &Place) {
    Archive::new(21)
        .deb(
            deb("hello", "2.0-1")
                .architecture("amd64")
                .field("Depends", "libgreet1 (>= 1.0)")
                .file("/usr/bin/hello", 0o755, "#!/usr/bin/greet -x\nhello\n")
                .file("/usr/share/doc/hello/README", 0o644, "read me\n")
                .file("/usr/share/doc/hello/copyright", 0o644, "GPL\n")
                .file("/usr/share/man/man1/hello.1", 0o644, "man\n")
                .symlink("/usr/bin/hi", "hello"),
        )
        .deb(
            deb("libgreet1", "1.0")
                .architecture("amd64")
                .file("/usr/bin/greet", 0o755, "greet\n")
                .file("/usr/share/doc/libgreet1/changelog", 0o644, "changed\n")
                .file("/usr/share/doc/libgreet1/copyright", 0o644, "MIT\n"),
        )
        .deb(deb("strace", "6.0").architecture("amd64").file("/usr/bin/strace", 0o755, "strace\n"))
        .deb(deb("debconf", "1.5").file("/usr/sbin/debconf", 0o755, "debconf\n").file(
            "/usr/share/doc/debconf/copyright",
            0o644,
            "BSD\n",
        ))
        .write(place);
}

fn refused(ran: &Ran, status: i32, said: &[&str]) {
    assert_eq!((ran.status, ran.out.as_str()), (status, ""), "{}", ran.err);
    for word in said {
        assert!(ran.err.contains(word), "`{word}` is missing in:\n{}", ran.err);
    }
}

/// Returns the paths of an image that are files or links.
fn files(place: &Place, image: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&place.ok(&["--json", "inspect", image, "--files"])).unwrap();
    let all = json["images"][0]["files"].as_array().unwrap();
    all.iter()
        .filter(|file| !file["mode"].as_str().unwrap().starts_with('d'))
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_spec_extends_another_one_and_mistakes_name_their_file() {
    let place = Place::new();
    archive(&place);
    spec(&place, "base/common", "packages: [hello]\nfiles: [{copy: motd, to: /etc/motd}]\nrun: {env: {A: a}}\n");
    let common = std::fs::read_to_string(place.path("base/common.yaml")).unwrap();
    // Paths of the file below are beside it.
    place.write("base/common.yaml", common.replace("name: base/common\n", "name: common\n"));
    std::fs::copy(place.path("archive.asc"), place.path("base/archive.asc")).unwrap();
    place.write("base/motd", "hi\n");
    place.write(
        "web.yaml",
        "version: 1\nextends: ./base/common.yaml\npackages: [strace]\nrun: {env: {A: null, B: b}}\n",
    );
    place.ok(&["build", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert!(lock.contains("name = \"base/archive.asc\""), "{lock}");
    let files = files(&place, "web.oci");
    assert!(files.contains(&"/etc/motd".to_owned()) && files.contains(&"/usr/bin/strace".to_owned()), "{files:?}");
    let config = place.ok(&["inspect", "web.oci"]);
    assert!(config.contains("B=b") && !config.contains("A=a"), "{config}");
    // What the file below says is part of the spec.
    place.write("base/common.yaml", common.replace("name: base/common\n", "").replace("A: a", "A: a, C: c"));
    refused(&place.run(&["build", "--locked", "web.yaml"]), 1, &["the spec changed"]);
    place.write("base/common.yaml", common.replace("name: base/common\n", "").replace("hello]", "helo]"));
    let ran = place.run(&["lock", "web.yaml"]);
    refused(&ran, 2, &["no package named `helo`", "--> base/common.yaml:5:12", "hint: `hello` is in `test`"]);
    std::fs::remove_file(place.path("base/common.yaml")).unwrap();
    refused(&place.run(&["build", "web.yaml"]), 2, &["which cannot be read", "--> web.yaml:2:10"]);
}

#[test]
fn each_variant_has_a_section_of_the_lock_and_an_image() {
    let place = Place::new();
    archive(&place);
    let rest = "packages: [hello]\nvariants:\n  debug: {packages: [strace], run: {entrypoint: [/usr/bin/strace]}}\n  \
                doc: {keep: all}\n";
    spec(&place, "web", rest);
    // The first build locks all of them, whichever it builds.
    let debug = place.ok(&["build", "--variant", "debug", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    for section in ["\n[variant.\"debug\"]\n", "\n[[variant.\"doc\".platform.\"linux/amd64\".package]]\n"] {
        assert!(lock.contains(section), "{lock}");
    }
    let base = place.ok(&["build", "--locked", "web.yaml"]);
    let doc = place.ok(&["build", "--locked", "--variant", "doc", "web.yaml"]);
    assert!(base != debug && base != doc);
    assert!(files(&place, "web-debug.oci").contains(&"/usr/bin/strace".to_owned()));
    assert!(!files(&place, "web.oci").contains(&"/usr/bin/strace".to_owned()));
    assert!(files(&place, "web-doc.oci").contains(&"/usr/share/man/man1/hello.1".to_owned()));
    let checked = place.run(&["check", "web.yaml"]);
    assert!(checked.err.contains("variant `debug` of `web.yaml`: 3 packages"), "{}", checked.err);
    assert_eq!(place.ok(&["outdated", "web.yaml"]), "");
    let why = place.ok(&["why", "--variant", "debug", "web.yaml", "strace"]);
    assert!(why.starts_with("strace 6.0\n"), "{why}");
    assert_eq!(place.run(&["why", "web.yaml", "strace"]).status, 1);
    let fetched = place.run(&["fetch", "--offline", "web.yaml"]);
    assert!(fetched.err.contains("0 of 3 files of variant `debug`"), "{}", fetched.err);

    let ran = place.run(&["build", "--variant", "debgu", "web.yaml"]);
    refused(&ran, 2, &["there is no variant `debgu`", "did you mean `debug`?"]);

    // What changes one variant makes no other section stale.
    spec(&place, "web", &rest.replace("[strace]", "[strace, debconf]"));
    assert_eq!(place.ok(&["build", "--locked", "web.yaml"]), base);
    assert_eq!(place.ok(&["build", "--locked", "--variant", "doc", "web.yaml"]), doc);
    refused(&place.run(&["build", "--locked", "--variant", "debug", "web.yaml"]), 1, &["it is stale"]);
    place.ok(&["lock", "--variant", "debug", "web.yaml"]);
    place.ok(&["build", "--locked", "--variant", "debug", "web.yaml"]);

    // A new one is missing until it is locked, and one that is gone leaves the lock.
    spec(&place, "web", &rest.replace("doc:", "new:"));
    refused(&place.run(&["build", "--locked", "--variant", "new", "web.yaml"]), 1, &["variant `new` is not in it"]);
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert!(lock.contains("[variant.\"new\"]") && !lock.contains("[variant.\"doc\"]"), "{lock}");
    let again = place.run(&["lock", "web.yaml"]);
    assert!(again.err.contains("Kept"), "{}", again.err);
}

fn tool(version: &str, architecture: &str) -> Deb {
    deb("tool", version)
        .architecture(architecture)
        .field("Depends", "libgreet1")
        .field("Provides", "greet-tool")
        .file("/usr/bin/tool", 0o755, format!("tool {version} {architecture}\n"))
        .file("/usr/share/man/man1/tool.1", 0o644, "man\n")
}

#[test]
fn a_local_package_is_locked_by_digest_and_joins_resolution() {
    let place = Place::new();
    Archive::new(22)
        .deb(deb("libgreet1", "1.0").architecture("amd64").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
        .deb(deb("hello", "2.0").architecture("amd64").field("Depends", "greet-tool"))
        .deb(deb("tool", "9.0").architecture("amd64").file("/usr/bin/tool", 0o755, "the archive's\n"))
        .write(&place);
    place.write("dist/tool_1.0_amd64.deb", tool("1.0", "amd64").build());
    spec(&place, "web", "packages:\n  - hello\n  - {deb: ./dist/tool_1.0_amd64.deb, keep: all}\n");
    let first = place.ok(&["build", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    for line in ["kind = \"package\"", "archive = \"local\"", "path = \"dist/tool_1.0_amd64.deb\"", "keep = \"all\""] {
        assert!(lock.contains(line), "`{line}` is missing in\n{lock}");
    }
    let found = files(&place, "web.oci");
    for path in ["/usr/bin/tool", "/usr/share/man/man1/tool.1", "/usr/lib/libgreet.so.1"] {
        assert!(found.contains(&path.to_owned()), "{found:?}");
    }
    insta::assert_snapshot!(place.ok(&["why", "web.yaml", "libgreet1"]), @r"
    libgreet1 1.0
      why        tool > libgreet1
      source     libgreet1
      archive    test
      layer      small-1
    ");
    place.ok(&["check", "--proof", "web.yaml"]);
    std::fs::remove_dir_all(place.path("store/blobs")).unwrap();
    place.ok(&["fetch", "web.yaml"]);
    assert_eq!(place.ok(&["build", "--locked", "--offline", "web.yaml"]), first);

    // Another file at its path is named; `lock` takes it.
    place.write("dist/tool_1.0_amd64.deb", tool("1.1", "amd64").build());
    let ran = place.run(&["build", "--locked", "web.yaml"]);
    refused(&ran, 1, &["package `dist/tool_1.0_amd64.deb` has other bytes"]);
    assert_eq!(place.ok(&["lock", "web.yaml"]), "tool 1.0 -> 1.1 (local)\n");

    // Hostile or unfit files.
    place.write("dist/tool_1.0_amd64.deb", tool("1.1", "s390x").build());
    refused(&place.run(&["lock", "web.yaml"]), 2, &["is for `s390x`", "--> web.yaml:8:11"]);
    place.write("dist/tool_1.0_amd64.deb", b"!<arch>\nnonsense");
    refused(&place.run(&["lock", "web.yaml"]), 2, &["cannot lock `dist/tool_1.0_amd64.deb`"]);
    place.write("dist/tool_1.0_amd64.deb", tool("1.1", "amd64").field("Depends", "nowhere").build());
    refused(&place.run(&["lock", "web.yaml"]), 2, &["`tool", "nowhere"]);
    std::fs::remove_file(place.path("dist/tool_1.0_amd64.deb")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.path("dist/tool_1.0_amd64.deb")).unwrap();
    refused(&place.run(&["lock", "web.yaml"]), 2, &["dist/tool_1.0_amd64.deb"]);
}

#[test]
fn local_packages_are_chosen_by_architecture() {
    let place = Place::new();
    for (name, architecture) in [("tool", "amd64"), ("tool", "arm64")] {
        let file =
            deb(name, "1.0").architecture(architecture).file("/usr/bin/tool", 0o755, format!("{architecture}\n"));
        place.write(&format!("{name}_{architecture}.deb"), file.build());
    }
    place.write("both.deb", deb("data", "1.0").architecture("all").file("/usr/share/data", 0o644, "data\n").build());
    let write = |debs: &str| {
        place.write("web.yaml", format!("version: 1\nplatforms: [linux/amd64, linux/arm64]\npackages: [{debs}]\n"))
    };
    write("{deb: tool_amd64.deb}, {deb: tool_arm64.deb}, {deb: both.deb}");
    place.ok(&["build", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert_eq!(
        (lock.matches("path = \"tool_a").count(), lock.matches("path = \"both.deb\"").count()),
        (2, 2),
        "{lock}"
    );
    write("{deb: tool_amd64.deb}");
    refused(&place.run(&["lock", "web.yaml"]), 2, &["no file gives `tool` for linux/arm64"]);
    std::fs::copy(place.path("tool_amd64.deb"), place.path("again.deb")).unwrap();
    write("{deb: tool_amd64.deb}, {deb: tool_arm64.deb}, {deb: again.deb}");
    refused(
        &place.run(&["lock", "web.yaml"]),
        2,
        &["`again.deb` and `tool_amd64.deb` are both `tool` for linux/amd64"],
    );
}

#[test]
fn keep_also_and_never_say_what_is_kept() {
    let place = Place::new();
    archive(&place);
    let why = |subject: &str| {
        let ran = place.run(&["why", "web.yaml", subject]);
        format!("{} {}", ran.status, ran.out)
    };
    let rest = "packages:\n  - {name: hello, keep: all}\nalso: [/usr/share/doc/libgreet1]\n\
                never: [\"/usr/share/man/**\", /usr/bin/hi, \"/usr/share/doc/*/README\", /nowhere]\n";
    spec(&place, "web", rest);
    let ran = place.run(&["build", "web.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("`never[3]` fits nothing: `/nowhere`"), "{}", ran.err);
    assert_eq!(ran.err.matches("fits nothing").count(), 1, "{}", ran.err);
    let found = files(&place, "web.oci");
    for (path, expected) in [
        ("/usr/share/doc/hello/copyright", true),
        ("/usr/share/doc/hello/README", false),
        ("/usr/share/man/man1/hello.1", false),
        ("/usr/bin/hi", false),
        ("/usr/share/doc/libgreet1/changelog", true),
    ] {
        assert_eq!(found.contains(&path.to_owned()), expected, "{path}: {found:?}");
    }
    insta::assert_snapshot!(why("/usr/share/doc/libgreet1/changelog"), @r"
    0 /usr/share/doc/libgreet1/changelog
      from       package `libgreet1` 1.0
      why        hello > libgreet1
      kept by    also[0]
      size       8 B
      digest     sha256:7f8b1dfc466b6249f06cbe55c9174df2578e7754da793fded244ef5cba2a38f1
      layer      small-1
    ");
    insta::assert_snapshot!(why("/usr/bin/hi"), @r"
    1 /usr/bin/hi is not in the image
      dropped    `hello` 2.0-1 ships it: `never[1]` of the spec drops it
    ");
    insta::assert_snapshot!(why("/usr/share/man/man1/hello.1"), @r"
    1 /usr/share/man/man1/hello.1 is not in the image
      dropped    `hello` 2.0-1 ships it: `never[0]` of the spec drops it
    ");

    // A package of which nothing is left is not in the image.
    spec(&place, "web", "packages: [hello]\nnever: [{path: /usr/bin/greet, force: true}]\n");
    place.ok(&["build", "web.yaml"]);
    let found = files(&place, "web.oci");
    assert!(!found.iter().any(|path| path.contains("libgreet1")), "{found:?}");

    // What something kept needs is dropped by force alone.
    let needed = |never: &str, run: &str, said: &[&str]| {
        spec(&place, "web", &format!("packages: [hello]\nnever: [{never}]\n{run}"));
        let ran = place.run(&["build", "web.yaml"]);
        if said.is_empty() { assert_eq!(ran.status, 0, "{}", ran.err) } else { refused(&ran, 2, said) }
    };
    let link = "/usr/bin/hi of `hello` links to it";
    needed("/usr/bin/hello", "", &["cannot drop /usr/bin/hello of `hello` by `never[0]`", link, "--> web.yaml:7:9"]);
    needed("{path: /usr/bin/hello, force: true}", "", &[]);
    needed("\"/bin/h*\"", "", &[]);
    let run = "run: {entrypoint: [/usr/bin/hi]}\n";
    needed("\"/bin/h*\"", run, &["cannot drop /usr/bin/hello of `hello`", "the image runs `/usr/bin/hi`"]);
    needed(
        "/usr/bin/greet",
        run,
        &["cannot drop /usr/bin/greet of `libgreet1`", "/usr/bin/hello of `hello` is run by it"],
    );
    needed("/usr/bin/greet", "run: {entrypoint: [hello]}\n", &["cannot drop /usr/bin/greet", "is run by it"]);
    needed("{path: /usr/bin/greet, force: true}", run, &[]);
}

#[test]
fn a_script_only_package_is_kept_where_it_is_named() {
    let place = Place::new();
    archive(&place);
    spec(&place, "web", "packages: [debconf]\n");
    place.ok(&["build", "web.yaml"]);
    assert!(files(&place, "web.oci").contains(&"/usr/sbin/debconf".to_owned()));
    Archive::new(23)
        .deb(deb("hello", "1.0").architecture("amd64").field("Depends", "debconf").file("/usr/bin/hello", 0o755, "x\n"))
        .deb(deb("debconf", "1.5").file("/usr/sbin/debconf", 0o755, "debconf\n").file("/usr/sbin/other", 0o755, "x\n"))
        .write(&place);
    std::fs::remove_file(place.path("web.lock")).unwrap();
    spec(&place, "web", "packages: [hello]\n");
    place.ok(&["build", "web.yaml"]);
    assert!(!files(&place, "web.oci").iter().any(|path| path.contains("debconf")));
    spec(&place, "web", "packages: [hello]\nalso: [/usr/sbin/debconf]\n");
    place.ok(&["build", "web.yaml"]);
    let found = files(&place, "web.oci");
    assert!(
        found.contains(&"/usr/sbin/debconf".to_owned()) && !found.contains(&"/usr/sbin/other".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"/var/lib/dpkg/status.d/debconf".to_owned()), "{found:?}");
}

#[test]
fn dpkg_reads_its_own_database() {
    let place = Place::new();
    let sums = "8a4d8e5c2a4d8ac4d5d4bd2ef9d7ffbf  usr/bin/absent\n";
    let md5 = "b1946ac92492d2347c6235b4d2611184  usr/bin/hello\n";
    Archive::new(24)
        .deb(
            deb("hello", "1.0")
                .architecture("amd64")
                .control_file("md5sums", &format!("{md5}{sums}"))
                .file("/usr/bin/hello", 0o755, "hello\n")
                .file("/usr/bin/absent", 0o755, "absent\n"),
        )
        .write(&place);
    for form in ["status", "none"] {
        spec(
            &place,
            "web",
            &format!(
                "packages: [hello]\nnever: [/usr/bin/absent]\nsbom: {{dpkg-db: {form}}}\nlayers: {{compression: gzip}}\n"
            ),
        );
        place.ok(&["build", "web.yaml"]);
        let found = files(&place, "web.oci");
        let database: Vec<&String> = found.iter().filter(|path| path.contains("/dpkg/")).collect();
        if form == "none" {
            assert!(database.is_empty(), "{database:?}");
            continue;
        }
        assert_eq!(
            database,
            [
                "/var/lib/dpkg/info/format",
                "/var/lib/dpkg/info/hello.list",
                "/var/lib/dpkg/info/hello.md5sums",
                "/var/lib/dpkg/status"
            ]
        );
        let root = place.path("root");
        std::fs::create_dir_all(&root).unwrap();
        let json: serde_json::Value = serde_json::from_str(&place.ok(&["--json", "inspect", "web.oci"])).unwrap();
        for layer in json["images"][0]["layers"].as_array().unwrap() {
            let blob = format!("web.oci/blobs/sha256/{}", &layer["digest"].as_str().unwrap()[7..]);
            let blob = place.path(&blob);
            let tar = Command::new("tar").arg("-xzf").arg(blob).arg("-C").arg(&root).arg("--no-same-owner").output();
            assert!(tar.unwrap().status.success());
        }
        let admin = format!("--admindir={}", root.join("var/lib/dpkg").display());
        let said = Command::new("dpkg-query").args([&admin, "-W", "-f", "${Package} ${Version} ${Status}\n"]).output();
        assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), "hello 1.0 install ok installed\n");
        let listed = Command::new("dpkg-query").args([&admin, "-L", "hello"]).output().unwrap();
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), "/.\n/usr\n/usr/bin\n/usr/bin/hello\n");
        let verified =
            Command::new("dpkg").arg(format!("--root={}", root.display())).args(["--verify"]).output().unwrap();
        assert!(verified.status.success() && verified.stdout.is_empty(), "{verified:?}");
        // Its inspection names the package all the same.
        let inspected = place.ok(&["inspect", "web.oci"]);
        assert!(inspected.contains("1 package\n  hello 1.0\n"), "{inspected}");
    }
}

#[test]
fn add_and_remove_change_a_spec_and_its_lock() {
    let place = Place::new();
    archive(&place);
    let path = spec(&place, "web", "packages:\n  # greets\n  - hello   # nicely\nkeep: runtime # enough\n");
    let read = || std::fs::read_to_string(&path).unwrap();
    let before = read();
    place.ok(&["lock", "web.yaml"]);
    assert_eq!(place.ok(&["add", "web.yaml", "strace", "!libc6"]), "strace 6.0 (added, test)\n");
    let after = before.replace("# nicely\n", "# nicely\n  - strace\n  - \"!libc6\"\n");
    assert_eq!(read(), after);
    place.ok(&["build", "--locked", "web.yaml"]);
    // Twice is once.
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert_eq!(place.ok(&["add", "web.yaml", "strace", "!libc6"]), "");
    assert_eq!((read(), std::fs::read_to_string(place.path("web.lock")).unwrap()), (after.clone(), lock.clone()));
    assert_eq!(place.ok(&["remove", "web.yaml", "strace", "!libc6"]), "strace 6.0 (removed)\n");
    assert_eq!(read(), before);
    place.ok(&["add", "web.yaml", "strace >= 6"]);
    assert!(read().contains("  - strace >= 6\n"));

    // Nothing is written where anything is wrong.
    let (kept, lock) = (read(), std::fs::read_to_string(place.path("web.lock")).unwrap());
    for (arguments, status, said) in [
        (&["add", "web.yaml", "debconf", "strce"][..], 2, "hint: `strace` is in `test`"),
        (&["add", "web.yaml", "strace >= 7"], 2, "there is `strace` 6.0"),
        (&["add", "--no-lock", "web.yaml", "strce"], 2, "no package named `strce`"),
        (&["add", "web.yaml", "!hello"], 2, "`tarsia remove SPEC 'hello'` first"),
        (&["add", "web.yaml", "Hello"], 2, "cannot read `Hello` as a package"),
        (&["remove", "web.yaml", "hallo"], 2, "did you mean `hello`?"),
    ] {
        refused(&place.run(arguments), status, &[said]);
        assert_eq!((read(), std::fs::read_to_string(place.path("web.lock")).unwrap()), (kept.clone(), lock.clone()));
    }
    place.ok(&["add", "--no-lock", "web.yaml", "debconf"]);
    assert_eq!(std::fs::read_to_string(place.path("web.lock")).unwrap(), lock);
    assert!(read().contains("  - debconf\n"));

    // What a file below asks for is asked for, and is removed there.
    place.write("child.yaml", "version: 1\nextends: web.yaml\n");
    place.ok(&["add", "child.yaml", "hello"]);
    assert_eq!(std::fs::read_to_string(place.path("child.yaml")).unwrap(), "version: 1\nextends: web.yaml\n");
    refused(
        &place.run(&["remove", "child.yaml", "hello"]),
        2,
        &["it stands in `web.yaml`, which `child.yaml` extends"],
    );
    place.write("tool.deb", deb("tool", "1.0").file("/usr/bin/tool", 0o755, "tool\n").build());
    place.ok(&["add", "child.yaml", "./tool.deb"]);
    assert!(std::fs::read_to_string(place.path("child.yaml")).unwrap().contains("packages:\n  - {deb: tool.deb}\n"));
    assert!(!place.path("child.lock").exists());
    place.ok(&["remove", "child.yaml", "tool.deb"]);
}
