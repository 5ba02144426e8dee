//! The group `real`: the example specs, built from real packages through the machine's own archive, and run.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::container::{Bundle, must};
use crate::program::{Place, copy_tree, specs};
use crate::tls::Authority;

/// Every example.
pub(crate) const EXAMPLES: [&str; 15] = [
    "hello",
    "static",
    "base",
    "cc",
    "python",
    "python-debian12",
    "haproxy",
    "java",
    "nginx",
    "node",
    "perl",
    "php",
    "postgres",
    "redis",
    "ruby",
];

/// One place, and one store, for all examples.
pub(crate) fn home() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        copy_tree(&specs(), &place.path("specs"));
        place
    })
}

/// The image of an example, locked and built when it is first asked for.
pub(crate) fn image(name: &str) -> PathBuf {
    static BUILT: [OnceLock<()>; EXAMPLES.len()] = [const { OnceLock::new() }; EXAMPLES.len()];
    let number = EXAMPLES.iter().position(|example| *example == name).expect("it is an example");
    let image = format!("{name}.oci");
    BUILT[number].get_or_init(|| {
        let digest = home().ok(&["build", &format!("specs/{name}.yaml"), "-o", &image]);
        assert!(digest.starts_with("sha256:") && digest.trim_end().len() == 71, "{name}: {digest}");
    });
    home().path(&image)
}

/// The place, with every example locked and built; the other tests start from its store.
pub(crate) fn built() -> &'static Place {
    for name in EXAMPLES {
        image(name);
    }
    home()
}

/// Builds a spec of `place` in the store of the examples, and returns its image.
pub(crate) fn built_in_store(place: &Place, name: &str) -> PathBuf {
    let image = place.path(&format!("{name}.oci"));
    let mut build = place.tarsia(["build", &format!("{name}.yaml"), "-o", image.to_str().unwrap()]);
    must(build.env("TARSIA_STORE", home().path("store")));
    image
}

#[test]
fn a_library_that_is_needed_is_dropped_by_force_alone() {
    let place = Place::new();
    let spec = |never: &str| {
        let text = "version: 1\ndistro: debian/13\nplatforms: [linux/amd64]\npackages: [python3]\n\
                    run: {entrypoint: [/usr/bin/python3]}\n";
        place.write("py.yaml", format!("{text}never: [{never}]\n"));
        let store = built().path("store");
        place.tarsia(["build", "py.yaml"]).env("TARSIA_STORE", store).output().unwrap()
    };
    for (never, who) in [
        ("\"/usr/lib/**/libexpat.so*\"", "/usr/bin/python3.13 of `python3.13-minimal` needs `libexpat.so.1`"),
        ("\"/lib64/ld-*\"", "is loaded by it"),
        ("/usr/bin/python3.13", "the image runs `/usr/bin/python3`"),
    ] {
        let said = spec(never);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
        assert!(String::from_utf8_lossy(&said.stderr).contains(who), "{said:?}");
    }
    let said = spec("{path: \"/usr/lib/**/libexpat.so*\", force: true}");
    assert_eq!(said.status.code(), Some(0), "{said:?}");
}

#[test]
fn hello_runs() {
    let bundle = Bundle::unpack(&image("hello"));
    assert_eq!(bundle.user(), (65532, 65532));
    assert!(bundle.run_ok(None).to_lowercase().contains("hello"));
}

#[test]
fn static_holds_what_a_static_program_needs_and_runs_one() {
    let place = Place::new();
    place.write("probe.c", PROBE_C);
    must(Command::new("gcc").args(["-static", "-O1", "-o", "probe", "probe.c"]).current_dir(place.path(".")));
    let bundle = Bundle::unpack(&image("static")).mount(&place.path("."), "/mnt");
    assert_eq!(bundle.user(), (65532, 65532));
    let out = bundle.run_ok(Some(&["/mnt/probe"]));
    assert!(out.contains("uid 65532 name nonroot") && out.contains("read-only"), "{out}");
    for path in [
        "etc/passwd",
        "etc/group",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/share/zoneinfo/Europe/Rome",
        "etc/os-release",
    ] {
        assert!(bundle.root().join(path).exists(), "{path}");
    }
    assert!(!bundle.root().join("usr/bin/sh").exists() && !bundle.root().join("usr/bin/dash").exists());
}

