//! The group `real`: images in real container engines, and images for another processor.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::container::{Bundle, must};
use crate::program::{Place, Ran, copy_blobs};
use crate::real::built;

/// Podman with a storage of its own.
struct Podman {
    room: tempfile::TempDir,
}

impl Podman {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let path = |name: &str| room.path().join(name).display().to_string();
        let conf =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", path("root"), path("run"));
        std::fs::write(room.path().join("storage.conf"), conf).unwrap();
        Self { room }
    }

    fn conf(&self) -> PathBuf {
        self.room.path().join("storage.conf")
    }

    fn ok(&self, arguments: &[&str]) -> String {
        must(Command::new("podman").args(arguments).env("CONTAINERS_STORAGE_CONF", self.conf()))
    }

    fn inspect(&self, name: &str) -> Value {
        let told: Value = serde_json::from_str(&self.ok(&["image", "inspect", name])).unwrap();
        told[0].clone()
    }
}

/// A Docker daemon with a root of its own, no bridge and no firewall rules; `None` where Docker is not installed.
struct Dockerd {
    room: tempfile::TempDir,
    child: Child,
}

impl Dockerd {
    fn start() -> Option<Self> {
        let program = Path::new("/usr/sbin/dockerd");
        if !program.exists() {
            eprintln!("skipped: {} is not installed", program.display());
            return None;
        }
        let room = tempfile::tempdir().unwrap();
        let path = |name: &str| room.path().join(name).display().to_string();
        let child = Command::new(program)
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "-p", &path("pid")])
            .args(["-H", &format!("unix://{}", path("s")), "--bridge=none", "--iptables=false"])
            .args(["--ip6tables=false", "--ip-forward=false", "--ip-masq=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let daemon = Self { room, child };
        for _ in 0..600 {
            if daemon.run(&["version"]).status.success() {
                return Some(daemon);
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        panic!("{}", std::fs::read_to_string(daemon.room.path().join("log")).unwrap());
    }

    fn address(&self) -> String {
        format!("unix://{}", self.room.path().join("s").display())
    }

    // By its path: another client may come before Debian's.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("/usr/bin/docker").args(arguments).env("DOCKER_HOST", self.address()).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        must(Command::new("/usr/bin/docker").args(arguments).env("DOCKER_HOST", self.address()))
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Asked, it ends what it started too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Returns the digest of an image's config, which is the id that engines show.
fn id(place: &Place, image: &str) -> String {
    let index: Value =
        serde_json::from_slice(&std::fs::read(place.path(&format!("{image}/index.json"))).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap()[7..].to_owned();
    let manifest = std::fs::read(place.path(&format!("{image}/blobs/sha256/{digest}"))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}

/// Builds an example to further outputs.
fn build(name: &str, outputs: &[&str]) -> String {
    let spec = format!("specs/{name}.yaml");
    let mut arguments = vec!["build", "--locked", &spec];
    outputs.iter().for_each(|output| arguments.extend(["-o", output]));
    built().ok(&arguments)
}

#[test]
fn podman_and_skopeo_take_archives_of_both_kinds_with_all_their_names() {
    let place = built();
    build("static", &["docker-archive:s-docker.tar:acme/static:1", "docker-archive:s-docker.tar:static"]);
    build("static", &["oci-archive:s-oci.tar:1", "oci-archive:s-oci.tar:2"]);
    let id = id(place, "static.oci");
    let podman = Podman::new();
    let loaded = podman.ok(&["load", "-q", "-i", place.path("s-docker.tar").to_str().unwrap()]);
    for name in ["localhost/acme/static:1", "localhost/static:latest"] {
        assert!(loaded.contains(name), "{loaded}");
        let image = podman.inspect(name);
        assert_eq!(format!("sha256:{}", image["Id"].as_str().unwrap()), id);
        assert_eq!(image["User"], "65532:65532");
    }
    let archive = format!("docker-archive:{}", place.path("s-docker.tar").display());
    let told = must(Command::new("skopeo").args(["--insecure-policy", "inspect", &format!("{archive}:static:latest")]));
    assert!(told.contains("\"Architecture\": \"amd64\""), "{told}");
    // skopeo writes an archive of its own, in an older form and with a registry before the name: it is read, too.
    let copy = place.path("s-skopeo.tar");
    let to = format!("docker-archive:{}:acme/static:1", copy.display());
    must(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", &format!("{archive}:static:latest"), &to]));
    let told: Value = serde_json::from_str(&place.ok(&["--json", "inspect", &to])).unwrap();
    let ours: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "s-docker.tar"])).unwrap();
    assert_eq!((&told["images"], &told["digest"]), (&ours["images"], &ours["digest"]));
    assert_eq!(told["digest"], id);

    for tag in ["1", "2"] {
        let image = format!("oci-archive:{}:{tag}", place.path("s-oci.tar").display());
        let told = must(Command::new("skopeo").args(["--insecure-policy", "inspect", &image]));
        assert!(told.contains("\"Architecture\": \"amd64\""), "{told}");
    }
    // Podman 4 loads an OCI archive with one tag only; several names are for an archive of the other kind.
    build("static", &["oci-archive:s-one.tar:acme"]);
    let loaded = podman.ok(&["load", "-q", "-i", place.path("s-one.tar").to_str().unwrap()]);
    assert!(loaded.contains("localhost/acme:latest"), "{loaded}");
}

#[test]
fn containers_storage_holds_the_image_under_its_own_digest() {
    let place = built();
    let spec = "specs/static.yaml";
    for tool in ["podman", "skopeo"] {
        let podman = Podman::new();
        // The one tool alone, with what it runs.
        let bin = tempfile::tempdir().unwrap();
        let found = must(Command::new("which").arg(tool));
        std::os::unix::fs::symlink(found.trim(), bin.path().join(tool)).unwrap();
        let mut command = place.tarsia(["build", "--locked", spec, "-o", "containers-storage:acme/static:7"]);
        command.env("PATH", bin.path()).env("CONTAINERS_STORAGE_CONF", podman.conf());
        let digest = must(&mut command);
        let image = podman.inspect("localhost/acme/static:7");
        assert_eq!(image["Digest"], digest.trim(), "{tool}");
        assert_eq!(format!("sha256:{}", image["Id"].as_str().unwrap()), id(place, "static.oci"), "{tool}");
    }
}

#[test]
fn docker_takes_an_archive_and_an_upload() {
    let Some(daemon) = Dockerd::start() else { return };
    let place = built();
    build("hello", &["docker-archive:h-docker.tar:acme/hello:1"]);
    let loaded = daemon.ok(&["load", "-i", place.path("h-docker.tar").to_str().unwrap()]);
    assert!(loaded.contains("acme/hello:1"), "{loaded}");
    let mut command = place.tarsia(["build", "--locked", "specs/static.yaml", "specs/hello.yaml", "--load"]);
    must(command.env("DOCKER_HOST", daemon.address()));
    let mut command = place.tarsia(["build", "--locked", "specs/python.yaml", "-o", "docker-daemon:py:1"]);
    must(command.env("DOCKER_HOST", daemon.address()));
    for (name, example) in
        [("acme/hello:1", "hello"), ("hello:latest", "hello"), ("static:latest", "static"), ("py:1", "python")]
    {
        let told: Value = serde_json::from_str(&daemon.ok(&["image", "inspect", name])).unwrap();
        assert_eq!(told[0]["Id"], id(place, &format!("{example}.oci")), "{name}");
    }
    let out = daemon.run(&["run", "--rm", "--network=none", "--read-only", "hello"]);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.to_lowercase().contains("hello"), "{said}");
    // What the daemon gives back is read too, and is the image that it was given.
    let saved = place.path("saved.tar");
    daemon.ok(&["save", "-o", saved.to_str().unwrap(), "py:1"]);
    let told: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "docker-archive:saved.tar"])).unwrap();
    assert_eq!(told["digest"], id(place, "python.oci"));
}

