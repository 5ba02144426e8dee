//! `why`: chains of reasons under `keep: needed`, of a spec and of an image with its evidence.

use crate::deb::deb;
use crate::program::Place;
use crate::world::{Archive, spec};

/// A program whose data lie in a package that it depends on, and a library of nobody.
fn built() -> Place {
    let place = Place::new();
    Archive::new(7)
        .deb(deb("base-files", "13.1").architecture("amd64").file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(
            deb("hello", "2.0-1")
                .architecture("amd64")
                .field("Depends", "hello-data, tool")
                .file("/usr/bin/hello", 0o755, "hello\n")
                .file("/usr/bin/hello-setup", 0o755, "#!/bin/sh\n")
                .file("/usr/share/doc/hello/README", 0o644, "no\n")
                .symlink("/usr/share/hello/table", "../hello-data/table"),
        )
        .deb(deb("hello-data", "2.0-1").architecture("amd64").source("hello").file(
            "/usr/share/hello-data/table",
            0o644,
            "data\n",
        ))
        .deb(deb("tool", "1.0").architecture("amd64").file("/usr/bin/tool", 0o755, "tool\n"))
        .write(&place);
    spec(&place, "web", "packages: [hello]\nrun: {entrypoint: [/usr/bin/hello]}\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place
}

#[test]
fn a_chain_leads_from_a_file_to_the_spec() {
    let place = built();
    let why = |arguments: &[&str]| {
        let ran = place.run(&[&["why"], arguments].concat());
        format!("{} {}{}", ran.status, ran.out, ran.err)
    };
    let short = why(&["web.yaml", "/usr/share/hello-data/table"]);
    assert!(short.starts_with("0 /usr/share/hello-data/table\n"), "{short}");
    assert!(short.contains("kept by    data of `hello-data`"), "{short}");
    assert!(short.contains("package hello-data: of the same source as `hello`"), "{short}");
    assert!(short.contains("package hello: named by the spec: `packages: hello`"), "{short}");
    let all = why(&["web.yaml", "/usr/share/hello-data/table", "--all"]);
    assert!(all.contains("linked to by /usr/share/hello/table"), "{all}");
    assert!(all.matches("chain").count() > short.matches("chain").count(), "{all}");
    assert!(
        why(&["web.yaml", "/usr/bin/hello"]).contains("kept by    run.entrypoint"),
        "{}",
        why(&["web.yaml", "/usr/bin/hello"])
    );

    // What is absent: where it is, why nothing needed it, and a no.
    let absent = why(&["web.yaml", "/usr/bin/tool"]);
    assert!(absent.starts_with("1 /usr/bin/tool is not in the image\n"), "{absent}");
    assert!(absent.contains("`tool` 1.0 ships it: nothing kept runs it"), "{absent}");
    let absent = why(&["web.yaml", "/usr/bin/hello-setup"]);
    assert!(absent.contains("it is a script, and what runs it is not kept: `/bin/sh`"), "{absent}");
    assert!(why(&["web.yaml", "/usr/share/doc/hello/README"]).contains("which `keep: needed` drops"));

    let package = why(&["web.yaml", "--package", "hello-data"]);
    assert!(
        package.contains("kept       1 file, 5 B") && package.contains("of the same source as `hello`"),
        "{package}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&place.ok(&["why", "--json", "web.yaml", "/usr/share/hello-data/table"])).unwrap();
    let chain = &json["answers"]["linux/amd64"]["chains"][0];
    assert_eq!(chain[0]["what"], "/usr/share/hello-data/table");
    assert_eq!(chain.as_array().unwrap().last().unwrap()["because"], "named by the spec: `packages: hello`");
}

#[test]
fn an_image_is_explained_by_the_evidence_beside_it() {
    let place = built();
    let path = place.ok(&["why", "web.oci", "/usr/share/hello-data/table"]);
    assert!(path.contains("package hello: named by the spec"), "{path}");
    // Version, size, digest and layer are those of the image.
    let of_spec = place.ok(&["why", "web.yaml", "/usr/share/hello-data/table"]);
    for field in ["from", "size", "digest"] {
        let line = |text: &str| text.lines().find(|line| line.trim_start().starts_with(field)).map(str::to_owned);
        assert!(line(&path).is_some() && line(&path) == line(&of_spec), "{field}\n{path}\n{of_spec}");
    }
    let manifest = place.ok(&["inspect", "web.oci", "--json"]);
    let layer = path.lines().find_map(|line| line.trim_start().strip_prefix("layer")).unwrap().trim();
    assert!(layer.starts_with("sha256:") && manifest.contains(layer), "{path}");
    let package = place.ok(&["why", "oci:web.oci", "--package", "hello-data"]);
    assert!(package.contains("of the same source as `hello`"), "{package}");
    // What is not there is told as of the spec, and what stands behind a link is there.
    let ran = place.run(&["why", "web.oci", "/usr/bin/tool"]);
    assert_eq!((ran.status, &ran.out), (1, &place.run(&["why", "web.yaml", "/usr/bin/tool"]).out), "{}", ran.err);
    assert!(ran.out.contains("ships it: "), "{}", ran.out);
    let linked = place.ok(&["why", "web.oci", "/bin/hello"]);
    assert!(linked.contains("/bin -> usr/bin") && linked.contains("run.entrypoint"), "{linked}");
    let ran = place.run(&["why", "web.oci", "/nowhere/at/all"]);
    assert!(ran.status == 1 && ran.out.contains("no package of the lock ships it"), "{}{}", ran.out, ran.err);
    // Without a kit that is all that can be said.
    std::fs::remove_file(place.path("web.oci.evidence/kit.tar.zst")).unwrap();
    let ran = place.run(&["why", "web.oci", "/usr/bin/tool"]);
    assert!(ran.status == 1 && ran.out.contains("cannot be told"), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("tarsia why SPEC"), "{}", ran.err);
    // The evidence of another image says nothing of this one.
    place
        .write("other.yaml", "version: 1\nname: o\nplatforms: [linux/amd64]\nfiles: [{text: x, to: /usr/bin/hello}]\n");
    place.ok(&["build", "other.yaml", "-o", "other.oci"]);
    std::fs::remove_dir_all(place.path("web.oci.evidence")).unwrap();
    std::fs::rename(place.path("other.oci.evidence"), place.path("web.oci.evidence")).unwrap();
    let ran = place.run(&["why", "web.oci", "/usr/bin/hello"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("it is about sha256:"), "{}", ran.err);
    std::fs::remove_dir_all(place.path("web.oci.evidence")).unwrap();
    let ran = place.run(&["why", "web.oci", "/usr/bin/hello"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
}

#[test]
fn check_names_what_may_be_missed() {
    let place = built();
    let ran = place.run(&["check", "web.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("programs are left out, since what runs them is not kept"), "{}", ran.err);
    assert!(ran.err.contains("/usr/bin/hello-setup of `hello`: /bin/sh"), "{}", ran.err);
    // A rule of the spec that fits nothing is said; one that is none points at its place.
    place.write(
        "rules/own.yaml",
        "- {rule: mine, why: the tool is run by name, when: /usr/bin/hello, keep: /usr/bin/tool}\n\
                                   - {rule: idle, why: nobody needs this at all, with: nobody, keep: /usr/share/x}\n",
    );
    spec(&place, "web", "packages: [hello]\nrules: ./rules/\nrun: {entrypoint: [/usr/bin/hello]}\n");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("`rules` fits nothing: `idle`"), "{}", ran.err);
    assert!(place.ok(&["why", "web.yaml", "/usr/bin/tool"]).contains("rule mine: the tool is run by name"));
    // The lock holds its digest.
    place.write("rules/own.yaml", "- {rule: mine, why: the tool is run by name, with: hello, keep: /usr/bin/tool}\n");
    let ran = place.run(&["build", "--locked", "web.yaml", "-o", "web.oci"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(ran.err.contains("rules `rules/own.yaml` has other bytes"), "{}", ran.err);
    place.write("rules/own.yaml", "- {rule: mine, why: a word, keeps: /x}\n");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert!(
        ran.status == 2 && ran.err.contains("there is no key `keeps`") && ran.err.contains("own.yaml:1"),
        "{}",
        ran.err
    );
    place.write("rules/own.yaml", "- {rule: mine, why: [}\n");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert!(ran.status == 2 && ran.err.contains("cannot read rules `rules/own.yaml`: "), "{}", ran.err);
    // Rules further below would hold for nothing.
    place.write("rules/own.yaml", "- {rule: mine, why: the tool is run by name, with: hello, keep: /usr/bin/tool}\n");
    place.write("rules/deep/own.yml", "- {rule: deep, why: nobody reads this, with: hello, keep: /usr/share/x}\n");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert!(
        ran.status == 2 && ran.err.contains("cannot read rules `rules/deep/own.yml`: rules stand in `rules` itself"),
        "{}",
        ran.err
    );
}

#[test]
fn a_feature_that_is_nearly_one_and_a_program_that_is_nowhere_are_told() {
    let place = built();
    spec(&place, "web", "packages: [hello]\nfeatures: [locale]\nrun: {entrypoint: [/usr/bin/hello]}\n");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert!(ran.status == 2 && ran.err.contains("did you mean `locales`?"), "{}", ran.err);
    spec(&place, "web", "packages: [hello]\nrun: {entrypoint: [/usr/bin/helo]}\n");
    let said = "warning: the image runs `/usr/bin/helo`, which nothing puts into it";
    // Also where the image is found in the store.
    for arguments in
        [&["build", "web.yaml", "-o", "web.oci"][..], &["build", "web.yaml", "-o", "web.oci"], &["check", "web.yaml"]]
    {
        let ran = place.run(arguments);
        assert!(ran.status == 0 && ran.err.matches(said).count() == 1, "{arguments:?} {}", ran.err);
    }
}
