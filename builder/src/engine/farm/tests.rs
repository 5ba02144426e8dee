//! Farms of daemons in this process.

mod fake;

#[allow(clippy::duplicate_mod, reason = "one fixture for unit and integration tests")]
#[path = "../../../tests/it/deb.rs"]
mod deb;

use std::fs;
use std::sync::Arc;

use super::*;
use crate::diag::{Diagnose as _, Silent, Source};
use crate::digest::Digest;
use crate::layer::Workers;
use crate::lock::{ENCODING, LOCAL, Lock, REVISION, RULES, VERSION, Why};
use crate::spec::Spec;
use crate::store::{Store, StoreOptions};

use deb::{Deb, deb};
use fake::{Fake, Vice};

const SPEC: &str = r#"
version: 1
name: web
platforms: [linux/amd64]
archives:
  test: {uri: "http://mirror.example", suite: test, components: [main], signed-by: archive.asc}
packages: [alpha, beta, gamma, delta, omega]
keep: all
files:
  - {text: "hello\n", to: /etc/motd}
run:
  entrypoint: [/usr/bin/alpha]
"#;

/// The program that daemons run, for all they know.
const WORKER: &[u8] = b"the worker";

/// Packages by layer: one alone, two together, one that keeps nothing, one more.
const LAYERS: [(&str, &str); 5] =
    [("alpha", "alpha"), ("beta", "pair"), ("gamma", "pair"), ("delta", "delta"), ("omega", "omega")];

fn package(name: &str, version: &str) -> Deb {
    let body = |seed: u8| (0..40_000u32).map(|n| ((n * n) >> 3) as u8 ^ seed).collect::<Vec<u8>>();
    let made = deb(name, version).file(&format!("/usr/bin/{name}"), 0o755, body(name.as_bytes()[0]));
    made.file(&format!("/usr/share/{name}/version"), 0o644, version)
}

/// What is built.
struct World {
    room: tempfile::TempDir,
    spec: Spec,
    lock: Lock,
    internet: BTreeMap<Digest, Vec<u8>>,
    mirrors: Mirrors,
}

impl World {
    fn new() -> Self {
        let spec = Spec::parse(&Source::new("web.yaml", SPEC), "web").unwrap();
        let share = PlatformLock {
            layers: ["alpha", "pair", "delta", "omega"].map(str::to_owned).to_vec(),
            packages: Vec::new(),
        };
        let lock = Lock {
            version: VERSION,
            revision: REVISION,
            tarsia: "0.1.0".to_owned(),
            encoding: ENCODING,
            rules: RULES,
            spec: spec.digest,
            keep: "all".to_owned(),
            source_date: 1_700_000_000,
            source_date_given: false,
            archives: Vec::new(),
            inputs: Vec::new(),
            platform: [("linux/amd64".to_owned(), share)].into(),
            variants: BTreeMap::new(),
        };
        let mirrors = ["http://mirror.example".to_owned()].to_vec();
        let mut mirrors = Mirrors { by_archive: [("test".to_owned(), mirrors)].into(), private: BTreeMap::new() };
        mirrors.by_archive.insert("secret".to_owned(), vec!["http://secret.example".to_owned()]);
        let room = tempfile::tempdir().unwrap();
        let internet = [(Digest::of(WORKER), WORKER.to_vec())].into();
        let mut world = Self { room, spec, lock, internet, mirrors };
        for (name, layer) in LAYERS {
            world.put(&package(name, "1.0"), name, "1.0", layer);
        }
        world
    }

