//! The one place that reads the environment, the clock and the machine.

#![expect(clippy::disallowed_methods, reason = "the environment is read here, once, and handed down as values")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tarsia::container::Machine;
use tarsia::fetch::Credentials;
use tarsia::load::Engines;
use tarsia::ops::ScanInput;
use tarsia::registry::CredentialFiles;
use tarsia::spec::Platform;
use zeroize::Zeroizing;

/// What programs that write to containers-storage read beside `PATH`: who and where the user is, where the storage is,
/// and whether this is inside of `podman unshare` already.
const STORAGE: [&str; 17] = [
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "CONTAINERS_CONF",
    "CONTAINERS_CONF_OVERRIDE",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "_CONTAINERS_ROOTLESS_GID",
    "_CONTAINERS_ROOTLESS_UID",
    "_CONTAINERS_USERNS_CONFIGURED",
];

/// Everything that the program knows beside its arguments, as plain values.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Seconds since 1970-01-01 UTC; decides on `Valid-Until` alone and reaches no byte.
    pub(crate) now: i64,
    /// The user's cache directory (XDG base directory specification), where one is known.
    pub(crate) cache: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH` as it stands.
    pub(crate) source_date_epoch: Option<OsString>,
    /// The platform that this program runs on, where it is one that images are built for.
    pub(crate) platform: Option<Platform>,
    /// Threads that the machine runs at once; at least 1.
    pub(crate) threads: u32,
    /// Standard error is a terminal.
    pub(crate) terminal: bool,
    /// Standard output is a terminal.
    pub(crate) answers_terminal: bool,
    /// Messages may be coloured.
    pub(crate) colour: bool,
    /// The machine's apt sources, sorted by path: file name and text. `.list` is the one-line format, `.sources` deb822.
    pub(crate) apt_sources: Vec<(String, String)>,
    /// Logins for private archives: `NETRC` or `.netrc` in the home directory, then apt's `auth.conf`.
    pub(crate) credentials: Credentials,
    /// Logins for registries: `REGISTRY_AUTH_FILE` or podman's own files, then Docker's.
    pub(crate) registries: CredentialFiles,
    /// `COSIGN_PASSWORD`, which opens encrypted keys; an empty one is one.
    pub(crate) password: Option<Secret>,
    /// The socket of the user's ssh-agent.
    pub(crate) agent: Option<PathBuf>,
    /// Where container engines may be.
    pub(crate) engines: Engines,
    /// What runs containers here.
    pub(crate) containers: Machine,
    /// Where files that nobody else needs may be made.
    pub(crate) temporary: PathBuf,
    /// What BuildKit wants of this process, where it has started it.
    pub(crate) buildkit: BuildKit,
    /// Numbers of the signals that this process was started to ignore, as `nohup` does with SIGHUP.
    pub(crate) ignored_signals: Vec<i32>,
}

impl Environment {
    /// Reads all of it.
    pub(crate) fn read() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let terminal = std::io::stderr().is_terminal();
        Self {
            now: match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
            },
            cache: cache(variable("XDG_CACHE_HOME"), variable("HOME")),
            source_date_epoch: variable("SOURCE_DATE_EPOCH"),
            platform: match std::env::consts::ARCH {
                "x86_64" => Some(Platform::Amd64),
                "aarch64" => Some(Platform::Arm64),
                _ => None,
            },
            threads: std::thread::available_parallelism()
                .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
            terminal,
            answers_terminal: std::io::stdout().is_terminal(),
            colour: terminal && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|name| name != "dumb"),
            apt_sources: apt_sources(Path::new("/etc/apt")),
            credentials: credentials(variable("NETRC"), variable("HOME"), Path::new("/etc/apt")),
            containers: containers(&variable),
            registries: registries(&variable),
            password: Self::secret("COSIGN_PASSWORD"),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
            engines: engines(&variable),
            temporary: std::env::temp_dir(),
            buildkit: BuildKit::read(&variable),
            ignored_signals: std::fs::read_to_string("/proc/self/status")
                .map_or_else(|_| Vec::new(), |status| ignored_signals(&status)),
        }
    }
}

/// What BuildKit tells a program that it starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildKit {
    /// Root file systems to scan (BuildKit, `docs/attestations/sbom-protocol.md`).
    pub(crate) scan: Option<ScanInput>,
    /// What a frontend is asked for (BuildKit, `frontend/gateway`).
    pub(crate) frontend: Option<Frontend>,
}

/// What BuildKit's gateway tells a frontend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frontend {
    /// Options of the client, by key.
    pub(crate) options: BTreeMap<String, String>,
    /// The definition of the frontend's own image, where BuildKit tells it.
    pub(crate) image: Option<Vec<u8>>,
}

/// Where BuildKit puts the definition of the image that it has started.
const FRONTEND_IMAGE: &str = "/run/config/buildkit/metadata/frontend.bin";
/// The most bytes of that.
const MAX_FRONTEND_IMAGE: u64 = 16 << 20;

impl BuildKit {
    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).map(PathBuf::from);
        let scan = path("BUILDKIT_SCAN_DESTINATION").zip(path("BUILDKIT_SCAN_SOURCE"));
        let extras = path("BUILDKIT_SCAN_SOURCE_EXTRAS");
        let frontend = variable("BUILDKIT_SESSION_ID").map(|_| Frontend::read(std::env::vars_os()));
        Self { scan: scan.map(|(destination, source)| ScanInput { destination, source, extras }), frontend }
    }
}

impl Frontend {
    /// Reads `BUILDKIT_FRONTEND_OPT_n=key=value` and the definition of the image.
    fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let numbered = variables.filter(|(name, _)| name.to_string_lossy().starts_with("BUILDKIT_FRONTEND_OPT_"));
        let options = numbered.map(|(_, value)| {
            let value = value.to_string_lossy().into_owned();
            match value.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None => (value, String::new()),
            }
        });
        let mut image = Vec::new();
        let read =
            std::fs::File::open(FRONTEND_IMAGE).and_then(|file| file.take(MAX_FRONTEND_IMAGE).read_to_end(&mut image));
        Self { options: options.collect(), image: read.is_ok().then_some(image) }
    }
}

/// A text that is overwritten when it is dropped, and has no printed form.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Environment {
    /// Reads a variable that the user names as the place of a secret; `None` where it is not set, or no text.
    pub(crate) fn secret(name: &str) -> Option<Secret> {
        std::env::var(name).ok().map(|text| Secret(Zeroizing::new(text)))
    }
}

/// Returns the cache directory. A relative `XDG_CACHE_HOME` is invalid and left out of account, as the XDG base directory
/// specification asks.
fn cache(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    xdg.map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(PathBuf::from).filter(|path| path.is_absolute()).map(|home| home.join(".cache")))
}

/// Returns where container engines may be.
fn engines(variable: &dyn Fn(&str) -> Option<OsString>) -> Engines {
    let path = variable("PATH").unwrap_or_default();
    let mut environment = vec![("PATH".into(), path.clone()), ("LC_ALL".into(), "C".into())];
    environment.extend(STORAGE.iter().filter_map(|name| Some(((*name).into(), variable(name)?))));
    let mut docker_sockets = vec![PathBuf::from("/var/run/docker.sock")];
    docker_sockets.extend(variable("XDG_RUNTIME_DIR").map(|directory| PathBuf::from(directory).join("docker.sock")));
    Engines {
        docker_host: variable("DOCKER_HOST").map(|value| value.to_string_lossy().into_owned()),
        docker_sockets,
        search: std::env::split_paths(&path).filter(|directory| directory.is_absolute()).collect(),
        environment,
    }
}

/// What programs that run containers read beside `PATH`.
const RUNTIMES: [&str; 8] =
    ["HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "CONTAINERS_CONF"];

/// Returns what this machine has to run containers with.
fn containers(variable: &dyn Fn(&str) -> Option<OsString>) -> Machine {
    let path = variable("PATH").unwrap_or_default();
    let mut environment = vec![("PATH".into(), path.clone()), ("LC_ALL".into(), "C".into())];
    environment.extend(RUNTIMES.iter().filter_map(|name| Some(((*name).into(), variable(name)?))));
    let search: Vec<PathBuf> = std::env::split_paths(&path).filter(|directory| directory.is_absolute()).collect();
    // Ranges of numbers are mapped by these two alone.
    let mapped = ["newuidmap", "newgidmap"].iter().all(|name| search.iter().any(|place| place.join(name).is_file()));
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_default();
    let range = |file: &str| subordinate(&std::fs::read_to_string(file).ok()?, &user.to_string_lossy());
    let emulated = [(Platform::Amd64, "qemu-x86_64"), (Platform::Arm64, "qemu-aarch64")].into_iter();
    Machine {
        search,
        environment,
        temporary: std::env::temp_dir(),
        emulated: emulated.filter(|(_, name)| emulates(name)).map(|(platform, _)| platform).collect(),
        subordinate: range("/etc/subuid").zip(range("/etc/subgid")).filter(|_| mapped),
    }
}

/// Returns a user's first range of subordinate numbers (subuid(5)).
fn subordinate(table: &str, user: &str) -> Option<(u32, u32)> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, first, count) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (name == user && !user.is_empty()).then_some((first, count))
    })
}

/// Returns whether an emulator of that name is registered with the kernel, held open so that it works in containers too
/// (flag `F` of binfmt_misc).
fn emulates(name: &str) -> bool {
    let entry = std::fs::read_to_string(Path::new("/proc/sys/fs/binfmt_misc").join(name)).unwrap_or_default();
    let flags = entry.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    entry.starts_with("enabled") && flags.contains('F')
}

/// Returns the signals that are ignored according to `/proc/PID/status` (proc(5), `SigIgn`).
fn ignored_signals(status: &str) -> Vec<i32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

/// Reads `sources.list` and what stands in `sources.list.d` below `apt`. What is not there, or cannot be read, is no
/// source: mirrors of the machine are a convenience.
fn apt_sources(apt: &Path) -> Vec<(String, String)> {
    let mut paths = vec![apt.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(apt.join("sources.list.d")) {
        paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "list" || end == "sources"));
    paths.sort();
    let read = |path: PathBuf| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?));
    paths.into_iter().filter_map(read).collect()
}

/// Reads the files that hold logins, in the order in which they count. One that cannot be read holds none.
fn credentials(netrc: Option<OsString>, home: Option<OsString>, apt: &Path) -> Credentials {
    let own = netrc.map(PathBuf::from).or_else(|| home.map(|home| Path::new(&home).join(".netrc")));
    let mut paths: Vec<PathBuf> = own.into_iter().collect();
    paths.push(apt.join("auth.conf"));
    let mut parts: Vec<PathBuf> = match std::fs::read_dir(apt.join("auth.conf.d")) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => Vec::new(),
    };
    parts.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    parts.sort();
    let mut credentials = Credentials::default();
    for text in paths.into_iter().chain(parts).filter_map(|path| std::fs::read_to_string(path).ok()) {
        credentials.add(&text);
    }
    credentials
}

/// Reads the files that hold logins for registries, in the order in which they count (containers-auth.json(5), `docker
/// login`). One that cannot be read holds none.
fn registries(variable: &dyn Fn(&str) -> Option<OsString>) -> CredentialFiles {
    let directory = |name: &str| variable(name).map(PathBuf::from);
    let mut paths = Vec::new();
    match directory("REGISTRY_AUTH_FILE") {
        Some(path) => paths.push(path),
        None => {
            paths.extend(directory("XDG_RUNTIME_DIR").map(|place| place.join("containers/auth.json")));
            let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")));
            paths.extend(config.map(|place| place.join("containers/auth.json")));
        }
    }
    let docker = directory("DOCKER_CONFIG").or_else(|| Some(directory("HOME")?.join(".docker")));
    paths.extend(docker.map(|place| place.join("config.json")));
    let read = |path: PathBuf| Some((path.display().to_string(), std::fs::read_to_string(path).ok()?));
    CredentialFiles::new(paths.into_iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_xdg_and_then_home() {
        let path = |text: &str| Some(OsString::from(text));
        assert_eq!(cache(path("/x"), path("/h")), Some("/x".into()));
        assert_eq!(cache(path("x"), path("/h")), Some("/h/.cache".into()));
        assert_eq!(cache(None, path("/h")), Some("/h/.cache".into()));
        assert_eq!(cache(None, None), None);
    }

    #[test]
    fn logins_come_from_netrc_first_and_then_from_apt() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("auth.conf.d")).unwrap();
        for (name, text) in [
            (".netrc", "machine a.example login one password 1"),
            ("auth.conf", "machine a.example login two password 2\nmachine b.example login three password 3"),
            ("auth.conf.d/x.conf", "machine c.example login four password 4"),
            ("auth.conf.d/x.conf.bak", "machine d.example login five password 5"),
        ] {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        let read = |netrc: Option<OsString>| credentials(netrc, Some(place.path().into()), place.path());
        let users = |credentials: &Credentials| {
            let of = |host: &str| credentials.of(&format!("https://{host}.example/")).map(|login| login.user.clone());
            ["a", "b", "c", "d"].map(|host| of(host).unwrap_or_default()).join(" ")
        };
        assert_eq!(users(&read(None)), "one three four ");
        assert_eq!(users(&read(Some(place.path().join("none").into()))), "two three four ");
    }

    #[test]
    fn subordinate_numbers_are_the_user_s_own() {
        let table = "root:1:2\nme:100000:65536\nme:1:1\n";
        assert_eq!(subordinate(table, "me"), Some((100_000, 65_536)));
        assert_eq!(
            (subordinate(table, "you"), subordinate(":1:2", ""), subordinate("me:x:1", "me")),
            (None, None, None)
        );
    }

    #[test]
    fn logins_for_registries_come_from_podman_first_and_then_from_docker() {
        let place = tempfile::tempdir().unwrap();
        let files =
            ["one", "run/containers/auth.json", "home/.config/containers/auth.json", "home/.docker/config.json"];
        for (number, name) in files.iter().enumerate() {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{{\"auths\":{{\"{number}.example\":{{}}}}}}")).unwrap();
        }
        let read = |set: &[(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(own, _)| *own == name).map(|(_, path)| place.path().join(path).into());
            let shown = format!("{:?}", registries(&variable));
            files.into_iter().filter(|name| shown.contains(&format!("/{name}\""))).collect::<Vec<_>>()
        };
        assert_eq!(read(&[("HOME", "home"), ("XDG_RUNTIME_DIR", "run")]), files[1..]);
        assert_eq!(read(&[("HOME", "home"), ("REGISTRY_AUTH_FILE", "one")]), [files[0], files[3]]);
        assert_eq!(read(&[("DOCKER_CONFIG", "home/.docker")]), [files[3]]);
        assert!(read(&[]).is_empty());
    }

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        assert_eq!(ignored_signals("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), [1, 13]);
        assert!(ignored_signals("").is_empty());
    }

    #[test]
    fn options_of_a_frontend_are_the_numbered_ones() {
        let variables = [
            ("BUILDKIT_FRONTEND_OPT_0", "filename=web.yaml"),
            ("BUILDKIT_FRONTEND_OPT_12", "build-arg:mirror=debian=https://m.example.org/?a=b"),
            ("BUILDKIT_FRONTEND_OPT_2", "no-cache"),
            ("BUILDKIT_WORKERS", "[]"),
        ];
        let read = Frontend::read(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        let all: Vec<String> = read.options.iter().map(|(key, value)| format!("{key} → {value}")).collect();
        assert_eq!(all, ["build-arg:mirror → debian=https://m.example.org/?a=b", "filename → web.yaml", "no-cache → "]);
    }

    #[test]
    fn apt_sources_are_sorted_and_other_files_are_left_alone() {
        let apt = tempfile::tempdir().unwrap();
        assert_eq!(apt_sources(apt.path()), []);
        std::fs::create_dir(apt.path().join("sources.list.d")).unwrap();
        for name in ["sources.list.d/b.sources", "sources.list.d/a.list", "sources.list.d/c.list.bak", "sources.list"] {
            std::fs::write(apt.path().join(name), name).unwrap();
        }
        let names: Vec<_> = apt_sources(apt.path()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(names, ["sources.list", "sources.list.d/a.list", "sources.list.d/b.sources"]);
    }
}
