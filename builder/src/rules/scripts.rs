//! What is known of maintainer scripts: whole scripts that a rule covers, and the programs that they call.
//!
//! What a program does to files and accounts is derived by `select`; here stands what a derivation covers anyway, and
//! what changes nothing that an image keeps, each with the reason.

/// What a known piece of a maintainer script amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A derivation makes the same state; the text is the rule's name.
    Covered,
    /// Left out on purpose, under the rule of this name; [`left_out`] has the reasons.
    LeftOut,
    /// Changes nothing in a freshly made root that an image keeps; the text is the reason.
    None,
    /// Answers a question, with what nobody can say at build time; the text is the reason.
    Query,
}

/// Packages whose scripts are covered whole, with the rules that cover them and how.
const COVERED: &[(&str, &str, &str)] = &[
    ("base-files", "directories", "directories, os-release and the links of merged-/usr are made by rule"),
    ("base-passwd", "users", "users and groups are read from its masters"),
    ("ca-certificates", "ca-bundle", "bundle and hash links are made by rule"),
    ("ca-certificates-java", "java-keystore", "the keystore is made from the same certificates by rule"),
    ("locales", "left-out", "no locale is chosen on a first installation, and C.utf8 is libc-bin's"),
    ("libc-bin", "ld.so.cache", "the cache and nsswitch.conf are made by rule"),
    ("libc6", "ld.so.cache", "its scripts look after services and old versions"),
    ("tzdata", "localtime", "UTC is set by rule"),
];

/// Programs whose work a derivation does.
const COVERED_COMMANDS: &[(&str, &str)] =
    &[("ldconfig", "ld.so.cache"), ("systemd-tmpfiles", "tmpfiles"), ("update-ca-certificates", "ca-bundle")];

/// Programs whose work an image must not or need not hold, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("configure_version", "a database cluster: `initdb` makes one where the service keeps its data"),
    ("locale-gen", "no locale is chosen on a first installation, and C.utf8 is libc-bin's"),
    ("make-ssl-cert", "a private key: whoever has the image has the key"),
    ("pg_createcluster", "a database cluster: `initdb` makes one where the service keeps its data"),
    ("rndc-confgen", "a secret: whoever has the image has it"),
    ("ssh-keygen", "a private key: whoever has the image has the key"),
    ("update-locale", "the language of a machine's sessions; an image says it in `env:`"),
];

const SERVICE: &str = "an image starts its own program; services, units and timers are a running system's";
const KERNEL: &str = "it speaks to the kernel of the machine that it runs on";
const CACHE: &str = "a cache that is made again, or done without, where it is missing";
const MENU: &str = "a list for people who sit before a machine";
const ACCOUNTING: &str = "state of dpkg, ucf or debconf, which no image keeps";
const QUESTION: &str = "it only asks or answers";
const BOOT: &str = "it prepares a machine to boot";

/// Programs that change nothing that an image keeps.
const HARMLESS: &[(&str, &str)] = &[
    ("/usr/share/postgresql-common/pg_checksystem", QUESTION),
    ("/usr/share/postgresql-common/pg_updateaptconfig", "it tells apt what not to remove"),
    ("aa-disable", KERNEL),
    ("aa-enabled", KERNEL),
    ("add-shell", "it lists a login shell in /etc/shells, which nobody logs in by"),
    ("apache2_msg", "a message"),
    ("apache2_needs_action", QUESTION),
    ("apache2_reload", SERVICE),
    ("apparmor_parser", KERNEL),
    ("dbus-uuidgen", "the identity of one machine, which no two containers share"),
    ("deb-systemd-helper", SERVICE),
    ("deb-systemd-invoke", SERVICE),
    ("depmod", KERNEL),
    ("dpkg-trigger", "what it wakes is read on its own"),
    ("fc-cache", CACHE),
    ("install-info", "the directory of info pages"),
    ("install-docs", "an index of documentation"),
    ("invoke-rc.d", SERVICE),
    ("journalctl", "the catalogue of a running system's journal"),
    ("kill", SERVICE),
    ("killall", SERVICE),
    ("logger", "it writes to a running system's log"),
    ("mandb", "an index of manual pages"),
    ("modprobe", KERNEL),
    ("mv_conffile", ACCOUNTING),
    ("pkill", SERVICE),
    ("php_msg", "a message"),
    ("py3clean", CACHE),
    ("py3compile", CACHE),
    ("pyclean", CACHE),
    ("pycompile", CACHE),
    ("pypy3clean", CACHE),
    ("pypy3compile", CACHE),
    ("remove-shell", "it lists a login shell in /etc/shells, which nobody logs in by"),
    ("restorecon", KERNEL),
    ("rm_conffile", ACCOUNTING),
    ("/usr/lib/runit-helper/runit-helper", SERVICE),
    ("service", SERVICE),
    ("shadowconfig", "no account of an image has a password to move"),
    ("start-stop-daemon", SERVICE),
    ("sysctl", KERNEL),
    ("systemctl", SERVICE),
    ("systemd-hwdb", "udev's database of hardware; no udev runs in an image"),
    ("systemd-machine-id-setup", "the identity of one machine"),
    ("systemd-sysctl", KERNEL),
    ("telinit", SERVICE),
    ("ucfr", ACCOUNTING),
    ("udevadm", KERNEL),
    ("ulimit", "it bounds the script alone"),
    ("update-binfmts", KERNEL),
    ("update-desktop-database", MENU),
    ("update-fonts-alias", "fonts of an X server"),
    ("update-fonts-dir", "fonts of an X server"),
    ("update-fonts-scale", "fonts of an X server"),
    ("update-icon-caches", CACHE),
    ("update-inetd", SERVICE),
    ("update-initramfs", BOOT),
    ("update-grub", BOOT),
    ("update-menus", MENU),
    ("update-motd-updates-available", MENU),
    ("update-rc.d", SERVICE),
    ("update-shells", "it lists login shells in /etc/shells, which nobody logs in by"),
    ("wait", "it waits for what the script started"),
];

