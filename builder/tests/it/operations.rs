//! `worker`: a build by operations over directories gives what `build` gives, and believes nothing that it reads.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tarsia::digest::Digest;
use tarsia::spec::Platform;

use crate::chain::Chain;
use crate::container::{Bundle, must};
use crate::deb::{Tar, deb};
use crate::layout;
use crate::program::{Place, names};
use crate::tls::Authority;
use crate::world::{Archive, spec};

/// Holds a build by operations against one in this process: the digest, the layout and the documents.
fn same(place: &Place, file: &str, variant: Option<&str>) {
    let stem = format!("{}{}", file.trim_end_matches(".yaml"), variant.unwrap_or_default());
    let out = format!("{stem}-local.oci");
    let mut arguments = vec!["build", file, "-o", &out];
    arguments.extend(variant.iter().flat_map(|variant| ["--variant", variant]));
    let digest = place.ok(&arguments);
    let chain = Chain::new(place, file, variant, &format!("room-{stem}"));
    assert_eq!(chain.build(), digest, "{file}");
    let differ = |local: String, ours: &str| {
        must(Command::new("diff").arg("-r").arg(place.path(&local)).arg(chain.path(ours)));
    };
    differ(out, "oci");
    differ(format!("{stem}-local.oci.evidence"), "evidence");
}

