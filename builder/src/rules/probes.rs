//! What programs ask for in passing, whether they need it or not.
//!
//! In: a path in the image, without a leading slash. Out: why it is no sign of a missing file, and the feature of the
//! spec that brings it for those who need it. The first line of the table that fits wins.

use globset::{Glob, GlobMatcher};
use std::sync::LazyLock;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Glob over paths without a leading slash; `*` crosses directories.
    pub glob: &'static str,
    /// Why it means nothing, as the end of `asked for in passing: …`.
    pub why: &'static str,
    /// What brings it where it is needed: a feature, as `features:` names it.
    pub feature: Option<&'static str>,
}

const fn probe(glob: &'static str, why: &'static str) -> Probe {
    Probe { glob, why, feature: None }
}

/// All lines.
pub const PROBES: [Probe; 24] = [
    probe("proc/*", "the kernel's own"),
    probe("sys/*", "the kernel's own"),
    probe("dev/*", "the machine's devices"),
    probe("tmp/*", "made while a program runs"),
    probe("etc/ld.so.preload", "the loader looks for it in every process"),
    probe("etc/ld.so.nohwcap", "the loader looks for it in every process"),
    probe("**/glibc-hwcaps/*", "the loader tries every kind of processor"),
    probe("**/{tls,x86_64,haswell,avx512_1}/*.so*", "the loader tries every kind of processor"),
    probe("etc/resolv.conf", "the container engine brings it"),
    probe("etc/hostname", "the container engine brings it"),
    probe("etc/localtime", "without it the time is UTC"),
    probe("etc/malloc.conf", "an option of jemalloc that nobody has"),
    probe("usr/share/locale*/**", "translations of messages"),
    Probe { glob: "usr/lib/locale/**", why: "locales", feature: Some("locales:NAME") },
    Probe { glob: "**/gconv/*", why: "converters of character sets", feature: Some("iconv:NAME") },
    probe("**/__pycache__/**", "compiled Python, which is made or done without"),
    probe("**/*.pyc", "compiled Python, which is made or done without"),
    probe("**/pyvenv.cfg", "Python looks whether it is in a virtual environment"),
    probe("**/*._pth", "Python on another system"),
    probe("usr/share/doc/**", "documentation"),
    probe("usr/share/man/**", "documentation"),
    probe("usr/share/info/**", "documentation"),
    probe("run/nscd/socket", "a daemon that caches names and is not there"),
    probe("var/run/nscd/socket", "a daemon that caches names and is not there"),
];

/// Returns the line that fits a path.
pub fn passing(path: &str) -> Option<&'static Probe> {
    static MATCHERS: LazyLock<Vec<GlobMatcher>> = LazyLock::new(|| {
        let compile = |probe: &Probe| Glob::new(probe.glob).expect("the table holds globs").compile_matcher();
        PROBES.iter().map(compile).collect()
    });
    MATCHERS.iter().position(|matcher| matcher.is_match(path)).map(|number| &PROBES[number])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for (path, expected) in [
            ("proc/self/maps", Some("the kernel's own")),
            (
                "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1",
                Some("the loader tries every kind of processor"),
            ),
            ("usr/share/locale/it/LC_MESSAGES/git.mo", Some("translations of messages")),
            (
                "usr/lib/python3/dist-packages/x/__pycache__/a.cpython-313.pyc",
                Some("compiled Python, which is made or done without"),
            ),
            ("usr/bin/cat", None),
            ("etc/ssl/openssl.cnf", None),
            ("usr/lib/x86_64-linux-gnu/libz.so.1", None),
        ] {
            assert_eq!(passing(path).map(|probe| probe.why), expected, "{path}");
        }
        let feature = |path| passing(path).and_then(|probe| probe.feature);
        assert_eq!(feature("usr/lib/x86_64-linux-gnu/gconv/UTF-16.so"), Some("iconv:NAME"));
        assert_eq!(feature("usr/lib/locale/locale-archive"), Some("locales:NAME"));
    }
}
