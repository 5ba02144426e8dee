//! An unpacked image with what a runtime must be told of it (OCI runtime-spec 1.0, config).

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use serde_json::{Value, json};

use super::{Error, Kind, Machine, Runtime, Settings, user};
use crate::canon;
use crate::image::{self, OpenImage, Opened, Owners, Rootfs, Unpacked};
use crate::store::TemporaryDirectory;

/// Where an image's numbers begin outside: above those that systemd hands to containers (0x0008_0000 to 0x6fff_ffff),
/// and far below the end, so that 65536 numbers and some single ones fit.
const BASE: u32 = 0x7000_0000;
/// The largest passwd or group that is read.
const MAX_TABLE: u64 = 1 << 20;
/// The most entries that the copy of a volume may have.
const MAX_VOLUME: usize = 100_000;

/// What every engine puts over these, because they tell too much or change the machine.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// One line of a user namespace's map: number inside, number outside, how many.
type Line = (u32, u32, u32);

/// An image that has been unpacked and can be run, any number of times; removed with this value.
#[derive(Debug)]
pub struct Bundle {
    image: String,
    settings: Settings,
    /// Numbers of the image's user, inside.
    user: (u32, u32),
    /// Maps of users and of groups.
    maps: (Vec<Line>, Vec<Line>),
    unpacked: Unpacked,
    notes: Vec<String>,
    number: AtomicU32,
    pub(super) machine: Machine,
    pub(super) runtime: Runtime,
    // After everything that stands in it.
    directory: TemporaryDirectory,
}

/// What one run has on disk.
pub(super) struct Prepared {
    /// The container's name.
    pub(super) id: String,
    /// The directory with its `config.json`, and room for what is noted of it.
    pub(super) directory: PathBuf,
    /// What is mounted beside the root: source and destination of each volume.
    pub(super) mounts: Vec<(PathBuf, String)>,
}

impl Bundle {
    /// Unpacks one image of `open` into a temporary directory of its own, to be run by `runtime`.
    ///
    /// # Errors
    /// A hostile or broken layer; a config that cannot be followed; a disk that cannot be written.
    pub fn unpack(machine: &Machine, runtime: Runtime, open: &OpenImage, one: &Opened) -> Result<Self, Error> {
        let invalid = |problem: String| Error::Config { image: open.name().to_owned(), problem };
        let settings: Settings = match one.config.get("config") {
            Some(config) => serde_json::from_value(config.clone()).map_err(|error| invalid(error.to_string()))?,
            None => Settings::default(),
        };
        let prepare = |source| Error::Prepare { path: machine.temporary.clone(), source };
        let directory = TemporaryDirectory::beneath(&machine.temporary, "tarsia-container-").map_err(prepare)?;
        let root = rustix::process::geteuid().is_root();
        let owners = if root { Owners::Shifted(BASE) } else { Owners::Own };
        // Numbers can be mapped before the image's passwd is there; names are looked up in it.
        let named = user::numbers(&settings.user, "", "").unwrap_or_default();
        let unpacked = image::unpack(open, one, directory.path(), owners, named)?;
        let table = |name: &str| read_beneath(&unpacked.root, name);
        let user = user::numbers(&settings.user, &table("etc/passwd"), &table("etc/group")).map_err(invalid)?;
        let mut bundle = Self {
            image: open.name().to_owned(),
            settings,
            user,
            maps: Default::default(),
            unpacked,
            notes: Vec::new(),
            number: AtomicU32::new(0),
            machine: machine.clone(),
            runtime,
            directory,
        };
        bundle.map()?;
        Ok(bundle)
    }

    /// Settles which numbers inside are which outside.
    fn map(&mut self) -> Result<(), Error> {
        if let Some((users, groups)) = &self.unpacked.ids {
            let known = users.outside(self.user.0).is_some() && groups.outside(self.user.1).is_some();
            if !known {
                let problem = format!("its user {}:{} can be mapped to nothing", self.user.0, self.user.1);
                return Err(Error::Config { image: self.image.clone(), problem });
            }
            self.maps = (users.map(), groups.map());
            // Its own root must get through to it, and nobody else.
            return self.give(self.directory.path(), (0, 0));
        }
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let Some((users, groups)) = self.machine.subordinate else {
            if self.user != (0, 0) {
                self.notes.push(format!(
                    "this user has no subordinate numbers (subuid), so it runs as root of its own user namespace instead of {}:{}",
                    self.user.0, self.user.1
                ));
            }
            self.user = (0, 0);
            self.maps = (vec![(0, uid, 1)], vec![(0, gid, 1)]);
            return Ok(());
        };
        // All files are ours, so ours is the number of the image's user.
        self.maps = (around(self.user.0, uid, users), around(self.user.1, gid, groups));
        Ok(())
    }

