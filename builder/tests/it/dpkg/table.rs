//! Every difference that remains between an image and what dpkg makes of its packages, with its reason.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::compare::Kind::{self, Content, Extra, Missing};

/// A difference that is meant.
pub(super) struct Row {
    /// The runs in which it must be found; none for a row that may hold in any.
    pub(super) runs: &'static [&'static str],
    /// Patterns of paths; `etc/passwd:NAME` is one account.
    pub(super) paths: &'static [&'static str],
    pub(super) kinds: &'static [Kind],
    pub(super) because: &'static str,
}

impl Row {
    /// Returns the patterns, ready to be matched: `*` within a component, `**` across.
    pub(super) fn globs(&self) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for path in self.paths {
            set.add(GlobBuilder::new(path).literal_separator(true).empty_alternates(true).build().unwrap());
        }
        set.build().unwrap()
    }
}

const ANY: &[&str] = &[];

/// The table. The first row that fits counts.
pub(super) const ROWS: &[Row] = &[
    Row {
        runs: ANY,
        paths: &["var/lib/dpkg/status.d", "var/lib/dpkg/status.d/*"],
        kinds: &[Extra],
        because: "what scanners read of packages, trimmed to what is kept, stands in the place of dpkg's database",
    },
    Row {
        runs: ANY,
        paths: &[
            "var/lib/dpkg/{status,diversions,statoverride,alternatives,available}*",
            "var/lib/dpkg/{info,triggers,alternatives,updates}{,/**}",
        ],
        kinds: &[Missing],
        because: "dpkg's own database is of no use where no dpkg runs",
    },
    Row {
        runs: ANY,
        paths: &[
            "var/cache/debconf{,/*}",
            "var/lib/ucf{,/**}",
            "var/lib/systemd{,/**}",
            "var/lib/python{,/*}",
            "var/lib/pam{,/*}",
        ],
        kinds: &[Missing],
        because: "what debconf, ucf, deb-systemd-helper and others remember serves the next run of a script alone",
    },
    Row {
        runs: ANY,
        paths: &[
            "var/log/{dpkg,alternatives,fontconfig}.log",
            "run/adduser",
            "tmp/hsperfdata_root",
            "etc/.pwd.lock",
            "etc/{passwd,group,shadow,gshadow}-",
        ],
        kinds: &[Missing],
        because: "logs, locks and back-ups of the installation itself",
    },
    Row {
        runs: ANY,
        paths: &["etc/{shadow,gshadow}"],
        kinds: &[Missing],
        because: "no account of an image has a password, and without these files none can be asked for",
    },
    Row {
        runs: ANY,
        paths: &["etc/passwd:nonroot", "etc/group:nonroot", "home/nonroot"],
        kinds: &[Extra],
        because: "every image has this user, and runs as it where the spec names no other",
    },
    Row {
        runs: ANY,
        paths: &["etc/passwd:{root,sync}"],
        kinds: &[Content],
        because: "nobody logs in to an image: the shell is nologin",
    },
    Row {
        runs: ANY,
        paths: &["etc/{hosts,networks}"],
        kinds: &[Missing],
        because: "a container runtime mounts its own hosts, and nothing reads networks",
    },
    Row {
        runs: ANY,
        paths: &["etc/timezone"],
        kinds: &[Extra],
        because: "Debian 13 has given it up, but libraries for time zones still ask for it first",
    },
    Row {
        runs: ANY,
        paths: &["etc/ca-certificates.conf"],
        kinds: &[Missing],
        because: "only update-ca-certificates reads it, and the bundle is made without it",
    },
    Row {
        runs: ANY,
        paths: &["var/cache/ldconfig{,/aux-cache}"],
        kinds: &[Missing],
        because: "it saves ldconfig time, which no image runs",
    },
    Row {
        runs: ANY,
        paths: &["etc/alternatives{,/*.[1-8].gz}"],
        kinds: &[Missing],
        because: "a link to a manual page, which is dropped with the documentation",
    },
    Row {
        runs: &["union"],
        paths: &["etc/rc?.d{,/*}", "etc/systemd{,/**}"],
        kinds: &[Missing],
        because: "links that start services with a machine; an image starts its own program",
    },
    Row {
        runs: &["union", "php"],
        paths: &["var/lib/php/modules/*{,/**}"],
        kinds: &[Missing],
        because: "what phpenmod remembers for the next run of a script; the modules are enabled without it",
    },
    Row {
        runs: &["postgres"],
        paths: &[
            "var/lib/postgresql/17{,/**}",
            "etc/postgresql/17{,/**}",
            "var/log/postgresql/postgresql-17-main.log",
            "var/cache/postgresql{,/dicts}",
        ],
        kinds: &[Missing],
        because: "a cluster belongs to who runs the image, as does its secret key; initdb makes one",
    },
    Row {
        runs: &["postgres"],
        paths: &[
            "etc/ssl/certs/ssl-cert-snakeoil.pem",
            "etc/ssl/certs/????????.0",
            "etc/ssl/private/ssl-cert-snakeoil.key",
        ],
        kinds: &[Missing],
        because: "a private key in an image would be known to everybody who has the image",
    },
    Row {
        runs: ANY,
        paths: &["**/__pycache__{,/**}"],
        kinds: &[Missing],
        because: "byte code holds the time and size of its source and is made by Python itself where it may write",
    },
];
