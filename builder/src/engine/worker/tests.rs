//! What the operations hand to each other, well made and spoilt.

use std::collections::BTreeMap;
use std::fs::File;

use super::*;
use crate::diag::Source;
use crate::engine::local::{Packs, Selected};
use crate::layer::{Context, NoFrames, Workers};
use crate::lock::{Lock, LockedPackage, PlatformLock, REVISION, VERSION, Why};
use crate::package::{Limits, PackIndex, local as own, open_deb};
use crate::select::LayerPlan;
use crate::spec::{Platform, Spec};

#[allow(clippy::duplicate_mod, reason = "one fixture for unit and integration tests")]
#[path = "../../../tests/it/deb.rs"]
mod deb;

#[test]
fn a_contract_is_four_numbers_and_another_is_refused() {
    let own = Contract::OWN;
    assert_eq!(own.to_string().parse(), Ok(own));
    for text in ["1.3.5", "1.3.5.1.1", "01.3.5.1", "1.3.5.x", "", "+1.3.5.1"] {
        assert!(text.parse::<Contract>().is_err(), "{text}");
    }
    let other = Contract { encoding: own.encoding + 1, ..own };
    let said = other.check().unwrap_err().to_string();
    assert!(said.contains(&other.to_string()) && said.contains(&own.to_string()), "{said}");
}

#[test]
fn a_package_is_asked_for_by_layer_name_and_digest() {
    let digest = crate::digest::Digest::of(b"x");
    for text in [format!("libs/libc6={digest}"), format!("libs/libc6={digest}@debs/libc6_1_amd64.deb")] {
        assert_eq!(text.parse::<Asked>().unwrap().to_string(), text);
    }
    for text in [
        format!("libc6={digest}"),
        format!("../libc6={digest}"),
        format!("libs/../libc6={digest}"),
        format!("libs/={digest}"),
        format!("libs/libc6={}", digest.hex()),
        "libs/libc6=".to_owned(),
    ] {
        assert!(text.parse::<Asked>().is_err(), "{text}");
    }
}

/// A spec of one package and some files of its own, with all that was opened of it.
struct World {
    spec: Spec,
    lock: Lock,
    index: PackIndex,
    local: own::LocalPack,
    data: File,
}

fn world() -> World {
    let bytes = deb::deb("hello", "1.0")
        .file("/usr/bin/hello", 0o755, "#!/bin/sh\nexec /usr/lib/hello/run\n")
        .file("/usr/lib/hello/run", 0o755, "run")
        .symlink("/usr/bin/hi", "hello")
        .file("/usr/share/doc/hello/copyright", 0o644, "License: MIT\n")
        .file("/usr/lib/sysusers.d/hello.conf", 0o644, "u hello 77 \"Hello\" /var/lib/hello\n")
        .control_file("postinst", "#!/bin/sh\nset -e\nmkdir -p /var/lib/hello\nchown hello /var/lib/hello\n")
        .control_file("conffiles", "/etc/hello.conf\n")
        .file("/etc/hello.conf", 0o644, "x")
        .build();
    let digest = crate::digest::Digest::of(&bytes);
    let (mut package, data) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    std::io::Write::write_all(&mut package, &bytes).unwrap();
    let index = open_deb(&package, digest, &data, &Limits::default()).unwrap();
    let text = "version: 1\nname: web\ndistro: debian/13\nplatforms: [linux/amd64]\npackages: [hello]\nkeep: runtime\nrules: rules\nfiles:\n  \
                - {text: hi, to: /etc/hi}\n  - {symlink: /srv/x, target: /etc/hi}\n";
    let spec = Spec::parse(&Source::new("web.yaml", text), "web").unwrap();
    let room = tempfile::tempdir().unwrap();
    std::fs::create_dir(room.path().join("rules")).unwrap();
    let rule = "- {rule: mine, why: it is read by name, when: /usr/bin/hello, keep: \"/usr/lib/*.so.1\"}\n";
    std::fs::write(room.path().join("rules/own.yaml"), rule).unwrap();
    let none = |_: &crate::digest::Digest| Err(std::io::ErrorKind::NotFound.into());
    let sink = tempfile::tempfile().unwrap();
    let local = own::open(&spec, room.path(), &none, &sink, 1_700_000_000).unwrap();
    let locked = LockedPackage {
        name: "hello".to_owned(),
        version: "1.0".to_owned(),
        architecture: "amd64".to_owned(),
        source: "hello".to_owned(),
        source_version: None,
        archive: "test".to_owned(),
        in_release: Some(digest),
        path: "pool/hello.deb".to_owned(),
        size: bytes.len() as u64,
        digest,
        why: Why::Requested,
        script_only: false,
        keep: None,
        layer: "hello".to_owned(),
    };
    let share = PlatformLock { layers: vec!["hello".to_owned()], packages: vec![locked] };
    let lock = Lock {
        version: VERSION,
        revision: REVISION,
        tarsia: "0.1.0".to_owned(),
        encoding: crate::lock::ENCODING,
        rules: crate::lock::RULES,
        spec: spec.digest,
        keep: "runtime".to_owned(),
        source_date: 1_700_000_000,
        source_date_given: false,
        archives: Vec::new(),
        inputs: Vec::new(),
        platform: [("linux/amd64".to_owned(), share)].into(),
        variants: BTreeMap::new(),
    };
    World { spec, lock, index, local, data }
}