/// The examples that hold packages, for both processors in one image, and a program to run.
fn both() -> &'static Place {
    static BOTH: std::sync::OnceLock<Place> = std::sync::OnceLock::new();
    BOTH.get_or_init(|| {
        let place = Place::new();
        for name in ["base", "python"] {
            let spec = std::fs::read_to_string(built().path(&format!("specs/{name}.yaml"))).unwrap();
            let both = spec.replace("platforms: [linux/amd64]", "platforms: [linux/amd64, linux/arm64]");
            assert_ne!(both, spec);
            place.write(&format!("{name}.yaml"), both);
            let mut command = place.tarsia(["build", &format!("{name}.yaml"), "-o", &format!("oci:{name}.oci:it")]);
            must(command.env("TARSIA_STORE", built().path("store")));
        }
        place
    })
}

/// Takes one platform's image out of an index with skopeo, as an engine on that platform does.
fn of(name: &str, architecture: &str) -> (tempfile::TempDir, PathBuf) {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("image");
    must(
        Command::new("skopeo")
            .args(["--insecure-policy", "--override-arch", architecture, "copy", "-q"])
            .arg(format!("oci:{}:it", both().path(&format!("{name}.oci")).display()))
            .arg(format!("oci:{}", path.display())),
    );
    (room, path)
}

/// QEMU's emulator as the first word of a command in the image: it needs nothing of the kernel.
const QEMU: &str = "/usr/bin/qemu-aarch64-static";

fn emulated(name: &str) -> Bundle {
    assert!(Path::new(QEMU).exists(), "{QEMU} is not there; run .ci/run to install it");
    let (_room, image) = of(name, "arm64");
    Bundle::unpack(&image).mount_file(Path::new(QEMU), "/run/qemu")
}

