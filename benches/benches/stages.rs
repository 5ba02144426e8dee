//! Each stage on its own, on packages that are made here: 40 of them, in a signed archive of 2000.
//!
//! `cargo bench -p tarsia-benches`; nothing is asserted about time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use tarsia::archive::{Index, Keyring, Policy};
use tarsia::codec::{decode, encode};
use tarsia::diag::{Silent, Source};
use tarsia::digest::{Digest, Sha1};
use tarsia::elf::Facts;
use tarsia::image::{Image, ImageIndex, Settings, write_layout};
use tarsia::layer::{Context, NoFrames, Workers, write_all};
use tarsia::lock::{ENCODING, Lock, LockedPackage, REVISION, RULES, VERSION, Why};
use tarsia::package::{Entry, EntryKind, FileFacts, Limits, PackIndex, local, open_deb, pack_key};
use tarsia::resolve::{ResolveOptions, resolve};
use tarsia::select::{SelectInput, Selection, select};
use tarsia::spec::{Compression, Platform, Spec};
use tarsia::store::{Store, StoreOptions};

#[path = "../../builder/tests/it/deb.rs"]
mod deb;
#[path = "../../builder/tests/it/signing.rs"]
mod signing;

/// 2024-09-07 09:12:34 UTC.
const DATE: i64 = 1_725_700_354;
const PLATFORM: Platform = Platform::Amd64;
const MEMORY: u64 = 192 << 20;

