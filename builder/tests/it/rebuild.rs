//! Images that are built again from their kit, or from spec and lock, and compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tarsia::compare::{Class, Comparison, Inside};
use tarsia::diag::{Problems, Silent};
use tarsia::fetch::{FetchOptions, HttpOptions, HttpTransport, MachineClock};
use tarsia::image::{self, Destination};
use tarsia::load::Engines;
use tarsia::ops::{self, RebuildOptions, RebuildSource, RebuildVerdict, Rebuilt, World};
use tarsia::registry::{CredentialFiles, Options, Registry};
use tarsia::spec::Platform;
use tarsia::store::{Store, StoreOptions};

use crate::deb::deb;
use crate::program::{Place, names};
use crate::real;
use crate::tamper::{self, Change};
use crate::world::{Archive, spec};

/// A place with a package of the archive, one of the spec's own, copied files of every kind, a key and a certificate.
pub(crate) fn place() -> Place {
    let place = Place::new();
    Archive::new(9)
        .deb(
            deb("hello", "1.0-1+b1")
                .depends("libgreet1")
                .file("/usr/bin/hello", 0o755, "hello\n")
                .control_file("md5sums", "0123456789abcdef0123456789abcdef  usr/bin/hello\n")
                .file("/usr/share/hello/a", 0o644, "a\n")
                .file("/usr/share/hello/b", 0o644, "b\n"),
        )
        .deb(deb("libgreet1", "1:1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
        .write(&place);
    place.write("conf/web.conf", "a = 1\n");
    place.write("conf/run.sh", "#!/bin/sh\n");
    std::os::unix::fs::symlink("web.conf", place.path("conf/link")).unwrap();
    fs::create_dir(place.path("conf/empty")).unwrap();
    let own = deb("own", "2.0").file("/usr/bin/own", 0o755, "own\n").build();
    place.write("dist/own.deb", own);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path("conf/run.sh"), executable).unwrap();
    let rest = "packages: [hello, {deb: dist/own.deb}]\nkeep: runtime\n\
                files:\n  - {copy: conf/, to: /etc/web/}\n  - {copy: conf/run.sh, to: /usr/bin/run}\n\
                variants:\n  debug: {files: [{text: debug, to: /etc/debug}]}\n";
    spec(&place, "web", rest);
    place
}

/// Does `work` in a world with the place's store, at most with `file:` addresses.
fn in_world<T>(place: &Place, store: &str, offline: bool, work: impl FnOnce(&World<'_>) -> T) -> T {
    let store = Store::open(&place.path(store), StoreOptions::default()).unwrap();
    let fetch = FetchOptions { offline, ..FetchOptions::default() };
    let world = World {
        store: &store,
        vendor: None,
        transport: &HttpTransport::new(&HttpOptions::default()).unwrap(),
        registry: &Registry::new(Options::default(), CredentialFiles::default()),
        now: 1_800_000_000,
        host: Platform::Amd64,
        apt: &BTreeMap::new(),
        mirrors: &[],
        fetch: &fetch,
        clock: &MachineClock::starting_at(1_800_000_000),
        offline,
        source_date_epoch: None,
        engines: &Engines::default(),
        daemons: None,
        threads: 2,
        memory: 192 << 20,
        progress: &Silent,
    };
    work(&world)
}

fn again(
    place: &Place,
    store: &str,
    offline: bool,
    image: &str,
    source: RebuildSource<'_>,
) -> Result<Rebuilt, Problems> {
    let expected = image::open(&Destination::parse(place.path(image).to_str().unwrap()).unwrap()).unwrap();
    let options = RebuildOptions { require_proof: false, builder: Some("https://example.org/rebuilder".to_owned()) };
    in_world(place, store, offline, |world| ops::rebuild(world, source, &expected, &options))
}

fn from_kit(place: &Place, store: &str, image: &str, kit: &Path) -> Result<Rebuilt, Problems> {
    again(place, store, true, image, RebuildSource::Kit(kit))
}

fn kit(place: &Place) -> PathBuf {
    place.path("web.oci.evidence/kit.tar.zst")
}

/// The full kit of the image, after which everything that it was made from is gone.
fn full_kit(place: &Place) -> PathBuf {
    let to = place.path("full.tar.zst");
    let made = in_world(place, "store", false, |world| ops::full_kit(world, &kit(place), &to, true)).unwrap();
    assert!(made.proved);
    assert_eq!(made.size, fs::metadata(&to).unwrap().len());
    for name in ["web.yaml", "web.lock", "archive.asc"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    for name in ["conf", "dist", "archive", "store"] {
        fs::remove_dir_all(place.path(name)).unwrap();
    }
    to
}

fn is_same(rebuilt: &Rebuilt) -> bool {
    matches!(rebuilt.verdict, RebuildVerdict::Same)
}

#[test]
fn a_good_image_is_the_same_from_its_spec_and_from_its_kit() {
    let place = place();
    for (variant, image) in [(None, "web.oci"), (Some("debug"), "web-debug.oci")] {
        let build = ["build", "web.yaml", "-o", image];
        let more = variant.map(|name| ["--variant", name]);
        place.ok(&[&build[..], more.as_ref().map(|more| &more[..]).unwrap_or_default()].concat());
        let spec = place.path("web.yaml");
        let source = RebuildSource::Spec { spec: &spec, lock: None, context: None, variant };
        let rebuilt = again(&place, "store", true, image, source).unwrap();
        assert!(is_same(&rebuilt) && rebuilt.proved, "{rebuilt:?}");
        let kit = place.path(&format!("{image}.evidence/kit.tar.zst"));
        let rebuilt = from_kit(&place, "store", image, &kit).unwrap();
        assert!(is_same(&rebuilt) && rebuilt.proved && rebuilt.assumed.is_empty(), "{rebuilt:?}");
        assert_eq!(rebuilt.built, Some(rebuilt.expected));
        // What a verifier may sign: its own provenance, of the same inputs, and the result.
        let [(one, provenance), (other, result)] = &*rebuilt.statements else { panic!("{:?}", rebuilt.statements) };
        assert_eq!((one, other), (&rebuilt.expected, &rebuilt.expected));
        assert!(provenance.is_about(one) && result.is_about(one));
        let ours: serde_json::Value =
            serde_json::from_slice(&fs::read(place.path(&format!("{image}.evidence/provenance.json"))).unwrap())
                .unwrap();
        assert_eq!(provenance.predicate()["buildDefinition"], ours["predicate"]["buildDefinition"]);
        assert_eq!(provenance.predicate()["runDetails"]["builder"]["id"], "https://example.org/rebuilder");
        assert_eq!(result.predicate()["properties"][0], tarsia::attest::REPRODUCED);
    }
    // Nothing is left of it.
    let left = names(&place.path("store"));
    assert!(!left.iter().any(|name| name.starts_with(".tmp-")), "{left:?}");
}

#[test]
fn a_full_kit_builds_where_nothing_else_is_left() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let kit = full_kit(&place);
    let rebuilt = from_kit(&place, "empty-store", "web.oci", &kit).unwrap();
    assert!(is_same(&rebuilt) && rebuilt.proved, "{rebuilt:?}");
    // One without the packages cannot do that, and says what is missing.
    let error = from_kit(&place, "other-store", "web.oci", &place.path("web.oci.evidence/kit.tar.zst")).unwrap_err();
    assert!(error.to_string().contains("hello"), "{error}");
}

#[test]
fn rules_and_slices_are_in_a_kit() {
    let place = place();
    place.write(
        "rules/own.yaml",
        "- {rule: mine, why: it is read by name, when: /usr/bin/hello, keep: \"/usr/lib/*.so.1\"}\n",
    );
    place.write("slices/slices/hello.yaml", "package: hello\nslices:\n  bin:\n    contents:\n      /usr/bin/hello:\n");
    let rest = "packages: [hello_bin, {deb: dist/own.deb}]\nrules: ./rules/\nslices: ./slices/\n";
    spec(&place, "web", rest);
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let listed = std::process::Command::new("tar").args(["--zstd", "-tf"]).arg(self::kit(&place)).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in ["image/rules/own.yaml", "image/slices/slices/hello.yaml"] {
        assert!(listed.contains(name), "{name} is missing in\n{listed}");
    }
    let provenance = fs::read_to_string(place.path("web.oci.evidence/provenance.json")).unwrap();
    assert!(provenance.contains("rules/own.yaml") && provenance.contains("slices/slices/hello.yaml"));
    let kit = full_kit(&place);
    for name in ["rules", "slices"] {
        fs::remove_dir_all(place.path(name)).unwrap();
    }
    let rebuilt = from_kit(&place, "empty-store", "web.oci", &kit).unwrap();
    assert!(is_same(&rebuilt), "{rebuilt:?}");
    let tree = place.ok(&["inspect", "web.oci", "--tree"]);
    assert!(tree.contains("libgreet.so.1") && !tree.contains("share/hello"), "{tree}");
}

#[test]
fn kits_have_the_same_bytes_wherever_they_are_made() {
    let (one, other) = (place(), place());
    for place in [&one, &other] {
        // The archive's address is the spec's, and differs with the place.
        let text = fs::read_to_string(place.path("web.yaml")).unwrap();
        let here = place.path("archive").display().to_string();
        fs::write(place.path("web.yaml"), text.replace(&format!("file://{here}"), "file:///archive")).unwrap();
        let mirror = format!("test=file://{here}");
        place.ok(&["build", "web.yaml", "-o", "web.oci", "--mirror", &mirror]);
    }
    let read = |place: &Place| fs::read(kit(place)).unwrap();
    assert!(read(&one) == read(&other));
    one.ok(&["build", "web.yaml", "-o", "web.oci", "--locked", "--offline"]);
    assert!(read(&one) == read(&other), "found in the store");
    fs::write(one.path("web.yaml"), fs::read_to_string(one.path("web.yaml")).unwrap() + "# a comment\n").unwrap();
    one.ok(&["build", "web.yaml", "-o", "web.oci", "--locked", "--offline"]);
    assert!(read(&one) == read(&other), "a comment is no input");
}

/// How an image differs from what its inputs give.
fn difference(place: &Place, change: Change<'_>) -> Comparison {
    let to = place.path("changed.oci");
    let _ = fs::remove_dir_all(&to);
    tamper::apply(&place.path("web.oci"), &to, change);
    match from_kit(place, "store", "changed.oci", &kit(place)).unwrap() {
        Rebuilt { verdict: RebuildVerdict::Different(comparison), statements, .. } => {
            assert!(statements.is_empty(), "{change:?}: never anything to sign");
            *comparison
        }
        other => panic!("{change:?}: {other:?}"),
    }
}

#[test]
fn one_changed_thing_is_named_as_that_and_nothing_else() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let (hello, conf) = ("/usr/bin/hello", "/etc/web/web.conf");
    for (change, class, at) in [
        (Change::Byte(hello, 0), Class::Content, Some(hello)),
        (Change::Mtime(hello), Class::Mtime, Some(hello)),
        (Change::Mode(conf), Class::Mode, Some(conf)),
        (Change::Owner(conf), Class::Owner, Some(conf)),
        (Change::Xattr(hello), Class::Xattr, Some(hello)),
        (Change::Add(hello), Class::Name, Some("/usr/bin/hello.extra")),
        (Change::Remove(conf), Class::Name, Some(conf)),
        (Change::Order("/usr/share/hello/a"), Class::Order, None),
        (Change::Pax(hello), Class::Format, Some(hello)),
        (Change::Level(hello), Class::Encoding, None),
        (Change::Gzip(hello), Class::Encoding, None),
        (Change::User("0:0"), Class::Config, Some("config.User")),
    ] {
        let comparison = difference(&place, change);
        let all: Vec<_> = comparison.all().collect();
        assert!(all.iter().all(|one| one.class == class), "{change:?}: {all:#?}");
        if let Some(at) = at {
            let [one] = &*all else { panic!("{change:?}: {all:#?}") };
            assert_eq!(one.at.as_deref(), Some(at), "{change:?}");
            if at.starts_with(hello) && class != Class::Name {
                assert_eq!(one.package.as_deref(), Some("hello"), "{change:?}: {one:?}");
            }
        }
    }
}

#[test]
fn what_is_in_the_store_beside_fetched_bytes_is_not_believed() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    // A store whose packs, layers and results are another's: of a package with another content under the same lock.
    let other = self::place();
    other.write("conf/web.conf", "a = 2\n");
    other.ok(&["build", "web.yaml", "-o", "web.oci"]);
    for room in ["packs", "frames", "images", "checks"] {
        fs::remove_dir_all(place.path("store").join(room)).unwrap();
        crate::program::copy_tree(&other.path("store").join(room), &place.path("store").join(room));
    }
    assert!(is_same(&from_kit(&place, "store", "web.oci", &kit(&place)).unwrap()));
    // A blob that is not what its name says is thrown out, and fetched again where that can be done.
    let bytes = fs::read(place.path("archive/pool/main/hello_1.0-1+b1_amd64.deb")).unwrap();
    let hex = tarsia::digest::Digest::of(&bytes).hex();
    let blob = place.path(&format!("store/blobs/sha256/{}/{hex}", &hex[..2]));
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, [&bytes[..bytes.len() - 1], b"x"].concat()).unwrap();
    assert!(from_kit(&place, "store", "web.oci", &kit(&place)).is_err(), "offline");
    fs::write(&blob, [&bytes[..bytes.len() - 1], b"x"].concat()).unwrap();
    let rebuilt = again(&place, "store", false, "web.oci", RebuildSource::Kit(&kit(&place))).unwrap();
    assert!(is_same(&rebuilt), "{rebuilt:?}");
}

