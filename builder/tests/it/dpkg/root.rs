//! Roots that real dpkg configures: the Essential packages of a release, and a locked set on top of them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use tarsia::fetch::apt_sources::{AptSource, parse_deb822, parse_list};
use tarsia::lock::LockedPackage;

use crate::container::must;
use crate::program::names;

/// How long a root of the Essential packages is used again.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What stands for an init system: without it no script's `systemd-sysusers` or `systemd-tmpfiles` would do anything,
/// and the root would lack what every machine has.
const STAND_INS: &str = "systemd-standalone-sysusers,systemd-standalone-tmpfiles";

/// Says what is missing for this test on this machine.
pub(super) fn missing() -> Option<&'static str> {
    let has = |program: &str| Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let has = |program: &str| has(program).is_ok_and(|output| output.status.success());
    if !rustix::process::geteuid().is_root() {
        Some("it needs root")
    } else {
        [
            ("mmdebstrap", "mmdebstrap is not installed"),
            ("dpkg", "dpkg is not installed"),
            ("unshare", "unshare is not installed"),
        ]
        .into_iter()
        .find_map(|(program, why)| (!has(program)).then_some(why))
    }
}

/// Returns a root in which dpkg has configured the Essential packages of a release, made once a day.
pub(super) fn essential(suite: &str) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dpkg-roots");
    std::fs::create_dir_all(&home).unwrap();
    let root = home.join(suite);
    if let Ok(meta) = root.join(".made").metadata() {
        if meta.modified().unwrap().elapsed().is_ok_and(|age| age < DAY) {
            return root;
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
    let making = tempfile::tempdir_in(&home).unwrap();
    let made = making.path().join("root");
    let (main, security) = mirrors();
    must(
        Command::new("mmdebstrap")
            .args(["--quiet", "--variant=essential", "--mode=root", "--architectures=amd64"])
            .arg(format!("--include={STAND_INS}"))
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            .arg(suite)
            .arg(&made)
            .arg(format!("deb {main} {suite} main"))
            .arg(format!("deb {main} {suite}-updates main"))
            .arg(format!("deb {security} {suite}-security main")),
    );
    // What stands in for a boot came too late for the packages before it.
    boot(&made);
    let policy = made.join("usr/sbin/policy-rc.d");
    std::fs::write(&policy, "#!/bin/sh\nexit 101\n").unwrap();
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(made.join(".made"), "").unwrap();
    std::fs::rename(&made, &root).unwrap();
    root
}

/// Returns the machine's own mirrors of Debian and of its security updates.
fn mirrors() -> (String, String) {
    let apt = Path::new("/etc/apt");
    let mut sources = parse_list(&std::fs::read_to_string(apt.join("sources.list")).unwrap_or_default());
    for name in names(&apt.join("sources.list.d")) {
        let text = std::fs::read_to_string(apt.join("sources.list.d").join(&name)).unwrap_or_default();
        sources.extend(if name.ends_with(".sources") { parse_deb822(&text) } else { parse_list(&text) });
    }
    let find = |wanted: &dyn Fn(&AptSource) -> bool| {
        sources.iter().find(|source| wanted(source)).and_then(|source| source.uris.first().cloned())
    };
    let updates = |source: &AptSource| source.suites.iter().any(|suite| suite.ends_with("-updates"));
    let security = |source: &AptSource| source.suites.iter().any(|suite| suite.ends_with("-security"));
    let main = find(&updates).expect("this machine's apt has a source of Debian");
    let security = find(&security).unwrap_or_else(|| format!("{}-security", main.trim_end_matches('/')));
    (main, security)
}

/// Copies `essential` to `root`, and has dpkg install and configure the set there, each package by its `.deb`.
pub(super) fn configure(essential: &Path, root: &Path, set: &[(&LockedPackage, PathBuf)]) {
    must(Command::new("cp").arg("-a").arg(essential).arg(root));
    let there =
        must(Command::new("dpkg-query").arg(format!("--admindir={}", root.join("var/lib/dpkg").display())).args([
            "-W",
            "-f",
            "${Package} ${Version}\n",
        ]));
    let there: BTreeSet<&str> = there.lines().collect();
    let new: Vec<_> =
        set.iter().filter(|(package, _)| !there.contains(&*format!("{} {}", package.name, package.version))).collect();
    if new.is_empty() {
        return;
    }
    let debs = root.join("set");
    std::fs::create_dir(&debs).unwrap();
    let mut before: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (package, deb) in &new {
        std::fs::copy(deb, debs.join(format!("{}.deb", package.name))).unwrap();
        let field = must(Command::new("dpkg-deb").arg("-f").arg(deb).arg("Pre-Depends"));
        let names = field.split([',', '|']).filter_map(|one| one.split_whitespace().next());
        before.insert(&package.name, names.map(|name| name.split(':').next().unwrap_or(name).to_owned()).collect());
    }
    // Pre-Depends first, and configured (Debian policy 7.2); all else is dpkg's own order. What cannot be configured
    // before the last round waits for it.
    let mut commands = String::new();
    if before.contains_key("systemd") {
        commands.push_str(&format!("dpkg --purge {}\n", STAND_INS.replace(',', " ")));
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < new.len() {
        let ready = |name: &&&str| {
            !done.contains(**name)
                && before[**name].iter().all(|other| !before.contains_key(&**other) || done.contains(&**other))
        };
        let next: Vec<&str> = before.keys().filter(ready).copied().collect();
        assert!(!next.is_empty(), "Pre-Depends lead in a circle");
        let files: Vec<String> = next.iter().map(|name| format!("/set/{name}.deb")).collect();
        done.extend(next);
        let rest = if done.len() < new.len() { " || true" } else { "" };
        commands.push_str(&format!("dpkg --force-unsafe-io --unpack {}\n", files.join(" ")));
        commands.push_str(&format!("dpkg --force-unsafe-io --configure --pending{rest}\n"));
    }
    std::fs::write(debs.join("install"), format!("set -e\n{commands}")).unwrap();
    enter(root, "sh /set/install");
    std::fs::remove_dir_all(&debs).unwrap();
    boot(root);
}

/// Does in a root what tmpfiles.d asks for, by the root's own program, whose statuses 65 and 73 (sysexits.h) stand for
/// lines that a root without a kernel of its own cannot do.
fn boot(root: &Path) {
    enter(root, "systemd-tmpfiles --create || test $? = 65 -o $? = 73");
}

/// Runs a command of a shell in a root, with its own `/proc` and nothing of the caller's environment; it must succeed.
fn enter(root: &Path, command: &str) {
    let script = format!(
        "set -e; mount -t proc proc {root}/proc; umask 022; exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
         LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true chroot {root} sh -c '{command}'",
        root = root.display(),
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
