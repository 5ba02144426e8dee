//! Which parts of a source tree cannot be in a package, told by their paths.
//!
//! A copyright file describes a source tree; a package holds what was built of a part of it. Left out is only what is
//! no part of it by its path and kind: packaging, tests, documentation that is not shipped, what builds the rest, code
//! for other systems and processors, and scripts that the package does not have. What cannot be told stays.

use std::collections::BTreeSet;

use super::Package;

/// Why a part of a source tree is not in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Absent {
    /// Debian's own packaging.
    Packaging,
    /// Tests, examples, benchmarks.
    Tests,
    /// Documentation and translations that the package has none of.
    Documentation,
    /// What builds the rest.
    Build,
    /// Code for other systems or processors.
    Elsewhere,
    /// Scripts and modules that the package does not have.
    Scripts,
}

impl Absent {
    /// Returns the words for a comment: `on …`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Packaging => "packaging",
            Self::Tests => "tests and examples",
            Self::Documentation => "documentation",
            Self::Build => "the build system",
            Self::Elsewhere => "other systems",
            Self::Scripts => "scripts that are not shipped",
        }
    }
}

const TESTS: &[&str] = &[
    "test",
    "tests",
    "testing",
    "testsuite",
    "testsuites",
    "test-suite",
    "testdata",
    "unittest",
    "unittests",
    "unit-tests",
    "t",
    "xt",
    "fuzz",
    "fuzzing",
    "fuzzer",
    "bench",
    "benchmark",
    "benchmarks",
    "example",
    "examples",
    "demo",
    "demos",
    "sample",
    "samples",
    "regress",
    "cutest",
];
const DOCUMENTATION: &[&str] =
    &["doc", "docs", "documentation", "man", "manual", "manpages", "man1", "man3", "man5", "man7", "man8", "htdocs"];
const BUILD: &[&str] = &[
    "m4",
    "build-aux",
    "buildtools",
    "autoconf",
    "automake",
    "cmake",
    ".github",
    ".ci",
    "ci",
    ".circleci",
    ".travis",
    "meson",
    "scons",
    "msvcbuild",
];
const BUILD_FILES: &[&str] = &[
    "configure",
    "aclocal.m4",
    "ltmain.sh",
    "install-sh",
    "installsh",
    "missing",
    "depcomp",
    "compile",
    "config.guess",
    "config.sub",
    "config.rpath",
    "mkinstalldirs",
    "ylwrap",
    "ar-lib",
    "py-compile",
    "test-driver",
    "makefile",
    "makefile.in",
    "makefile.am",
    "cmakelists.txt",
    "meson.build",
    "meson_options.txt",
    "doxyfile",
    "doxyfile.in",
    "libtool",
    "libtool.m4",
    "ltoptions.m4",
    "ltsugar.m4",
    "ltversion.m4",
    "lt~obsolete.m4",
    "bootstrap",
    "autogen.sh",
    "move-if-change",
    "gitlog-to-changelog",
    "texinfo.tex",
    "configure.ac",
    "configure.in",
    "config.h.in",
    "shtool",
    "mdate-sh",
    "acinclude.m4",
    "mkinstall",
    "announce-gen",
    "git-version-gen",
    "do-release-commit-and-tag",
    "useless-if-before-free",
    "vc-list-files",
];
const BUILD_ENDINGS: &[&str] = &[
    "am",
    "ac",
    "m4",
    "mk",
    "cmake",
    "spec",
    "vcproj",
    "vcxproj",
    "sln",
    "dsp",
    "gyp",
    "gypi",
    "gitignore",
    "gradle",
    "bazel",
];
const DOCUMENTATION_ENDINGS: &[&str] = &[
    "texi", "texinfo", "1", "2", "3", "5", "7", "8", "md", "rst", "html", "pdf", "tex", "po", "pot", "xml", "sgml",
    "dbk",
];
const DOCUMENTATION_FILES: &[&str] = &[
    "readme",
    "news",
    "changelog",
    "changes",
    "authors",
    "install",
    "todo",
    "thanks",
    "copying",
    "license",
    "hacking",
    "faq",
];
const SYSTEMS: &[&str] = &[
    "windows", "win32", "win64", "win", "nt", "msvc", "macos", "macosx", "mac", "os2", "os390", "vms", "amiga",
    "msdos", "dos", "djgpp", "cygwin", "symbian", "wince", "ios", "android", "hurd", "htl", "mach", "beos", "haiku",
    "netware", "riscos", "plan9", "qnx", "watcom", "vstudio", "dotnet", "delphi",
];
/// Directories that are named for processors, with Debian's architectures that they are for.
const PROCESSORS: &[(&str, &[&str])] = &[
    ("alpha", &["alpha"]),
    ("arm", &["armel", "armhf", "arm64"]),
    ("aarch64", &["arm64"]),
    ("mips", &["mips", "mipsel", "mips64el"]),
    ("mips64", &["mips64el"]),
    ("powerpc", &["powerpc", "ppc64el", "ppc64"]),
    ("ppc", &["powerpc", "ppc64el", "ppc64"]),
    ("s390", &["s390x"]),
    ("sparc", &["sparc64"]),
    ("ia64", &["ia64"]),
    ("m68k", &["m68k"]),
    ("hppa", &["hppa"]),
    ("riscv", &["riscv64"]),
    ("loongarch", &["loong64"]),
    ("csky", &[]),
    ("microblaze", &[]),
    ("nios2", &[]),
    ("or1k", &[]),
    ("arc", &[]),
];