/// Reads passwd by hand (a static glibc's getpwuid wants its NSS modules) and tries to write to the root.
const PROBE_C: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
int main(void) {
    char line[512], name[64] = "?"; unsigned uid;
    FILE *f = fopen("/etc/passwd", "r");
    while (f && fgets(line, sizeof line, f)) {
        char n[64];
        if (sscanf(line, "%63[^:]:%*[^:]:%u:", n, &uid) == 2 && uid == getuid()) strcpy(name, n);
    }
    printf("uid %u name %s\n", getuid(), name);
    printf("%s\n", open("/x", O_CREAT | O_WRONLY, 0600) < 0 ? "read-only" : "writable");
    return 0;
}
"#;

#[test]
fn base_runs_a_dynamic_program_with_openssl() {
    let bundle = Bundle::unpack(&image("base"));
    // The loader itself, asked to list libssl's closure in the image: nothing may be missing.
    let out = bundle.run_ok(Some(&["/lib64/ld-linux-x86-64.so.2", "--list", "/usr/lib/x86_64-linux-gnu/libssl.so.3"]));
    assert!(out.contains("libcrypto.so.3") && !out.contains("not found"), "{out}");
}

#[test]
fn cc_runs_a_dynamically_linked_cpp_program_that_was_copied_in() {
    let place = Place::new();
    copy_tree(&specs(), &place.path("."));
    place.write("app.cc", "#include <iostream>\n#include <stdexcept>\nint main() { try { throw std::runtime_error(\"caught\"); } catch (std::exception &e) { std::cout << \"c++ \" << e.what() << std::endl; } }\n");
    must(Command::new("g++").args(["-O1", "-o", "app", "app.cc"]).current_dir(place.path(".")));
    let spec = std::fs::read_to_string(place.path("cc.yaml")).unwrap();
    assert!(!spec.contains("\nfiles:"), "the example grew files; change this test");
    place.write(
        "with-app.yaml",
        format!("{spec}\nfiles:\n  - {{copy: app, to: /usr/bin/app}}\n").replace("name: cc", "name: with-app"),
    );
    let store = home().path("store");
    let mut command = place.tarsia(["build", "with-app.yaml", "-o", "app.oci"]);
    must(command.env("TARSIA_STORE", store));
    let bundle = Bundle::unpack(&place.path("app.oci"));
    assert_eq!(bundle.run_ok(Some(&["/usr/bin/app"])), "c++ caught\n");
}

const PYTHON: &str = r#"
import ssl, sqlite3, json, zoneinfo, ctypes, os, datetime, urllib.request, sys
c = sqlite3.connect(":memory:")
assert c.execute("select 6*7").fetchone() == (42,)
assert json.loads("[1]") == [1]
assert zoneinfo.ZoneInfo("Europe/Rome").utcoffset(datetime.datetime(2024, 7, 1)).total_seconds() == 7200
assert ctypes.CDLL("libc.so.6").getuid() == 65532 == os.getuid()
assert len(ssl.create_default_context().get_ca_certs()) > 100
body = urllib.request.urlopen(sys.argv[1]).read()
assert b"Ciphers" in body or b"s_server" in body, body[:200]
print("python is well", sys.version_info[:2])
"#;

#[test]
fn python_imports_and_finishes_a_handshake_with_a_ca_of_its_spec() {
    let place = Place::new();
    let authority = Authority::new(&place.path("."), "ca");
    let server = authority.serve();
    for example in ["python", "python-debian12"] {
        let bundle = Bundle::unpack(&with_ca(&place, example)).host_network();
        assert_eq!(bundle.user(), (65532, 65532));
        let out = bundle.run_ok(Some(&["/usr/bin/python3", "-c", PYTHON, &server.url()]));
        assert!(out.contains("python is well"), "{example}: {out}");
    }
}

