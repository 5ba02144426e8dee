//! The whole stage on packages built by code.

mod closure;
mod configuration;
mod rules;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::diag::{Diagnose as _, Source, Span};
use crate::digest::Sha1;
use crate::lock::{LockedPackage, Why};
use crate::package::{Entry, EntryKind, FileFacts};
use crate::spec::{FileEntry, FileSource, Run, Spanned, UserSpec};

const DATE: i64 = 1000;

struct World {
    packs: BTreeMap<String, PackIndex>,
    keys: BTreeMap<String, Digest>,
    lock: Lock,
    spec: Spec,
    local: LocalPack,
}

fn index(name: &str) -> PackIndex {
    PackIndex {
        source: Digest::of(name.as_bytes()),
        sha512: None,
        data: (Digest::of(b""), 0),
        date: DATE,
        control: vec![("Package".into(), name.into()), ("Description".into(), "x\n more\n .\n end".into())],
        md5sums: Vec::new(),
        conffiles: Vec::new(),
        triggers: String::new(),
        scripts: Vec::new(),
        questions: Vec::new(),
        entries: Vec::new(),
        texts: Vec::new(),
        scans: Vec::new(),
    }
}

fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
    Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 5000, xattrs: Vec::new() }
}

/// Builds a package from lines: `dir/`, `file=content`, `link->target`, `hard~original`, each with an optional `@mode`.
fn add(index: &mut PackIndex, lines: &str) {
    for line in lines.split_whitespace() {
        let (line, mode) =
            line.split_once('@').map_or((line, None), |(l, m)| (l, Some(u32::from_str_radix(m, 8).unwrap())));
        let made = if let Some(path) = line.strip_suffix('/') {
            entry(path, EntryKind::Directory, mode.unwrap_or(0o755))
        } else if let Some((path, target)) = line.split_once("->") {
            entry(path, EntryKind::Symlink(target.into()), 0o777)
        } else if let Some((path, target)) = line.split_once('~') {
            entry(path, EntryKind::Hardlink(target.into()), 0o644)
        } else {
            let (path, content) = line.split_once('=').unwrap();
            index.md5sums.push((content.into(), path.into()));
            index.texts.push((u32::try_from(index.entries.len()).unwrap(), content.replace('_', "\n").into_bytes()));
            let digest = Digest::of(content.as_bytes());
            let facts = FileFacts {
                size: content.len() as u64,
                offset: 512,
                digest,
                sha1: Sha1::of(content.as_ref()),
                elf: None,
                shebang: None,
            };
            entry(path, EntryKind::File(facts), mode.unwrap_or(0o644))
        };
        index.entries.push(made);
    }
}

impl World {
    fn new() -> Self {
        let span = Span::default();
        let run = Run {
            user: Spanned { value: "nonroot".into(), span },
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: BTreeMap::new(),
            workdir: "/".into(),
            ports: Vec::new(),
            volumes: Vec::new(),
            stop_signal: None,
        };
        let bare = Spec::parse(&Source::new("web.yaml", "version: 1\n"), "web").unwrap();
        let spec = Spec { run, ..bare };
        let platform = PlatformLock { layers: vec!["one".into(), "two".into()], packages: Vec::new() };
        let lock = Lock {
            version: 1,
            revision: 0,
            tarsia: String::new(),
            encoding: 1,
            rules: 1,
            spec: Digest::of(b"spec"),
            keep: "runtime".into(),
            source_date: 9000,
            source_date_given: false,
            archives: Vec::new(),
            inputs: Vec::new(),
            platform: BTreeMap::from([("linux/amd64".into(), platform)]),
            variants: BTreeMap::new(),
        };
        let local = LocalPack {
            index: index("local"),
            entry_of: Vec::new(),
            sha512: BTreeMap::new(),
            certificates: Vec::new(),
            rules: Vec::new(),
            rules_digest: Digest::of(b""),
            rule_texts: Vec::new(),
            slices: Default::default(),
            slices_digest: Digest::of(b""),
            slice_texts: Vec::new(),
            sources: Vec::new(),
        };
        Self { packs: BTreeMap::new(), keys: BTreeMap::new(), lock, spec, local }
    }