#[test]
fn what_cannot_be_told_is_said_so() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci", "-o", "docker-archive:d.tar:web"]);
    let reasons = |rebuilt: Rebuilt| match rebuilt.verdict {
        RebuildVerdict::CannotTell(reasons) => reasons.join("; "),
        other => panic!("{other:?}"),
    };
    let spec = place.path("web.yaml");
    let source = RebuildSource::Spec { spec: &spec, lock: None, context: None, variant: None };
    // Another encoding or other rules.
    let lock = fs::read_to_string(place.path("web.lock")).unwrap();
    let newer = place.write("newer.lock", lock.replacen("encoding = ", "encoding = 9", 1));
    let told = RebuildSource::Spec { spec: &spec, lock: Some(&newer), context: None, variant: None };
    let said = match again(&place, "store", true, "web.oci", told) {
        Ok(rebuilt) => reasons(rebuilt),
        Err(error) => error.to_string(),
    };
    assert!(said.contains("encoding"), "{said}");
    // An archive without manifests.
    let said = reasons(again(&place, "store", true, "d.tar", source).unwrap());
    assert!(said.contains("no manifest"), "{said}");
    // A platform that the lock does not hold.
    let both = Place::new();
    both.write("x.yaml", "version: 1\nplatforms: [linux/amd64, linux/arm64]\nfiles: [{text: hi, to: /motd}]\n");
    both.ok(&["build", "x.yaml"]);
    both.write("web.yaml", "version: 1\nplatforms: [linux/amd64]\nfiles: [{text: hi, to: /motd}]\n");
    both.ok(&["build", "web.yaml"]);
    let said = reasons(from_kit(&both, "store", "x.oci", &both.path("web.oci.evidence/kit.tar.zst")).unwrap());
    assert!(said.contains("platform"), "{said}");
    // All platforms that the image has, and only these.
    assert!(is_same(&from_kit(&both, "store", "x.oci", &both.path("x.oci.evidence/kit.tar.zst")).unwrap()));
    both.ok(&["build", "x.yaml", "--platform", "linux/arm64", "-o", "arm.oci"]);
    assert!(is_same(&from_kit(&both, "store", "arm.oci", &both.path("x.oci.evidence/kit.tar.zst")).unwrap()));
}