impl World {
    fn select(&self, index: PackIndex, local: own::LocalPack) -> Option<Selected> {
        let indexes = [("hello".to_owned(), index)].into();
        let packs = Packs::new(&self.lock, Platform::Amd64, indexes, local, None).ok()?;
        Selected::of(&self.spec, &self.lock, Platform::Amd64, packs, None).ok()
    }
}

/// Returns the bytes with some of them changed, in every place and in several ways, and all their beginnings.
fn spoilt(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let flips = (0..bytes.len()).flat_map(|at| [0x01, 0x80, 0xff].map(|mask| (at, mask)));
    let changed = flips.map(|(at, mask)| {
        let mut changed = bytes.to_vec();
        changed[at] ^= mask;
        changed
    });
    changed.chain((0..bytes.len()).map(|length| bytes[..length].to_vec()))
}

#[test]
fn stored_forms_are_read_as_they_were_and_nothing_else_is() {
    let world = world();
    let bytes = world.local.to_bytes();
    assert_eq!(own::LocalPack::from_bytes(&bytes).unwrap(), world.local);
    assert!(own::LocalPack::from_bytes(&[&bytes[..], b"x"].concat()).is_err(), "bytes behind the end");
    // All that the digest of the index covers is held against it; the rest is no panic.
    let _ = spoilt(&bytes).map(|bytes| own::LocalPack::from_bytes(&bytes)).filter(Result::is_ok).count();
    let mut other = world.local.clone();
    other.index.entries.pop();
    assert!(own::LocalPack::from_bytes(&other.to_bytes()).is_err(), "an index of other entries");
    other = world.local.clone();
    other.entry_of.pop();
    assert!(own::LocalPack::from_bytes(&other.to_bytes()).is_err(), "one entry of nobody's");

    let selected = world.select(world.index.clone(), world.local.clone()).unwrap();
    for plan in &selected.selection.layers {
        let bytes = plan.to_bytes();
        assert_eq!(LayerPlan::from_bytes(&bytes).as_ref(), Some(plan));
        assert_eq!(LayerPlan::from_bytes(&[&bytes[..], b"x"].concat()), None);
    }
}

#[test]
fn a_spoilt_plan_is_an_error_or_a_layer_and_never_a_panic() {
    let world = world();
    let selected = world.select(world.index.clone(), world.local.clone()).unwrap();
    let workers = Workers::new(1, 16 << 20).unwrap();
    let plan = &selected.selection.layers[0];
    let write = |plan: &LayerPlan| {
        let data = |_: &crate::digest::Digest| world.data.try_clone();
        let context = Context {
            data: &data,
            compression: crate::spec::Compression::Zstd(1),
            workers: &workers,
            frames: &NoFrames,
            progress: &crate::diag::Silent,
        };
        crate::layer::write(&context, plan, &mut std::io::sink())
    };
    write(plan).unwrap();
    let (mut written, mut refused) = (0, 0);
    for plan in spoilt(&plan.to_bytes()).filter_map(|bytes| LayerPlan::from_bytes(&bytes)) {
        match write(&plan) {
            Ok(_) => written += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(written > 0 && refused > 0, "{written} {refused}");
}

#[test]
fn a_spoilt_index_is_an_error_or_a_selection_and_never_a_panic() {
    let world = world();
    let bytes = world.index.to_bytes();
    let mut selected = 0;
    // Not all of them: a selection takes its time.
    for (number, bytes) in spoilt(&bytes).enumerate() {
        if number % 7 == 0
            && let Ok(index) = PackIndex::from_bytes(&bytes)
        {
            selected += usize::from(world.select(index, world.local.clone()).is_some());
        }
    }
    assert!(selected > 0);
}
