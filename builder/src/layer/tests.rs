use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::diag::Silent;
use crate::select::{Body, PlanEntry, PlanGroup};
use crate::tree::{ImagePath, Meta};

/// A plan over a pack that lies in a file.
struct World {
    plan: LayerPlan,
    pack: Digest,
    data: File,
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn entry(at: &str, mode: u32, body: Body) -> PlanEntry {
    PlanEntry { path: path(at), meta: Meta::root(mode, 1_700_000_000), body }
}

/// Bytes that compress a little.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 59) as u8 + b'a'
        })
        .collect()
}

/// Directories, a group of small files and links, one file of three cuts, empty and inline files, names for pax.
fn world() -> World {
    let mut data = tempfile::tempfile().unwrap();
    let mut offset = 0;
    let mut file = |at: &str, content: &[u8]| {
        data.write_all(content).unwrap();
        let body = Body::Pack { offset, size: content.len() as u64, digest: Digest::of(content) };
        offset += content.len() as u64;
        entry(at, 0o644, body)
    };
    let pack = Digest::of(b"pack");
    let mut one: Vec<PlanEntry> =
        (0..60).map(|n| file(&format!("usr/a/{n:03}"), &bytes(n, 997 * n as usize))).collect();
    one.push(entry("usr/a/hard", 0o644, Body::Hardlink(path("usr/a/001"))));
    one.push(entry("usr/a/soft", 0o777, Body::Symlink("../b/ünï".to_owned())));
    let mut two = vec![file("usr/b/large", &bytes(99, 11 << 20)), file("usr/b/next", b"after a large one")];
    // The header of what follows ends where a cut does.
    let used: usize = (11 << 20) + 512 + 1024;
    two.push(file("usr/b/pad", &bytes(7, (12 << 20) - used - 1024)));
    two.push(file("usr/b/whole", &bytes(8, 512)));
    let mut meta = Meta::root(0o4755, -1);
    (meta.uid, meta.gid) = (3_000_000, 4_000_000);
    meta.xattrs = vec![("security.capability".to_owned(), vec![1, 0, 0, 2, 0]), ("user.a".to_owned(), b"b".to_vec())];
    let three = vec![
        PlanEntry {
            path: path(&format!("var/{}/{}/x", "l".repeat(90), "m".repeat(90))),
            meta: meta.clone(),
            body: Body::Inline(b"inline\n".to_vec()),
        },
        PlanEntry { path: path(&format!("var/{}", "n".repeat(200))), meta, body: Body::Inline(Vec::new()) },
    ];
    let directories = ["usr", "usr/a", "usr/b", "var"].map(|at| PlanEntry {
        path: path(at),
        meta: Meta::root(0o755, 0),
        body: Body::Directory,
    });
    let groups = vec![
        PlanGroup { pack: Some(pack), entries: one },
        PlanGroup { pack: Some(pack), entries: two },
        PlanGroup { pack: None, entries: three },
    ];
    World { plan: LayerPlan { name: "base".to_owned(), directories: directories.to_vec(), groups }, pack, data }
}

/// Remembers frames in memory and counts the hits.
#[derive(Default)]
struct Frames(Mutex<BTreeMap<Digest, Vec<u8>>>, AtomicUsize);

impl FrameCache for Frames {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let found = self.0.lock().unwrap().get(key).cloned();
        self.1.fetch_add(usize::from(found.is_some()), Ordering::SeqCst);
        found
    }
    fn put(&self, key: &Digest, encoded: &[u8]) {
        self.0.lock().unwrap().insert(*key, encoded.to_vec());
    }
}

fn write_with(
    world: &World,
    compression: Compression,
    threads: usize,
    memory: u64,
    frames: &dyn FrameCache,
) -> Result<(Layer, Vec<u8>), Error> {
    let workers = Workers::new(threads, memory).unwrap();
    let data =
        |key: &Digest| if *key == world.pack { world.data.try_clone() } else { Err(io::ErrorKind::NotFound.into()) };
    let context = Context { data: &data, compression, workers: &workers, frames, progress: &Silent };
    let mut blob = Vec::new();
    let layer = write(&context, &world.plan, &mut blob)?;
    assert_eq!((layer.digest, layer.size), (Digest::of(&blob), blob.len() as u64));
    // Waits forever where memory was not given back.
    drop(workers.budget.reserve(memory));
    Ok((layer, blob))
}

fn tar_of(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    zstd::Decoder::new(blob).unwrap().read_to_end(&mut tar).unwrap();
    tar
}