    /// Puts a package into the lock, in the place of one of its name.
    fn put(&mut self, made: &Deb, name: &str, version: &str, layer: &str) {
        let bytes = made.build();
        let digest = Digest::of(&bytes);
        let share = self.lock.platform.get_mut("linux/amd64").unwrap();
        share.packages.retain(|package| package.name != name);
        share.packages.push(LockedPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            source: name.to_owned(),
            source_version: None,
            archive: "test".to_owned(),
            in_release: Some(Digest::of(b"")),
            path: format!("pool/{name}_{version}_amd64.deb"),
            size: bytes.len() as u64,
            digest,
            why: Why::Requested,
            script_only: false,
            keep: None,
            layer: layer.to_owned(),
        });
        share.packages.sort_by(|a, b| a.name.cmp(&b.name));
        self.internet.insert(digest, bytes);
    }

    fn locked(&mut self, name: &str) -> &mut LockedPackage {
        let share = self.lock.platform.get_mut("linux/amd64").unwrap();
        share.packages.iter_mut().find(|package| package.name == name).unwrap()
    }

    fn store(&self, name: &str) -> Store {
        Store::open(&self.room.path().join(name), StoreOptions::default()).unwrap()
    }

    fn build(&self, store: &Store, remote: Option<&dyn Remote>) -> Result<local::Built, local::Error> {
        local::build(&BuildInput {
            spec: &self.spec,
            lock: &self.lock,
            platforms: &[],
            store,
            workers: &Workers::new(2, 64 << 20).unwrap(),
            directory: self.room.path(),
            progress: &Silent,
            remote,
        })
    }

    /// Returns the digest of a build in this process.
    fn local(&self) -> Digest {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path(), StoreOptions::default()).unwrap();
        self.internet.values().for_each(|bytes| assert!(store.put_blob(bytes).is_ok()));
        self.build(&store, None).unwrap().digest()
    }

    fn fakes(&self, addresses: &[&str]) -> Vec<Arc<Fake>> {
        addresses.iter().map(|address| Arc::new(Fake::new(address, &self.internet))).collect()
    }

    fn farm(&self, fakes: &[Arc<Fake>]) -> Farm {
        let daemons = fakes.iter().map(|fake| Box::new(fake.clone()) as Box<dyn Daemon>).collect();
        let worker = format!("http://worker.example/tarsia#sha256={}", Digest::of(WORKER).hex());
        Farm::with(daemons, Worker::parse(&worker).unwrap(), self.mirrors.clone(), false)
    }

    /// Builds on these daemons in a store of this name.
    fn on(&self, fakes: &[Arc<Fake>], store: &str) -> Result<local::Built, local::Error> {
        self.build(&self.store(store), Some(&self.farm(fakes)))
    }

    /// Says why a build on one daemon with this vice fails, and that the next one with an honest daemon does not.
    fn refused(&self, vice: Vice) -> String {
        let fakes = self.fakes(&["a"]);
        fakes[0].vice(Some(vice));
        let store = format!("{vice:?}").replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let error = self.on(&fakes, &store).expect_err("it is refused");
        fakes[0].vice(None);
        assert_eq!(self.on(&fakes, &store).unwrap().digest(), self.local(), "{vice:?} left something behind");
        let digest = |text: String| {
            let hex = |c: char| c.is_ascii_hexdigit();
            let mut rest = text.as_str();
            let mut out = String::new();
            while let Some(at) = rest.find("sha256:") {
                out.push_str(&rest[..at + 7]);
                out.push('…');
                rest = rest[at + 7..].trim_start_matches(hex);
            }
            out + rest
        };
        format!("{}: {}", error.code(), digest(error.to_string()))
    }
}

impl Daemon for Arc<Fake> {
    fn address(&self) -> &str {
        (**self).address()
    }
    fn exports(&self) -> bool {
        (**self).exports()
    }
    fn solve(&self, ask: &Ask<'_>) -> Result<(), buildkit::Error> {
        (**self).solve(ask)
    }
}

