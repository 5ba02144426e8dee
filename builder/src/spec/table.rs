//! The language as one table: every key, its shape and one sentence on it. Parser and schema both read it.

use super::form::{
    BASE, DEB, FEATURE, FILE_URL, FINGERPRINT, GLOB, LABEL, LICENSE, LOCAL, MODE, NAME, OWNER, PACKAGE, PATH, PORT,
    RAW, REQUEST, RUN_USER, SHA256, SIGNAL, SIZE, SUITE, SUITE_PATH, TEXT, URL, USER, VARIABLE, WORD,
};
use super::shape::{Field, Fields, Shape};

/// The highest user or group number; the one above means "none" to the kernel.
pub(super) const MAX_ID: i64 = 4_294_967_294;

macro_rules! key {
    ($name:literal, $shape:expr, $about:literal) => {
        Field { name: $name, shape: $shape, about: $about, required: false, later: false }
    };
    (required $name:literal, $shape:expr, $about:literal) => {
        Field { name: $name, shape: $shape, about: $about, required: true, later: false }
    };
    (later $name:literal, $shape:expr, $about:literal) => {
        Field { name: $name, shape: $shape, about: $about, required: false, later: true }
    };
}

const TEXTS: Shape = Shape::List(&Shape::Text(TEXT));
const ID: Shape = Shape::Int(0, MAX_ID);
const OWNER_SHAPE: Shape = Shape::Either(&[ID, Shape::Text(OWNER)]);
const PLATFORMS: Shape = Shape::List(&Shape::Word(&["linux/amd64", "linux/arm64"]));
const KEEP: Shape = Shape::Word(&["needed", "runtime", "all"]);
const FINDINGS: &[&str] =
    &["shell", "package-manager", "setuid", "setgid", "capability", "world-writable", "secrets", "root-user"];

const ARCHIVE: Fields = Fields {
    what: "an archive",
    keys: &[
        key!(required "uri", Shape::Text(URL), "Base address: the directory that holds `dists/` and `pool/`."),
        key!(required "suite", Shape::Text(SUITE_PATH), "Suite below `dists/`; of a flat archive the directory of its Release, with a slash at its end."),
        key!("components", Shape::Some(&Shape::Text(SUITE)), "Components to read; a flat archive has none."),
        key!(required "signed-by", Shape::Text(LOCAL), "OpenPGP certificates in one file beneath the spec's directory."),
        key!("min-signatures", Shape::Int(1, 16), "How many different certificates must have signed (1)."),
        key!("require-key", Shape::List(&Shape::Text(FINGERPRINT)), "Fingerprints that must be among the signers."),
        key!("auth", Shape::Word(&["netrc"]), "Where credentials come from: netrc, and apt's auth.conf."),
        key!("ca", Shape::Text(LOCAL), "PEM file of further certificate authorities for its servers."),
    ],
};

const NAMED_PACKAGE: Fields = Fields {
    what: "a package",
    keys: &[
        key!(required "name", Shape::Text(REQUEST), "Package name, perhaps with a relation and a version."),
        key!("from", Shape::Text(LABEL), "Archive it must come from."),
        key!("keep", KEEP, "How much of this package is kept (what the spec keeps of all)."),
    ],
};

const LOCAL_PACKAGE: Fields = Fields {
    what: "a local package",
    keys: &[
        key!(required "deb", Shape::Text(DEB), "A package file beneath the spec's directory, locked by digest."),
        key!("keep", KEEP, "How much of this package is kept (what the spec keeps of all)."),
    ],
};

const PACKAGES: Shape = Shape::List(&Shape::Either(&[
    Shape::Text(PACKAGE),
    Shape::Tagged(&[("name", &NAMED_PACKAGE), ("deb", &LOCAL_PACKAGE)]),
]));

const COMPONENT: Fields = Fields {
    what: "a component",
    keys: &[
        key!(required "name", Shape::Text(WORD), "Its name in the SBOM."),
        key!(required "version", Shape::Text(WORD), "Its version, quoted where YAML would read a number."),
        key!("license", Shape::Text(WORD), "SPDX licence expression."),
        key!("supplier", Shape::Text(WORD), "Who supplies it."),
    ],
};