/// Builds an example with one certificate more, `ca.pem` of the place.
pub(crate) fn with_ca(place: &Place, example: &str) -> PathBuf {
    image(example);
    let home = home();
    copy_tree(&specs(), &place.path("."));
    let spec = std::fs::read_to_string(place.path(&format!("{example}.yaml"))).unwrap();
    assert!(!spec.contains("\ncertificates:"), "the example grew certificates; change this test");
    let name = format!("{example}-with-ca");
    place.write(&format!("{name}.yaml"), format!("{spec}\ncertificates: [ca.pem]\n"));
    // The example's own lock spares the resolver its work: nothing but the certificates changes.
    std::fs::copy(home.path(&format!("specs/{example}.lock")), place.path(&format!("{name}.lock"))).unwrap();
    let image = place.path(&format!("{name}.oci"));
    let mut build = place.tarsia(["build", &format!("{name}.yaml"), "-o", image.to_str().unwrap()]);
    must(build.env("TARSIA_STORE", home.path("store")));
    image
}

#[test]
fn skopeo_and_podman_accept_the_outputs() {
    let place = built();
    for name in EXAMPLES {
        let out = must(
            Command::new("skopeo").args(["--insecure-policy", "inspect"]).arg(format!("oci:{}", image(name).display())),
        );
        assert!(out.contains("\"Architecture\": \"amd64\""), "{name}: {out}");
        let copy = tempfile::tempdir().unwrap();
        must(
            Command::new("skopeo")
                .args(["--insecure-policy", "copy", "--quiet"])
                .arg(format!("oci:{}", image(name).display()))
                .arg(format!("oci:{}/copy", copy.path().display())),
        );
    }
    place.ok(&["build", "specs/static.yaml", "-o", "static.tar"]);
    let root = tempfile::tempdir().unwrap();
    let mut podman = Command::new("podman");
    podman
        .arg("--root")
        .arg(root.path().join("root"))
        .arg("--runroot")
        .arg(root.path().join("run"))
        .args(["--storage-driver", "vfs"]);
    let out = must(podman.args(["load", "-q", "-i"]).arg(place.path("static.tar")));
    assert!(out.contains("Loaded image"), "{out}");
}

#[test]
fn ld_so_cache_is_what_the_release_s_own_ldconfig_writes() {
    for name in ["base", "cc", "python", "python-debian12"] {
        ld_so_cache_is_ldconfig_s(name, &Bundle::unpack(&image(name)));
    }
}

/// Asks the ldconfig of an example's release.
pub(crate) fn ld_so_cache_is_ldconfig_s(name: &str, bundle: &Bundle) {
    let root = bundle.root();
    let ours = std::fs::read(root.join("etc/ld.so.cache")).unwrap();
    // The locked libc-bin's ldconfig, out of the store.
    let lock = std::fs::read_to_string(home().path(&format!("specs/{name}.lock"))).unwrap();
    let lock = tarsia::lock::Lock::parse(name, &lock).unwrap();
    let bin = lock.platform["linux/amd64"].packages.iter().find(|package| package.name == "libc-bin").unwrap();
    let hex = bin.digest.hex();
    let deb = home().path("store").join("blobs/sha256").join(&hex[..2]).join(&hex);
    let deb = if deb.exists() { deb } else { home().path("store").join("blobs/sha256").join(&hex) };
    let tools = tempfile::tempdir().unwrap();
    must(Command::new("dpkg-deb").arg("-x").arg(deb).arg(tools.path()));
    let ldconfig = [tools.path().join("usr/sbin/ldconfig"), tools.path().join("sbin/ldconfig")]
        .into_iter()
        .find(|path| path.exists())
        .unwrap();
    must(Command::new(ldconfig).arg("-r").arg(&root).args(["-X"]));
    let theirs = std::fs::read(root.join("etc/ld.so.cache")).unwrap();
    assert!(ours == theirs, "{name}: {} bytes are not ldconfig's {}", ours.len(), theirs.len());
}

#[test]
fn the_digest_is_the_answer_and_the_only_one() {
    let place = built();
    let ran = place.run(&["build", "specs/python.yaml", "-o", "python.oci"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    let mut file = std::fs::File::create(place.path("seen")).unwrap();
    writeln!(file, "{}", ran.out.trim()).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("python.oci/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], ran.out.trim());
}
