use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::diag::{Diagnose, Source, Span};
use crate::spec::Spanned;

#[allow(clippy::duplicate_mod, reason = "one fixture for unit and integration tests")]
#[path = "../../../tests/it/deb.rs"]
mod deb;
use deb::{Packing, Tar, pack};

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned { value, span: Span::default() }
}

fn spec(files: Vec<FileEntry>) -> Spec {
    let bare = Spec::parse(&Source::new("web.yaml", "version: 1\n"), "web").unwrap();
    Spec { files: files.into_iter().map(spanned).collect(), ..bare }
}

fn entry(what: FileSource, to: &str) -> FileEntry {
    FileEntry { what, to: ImagePath::parse(to).unwrap(), owner: None, group: None, mode: None, component: None }
}

fn copy(path: &str, to: &str) -> FileEntry {
    entry(FileSource::Copy { path: path.to_owned(), include: Vec::new(), exclude: Vec::new() }, to)
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Opens the files and writes them as text, or says why they are refused.
fn dump(spec: &Spec, directory: &Path, fetched: &[&[u8]]) -> String {
    let sink = tempfile::tempfile().unwrap();
    let find = |digest: &Digest| {
        let found = fetched.iter().find(|bytes| Digest::of(bytes) == *digest);
        found.map(|bytes| file(bytes)).ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let pack = match open(spec, directory, &find, &sink, 1000) {
        Ok(pack) => pack,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            return format!("{}: {error}{}", error.code(), source.unwrap_or_default());
        }
    };
    let mut text = String::new();
    for (entry, of) in pack.index.entries.iter().zip(&pack.entry_of) {
        write!(text, "{of} /{} {:o} {}", entry.path, entry.mode, entry.mtime).unwrap();
        match &entry.kind {
            EntryKind::Directory => text.push_str(" directory"),
            EntryKind::Symlink(target) => write!(text, " -> {target}").unwrap(),
            EntryKind::Hardlink(target) => write!(text, " = /{target}").unwrap(),
            EntryKind::File(facts) => {
                let mut bytes = vec![0; facts.size as usize];
                sink.read_exact_at(&mut bytes, facts.offset).unwrap();
                assert_eq!(Digest::of(&bytes), facts.digest);
                write!(text, " {:?}", String::from_utf8_lossy(&bytes)).unwrap();
            }
        }
        text.push('\n');
    }
    for certificate in &pack.certificates {
        writeln!(text, "certificate {:?}", String::from_utf8_lossy(certificate)).unwrap();
    }
    text
}

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("conf/sub/empty")).unwrap();
    for (name, mode) in [("app", 0o700), ("conf/b.conf", 0o664), ("conf/sub/a.conf", 0o600), ("conf/sub/x.txt", 0o444)]
    {
        fs::write(path(name), name).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(path("conf/sub-1"), "").unwrap();
    symlink("../b.conf", path("conf/sub/link")).unwrap();
    root
}

