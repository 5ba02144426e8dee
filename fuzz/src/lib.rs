//! Fuzz targets over everything that tarsia reads and somebody else has written.
//!
//! Each target takes bytes, hands them to a reader, and holds what the reader says to what it promises. A target fails by
//! a panic. `cargo fuzz run --features libfuzzer TARGET` lets a fuzzer look for one, from the seeds that
//! `cargo run --bin corpus` writes; `cargo test --lib` runs every target over the seeds and simple mutations of them, the
//! same each time; `TARSIA_FUZZ_SECONDS` makes it go on with others for as long as it says, per target.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{Read, Seek as _, Write as _};
use std::sync::OnceLock;

use tarsia::archive::{Keyring, Policy};
use tarsia::codec::decode::{self, Format};
use tarsia::deb822::{Stanzas, Version, parse_dependencies};
use tarsia::diag::Source;
use tarsia::digest::Digest;
use tarsia::image::Destination;
use tarsia::kit::Kit;
use tarsia::lock::{Lock, PackagesFile};
use tarsia::package::{Limits, PackIndex, decoder_memory, open_deb};
use tarsia::spec::Spec;
use tarsia::tar::read as tar_read;

#[path = "../../builder/tests/it/deb.rs"]
mod deb_fixture;
pub mod seeds;
#[path = "../../builder/tests/it/signing.rs"]
mod signing;

/// The time at which metadata are judged: 2026-01-02 03:04:05 UTC.
const NOW: i64 = 1_767_323_045;

/// The most bytes that a target lets anything unpack to.
const MAX: u64 = 8 << 20;

/// A target by its name.
pub type Target = fn(&[u8]);

/// Every target with its name.
pub const TARGETS: [(&str, Target); 14] = [
    ("apt_sources", apt_sources),
    ("clearsign", clearsign),
    ("deb", deb),
    ("deb822", deb822),
    ("decode", decode),
    ("elf", elf),
    ("image", image),
    ("index", index),
    ("kit", kit),
    ("lock", lock),
    ("pack", pack),
    ("spec", spec),
    ("tar", tar),
    ("version", version),
];

/// The machine's apt sources, in both formats.
pub fn apt_sources(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let both = [tarsia::fetch::apt_sources::parse_list(text), tarsia::fetch::apt_sources::parse_deb822(text)];
        both.iter().for_each(|sources| drop(tarsia::fetch::apt_sources::mirrors(sources)));
    }
}

fn key() -> &'static (signing::Secret, Keyring) {
    static KEY: OnceLock<(signing::Secret, Keyring)> = OnceLock::new();
    KEY.get_or_init(|| {
        let (secret, certificate) = signing::generate_key(1);
        let keyring = Keyring::from_certificates("key.asc", certificate.as_bytes()).expect("a good certificate");
        (secret, keyring)
    })
}

/// InRelease as a mirror gives it: whatever is believed is the good text.
pub fn clearsign(data: &[u8]) {
    let _ = Keyring::from_certificates("key.asc", data);
    if let Ok(release) = key().1.verify("test", "test", data, &Policy::at(NOW)) {
        assert!(release.codename().is_none_or(|name| name == "test") && release.date() == NOW, "a forged Release");
    }
}

/// A Packages file, well signed whatever is in it.
pub fn index(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let path = format!("main/binary-amd64/Packages{}", ["", ".xz", ".gz"][usize::from(kind) % 3]);
    let sum = Digest::of(data).hex();
    let text = format!(
        "Suite: test\nCodename: test\nDate: Fri, 02 Jan 2026 03:04:05 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n {sum} {} {path}\n",
        data.len()
    );
    let (secret, keyring) = key();
    let signed = signing::clearsign(secret, &text, NOW);
    let release = keyring.verify("test", "test", &signed, &Policy::at(NOW)).expect("a good Release");
    let file = PackagesFile { path, digest: Digest::of(data), size: data.len() as u64 };
    let body: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(data.to_vec()));
    let _ = release.index(vec![(file, body)]);
}

/// Control data: what one reader of it takes, the others take.
pub fn deb822(data: &[u8]) {
    let mut stanzas = Stanzas::new(data);
    let mut count = 0;
    while let Some(Ok(stanza)) = stanzas.next() {
        count += 1;
        for (name, value) in stanza.fields() {
            assert!(!name.is_empty() && stanza.get(name) == Some(value), "{name} is found under its name");
            let _ = parse_dependencies(value);
        }
    }
    assert!(count <= data.len());
}