#[test]
fn threads_memory_and_cache_cannot_reach_the_bytes() {
    let world = world();
    for compression in [Compression::Zstd(3), Compression::Gzip(6)] {
        let (expected, _) = write_with(&world, compression, 1, 192 << 20, &NoFrames).unwrap();
        for threads in [1, 2, 7, 64] {
            for memory in [1 << 20, 8 << 20, 192 << 20] {
                let (layer, _) = write_with(&world, compression, threads, memory, &NoFrames).unwrap();
                assert_eq!(layer, expected, "{threads} threads, {memory} bytes");
            }
        }
        let frames = Frames::default();
        for hits in [0, 8] {
            assert_eq!(write_with(&world, compression, 2, 64 << 20, &frames).unwrap().0, expected);
            assert_eq!(frames.1.load(Ordering::SeqCst), hits);
        }
    }
}

/// A change of these digests is a change of the encoding, and of every image.
#[test]
fn golden_digests() {
    let world = world();
    let zstd = write_with(&world, Compression::Zstd(3), 2, 64 << 20, &NoFrames).unwrap().0;
    let gzip = write_with(&world, Compression::Gzip(6), 2, 64 << 20, &NoFrames).unwrap().0;
    assert_eq!(zstd.diff_id, gzip.diff_id);
    insta::assert_snapshot!(format!("{}\n{}\n{}", zstd.diff_id, zstd.digest, gzip.digest), @r#"
        sha256:d42de5acc0ce7555a60b015e9c03e56c2a2ff6a543143fcf983d39032fbcf9f7
        sha256:21669fbb996e7a8f19cd588d66ee84b7cae3a764f09611065ec4e868ffc1dfa4
        sha256:f800d8ef1739f724cf4d9cbf0f3ecea98526d11b4b8407f232b2526aea5c9092
    "#);
}

#[test]
fn several_layers_at_once_are_the_same_as_one_after_the_other() {
    let world = world();
    let (expected, blob) = write_with(&world, Compression::Zstd(1), 1, 64 << 20, &NoFrames).unwrap();
    let workers = Workers::new(3, 12 << 20).unwrap();
    let data = |_: &Digest| world.data.try_clone();
    let context = Context {
        data: &data,
        compression: Compression::Zstd(1),
        workers: &workers,
        frames: &NoFrames,
        progress: &Silent,
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let layers = write_all(&context, vec![(&world.plan, &mut one), (&world.plan, &mut two)]).unwrap();
    assert_eq!((layers, one == blob, two == blob), (vec![expected, expected], true, true));
    assert!(write_all(&context, Vec::new()).unwrap().is_empty());
}

#[test]
fn bytes_that_are_not_those_of_the_plan_are_an_error_that_names_the_path() {
    for (group, number, name) in [(0, 5, "/usr/a/005"), (0, 0, "/usr/a/000"), (1, 0, "/usr/b/large")] {
        let mut world = world();
        let Body::Pack { digest, .. } = &mut world.plan.groups[group].entries[number].body else { unreachable!() };
        *digest = Digest::of(b"other");
        for threads in [1, 4] {
            let error = write_with(&world, Compression::Zstd(3), threads, 1 << 20, &NoFrames).unwrap_err();
            assert!(matches!(&error, Error::Content { path, .. } if path.to_string() == name), "{error}");
        }
    }
}

#[test]
fn errors_end_the_work_whatever_waits() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut world = world();
    let workers = Workers::new(4, 9 << 20).unwrap();
    let data = |_: &Digest| world.data.try_clone();
    let context = Context {
        data: &data,
        compression: Compression::Zstd(1),
        workers: &workers,
        frames: &NoFrames,
        progress: &Silent,
    };
    let error = write(&context, &world.plan, &mut Full(1 << 20)).unwrap_err();
    assert_eq!(error.to_string(), "cannot write layer `base`");
    let error =
        write(&Context { data: &|_| Err(io::ErrorKind::NotFound.into()), ..context }, &world.plan, &mut Vec::new());
    assert!(matches!(error.unwrap_err(), Error::Data { .. }));
    world.plan.groups[0].pack = None;
    let context = Context { data: &|_| Err(io::ErrorKind::NotFound.into()), ..context };
    assert!(matches!(write(&context, &world.plan, &mut Vec::new()).unwrap_err(), Error::NoPack { .. }));
}

#[test]
fn our_own_reader_reads_every_entry_back() {
    let world = world();
    let tar = tar_of(&write_with(&world, Compression::Zstd(3), 2, 64 << 20, &NoFrames).unwrap().1);
    let mut reader = crate::tar::read::Reader::new(&tar[..], Default::default());
    let entries = world.plan.directories.iter().chain(world.plan.groups.iter().flat_map(|group| &group.entries));
    for expected in entries {
        let found = reader.next().unwrap().unwrap();
        let meta = Meta { mode: found.mode, uid: found.uid, gid: found.gid, mtime: found.mtime, xattrs: found.xattrs };
        assert_eq!((&found.path, &meta), (&expected.path, &expected.meta));
        let mut content = vec![0; found.size as usize];
        content.copy_from_slice(&tar[found.offset as usize..][..found.size as usize]);
        match &expected.body {
            Body::Pack { digest, .. } => assert_eq!(Digest::of(&content), *digest),
            Body::Inline(bytes) => assert_eq!(content, *bytes),
            _ => assert!(content.is_empty()),
        }
    }
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn a_panic_of_a_worker_reaches_the_caller_whatever_waits() {
    /// Panics at one of its calls.
    struct Falls(AtomicUsize, usize);
    impl FrameCache for Falls {
        fn get(&self, _: &Digest) -> Option<Vec<u8>> {
            assert_ne!(self.0.fetch_add(1, Ordering::SeqCst), self.1, "a frame cache that falls");
            None
        }
        fn put(&self, _: &Digest, _: &[u8]) {}
    }
    let world = world();
    for (threads, fall) in [(1, 0), (4, 0), (4, 1), (2, 3)] {
        // Memory for two cuts: what waits behind the one that is never finished fills it.
        let workers = Workers::new(threads, 20 << 20).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let data = |_: &Digest| world.data.try_clone();
                let frames = Falls(AtomicUsize::new(0), fall);
                let compression = Compression::Zstd(1);
                let context =
                    Context { data: &data, compression, workers: &workers, frames: &frames, progress: &Silent };
                let write = std::panic::AssertUnwindSafe(|| write(&context, &world.plan, &mut Vec::new()).map(drop));
                sender.send(std::panic::catch_unwind(write).is_err()).unwrap();
            });
            let ended = receiver.recv_timeout(std::time::Duration::from_secs(60));
            if ended != Ok(true) {
                // A scope would wait for a thread that waits for ever.
                eprintln!("{threads} threads, call {fall}: {ended:?}");
                std::process::abort();
            }
        });
        drop(workers.budget.reserve(20 << 20));
    }
}