#[test]
fn content_and_the_owners_execute_bit_are_all_that_is_taken() {
    let root = tree();
    let spec = spec(vec![copy("app", "/usr/bin/app"), copy("conf", "/etc/app")]);
    insta::assert_snapshot!(dump(&spec, root.path(), &[]), @r#"
    0 /usr/bin/app 755 1000 "app"
    1 /etc/app 755 1000 directory
    1 /etc/app/b.conf 644 1000 "conf/b.conf"
    1 /etc/app/sub 755 1000 directory
    1 /etc/app/sub-1 644 1000 ""
    1 /etc/app/sub/a.conf 644 1000 "conf/sub/a.conf"
    1 /etc/app/sub/empty 755 1000 directory
    1 /etc/app/sub/link 777 1000 -> ../b.conf
    1 /etc/app/sub/x.txt 644 1000 "conf/sub/x.txt"
    "#);
}

#[test]
fn globs_choose_and_leave_out() {
    let root = tree();
    let chosen = |include: &[&str], exclude: &[&str]| {
        let what = FileSource::Copy { path: "conf".to_owned(), include: strings(include), exclude: strings(exclude) };
        let text = dump(&spec(vec![entry(what, "/c")]), root.path(), &[]);
        text.lines().map(|line| line.split(' ').nth(1).unwrap_or(line).to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(chosen(&["*.conf"], &[]), "/c /c/b.conf");
    assert_eq!(chosen(&["**/*.conf"], &[]), "/c /c/b.conf /c/sub /c/sub/a.conf");
    assert_eq!(chosen(&["sub"], &["**/*.txt"]), "/c /c/sub /c/sub/a.conf /c/sub/empty /c/sub/link");
    assert_eq!(chosen(&[], &["sub"]), "/c /c/b.conf /c/sub-1");
}

#[test]
fn what_is_written_in_the_spec() {
    let root = tree();
    let mut directory = entry(FileSource::Directory, "/var/cache/x");
    directory.mode = Some(0o1777);
    let mut spec = spec(vec![
        entry(FileSource::Text("hello\n".to_owned()), "/etc/motd"),
        directory,
        entry(FileSource::Symlink("app".to_owned()), "/usr/bin/web"),
    ]);
    spec.certificates = vec![spanned("conf/b.conf".to_owned())];
    insta::assert_snapshot!(dump(&spec, root.path(), &[]), @r#"
    0 /etc/motd 644 1000 "hello\n"
    1 /var/cache/x 1777 1000 directory
    2 /usr/bin/web 777 1000 -> app
    certificate "conf/b.conf"
    "#);
}

#[test]
fn a_fetched_tar_is_unpacked() {
    let tar = Tar::new()
        .directory("top/", 0o755)
        .file("top/z", 0o4755, b"z")
        .entry("top/a", b'1', 0o4755, "top/z", b"")
        .file("top/etc/x", 0o600, b"x")
        .entry("top/l", b'2', 0o777, "z", b"")
        .build();
    let packed = pack(Packing::Gzip, &tar);
    let fetch = |bytes: &[u8], unpack, strip| {
        let url = "https://example.org/x.tar.gz".to_owned();
        entry(FileSource::Fetch { url, digest: Digest::of(bytes), unpack, strip }, "/opt")
    };
    let root = tree();
    let spec_of = |entry| spec(vec![entry]);
    insta::assert_snapshot!(dump(&spec_of(fetch(&packed, true, 1)), root.path(), &[&packed]), @r#"
    0 /opt/a 755 1000 = /opt/z
    0 /opt/etc/x 600 1000 "x"
    0 /opt/l 777 1000 -> z
    0 /opt/z 755 1000 "z"
    "#);
    assert_eq!(dump(&spec_of(fetch(b"plain", false, 0)), root.path(), &[b"plain"]), "0 /opt 644 1000 \"plain\"\n");
    let cut = &packed[..packed.len() - 3];
    let answer = dump(&spec_of(fetch(cut, true, 0)), root.path(), &[cut]);
    assert!(answer.starts_with("package::unpack: cannot unpack `https://example.org/x.tar.gz`"), "{answer}");
}

#[test]
fn what_leaves_the_directory_is_refused() {
    let root = tree();
    let outer = root.path();
    fs::create_dir(outer.join("inner")).unwrap();
    let inner = outer.join("inner");
    symlink("..", inner.join("up")).unwrap();
    symlink("/etc", inner.join("etc")).unwrap();
    fs::create_dir(inner.join("d")).unwrap();
    symlink("../../app", inner.join("d/out")).unwrap();
    let answer = |path: &str| dump(&spec(vec![copy(path, "/x")]), &inner, &[]);
    for (path, problem) in [
        ("up/app", "it leaves the spec's directory"),
        ("etc/passwd", "it leaves the spec's directory"),
        ("../app", "it leaves the spec's directory"),
        ("d", "its target `../../app` lies outside of what is copied"),
        ("etc", "its target `/etc` lies outside of what is copied"),
        ("absent", "package::local: cannot read `absent`"),
    ] {
        let answer = answer(path);
        assert!(answer.contains(problem), "{path}: {answer}");
    }
    let socket = std::os::unix::net::UnixListener::bind(inner.join("d/socket")).unwrap();
    fs::remove_file(inner.join("d/out")).unwrap();
    assert!(answer("d").contains("it is a socket, fifo or device"), "{}", answer("d"));
    drop(socket);
}

#[test]
fn inputs_tell_a_change_without_reading() {
    let root = tree();
    let spec = spec(vec![copy("conf", "/etc/app"), copy("app", "/app")]);
    let before = inputs(&spec, root.path()).unwrap();
    assert_eq!(before, inputs(&spec, root.path()).unwrap());
    assert_eq!(
        before.iter().map(|input| input.path.as_str()).collect::<Vec<_>>(),
        [
            "conf",
            "conf/b.conf",
            "conf/sub",
            "conf/sub/a.conf",
            "conf/sub/empty",
            "conf/sub/link",
            "conf/sub/x.txt",
            "conf/sub-1",
            "app",
        ]
    );
    fs::write(root.path().join("conf/new"), "").unwrap();
    assert_ne!(before, inputs(&spec, root.path()).unwrap());
    fs::remove_file(root.path().join("conf/new")).unwrap();
    assert_eq!(before, inputs(&spec, root.path()).unwrap());
    fs::write(root.path().join("app"), "APP").unwrap();
    assert_ne!(before, inputs(&spec, root.path()).unwrap());
}
