//! A daemon of its own for a test: started, waited for, pruned, killed, and cleaned up after.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};

use super::{Turn, bridge};
use crate::container::must;
use crate::judges::{judge, present};
use crate::program::names;

/// How long a daemon may take until it answers, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A running daemon. It dies with this value, with all that it started, and with the thread that started it.
pub(crate) struct Daemon {
    room: tempfile::TempDir,
    child: Child,
    /// The address, as `--engine buildkit=` takes it.
    address: String,
    /// Arguments of `buildctl` that lead to it.
    buildctl: Vec<String>,
}

/// Files in PEM form with which a client and a daemon prove themselves to each other.
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Daemon {
    /// Starts Debian's Docker daemon; `None`, said aloud, where it is not installed.
    pub(crate) fn docker(_turn: &Turn) -> Option<Self> {
        Self::docker_with(room(), &[])
    }

    /// As [`Daemon::docker`], and on a port of this machine's loopback too, where it lets in only who proves itself.
    pub(crate) fn docker_tls(_turn: &Turn) -> Option<(Self, Certificates, String)> {
        let room = room();
        let certificates = certificates(room.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| room.path().join(name).display().to_string();
        let (ca, cert, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
        let host = format!("tcp://127.0.0.1:{port}");
        let own = ["-H", &host, "--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
        Some((Self::docker_with(room, &own)?, certificates, format!("docker://127.0.0.1:{port}")))
    }

    fn docker_with(room: tempfile::TempDir, own: &[&str]) -> Option<Self> {
        let program = present(PathBuf::from("/usr/sbin/dockerd"), "dockerd")?;
        judge("bin/buildctl")?;
        let path = |name: &str| room.path().join(name).display().to_string();
        let mut command = wrapped(&program);
        command.args(own);
        command.args(["--data-root", &path("data"), "--exec-root", &path("exec"), "-p", &path("pid")]);
        command.args(["-H", &format!("unix://{}", path("s")), "--bridge=none", "--iptables=false"]);
        command.args(["--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]);
        let (address, own) = (format!("unix://{}", path("s")), format!("unix://{}", path("b")));
        let child = start(&mut command, &room);
        bridge::bridge(&room.path().join("b"), &room.path().join("s"));
        Some(Self { room, child, address, buildctl: vec!["--addr".to_owned(), own] }.ready())
    }

    /// Starts `buildkitd` on a socket; `None`, said aloud, where it is not installed.
    pub(crate) fn buildkitd(_turn: &Turn) -> Option<Self> {
        let (mut command, room) = buildkitd()?;
        let address = format!("unix://{}", room.path().join("s").display());
        command.args(["--addr", &address]);
        let child = start(&mut command, &room);
        Some(Self { room, child, buildctl: vec!["--addr".to_owned(), address.clone()], address }.ready())
    }

    /// Starts `buildkitd` on a port of this machine's loopback, where it lets in only who proves itself.
    pub(crate) fn buildkitd_tls(_turn: &Turn) -> Option<(Self, Certificates)> {
        let (mut command, room) = buildkitd()?;
        let certificates = certificates(room.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("tcp://127.0.0.1:{port}");
        command.args(["--addr", &address, "--tlscacert"]).arg(&certificates.ca);
        command.arg("--tlscert").arg(room.path().join("server.pem"));
        command.arg("--tlskey").arg(room.path().join("server.key"));
        let child = start(&mut command, &room);
        let path = |path: &Path| path.display().to_string();
        let buildctl = [
            ("--addr", address.clone()),
            ("--tlscacert", path(&certificates.ca)),
            ("--tlscert", path(&certificates.cert)),
            ("--tlskey", path(&certificates.key)),
        ];
        let buildctl = buildctl.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        Some((Self { room, child, address, buildctl }.ready(), certificates))
    }

    /// The address, as `--engine buildkit=` takes it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns `buildctl`, which will speak to this daemon.
    pub(crate) fn buildctl<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(judge("bin/buildctl").expect("the daemon was started"));
        command.args(&self.buildctl).args(arguments).stdin(Stdio::null());
        command
    }

    /// Returns Debian's Docker client, which will speak to this daemon, a Docker daemon.
    pub(crate) fn docker_client<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        // By its path: another client may come before Debian's. Its configuration is none of the caller's.
        let mut command = Command::new("/usr/bin/docker");
        command.args(arguments).env("DOCKER_HOST", &self.address).env("DOCKER_CONFIG", self.room.path().join("client"));
        command.env("DOCKER_BUILDKIT", "1").stdin(Stdio::null());
        command
    }

    /// Forgets all that was ever built.
    pub(crate) fn prune(&self) {
        must(&mut self.buildctl(["prune", "--all"]));
    }

    /// Kills the daemon at once, with all that it started, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let all = below(self.child.id());
        let mut kill = Command::new("kill");
        kill.arg("-9").arg(self.child.id().to_string()).args(all.iter().map(u32::to_string));
        let _ = kill.stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }

    /// What the daemon wrote, for a person.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.room.path().join("log")).unwrap_or_default()
    }

    /// Waits until the daemon answers.
    fn ready(mut self) -> Self {
        let until = Instant::now() + START;
        loop {
            let asked = self.buildctl(["--timeout", "2", "debug", "workers"]).output().unwrap();
            if asked.status.success() {
                return self;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "no answer: {ended:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked, it ends what it started too; what does not end is killed.
        let all = below(self.child.id());
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let until = Instant::now() + Duration::from_secs(15);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
        // Numbers of processes that ended may be somebody else's by now: only those that still are its own count.
        let left: Vec<String> = all.iter().filter(|pid| is_of(**pid, self.room.path())).map(u32::to_string).collect();
        if !left.is_empty() {
            let _ = Command::new("kill").arg("-9").args(left).stderr(Stdio::null()).status();
        }
        let room = self.room.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
            if mount.starts_with(&room) {
                let _ = Command::new("umount").args(["-l", mount]).stderr(Stdio::null()).status();
            }
        }
    }
}

/// A directory for a daemon. A socket's path has at most 107 bytes, so `TMPDIR` has no say.
fn room() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("tarsia-bk-").tempdir_in("/var/tmp").unwrap()
}

/// Returns a command that runs `program`, which is asked to end when the thread that started it ends.
fn wrapped(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

fn start(command: &mut Command, room: &tempfile::TempDir) -> Child {
    let log = std::fs::File::create(room.path().join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn buildkitd() -> Option<(Command, tempfile::TempDir)> {
    let program = judge("bin/buildkitd")?;
    judge("bin/buildctl")?;
    let room = room();
    let config = room.path().join("buildkitd.toml");
    std::fs::write(&config, "").unwrap();
    let mut command = wrapped(&program);
    command.arg("--root").arg(room.path().join("data")).arg("--config").arg(config);
    command.args(["--oci-worker-snapshotter=overlayfs", "--containerd-worker=false"]);
    Some((command, room))
}

/// Makes an authority, and what it vouches for: a daemon at `127.0.0.1`, and a client.
fn certificates(directory: &Path) -> Certificates {
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "the tests' daemons");
    let ca = write("ca.pem", params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let mut made = BTreeMap::new();
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages.push(usage);
        let signed = params.signed_by(&key, &issuer).unwrap();
        let files = (write(&format!("{name}.pem"), signed.pem()), write(&format!("{name}.key"), key.serialize_pem()));
        made.insert(name, files);
    }
    let (cert, key) = made.remove("client").unwrap();
    Certificates { ca, cert, key }
}

/// Returns every process that descends from one, nearest first.
fn below(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for own in names(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<u32>().ok()) {
        // The name in parentheses may hold spaces; the parent is the second field after it (proc(5), "stat").
        let stat = std::fs::read_to_string(format!("/proc/{own}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(own);
    }
    let mut all = vec![pid];
    let mut at = 0;
    while at < all.len() {
        all.extend(children.get(&all[at]).into_iter().flatten());
        at += 1;
    }
    all.split_off(1)
}

/// Returns whether a process was started with a path below `room`.
fn is_of(pid: u32, room: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&*room.to_string_lossy())
}