/// Programs that only answer, and whose answer is the running machine's.
const QUERIES: &[(&str, &str)] = &[
    ("aa-status", KERNEL),
    ("debconf-show", QUESTION),
    ("deb-systemd-helper-query", QUESTION),
    ("df", KERNEL),
    ("dpkg-vendor", QUESTION),
    ("getopts", QUESTION),
    ("ischroot", QUESTION),
    ("lsmod", KERNEL),
    ("lspci", KERNEL),
    ("mountpoint", KERNEL),
    ("pgrep", QUESTION),
    ("pidof", QUESTION),
    ("ps", QUESTION),
    ("py3versions", QUESTION),
    ("systemd-detect-virt", KERNEL),
];

/// Programs of Essential packages (Debian policy 3.8), which scripts find in every root.
pub const ESSENTIAL: &[&str] = &[
    "awk",
    "base64",
    "basename",
    "bash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "cmp",
    "comm",
    "cp",
    "cut",
    "date",
    "dd",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "debconf-show",
    "df",
    "diff",
    "dirname",
    "dpkg",
    "dpkg-divert",
    "dpkg-maintscript-helper",
    "dpkg-query",
    "dpkg-statoverride",
    "dpkg-trigger",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "fgrep",
    "find",
    "findmnt",
    "getent",
    "getopt",
    "grep",
    "groups",
    "gzip",
    "head",
    "hostname",
    "id",
    "install",
    "invoke-rc.d",
    "ischroot",
    "ldconfig",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mountpoint",
    "mv",
    "nproc",
    "od",
    "perl",
    "printf",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "service",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "su",
    "tail",
    "tar",
    "tee",
    "tempfile",
    "test",
    "touch",
    "tr",
    "true",
    "tty",
    "uname",
    "uniq",
    "update-alternatives",
    "update-rc.d",
    "wc",
    "which",
    "xargs",
    "zcat",
    "useradd",
    "groupadd",
    "usermod",
    "chage",
];

/// Programs that scripts call though no Essential package and no dependency need bring them; where they are missing,
/// the call fails and the script goes on.
const OPTIONAL: &[&str] = &[
    "aa-enabled",
    "apparmor_parser",
    "fc-cache",
    "gtk-update-icon-cache",
    "glib-compile-schemas",
    "install-info",
    "setcap",
    "systemctl",
    "systemd-hwdb",
    "systemd-sysusers",
    "systemd-tmpfiles",
    "udevadm",
    "update-binfmts",
    "update-desktop-database",
    "update-icon-caches",
    "update-inetd",
    "update-initramfs",
    "update-menus",
    "update-mime-database",
    "mandb",
];

/// Files that scripts read for functions which are known here by name.
const LIBRARIES: &[&str] = &[
    "/usr/lib/php/php-maintscript-helper",
    "/usr/share/apache2/apache2-maintscript-helper",
    "/usr/share/debconf/confmodule",
    "/usr/share/postgresql-common/maintscripts-functions",
];

/// Returns whether a file that a script reads holds nothing but functions that are known by name.
pub fn is_known_library(path: &str) -> bool {
    LIBRARIES.contains(&path)
}

/// Returns what covers all scripts of the package, where a rule does: the rule, and how.
pub fn covered_by(package: &str) -> Option<(&'static str, &'static str)> {
    COVERED.iter().find(|(name, ..)| *name == package).map(|(_, rule, how)| (*rule, *how))
}

/// Returns what is known of a program, by its name without the directory of programs.
pub fn command(name: &str) -> Option<(Effect, &'static str)> {
    let find = |table: &'static [(&str, &'static str)], effect| {
        table.iter().find(|(known, _)| *known == name).map(|(_, text)| (effect, *text))
    };
    find(COVERED_COMMANDS, Effect::Covered)
        .or_else(|| find(LEFT_OUT, Effect::LeftOut))
        .or_else(|| find(HARMLESS, Effect::None))
        .or_else(|| find(QUERIES, Effect::Query))
}

/// Returns whether a script goes on where this program is missing.
pub fn is_absent_without_package(name: &str) -> bool {
    OPTIONAL.contains(&name)
}

/// Returns every program whose work is left out on purpose, with the reason.
pub fn left_out() -> impl Iterator<Item = (&'static str, &'static str)> {
    LEFT_OUT.iter().copied()
}

/// Returns every program that changes nothing that an image keeps, with the reason; for the documentation.
pub fn harmless() -> impl Iterator<Item = (&'static str, &'static str)> {
    HARMLESS.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_stands_in_one_table_with_a_reason() {
        let all: Vec<&str> =
            COVERED_COMMANDS.iter().chain(LEFT_OUT).chain(HARMLESS).chain(QUERIES).map(|(name, _)| *name).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), all.len());
        assert!(harmless().chain(left_out()).all(|(_, reason)| reason.len() > 8 && !reason.ends_with('.')));
        assert_eq!(command("ldconfig"), Some((Effect::Covered, "ld.so.cache")));
        assert_eq!(command("gdk-pixbuf-query-loaders"), None);
    }
}