/// Returns what daemons ran, of the operations that open and write.
fn ran(fakes: &[Arc<Fake>]) -> Vec<String> {
    let all = fakes.iter().flat_map(|fake| fake.ran());
    let mut all: Vec<String> = all.filter(|name| name.starts_with("open ") || name.starts_with("layer ")).collect();
    all.sort();
    all.iter().map(|name| name.split([':', '(']).next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn daemons_build_what_this_process_does() {
    let world = World::new();
    let digest = world.local();
    for addresses in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        let fakes = world.fakes(addresses);
        let store = addresses.concat();
        let built = world.on(&fakes, &store).unwrap();
        assert_eq!(built.digest(), digest, "{addresses:?}");
        let all = ["layer alpha", "layer delta", "layer omega", "layer pair"];
        let all = all.into_iter().chain(["open alpha", "open delta", "open omega", "open pair"]);
        assert_eq!(ran(&fakes), all.collect::<Vec<_>>(), "each once, on whichever");
        // Nothing is asked for again.
        let solves: usize = fakes.iter().map(|fake| fake.solves()).sum();
        assert_eq!(world.on(&fakes, &store).unwrap().digest(), digest);
        assert_eq!(fakes.iter().map(|fake| fake.solves()).sum::<usize>(), solves);
        // Somebody else, who has nothing, finds the daemons' caches.
        assert_eq!(world.on(&fakes, &format!("{store}-other")).unwrap().digest(), digest);
        assert_eq!(ran(&fakes), Vec::<String>::new());
    }
}

#[test]
fn only_what_changed_is_made_again() {
    let mut world = World::new();
    let fakes = world.fakes(&["a", "b"]);
    world.on(&fakes, "store").unwrap();
    ran(&fakes);
    world.put(&package("gamma", "1.1"), "gamma", "1.1", "pair");
    let digest = world.local();
    // The daemons of before do not know of the new package: theirs is the internet of then.
    let error = world.on(&fakes, "store").unwrap_err().to_string();
    assert!(error.starts_with("cannot fetch package `gamma` 1.1 on `") && error.ends_with("404"), "{error}");
    let more = world.fakes(&["a", "b"]);
    assert_eq!(world.on(&more, "store").unwrap().digest(), digest);
    assert_eq!(ran(&more), ["layer pair", "open pair"]);
    // A lock in which only the date moved asks for nothing.
    let solves: usize = more.iter().map(|fake| fake.solves()).sum();
    world.lock.source_date += 86_400;
    assert_eq!(world.on(&more, "store").unwrap().digest(), world.local());
    assert_eq!(more.iter().map(|fake| fake.solves()).sum::<usize>(), solves);
}

#[test]
fn a_lost_daemon_s_work_goes_to_the_others() {
    let world = World::new();
    let digest = world.local();
    for (number, at) in ["open ", "layer ", "alpha 1.0", "delta 1.0"].into_iter().enumerate() {
        for lost in 0..3 {
            let fakes = world.fakes(&["a", "b", "c"]);
            fakes[lost].vice(Some(Vice::LostAt(at)));
            let farm = world.farm(&fakes);
            let built = world.build(&world.store(&format!("lost-{number}-{lost}")), Some(&farm)).unwrap();
            assert_eq!(built.digest(), digest, "{at} {lost}");
            assert!(farm.warnings().len() <= 1);
            let layers = ran(&fakes).into_iter().filter(|name| name.starts_with("layer ")).count();
            assert!(layers >= 4, "all were made");
        }
    }
    let fakes = world.fakes(&["a", "b"]);
    fakes.iter().for_each(|fake| fake.vice(Some(Vice::LostAt("layer "))));
    let error = world.on(&fakes, "all").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write layers `alpha`, `pair`, `delta` and 1 more: every BuildKit daemon is gone: could not go on with the BuildKit daemon at `a`: it was killed; \
         could not go on with the BuildKit daemon at `b`: it was killed"
    );
    let one = world.fakes(&["a"]);
    one[0].vice(Some(Vice::LostAt("open ")));
    let error = world.on(&one, "one").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open the packages of layers `alpha`, `delta`, `omega` and 1 more: could not go on with the BuildKit daemon \
         at `a`: it was killed"
    );
}