/// A language: endings of its sources, directories that are named for it, endings of what a package has of it.
struct Language {
    sources: &'static [&'static str],
    directories: &'static [&'static str],
    shipped: &'static [&'static str],
}

const LANGUAGES: &[Language] = &[
    Language { sources: &["pl", "pm", "pod", "plx"], directories: &["perl"], shipped: &["pl", "pm"] },
    Language { sources: &["py"], directories: &["python"], shipped: &["py", "pyc"] },
    Language { sources: &["rb"], directories: &["ruby"], shipped: &["rb"] },
    Language {
        sources: &["java", "kt"],
        directories: &["java", "jdbc", "javasqlite"],
        shipped: &["jar", "jmod", "class", "jsa"],
    },
    Language { sources: &["cs"], directories: &["csharp"], shipped: &["dll"] },
    Language { sources: &["tcl"], directories: &["tcl"], shipped: &["tcl"] },
    Language { sources: &["php"], directories: &["php"], shipped: &["php"] },
    Language { sources: &["js", "mjs", "cjs", "ts"], directories: &["javascript"], shipped: &["js", "mjs", "cjs"] },
    Language { sources: &["lua"], directories: &["lua"], shipped: &["lua"] },
    Language { sources: &["el"], directories: &["emacs", "elisp"], shipped: &["el", "elc"] },
    Language { sources: &["go"], directories: &["golang"], shipped: &[] },
    Language { sources: &["vim"], directories: &["vim"], shipped: &["vim"] },
];

/// What is known of the files that a package has.
#[derive(Debug)]
pub(super) struct Shipped<'a> {
    package: &'a Package<'a>,
    endings: BTreeSet<&'a str>,
    stems: BTreeSet<String>,
    directories: BTreeSet<String>,
    documentation: bool,
}

impl<'a> Shipped<'a> {
    pub(super) fn of(package: &'a Package<'a>) -> Self {
        let mut shipped = Self {
            package,
            endings: BTreeSet::new(),
            stems: BTreeSet::new(),
            directories: BTreeSet::new(),
            documentation: false,
        };
        for path in package.files {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            if let Some((_, ending)) = name.rsplit_once('.') {
                shipped.endings.insert(ending);
            }
            shipped.stems.insert(stem(name).to_lowercase());
            for directory in parent.split('/') {
                if !shipped.directories.contains(directory) {
                    shipped.directories.insert(directory.to_lowercase());
                }
            }
            let documents = ["usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/"];
            shipped.documentation |= documents.iter().any(|start| path.starts_with(start)) && name != "copyright";
        }
        shipped
    }

    /// Returns why nothing of what `pattern` names is in the package; `None` where some of it may be.
    pub(super) fn absent(&self, pattern: &str) -> Option<Absent> {
        let lower = pattern.trim_start_matches("./").trim_start_matches('/').to_lowercase();
        let (parent, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
        let directories: Vec<&str> = parent.split('/').filter(|part| !part.is_empty()).collect();
        if directories.first() == Some(&"debian") || lower == "debian" {
            return Some(Absent::Packaging);
        }
        let named = |names: &[&str], own: bool| {
            directories.iter().any(|part| names.contains(part) && !(own && self.directories.contains(*part)))
        };
        if named(TESTS, true) || name.ends_with(".tests") || is_test(name) && !self.has_stem(name) {
            return Some(Absent::Tests);
        }
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending.trim_end_matches(']'));
        let plain = name.trim_end_matches('*').trim_end_matches('.');
        if !self.documentation {
            let is_document = DOCUMENTATION_ENDINGS.contains(&ending)
                || name
                    .strip_suffix(".in")
                    .and_then(|name| name.rsplit_once('.'))
                    .is_some_and(|(_, ending)| ending.len() == 1 && DOCUMENTATION_ENDINGS.contains(&ending))
                || DOCUMENTATION_FILES.iter().any(|file| plain == *file || plain.starts_with(&format!("{file}.")));
            if named(DOCUMENTATION, true) || named(&["po"], false) || is_document && !self.endings.contains(ending) {
                return Some(Absent::Documentation);
            }
        }
        let builds = BUILD_FILES.iter().any(|file| name.trim_start_matches('*') == *file || plain == *file)
            || name.starts_with("makefile")
            || BUILD_ENDINGS.contains(&ending);
        if named(BUILD, true) || builds && !self.has_stem(name) {
            return Some(Absent::Build);
        }
        let system = directories.iter().any(|part| SYSTEMS.contains(part) && !self.directories.contains(*part));
        if system || directories.iter().any(|part| self.is_other_processor(part)) {
            return Some(Absent::Elsewhere);
        }
        if self.package.files.is_empty() {
            return None;
        }
        for language in LANGUAGES {
            let has = language.shipped.iter().any(|ending| self.endings.contains(ending))
                || language.sources.contains(&"java") && self.stems.contains("modules");
            if language.sources.contains(&ending) {
                let exact = !stem(name).contains(['*', '?', '[']);
                let there = if exact && !language.sources.contains(&"java") { self.has_stem(name) } else { has };
                return (!there).then_some(Absent::Scripts);
            }
            if !has && directories.iter().any(|part| language.directories.contains(part)) {
                return Some(Absent::Scripts);
            }
        }
        if ending == "sh" && !name.contains('*') && !self.has_stem(name) {
            return Some(Absent::Scripts);
        }
        self.is_absent_module(&directories).then_some(Absent::Scripts)
    }

