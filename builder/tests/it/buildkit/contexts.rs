//! Specs with all that may stand beside them: the same digest and the same documents by every way.

use std::os::unix::fs::symlink;

use tarsia::digest::Digest;

use super::daemon::Daemon;
use super::turn;
use super::ways::{Served, Way, digest_of, same};
use super::worker::worker;
use crate::deb::{Tar, deb};
use crate::distribution::Distribution;
use crate::tls::Authority;
use crate::world::Archive;

/// A place with specs: `web` and its variant `debug` have everything, `top` a base that is a layout, `archive` one that
/// is an archive, `both` two platforms, `bare` nothing at all.
fn served() -> Served {
    let served = Served::new(
        &Archive::new(66)
            .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
            .deb(
                deb("hello", "1.0-1")
                    .depends("libgreet1")
                    .file("/usr/bin/hello", 0o755, "hello\n")
                    .file("/usr/share/hello/a", 0o644, "a\n")
                    .control_file("postinst", "#!/bin/sh\nset -e\nmkdir -p /var/lib/hello\nchown 7:8 /var/lib/hello\n"),
            )
            .deb(deb("libgreet1", "1:1.0").field("Installed-Size", "4096").file(
                "/usr/lib/libgreet.so.1",
                0o644,
                "greet",
            ))
            .deb(deb("strace", "6.0").file("/usr/bin/strace", 0o755, "strace\n")),
    );
    let place = &served.place;
    place.write("dist/own.deb", deb("own", "2.0").file("/usr/bin/own", 0o755, "own\n").build());
    place.write("conf/web.conf", "a = 1\n");
    place.write("conf/run.sh", "#!/usr/bin/own\n");
    place.write("conf/sub/left.out", "x");
    place.write("conf/a name/with [brackets]", "y");
    symlink("web.conf", place.path("conf/link")).unwrap();
    std::fs::create_dir(place.path("conf/empty")).unwrap();
    let _authority = Authority::new(&place.path("."), "own");
    let rule = "- {rule: mine, why: it is read by name, when: /usr/bin/hello, keep: \"/usr/lib/*.so.1\"}\n";
    place.write("rules/own.yaml", rule);
    place.write("slices/slices/hello.yaml", "package: hello\nslices:\n  bin:\n    contents:\n      /usr/bin/hello:\n");
    place.write("common.yaml", "version: 1\nlabels: {of: common}\nusers: {app: {uid: 4242}}\n");
    let tar = Tar::new().directory("m/", 0o755).file("m/bin/tool", 0o755, b"tool").file("m/data", 0o600, b"d").build();
    place.write("archive/m.tar", &tar);
    place.write("archive/whole", "whole\n");
    let fetch = |name: &str, bytes: &[u8]| {
        format!("fetch: \"{}\", sha256: \"{}\"", served.files.url(name), Digest::of(bytes).hex())
    };
    served.spec(
        "web",
        &format!(
            "extends: common.yaml\npackages: [hello_bin, {{deb: dist/own.deb}}]\nrules: ./rules/\nslices: ./slices/\n\
             certificates: [own.pem]\nfiles:\n  - {{copy: conf/, exclude: [\"**/*.out\"], to: /etc/web/, owner: app}}\n  \
             - {{{}, to: /opt/m/, unpack: true, strip: 1}}\n  - {{{}, to: /opt/whole}}\n  - {{dir: /srv/drop, mode: \
             \"1777\"}}\n  - {{symlink: /srv/web, target: /etc/web}}\nrun: {{user: app, entrypoint: [/usr/bin/own]}}\n\
             checks: {{forbid: [setuid, secrets, root-user]}}\nlayers: {{compression: gzip, level: 4}}\nvariants:\n  \
             debug: {{packages: [strace], files: [{{text: debug, to: /etc/debug}}]}}\n",
            fetch("m.tar", &tar),
            fetch("whole", b"whole\n"),
        ),
    );
    served.spec("low", "packages: [libgreet1]\nkeep: runtime\nrun: {cmd: [low], env: {A: low}}\n");
    place.ok(&["build", "low.yaml", "-o", "low.oci", "-o", "oci-archive:low.tar:it"]);
    let over =
        "packages: [hello]\nkeep: runtime\nfiles: [{text: x, to: /opt/x}]\nrun: {entrypoint: [/usr/bin/hello]}\n";
    served.spec("top", &format!("{over}base: oci:./low.oci\n"));
    served.spec("archived", &format!("{over}base: oci-archive:./low.tar:it\n"));
    let both = "version: 1\nname: both\nplatforms: [linux/arm64, linux/amd64]\nfiles:\n  - {copy: conf, to: /opt/conf}\n  \
                - {text: hi, to: /motd}\n";
    place.write("both.yaml", both);
    place.write("bare.yaml", "version: 1\nname: bare\nplatforms: [linux/amd64]\nusers: {app: {uid: 4242}}\n");
    served
}

fn every_way_gives_the_local_image(daemon: &Daemon, registry: &Distribution) {
    let served = served();
    let place = &served.place;
    let way = Way::new(daemon, worker().url());
    let frontend = worker().image(registry);
    for (spec, variant) in [("web", ""), ("web", "debug"), ("top", ""), ("archived", ""), ("both", ""), ("bare", "")] {
        let file = format!("{spec}.yaml");
        let flags: Vec<&str> = if variant.is_empty() { vec![] } else { vec!["--variant", variant] };
        let out = |what: &str| place.path(&format!("{spec}{variant}-{what}.oci"));
        let local = out("local");
        let mut build = place.tarsia(["build", &file, "-o"]);
        let digest = crate::container::must(build.arg(&local).args(&flags)).trim().to_owned();
        let beside = |path: &std::path::Path| path.with_extension("oci.evidence");

        way.by_graph(place, &file, &flags, &out("graph")).ok();
        same(&local, &out("graph"));
        // A graph does not know whether the lock was proved, unless it was.
        let evidence: Vec<&str> = [flags.as_slice(), &["--target", "evidence", "--require-proof"]].concat();
        way.by_graph(place, &file, &evidence, &place.path(&format!("{spec}{variant}-graph.evidence"))).ok();
        same(&beside(&local), &place.path(&format!("{spec}{variant}-graph.evidence")));

        let store = tempfile::tempdir().unwrap();
        let mut engine = way.engine(place, &file, &store.path().join("store"), &out("engine"));
        assert_eq!(crate::container::must(engine.args(&flags)).trim(), digest, "{spec} {variant}");
        same(&local, &out("engine"));
        same(&beside(&local), &beside(&out("engine")));

        let option = format!("build-arg:variant={variant}");
        let options: &[&str] = if variant.is_empty() { &[] } else { &[&option] };
        way.by_frontend(&frontend, place, &file, options, &out("frontend")).ok();
        assert_eq!(digest_of(&out("frontend")), digest, "{spec} {variant}");
        same(&local, &out("frontend"));
    }
}

#[test]
fn every_way_gives_the_local_image_on_docker() {
    let turn = turn();
    let (Some(daemon), Some(registry)) = (Daemon::docker(&turn), Distribution::start(false)) else { return };
    every_way_gives_the_local_image(&daemon, &registry);
}

#[test]
fn every_way_gives_the_local_image_on_buildkitd() {
    let turn = turn();
    let (Some(daemon), Some(registry)) = (Daemon::buildkitd(&turn), Distribution::start(false)) else { return };
    every_way_gives_the_local_image(&daemon, &registry);
}