#[test]
fn local_files_taken_from_the_image_make_no_match() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let spec = place.path("web.yaml");
    let source = RebuildSource::Spec { spec: &spec, lock: None, context: None, variant: None };
    fs::rename(place.path("conf"), place.path("gone")).unwrap();
    let rebuilt = again(&place, "store", true, "web.oci", source).unwrap();
    assert_eq!(rebuilt.assumed, ["conf", "conf/run.sh"], "{rebuilt:?}");
    assert!(rebuilt.statements.is_empty());
    assert_eq!(rebuilt.built, Some(rebuilt.expected), "all else is the same");
    let RebuildVerdict::CannotTell(reasons) = &rebuilt.verdict else { panic!("{rebuilt:?}") };
    assert!(reasons[0].contains("`conf`") && reasons[2] == "all else is the same", "{reasons:?}");
    assert!(!place.path("conf").exists(), "the context is left as it was");
    // The same where the image is another one in these very files: nobody can tell.
    tamper::apply(&place.path("web.oci"), &place.path("changed.oci"), Change::Byte("/etc/web/web.conf", 0));
    let rebuilt = again(&place, "store", true, "changed.oci", source).unwrap();
    assert!(matches!(rebuilt.verdict, RebuildVerdict::CannotTell(_)), "{rebuilt:?}");
    // From another directory they are supplied.
    fs::create_dir(place.path("elsewhere")).unwrap();
    for name in ["archive.asc", "dist"] {
        fs::rename(place.path(name), place.path("elsewhere").join(name)).unwrap();
    }
    fs::rename(place.path("gone"), place.path("elsewhere/conf")).unwrap();
    let context = place.path("elsewhere");
    let source = RebuildSource::Spec { spec: &spec, lock: None, context: Some(&context), variant: None };
    assert!(is_same(&again(&place, "store", true, "web.oci", source).unwrap()));
}