#[test]
fn where_a_mirror_gives_nothing_the_next_one_is_asked() {
    let mut world = World::new();
    let all = ["file:///srv/debian", "http://dead.example", "http://mirror.example"].map(str::to_owned).to_vec();
    world.mirrors.by_archive.insert("test".to_owned(), all);
    let fakes = world.fakes(&["a", "b"]);
    fakes.iter().for_each(|fake| fake.vice(Some(Vice::CannotReach("http://dead.example"))));
    assert_eq!(world.on(&fakes, "next").unwrap().digest(), world.local());
    let fakes = world.fakes(&["a", "b"]);
    fakes.iter().for_each(|fake| fake.vice(Some(Vice::CannotReach("http:"))));
    let error = world.on(&fakes, "none").unwrap_err().to_string();
    assert!(error.starts_with("cannot fetch ") && error.ends_with(": connection refused"), "{error}");
    // One that hangs is put behind the others. Where all do, the daemon is given up, as it may be that alone.
    let two = ["http://dead.example", "http://mirror.example"].map(str::to_owned).to_vec();
    world.mirrors.by_archive.insert("test".to_owned(), two);
    let fakes = world.fakes(&["a"]);
    fakes[0].vice(Some(Vice::HangsAt("http://dead.example")));
    assert_eq!((world.on(&fakes, "hangs").unwrap().digest(), fakes[0].solves()), (world.local(), 3));
    // It is asked again where the others do not have the package.
    let fakes = world.fakes(&["a"]);
    fakes[0].vice(Some(Vice::HangsOnce("http://dead.example", "http://mirror.example")));
    assert_eq!((world.on(&fakes, "hung-once").unwrap().digest(), fakes[0].solves()), (world.local(), 4));
    // Why a mirror was left says more than that the one behind it hangs still.
    let fakes = world.fakes(&["a"]);
    fakes[0].vice(Some(Vice::HangsOr("http://dead.example", "http://mirror.example")));
    let error = world.on(&fakes, "hung-or").unwrap_err().to_string();
    assert!(error.starts_with("cannot fetch ") && error.ends_with(": connection refused"), "{error}");
    let dead = ["http://dead.example", "http://dead-too.example"].map(str::to_owned).to_vec();
    world.mirrors.by_archive.insert("test".to_owned(), dead);
    let fakes = world.fakes(&["a", "b"]);
    fakes[0].vice(Some(Vice::HangsAt("http://dead")));
    // What is dead to one may be alive to another.
    fakes[1].vice(Some(Vice::HangsAt("http://dead.example")));
    let farm = world.farm(&fakes);
    assert_eq!(world.build(&world.store("one-hangs"), Some(&farm)).unwrap().digest(), world.local());
    assert_eq!(farm.warnings().len(), 1);
    let fakes = world.fakes(&["a"]);
    fakes[0].vice(Some(Vice::HangsAt("http://dead")));
    let error = world.on(&fakes, "all-hang").unwrap_err();
    assert!(error.hints().iter().any(|hint| hint.contains("--mirror")), "{:?}", error.hints());
    let error = error.to_string();
    assert!(error.contains("could not wait longer for `") && error.contains("did not get on for 300 s"), "{error}");
    assert_eq!(fakes[0].solves(), 2);
    // What only this machine can read is no mirror of daemons.
    world.mirrors.by_archive.insert("test".to_owned(), vec!["file:///srv/debian".to_owned()]);
    let error = world.on(&world.fakes(&["a"]), "file").unwrap_err().to_string();
    assert!(error.contains("`file:///srv/debian/pool/"), "{error}");
}

#[test]
fn a_cache_holds_the_layers_of_every_platform() {
    let mut world = World::new();
    let share = world.lock.platform["linux/amd64"].clone();
    world.lock.platform.insert("linux/arm64".to_owned(), share);
    // The same files, so that every layer of the second platform is known but one.
    let share = world.lock.platform.get_mut("linux/arm64").unwrap();
    let made = package("alpha", "2.0").build();
    let digest = Digest::of(&made);
    world.internet.insert(digest, made);
    let alpha = share.packages.iter_mut().find(|package| package.name == "alpha").unwrap();
    (alpha.version, alpha.digest) = ("2.0".to_owned(), digest);
    let fakes = world.fakes(&["a"]);
    fakes[0].export();
    assert_eq!(world.on(&fakes, "store").unwrap().digest(), world.local());
    let exported = fakes[0].exported();
    let count = |beginning: &str| exported.iter().filter(|name| name.starts_with(beginning)).count();
    assert_eq!((count("layer alpha"), count("open alpha")), (2, 2), "of both platforms: {exported:?}");
    assert_eq!((count("layer "), count("open ")), (5, 5), "{exported:?}");
}

#[test]
fn a_stumble_is_tried_again() {
    let world = World::new();
    for at in ["open ", "layer "] {
        let fakes = world.fakes(&["a"]);
        fakes[0].vice(Some(Vice::StumblesAt(at)));
        assert_eq!(world.on(&fakes, at).unwrap().digest(), world.local());
    }
}

#[test]
fn plans_that_a_daemon_takes_no_message_for_name_their_layers() {
    let told = World::new().refused(Vice::TakesLess);
    assert!(
        told.starts_with(
            "engine::too-large: cannot have layers `alpha`, `pair`, `delta` and 1 more written on `a`: a plan of "
        ),
        "{told}"
    );
    assert!(told.contains(" is more than it takes at once"), "{told}");
}

