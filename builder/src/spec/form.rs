//! Forms of texts: a name for people, a pattern for editors (ECMA 262), and the check that holds here.
//!
//! A test holds pattern and check together.

use super::SliceName;
use crate::digest::Digest;

/// The form a text must have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// What it is, as `a package name`.
    pub(super) what: &'static str,
    /// The same as a pattern; empty where any text will do.
    pub(super) pattern: &'static str,
    /// Returns whether a text has the form.
    pub(super) valid: fn(&str) -> bool,
    /// An example, shown as a hint; may be empty.
    pub(super) example: &'static str,
}

macro_rules! component {
    () => {
        r"(?!\.{1,2}(/|$))[^/\u0000]+"
    };
}

macro_rules! url_tail {
    () => {
        r"(https?://[^/\s@?#\u0000]+(/[^\s?#\u0000]*)?|file:/[^\s?#\u0000]*)"
    };
}

/// Any text.
pub(super) const TEXT: Form = Form { what: "a text", pattern: r"^[^\u0000]*$", valid: has_no_nul, example: "" };
/// Any text, NUL characters among it: what goes through a pipe or a socket.
pub(super) const RAW: Form = Form { what: "a text", pattern: r"^[\s\S]*$", valid: |_| true, example: "" };
/// A text that is not empty.
pub(super) const WORD: Form = Form {
    what: "a text that is not empty",
    pattern: r"^[^\u0000]+$",
    valid: |text| !text.is_empty() && has_no_nul(text),
    example: "",
};
/// The spec's name.
pub(super) const NAME: Form = Form {
    what: "a name of lower-case letters, digits and single `.`, `_` or `-` between them",
    pattern: r"^[a-z0-9]+([._-][a-z0-9]+)*$",
    valid: is_name,
    example: "my-app",
};
/// A name of an archive or a variant.
pub(super) const LABEL: Form = Form {
    what: "a name of lower-case letters, digits and `-`",
    pattern: r"^[a-z0-9][a-z0-9-]*$",
    valid: |text| {
        text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    },
    example: "acme",
};
/// An entry of `packages` as a text.
pub(super) const PACKAGE: Form = Form {
    what: "a package: a name, perhaps with a relation and a version, or with a slice, or `!name`",
    pattern: concat!(
        r"^(![a-z0-9][a-z0-9+.-]+|[a-z0-9][a-z0-9+.-]+",
        r"( *(<<|<=|=|>=|>>) *([0-9]+:)?[0-9][0-9A-Za-z.+~-]*|_[a-z](-?[a-z0-9]){2,})?)$"
    ),
    valid: |text| parse_package(text).is_some() || SliceName::parse(text).is_some(),
    example: "nginx-light >= 1.22",
};
/// A package with its version, without exclusion.
pub(super) const REQUEST: Form = Form {
    what: "a package name, perhaps with a relation and a version, or with a slice",
    pattern: concat!(
        r"^[a-z0-9][a-z0-9+.-]+",
        r"( *(<<|<=|=|>=|>>) *([0-9]+:)?[0-9][0-9A-Za-z.+~-]*|_[a-z](-?[a-z0-9]){2,})?$"
    ),
    valid: |text| parse_package(text).is_some_and(|(excluded, ..)| !excluded) || SliceName::parse(text).is_some(),
    example: "nginx-light >= 1.22",
};
/// Address of an archive.
pub(super) const URL: Form = Form {
    what: "an `https:`, `http:` or `file:` address without user, query and fragment",
    pattern: concat!("^", url_tail!(), "$"),
    valid: is_url,
    example: "https://example.org/debian",
};
/// Address of a file.
pub(super) const FILE_URL: Form = Form {
    what: "an `https:`, `http:` or `file:` address without user and fragment",
    pattern: concat!("^", url_tail!(), r"(\?[^\s#\u0000]*)?$"),
    valid: |text| match text.split_once('?') {
        Some((path, query)) => is_url(path) && !query.contains(|c: char| c == '#' || c == '\0' || c.is_whitespace()),
        None => is_url(text),
    },
    example: "https://example.org/app.tar.gz",
};
/// A suite or component of an archive.
pub(super) const SUITE: Form = Form {
    what: "a suite or component",
    pattern: r"^[A-Za-z0-9][A-Za-z0-9._+~-]*(/[A-Za-z0-9][A-Za-z0-9._+~-]*)*$",
    valid: |text| {
        text.split('/').all(|part| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b))
        })
    },
    example: "stable",
};
/// A suite of an archive, or the directory of a flat one.
pub(super) const SUITE_PATH: Form = Form {
    what: "a suite, or a directory with a slash at its end",
    pattern: r"^(\./|[A-Za-z0-9][A-Za-z0-9._+~-]*(/[A-Za-z0-9][A-Za-z0-9._+~-]*)*/?)$",
    valid: |text| text == "./" || (SUITE.valid)(text.strip_suffix('/').unwrap_or(text)),
    example: "stable",
};
/// An OpenPGP fingerprint.
pub(super) const FINGERPRINT: Form = Form {
    what: "a fingerprint of 40 or 64 hexadecimal digits",
    pattern: r"^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$",
    valid: |text| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
    example: "",
};
/// A path beneath the spec's directory.
pub(super) const LOCAL: Form = Form {
    what: "a path beneath the spec's directory, relative and without `..`",
    pattern: concat!(r"^(\./?|(\./)?", component!(), "(/", component!(), ")*/?)$"),
    valid: is_local,
    example: "conf/app.conf",
};
/// A path in the image.
pub(super) const PATH: Form = Form {
    what: "a path in the image, beginning with `/` and without `..`",
    pattern: concat!("^/(", component!(), "(/", component!(), ")*/?)?$"),
    valid: |text| text.strip_prefix('/').is_some_and(|rest| rest.is_empty() || has_components(rest)),
    example: "/etc/app.conf",
};
/// A glob over paths in the image.
pub(super) const GLOB: Form = Form {
    what: "a glob over paths in the image, beginning with `/`",
    pattern: r"^/[^\u0000]+$",
    valid: |text| text.len() > 1 && text.starts_with('/') && has_no_nul(text),
    example: "/usr/share/app/**",
};
/// A file mode.
pub(super) const MODE: Form = Form {
    what: "a mode, quoted and octal",
    pattern: r"^0?[0-7]{3,4}$",
    valid: |text| parse_mode(text).is_some(),
    example: "\"0755\"",
};
/// An owner as a text.
pub(super) const OWNER: Form = Form {
    what: "a user or group name or number",
    pattern: r"^([a-z_][a-z0-9_-]{0,31}|0|[1-9][0-9]{0,9})$",
    valid: |text| is_user(text) || is_number(text),
    example: "",
};
/// A user or group name.
pub(super) const USER: Form = Form {
    what: "a user or group name: lower-case letters, digits, `_` and `-`, at most 32",
    pattern: r"^[a-z_][a-z0-9_-]{0,31}$",
    valid: is_user,
    example: "",
};
/// `run.user`.
pub(super) const RUN_USER: Form = Form {
    what: "a user: a name, `uid` or `uid:gid`",
    pattern: r"^([a-z_][a-z0-9_-]{0,31}|(0|[1-9][0-9]{0,9})(:(0|[1-9][0-9]{0,9}))?)$",
    valid: |text| {
        is_user(text) || text.split_once(':').map_or(is_number(text), |(uid, gid)| is_number(uid) && is_number(gid))
    },
    example: "",
};
/// A SHA-256.
pub(super) const SHA256: Form = Form {
    what: "a SHA-256 of 64 lower-case hexadecimal digits",
    pattern: r"^[0-9a-f]{64}$",
    valid: |text| Digest::from_hex(text).is_ok(),
    example: "",
};
/// The name of an environment variable.
pub(super) const VARIABLE: Form = Form {
    what: "a variable's name, without `=` and blanks",
    pattern: r"^[^=\s\u0000]+$",
    valid: |text| !text.is_empty() && !text.contains(|c: char| c == '=' || c == '\0' || c.is_whitespace()),
    example: "",
};
/// An exposed port as a text.
pub(super) const PORT: Form = Form {
    what: "a port from 1 to 65535, perhaps with `/tcp` or `/udp`",
    pattern: concat!(
        r"^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])",
        r"(/(tcp|udp))?$"
    ),
    valid: |text| {
        let port = text.strip_suffix("/tcp").or_else(|| text.strip_suffix("/udp")).unwrap_or(text);
        is_number(port) && port.parse::<u16>().is_ok_and(|port| port > 0)
    },
    example: "8080/tcp",
};
/// A signal as a text.
pub(super) const SIGNAL: Form = Form {
    what: "a signal by name, as `SIGTERM`",
    pattern: concat!(
        "^SIG(HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN",
        r"|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)$"
    ),
    valid: is_signal,
    example: "SIGTERM",
};
/// An image to build on.
pub(super) const BASE: Form = Form {
    what: "a base image: `oci:DIR`, `oci-archive:FILE`, or `docker://HOST/NAME@sha256:…` by digest",
    pattern: r"^(oci(-archive)?:[^\s@\u0000]+|docker://[^\s@/\u0000]+/[^\s@\u0000]+@sha256:[0-9a-f]{64})$",
    valid: is_base,
    example: "",
};
/// A feature.
pub(super) const FEATURE: Form = Form {
    what: "a feature, as `iconv:utf-16`",
    pattern: r"^[a-z0-9-]+(:[A-Za-z0-9._@+/-]+)?$",
    valid: |text| {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        let all = |text: &str, fits: fn(u8) -> bool| !text.is_empty() && text.bytes().all(fits);
        all(name, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && value.is_none_or(|value| all(value, |b| b.is_ascii_alphanumeric() || b"._@+/-".contains(&b)))
    },
    example: "locales:C.utf8",
};
/// A size with its unit.
pub(super) const SIZE: Form = Form {
    what: "a size with its unit, as `60MB`",
    pattern: r"^[1-9][0-9]{0,9}(B|kB|KB|MB|GB|KiB|MiB|GiB)$",
    valid: |text| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        matches!(&text[digits.len()..], "B" | "kB" | "KB" | "MB" | "GB" | "KiB" | "MiB" | "GiB")
            && digits.len() <= 10
            && is_number(digits)
            && digits != "0"
    },
    example: "60MB",
};
/// An SPDX licence identifier, perhaps with an exception; `*` in those of one's own.
pub(super) const LICENSE: Form = Form {
    what: "an SPDX licence identifier",
    pattern: r"^[A-Za-z0-9.+*-]+( WITH [A-Za-z0-9.+*-]+)?$",
    valid: |text| {
        let (license, exception) = text.split_once(" WITH ").unwrap_or((text, "x"));
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".+*-".contains(&b));
        is_name(license) && is_name(exception)
    },
    example: "MIT",
};
/// A local package.
pub(super) const DEB: Form = Form {
    what: "a path to a `.deb` beneath the spec's directory",
    pattern: concat!(r"^(\./)?(", component!(), "/)*", r"[^/\u0000]+\.deb$"),
    valid: |text| {
        is_local(text) && text.rsplit('/').next().and_then(|n| n.strip_suffix(".deb")).is_some_and(|n| !n.is_empty())
    },
    example: "dist/my-tool_1.0_amd64.deb",
};