#[test]
fn one_index_holds_both_processors_and_tools_choose_theirs() {
    let place = both();
    let told: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "python.oci"])).unwrap();
    let images = told["images"].as_array().unwrap();
    assert_eq!(
        images.iter().map(|one| one["platform"].as_str().unwrap()).collect::<Vec<_>>(),
        ["linux/amd64", "linux/arm64"]
    );
    for (at, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let (_room, image) = of("python", architecture);
        let one: Value = serde_json::from_str(&place.ok(&["--json", "inspect", image.to_str().unwrap()])).unwrap();
        assert_eq!(one["digest"], images[at]["digest"], "{architecture}");
        let packages = images[at]["packages"].as_array().unwrap();
        assert!(packages.iter().all(|one| one["architecture"] == architecture || one["architecture"] == "all"));
    }
    let mut command = place.tarsia(["build", "--locked", "python.yaml", "-o", "oci-archive:both.tar:it"]);
    must(command.env("TARSIA_STORE", built().path("store")));
    let podman = Podman::new();
    podman.ok(&["load", "-q", "-i", place.path("both.tar").to_str().unwrap()]);
    let listed: Value = serde_json::from_str(&podman.ok(&["images", "--format", "json"])).unwrap();
    let image = podman.inspect(listed[0]["Id"].as_str().unwrap());
    assert_eq!(image["Architecture"], if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    // The image of the one processor does not depend on the other being there.
    let amd64 = &images[0]["digest"];
    assert_eq!(id_of_manifest(built(), "python.oci"), amd64.as_str().unwrap());
}

fn id_of_manifest(place: &Place, image: &str) -> String {
    let index: Value =
        serde_json::from_slice(&std::fs::read(place.path(&format!("{image}/index.json"))).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn an_arm64_image_runs() {
    let loader = "/lib/ld-linux-aarch64.so.1";
    let libssl = "/usr/lib/aarch64-linux-gnu/libssl.so.3";
    let out = emulated("base").run_ok(Some(&["/run/qemu", loader, "--list", libssl]));
    assert!(out.contains("libcrypto.so.3 => /lib/aarch64-linux-gnu") && !out.contains("not found"), "{out}");
    let code = "import platform, ssl, sqlite3, json, os, zoneinfo; zoneinfo.ZoneInfo('Europe/Rome'); \
                print(platform.machine(), os.getuid(), len(ssl.create_default_context().get_ca_certs()) > 100)";
    let out = emulated("python").run_ok(Some(&["/run/qemu", "/usr/bin/python3", "-c", code]));
    assert_eq!(out.trim(), "aarch64 65532 True");
}

#[test]
fn ld_so_cache_of_arm64_is_what_its_own_ldconfig_writes() {
    let place = both();
    for name in ["base", "python"] {
        let bundle = emulated(name);
        let ours = std::fs::read(bundle.root().join("etc/ld.so.cache")).unwrap();
        let lock = std::fs::read_to_string(place.path(&format!("{name}.lock"))).unwrap();
        let lock = tarsia::lock::Lock::parse(name, &lock).unwrap();
        let bin = lock.platform["linux/arm64"].packages.iter().find(|package| package.name == "libc-bin").unwrap();
        let hex = bin.digest.hex();
        let deb = built().path("store").join("blobs/sha256").join(&hex[..2]).join(&hex);
        let tools = tempfile::tempdir().unwrap();
        must(Command::new("dpkg-deb").arg("-x").arg(deb).arg(tools.path()));
        let ldconfig = ["usr/sbin/ldconfig", "sbin/ldconfig"].map(|path| tools.path().join(path));
        let ldconfig = ldconfig.into_iter().find(|path| path.exists()).unwrap();
        must(Command::new(QEMU).arg(ldconfig).arg("-r").arg(bundle.root()).arg("-X"));
        let theirs = std::fs::read(bundle.root().join("etc/ld.so.cache")).unwrap();
        assert!(ours == theirs, "{name}: {} bytes are not ldconfig's {}", ours.len(), theirs.len());
    }
}

/// Needs a static `tarsia` for aarch64, named by `TARSIA_AARCH64`; `.ci/full` builds one.
#[test]
#[expect(clippy::disallowed_methods, reason = "where the other build is, is told by whoever made it")]
fn a_build_on_another_processor_gives_the_same_digests() {
    let Some(other) = std::env::var_os("TARSIA_AARCH64") else {
        eprintln!("skipped: TARSIA_AARCH64 names no tarsia for aarch64");
        return;
    };
    let home = built();
    for name in ["hello", "static", "base", "cc"] {
        let spec = format!("specs/{name}.yaml");
        let ours = home.ok(&["build", "--locked", &spec, "-o", &format!("ours-{name}.oci")]);
        let place = Place::new();
        copy_blobs(&home.path("store"), &place.path("store"));
        let theirs = Command::new(QEMU)
            .arg(&other)
            .args(["build", "--locked", "--offline"])
            .arg(home.path(&spec))
            .arg("-o")
            .arg(place.path("theirs.oci"))
            .env("TARSIA_STORE", place.path("store"))
            .output()
            .unwrap();
        let theirs = Ran::from(theirs);
        assert_eq!((theirs.status, theirs.out.trim()), (0, ours.trim()), "{name}: {}", theirs.err);
        println!("{name} {}", theirs.out.trim());
        must(Command::new("diff").arg("-r").arg(home.path(&format!("ours-{name}.oci"))).arg(place.path("theirs.oci")));
    }
}
