//! The program as a worker: one static file, served over HTTP or as an image of a registry.

#![expect(clippy::disallowed_methods, reason = "where a static build is, is told by whoever made it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tarsia::digest::Digest;

use super::files::Files;
use crate::container::must;
use crate::distribution::Distribution;
use crate::program::{Place, specs};

/// A static build of the program.
pub(crate) struct Worker {
    /// Where it stands, in a directory of its own as `tarsia`.
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    files: Files,
    _place: Place,
}

/// The static build: what `TARSIA_STATIC` names, else made of this checkout, as the tests themselves were.
pub(crate) fn worker() -> &'static Worker {
    static WORKER: OnceLock<Worker> = OnceLock::new();
    WORKER.get_or_init(|| {
        let made = match std::env::var_os("TARSIA_STATIC").filter(|value| !value.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => make(),
        };
        // A copy, since another run may make it again meanwhile.
        let bytes = std::fs::read(&made).unwrap_or_else(|error| panic!("{}: {error}", made.display()));
        let place = Place::new();
        let path = place.write("tarsia", &bytes);
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        std::fs::set_permissions(&path, permissions).unwrap();
        Worker { digest: Digest::of(&bytes), files: Files::serve(&place.path(".")), path, _place: place }
    })
}

/// Builds it by cargo beside what the tests run: the dependencies are the same files, only the last step is done anew.
fn make() -> PathBuf {
    let ours = Path::new(env!("CARGO_BIN_EXE_tarsia"));
    let (target, profile) = (ours.ancestors().nth(2).unwrap(), ours.parent().unwrap().file_name().unwrap());
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command.env("CARGO_BUILD_BUILD_DIR", target).env("CARGO_TARGET_DIR", target.join("static"));
    // What cargo tells the tests of themselves would tell build scripts that the world has changed.
    let own = ["CARGO_BIN_", "CARGO_MANIFEST", "CARGO_PKG_"];
    for (name, _) in std::env::vars_os() {
        if own.iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command.env_remove("LD_LIBRARY_PATH");
    command.args(["rustc", "--quiet", "--offline", "-p", "tarsia", "--bin", "tarsia"]);
    if profile == "release" {
        command.arg("--release");
    }
    must(command.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]));
    target.join("static").join(profile).join("tarsia")
}

impl Worker {
    /// The worker as `--worker` takes a file: its address and its digest.
    pub(crate) fn url(&self) -> String {
        format!("{}#sha256={}", self.files.url("tarsia"), self.digest.hex())
    }

    /// Puts the worker into a registry, and returns it as `--worker` takes an image.
    pub(crate) fn image(&self, registry: &Distribution) -> String {
        // By the recipe that everybody follows.
        let place = Place::new();
        std::fs::create_dir_all(place.path("buildkit")).unwrap();
        std::fs::copy(&self.path, place.path("buildkit/tarsia")).unwrap();
        std::fs::copy(specs().join("buildkit.yaml"), place.path("worker.yaml")).unwrap();
        let name = format!("{}/tarsia", registry.host);
        let digest = place.ok(&["build", "worker.yaml", "-o", &format!("docker://{name}:1")]);
        format!("{name}@{}", digest.trim())
    }
}