#[test]
fn a_layer_of_somebody_else_is_held_against_its_plan() {
    let world = world();
    for compression in [Compression::Zstd(3), Compression::Gzip(6)] {
        let (layer, blob) = write_with(&world, compression, 2, 64 << 20, &NoFrames).unwrap();
        assert_eq!(tar_size(&world.plan).unwrap(), layer.tar_size);
        assert_eq!(check(&world.plan, compression, &blob[..]).unwrap(), layer);
        assert!(check(&world.plan, compression, &blob[..blob.len() - 9]).is_err(), "cut short");
    }
    let compression = Compression::Zstd(3);
    let (layer, blob) = write_with(&world, compression, 2, 64 << 20, &NoFrames).unwrap();
    let tar = tar_of(&blob);
    let says = |tar: &[u8]| {
        let blob = zstd::bulk::compress(tar, 1).unwrap();
        check(&world.plan, compression, &blob[..]).map(|layer| layer.diff_id).map_err(|error| error.to_string())
    };
    assert_eq!(says(&tar), Ok(layer.diff_id), "encoded in another way");
    // Every byte counts: of headers, of padding, of small and large files, of bytes made here, of the end.
    let places = [0, 100, 511, 512, 4096, 300_000, 5 << 20, 12 << 20, tar.len() - 2000, tar.len() - 1];
    for at in places {
        let mut other = tar.clone();
        other[at] ^= 1;
        assert!(says(&other).is_err(), "byte {at}");
    }
    let longer = [&tar[..], &[0; 512]].concat();
    assert!(says(&longer).is_err() && says(&tar[..tar.len() - 512]).is_err() && says(b"").is_err());
    let trailing = [&blob[..], b"more"].concat();
    assert!(check(&world.plan, compression, &trailing[..]).is_err());
    let mut plan = world.plan.clone();
    plan.groups[0].entries[3].meta.mode = 0o600;
    let error = check(&plan, compression, &blob[..]).unwrap_err();
    assert_eq!(error.to_string(), "cannot take layer `base`: `/usr/a/003` is not as its plan says");
}