fn has_no_nul(text: &str) -> bool {
    !text.contains('\0')
}

fn is_name(text: &str) -> bool {
    text.split(['.', '_', '-'])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// Returns whether `text` is components parted by `/`, perhaps with one more at the end.
fn has_components(text: &str) -> bool {
    text.strip_suffix('/')
        .unwrap_or(text)
        .split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

fn is_local(text: &str) -> bool {
    match text.strip_prefix("./") {
        _ if text == "." => true,
        Some("") => true,
        Some(rest) => has_components(rest),
        None => has_components(text),
    }
}

fn is_url(text: &str) -> bool {
    if text.contains(|c: char| c == '?' || c == '#' || c == '\0' || c.is_whitespace()) {
        return false;
    }
    let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match web {
        Some(rest) => {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty() && !host.contains('@')
        }
        None => text.starts_with("file:/"),
    }
}

fn is_user(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// Returns whether `text` is a decimal number of at most ten digits, without a leading zero.
fn is_number(text: &str) -> bool {
    matches!(text.len(), 1..=10)
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

fn is_signal(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS", "RTMIN", "RTMAX",
    ];
    let Some(name) = text.strip_prefix("SIG") else { return false };
    let within = |digits: &str, most: u8| is_number(digits) && digits.parse().is_ok_and(|n| (1..=most).contains(&n));
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN+").is_some_and(|digits| within(digits, 15))
        || name.strip_prefix("RTMAX-").is_some_and(|digits| within(digits, 14))
}

fn is_base(text: &str) -> bool {
    let solid = |text: &str| !text.is_empty() && !text.contains(|c: char| c == '@' || c == '\0' || c.is_whitespace());
    if let Some(directory) = text.strip_prefix("oci:").or_else(|| text.strip_prefix("oci-archive:")) {
        return solid(directory);
    }
    let Some((name, digest)) = text.strip_prefix("docker://").and_then(|rest| rest.split_once('@')) else {
        return false;
    };
    digest.parse::<Digest>().is_ok() && name.split_once('/').is_some_and(|(host, path)| solid(host) && solid(path))
}

/// Returns the permission bits of `0755`, `755` or `4755`.
pub(super) fn parse_mode(text: &str) -> Option<u32> {
    let octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let fits = matches!(text.len(), 3 | 4) || (text.len() == 5 && text.starts_with('0'));
    if octal && fits { u32::from_str_radix(text, 8).ok() } else { None }
}

/// An entry of `packages`: whether it is excluded, its name, relation and version.
pub(super) type PackageText<'a> = (bool, &'a str, Option<(&'static str, &'a str)>);

/// Parses `name`, `name RELATION VERSION` or `!name` (Debian policy 5.6.1, 5.6.12, 7.1).
pub(super) fn parse_package(text: &str) -> Option<PackageText<'_>> {
    let (excluded, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let end = rest.find([' ', '<', '=', '>']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    if !is_package_name(name) {
        return None;
    }
    if rest.is_empty() {
        return Some((excluded, name, None));
    }
    let rest = rest.trim_start_matches(' ');
    let relation = ["<<", "<=", ">=", ">>", "="].into_iter().find(|relation| rest.starts_with(relation))?;
    let version = rest[relation.len()..].trim_start_matches(' ');
    (!excluded && is_version(version)).then_some((false, name, Some((relation, version))))
}

pub(super) fn is_package_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
}

fn is_version(text: &str) -> bool {
    let (epoch, rest) = text.split_once(':').map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
    epoch.is_none_or(|epoch| !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()))
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form, for the test that compares patterns and checks.
    const FORMS: &[&Form] = &[
        &TEXT,
        &RAW,
        &WORD,
        &NAME,
        &LABEL,
        &PACKAGE,
        &REQUEST,
        &URL,
        &FILE_URL,
        &SUITE,
        &SUITE_PATH,
        &FINGERPRINT,
        &LOCAL,
        &PATH,
        &GLOB,
        &MODE,
        &OWNER,
        &USER,
        &RUN_USER,
        &SHA256,
        &VARIABLE,
        &PORT,
        &SIGNAL,
        &BASE,
        &FEATURE,
        &SIZE,
        &LICENSE,
        &DEB,
    ];

    const TEXTS: &[&str] = &[
        "",
        "a",
        "ab",
        "web",
        "my-app",
        "my--app",
        "-a",
        "a-",
        "a.b_c",
        "Web",
        "0",
        "00",
        "0755",
        "755",
        "4755",
        "04755",
        "0999",
        "77",
        "017777",
        "1",
        "80",
        "65535",
        "65536",
        "080",
        "8080/tcp",
        "53/udp",
        "1/sctp",
        "0/tcp",
        "99999",
        "nginx-light >= 1.22",
        "nginx>=1",
        "nginx > 1",
        "!libelogind0",
        "libc6_libs",
        "libc6_li-bs",
        "libc6_l-s",
        "libc6_libs-",
        "!libc6_libs",
        "libc6_libs >= 1",
        "! x",
        "!a >= 1",
        "libc6:arm64",
        "g++ << 2:1~a-1",
        "a = 1",
        "ab = 1",
        "ab = x",
        "ab =",
        "https://example.org",
        "https://example.org/x/",
        "https://u@example.org/",
        "https:///x",
        "http://example.org/?q",
        "http://example.org?q",
        "http://example.org/?q#f",
        "file:/x?y?z",
        "file:/srv",
        "file:///srv/x",
        "file:x",
        "ftp://example.org/",
        "stable",
        "stable/updates",
        "stable/",
        "./",
        ".",
        "..",
        "./x",
        "./x/",
        "x/",
        "x//y",
        "x/./y",
        "x/../y",
        "../x",
        "/x",
        "/",
        "/x/",
        "/x/..",
        "/..x",
        "/a//b",
        "...",
        "a/..b",
        "~",
        "root",
        "nobody",
        "_apt",
        "1000:1000",
        "1000:",
        "1000:web",
        "web:web",
        "12345678901",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "0123456789abcdef0123456789ABCDEF01234567",
        "SIGTERM",
        "TERM",
        "SIGFOO",
        "SIGRTMIN+1",
        "SIGRTMIN+16",
        "SIGRTMAX-14",
        "SIGRTMAX-0",
        "oci:dir",
        "oci-archive:x.tar",
        "oci-archives:x",
        "oci:",
        "oci:a b",
        "docker://example.org/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "docker://example.org/x:1",
        "iconv:utf-16",
        "locales:C.utf8",
        "x:",
        ":y",
        "60MB",
        "0MB",
        "60 MB",
        "60mb",
        "7B",
        "60",
        "MIT",
        "AGPL-3.0-only",
        "a b",
        "a=b",
        "a\0b",
        "a\nb",
        "x.deb",
        "dist/x.deb",
        ".deb",
        "./x.deb",
        "../x.deb",
        "x.deb/",
        "/usr/**",
        "a/b.deb",
        "ü",
        "a\u{a0}b",
    ];

    #[test]
    fn patterns_say_what_the_checks_do() {
        for form in FORMS {
            let schema = serde_json::json!({"type": "string", "pattern": form.pattern});
            let validator = jsonschema::validator_for(&schema).unwrap();
            for text in TEXTS {
                let value = serde_json::Value::from(*text);
                assert_eq!(validator.is_valid(&value), (form.valid)(text), "{} {text:?}", form.what);
            }
        }
    }

    #[test]
    fn package_texts_fall_into_parts() {
        assert_eq!(parse_package("nginx-light >= 1.22"), Some((false, "nginx-light", Some((">=", "1.22")))));
        assert_eq!(parse_package("g++<<2:1~a"), Some((false, "g++", Some(("<<", "2:1~a")))));
        assert_eq!(parse_package("!libx"), Some((true, "libx", None)));
        assert_eq!(parse_package("Foo"), None);
    }
}