    fn has_stem(&self, name: &str) -> bool {
        self.stems.contains(stem(name))
    }

    fn is_other_processor(&self, directory: &str) -> bool {
        let found = PROCESSORS.iter().find(|(name, _)| *name == directory);
        found.is_some_and(|(_, architectures)| !architectures.contains(&self.package.architecture))
    }

    /// Returns whether these directories are a distribution of Perl's own tree (`cpan/Text-Balanced`) whose modules the
    /// package does not have.
    fn is_absent_module(&self, directories: &[&str]) -> bool {
        let [tree @ ("cpan" | "dist" | "ext"), name, ..] = directories else { return false };
        let known = tree.len() + name.len() > 0 && name.contains('-') && self.package.source == "perl";
        if !known {
            return false;
        }
        let path = name.replace('-', "/");
        !self.package.files.iter().any(|file| file.to_lowercase().contains(&format!("/{path}")))
    }
}

fn stem(name: &str) -> &str {
    let name = name.trim_start_matches('.');
    name.split('.').next().unwrap_or(name)
}

fn is_test(name: &str) -> bool {
    let stem = stem(name);
    stem.starts_with("test-")
        || stem.starts_with("test_")
        || stem.starts_with("tst-")
        || stem.ends_with("_test")
        || stem.ends_with("-test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_in_a_package_is_absent() {
        let files = ["usr/lib/x86_64-linux-gnu/libx.so.1", "usr/share/perl5/A/B.pm", "usr/share/doc/libx1/copyright"];
        let package = Package { name: "libx1", source: "x", architecture: "amd64", files: &files };
        let shipped = Shipped::of(&package);
        for (pattern, expected) in [
            ("*", None),
            ("src/*", None),
            ("src/a.c", None),
            ("lib/test.c", None),
            ("contest/a.c", None),
            ("debian/*", Some(Absent::Packaging)),
            ("debian/patches/x.patch", Some(Absent::Packaging)),
            ("src/debian/a.c", None),
            ("tests/a.c", Some(Absent::Tests)),
            ("src/test_a.c", Some(Absent::Tests)),
            ("doc/x.texi", Some(Absent::Documentation)),
            ("x.3.in", Some(Absent::Documentation)),
            ("po/de.po", Some(Absent::Documentation)),
            ("configure", Some(Absent::Build)),
            ("*install-sh", Some(Absent::Build)),
            ("m4/*.m4", Some(Absent::Build)),
            ("Makefile.in", Some(Absent::Build)),
            ("sysdeps/mips/a.c", Some(Absent::Elsewhere)),
            ("win32/a.c", Some(Absent::Elsewhere)),
            ("B.pm", None),
            ("C.pm", Some(Absent::Scripts)),
            ("lib/*.pm", None),
            ("tools/x.py", Some(Absent::Scripts)),
            ("lang/java/*", Some(Absent::Scripts)),
        ] {
            assert_eq!(shipped.absent(pattern), expected, "{pattern}");
        }
        let arm = Package { architecture: "arm64", files: &[], ..package };
        assert_eq!(Shipped::of(&arm).absent("sysdeps/arm/a.c"), None);
        assert_eq!(Shipped::of(&arm).absent("tools/x.py"), None);
    }

    #[test]
    fn what_a_package_ships_is_there_whatever_it_is_called() {
        let files = ["usr/lib/python3/dist-packages/x/tests/a.py", "usr/share/man/man1/x.1.gz"];
        let package = Package { name: "x", source: "x", architecture: "all", files: &files };
        let shipped = Shipped::of(&package);
        for pattern in ["x/tests/a.py", "doc/x.texi", "x.1"] {
            assert_eq!(shipped.absent(pattern), None, "{pattern}");
        }
    }
}