const COPY: Fields = Fields {
    what: "a copied file",
    keys: &[
        key!(required "copy", Shape::Text(LOCAL), "File or directory beneath the spec's directory; with a trailing slash, what the directory holds."),
        key!(required "to", Shape::Text(PATH), "Where; with a trailing slash, into that directory under its own name."),
        key!("include", Shape::List(&Shape::Text(WORD)), "Globs relative to the directory; others are left out."),
        key!("exclude", Shape::List(&Shape::Text(WORD)), "Globs relative to the directory that are left out."),
        key!("owner", OWNER_SHAPE, "User name or number (0)."),
        key!("group", OWNER_SHAPE, "Group name or number (the owner's)."),
        key!(
            "mode",
            Shape::Text(MODE),
            "Quoted octal mode of files (\"0644\", or \"0755\" where the owner may execute)."
        ),
        key!("component", Shape::Map(&COMPONENT), "What the SBOM says of it."),
    ],
};

const FETCH: Fields = Fields {
    what: "a fetched file",
    keys: &[
        key!(required "fetch", Shape::Text(FILE_URL), "Address."),
        key!(required "sha256", Shape::Text(SHA256), "SHA-256 of what the address holds."),
        key!(required "to", Shape::Text(PATH), "Where; with `unpack`, the directory that receives the entries."),
        key!("unpack", Shape::Bool, "Unpack it as a tar, plain or packed with gzip, xz or zstd (false)."),
        key!("strip", Shape::Int(0, 255), "Leading path components dropped from its entries (0)."),
        key!("owner", OWNER_SHAPE, "User name or number (0)."),
        key!("group", OWNER_SHAPE, "Group name or number (the owner's)."),
        key!("mode", Shape::Text(MODE), "Quoted octal mode of a file that is not unpacked (\"0644\")."),
        key!("component", Shape::Map(&COMPONENT), "What the SBOM says of it."),
    ],
};

const TEXT_FILE: Fields = Fields {
    what: "a text file",
    keys: &[
        key!(required "text", Shape::Text(TEXT), "What the file holds."),
        key!(required "to", Shape::Text(PATH), "Where."),
        key!("owner", OWNER_SHAPE, "User name or number (0)."),
        key!("group", OWNER_SHAPE, "Group name or number (the owner's)."),
        key!("mode", Shape::Text(MODE), "Quoted octal mode (\"0644\")."),
    ],
};

const DIRECTORY: Fields = Fields {
    what: "a directory",
    keys: &[
        key!(required "dir", Shape::Text(PATH), "A directory to make, or whose owner and mode to set."),
        key!("owner", OWNER_SHAPE, "User name or number (0)."),
        key!("group", OWNER_SHAPE, "Group name or number (the owner's)."),
        key!("mode", Shape::Text(MODE), "Quoted octal mode (\"0755\")."),
    ],
};

const SYMLINK: Fields = Fields {
    what: "a symbolic link",
    keys: &[
        key!(required "symlink", Shape::Text(PATH), "Where the link stands."),
        key!(required "target", Shape::Text(WORD), "What it points to, as it is written into the link."),
    ],
};

const FILES: Shape = Shape::List(&Shape::Tagged(&[
    ("copy", &COPY),
    ("fetch", &FETCH),
    ("text", &TEXT_FILE),
    ("dir", &DIRECTORY),
    ("symlink", &SYMLINK),
]));

const USER_FIELDS: Fields = Fields {
    what: "a user",
    keys: &[
        key!(required "uid", ID, "Number."),
        key!("gid", ID, "Number of the primary group; without it, a group of the user's name and number."),
        key!("home", Shape::Text(PATH), "Home directory; it is made."),
        key!("shell", Shape::Text(PATH), "Login shell (`/sbin/nologin`)."),
    ],
};

const GROUP_FIELDS: Fields = Fields {
    what: "a group",
    keys: &[
        key!(required "gid", ID, "Number."),
        key!("members", Shape::List(&Shape::Text(USER)), "Users that belong to it beside their primary group."),
    ],
};

