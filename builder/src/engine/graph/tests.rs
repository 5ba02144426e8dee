use std::collections::{BTreeMap, BTreeSet};

use bollard_buildkit_proto::pb;
use prost::Message as _;

use super::*;
use crate::diag::{Diagnose as _, Source};
use crate::digest::Digest;
use crate::fetch::Private;
use crate::lock::{LockedInput, LockedPackage, PlatformLock, REVISION, VERSION, Why};

/// Nothing was asked in vain.
static NONE: BTreeMap<Digest, u32> = BTreeMap::new();

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn spec(text: &str) -> Spec {
    let head = "version: 1\nname: web\ndistro: debian/13\nplatforms: [linux/amd64, linux/arm64]\n";
    Spec::parse(&Source::new("web.yaml", format!("{head}{text}")), "web").unwrap()
}

fn package(name: &str, layer: &str, architecture: &str, size: u64) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1.0-1".to_owned(),
        architecture: architecture.to_owned(),
        source: name.to_owned(),
        source_version: None,
        archive: "debian".to_owned(),
        in_release: Some(Digest::of(b"set")),
        path: format!("pool/main/{name}_1.0-1_{architecture}.deb"),
        size,
        digest: Digest::of(format!("{name} {architecture}").as_bytes()),
        why: Why::Requested,
        script_only: false,
        keep: None,
        layer: layer.to_owned(),
    }
}

/// A lock of `count` packages in `layers` layers, for the first platform or for both.
fn lock(spec: &Spec, count: usize, layers: usize, platforms: usize) -> Lock {
    let layer = |number: usize| format!("layer-{:03}", number % layers);
    let share = |architecture: &str| PlatformLock {
        layers: (0..layers).map(layer).collect(),
        packages: (0..count)
            .map(|number| {
                // Sizes over all magnitudes.
                let size = 1000 << (number % 15);
                package(&format!("p{number:03}"), &layer(number), architecture, size)
            })
            .collect(),
    };
    let all = [("linux/amd64", "amd64"), ("linux/arm64", "arm64")];
    Lock {
        version: VERSION,
        revision: REVISION,
        tarsia: "0.1.0".to_owned(),
        encoding: ENCODING,
        rules: RULES,
        spec: spec.digest,
        keep: "needed".to_owned(),
        source_date: 1_700_000_000,
        source_date_given: false,
        archives: Vec::new(),
        inputs: Vec::new(),
        platform: all[..platforms].iter().map(|(name, word)| ((*name).to_owned(), share(word))).collect(),
        variants: BTreeMap::new(),
    }
}

fn mirrors(base: &str) -> Mirrors {
    Mirrors { by_archive: [("debian".to_owned(), vec![base.to_owned()])].into(), private: BTreeMap::new() }
}

/// What a test lowers.
struct Case {
    spec: Spec,
    lock: Lock,
    mirrors: Mirrors,
    worker: Worker,
    platforms: Vec<Platform>,
    directory: &'static str,
}

impl Case {
    fn new(text: &str, count: usize, layers: usize, platforms: usize) -> Self {
        let spec = spec(text);
        let lock = lock(&spec, count, layers, platforms);
        let worker = Worker::parse(&format!("https://example.org/tarsia#sha256={HEX}")).unwrap();
        let mirrors = mirrors("http://mirror.example.org/debian");
        Self { spec, lock, mirrors, worker, platforms: Vec::new(), directory: "" }
    }

    fn input(&self) -> Input<'_> {
        Input {
            spec: &self.spec,
            lock: &self.lock,
            platforms: &self.platforms,
            mirrors: &self.mirrors,
            worker: &self.worker,
            context: Context { directory: self.directory, ..Context::default() },
            in_vain: &NONE,
            told: None,
        }
    }

    fn whole(&self) -> Definition {
        whole(&self.input(), Target::Oci).unwrap()
    }
}

/// An operation with its name; its inputs by the names of theirs.
struct Named {
    name: String,
    inputs: Vec<String>,
    op: pb::Op,
}

fn named(definition: &Definition) -> Vec<Named> {
    let message = definition.message();
    let vertices = definition.vertices();
    let name = |digest: &str| vertices[&digest.parse::<Digest>().unwrap()].name.clone();
    let operations = message.def[..message.def.len() - 1].iter();
    operations
        .map(|bytes| {
            let op = pb::Op::decode(bytes.as_slice()).unwrap();
            let inputs = op.inputs.iter().map(|input| format!("{}#{}", name(&input.digest), input.index)).collect();
            Named { name: name(&Digest::of(bytes).to_string()), inputs, op }
        })
        .collect()
}

