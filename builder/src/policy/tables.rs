//! What shells, package managers and secrets look like. Every line was held against real packages.

use crate::spec::Finding;

/// Names of shells in a directory of programs.
pub(super) const SHELLS: &[&str] = &[
    "ash",
    "bash",
    "bash-static",
    "bsd-csh",
    "busybox",
    "csh",
    "dash",
    "elvish",
    "fish",
    "ksh",
    "ksh93",
    "lksh",
    "mksh",
    "mksh-static",
    "nu",
    "posh",
    "pwsh",
    "rbash",
    "rc",
    "sash",
    "sh",
    "static-sh",
    "tcsh",
    "toybox",
    "yash",
    "zsh",
    "zsh-static",
    "zsh5",
];

/// Names of programs that install packages into the system.
pub(super) const PACKAGE_MANAGERS: &[&str] = &[
    "apk",
    "apt",
    "apt-get",
    "aptitude",
    "dnf",
    "dnf5",
    "dpkg",
    "dpkg-deb",
    "emerge",
    "flatpak",
    "guix",
    "microdnf",
    "nix-env",
    "opkg",
    "pacman",
    "rpm",
    "snap",
    "tdnf",
    "xbps-install",
    "yum",
    "zypper",
];

/// Texts that stand in an ELF program of this kind and, as far as Debian goes, in no other: (text, kind, name).
pub(super) const PROGRAMS: &[(&str, Finding, &str)] = &[
    ("@(#)Bash version ", Finding::Shell, "bash"),
    // dash, and every other child of the Almquist shell.
    ("EOF in backquote substitution", Finding::Shell, "dash"),
    ("BusyBox is a multi-call binary", Finding::Shell, "busybox"),
    ("see toybox --help", Finding::Shell, "toybox"),
    ("zwc file has wrong version", Finding::Shell, "zsh"),
    ("KSH_VERSION=", Finding::Shell, "ksh"),
    ("$< line too long", Finding::Shell, "csh"),
    ("print the version shell variable and exit", Finding::Shell, "tcsh"),
    ("Yet another shell, version", Finding::Shell, "yash"),
    ("Stand-alone shell (version", Finding::Shell, "sash"),
    ("package management program version", Finding::PackageManager, "dpkg"),
    ("libapt-private.so", Finding::PackageManager, "apt"),
    ("RPM version %s", Finding::PackageManager, "rpm"),
    ("libalpm.so", Finding::PackageManager, "pacman"),
];

/// What may follow a token's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// `A`–`Z`, `2`–`7` (RFC 4648 base32).
    Base32,
    /// Letters and digits.
    Word,
    /// Letters, digits, `_` and `-`.
    Url,
}

impl Alphabet {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Self::Word => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
        }
    }
}

/// Tokens: prefix, alphabet and number of the characters behind it (the least one where they are not fixed), whether
/// that is all of it, and what it is.
pub(super) const TOKENS: &[(&str, Alphabet, usize, bool, &str)] = &[
    ("AKIA", Alphabet::Base32, 16, true, "an access key of AWS"),
    ("ASIA", Alphabet::Base32, 16, true, "an access key of AWS"),
    ("ghp_", Alphabet::Word, 36, true, "a token of GitHub"),
    ("gho_", Alphabet::Word, 36, true, "a token of GitHub"),
    ("ghu_", Alphabet::Word, 36, true, "a token of GitHub"),
    ("ghs_", Alphabet::Word, 36, true, "a token of GitHub"),
    ("ghr_", Alphabet::Word, 36, true, "a token of GitHub"),
    ("github_pat_", Alphabet::Url, 82, true, "a token of GitHub"),
    ("glpat-", Alphabet::Url, 20, false, "a token of GitLab"),
    ("npm_", Alphabet::Word, 36, true, "a token of npm"),
    ("pypi-AgEIcHlwaS5vcmc", Alphabet::Url, 50, false, "a token of PyPI"),
    ("dckr_pat_", Alphabet::Url, 27, true, "a token of Docker"),
    ("sk_live_", Alphabet::Word, 24, false, "a key of Stripe"),
    ("AGE-SECRET-KEY-1", Alphabet::Word, 58, true, "a private key of age"),
];

/// What begins a private key or a certificate (RFC 7468).
pub(super) const PEM: &str = "-----BEGIN ";
/// What begins a private key of PuTTY.
pub(super) const PUTTY: &str = "PuTTY-User-Key-File-";

/// Files that are made to hold passwords: the end of the path, texts that must stand in the first 64 KiB, and what it
/// is.
pub(super) const NAMED: &[(&str, &[&str], &str)] = &[
    (".netrc", &["password"], "passwords of servers"),
    (".git-credentials", &["://", "@"], "passwords of git"),
    (".pgpass", &[":"], "passwords of PostgreSQL"),
    (".npmrc", &["_auth"], "a token of npm"),
    (".pypirc", &["password"], "a password of PyPI"),
    (".aws/credentials", &["aws_secret_access_key"], "an access key of AWS"),
    (".docker/config.json", &["\"auth\""], "passwords of registries"),
    (".dockercfg", &["\"auth\""], "passwords of registries"),
    ("containers/auth.json", &["\"auth\""], "passwords of registries"),
    (".vault-token", &[], "a token of Vault"),
];

/// Variables that are made to hold secrets.
pub(super) const VARIABLES: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "DOCKER_PASSWORD",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "MYSQL_PASSWORD",
    "MYSQL_ROOT_PASSWORD",
    "NPM_TOKEN",
    "PGPASSWORD",
    "POSTGRES_PASSWORD",
    "VAULT_TOKEN",
];

/// Private keys that everybody has: the first line of the body, and whose they are.
pub(super) const TEST_KEYS: &[(&str, &str)] = &[
    ("MEcCAQAwBQYDK2VxBDsEOcUwM3PlIVddDpjHbTANVDGN82jtXJNMbq1oy5u5iJTe", "the self-tests of GnuTLS"),
    ("MC4CAQAwBQYDK2VwBCIEIH4WeqmZGZQlSY/8H85ZZimVd26h6I68gFNyBvyh3Vcy", "the self-tests of GnuTLS"),
    ("MGoCAQAwIQYIKoUDBwEBAQIwFQYJKoUDBwECAQIBBggqhQMHAQECAwRCBECjFpvp", "the self-tests of GnuTLS"),
    ("MEgCAQAwHwYIKoUDBwEBAQEwEwYHKoUDAgIjAQYIKoUDBwEBAgIEIgQgKOF96tom", "the self-tests of GnuTLS"),
    ("MEUCAQAwHAYGKoUDAgITMBIGByqFAwICIwEGByqFAwICHgEEIgQgdNfuHGmmTdPm", "the self-tests of GnuTLS"),
    ("MHcCAQEEIPAKWV7+pZe9c5EubMNfAEKWRQtP/MvlO9HehwHmJssNoAoGCCqGSM49", "the self-tests of GnuTLS"),
    ("MIIDTQIBAAKCAQEAh60B6yPMRIT7udq2kKuwnQDohvT1U0w+RJcSr23C05cM/Ovn", "the self-tests of GnuTLS"),
    ("MIIEogIBAAKCAQEA6yCv+BLrRP/dMPBXJWK21c0aqxIX6JkODL4K+zlyEURt8/Wp", "the self-tests of GnuTLS"),
];

/// Names of capabilities by number (linux/capability.h, Linux 6.12).
pub(super) const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