const RUN: Fields = Fields {
    what: "what is run",
    keys: &[
        key!("user", Shape::Either(&[ID, Shape::Text(RUN_USER)]), "User name, `uid` or `uid:gid` (nonroot)."),
        key!("entrypoint", TEXTS, "The program with its fixed arguments."),
        key!("cmd", TEXTS, "Arguments that a caller may replace."),
        key!("env", Shape::Free(VARIABLE, &Shape::Text(TEXT)), "Environment; a PATH is always there."),
        key!("workdir", Shape::Text(PATH), "Working directory (`/`)."),
        key!(
            "ports",
            Shape::List(&Shape::Either(&[Shape::Int(1, 65535), Shape::Text(PORT)])),
            "Ports the program listens on."
        ),
        key!("volumes", Shape::List(&Shape::Text(PATH)), "Directories meant for volumes."),
        key!("stop-signal", Shape::Text(SIGNAL), "Signal that asks the program to stop."),
    ],
};

const LAYERS: Fields = Fields {
    what: "how layers are made",
    keys: &[
        key!("max", Shape::Int(1, 30), "The most package layers (12)."),
        key!("compression", Shape::Word(&["zstd", "gzip", "zstd-chunked"]), "How layers are stored (zstd)."),
        key!("level", Shape::Int(1, 19), "Compression level: zstd 1 to 19 (3), gzip 1 to 9 (6)."),
    ],
};

const SBOM: Fields = Fields {
    what: "what SBOMs are written",
    keys: &[
        key!("formats", Shape::List(&Shape::Word(&["spdx", "cyclonedx", "spdx3"])), "Formats."),
        key!("author", Shape::Text(WORD), "Who makes the image."),
        key!("dpkg-db", Shape::Word(&["status.d", "status", "none"]), "Form of the package database in the image."),
    ],
};

const NEVER: Fields = Fields {
    what: "files to drop",
    keys: &[
        key!(required "path", Shape::Text(GLOB), "Glob over paths in the image."),
        key!("force", Shape::Bool, "Drop it even where something kept needs it."),
    ],
};

const ALLOWED: Fields = Fields {
    what: "an exception",
    keys: &[
        key!(required "path", Shape::Text(GLOB), "Path or glob it holds for."),
        key!(required "finding", Shape::Word(FINDINGS), "What is allowed there."),
        key!(required "because", Shape::Text(WORD), "Why; it is shown wherever the exception is."),
    ],
};

const LICENSE_EXCEPTION: Fields = Fields {
    what: "an exception",
    keys: &[
        key!(required "package", Shape::Text(WORD), "Name or glob of the packages that it holds for."),
        key!("license", Shape::Text(LICENSE), "The licence that it is about; any where absent."),
        key!(required "because", Shape::Text(WORD), "Why; it is shown wherever the exception is."),
    ],
};

const LICENSES: Fields = Fields {
    what: "rules on licences",
    keys: &[
        key!(
            "allow",
            Shape::List(&Shape::Text(LICENSE)),
            "SPDX identifiers; each package must be usable under these alone."
        ),
        key!("deny", Shape::List(&Shape::Text(LICENSE)), "SPDX identifiers that no package may need."),
        key!(
            "exceptions",
            Shape::List(&Shape::Map(&LICENSE_EXCEPTION)),
            "Packages that may be there all the same, each with its reason."
        ),
    ],
};

const HELD: Shape = Shape::Either(&[Shape::Text(WORD), Shape::Some(&Shape::Text(WORD))]);

const TRIAL: Fields = Fields {
    what: "a trial run",
    keys: &[
        key!(
            "entrypoint",
            Shape::Some(&Shape::Text(TEXT)),
            "The program in place of `entrypoint`; `cmd` does not follow it."
        ),
        key!("args", TEXTS, "Arguments in place of `cmd`."),
        key!("env", Shape::Free(VARIABLE, &Shape::Text(TEXT)), "Variables over the image's own."),
        key!("stdin", Shape::Text(RAW), "What it reads from standard input (nothing)."),
        key!("stdout", HELD, "A text that standard output must hold, or a list of them."),
        key!("stderr", HELD, "A text that standard error must hold, or a list of them."),
        key!("exit", Shape::Int(0, 255), "Exit status (0; any of a program that listens)."),
        key!("timeout", Shape::Int(1, 3600), "Seconds that it may take (60)."),
        key!(
            "listen",
            Shape::Int(1, 65535),
            "TCP port of its own loopback that it must listen on; then it is stopped."
        ),
        key!("send", Shape::Text(RAW), "What is sent to that port."),
        key!("answer", HELD, "A text that the answer from that port must hold, or a list of them."),
    ],
};

