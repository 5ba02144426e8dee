//! What a file is for, told by its path: documentation, administration, copyright, or payload.
//!
//! In: a path after the merged-/usr rewrite, without a leading slash. Out: its [`Class`]. The first line of the table
//! that fits wins. Nothing here knows packages.

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A licence text: kept for every package that keeps anything.
    Copyright,
    /// Documentation and what only developers read.
    Doc,
    /// What runs or configures services on a whole system: read by derivations, never kept under `runtime`.
    Admin,
    /// Everything else.
    Payload,
}

impl Class {
    /// Returns the word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copyright => "copyright",
            Self::Doc => "doc",
            Self::Admin => "admin",
            Self::Payload => "payload",
        }
    }
}

/// Directories whose contents (and themselves) are of one class.
const BELOW: &[(&str, Class)] = &[
    ("usr/share/man", Class::Doc),
    ("usr/share/info", Class::Doc),
    ("usr/share/doc-base", Class::Doc),
    ("usr/share/locale", Class::Doc),
    ("usr/share/locale-langpack", Class::Doc),
    ("usr/share/help", Class::Doc),
    ("usr/share/gtk-doc", Class::Doc),
    ("usr/share/gnome/help", Class::Doc),
    ("usr/share/lintian", Class::Doc),
    ("usr/share/linda", Class::Doc),
    ("usr/share/bug", Class::Doc),
    ("usr/share/reportbug", Class::Doc),
    ("usr/share/apport", Class::Doc),
    ("usr/share/gdb", Class::Doc),
    ("usr/share/gcc/python", Class::Doc),
    ("usr/share/bash-completion", Class::Doc),
    ("usr/share/zsh/vendor-completions", Class::Doc),
    ("usr/share/zsh/site-functions", Class::Doc),
    ("usr/share/fish/vendor_completions.d", Class::Doc),
    ("usr/share/fish/completions", Class::Doc),
    ("usr/share/pkgconfig", Class::Doc),
    ("usr/share/aclocal", Class::Doc),
    ("usr/lib/pkgconfig", Class::Doc),
    ("usr/lib/debug", Class::Doc),
    ("usr/local/share/man", Class::Doc),
    ("usr/share/vim/addons", Class::Doc),
    ("usr/share/vim/registry", Class::Doc),
    ("usr/share/emacs/site-lisp", Class::Doc),
    ("usr/include", Class::Doc),
    ("usr/src", Class::Doc),
    ("etc/bash_completion.d", Class::Doc),
    ("etc/init.d", Class::Admin),
    ("etc/rc0.d", Class::Admin),
    ("etc/rc1.d", Class::Admin),
    ("etc/rc2.d", Class::Admin),
    ("etc/rc3.d", Class::Admin),
    ("etc/rc4.d", Class::Admin),
    ("etc/rc5.d", Class::Admin),
    ("etc/rc6.d", Class::Admin),
    ("etc/rcS.d", Class::Admin),
    ("etc/init", Class::Admin),
    ("etc/cron.d", Class::Admin),
    ("etc/cron.hourly", Class::Admin),
    ("etc/cron.daily", Class::Admin),
    ("etc/cron.weekly", Class::Admin),
    ("etc/cron.monthly", Class::Admin),
    ("etc/cron.yearly", Class::Admin),
    ("etc/logrotate.d", Class::Admin),
    ("etc/logcheck", Class::Admin),
    ("etc/default", Class::Admin),
    ("etc/systemd", Class::Admin),
    ("etc/update-motd.d", Class::Admin),
    ("etc/apparmor.d", Class::Admin),
    ("etc/ufw", Class::Admin),
    ("etc/insserv.conf.d", Class::Admin),
    ("etc/kernel", Class::Admin),
    ("etc/initramfs-tools", Class::Admin),
    ("etc/needrestart", Class::Admin),
    ("etc/apt", Class::Admin),
    ("etc/tmpfiles.d", Class::Admin),
    ("etc/sysusers.d", Class::Admin),
    ("usr/lib/systemd/system", Class::Admin),
    ("usr/lib/systemd/user", Class::Admin),
    ("usr/lib/systemd/system-preset", Class::Admin),
    ("usr/lib/systemd/user-preset", Class::Admin),
    ("usr/lib/tmpfiles.d", Class::Admin),
    ("usr/lib/sysusers.d", Class::Admin),
    ("usr/lib/sysctl.d", Class::Admin),
    ("usr/lib/modules-load.d", Class::Admin),
    ("usr/lib/udev", Class::Admin),
    ("usr/share/initramfs-tools", Class::Admin),
    ("usr/share/dh-python", Class::Admin),
    ("usr/share/debconf", Class::Admin),
    ("usr/share/menu", Class::Admin),
    ("var/cache/ldconfig", Class::Admin),
];

/// Directories in which the linker looks by default, below which `.la` and `.a` have no use at run time.
const LIBRARY_DIRECTORIES: &[&str] =
    &["usr/lib", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib32", "usr/local/lib"];

/// Returns what the path is for.
pub fn class(path: &str) -> Class {
    if let Some(rest) = path.strip_prefix("usr/share/doc/") {
        let mut parts = rest.split('/');
        return match (parts.next(), parts.next(), parts.next()) {
            (Some(_), Some("copyright"), None) => Class::Copyright,
            _ => Class::Doc,
        };
    }
    if path == "usr/share/doc" {
        return Class::Doc;
    }
    for (directory, class) in BELOW {
        if let Some(rest) = path.strip_prefix(directory)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return *class;
        }
    }
    // A Java runtime brings its manual pages in a home of its own.
    if let Some((_, "man")) = path.strip_prefix("usr/lib/jvm/").and_then(|rest| {
        let (home, below) = rest.split_once('/')?;
        Some((home, below.split('/').next()?))
    }) {
        return Class::Doc;
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "pod" | "a" => Class::Doc,
        "la" if LIBRARY_DIRECTORIES.contains(&parent) => Class::Doc,
        "pc" if parent.ends_with("/pkgconfig") => Class::Doc,
        "py" if name.ends_with("-gdb.py") && parent.starts_with("usr/share/") => Class::Doc,
        _ => Class::Payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_class() {
        for (path, expected) in [
            ("usr/share/doc/libssl3/copyright", "copyright"),
            ("usr/share/doc/libssl3", "doc"),
            ("usr/share/doc/libssl3/changelog.Debian.gz", "doc"),
            ("usr/share/doc/x/examples/copyright", "doc"),
            ("usr/share/man/man1/x.1.gz", "doc"),
            ("usr/lib/jvm/java-21/man", "doc"),
            ("usr/lib/jvm/java-21/man/man1/java.1.gz", "doc"),
            ("usr/lib/jvm/java-21/lib/man", "payload"),
            ("usr/share/mandatory", "payload"),
            ("usr/lib/x86_64-linux-gnu/libx.la", "doc"),
            ("usr/lib/x86_64-linux-gnu/ImageMagick/coders/gif.la", "payload"),
            ("usr/lib/x86_64-linux-gnu/libx.a", "doc"),
            ("usr/lib/x86_64-linux-gnu/pkgconfig/x.pc", "doc"),
            ("usr/lib/python3.13/pdb.py", "payload"),
            ("etc/default/nss", "admin"),
            ("usr/lib/systemd/system/nginx.service", "admin"),
            ("usr/lib/systemd/libsystemd-shared-257.so", "payload"),
            ("etc/nginx/nginx.conf", "payload"),
            ("var/log/nginx", "payload"),
        ] {
            assert_eq!(class(path).as_str(), expected, "{path}");
        }
    }
}