    fn package(mut self, name: &str, why: Why, layer: &str, lines: &str) -> Self {
        let mut pack = index(name);
        add(&mut pack, lines);
        let locked = LockedPackage {
            name: name.into(),
            version: "1.0-1".into(),
            architecture: "amd64".into(),
            source: name.into(),
            source_version: None,
            archive: "debian".into(),
            in_release: Some(Digest::of(b"")),
            path: String::new(),
            size: 0,
            digest: pack.source,
            why,
            script_only: name == "debconf",
            keep: None,
            layer: layer.into(),
        };
        self.keys.insert(name.into(), pack.source);
        self.packs.insert(name.into(), pack);
        self.lock.platform.get_mut("linux/amd64").unwrap().packages.push(locked);
        self
    }

    fn file(mut self, line: &str, owner: Option<&str>, what: FileSource) -> Self {
        let before = self.local.index.entries.len();
        add(&mut self.local.index, line);
        let number = u32::try_from(self.spec.files.len()).unwrap();
        self.local.entry_of.resize(self.local.index.entries.len(), number);
        let to = ImagePath::parse(&self.local.index.entries[before].path).unwrap();
        let value = FileEntry { what, to, owner: owner.map(str::to_owned), group: None, mode: None, component: None };
        self.spec.files.push(Spanned { value, span: Span { start: 0, end: 7 } });
        self
    }

    fn text(self, line: &str) -> Self {
        self.file(line, None, FileSource::Text(String::new()))
    }

    fn select(&self) -> Result<Selection, Error> {
        select(&SelectInput {
            spec: &self.spec,
            lock: &self.lock,
            platform: Platform::Amd64,
            packs: &self.packs,
            pack_keys: &self.keys,
            local: &self.local,
            local_key: Digest::of(b"local"),
            base: None,
        })
    }
}

fn line(entry: &PlanEntry) -> String {
    let body = match &entry.body {
        Body::Directory => "/".to_owned(),
        Body::Symlink(target) => format!(" -> {target}"),
        Body::Hardlink(target) => format!(" = {target}"),
        Body::Pack { size, .. } => format!(" file {size}"),
        Body::Inline(bytes) => format!(" {:?}", String::from_utf8_lossy(bytes)),
    };
    format!("{:04o} {}:{} {} {}{body}", entry.meta.mode, entry.meta.uid, entry.meta.gid, entry.meta.mtime, entry.path)
}

/// Writes a layer's plan as a person reads it.
fn dump(selection: &Selection, layer: &str) -> String {
    let plan = selection.layers.iter().find(|plan| plan.name == layer).unwrap();
    let mut text = String::new();
    for entry in &plan.directories {
        writeln!(text, "{}", line(entry)).unwrap();
    }
    for group in &plan.groups {
        writeln!(text, "group").unwrap();
        for entry in &group.entries {
            writeln!(text, "  {}", line(entry)).unwrap();
        }
    }
    text
}

fn dependency() -> Why {
    Why::Dependency(vec!["app".into()])
}