pub(super) const CHECKS: Fields = Fields {
    what: "a contract",
    keys: &[
        key!("forbid", Shape::List(&Shape::Word(FINDINGS)), "What must not be in the image."),
        key!("allow", Shape::List(&Shape::Map(&ALLOWED)), "Exceptions, each with its reason."),
        key!("max-size", Shape::Text(SIZE), "The most the image may hold, uncompressed."),
        key!("licenses", Shape::Map(&LICENSES), "Which licences may be there."),
        key!("files", Shape::Free(GLOB, &Shape::Word(&["present", "absent"])), "Paths that must or must not be there."),
        key!("run", Shape::List(&Shape::Map(&TRIAL)), "Runs of the image, made by `tarsia test`."),
    ],
};

macro_rules! common {
    ($($first:expr),* ; $($last:expr),*) => {
        &[
            $($first,)*
            key!("distro", Shape::Word(&["debian/12", "debian/13"]), "Archives, keys and /usr rules in one word."),
            key!("platforms", PLATFORMS, "Platforms to build for; without it, the host's."),
            key!("archives", Shape::Free(LABEL, &Shape::Map(&ARCHIVE)), "Archives beside the distro's own."),
            key!("packages", PACKAGES, "Packages to install, and `\"!name\"` for those that never are."),
            key!("keep", KEEP, "How much of the packages is kept (needed)."),
            key!("features", Shape::List(&Shape::Text(FEATURE)), "Named things that no static reading can see."),
            key!("also", Shape::List(&Shape::Text(GLOB)), "Globs of what packages ship that is kept whatever `keep` says."),
            key!("never", Shape::List(&Shape::Either(&[Shape::Text(GLOB), Shape::Map(&NEVER)])), "Globs of what packages ship or tarsia derives that is dropped."),
            key!("rules", Shape::Text(LOCAL), "Directory of own closure rules."),
            key!("slices", Shape::Text(LOCAL), "Directory of slice definitions in chisel's format; `packages` names PACKAGE_SLICE then."),
            key!("files", FILES, "Files of your own."),
            key!("users", Shape::Free(USER, &Shape::Map(&USER_FIELDS)), "Users beside nonroot (65532) and nobody (65534)."),
            key!("groups", Shape::Free(USER, &Shape::Map(&GROUP_FIELDS)), "Groups."),
            key!("certificates", Shape::List(&Shape::Text(LOCAL)), "PEM files of certificate authorities to trust."),
            key!("base", Shape::OrNull(&Shape::Text(BASE)), "Image to build on."),
            key!("run", Shape::Map(&RUN), "What becomes the image's config."),
            key!("labels", Shape::Free(WORD, &Shape::Text(TEXT)), "Labels of the image."),
            key!("layers", Shape::Map(&LAYERS), "How layers are cut and stored."),
            key!("sbom", Shape::Map(&SBOM), "SBOMs."),
            key!("checks", Shape::Map(&CHECKS), "A contract: the build fails where it is broken."),
            $($last,)*
        ]
    };
}

const VARIANT: Fields = Fields { what: "a variant", keys: common!(;) };

/// The whole document.
pub(super) static SPEC: Fields = Fields {
    what: "a spec",
    keys: common!(
        key!(required "version", Shape::Int(1, 1), "Version of the spec language."),
        key!("name", Shape::Text(NAME), "Name of the image; never in its digest. The file's name where absent."),
        key!("extends", Shape::Text(LOCAL), "Spec that this one adds to, beneath its directory: maps merge, lists append, `null` removes.");
        key!("variants", Shape::Partial(LABEL, &Shape::Map(&VARIANT)), "Named changes, built with `--variant`.")
    ),
};