fn world() -> Place {
    let place = Place::new();
    Archive::new(41)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(deb("libgreet1", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet"))
        .deb(deb("hello", "1.0").depends("libgreet1 (>= 1.0)").file("/usr/bin/hello", 0o755, "hello"))
        .write(&place);
    place
}

#[test]
fn a_build_by_operations_is_the_build() {
    let place = world();
    place.write("app/main", "#!/usr/bin/hello\n");
    spec(
        &place,
        "plain",
        "packages: [hello]\nkeep: runtime\nfiles:\n  - {copy: app, to: /opt/app}\n  - {text: hi, to: /etc/hi}\n",
    );
    same(&place, "plain.yaml", None);
}

#[test]
fn a_build_by_operations_is_the_build_whatever_a_spec_has() {
    let place = Place::new();
    let own = deb("own", "2.0").file("/usr/bin/own", 0o755, "own\n").build();
    let tar = Tar::new().directory("m/", 0o755).file("m/bin/tool", 0o755, b"tool").file("m/data", 0o600, b"d").build();
    Archive::new(9)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(
            deb("hello", "1.0-1")
                .depends("libgreet1")
                .file("/usr/bin/hello", 0o755, "hello\n")
                .file("/usr/share/hello/a", 0o644, "a\n")
                .control_file("postinst", "#!/bin/sh\nset -e\nmkdir -p /var/lib/hello\nchown 7:8 /var/lib/hello\n"),
        )
        .deb(deb("libgreet1", "1:1.0").field("Installed-Size", "4096").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
        .deb(deb("strace", "6.0").file("/usr/bin/strace", 0o755, "strace\n"))
        .write(&place);
    place.write("dist/own.deb", own);
    place.write("conf/web.conf", "a = 1\n");
    place.write("conf/run.sh", "#!/usr/bin/own\n");
    place.write("conf/sub/left.out", "x");
    symlink("web.conf", place.path("conf/link")).unwrap();
    std::fs::create_dir(place.path("conf/empty")).unwrap();
    std::fs::set_permissions(place.path("conf/run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let _authority = Authority::new(&place.path("."), "own");
    place.write(
        "rules/own.yaml",
        "- {rule: mine, why: it is read by name, when: /usr/bin/hello, keep: \"/usr/lib/*.so.1\"}\n",
    );
    place.write("slices/slices/hello.yaml", "package: hello\nslices:\n  bin:\n    contents:\n      /usr/bin/hello:\n");
    place.write("common.yaml", "version: 1\nlabels: {of: common}\nusers: {app: {uid: 4242}}\n");
    let fetched = place.write("m.tar", &tar);
    let whole = place.write("whole", "whole\n");
    let fetch = |path: &std::path::Path, bytes: &[u8]| {
        format!("fetch: \"file://{}\", sha256: {}", path.display(), Digest::of(bytes).hex())
    };
    let rest = format!(
        "extends: common.yaml\npackages: [hello_bin, {{deb: dist/own.deb}}]\nrules: ./rules/\nslices: ./slices/\n\
         certificates: [own.pem]\nfiles:\n  - {{copy: conf/, exclude: [\"**/*.out\"], to: /etc/web/, owner: app}}\n  - \
         {{{}, to: /opt/m/, unpack: true, strip: 1}}\n  - {{{}, to: /opt/whole}}\n  - {{dir: /srv/drop, mode: \
         \"1777\"}}\n  - {{symlink: /srv/web, target: /etc/web}}\nrun: {{user: app, entrypoint: [/usr/bin/own]}}\nchecks: \
         {{forbid: [setuid, secrets, root-user]}}\nlayers: {{compression: gzip, level: 4}}\nvariants:\n  debug: \
         {{packages: [strace], files: [{{text: debug, to: /etc/debug}}]}}\n",
        fetch(&fetched, &tar),
        fetch(&whole, b"whole\n"),
    );
    spec(&place, "web", &rest);
    same(&place, "web.yaml", None);
    same(&place, "web.yaml", Some("debug"));
}

#[test]
fn a_build_by_operations_is_the_build_of_several_platforms() {
    let place = Place::new();
    place.write("app/main", "#!x\n");
    place.write(
        "both.yaml",
        "version: 1\nplatforms: [linux/arm64, linux/amd64]\nfiles: [{copy: app, to: /opt/app}, {text: hi, to: /motd}]\n",
    );
    same(&place, "both.yaml", None);
    // Nothing of its own at all.
    place.write("bare.yaml", "version: 1\nplatforms: [linux/amd64]\nusers: {app: {uid: 4242}}\n");
    same(&place, "bare.yaml", None);
}

#[test]
fn a_build_by_operations_is_the_build_over_a_base() {
    let place = world();
    spec(&place, "low", "packages: [libgreet1]\nkeep: runtime\nrun: {cmd: [low], env: {A: low}}\n");
    place.ok(&["build", "low.yaml", "-o", "low.oci", "-o", "oci-archive:low.tar:it"]);
    let rest =
        "packages: [hello]\nkeep: runtime\nfiles: [{text: x, to: /opt/x}]\nrun: {entrypoint: [/usr/bin/hello]}\n";
    spec(&place, "top", &format!("{rest}base: oci:./low.oci\n"));
    same(&place, "top.yaml", None);
    spec(&place, "archive", &format!("{rest}base: oci-archive:./low.tar:it\n"));
    same(&place, "archive.yaml", None);
}

/// A place with packages in layers of their own.
fn layered(greet: &str) -> Place {
    let place = Place::new();
    let large = |name: &str, text: &str| {
        deb(name, "1.0").field("Installed-Size", "8192").file(&format!("/usr/share/{name}/data"), 0o644, text)
    };
    Archive::new(43)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(large("greet", greet))
        .deb(large("other", "other").depends("greet"))
        .deb(large("third", "third").depends("greet"))
        .write(&place);
    let rest = "packages: [other, third]\nkeep: runtime\nfiles: [{text: x, to: /opt/x}]\n";
    spec(&place, "web", rest);
    // The archive's address is the spec's, and differs with the place.
    let text = std::fs::read_to_string(place.path("web.yaml")).unwrap();
    let here = place.path("archive").display().to_string();
    place.write("web.yaml", text.replace(&format!("file://{here}"), "file:///archive"));
    place.ok(&["lock", "web.yaml", "--mirror", &format!("test=file://{here}")]);
    place.ok(&["build", "web.yaml", "-o", "web.oci", "--mirror", &format!("test=file://{here}")]);
    place
}

/// Returns the plans of a chain, by layer.
fn plans(chain: &Chain<'_>) -> BTreeMap<String, Vec<u8>> {
    let platform = Platform::Amd64;
    let job = chain.job();
    chain.open_own();
    chain.open(platform);
    chain.select(&job, platform, "plans");
    let plan = |layer: &String| std::fs::read(chain.path(&format!("plans/{layer}/plan"))).unwrap();
    let layers = chain.layers(platform);
    assert_eq!(names(&chain.path("plans")).len(), layers.len(), "a plan for every layer");
    layers.iter().map(|layer| (layer.clone(), plan(layer))).collect()
}

#[test]
fn a_plan_has_nothing_in_it_about_other_layers() {
    let place = layered("greet");
    let chain = Chain::new(&place, "web.yaml", None, "one");
    let first = plans(&chain);
    assert!(first.len() >= 6, "{:?}", first.keys());
    assert_eq!(plans(&Chain::new(&place, "web.yaml", None, "two")), first, "the same bytes again");
    let moved = |other: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        assert!(other.keys().eq(first.keys()), "{:?} {:?}", other.keys(), first.keys());
        first.iter().filter(|(layer, plan)| other[*layer] != **plan).map(|(layer, _)| layer.clone()).collect()
    };
    let dates = chain.at(1_700_000_000, "dates");
    assert_eq!(moved(&plans(&dates)), ["files", "state"], "dates are theirs alone");
    let changed = layered("another greeting");
    let other = Chain::new(&changed, "web.yaml", None, "one");
    assert_eq!(moved(&plans(&other)), ["greet"], "one package");
    // What the spec's own files are opened from, and what comes out, depends on neither.
    for directory in ["own-job", "local", "local-data"] {
        for moved in [&dates, &other] {
            must(Command::new("diff").arg("-r").arg(chain.path(directory)).arg(moved.path(directory)));
        }
    }
}

#[test]
fn nothing_of_the_machine_reaches_an_output() {
    let place = world();
    place.write("app/main", "#!/usr/bin/hello\n");
    spec(&place, "plain", "packages: [hello]\nkeep: runtime\nfiles: [{copy: app, to: /opt/app}]\n");
    place.ok(&["build", "plain.yaml", "-o", "plain.oci"]);
    let first = Chain::new(&place, "plain.yaml", None, "one");
    first.build();
    let other = Chain::new(&place, "plain.yaml", None, "two").outside("umask 077; exec taskset -c 0 \"$0\" \"$@\"");
    other.build();
    let listed = |chain: &Chain<'_>| {
        let list = "find indexes local layers oci evidence plans-linux-amd64 opened local-data -type f -exec sha256sum \
                    {} + | sort -k2; find indexes/*/* local layers/*/* oci/* evidence/* plans-*/* opened/*/* \
                    local-data/* -printf '%p %m\\n' | sort";
        must(Command::new("sh").current_dir(chain.path(".")).args(["-c", list]))
    };
    let (first, other) = (listed(&first), listed(&other));
    assert_eq!(first, other);
    assert!(first.contains("oci/index.json 644") && first.contains("oci/blobs 755"), "{first}");
}

#[test]
fn what_another_operation_wrote_is_never_believed() {
    let place = world();
    place.write("app/main", "#!/usr/bin/hello\n");
    spec(&place, "web", "packages: [hello]\nkeep: runtime\nfiles: [{copy: app, to: /opt/app}]\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let chain = Chain::new(&place, "web.yaml", None, "room");
    chain.build();
    let platform = Platform::Amd64;
    let for_amd64 = ["--platform".to_owned(), "linux/amd64".to_owned()];
    let refused =
        |operation: &str, arguments: &[String], places: &[(&str, PathBuf)], outputs: &[&str], said: &[&str]| {
            let ran = chain.run(operation, arguments, places);
            assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{operation} {said:?}\n{}", ran.err);
            for word in said {
                assert!(ran.err.contains(word), "`{word}` is missing in:\n{}", ran.err);
            }
            for output in outputs {
                let (_, path) = places.iter().rev().find(|(flag, _)| flag == output).unwrap();
                assert!(!path.exists() || names(path).is_empty(), "{operation} left something in {path:?}");
            }
        };
    let replaced = |mut places: Vec<(&'static str, PathBuf)>, flag: &'static str, path: PathBuf| {
        places.retain(|(known, _)| *known != flag);
        places.push((flag, path));
        places
    };
    // A copy of a directory of the room in which one file is another.
    let count = std::cell::Cell::new(0);
    let changed = |directory: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        count.set(count.get() + 1);
        let copy = chain.path(&format!("copy-{}", count.get()));
        must(Command::new("cp").arg("-rL").arg(chain.path(directory)).arg(&copy));
        let path = copy.join(file);
        let bytes = change(std::fs::read(&path).unwrap());
        std::fs::write(path, bytes).unwrap();
        copy
    };
    let new = |name: &str| chain.path(&format!("new-{name}"));
    let job = chain.path("job");

    // Packages.
    let asked = |digest: &Digest| vec![format!("small-1/hello={digest}")];
    let hello = chain.path("in/linux-amd64");
    let bytes = std::fs::read(hello.join("hello/deb")).unwrap();
    let opening = vec![("in", hello), ("index", new("index")), ("data", new("data"))];
    let outputs = ["index", "data"];
    let said = ["cannot open package `hello`: its bytes are", "the lock says"];
    refused("open", &asked(&Digest::of(b"other")), &opening, &outputs, &said);
    let broken = changed("in/linux-amd64", "hello/deb", &|bytes| bytes[..bytes.len() / 2].to_vec());
    let digest = Digest::of(&bytes[..bytes.len() / 2]);
    let said = ["cannot open package `hello`"];
    refused("open", &asked(&digest), &replaced(opening.clone(), "in", broken), &outputs, &said);
    let twice = [asked(&Digest::of(&bytes)), asked(&Digest::of(&bytes))].concat();
    refused("open", &twice, &opening, &outputs, &["package `hello`", "asked for twice"]);
    let gone = vec![format!("small-1/gone={digest}")];
    refused("open", &gone, &opening, &outputs, &["cannot read package `gone`"]);

    // Indexes.
    let mut selecting = chain.selecting(&job, platform);
    selecting.push(("plans", new("plans")));
    let indexes = |number: usize, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        changed("indexes/linux-amd64", &format!("{number}/hello"), change)
    };
    let number = (0..9).find(|number| chain.path(&format!("indexes/linux-amd64/{number}/hello")).exists()).unwrap();
    let short = indexes(number, &|bytes| bytes[..bytes.len() - 1].to_vec());
    let said = ["the index of package `hello`", "not of this format"];
    refused("select", &for_amd64, &replaced(selecting.clone(), "indexes", short), &["plans"], &said);
    let long = indexes(number, &|bytes| [bytes, b"x".to_vec()].concat());
    refused("select", &for_amd64, &replaced(selecting.clone(), "indexes", long), &["plans"], &said);
    let other = std::fs::read(chain.path(&format!("indexes/linux-amd64/{number}/libgreet1"))).unwrap();
    let other = indexes(number, &|_| other.clone());
    let said = ["cannot select from `hello`", "the lock says"];
    refused("select", &for_amd64, &replaced(selecting.clone(), "indexes", other), &["plans"], &said);
    let absent = indexes(number, &|bytes| bytes);
    std::fs::remove_file(absent.join(format!("{number}/hello"))).unwrap();
    let said = ["cannot select from `hello`: it was not opened"];
    refused("select", &for_amd64, &replaced(selecting.clone(), "indexes", absent), &["plans"], &said);
    let local = changed("local", "local", &|mut bytes| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        bytes
    });
    let said = ["the index of the spec's own files"];
    refused("select", &for_amd64, &replaced(selecting.clone(), "local", local), &["plans"], &said);
    let said = ["cannot use the job", "linux/arm64"];
    refused("select", &["--platform".to_owned(), "linux/arm64".to_owned()], &selecting, &["plans"], &said);
    let elsewhere = changed("job", "lock.toml", &|bytes| {
        String::from_utf8(bytes).unwrap().replace("encoding = ", "encoding = 9").into_bytes()
    });
    refused("select", &for_amd64, &replaced(selecting.clone(), "job", elsewhere), &["plans"], &["encoding 91"]);

    // Plans and data.
    let layer = chain.layers(platform).into_iter().next().unwrap();
    let (compression, mut writing) = chain.writing(platform, &layer);
    writing = replaced(writing, "layer", new("layer"));
    let plan = changed(&format!("plans-linux-amd64/{layer}"), "plan", &|bytes| bytes[..bytes.len() - 3].to_vec());
    let said = ["the plan of a layer", "not of this format"];
    refused("layer", &compression, &replaced(writing.clone(), "plan", plan), &["layer"], &said);
    let said = [&*format!("cannot write layer `{layer}`"), "from its pack"];
    refused("layer", &compression, &replaced(writing.clone(), "data", new("nowhere")), &["layer"], &said);
    let key = names(&writing.iter().find(|(flag, _)| *flag == "data").unwrap().1)[0].clone();
    let spoilt = changed(&format!("data/linux-amd64/{layer}"), &key, &|mut bytes| {
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        bytes
    });
    let said = [&*format!("cannot write layer `{layer}`"), "the plan says"];
    refused("layer", &compression, &replaced(writing, "data", spoilt), &["layer"], &said);

    // Layers.
    let assembling = replaced(replaced(chain.assembling(&job), "oci", new("oci")), "evidence", new("evidence"));
    let outputs = ["oci", "evidence"];
    let own = format!("linux-amd64/{layer}/blob");
    let blob = changed("layers", &own, &|mut bytes| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        bytes
    });
    let said = [&*format!("layer `{layer}` of linux/amd64"), "its record says"];
    refused("assemble", &[], &replaced(assembling.clone(), "layers", blob), &outputs, &said);
    let files = std::fs::read(chain.path("layers/linux-amd64/files/layer")).unwrap();
    let swapped = changed("layers", &format!("linux-amd64/{layer}/layer"), &|_| files.clone());
    std::fs::copy(chain.path("layers/linux-amd64/files/blob"), swapped.join(&own)).unwrap();
    let said = [&*format!("cannot use layer `{layer}` of linux/amd64"), "it is that of plan"];
    refused("assemble", &[], &replaced(assembling.clone(), "layers", swapped), &outputs, &said);
    let none = changed("layers", &own, &|bytes| bytes);
    std::fs::remove_dir_all(none.join(format!("linux-amd64/{layer}"))).unwrap();
    let said = [&*format!("cannot read layer `{layer}` of linux/amd64")];
    refused("assemble", &[], &replaced(assembling.clone(), "layers", none), &outputs, &said);
    let ran = chain.run("assemble", &[], &replaced(assembling.clone(), "oci", chain.path("oci")));
    assert!(ran.status == 2 && ran.err.contains("it is not empty"), "{}", ran.err);

    // Another release's graph.
    let ran = place.run(&["worker", "rootfs", "--contract", "9.9.9.9"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("cannot work for contract 9.9.9.9: this worker is of contract 1.3."), "{}", ran.err);
}

/// Returns everything below a directory with all that a layer says of it.
fn listed(root: &std::path::Path) -> String {
    let list = "find . -printf '%p %y %m %U:%G %T@ %n %l\\n' | sed 's/\\.0* / /' | sort; find . -type f -exec sha256sum {} + | \
                sort -k2";
    must(Command::new("sh").current_dir(root).args(["-c", list]))
}

#[test]
fn a_root_of_layers_is_what_a_container_engine_makes_of_them() {
    let place = world();
    let pax = |records: &[(&str, &[u8])]| {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..).find(|length| length.to_string().len() + rest == *length).unwrap();
            body.extend([length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", *value, b"\n"].concat());
        }
        body
    };
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let low = Tar::new()
        .directory("etc/", 0o755)
        .directory("srv/", 0o750)
        .file("srv/gone", 0o644, b"gone")
        .file("srv/stays", 0o4755, b"stays")
        .entry("srv/twin", b'1', 0o4755, "srv/stays", b"")
        .directory("srv/cleared/", 0o755)
        .directory("srv/cleared/below/", 0o755)
        .file("srv/cleared/below/old", 0o644, b"old")
        .file("srv/becomes", 0o644, b"a file")
        .directory("srv/was/", 0o755)
        .file("srv/was/below", 0o644, b"x")
        .entry("x", b'x', 0o644, "", &pax(&[("SCHILY.xattr.security.capability", capability)]))
        .file("srv/capable", 0o755, b"capable");
    let over = Tar::new()
        .directory("srv/", 0o700)
        .file("srv/.wh.gone", 0o644, b"")
        .directory("srv/cleared/", 0o711)
        .file("srv/cleared/.wh..wh..opq", 0o644, b"")
        .file("srv/cleared/new", 0o600, b"new")
        .directory("srv/becomes/", 0o755)
        .file("srv/becomes/one", 0o644, b"now a directory")
        .entry("srv/was", b'2', 0o777, "becomes", b"")
        .directory("late/", 0o1777);
    layout::write(&place, "low.oci", &[low.build(), over.build()], &json!({}));
    spec(
        &place,
        "top",
        "packages: [hello]\nkeep: runtime\nbase: oci:./low.oci\nusers: {app: {uid: 4242}}\nfiles:\n  - {text: x, to: \
         /srv/own, owner: app, mode: \"2755\"}\n  - {symlink: /srv/link, target: own}\n",
    );
    place.ok(&["build", "top.yaml", "-o", "top.oci"]);
    let chain = Chain::new(&place, "top.yaml", None, "room");
    chain.build();
    std::fs::create_dir(chain.path("root")).unwrap();
    let put = |layer: PathBuf| {
        let ran = chain.run("rootfs", &[], &[("layer", layer), ("root", chain.path("root"))]);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    };
    put(chain.path("blobs/linux-amd64"));
    for layer in chain.layers(Platform::Amd64) {
        let layer = chain.path(&format!("layers/linux-amd64/{layer}"));
        // With a record beside it, and with one in the arguments.
        if layer.ends_with("files") {
            let record: serde_json::Value =
                serde_json::from_slice(&std::fs::read(layer.join("layer")).unwrap()).unwrap();
            let one = &record["layer"];
            let of = json!({
                "diff_id": one["diff_id"], "digest": one["digest"], "size": one["size"],
                "media_type": "application/vnd.oci.image.layer.v1.tar+zstd",
            });
            std::fs::remove_file(layer.join("layer")).unwrap();
            let arguments = ["--of".to_owned(), of.to_string()];
            let ran = chain.run("rootfs", &arguments, &[("layer", layer), ("root", chain.path("root"))]);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""));
            continue;
        }
        put(layer);
    }
    let bundle = Bundle::unpack(&place.path("top.oci"));
    // Nothing says what the root itself is.
    for root in [&bundle.root(), &chain.path("root")] {
        must(Command::new("sh").current_dir(root).args(["-c", "chmod 755 . && touch -d @0 ."]));
    }
    let (ours, theirs) = (listed(&chain.path("root")), listed(&bundle.root()));
    assert_eq!(ours, theirs);
    for expected in ["./srv/twin f 4755 0:0 1700000000 2", "./srv/own f 2755 4242:4242"] {
        assert!(ours.contains(expected), "{expected}\n{ours}");
    }
    for root in [bundle.root(), chain.path("root")] {
        let mut value = [0; 64];
        let length = rustix::fs::lgetxattr(root.join("srv/capable"), "security.capability", &mut value).unwrap();
        assert_eq!(&value[..length], capability, "{root:?}");
    }
    assert!(!ours.contains("srv/gone") && !ours.contains(".wh.") && !ours.contains("cleared/below"), "{ours}");
}

