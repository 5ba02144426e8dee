//! Packages, and dependencies, that exist for maintainer scripts alone. No script is ever run, so they fall away.
//!
//! A package that is reached only through these is script-only as well; the walk is the resolver's.

/// Packages whose every use by another package is in a maintainer script or an init script.
const PACKAGES: &[&str] = &[
    "adduser",
    "cdebconf",
    "dbconfig-common",
    "dbconfig-mysql",
    "dbconfig-no-thanks",
    "dbconfig-pgsql",
    "dbconfig-sqlite3",
    "debconf",
    "dpkg",
    "emacsen-common",
    "init-system-helpers",
    "install-info",
    "libdebconfclient0",
    "lsb-base",
    "opensysusers",
    "systemd-standalone-sysusers",
    "systemd-standalone-tmpfiles",
    "sysvinit-utils",
    "ucf",
    "update-inetd",
];

/// Packages none of whose dependencies serve what is kept of them: their files are data that tarsia itself reads.
const DATA_ONLY: &[&str] = &["base-files", "base-passwd"];

/// Dependencies (of, on) that only the first one's maintainer scripts use.
const EDGES: &[(&str, &str)] = &[
    // update-shells, for /etc/shells.
    ("bash", "base-files"),
    ("bash", "debianutils"),
    ("dash", "debianutils"),
    // `ss`, by which its postinst looks for another server on port 80.
    ("nginx", "iproute2"),
    // `mountpoint`, by which its postinst looks for /proc.
    ("openjdk-17-jre-headless", "util-linux"),
    ("openjdk-21-jre-headless", "util-linux"),
    ("openjdk-25-jre-headless", "util-linux"),
];

/// Returns whether the package `name` serves maintainer scripts alone.
pub fn is_script_only(name: &str) -> bool {
    PACKAGES.binary_search(&name).is_ok()
}

/// Returns whether the dependency of `package` on `dependency` serves maintainer scripts alone.
pub fn is_script_only_dependency(package: &str, dependency: &str) -> bool {
    DATA_ONLY.contains(&package) || EDGES.contains(&(package, dependency)) || is_script_only(dependency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_finds_its_entries() {
        assert!(PACKAGES.is_sorted());
        assert!(PACKAGES.iter().all(|name| is_script_only(name)));
        assert!(!is_script_only("perl-base"));
        assert!(is_script_only_dependency("base-files", "mawk"));
        assert!(is_script_only_dependency("dash", "debianutils"));
        assert!(is_script_only_dependency("openjdk-21-jre-headless", "util-linux"));
        assert!(!is_script_only_dependency("openjdk-21-jre-headless", "libc6"));
        assert!(!is_script_only_dependency("dash", "libc6"));
        assert!(!is_script_only_dependency("mawk", "libc6"));
    }
}
