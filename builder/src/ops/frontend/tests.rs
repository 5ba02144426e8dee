//! A frontend over a BuildKit that is none: files of a client, and layouts that are there already.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use bollard_buildkit_proto::pb;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::diag::Source;
use crate::image::{Descriptor, INDEX, MANIFEST};
use crate::lock::{ENCODING, LockedInput, LockedPackage, MetadataSet, PlatformLock, RULES, Why};
use crate::spec::Spec;

const WORKER: &str = "127.0.0.1:5000/tarsia@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const HELLO: &str = "version: 1\nname: hello\nplatforms: [linux/amd64]\nfiles:\n  - {copy: hi, to: /hi}\n";

/// What a client and a BuildKit have.
#[derive(Default)]
struct Fake {
    /// Files of the client's directory.
    files: BTreeMap<String, Vec<u8>>,
    /// What the layout of an image holds.
    layout: BTreeMap<String, Vec<u8>>,
    /// Definitions that were solved.
    solved: RefCell<Vec<Definition>>,
    /// By result, which of the client's files are in it.
    sent: RefCell<BTreeMap<String, BTreeSet<String>>>,
    /// Operations that fail: part of a name, and what is said.
    broken: Option<(&'static str, &'static str)>,
    /// A mirror that is away.
    away: Option<&'static str>,
}

impl Fake {
    fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        Self { files, ..Self::default() }
    }

    /// Puts an image of these platforms into the layout, each with this many layers, and returns its digest.
    fn image(&mut self, platforms: &[&str], layers: usize) -> Digest {
        let mut put = |bytes: Vec<u8>, kind: &str| {
            let descriptor = Descriptor::of(kind, &bytes);
            self.layout.insert(image::blob_path(&descriptor.digest), bytes);
            descriptor
        };
        let manifests: Vec<Descriptor> = platforms
            .iter()
            .map(|platform| {
                let diff_ids: Vec<Digest> = (0..layers).map(|n| Digest::of(&[n as u8])).collect();
                let config = json!({"architecture": platform, "config": {"Labels": {"a": "b"}}, "os": "linux",
                    "rootfs": {"type": "layers", "diff_ids": diff_ids}});
                let config = put(serde_json::to_vec(&config).unwrap(), "config");
                let layers: Vec<Descriptor> =
                    (0..layers).map(|n| put(format!("{platform} {n}").into_bytes(), "layer")).collect();
                let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
                put(serde_json::to_vec(&manifest).unwrap(), MANIFEST)
            })
            .collect();
        let index = |manifests: &[Descriptor]| {
            serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})).unwrap()
        };
        let whole = match manifests.as_slice() {
            [one] => one.clone(),
            all => put(index(all), INDEX),
        };
        self.layout.insert("index.json".to_owned(), index(std::slice::from_ref(&whole)));
        whole.digest
    }

    fn names(&self) -> Vec<String> {
        let solved = self.solved.borrow();
        let names = solved.iter().map(|definition| definition.vertices()[&definition.result().0].name.clone());
        names.collect()
    }
}

fn refused(message: &str) -> Refused {
    Refused { message: message.to_owned(), absent: message == "absent", vertex: None }
}

impl Bridge for Fake {
    fn solve(&self, definition: &[u8], _: &[CacheImport]) -> Result<Reference, Refused> {
        let definition = Definition::parse(definition).unwrap();
        if let Some((part, message)) = self.broken {
            let vertices = definition.vertices();
            if let Some((digest, _)) = vertices.iter().find(|(_, vertex)| vertex.name.contains(part)) {
                return Err(Refused { vertex: Some(digest.to_string()), ..refused(message) });
            }
        }
        let message = definition.message();
        for bytes in &message.def {
            if let Some(pb::op::Op::Source(source)) = pb::Op::decode(bytes.as_slice()).unwrap().op
                && self.away.is_some_and(|away| source.identifier.starts_with(away))
            {
                return Err(Refused { vertex: Some(Digest::of(bytes).to_string()), ..refused("away") });
            }
        }
        let result = pb::Op::decode(message.def[message.def.len() - 2].as_slice()).unwrap();
        let id = match result.op {
            Some(pb::op::Op::Source(source)) => {
                assert_eq!(source.identifier, "local://dockerfile");
                let patterns: Vec<String> = serde_json::from_str(&source.attrs["local.includepattern"]).unwrap();
                let fits = |path: &&String| {
                    patterns.iter().any(|pattern| *path == pattern || path.starts_with(&format!("{pattern}/")))
                };
                let id = format!("files {}", self.sent.borrow().len());
                self.sent.borrow_mut().insert(id.clone(), self.files.keys().filter(fits).cloned().collect());
                id
            }
            _ => "layout".to_owned(),
        };
        self.solved.borrow_mut().push(definition);
        Ok(Reference::named(id))
    }