#[test]
fn a_layer_never_leaves_its_root() {
    let place = world();
    spec(&place, "web", "packages: [hello]\nkeep: runtime\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let chain = Chain::new(&place, "web.yaml", None, "room");
    chain.build();
    let outside = place.path("outside");
    std::fs::create_dir(&outside).unwrap();
    // Where a link stands in the way, nothing is written through it.
    std::fs::create_dir(chain.path("root")).unwrap();
    symlink(&outside, chain.path("root/usr")).unwrap();
    let layer = chain.path(&format!("layers/linux-amd64/{}", chain.layers(Platform::Amd64)[0]));
    let ran = chain.run("rootfs", &[], &[("layer", layer.clone()), ("root", chain.path("root"))]);
    assert_eq!(ran.status, 0, "a directory takes the place of a link: {}", ran.err);
    assert!(names(&outside).is_empty() && chain.path("root/usr").symlink_metadata().unwrap().is_dir());
    // A record that lies about the tar, or about the blob.
    for (field, said) in [("diff_id", "a layer's tar is"), ("digest", "its record says")] {
        let lying = chain.path(&format!("lying-{field}"));
        must(Command::new("cp").arg("-r").arg(&layer).arg(&lying));
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(lying.join("layer")).unwrap()).unwrap();
        let text = record.to_string().replace(record["layer"][field].as_str().unwrap(), &Digest::of(b"x").to_string());
        std::fs::write(lying.join("layer"), text).unwrap();
        std::fs::create_dir(chain.path(&format!("root-{field}"))).unwrap();
        let places = [("layer", lying), ("root", chain.path(&format!("root-{field}")))];
        let ran = chain.run("rootfs", &[], &places);
        assert!(ran.status == 2 && ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn an_image_that_breaks_its_contract_is_not_assembled() {
    let place = world();
    let rest = "packages: [hello]\nkeep: runtime\nrun: {user: root}\n";
    spec(&place, "web", rest);
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    spec(&place, "web", &format!("{rest}checks: {{forbid: [root-user]}}\n"));
    place.ok(&["lock", "web.yaml"]);
    let chain = Chain::new(&place, "web.yaml", None, "room");
    let ran = chain.try_build();
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("cannot accept `web` (linux/amd64)"), "{}", ran.err);
    assert!(names(&chain.path("oci")).is_empty() && names(&chain.path("evidence")).is_empty());
}