    /// Returns what deviates from the image as it says itself, as sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns what stands where in the image.
    pub fn tree(&self) -> &Rootfs<()> {
        &self.unpacked.tree
    }

    /// Returns the program with its arguments: those of the image, or what stands in their place. `cmd` of the image
    /// belongs to its own entrypoint.
    ///
    /// # Errors
    /// Neither the image nor the caller names a program.
    pub fn arguments(&self, entrypoint: Option<&[String]>, args: Option<&[String]>) -> Result<Vec<String>, Error> {
        let Settings { entrypoint: own, cmd, .. } = &self.settings;
        let rest = args.unwrap_or(if entrypoint.is_some() { &[] } else { cmd });
        let all: Vec<String> = entrypoint.unwrap_or(own).iter().chain(rest).cloned().collect();
        if all.is_empty() {
            let problem = "neither its config nor anybody else names a program".to_owned();
            return Err(Error::Config { image: self.image.clone(), problem });
        }
        Ok(all)
    }

    /// Returns the directory that the image starts in.
    pub(super) fn workdir(&self) -> &str {
        if self.settings.working_dir.is_empty() { "/" } else { &self.settings.working_dir }
    }

    /// Returns the signal that asks it to stop.
    pub(super) fn stop_signal(&self) -> &str {
        if self.settings.stop_signal.is_empty() { "SIGTERM" } else { &self.settings.stop_signal }
    }

    /// Returns the unpacked root.
    pub(super) fn root(&self) -> &Path {
        &self.unpacked.root
    }

    /// Returns where the runtime keeps its own state.
    pub(super) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Returns the image's user, `uid:gid`.
    pub(super) fn user_text(&self) -> String {
        format!("{}:{}", self.user.0, self.user.1)
    }

    /// Returns the maps of users and groups as podman is told them.
    pub(super) fn maps(&self) -> [(&'static str, &[Line]); 2] {
        [("--uidmap", &self.maps.0), ("--gidmap", &self.maps.1)]
    }

    /// Returns the image's variables with `more` on top.
    pub(super) fn environment(&self, more: &BTreeMap<String, String>) -> Vec<String> {
        let own = self
            .settings
            .env
            .iter()
            .filter(|line| line.split_once('=').is_none_or(|(name, _)| !more.contains_key(name)));
        let more = more.iter().map(|(name, value)| format!("{name}={value}"));
        own.cloned().chain(more).collect()
    }

    /// Writes what one run of `arguments` needs: its config, and a copy of each volume as the image has it.
    pub(super) fn prepare(&self, arguments: &[String], env: &BTreeMap<String, String>) -> Result<Prepared, Error> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let id = format!("tarsia-{}-{number}", std::process::id());
        let directory = self.directory.path().join(format!("run-{number}"));
        let prepare = |path: &Path, source| Error::Prepare { path: path.to_owned(), source };
        DirBuilder::new().mode(0o755).create(&directory).map_err(|source| prepare(&directory, source))?;
        let mut mounts = Vec::new();
        for volume in self.settings.volumes.keys().filter(|path| path.starts_with('/')) {
            let copy = directory.join(format!("volume-{}", mounts.len()));
            self.copy_volume(volume, &copy).map_err(|source| prepare(&copy, source))?;
            mounts.push((copy, volume.clone()));
        }
        let hosts = directory.join("hosts");
        self.write(&hosts, b"127.0.0.1\tlocalhost\n::1\tlocalhost\n")?;
        if self.runtime.kind != Kind::Podman {
            let config = self.config(arguments, env, &mounts, &hosts);
            self.write(&directory.join("config.json"), &canon::indented(&config))?;
        }
        Ok(Prepared { id, directory, mounts })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let write = || {
            let mut file = File::options().write(true).create_new(true).mode(0o644).open(path)?;
            file.write_all(bytes)
        };
        write().map_err(|source| Error::Prepare { path: path.to_owned(), source })?;
        self.give(path, (0, 0))
    }

    /// Gives a path to a user of the image's, where that can be done.
    fn give(&self, path: &Path, (uid, gid): (u32, u32)) -> Result<(), Error> {
        let Some((users, groups)) = &self.unpacked.ids else { return Ok(()) };
        chown(path, users.outside(uid), groups.outside(gid))
            .map_err(|source| Error::Prepare { path: path.to_owned(), source })
    }

