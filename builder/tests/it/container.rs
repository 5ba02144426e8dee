//! Runs a built image for real: skopeo re-compresses, umoci unpacks, runc runs it.
//!
//! As strictly as an image of ours must bear: a read-only root, the image's own user without any capability, a network
//! of its own with nothing but a loopback, and nothing writable but the volumes that the image declares, filled as a
//! container engine fills a new volume. `/dev/shm` is the one that every engine adds.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

/// An unpacked image that runc can run.
pub(crate) struct Bundle {
    dir: tempfile::TempDir,
    config: Value,
    volumes: Vec<String>,
}

/// Runs a program that must succeed, and returns its standard output.
pub(crate) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run .ci/run to install it"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns how a program ended and what it wrote, for a person.
pub(crate) fn said(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
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
                .args(["--dest-compress-level", "1"])
                .arg(format!("oci:{}", image.display()))
                .arg(format!("oci:{}:it", gzip.display())),
        );
        let path = dir.path().join("bundle");
        must(Command::new("umoci").arg("unpack").arg("--image").arg(format!("{}:it", gzip.display())).arg(&path));
        std::fs::remove_dir_all(gzip).unwrap();
        let mut config: Value = serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        let process = config["process"].as_object_mut().unwrap();
        process.insert("terminal".to_owned(), json!(false));
        process.insert("noNewPrivileges".to_owned(), json!(true));
        process.remove("rlimits");
        process.remove("capabilities");
        config["root"] = json!({"path": path.join("rootfs"), "readonly": true});
        let mut bundle = Self { dir, config, volumes: Vec::new() };
        bundle.fill_volumes();
        bundle
    }

    /// Puts a copy of the image's directory, with its owner and mode, in place of umoci's empty memory file systems.
    fn fill_volumes(&mut self) {
        let mounts = self.config["mounts"].as_array_mut().unwrap();
        for mount in mounts.iter_mut().filter(|mount| mount["type"] == "tmpfs" && mount["source"] == "none") {
            let volume = mount["destination"].as_str().unwrap().to_owned();
            let inside = self.dir.path().join("bundle/rootfs").join(volume.trim_start_matches('/'));
            assert!(inside.is_dir(), "the volume {volume} is a directory of the image");
            let copy = self.dir.path().join(format!("volume-{}", self.volumes.len()));
            must(Command::new("cp").arg("-a").arg(inside).arg(&copy));
            *mount = json!({"destination": volume, "type": "bind", "source": copy, "options": ["rbind", "rw"]});
            self.volumes.push(volume);
        }
    }

    /// The unpacked root.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("bundle/rootfs")
    }

    /// Where the machine holds what a container writes to a declared volume.
    pub(crate) fn volume(&self, path: &str) -> PathBuf {
        let number = self.volumes.iter().position(|volume| volume == path).expect("the image declares the volume");
        self.dir.path().join(format!("volume-{number}"))
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

    /// Sets a variable in place of the image's.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        let env = self.config["process"]["env"].as_array_mut().unwrap();
        env.retain(|line| !line.as_str().unwrap().starts_with(&format!("{name}=")));
        env.push(json!(format!("{name}={value}")));
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

    /// Returns the command that runs a container of this image, and the container's name.
    fn runc(&self, config: &Value) -> (Command, String) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("tarsia-it-{}-{number}", std::process::id());
        let bundle = self.dir.path().join(&id);
        std::fs::create_dir(&bundle).unwrap();
        std::fs::write(bundle.join("config.json"), serde_json::to_vec(config).unwrap()).unwrap();
        let mut command = Command::new("runc");
        command.args(["run", "--bundle"]).arg(bundle).arg(&id).stdin(Stdio::null());
        (command, id)
    }

    fn with_arguments(&self, arguments: Option<&[&str]>) -> Value {
        let mut config = self.config.clone();
        if let Some(arguments) = arguments {
            config["process"]["args"] = json!(arguments);
        }
        config
    }

    /// Runs the image, with `arguments` in place of its entrypoint and cmd where given.
    pub(crate) fn run(&self, arguments: Option<&[&str]>) -> Output {
        self.runc(&self.with_arguments(arguments)).0.output().expect("runc is installed")
    }

    /// Runs the image, which must succeed, and returns its standard output.
    pub(crate) fn run_ok(&self, arguments: Option<&[&str]>) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts the image's own entrypoint and cmd, and waits until it listens on `port` of its loopback.
    pub(crate) fn serve(&self, port: u16) -> Running<'_> {
        let (mut command, id) = self.runc(&self.config);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runc is installed");
        let until = Instant::now() + Duration::from_secs(60);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        loop {
            let ended = child.try_wait().unwrap().is_some();
            let pid = pid(&id);
            if let Some(pid) = pid
                && within(pid, || TcpStream::connect(address)).is_ok()
            {
                return Running { bundle: self, id, child: Some(child), pid, address };
            }
            if ended || Instant::now() > until {
                _ = Command::new("runc").args(["delete", "--force", &id]).output();
                _ = child.kill();
                panic!("nothing listens on {address}: {}", said(&child.wait_with_output().unwrap()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Returns the process of a container that runs.
fn pid(id: &str) -> Option<u32> {
    let output = Command::new("runc").args(["state", id]).output().ok()?;
    let state: Value = serde_json::from_slice(&output.stdout).ok()?;
    (state["status"] == "running").then(|| state["pid"].as_u64())?.and_then(|pid| u32::try_from(pid).ok())
}

/// Does something in the network of a process. What is opened there stays there.
fn within<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let network = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// A container with a server; it dies with this value.
pub(crate) struct Running<'a> {
    bundle: &'a Bundle,
    id: String,
    child: Option<Child>,
    pid: u32,
    address: SocketAddr,
}

impl Running<'_> {
    /// Does something in the container's network.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(self.pid, work)
    }

    /// Connects to the server.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = self.within(|| TcpStream::connect(self.address)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Runs another program of the image in a container of its own, which shares the server's network and nothing else.
    pub(crate) fn beside(&self, arguments: &[&str]) -> Output {
        let mut config = self.bundle.with_arguments(Some(arguments));
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(format!("/proc/{}/ns/net", self.pid));
            }
        }
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "bind");
        self.bundle.runc(&config).0.output().expect("runc is installed")
    }

    /// Stops the server by the image's stop signal, and returns how it ended and all that it wrote.
    pub(crate) fn stop(mut self) -> Output {
        let signal = self.bundle.config["annotations"]["org.opencontainers.image.stopSignal"].as_str();
        let signal = signal.filter(|signal| !signal.is_empty()).unwrap_or("SIGTERM");
        must(Command::new("runc").args(["kill", &self.id, signal]));
        self.child.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = Command::new("runc").args(["delete", "--force", &self.id]).output();
            _ = child.wait();
        }
    }
}