#[test]
fn a_package_layer_holds_what_is_kept_and_its_metadata() {
    let world = World::new()
        .package(
            "app",
            Why::Requested,
            "one",
            "bin/ bin/app=elf@755 usr/ usr/share/ usr/share/doc/ usr/share/doc/app/ usr/share/doc/app/copyright=c \
             usr/share/doc/app/README=r usr/lib/a=x usr/lib/b~usr/lib/a var/ var/log/ var/log/app/@750 etc/init.d/app=i",
        )
        .package("debconf", dependency(), "one", "usr/bin/debconf=d");
    let selection = world.select().unwrap();
    insta::assert_snapshot!(dump(&selection, "one"), @r#"
    0755 0:0 0 /usr/
    0755 0:0 0 /usr/bin/
    0755 0:0 0 /usr/lib/
    0755 0:0 0 /usr/share/
    0755 0:0 0 /usr/share/doc/
    0755 0:0 0 /usr/share/doc/app/
    0755 0:0 0 /var/
    0755 0:0 0 /var/lib/
    0755 0:0 0 /var/lib/dpkg/
    0755 0:0 0 /var/lib/dpkg/status.d/
    0755 0:0 0 /var/log/
    group
      0755 0:0 1000 /usr/bin/app file 3
      0644 0:0 1000 /usr/lib/a file 1
      0644 0:0 1000 /usr/lib/b = /usr/lib/a
      0644 0:0 1000 /usr/share/doc/app/copyright file 1
      0644 0:0 1000 /var/lib/dpkg/status.d/app "Package: app\nDescription: x\n more\n .\n end\n"
      0644 0:0 1000 /var/lib/dpkg/status.d/app.md5sums "elf  usr/bin/app\nx  usr/lib/a\nc  usr/share/doc/app/copyright\n"
      0750 0:0 0 /var/log/app/
    "#);
    assert!(selection.layers[1].is_empty());
    assert_eq!(selection.user, (65532, 65532));
    assert_eq!(selection.report.dropped["script-only"], (1, 1));
}

#[test]
fn a_spec_s_file_takes_the_package_s_place() {
    let mut world = World::new()
        .package("app", Why::Requested, "one", "usr/bin/a=a usr/bin/b=b etc/app=e")
        .text("bin/a=mine")
        .file("var/cache/web/@750", Some("web"), FileSource::Directory);
    world.packs.get_mut("app").unwrap().entries.pop();
    world.packs.get_mut("app").unwrap().md5sums.pop();
    let home = Some(ImagePath::parse("/home/web").unwrap());
    world.spec.users.insert("web".into(), UserSpec { uid: 10001, gid: None, home, shell: None, span: Span::default() });
    let selection = world.select().unwrap();
    assert!(!dump(&selection, "one").contains("/usr/bin/a"));
    assert!(dump(&selection, "one").contains("\"b  usr/bin/b\\n\""));
    insta::assert_snapshot!(dump(&selection, "files"), @r"
    0755 0:0 0 /usr/
    0755 0:0 0 /usr/bin/
    0755 0:0 0 /var/
    0755 0:0 0 /var/cache/
    group
      0644 0:0 5000 /usr/bin/a file 4
      0750 10001:10001 5000 /var/cache/web/
    ");
    insta::assert_snapshot!(dump(&selection, "state"), @r#"
    0755 0:0 0 /etc/
    0755 0:0 0 /home/
    0755 0:0 0 /run/
    0755 0:0 0 /var/
    group
      0777 0:0 9000 /bin -> usr/bin
      0644 0:0 9000 /etc/group "root:x:0:\nweb:x:10001:\nnonroot:x:65532:\nnogroup:x:65534:\n"
      0644 0:0 9000 /etc/passwd "root:x:0:0:root:/root:/usr/sbin/nologin\nweb:x:10001:10001:web:/home/web:/usr/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
      0700 65532:65532 0 /home/nonroot/
      0700 10001:10001 0 /home/web/
      0777 0:0 9000 /lib -> usr/lib
      0777 0:0 9000 /lib64 -> usr/lib64
      0700 0:0 0 /root/
      1777 0:0 0 /run/lock/
      0777 0:0 9000 /sbin -> usr/sbin
      1777 0:0 0 /tmp/
      0777 0:0 9000 /var/lock -> /run/lock
      0777 0:0 9000 /var/run -> /run
      1777 0:0 0 /var/tmp/
    "#);
}

#[test]
fn package_layers_do_not_see_the_clock() {
    let mut world = World::new().package("app", Why::Requested, "one", "usr/bin/a=a");
    let before = world.select().unwrap();
    world.lock.source_date += 1;
    world.lock.spec = Digest::of(b"other");
    let after = world.select().unwrap();
    assert_eq!(before.layers[..2], after.layers[..2]);
    assert_ne!(before.layers[2], after.layers[2]);
}

#[test]
fn two_packages_agree_replace_or_are_refused() {
    let world = |b: &str, replaces: bool| {
        let mut world =
            World::new().package("aa", Why::Requested, "one", "usr/lib/x=1").package("bb", Why::Requested, "two", b);
        if replaces {
            world.packs.get_mut("bb").unwrap().control.push(("Replaces".into(), "aa (<< 2.0)".into()));
        }
        world.select()
    };
    let same = world("usr/lib/x=1", false).unwrap();
    assert_eq!(same.nodes["usr/lib/x"].origin, Origin::Package("aa".into()));
    let replaced = world("usr/lib/x=2", true).unwrap();
    assert_eq!(replaced.nodes["usr/lib/x"].origin, Origin::Package("bb".into()));
    let error = world("usr/lib/x=2", false).unwrap_err();
    assert_eq!(error.code(), "select::conflict");
    assert!(error.to_string().starts_with("cannot put /usr/lib/x into the image: `aa` ships"), "{error}");
}

#[test]
fn directories_follow_base_files_or_agree() {
    let plain = World::new().package("a", Why::Requested, "one", "srv/@700 srv/x=1").package(
        "b",
        Why::Requested,
        "two",
        "srv/@755 srv/y=1",
    );
    assert_eq!(plain.select().unwrap_err().code(), "select::conflict");
    let settled = plain.package("base-files", Why::Implicit("always".into()), "two", "srv/@711 usr/lib/os-release=o");
    let selection = settled.select().unwrap();
    assert!(dump(&selection, "one").contains("0711 0:0 0 /srv/"));
    assert!(dump(&selection, "two").contains("0711 0:0 0 /srv/"));
}

#[test]
fn mistakes_point_into_the_spec() {
    let mut world = World::new().file("x=1", Some("web"), FileSource::Text(String::new()));
    let error = world.select().unwrap_err();
    assert_eq!((error.code(), error.labels()[0].span.end), ("select::account", 7));
    assert_eq!(error.to_string(), "cannot resolve user `web`");
    world.spec.files[0].value.owner = None;
    let user = |uid| UserSpec { uid, gid: None, home: None, shell: None, span: Span { start: 1, end: 2 } };
    world.spec.users.insert("web".into(), user(65532));
    let error = world.select().unwrap_err();
    assert_eq!(error.to_string(), "cannot give user `web` the number 65532: it is `nonroot`'s");
    world.spec.users.clear();
    world = world.text("x=2");
    assert_eq!(world.select().unwrap_err().code(), "select::file");
}

#[test]
fn alternatives_become_links() {
    let mut world = World::new().package("mawk", Why::Requested, "one", "usr/bin/mawk=m");
    let script = "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 --slave /usr/share/man/a a /usr/share/man/b\n";
    world.packs.get_mut("mawk").unwrap().scripts.push(("postinst".into(), script.into()));
    let state = dump(&world.select().unwrap(), "state");
    assert!(state.contains("/etc/alternatives/awk -> /usr/bin/mawk\n"), "{state}");
    assert!(state.contains("/usr/bin/awk -> /etc/alternatives/awk\n"));
    assert!(!state.contains("/etc/alternatives/a "));
}

/// A root made by `openssl req -x509 -subj "/CN=Test Root"`; `openssl x509 -subject_hash` says `2faabc7f`.
const ROOT: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBfjCCASWgAwIBAgIUTcVo+RW4tVTGAxHP9zq3bv+lqoowCgYIKoZIzj0EAwIw\n\
FDESMBAGA1UEAwwJVGVzdCBSb290MCAXDTI2MTEyNTAxMzAxMVoYDzIxMjYxMTAx\n\
MDEzMDExWjAUMRIwEAYDVQQDDAlUZXN0IFJvb3QwWTATBgcqhkjOPQIBBggqhkjO\n\
PQMBBwNCAATvrHlF2BJjJd71NsDPNylbIMXb14BeJ4z3ooQ0/lh574jmKod0zsoR\n\
8h+MzJ9loZXY1/3Q04UaLHIAfxIsU+eVo1MwUTAdBgNVHQ4EFgQUIqqA1xAhiEQg\n\
DCfoQO3a/VzZ+lIwHwYDVR0jBBgwFoAUIqqA1xAhiEQgDCfoQO3a/VzZ+lIwDwYD\n\
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBhkL1CsNfze+M0Q8jTaFDA\n\
f4ZVbdH2FPThF+Me5S6RKAIgRtfa04VZMCuYbuPjh5YOk3XbzRJ4em/Lz2d2i4HH\n\
M3M=\n\
-----END CERTIFICATE-----\n\n";

#[test]
fn certificates_of_the_spec_need_no_package() {
    let mut world = World::new();
    world.spec.certificates.push(Spanned { value: "certs/corp root.pem".into(), span: Span { start: 0, end: 3 } });
    world.local.certificates.push(ROOT.as_bytes().to_vec());
    let selection = world.select().unwrap();
    let target = |path: &str| {
        let entries = selection.layers[2].groups.iter().flat_map(|group| &group.entries);
        entries.clone().find(|entry| entry.path.as_str() == path).map(|entry| entry.body.clone())
    };
    let bundle = target("etc/ssl/certs/ca-certificates.crt");
    assert_eq!(bundle, Some(Body::Inline(ROOT.as_bytes().to_vec())));
    assert_eq!(
        target("etc/ssl/certs/corp_root.pem"),
        Some(Body::Symlink("/usr/local/share/ca-certificates/corp root.crt".into()))
    );
    assert_eq!(target("etc/ssl/certs/2faabc7f.0"), Some(Body::Symlink("corp_root.pem".into())));
    world.local.certificates[0] = b"no PEM".to_vec();
    let error = world.select().unwrap_err();
    assert_eq!(error.to_string(), "cannot add certificate `certs/corp root.pem`: it holds no PEM certificate");
}