    fn read(&self, result: &Reference, path: &str, limit: u64) -> Result<Vec<u8>, Refused> {
        let bytes = match result.id() {
            "layout" => self.layout.get(path),
            id => self.files.get(path).filter(|_| self.sent.borrow()[id].contains(path)),
        };
        let bytes = bytes.ok_or_else(|| refused("absent"))?;
        assert!(bytes.len() as u64 <= limit);
        Ok(bytes.clone())
    }

    fn list(&self, result: &Reference, path: &str) -> Result<BTreeMap<String, u32>, Refused> {
        let sent = self.sent.borrow();
        let below = sent[result.id()].iter().filter_map(|name| name.strip_prefix(&format!("{path}/")));
        let entries: BTreeMap<String, u32> = below
            .map(|rest| match rest.split_once('/') {
                Some((directory, _)) => (directory.to_owned(), 1 << 31 | 0o755),
                None => (rest.to_owned(), 0o644),
            })
            .collect();
        if entries.is_empty() { Err(refused("no directory")) } else { Ok(entries) }
    }

    fn resolve(&self, image: &str) -> Result<String, Refused> {
        match image {
            "127.0.0.1:5000/tarsia:1" => Ok(format!("sha256:{}", "b".repeat(64))),
            _ => Err(refused("not found")),
        }
    }
}

/// Returns the lock of a spec that names no package.
fn lock(text: &str, variant: Option<&str>, inputs: &[(&str, &str, &str)]) -> Lock {
    let spec = Spec::load(&Source::new("web.yaml", text), "web", variant, &|_| Err(String::new())).unwrap();
    let inputs = inputs.iter().map(|(kind, name, text)| LockedInput {
        kind: (*kind).to_owned(),
        name: (*name).to_owned(),
        digest: Digest::of(text.as_bytes()),
        size: text.len() as u64,
    });
    Lock {
        version: 1,
        revision: 2,
        tarsia: "0.1.0".to_owned(),
        encoding: ENCODING,
        rules: RULES,
        spec: spec.digest,
        keep: "needed".to_owned(),
        source_date: 1_700_000_000,
        source_date_given: false,
        archives: Vec::new(),
        inputs: inputs.collect(),
        platform: spec
            .platforms
            .iter()
            .map(|platform| (platform.value.oci().to_owned(), PlatformLock::default()))
            .collect(),
        variants: BTreeMap::new(),
    }
}