/// Versions: an order is one.
pub fn version(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_dependencies(text);
    let all: Vec<Version> = text.split('\n').take(8).filter_map(|line| Version::parse(line).ok()).collect();
    for a in &all {
        assert_eq!(a.cmp(a), Ordering::Equal);
        assert_eq!(Version::parse(a.as_str()).expect("what was read once").cmp(a), Ordering::Equal);
        for b in &all {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a:?} {b:?}");
            for c in &all {
                assert!(a > b || b > c || a <= c, "{a:?} {b:?} {c:?}");
            }
        }
    }
}

/// A tar: what our reader takes, the `tar` crate understands in the same way.
pub fn tar(data: &[u8]) {
    both(data);
    // No mutation gets past a checksum by itself.
    let mut sealed = data.to_vec();
    for block in sealed.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    both(&sealed);
}

fn both(data: &[u8]) {
    let options = tar_read::Options { max_size: MAX, ..tar_read::Options::default() };
    let mut reader = tar_read::Reader::new(data, tar_read::Options { third_party: true, ..options });
    while let Ok(Some(_)) = reader.next() {}
    let mut reader = tar_read::Reader::new(data, options);
    let mut ours = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(entry)) => ours.push((entry.path.as_str().to_owned(), entry.size, entry.offset)),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    let mut archive = ::tar::Archive::new(data);
    let theirs: Vec<_> = archive
        .entries()
        .expect("it begins")
        .map(|entry| {
            let entry = entry.expect("what we take, others take");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("paths are UTF-8");
            let path = path.trim_end_matches('/');
            let path = if path == "." { "" } else { path.strip_prefix("./").unwrap_or(path) };
            (path.to_owned(), entry.size(), entry.raw_file_position())
        })
        .collect();
    assert_eq!(ours.len(), theirs.len());
    for ((path, size, offset), (other, other_size, other_offset)) in ours.iter().zip(&theirs) {
        assert_eq!((path, size), (other, other_size));
        // Whoever has no bytes starts nowhere.
        assert!(*size == 0 || offset == other_offset, "{path}");
    }
}

fn file(data: &[u8]) -> File {
    let mut file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).expect("a temporary file");
    file.write_all(data).expect("it takes a few bytes");
    file.rewind().expect("it is a file");
    file
}

/// A package: what is opened twice is the same, and its index says where its bytes are.
pub fn deb(data: &[u8]) {
    let mut limits = Limits { max_packed: MAX, max_control: MAX, ..Limits::default() };
    limits.decode = decode::Limits { max_output: MAX, max_window: MAX, ..limits.decode };
    limits.tar.max_size = MAX;
    let deb = file(data);
    assert!(decoder_memory(&deb, &limits) <= (128 << 20) + (4 << 20));
    let sink = file(b"");
    let Ok(index) = open_deb(&deb, Digest::of(data), &sink, &limits) else { return };
    let mut unpacked = Vec::new();
    (&sink).rewind().expect("it is a file");
    (&sink).read_to_end(&mut unpacked).expect("it holds what was unpacked");
    assert_eq!(index.data, (Digest::of(&unpacked), unpacked.len() as u64));
    for entry in &index.entries {
        if let tarsia::package::EntryKind::File(facts) = &entry.kind {
            let bytes = &unpacked[facts.offset as usize..][..facts.size as usize];
            assert_eq!(facts.digest, Digest::of(bytes), "{}", entry.path);
        }
    }
    assert_eq!(PackIndex::from_bytes(&index.to_bytes()).expect("what was written"), index);
}

/// The stored form of a package's index.
pub fn pack(data: &[u8]) {
    if let Ok(index) = PackIndex::from_bytes(data) {
        let again = index.to_bytes();
        assert_eq!(PackIndex::from_bytes(&again).expect("what was written"), index);
    }
}

/// Decompressors: never more than the limits allow.
pub fn decode(data: &[u8]) {
    for concatenated in [false, true] {
        for format in [Format::Xz, Format::Zstd, Format::Gzip] {
            let limits = decode::Limits { max_output: MAX / 8, max_ratio: 100, max_window: MAX, concatenated };
            assert!(decode::memory(format, data, &limits) <= MAX + (1 << 20));
            let Ok(mut decoder) = decode::decoder(format, data, &limits) else { continue };
            let (mut buffer, mut total) = (vec![0; 16 << 10], 0);
            while let Ok(count @ 1..) = decoder.read(&mut buffer) {
                total += count as u64;
                assert!(total <= limits.max_output);
            }
        }
    }
}

/// One file's facts.
pub fn elf(data: &[u8]) {
    let facts = tarsia::elf::facts(data).expect("memory is always read");
    if let Some(facts) = facts {
        assert!(facts.needed.len() + facts.runpath.len() <= data.len());
    }
}