impl Named {
    fn exec(&self) -> Option<&pb::ExecOp> {
        match &self.op.op {
            Some(pb::op::Op::Exec(exec)) => Some(exec),
            _ => None,
        }
    }

    fn source(&self) -> Option<&pb::SourceOp> {
        match &self.op.op {
            Some(pb::op::Op::Source(source)) => Some(source),
            _ => None,
        }
    }

    /// Returns what a daemon's key for an exec is made of beside the keys of its inputs.
    fn key(&self) -> Option<Vec<u8>> {
        let mut exec = self.exec()?.clone();
        exec.mounts.iter_mut().for_each(|mount| mount.selector.clear());
        Some(exec.encode_to_vec())
    }

    /// Returns, for each mount, where it is and what stands there.
    fn mounts(&self) -> Vec<String> {
        let of = |mount: &pb::Mount| {
            let from = usize::try_from(mount.input).ok().map_or("nothing", |input| self.inputs[input].as_str());
            let output = if mount.output >= 0 { format!(" → {}", mount.output) } else { String::new() };
            format!("{}: {from}{}{output}", mount.dest, mount.selector)
        };
        self.exec().map(|exec| exec.mounts.iter().map(of).collect()).unwrap_or_default()
    }
}

fn find<'a>(all: &'a [Named], start: &str) -> &'a Named {
    all.iter().find(|one| one.name.starts_with(start)).unwrap_or_else(|| panic!("no {start}"))
}

/// Returns the most of the executions of this kind that no order keeps apart: the largest antichain, by Dilworth's
/// theorem the number of chains that cover all, found by matching each with one behind it.
fn side_by_side(definition: &Definition, kind: &str) -> (usize, usize) {
    let message = definition.message();
    let vertices = definition.vertices();
    // By digest, which of them come before it.
    let mut before: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
    let mut all = Vec::new();
    for bytes in &message.def[..message.def.len() - 1] {
        let (digest, op) = (Digest::of(bytes), pb::Op::decode(bytes.as_slice()).unwrap());
        let mut ancestors = BTreeSet::new();
        for input in &op.inputs {
            let input: Digest = input.digest.parse().unwrap();
            ancestors.extend(before[&input].iter().copied());
            if all.contains(&input) {
                ancestors.insert(input);
            }
        }
        before.insert(digest, ancestors);
        if vertices[&digest].name.starts_with(kind) && matches!(op.op, Some(pb::op::Op::Exec(_))) {
            all.push(digest);
        }
    }
    let mut behind: BTreeMap<Digest, Digest> = BTreeMap::new();
    fn augment(
        one: Digest,
        before: &BTreeMap<Digest, BTreeSet<Digest>>,
        behind: &mut BTreeMap<Digest, Digest>,
        seen: &mut BTreeSet<Digest>,
    ) -> bool {
        for earlier in &before[&one] {
            if seen.insert(*earlier)
                && behind.get(earlier).copied().is_none_or(|other| augment(other, before, behind, seen))
            {
                behind.insert(*earlier, one);
                return true;
            }
        }
        false
    }
    let matched = all.iter().filter(|one| augment(**one, &before, &mut behind, &mut BTreeSet::new())).count();
    (all.len(), all.len() - matched)
}