/// Has a frontend answer, with these options beside the usual ones.
fn asked(fake: &Fake, options: &[(&str, &str)]) -> Result<FrontendOutcome, String> {
    let mut all: BTreeMap<String, String> =
        [("filename", "web.yaml"), ("source", WORKER)].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    all.extend(options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let room = tempfile::tempdir().unwrap();
    std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let input = FrontendInput { options: &all, image: None, host: Platform::Amd64, room: room.path() };
    frontend(fake, &input).map_err(|problems| problems.to_string())
}

fn text(outcome: &FrontendOutcome, key: &str) -> String {
    String::from_utf8(outcome.metadata[key].clone()).unwrap()
}

#[test]
fn an_image_is_stacked_layer_by_layer_with_its_config() {
    let mut fake = Fake::with(&[("web.yaml", HELLO), ("web.lock", &lock(HELLO, None, &[]).to_text()), ("other", "x")]);
    let digest = fake.image(&["amd64"], 3);
    let outcome = asked(&fake, &[("label:c", "d")]).unwrap();
    assert_eq!(outcome.returned, Returned::One(Reference::named("layout")));
    let config: Value = serde_json::from_str(&text(&outcome, "containerimage.config")).unwrap();
    assert_eq!(config["config"]["Labels"], json!({"a": "b", "c": "d"}));
    assert_eq!(text(&outcome, "frontend.tarsia.digest"), digest.to_string());
    assert_eq!(text(&outcome, "annotation-manifest.tarsia.digest"), digest.to_string());
    let last = fake.names().pop().unwrap();
    assert_eq!(last, format!("image linux/amd64 {digest}: layer 3 of 3"));
    let solved = fake.solved.borrow();
    let stacked = solved.last().unwrap().vertices().values().filter(|one| one.name.starts_with("image ")).count();
    assert_eq!(stacked, 3);
    assert!(!fake.sent.borrow().values().flatten().any(|name| name == "other"));
}

#[test]
fn several_platforms_are_a_list() {
    let both = HELLO.replace("[linux/amd64]", "[linux/amd64, linux/arm64]");
    let files = [("web.yaml", both.as_str()), ("web.lock", &lock(&both, None, &[]).to_text())];
    let mut fake = Fake::with(&files);
    let digest = fake.image(&["amd64", "arm64"], 1);
    let outcome = asked(&fake, &[("platform", "linux/arm64,linux/amd64")]).unwrap();
    let Returned::Platforms(results) = &outcome.returned else { panic!("{outcome:?}") };
    assert_eq!(results.keys().collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    assert_eq!(text(&outcome, "frontend.tarsia.digest"), digest.to_string());
    assert!(text(&outcome, "containerimage.config/linux/arm64").contains("arm64"));
    assert!(outcome.metadata.contains_key("annotation-manifest[linux/amd64].tarsia.digest"));
    insta::assert_snapshot!(text(&outcome, "refs.platforms"), @r#"{"Platforms":[{"ID":"linux/amd64","Platform":{"architecture":"amd64","os":"linux"}},{"ID":"linux/arm64","Platform":{"architecture":"arm64","os":"linux"}}]}"#);

    // Without a word about platforms an image is for the builder's own, our layout for all of them.
    assert!(asked(&fake, &[("target", "oci")]).is_ok());
    assert!(asked(&fake, &[]).unwrap_err().contains("the layout is for"));
    let mut one = Fake::with(&files);
    one.image(&["amd64"], 1);
    assert!(asked(&one, &[]).is_ok());
    let outcome = asked(&one, &[("multi-platform", "true")]).unwrap();
    assert!(matches!(outcome.returned, Returned::Platforms(_)) && outcome.metadata.contains_key("refs.platforms"));
}

#[test]
fn a_lock_must_be_there_and_fit() {
    let fake = Fake::with(&[("web.yaml", HELLO)]);
    assert_eq!(asked(&fake, &[]).unwrap_err(), "cannot use `web.lock`: there is no such lock");
    let other = lock(&HELLO.replace("/hi}", "/ho}"), None, &[]).to_text();
    let fake = Fake::with(&[("web.yaml", HELLO), ("web.lock", &other)]);
    let told = asked(&fake, &[]).unwrap_err();
    assert!(told.starts_with("cannot use `web.lock`: it is stale: the spec changed"), "{told}");
    let other = Lock { rules: RULES + 1, ..lock(HELLO, None, &[]) }.to_text();
    let fake = Fake::with(&[("web.yaml", HELLO), ("web.lock", &other)]);
    let told = asked(&fake, &[]).unwrap_err();
    let other = format!("it was made for rules {}, and this release has rules {RULES}", RULES + 1);
    assert_eq!(told, format!("cannot read lock `web.lock`: {other}"));
    assert_eq!(
        asked(&Fake::default(), &[]).unwrap_err(),
        "cannot read `web.yaml` from the client: there is no such file"
    );
}

#[test]
fn what_a_lock_is_held_against_is_read_from_the_client() {
    let spec = format!("{HELLO}certificates: [ca/own.pem]\nrules: rules\n");
    let inputs = [("certificate", "ca/own.pem", "pem"), ("rules", "rules/a.yaml", "version: 1\n")];
    let locked = lock(&spec, None, &inputs).to_text();
    let files = [
        ("deep/web.yaml", spec.as_str()),
        ("deep/web.lock", &locked),
        ("deep/ca/own.pem", "pem"),
        ("deep/rules/a.yaml", "version: 1\n"),
        ("deep/rules/b/c.txt", "x"),
        ("deep/hi", "large"),
    ];
    let mut fake = Fake::with(&files);
    fake.image(&["amd64"], 1);
    // The spec stands below the directory that the client hands over.
    asked(&fake, &[("filename", "deep/web.yaml")]).unwrap();
    let sent: BTreeSet<String> = fake.sent.borrow().values().flatten().cloned().collect();
    assert!(sent.contains("deep/ca/own.pem") && !sent.contains("deep/hi"), "{sent:?}");
    fake.files.insert("deep/ca/own.pem".to_owned(), b"other".to_vec());
    let told = asked(&fake, &[("filename", "deep/web.yaml")]).unwrap_err();
    assert!(told.ends_with("certificate `ca/own.pem` has other bytes"), "{told}");
}

#[test]
fn a_frontend_knows_which_image_it_is() {
    let name = |image: Option<&[u8]>, source: Option<&str>| {
        worker(&Fake::default(), image, source).map(|worker| worker.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(name(None, Some(WORKER)).unwrap(), WORKER);
    let tagged = name(None, Some("127.0.0.1:5000/tarsia:1")).unwrap();
    assert_eq!(tagged, format!("127.0.0.1:5000/tarsia@sha256:{}", "b".repeat(64)));
    let mut graph = crate::llb::Graph::new();
    let own = graph.image(&tagged, crate::llb::Vertex::new("", ""));
    assert_eq!(
        name(Some(&graph.finish(own).bytes()), Some("127.0.0.1:5000/tarsia:2")).unwrap(),
        "the frontend's own image"
    );
    for (image, source) in [(None, None), (None, Some("tarsia:1")), (Some(&b"\xff"[..]), None)] {
        let told = name(image, source).unwrap_err();
        assert!(told.starts_with("cannot tell which image this frontend is"), "{told}");
    }
}

#[test]
fn a_failure_names_what_failed() {
    let fake = Fake {
        broken: Some(("select", "exit code: 2")),
        ..Fake::with(&[("web.yaml", HELLO), ("web.lock", &lock(HELLO, None, &[]).to_text())])
    };
    let told = asked(&fake, &[("target", "oci")]).unwrap_err();
    assert_eq!(told, "cannot build the selection of files: exit code: 2");
}

#[test]
fn a_mirror_that_does_not_give_a_package_is_passed_over() {
    let spec = "version: 1\nname: web\nplatforms: [linux/amd64]\narchives:\n  test: {uri: \"http://own.example\", suite: \
                test, components: [main], signed-by: key.asc}\npackages: [web]\n";
    let mut locked = lock(spec, None, &[("key", "key.asc", "key")]);
    let package = LockedPackage {
        name: "web".to_owned(),
        version: "1.0".to_owned(),
        architecture: "all".to_owned(),
        source: "web".to_owned(),
        source_version: None,
        archive: "test".to_owned(),
        in_release: Some(Digest::of(b"")),
        path: "web.deb".to_owned(),
        size: 1,
        digest: Digest::of(b"web"),
        why: Why::Requested,
        script_only: false,
        keep: None,
        layer: "web".to_owned(),
    };
    let share = PlatformLock { layers: vec!["web".to_owned()], packages: vec![package] };
    locked.platform.insert("linux/amd64".to_owned(), share);
    locked.archives.push(MetadataSet {
        name: "test".to_owned(),
        suite: "test".to_owned(),
        in_release: Digest::of(b""),
        signature: None,
        date: 1_700_000_000,
        valid_until: None,
        signers: Vec::new(),
        packages: Vec::new(),
    });
    let locked = locked.to_text();
    let files = [("web.yaml", spec), ("web.lock", locked.as_str()), ("key.asc", "key")];
    let mirror = ("build-arg:mirror.test", "http://near.example/");
    let build = |away: &'static str, options: &[(&str, &str)]| {
        let mut fake = Fake { away: Some(away), ..Fake::with(&files) };
        fake.image(&["amd64"], 1);
        let made = asked(&fake, &[&[("target", "oci")], options].concat());
        let solved = fake.solved.borrow();
        let last = solved.last().unwrap().message().def.concat();
        made.map(|_| String::from_utf8_lossy(&last).into_owned())
    };
    assert!(build("http://none.example", &[mirror]).unwrap().contains("http://near.example/web.deb"));
    assert!(build("http://near.example", &[mirror]).unwrap().contains("http://own.example/web.deb"));
    let told = build("http://own.example", &[]).unwrap_err();
    assert_eq!(told, "cannot build package `web` 1.0: away");
    // A name that no archive has helps nobody.
    let options = [
        ("target", "oci"),
        ("build-arg:mirror.tset", "http://near.example"),
        ("build-arg:mirror.debain", "http://near.example"),
        // Of another spec that is built with the same arguments.
        ("build-arg:mirror.debian-security", "http://near.example"),
    ];
    let told = asked(&Fake::with(&files), &options).unwrap_err();
    let refused = |name: &str| format!("cannot use a mirror of archive `{name}`: the spec has no such archive");
    assert_eq!(told.lines().collect::<Vec<_>>(), [refused("debain"), refused("tset")]);
}