/// A spec.
pub fn spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Spec::parse(&Source::new("fuzz.yaml", text), "fuzz") {
        Ok(spec) => {
            let again = Spec::parse(&Source::new("fuzz.yaml", text), "fuzz").expect("it parsed");
            assert_eq!(spec.digest, again.digest);
        }
        Err(problems) => {
            for problem in problems.iter() {
                for label in problem.labels() {
                    assert!(label.span.start <= label.span.end && label.span.end <= label.source.text.len());
                }
            }
        }
    }
}

/// A lock: what is read is written as it was read.
pub fn lock(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(lock) = Lock::parse("fuzz.lock", text) {
        let written = lock.to_text();
        let again = Lock::parse("fuzz.lock", &written).expect("what was written");
        assert_eq!((again.to_text(), &again), (written, &lock));
        drop(lock.references(|_| true));
    }
}

fn named(data: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm")
        .or_else(|_| tempfile::NamedTempFile::new())
        .expect("a temporary file");
    file.write_all(data).expect("it takes a few bytes");
    file
}

/// An OCI archive, with its documents and layers.
pub fn image(data: &[u8]) {
    let file = named(data);
    let Ok(image) = tarsia::image::open(&Destination::Archive(file.path().to_owned(), None)) else { return };
    for one in image.images() {
        for layer in &one.layers {
            let _ = image.entries::<tarsia::image::Error>(layer, |_, body| {
                let _ = std::io::copy(body, &mut std::io::sink());
                Ok(())
            });
        }
    }
}

/// Vendored inputs as a tar.
pub fn kit(data: &[u8]) {
    let file = named(data);
    let Ok(kit) = Kit::open(file.path(), &std::env::temp_dir()) else { return };
    for listed in &kit.manifest().files {
        if let Ok(Some(body)) = kit.blob(&listed.digest) {
            let mut bytes = Vec::new();
            let _ = body.take(MAX).read_to_end(&mut bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// A small generator of numbers (splitmix64), the same in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
        }
    }

    /// Changes bytes in one of the ways that break readers.
    fn mutate(dice: &mut Dice, seeds: &[Vec<u8>], bytes: &mut Vec<u8>) {
        const WORDS: [&[u8]; 12] = [
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x7f\xff\xff\xff",
            b"\0\0\0\0\0\0\0\0",
            b"\x80\0\0\0\0\0\0\0",
            b"99999999999999999999",
            b"-1",
            b"../",
            b"\n",
            b"\0",
            b"\xc3\xa4",
            b"\x1b[31m",
            b": ",
        ];
        let at = dice.roll(bytes.len() + 1);
        match dice.roll(8) {
            0 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1 << dice.roll(8);
            }
            1 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] = dice.roll(256) as u8;
            }
            2 => bytes.truncate(at),
            3 => {
                let end = (at + dice.roll(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + dice.roll(600)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 => {
                let word = WORDS[dice.roll(WORDS.len())];
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word.iter().copied());
            }
            6 => {
                let word = WORDS[dice.roll(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            _ => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len() + 1);
                let end = (from + dice.roll(512)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }

    /// Runs a target over its seeds and mutations of them, for as long as asked; where it panics, the bytes stand in a
    /// file that the message names.
    fn smoke(name: &str, target: Target) {
        let seconds = std::env::var("TARSIA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let check = |bytes: &[u8]| {
            let run = std::panic::catch_unwind(|| target(bytes));
            if run.is_err() {
                let path = std::env::temp_dir().join(format!("tarsia-fuzz-{name}-{}", &Digest::of(bytes).hex()[..16]));
                std::fs::write(&path, bytes).expect("the bytes can be kept");
                panic!("{name} panics on {}", path.display());
            }
        };
        seeds.iter().for_each(|seed| check(seed));
        let mut dice = Dice(Digest::of(name.as_bytes()).as_bytes()[0].into());
        let start = Instant::now();
        let mut slowest = (Duration::ZERO, 0);
        let mut count = 0;
        while count < 300 || start.elapsed() < Duration::from_secs(seconds) {
            let mut bytes = seeds[dice.roll(seeds.len())].clone();
            for _ in 0..=dice.roll(4) {
                mutate(&mut dice, &seeds, &mut bytes);
            }
            bytes.truncate(1 << 20);
            let began = Instant::now();
            check(&bytes);
            slowest = slowest.max((began.elapsed(), bytes.len()));
            count += 1;
        }
        println!("{name}: {count} inputs, the slowest {} ms for {} bytes", slowest.0.as_millis(), slowest.1);
        assert!(slowest.0 < Duration::from_secs(20), "{name}: {} bytes take {:?}", slowest.1, slowest.0);
    }

    macro_rules! smoke {
        ($($name:ident)*) => {
            $(#[test] fn $name() { smoke(stringify!($name), super::$name) })*
        };
    }

    smoke! { apt_sources clearsign deb deb822 decode elf image index kit lock pack spec tar version }
}