#[test]
fn a_lock_has_one_graph() {
    let text = "certificates: [ca.pem]\nfiles:\n  - {copy: etc/, to: /etc/web}\n  \
                - {fetch: \"https://files.example.org/x\", sha256: \
                e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, to: /x}\n";
    let case = Case::new(text, 3, 2, 2);
    let bytes = case.whole().bytes();
    insta::assert_snapshot!(Digest::of(&bytes), @"sha256:47b234abab0a775b37ab61923243cf05a07cf184c2e659cc51623f2c0b2e3cc2");
    assert_eq!(case.whole().bytes(), bytes);
    // However the platforms are asked for.
    let turned = Case { platforms: vec![Platform::Arm64, Platform::Amd64, Platform::Arm64], ..case };
    assert_eq!(turned.whole().bytes(), bytes);
    let evidence = whole(&turned.input(), Target::Evidence).unwrap();
    assert_eq!(evidence.result(), (turned.whole().result().0, 1));

    let one = Case { platforms: vec![Platform::Amd64], ..turned };
    let shown: Vec<String> = named(&one.whole())
        .iter()
        .map(|one| match one.source() {
            Some(source) => format!("{} = {} {:?}", one.name, source.identifier, source.attrs),
            None => format!("{} = {}", one.name, one.mounts().join(", ")).trim_end().to_owned(),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r##"
    worker = https://example.org/tarsia {"http.checksum": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "http.filename": "tarsia", "http.perm": "493"}
    lane =
    lanes =
    spec and its own inputs =
    files beside the spec = local://context {"local.followpaths": "[\"ca.pem\",\"etc\"]", "local.includepattern": "[\"ca.pem\",\"etc\"]", "local.sharedkeyhint": "context"}
    fetch https://files.example.org/x = https://files.example.org/x {"http.checksum": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "http.filename": "file"}
    open the spec's own files = /: worker#0, /job: spec and its own inputs#0, /context: files beside the spec#0, /fetched/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855: fetch https://files.example.org/x#0, /index: nothing → 0, /data: nothing → 1, /after: lane#0/lane, /done: lanes#0 → 2
    p000 1.0-1 (amd64) = http://mirror.example.org/debian/pool/main/p000_1.0-1_amd64.deb {"http.checksum": "sha256:7292c3ee24d15d4b78fcaf0c72635ad1c5d5c0e6069587595e0dcb783e68ca48", "http.filename": "deb"}
    p002 1.0-1 (amd64) = http://mirror.example.org/debian/pool/main/p002_1.0-1_amd64.deb {"http.checksum": "sha256:4e6f5e41bf09bf4beee794abd4f2c7d02e4023069e5ae6fd9a386fca4fbe3bf1", "http.filename": "deb"}
    open layer-000: p000 1.0-1, p002 1.0-1 = /: worker#0, /in/p000: p000 1.0-1 (amd64)#0, /in/p002: p002 1.0-1 (amd64)#0, /index: nothing → 0, /data: nothing → 1, /after: lane#0/lane, /done: lanes#0 → 2
    p001 1.0-1 (amd64) = http://mirror.example.org/debian/pool/main/p001_1.0-1_amd64.deb {"http.checksum": "sha256:a8ab32e6feeb5c3a7f283926f9e50ab6fcbbacc34348dbc34c55f9f55dc4431d", "http.filename": "deb"}
    open layer-001: p001 1.0-1 = /: worker#0, /in/p001: p001 1.0-1 (amd64)#0, /index: nothing → 0, /data: nothing → 1, /after: lane#0/lane, /done: lanes#0 → 2
    spec and lock =
    select files = /: worker#0, /job: spec and lock#0, /indexes/0: open layer-000: p000 1.0-1, p002 1.0-1#0, /indexes/1: open layer-001: p001 1.0-1#0, /local: open the spec's own files#0, /plans: nothing → 0
    layer layer-000 = /: worker#0, /plan: select files#0/layer-000, /data: open layer-000: p000 1.0-1, p002 1.0-1#1/layer-000, /layer: nothing → 0, /after: lane#0/lane, /done: lanes#0 → 1
    layer layer-001 = /: worker#0, /plan: select files#0/layer-001, /data: open layer-001: p001 1.0-1#1/layer-001, /layer: nothing → 0, /after: lane#0/lane, /done: lanes#0 → 1
    layer state = /: worker#0, /plan: select files#0/state, /layer: nothing → 0, /after: lane#0/lane, /done: lanes#0 → 1
    layer files = /: worker#0, /plan: select files#0/files, /data: open the spec's own files#1/files, /layer: nothing → 0, /after: lane#0/lane, /done: lanes#0 → 1
    assemble web = /: worker#0, /job: spec and lock#0, /context: files beside the spec#0, /local: open the spec's own files#0, /indexes/linux-amd64/0: open layer-000: p000 1.0-1, p002 1.0-1#0, /indexes/linux-amd64/1: open layer-001: p001 1.0-1#0, /layers/linux-amd64/layer-000: layer layer-000#0, /layers/linux-amd64/layer-001: layer layer-001#0, /layers/linux-amd64/state: layer state#0, /layers/linux-amd64/files: layer files#0, /oci: nothing → 0, /evidence: nothing → 1
    "##);
}

#[test]
fn a_mirror_is_in_no_key() {
    let one = Case::new("", 4, 2, 1);
    let other = Case { mirrors: mirrors("https://other.example.org/d"), ..Case::new("", 4, 2, 1) };
    let keys = |case: &Case| named(&case.whole()).iter().map(Named::key).collect::<Vec<_>>();
    assert_eq!(keys(&one), keys(&other));
    // What differs are addresses, and every one of them stands beside a digest.
    for (one, other) in named(&one.whole()).iter().zip(named(&other.whole())) {
        if let (Some(one), Some(other)) = (one.source(), other.source()) {
            assert_eq!(one.attrs, other.attrs);
            assert!(one.attrs.contains_key("http.checksum"));
        }
    }
    assert_ne!(one.whole().bytes(), other.whole().bytes());
}

#[test]
fn no_more_than_eight_are_side_by_side() {
    for (packages, layers) in [(9, 9), (9, 1), (76, 12), (255, 30), (255, 255)] {
        for platforms in [1, 2] {
            let case = Case::new("files: [{text: x, to: /x}]\n", packages, layers, platforms);
            let definition = case.whole();
            let (opens, wide) = side_by_side(&definition, "open ");
            let most = layers.min(MAX_OPENS) * platforms + 1;
            let expected = if layers > MAX_OPENS { most / 2..=most } else { most..=most };
            assert!(expected.contains(&opens), "{packages} packages, {layers} layers: {opens} opens");
            assert_eq!(wide, opens.min(LANES), "{packages} packages, {layers} layers, {platforms} platforms");
            let (written, wide) = side_by_side(&definition, "layer ");
            assert_eq!((written, wide), ((layers + 2) * platforms, written.min(LANES)));
            // Every package is opened once.
            let opened: usize = named(&definition)
                .iter()
                .filter(|one| one.name.starts_with("open "))
                .map(|one| one.mounts().iter().filter(|mount| mount.starts_with("/in/")).count())
                .sum();
            assert_eq!(opened, packages * platforms);
        }
    }
}

#[test]
fn an_image_is_read_once() {
    let text = "files: [{text: x, to: /x}]\n";
    let reference = Worker::parse(&format!("registry.example.org/tarsia@sha256:{HEX}")).unwrap();
    // As a frontend knows its own image.
    let mut graph = crate::llb::Graph::new();
    let image = graph.image("registry.example.org/tarsia:1", crate::llb::Vertex::new("own image", "the image"));
    for worker in [reference, Worker::Definition(graph.finish(image))] {
        let case = Case { worker, ..Case::new(text, 30, 12, 2) };
        let all = named(&case.whole());
        let image = all.iter().find(|one| one.source().is_some_and(|source| source.identifier.starts_with("docker")));
        let image = format!("{}#0", image.unwrap().name);
        let readers: Vec<&str> =
            all.iter().filter(|one| one.inputs.contains(&image)).map(|one| one.name.as_str()).collect();
        assert_eq!(readers, ["unpack worker"]);
        assert!(all.iter().filter(|one| one.exec().is_some()).all(|one| one.inputs[0] == "unpack worker#0"));
    }
}

#[test]
fn both_phases_are_parts_of_the_whole() {
    let case = Case::new("", 30, 12, 2);
    let (whole, input) = (named(&case.whole()), case.input());
    let known: BTreeSet<Vec<u8>> = whole.iter().filter_map(Named::key).collect();
    let amd64 = groups(Platform::Amd64, &case.lock.platform["linux/amd64"]);
    let arm64 = groups(Platform::Arm64, &case.lock.platform["linux/arm64"]);
    // A share that begins elsewhere in the lanes.
    let share: Vec<LayerGroup> = amd64[5..].iter().chain(&arm64[..3]).cloned().collect();
    let opened = named(&opens(&input, &share).unwrap());
    assert_eq!(opened.iter().filter(|one| one.exec().is_some()).count(), share.len());
    let planned = [
        Planned { platform: Platform::Arm64, layer: "layer-007", plan: b"seven" },
        Planned { platform: Platform::Amd64, layer: "layer-007", plan: b"7" },
        Planned { platform: Platform::Arm64, layer: "layer-001", plan: b"one" },
    ];
    let written = named(&layers(&input, &planned).unwrap());
    assert_eq!(written.iter().filter(|one| one.exec().is_some()).count(), 6);
    for one in opened.iter().chain(&written) {
        assert!(one.key().is_none_or(|key| known.contains(&key)), "{}: {:?}", one.name, one.mounts());
    }
    // What stands where.
    let gather = opened.last().unwrap();
    let index = format!("{}#0", amd64_name(&opened, &share[0]));
    assert_eq!((gather.name.as_str(), &gather.inputs[0]), ("gather indexes", &index));
    let gather = written.last().unwrap();
    assert_eq!(gather.inputs[0], "layer layer-007 (linux/arm64)#0");
    let Some(pb::op::Op::File(files)) = &gather.op.op else { panic!("{}", gather.name) };
    let Some(pb::file_action::Action::Copy(copy)) = &files.actions[2].action else { panic!() };
    assert_eq!((copy.src.as_str(), copy.dest.as_str()), ("/", "/2"));
    let mounts = find(&written, "layer layer-007 (linux/arm64)").mounts();
    let layer = "layer layer-007 (linux/arm64)";
    assert_eq!(mounts[1], "/plan: plan layer-007 (linux/arm64)#0/layer-007", "{layer}");
    assert!(mounts[2].starts_with("/data: open layer-007 (linux/arm64)") && mounts[2].ends_with("#1/layer-007"));

    let none = layers(&input, &[Planned { platform: Platform::Amd64, layer: "state", plan: b"" }]).unwrap_err();
    assert!(none.to_string().starts_with("cannot build layer `state` for `linux/amd64`"), "{none}");
    assert_eq!(named(&opens(&input, &[]).unwrap()).len(), 1);
}

/// Returns the name of the operation that opens a group.
fn amd64_name(all: &[Named], group: &LayerGroup) -> String {
    let start = format!("open {} ({})", group.layers.join(", "), group.platform.oci());
    find(all, &start).name.clone()
}

#[test]
fn a_groups_size_moves_nothing() {
    let case = Case::new("", 255, 120, 1);
    let share = &case.lock.platform["linux/amd64"];
    let before = groups(Platform::Amd64, share);
    assert_eq!(before.len(), MAX_OPENS);
    let place = |groups: &[LayerGroup], layer: &str| {
        groups.iter().position(|group| group.layers.iter().any(|other| other == layer))
    };
    // Not one bears much more than its part, or than the largest.
    let load = |group: &LayerGroup| group.packages(share).iter().map(|package| package.size).sum::<u64>();
    let total: u64 = before.iter().map(load).sum();
    let largest = before.iter().map(load).max().unwrap();
    assert!(largest < 5 * total / MAX_OPENS as u64, "{largest} of {total}");

    // An update: a hundredth more in one package.
    let mut moved = Vec::new();
    for number in 0..share.packages.len() {
        let mut now = share.clone();
        now.packages[number].size += now.packages[number].size / 100 + 1;
        moved.push(differing(&before, &groups(Platform::Amd64, &now)));
    }
    let (still, most) = (moved.iter().filter(|count| **count == 0).count(), moved.iter().max().unwrap());
    assert!(still * 100 >= moved.len() * 98 && *most <= 20, "{still} of {} move nothing; at most {most}", moved.len());

    // Another layer.
    let mut more = share.clone();
    more.packages.push(package("new", "new", "amd64", 100_000));
    let after = groups(Platform::Amd64, &more);
    assert!(place(&after, "new").is_some());
    let count = differing(&before, &after);
    assert!(count <= 20, "{count} of 120 layers moved");

    // In whatever order they stand.
    let mut turned = share.clone();
    turned.packages.reverse();
    turned.layers.reverse();
    assert_eq!(groups(Platform::Amd64, &turned), before);
}

/// Returns how many layers are opened with others than before.
fn differing(before: &[LayerGroup], after: &[LayerGroup]) -> usize {
    let known: BTreeSet<&Vec<String>> = before.iter().map(|group| &group.layers).collect();
    after.iter().filter(|group| !known.contains(&group.layers)).map(|group| group.layers.len()).sum()
}

#[test]
fn files_beside_the_spec_come_from_where_the_client_has_them() {
    let mut case = Case::new("certificates: [pki/ca.pem]\nfiles: [{copy: ./conf d/, to: /etc/x}]\n", 2, 2, 1);
    let share = case.lock.platform.get_mut("linux/amd64").unwrap();
    let own = &mut share.packages[1];
    (own.archive, own.in_release, own.path) = ("local".to_owned(), None, "./dist/own.deb".to_owned());
    let locked = LockedInput {
        kind: "package".to_owned(),
        name: "./dist/own.deb".to_owned(),
        digest: own.digest,
        size: own.size,
    };
    case.lock.inputs.push(locked);
    assert!(groups(Platform::Amd64, &case.lock.platform["linux/amd64"])[1].local);
    let patterns = |case: &Case| {
        let all = named(&case.whole());
        let attrs = &find(&all, "files beside the spec").source().unwrap().attrs;
        assert_eq!(attrs.get("local.includepattern"), attrs.get("local.followpaths"));
        let open = find(&all, "open layer-001").mounts()[1].clone();
        let local = find(&all, "open the spec's own files").mounts()[2].clone();
        (attrs.get("local.includepattern").cloned().unwrap_or_default(), open, local)
    };
    let context = "files beside the spec#0";
    assert_eq!(
        patterns(&case),
        (
            r#"["conf?d","dist/own.deb","pki/ca.pem"]"#.to_owned(),
            format!("/in/p001/deb: {context}/dist/own.deb"),
            format!("/context: {context}"),
        )
    );
    case.directory = "specs/";
    assert_eq!(
        patterns(&case),
        (
            r#"["specs/conf?d","specs/dist/own.deb","specs/pki/ca.pem"]"#.to_owned(),
            format!("/in/p001/deb: {context}/specs/dist/own.deb"),
            format!("/context: {context}/specs"),
        )
    );
    // Where the directory itself is copied, all of it is sent.
    let whole = Case::new("files: [{copy: ., to: /srv}]\n", 2, 2, 1);
    let all = named(&whole.whole());
    assert!(!find(&all, "files beside the spec").source().unwrap().attrs.contains_key("local.includepattern"));
    // A spec that names nothing asks for nothing.
    let none = named(&Case::new("files: [{text: x, to: /x}]\n", 2, 2, 1).whole());
    assert!(none.iter().all(|one| one.source().is_none_or(|source| !source.identifier.starts_with("local:"))));
    assert_eq!(find(&none, "assemble").mounts()[2], "/context: lane#0/lane");
}

#[test]
fn what_no_daemon_can_fetch_is_an_error() {
    let refused = |case: &Case| whole(&case.input(), Target::Oci).unwrap_err();
    let case = |mirrors: Mirrors| Case { mirrors, ..Case::new("", 2, 1, 1) };
    let path = refused(&case(mirrors("file:///srv/debian")));
    assert_eq!(
        path.to_string(),
        "cannot have BuildKit fetch package `p000` from `file:///srv/debian/pool/main/p000_1.0-1_amd64.deb`: that is a \
         path of this machine"
    );
    assert_eq!(path.hints(), ["serve it over HTTP, and name that address: `--mirror [ARCHIVE=]http://…`"]);
    let none = refused(&case(Mirrors::default()));
    assert_eq!(none.to_string(), "cannot have BuildKit fetch package `p000`: no mirror of `debian` is known");

    let text = "archives:\n  acme: {uri: \"https://apt.example.org/a\", suite: x, components: [main], signed-by: a.asc, \
                auth: netrc}\n";
    let mut private = Case::new(text, 1, 1, 1);
    private.lock.platform.get_mut("linux/amd64").unwrap().packages[0].archive = "acme".to_owned();
    let bases = |all: &[&str]| BTreeMap::from([("acme".to_owned(), all.iter().map(|&base| base.to_owned()).collect())]);
    private.mirrors = Mirrors {
        by_archive: bases(&["https://apt.example.org/a"]),
        private: [("acme".to_owned(), Private { auth: true, authorities: None })].into(),
    };
    let login = refused(&private).to_string();
    assert!(login.ends_with("`acme` wants a login, and BuildKit asks without one"), "{login}");
    private.mirrors.by_archive = bases(&["http://near.example.org/a", "https://apt.example.org/a"]);
    private.whole();

    let fetch = format!("files: [{{fetch: \"file:/srv/x\", sha256: {HEX}, to: /x}}]\n");
    let file = refused(&Case::new(&fetch, 1, 1, 1)).to_string();
    assert_eq!(file, "cannot have BuildKit fetch a file from `file:/srv/x`: that is a path of this machine");
    let mut old = Case::new("", 1, 1, 1);
    old.lock.rules += 1;
    assert!(refused(&old).to_string().contains("encoding 1 and rules 4, written by tarsia 0.1.0"));
    let other = Case { platforms: vec![Platform::Arm64], ..Case::new("", 1, 1, 1) };
    assert_eq!(refused(&other).to_string(), "cannot build for `linux/arm64`: the lock does not have it");
}