#[test]
fn real_python_is_the_same_and_a_changed_section_of_its_program_is_named() {
    real::image("python");
    let home = real::home();
    let kit = home.path("python.oci.evidence/kit.tar.zst");
    let rebuilt = from_kit(home, "store", "python.oci", &kit).unwrap();
    assert!(is_same(&rebuilt) && rebuilt.proved, "{rebuilt:?}");
    // Whole, with nothing but the kit.
    let place = Place::new();
    let full = place.path("full.tar.zst");
    let made = in_world(home, "store", true, |world| ops::full_kit(world, &kit, &full, true)).unwrap();
    assert!(made.proved, "{made:?}");
    let changed = place.path("changed.oci");
    let program = "/usr/bin/python3.13";
    // In the middle of the file stands code.
    tamper::apply(&home.path("python.oci"), &changed, Change::Byte(program, 2 << 20));
    let rebuilt = from_kit(&place, "store", "changed.oci", &full).unwrap();
    let RebuildVerdict::Different(comparison) = &rebuilt.verdict else { panic!("{rebuilt:?}") };
    let [one] = &*comparison.all().collect::<Vec<_>>() else { panic!("{comparison:?}") };
    assert_eq!((one.class, one.at.as_deref()), (Class::Content, Some(program)));
    assert_eq!(one.package.as_deref(), Some("python3.13-minimal"));
    let Some(Inside::Elf { sections, more: 0 }) = &one.inside else { panic!("{one:?}") };
    assert_eq!(sections.len(), 1, "{sections:?}");
}