    /// Copies a volume's directory, links as links, with owners and modes; an empty directory of the image's user where
    /// the image has none.
    fn copy_volume(&self, volume: &str, to: &Path) -> io::Result<()> {
        let inside = self.tree().resolve(volume);
        let there = inside.as_deref().and_then(|path| Some((path, self.tree().nodes.get(path)?)));
        let Some((from, _)) = there.filter(|(_, node)| node.kind == crate::tar::read::Kind::Directory) else {
            DirBuilder::new().mode(0o755).create(to)?;
            if let Some((users, groups)) = &self.unpacked.ids {
                chown(to, users.outside(self.user.0), groups.outside(self.user.1))?;
            }
            return Ok(());
        };
        copy_tree(&self.unpacked.root.join(from), to, &mut 0)
    }

    fn config(
        &self,
        arguments: &[String],
        env: &BTreeMap<String, String>,
        volumes: &[(PathBuf, String)],
        hosts: &Path,
    ) -> Value {
        let tmpfs = |destination: &str, options: &[&str]| json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options});
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
            tmpfs("/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
            tmpfs("/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777"]),
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"]}),
            tmpfs("/tmp", &["nosuid", "nodev", "mode=1777"]),
            json!({"destination": "/etc/hosts", "type": "bind", "source": hosts,
                "options": ["bind", "ro", "nosuid", "nodev", "noexec"]}),
        ];
        mounts.extend(volumes.iter().map(|(from, to)| {
            json!({"destination": to, "type": "bind", "source": from, "options": ["bind", "rw", "nosuid", "nodev"]})
        }));
        let namespaces = ["pid", "network", "ipc", "uts", "mount", "user"].map(|kind| json!({"type": kind}));
        let map = |lines: &[Line]| {
            let line = |(inside, outside, size): &Line| json!({"containerID": inside, "hostID": outside, "size": size});
            lines.iter().map(line).collect::<Value>()
        };
        let none = json!({"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []});
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": self.user.0, "gid": self.user.1},
                "args": arguments,
                "env": self.environment(env),
                "cwd": self.workdir(),
                "capabilities": none,
                "noNewPrivileges": true,
            },
            "root": {"path": self.root(), "readonly": true},
            "hostname": "tarsia",
            "mounts": mounts,
            "linux": {
                "namespaces": namespaces,
                "uidMappings": map(&self.maps.0),
                "gidMappings": map(&self.maps.1),
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
            },
        })
    }
}

/// Returns the map in which `own` outside is `inside`, and the numbers around it are subordinate ones as far as there
/// are any.
fn around(inside: u32, own: u32, (first, count): (u32, u32)) -> Vec<Line> {
    let below = inside.min(count);
    let mut lines = Vec::new();
    if below > 0 {
        lines.push((0, first, below));
    }
    lines.push((inside, own, 1));
    let above = count - below;
    if above > 0 && inside < u32::MAX - above {
        lines.push((inside + 1, first + below, above));
    }
    lines
}

/// Returns a small file beneath `root`, nothing where there is none; links lead within the root.
fn read_beneath(root: &Path, name: &str) -> String {
    let read = || {
        let top = File::open(root)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat2(&top, name, flags, Mode::empty(), ResolveFlags::IN_ROOT)?);
        let mut text = String::new();
        file.take(MAX_TABLE).read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    read().unwrap_or_default()
}

/// Copies a directory of an unpacked image.
fn copy_tree(from: &Path, to: &Path, count: &mut usize) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, lchown, symlink};
    *count += 1;
    if *count > MAX_VOLUME {
        return Err(io::Error::other(format!("a volume has more than {MAX_VOLUME} files")));
    }
    let meta = fs::symlink_metadata(from)?;
    if meta.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if meta.is_dir() {
        DirBuilder::new().mode(0o700).create(to)?;
        #[expect(clippy::disallowed_methods, reason = "the order in which a copy is made reaches no byte of it")]
        let entries = fs::read_dir(from)?;
        for entry in entries {
            let name = entry?.file_name();
            copy_tree(&from.join(&name), &to.join(&name), count)?;
        }
        fs::set_permissions(to, meta.permissions())?;
    } else {
        fs::copy(from, to)?;
    }
    if rustix::process::geteuid().is_root() {
        lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_an_image_is_whoever_runs_it_without_root() {
        assert_eq!(around(0, 1000, (100_000, 65_536)), [(0, 1000, 1), (1, 100_000, 65_536)]);
        assert_eq!(around(5, 1000, (100_000, 10)), [(0, 100_000, 5), (5, 1000, 1), (6, 100_005, 5)]);
        assert_eq!(around(65_532, 1000, (100_000, 10)), [(0, 100_000, 10), (65_532, 1000, 1)]);
    }
}
