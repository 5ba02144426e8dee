//! What is known of maintainer scripts: whole scripts that a rule covers, debhelper's snippets, commands without an
//! effect in a fresh root.

/// What a known piece of a maintainer script amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A derivation makes the same state.
    Covered,
    /// Changes nothing in a freshly made root, or nothing that an image keeps.
    None,
}

/// Packages whose scripts are covered whole, with what covers them.
const COVERED: &[(&str, &str)] = &[
    ("base-files", "directories, os-release"),
    ("base-passwd", "users"),
    ("ca-certificates", "ca-bundle"),
    ("libc-bin", "ld.so.cache, nsswitch"),
    ("libc6", "ld.so.cache"),
    ("tzdata", "localtime"),
];

/// debhelper's snippets by the tool that adds them (`# Automatically added by dh_…`).
const SNIPPETS: &[(&str, Effect)] = &[
    ("dh_makeshlibs", Effect::Covered),
    ("dh_python3", Effect::None),
    ("dh_python2", Effect::None),
    ("dh_pypy", Effect::None),
    ("dh_installdeb", Effect::None),
    ("dh_installdebconf", Effect::None),
    ("dh_installdocs", Effect::None),
    ("dh_installinit", Effect::None),
    ("dh_installsystemd", Effect::None),
    ("dh_installsystemduser", Effect::None),
    ("dh_systemd_enable", Effect::None),
    ("dh_systemd_start", Effect::None),
    ("dh_installmenu", Effect::None),
    ("dh_installmime", Effect::None),
    ("dh_icons", Effect::None),
    ("dh_installxfonts", Effect::None),
    ("dh_installudev", Effect::None),
    ("dh_apparmor", Effect::None),
    ("dh_ucf", Effect::None),
    ("dh_installman", Effect::None),
    ("dh_installemacsen", Effect::None),
];

/// Command words that change nothing in a fresh root, or nothing that an image keeps.
const HARMLESS: &[&str] = &[
    ":",
    "[",
    "break",
    "cd",
    "continue",
    "db_get",
    "db_input",
    "db_go",
    "db_purge",
    "db_reset",
    "db_set",
    "db_stop",
    "db_title",
    "db_version",
    "db_capb",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "dpkg-maintscript-helper",
    "dpkg-trigger",
    "echo",
    "exit",
    "export",
    "false",
    "invoke-rc.d",
    "ldconfig",
    "local",
    "printf",
    "py3clean",
    "py3compile",
    "pyclean",
    "pycompile",
    "py3versions",
    "read",
    "return",
    "rm_conffile",
    "mv_conffile",
    "set",
    "shift",
    "systemctl",
    "systemd-sysctl",
    "test",
    "trap",
    "true",
    "udevadm",
    "umask",
    "unset",
    "update-mime-database",
    "update-desktop-database",
    "update-rc.d",
    "which",
];

/// Returns what covers all scripts of the package, where a rule does.
pub fn covered_by(package: &str) -> Option<&'static str> {
    COVERED.iter().find(|(name, _)| *name == package).map(|(_, rule)| *rule)
}

/// Returns what a debhelper snippet amounts to; `None` where its lines must be read.
pub fn snippet(tool: &str) -> Option<Effect> {
    SNIPPETS.iter().find(|(name, _)| *name == tool).map(|(_, effect)| *effect)
}

/// Returns whether a command has no effect in a fresh root.
pub fn is_harmless(command: &str) -> bool {
    HARMLESS.contains(&command.rsplit_once('/').map_or(command, |(_, name)| name))
}