#[test]
fn what_a_daemon_sends_is_checked() {
    let world = World::new();
    let all = [
        Vice::Sends("beta", b""),
        Vice::Sends("beta", b"no index"),
        Vice::Withholds("beta"),
        Vice::Changes("blob"),
        Vice::Sends("blob", b"no layer"),
        Vice::Withholds("blob"),
        Vice::Withholds("layer"),
        Vice::Sends("layer", b"{}"),
        Vice::LiesAboutTar,
    ];
    let all: Vec<String> = all.into_iter().map(|vice| format!("{vice:?}\n  {}", world.refused(vice))).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    Sends("beta", [])
      engine::received-index: cannot take the index of `beta` 1.0 from `a`: it is not of this format
    Sends("beta", [110, 111, 32, 105, 110, 100, 101, 120])
      engine::received-index: cannot take the index of `beta` 1.0 from `a`: it is not of this format
    Withholds("beta")
      engine::received-index: cannot take the index of `beta` 1.0 from `a`: it is not among what was made
    Changes("blob")
      engine::received-layer: cannot take layer `alpha` from `a`: cannot write `/usr/bin/alpha`: its bytes are sha256:…, and the plan says sha256:…
    Sends("blob", [110, 111, 32, 108, 97, 121, 101, 114])
      engine::received-layer: cannot take layer `alpha` from `a`: cannot decompress zstd data: Unknown frame descriptor
    Withholds("blob")
      engine::received-layer: cannot take layer `alpha` from `a`: it is not among what was made
    Withholds("layer")
      engine::received-layer: cannot take layer `alpha` from `a`: it is not among what was made
    Sends("layer", [123, 125])
      engine::received-layer: cannot take layer `alpha` from `a`: its record does not parse: missing field `name` at line 1 column 2
    LiesAboutTar
      engine::received-layer: cannot take layer `alpha` from `a`: it is said to be sha256:… with the tar sha256:…, and is sha256:… with the tar sha256:…
    "#);
}

#[test]
fn layers_of_what_daemons_must_not_have_are_made_here() {
    let mut world = World::new();
    // One of the spec's own directory, one of an archive with a login.
    (world.locked("delta").archive, world.locked("delta").in_release) = (LOCAL.to_owned(), None);
    world.locked("gamma").archive = "secret".to_owned();
    world.mirrors.private.insert("secret".to_owned(), crate::fetch::Private { auth: true, authorities: None });
    let fakes = world.fakes(&["a", "b"]);
    let store = world.store("store");
    for name in ["beta", "gamma", "delta"] {
        let digest = world.locked(name).digest;
        store.put_blob(&world.internet[&digest]).unwrap();
    }
    let farm = world.farm(&fakes);
    let share = &world.lock.platform["linux/amd64"];
    assert_eq!(
        ["alpha", "pair", "delta", "omega"].map(|layer| farm.is_made_here(share, layer)),
        [false, true, true, false]
    );
    assert_eq!(world.build(&store, Some(&farm)).unwrap().digest(), world.local());
    assert_eq!(ran(&fakes), ["layer alpha", "layer omega", "open alpha", "open omega"]);
}

#[test]
fn without_a_network_nobody_is_asked() {
    let world = World::new();
    let fakes = world.fakes(&["a"]);
    let offline = || Farm { offline: true, ..world.farm(&fakes) };
    let error = world.build(&world.store("store"), Some(&offline())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot build with BuildKit: the packages of layer `alpha` would have to come from a daemon, and no network may be used"
    );
    assert_eq!(fakes[0].solves(), 0);
    let digest = world.on(&fakes, "store").unwrap().digest();
    assert_eq!(world.build(&world.store("store"), Some(&offline())).unwrap().digest(), digest, "all of it is known");
    // What stands in the store as packages of a local build is not asked for.
    let store = world.store("local");
    world.internet.values().for_each(|bytes| assert!(store.put_blob(bytes).is_ok()));
    world.build(&store, None).unwrap();
    fs::remove_dir_all(world.room.path().join("local/images")).unwrap();
    let error = world.build(&store, Some(&offline())).unwrap_err();
    assert!(error.to_string().contains("layer `alpha` would have to come from a daemon"), "{error}");
}
