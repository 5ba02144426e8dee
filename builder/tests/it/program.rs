//! The program under test, with a store of its own and nothing of the caller's environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory to work in, and a store.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Returns an empty place.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Returns a path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Returns the program, run in this place with its own store.
    pub(crate) fn tarsia<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarsia"));
        command.args(arguments).current_dir(self.dir.path()).env("TARSIA_STORE", self.path("store"));
        command.env("REGISTRY_AUTH_FILE", self.path("auth.json")).env("DOCKER_CONFIG", self.path(".docker"));
        for name in [
            "SOURCE_DATE_EPOCH",
            "SSH_AUTH_SOCK",
            "COSIGN_PASSWORD",
            "XDG_CACHE_HOME",
            "DOCKER_HOST",
            "XDG_RUNTIME_DIR",
            "TARSIA_ENGINE",
            "TARSIA_WORKER",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program, and returns what it printed with its exit status.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.tarsia(arguments).output().unwrap())
    }

    /// Runs the program, which must succeed, and returns its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
        ran.out
    }
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit status.
    pub(crate) status: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Copies a directory of the repository, `specs` or `testdata`, into a place, as a checkout would write it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// Copies a store's blobs alone, while others may use it: packages are there, all that is made of them is not.
pub(crate) fn copy_blobs(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    let copy = "tar -C \"$0\" --exclude='.tmp-*' -cf - blobs | tar -C \"$1\" -xf -";
    assert!(Command::new("sh").arg("-c").arg(copy).arg(from).arg(to).status().unwrap().success());
}

/// Returns the names in a directory, sorted.
#[expect(clippy::disallowed_methods, reason = "sorted here")]
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Returns the repository's `specs` directory.
pub(crate) fn specs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs")
}