const SPEC: &str = "version: 1
name: bench
platforms: [linux/amd64]
archives:
  test: {uri: \"file:///nowhere\", suite: test, components: [main], signed-by: test.asc}
packages: [p0000]
files:
  - {text: \"hello\\n\", to: /etc/motd}
run:
  entrypoint: [/usr/bin/p0000]
";

/// Bytes that compress about as well as programs do.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut made = Vec::with_capacity(length + 16);
    while made.len() < length {
        let again = next() % 16;
        if next() % 3 == 0 || made.len() < 64 {
            made.extend_from_slice(&next().to_le_bytes()[..4]);
        } else {
            let from = next() % (made.len() - again);
            made.extend_from_within(from..from + again);
        }
    }
    made.truncate(length);
    made
}

fn package(number: u64) -> deb::Deb {
    let name = format!("p{number:04}");
    let mut made = deb::deb(&name, "1.0").file(&format!("/usr/bin/{name}"), 0o755, bytes(number, 300_000));
    for file in 0..40 {
        made = made.file(&format!("/usr/lib/{name}/{file}"), 0o644, bytes(number * 100 + file, 6000));
    }
    if number < 39 { made.depends(&format!("p{:04}", number + 1)) } else { made }
}

/// Everything that the stages work on.
struct World {
    spec: Spec,
    debs: Vec<(Digest, Vec<u8>)>,
    release: Vec<u8>,
    packages: String,
    key: String,
}

impl World {
    fn new() -> Self {
        let (mut packages, mut debs) = (String::new(), Vec::new());
        for number in 0..2000 {
            let (stanza, size, digest) = if number < 40 {
                let made = package(number);
                let (stanza, built) = (made.stanza(), made.build());
                debs.push((Digest::of(&built), built));
                (stanza, debs[debs.len() - 1].1.len(), debs[debs.len() - 1].0)
            } else {
                (deb::deb(&format!("p{number:04}"), "1.0").depends("p0039").stanza(), 1, Digest::of(b""))
            };
            packages += &format!("{stanza}Filename: pool/p{number:04}.deb\nSize: {size}\nSHA256: {}\n\n", digest.hex());
        }
        let release = format!(
            "Suite: test\nCodename: test\nDate: Sat, 07 Sep 2024 09:12:34 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            Digest::of(packages.as_bytes()).hex(),
            packages.len()
        );
        let (secret, key) = signing::generate_key(1);
        let spec = Spec::parse(&Source::new("bench.yaml", SPEC), "bench").unwrap();
        Self { spec, debs, release: signing::clearsign(&secret, &release, DATE), packages, key }
    }

    fn index(&self) -> Index {
        let keyring = Keyring::from_certificates("test.asc", self.key.as_bytes()).unwrap();
        let release = keyring.verify("test", "test", &self.release, &Policy::at(DATE)).unwrap();
        let files = release.packages_files(&["main".to_owned()], "amd64").unwrap();
        let read = |file| (file, Box::new(io::Cursor::new(self.packages.clone().into_bytes())) as Box<_>);
        release.index(files.into_iter().map(read).collect()).unwrap()
    }

    fn lock(&self, index: &Index) -> Lock {
        let share = resolve(&self.spec, PLATFORM, std::slice::from_ref(index), &ResolveOptions::default()).unwrap();
        Lock {
            version: VERSION,
            revision: REVISION,
            tarsia: "0.1.0".to_owned(),
            encoding: ENCODING,
            rules: RULES,
            spec: self.spec.digest,
            keep: self.spec.keep.as_str().to_owned(),
            source_date: DATE,
            source_date_given: false,
            variants: Default::default(),
            archives: vec![index.set.clone()],
            inputs: Vec::new(),
            platform: BTreeMap::from([(PLATFORM.oci().to_owned(), share)]),
        }
    }
}

/// Returns a lock of 250 packages, of which the spec names the first, and their indexes.
fn closure(lock: &Lock, template: &PackIndex) -> (Lock, BTreeMap<String, PackIndex>) {
    const COUNT: usize = 250;
    let mut lock = Lock { keep: "needed".to_owned(), ..lock.clone() };
    let share = lock.platform.get_mut(PLATFORM.oci()).unwrap();
    let first = share.packages.iter().find(|package| package.why == Why::Requested).unwrap().clone();
    share.packages.clear();
    let mut packs = BTreeMap::new();
    for number in 0..COUNT {
        let name = format!("p{number:04}");
        let library = |number: usize, which: usize| format!("lib{number:04}-{which}.so.1");
        let entry = |path: String, kind: EntryKind| Entry { path, kind, ..template.entries[0].clone() };
        let file = |path: String, needed: Option<Vec<String>>| {
            let elf = needed.map(|needed| Facts { class: 64, machine: 62, kind: 3, needed, ..Facts::default() });
            let (digest, sha1) = (Digest::of(path.as_bytes()), Sha1::of(path.as_bytes()));
            let facts = FileFacts { size: 1000, offset: 0, digest, sha1, elf: elf.map(Box::new), shebang: None };
            entry(path, EntryKind::File(facts))
        };
        let next: Vec<String> =
            (1..4).filter(|step| number + step < COUNT).map(|step| library(number + step, 0)).collect();
        let mut entries = vec![file(format!("usr/bin/{name}"), Some(next.clone()))];
        for which in 0..3 {
            let path = format!("usr/lib/x86_64-linux-gnu/{}", library(number, which));
            entries.push(file(path, Some(next.clone())));
        }
        for which in 0..10 {
            entries.push(file(format!("usr/lib/{name}/plugin{which}.so"), Some(vec![library(number, 0)])));
        }
        for which in 0..60 {
            entries.push(file(format!("usr/share/{name}/data{which}"), None));
            entries.push(file(format!("usr/share/doc/{name}/page{which}.html"), None));
        }
        let depends = (1..4).filter(|step| number + step < COUNT).map(|step| format!("p{:04}", number + step));
        let control =
            vec![("Package".to_owned(), name.clone()), ("Depends".to_owned(), depends.collect::<Vec<_>>().join(", "))];
        let (texts, scans, scripts) = (Vec::new(), Vec::new(), Vec::new());
        packs.insert(name.clone(), PackIndex { control, entries, texts, scans, scripts, ..template.clone() });
        let why = if number == 0 { Why::Requested } else { Why::Dependency(vec!["p0000".to_owned()]) };
        let package = LockedPackage { source: name.clone(), name, why, ..first.clone() };
        lock.platform.get_mut(PLATFORM.oci()).unwrap().packages.push(package);
    }
    (lock, packs)
}

fn open((digest, bytes): &(Digest, Vec<u8>)) -> (PackIndex, File) {
    let (mut deb, data) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    deb.write_all(bytes).unwrap();
    (open_deb(&deb, *digest, &data, &Limits::default()).unwrap(), data)
}

fn codecs(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    let plain = bytes(1, 4 << 20);
    group.throughput(Throughput::Bytes(plain.len() as u64));
    for (packing, format) in [
        (deb::Packing::Xz, decode::Format::Xz),
        (deb::Packing::Zstd, decode::Format::Zstd),
        (deb::Packing::Gzip, decode::Format::Gzip),
    ] {
        let packed = deb::pack(packing, &plain);
        group.bench_function(format!("decode {}", format.name()), |b| {
            b.iter(|| {
                let mut out = Vec::with_capacity(plain.len());
                decode::decoder(format, &packed[..], &decode::Limits::default()).unwrap().read_to_end(&mut out).unwrap()
            });
        });
    }
    for compression in [Compression::Zstd(3), Compression::Gzip(6)] {
        group.bench_function(format!("encode {compression:?}"), |b| {
            b.iter(|| encode::encode(compression, &plain).unwrap());
        });
    }
}

fn stages(c: &mut Criterion) {
    let world = World::new();
    let index = world.index();
    let lock = world.lock(&index);
    let text = lock.to_text();
    c.bench_function("spec parse", |b| {
        let source = Source::new("python.yaml", include_str!("../../specs/python.yaml"));
        b.iter(|| Spec::parse(&source, "python").unwrap());
    });
    c.bench_function("archive verify and read", |b| b.iter(|| world.index()));
    c.bench_function("resolve", |b| b.iter(|| world.lock(&index)));
    c.bench_function("lock parse", |b| b.iter(|| Lock::parse("bench.lock", &text).unwrap()));
    c.bench_function("lock write", |b| b.iter(|| lock.to_text()));
    c.bench_function("open_deb", |b| b.iter(|| open(&world.debs[0])));

    let room = tempfile::tempdir().unwrap();
    let opened: Vec<_> = world.debs.iter().map(open).collect();
    let names = (0..).map(|number| format!("p{number:04}"));
    let keys: BTreeMap<String, Digest> = names.clone().zip(world.debs.iter().map(|(deb, _)| pack_key(deb))).collect();
    let packs = names.zip(opened.iter().map(|(index, _)| index.clone())).collect();
    let absent = |_: &Digest| Err(io::ErrorKind::NotFound.into());
    let sink = tempfile::tempfile().unwrap();
    let local = local::open(&world.spec, room.path(), &absent, &sink, DATE).unwrap();
    let input = SelectInput {
        spec: &world.spec,
        lock: &lock,
        platform: PLATFORM,
        packs: &packs,
        pack_keys: &keys,
        local: &local,
        local_key: Digest::of(b"local"),
        base: None,
    };
    c.bench_function("select", |b| b.iter(|| select(&input).unwrap()));

    // 250 packages, each with a program, three libraries that need those of others, plugins, data and documentation.
    let (many, many_packs) = closure(&lock, &opened[0].0);
    let many_keys: BTreeMap<String, Digest> =
        many_packs.keys().map(|name| (name.clone(), Digest::of(name.as_bytes()))).collect();
    let needed = SelectInput { lock: &many, packs: &many_packs, pack_keys: &many_keys, ..input };
    let kept = select(&needed).unwrap();
    assert!(kept.nodes.keys().any(|path| path.as_str() == "usr/lib/x86_64-linux-gnu/lib0249-0.so.1"));
    c.bench_function("select 250 packages, what is needed", |b| b.iter(|| select(&needed).unwrap()));

    let selection = select(&input).unwrap();
    let files: BTreeMap<Digest, &File> =
        keys.values().copied().zip(opened.iter().map(|(_, data)| data)).chain([(input.local_key, &sink)]).collect();
    let data = |key: &Digest| files[key].try_clone();
    let workers = Workers::new(0, MEMORY).unwrap();
    let context = Context {
        data: &data,
        compression: Compression::Zstd(3),
        workers: &workers,
        frames: &NoFrames,
        progress: &Silent,
    };
    c.bench_function("layer write", |b| b.iter(|| layers(&context, &selection)));

    let store = Store::open(&room.path().join("store"), StoreOptions::default()).unwrap();
    let (layers, blobs): (Vec<_>, Vec<_>) = layers(&context, &selection).into_iter().unzip();
    blobs.iter().for_each(|blob| assert!(store.put_blob(blob).is_ok()));
    let settings = Settings {
        run: &world.spec.run,
        user: selection.user,
        labels: &world.spec.labels,
        source_date: DATE,
        base: None,
    };
    c.bench_function("image write", |b| {
        let blobs = |digest: &Digest| store.blob(digest).map_err(io::Error::other);
        b.iter(|| {
            let image = Image::new(PLATFORM, &settings, layers.clone()).unwrap();
            let whole = ImageIndex::new(vec![image]).unwrap();
            write_layout(&whole, &Default::default(), &blobs, &room.path().join("image")).unwrap().commit().unwrap();
        });
    });
}

fn layers(context: &Context<'_>, selection: &Selection) -> Vec<(tarsia::layer::Layer, Vec<u8>)> {
    let plans: Vec<_> = selection.layers.iter().filter(|plan| !plan.is_empty()).collect();
    let mut blobs = vec![Vec::new(); plans.len()];
    let sinks = blobs.iter_mut().map(|blob| blob as &mut (dyn Write + Send));
    let written = write_all(context, plans.into_iter().zip(sinks).collect()).unwrap();
    written.into_iter().zip(blobs).collect()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = codecs, stages
}
criterion_main!(benches);
