//! Runs a built image for real: skopeo re-compresses, umoci unpacks, runc runs it on a read-only root.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// An unpacked image that runc can run.
pub(crate) struct Bundle {
    _dir: tempfile::TempDir,
    path: PathBuf,
    config: Value,
}

/// Runs a program that must succeed, and returns its standard output.
pub(crate) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run .ci/run to install it"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Bundle {
    /// Unpacks the layout at `image`.
    pub(crate) fn unpack(image: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gzip = dir.path().join("gzip");
        // Debian 12's umoci reads gzip only.
        must(
            Command::new("skopeo")
                .args(["--insecure-policy", "copy", "--quiet", "--dest-compress-format", "gzip"])
                .arg(format!("oci:{}", image.display()))
                .arg(format!("oci:{}:it", gzip.display())),
        );
        let path = dir.path().join("bundle");
        must(Command::new("umoci").arg("unpack").arg("--image").arg(format!("{}:it", gzip.display())).arg(&path));
        let mut config: Value = serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"].as_object_mut().unwrap().remove("rlimits");
        config["root"]["readonly"] = json!(true);
        Self { _dir: dir, path, config }
    }

    /// The unpacked root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// Shares the machine's network, for a server on its loopback.
    pub(crate) fn host_network(mut self) -> Self {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "network");
        self
    }

    /// Mounts a directory of the machine, read-only.
    pub(crate) fn mount(mut self, from: &Path, to: &str) -> Self {
        self.config["mounts"].as_array_mut().unwrap().push(json!({
            "destination": to, "type": "bind", "source": from, "options": ["bind", "ro"],
        }));
        self
    }

    /// Mounts a file of the machine, read-only and executable.
    pub(crate) fn mount_file(self, from: &Path, to: &str) -> Self {
        // The root is read-only for whoever runs in it; here it is a directory.
        let place = self.root().join(to.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, "").unwrap();
        self.mount(from, to)
    }

    /// Returns `uid:gid` that the image runs as.
    pub(crate) fn user(&self) -> (u64, u64) {
        let user = &self.config["process"]["user"];
        (user["uid"].as_u64().unwrap(), user["gid"].as_u64().unwrap())
    }

    /// Runs the image, with `arguments` in place of its entrypoint and cmd where given.
    pub(crate) fn run(&mut self, arguments: Option<&[&str]>) -> Output {
        if let Some(arguments) = arguments {
            self.config["process"]["args"] = json!(arguments);
        }
        std::fs::write(self.path.join("config.json"), serde_json::to_vec(&self.config).unwrap()).unwrap();
        let id = format!(
            "tarsia-it-{}-{}",
            std::process::id(),
            self.path.parent().unwrap().file_name().unwrap().to_string_lossy().trim_start_matches('.')
        );
        Command::new("runc")
            .args(["run", "--bundle"])
            .arg(&self.path)
            .arg(id)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("runc is installed")
    }

    /// Runs the image, which must succeed, and returns its standard output.
    pub(crate) fn run_ok(&mut self, arguments: Option<&[&str]>) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
