//! Names that the world knows a component by: purl, CPE, SPDX ids.

use crate::deb822::Version;

/// Upstream's vendor and product in CPE names, by Debian source package, where they are not the source package's name.
/// The longest prefix that ends at a digit or a hyphen counts, so that `openjdk-21` finds `openjdk`.
const CPE: [(&str, &str, &str); 44] = [
    ("apr", "apache", "portable_runtime"),
    ("bash", "gnu", "bash"),
    ("brotli", "google", "brotli"),
    ("bzip2", "bzip", "bzip2"),
    ("coreutils", "gnu", "coreutils"),
    ("curl", "haxx", "curl"),
    ("cyrus-sasl", "cyrusimap", "cyrus-sasl"),
    ("expat", "libexpat_project", "libexpat"),
    ("fontconfig", "fontconfig_project", "fontconfig"),
    ("freetype", "freetype", "freetype"),
    ("gcc", "gnu", "gcc"),
    ("git", "git-scm", "git"),
    ("glibc", "gnu", "glibc"),
    ("gmp", "gmplib", "gmp"),
    ("gnutls", "gnu", "gnutls"),
    ("haproxy", "haproxy", "haproxy"),
    ("icu", "icu-project", "international_components_for_unicode"),
    ("krb", "mit", "kerberos_5"),
    ("libffi", "libffi_project", "libffi"),
    ("libidn", "gnu", "libidn2"),
    ("libjpeg-turbo", "libjpeg-turbo", "libjpeg-turbo"),
    ("libpng", "libpng", "libpng"),
    ("libssh", "libssh2", "libssh2"),
    ("libtasn", "gnu", "libtasn1"),
    ("libunistring", "gnu", "libunistring"),
    ("libxcrypt", "libxcrypt_project", "libxcrypt"),
    ("libxml", "xmlsoft", "libxml2"),
    ("libxslt", "xmlsoft", "libxslt"),
    ("lz", "lz4_project", "lz4"),
    ("ncurses", "gnu", "ncurses"),
    ("nettle", "nettle_project", "nettle"),
    ("nghttp", "nghttp2", "nghttp2"),
    ("nginx", "f5", "nginx"),
    ("nodejs", "nodejs", "node.js"),
    ("openjdk", "oracle", "openjdk"),
    ("openldap", "openldap", "openldap"),
    ("pcre", "pcre", "pcre2"),
    ("postgresql", "postgresql", "postgresql"),
    ("python", "python", "python"),
    ("readline", "gnu", "readline"),
    ("ruby", "ruby-lang", "ruby"),
    ("sqlite", "sqlite", "sqlite"),
    ("util-linux", "kernel", "util-linux"),
    ("xz-utils", "tukaani", "xz"),
];

/// Returns a CPE 2.3 name for what upstream released: of a Debian source package and its version, without epoch,
/// revision and the marks of a repacked source.
///
/// Upstream's own vendor and product are told for sources that they are known of; else the source package's name stands
/// for both, which is the form that others guess.
pub(super) fn cpe_of_debian(source: &str, version: &str) -> String {
    let upstream = Version::parse(version).map(|version| version.upstream().to_owned());
    let upstream = upstream.unwrap_or_else(|_| version.to_owned());
    // `1.3.dfsg+really1.3.1` is 1.3.1, under a number that had to be larger.
    let upstream = upstream.split_once("+really").map_or(upstream.as_str(), |(_, real)| real);
    let repacked = ["+dfsg", "+ds", "~dfsg", "~ds", "+repack", ".dfsg"];
    let end = repacked.iter().filter_map(|mark| upstream.find(mark)).min().unwrap_or(upstream.len());
    let fits = |known: &str| {
        let rest = source.strip_prefix(known)?;
        (rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()) || version_tail(rest)).then_some(known.len())
    };
    let found = CPE.iter().filter_map(|entry| Some((fits(entry.0)?, entry))).max_by_key(|(length, _)| *length);
    let (vendor, product) = found.map_or((source, source), |(_, (_, vendor, product))| (*vendor, *product));
    cpe(vendor, product, &upstream[..end])
}

/// Returns whether this is what follows the name in `openjdk-21`.
fn version_tail(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns a CPE 2.3 name of an application, as a formatted string (NIST IR 7695, 6.2).
pub(super) fn cpe(vendor: &str, product: &str, version: &str) -> String {
    format!("cpe:2.3:a:{}:{}:{}:*:*:*:*:*:*:*", escaped(vendor), escaped(product), escaped(version))
}

/// Returns the CPE 2.3 name of a distribution.
pub(super) fn cpe_of_distro(id: &str, version: &str) -> String {
    let product = if id == "debian" { "debian_linux".to_owned() } else { escaped(id) };
    format!("cpe:2.3:o:{}:{product}:{}:*:*:*:*:*:*:*", escaped(id), escaped(version))
}

/// Returns a component of a CPE 2.3 name: everything but letters, digits, `_`, `-` and `.` is quoted by a backslash.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' | '-' | '.' => escaped.push(c),
            c if c.is_ascii_graphic() => escaped.extend(['\\', c]),
            _ => escaped.push('_'),
        }
    }
    match escaped.as_str() {
        "" => "*".to_owned(),
        "-" => "\\-".to_owned(),
        _ => escaped,
    }
}

/// Returns a text of letters, digits, `.` and `-` for a name; others are told by their number, so that two names
/// never meet.
pub(super) fn spdx_id(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => id.push(c),
            '+' => id.push_str("-plus"),
            other => id.push_str(&format!("-x{:x}", u32::from(other))),
        }
    }
    id
}

/// Returns a package URL (purl-spec); `None` for a name that cannot be one.
pub(super) fn purl(
    purl_type: &str,
    namespace: Option<&str>,
    name: &str,
    version: &str,
    qualifiers: &[(&'static str, String)],
) -> Option<String> {
    let mut purl = packageurl::PackageUrl::new(purl_type.to_owned(), name.to_owned()).ok()?;
    if !version.is_empty() {
        purl.with_version(version.to_owned()).ok()?;
    }
    if let Some(namespace) = namespace {
        purl.with_namespace(namespace.to_owned()).ok()?;
    }
    for (key, value) in qualifiers {
        purl.add_qualifier(*key, value.clone()).ok()?;
    }
    Some(purl.to_string())
}

/// Returns an address that documents may carry: absolute, of the web, without blanks, logins and control characters.
pub(super) fn web_address(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://")?;
    if !matches!(scheme, "http" | "https" | "ftp") || text.len() > 2048 {
        return None;
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte);
    if !rest.bytes().all(allowed) {
        return None;
    }
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    (!host.is_empty()).then(|| format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpe_names_are_upstream_s() {
        for (source, version, name) in [
            ("glibc", "2.36-9+deb12u14", "gnu:glibc:2.36"),
            ("openjdk-21", "21.0.5+11-1", "oracle:openjdk:21.0.5\\+11"),
            ("python3.13", "3.13.5-2", "python:python:3.13.5"),
            ("python-apt", "3.0", "python-apt:python-apt:3.0"),
            ("zlib", "1:1.3.dfsg+really1.3.1-1+b1", "zlib:zlib:1.3.1"),
            ("xz-utils", "5.8.1-1", "tukaani:xz:5.8.1"),
            ("libstdc++x", "1~rc1", "libstdc\\+\\+x:libstdc\\+\\+x:1\\~rc1"),
        ] {
            assert_eq!(cpe_of_debian(source, version), format!("cpe:2.3:a:{name}:*:*:*:*:*:*:*"));
        }
    }

    #[test]
    fn purls_are_canonical() {
        let qualifiers =
            [("upstream", "glibc".to_owned()), ("arch", "amd64".to_owned()), ("distro", "debian-12".to_owned())];
        assert_eq!(
            purl("deb", Some("debian"), "libc6", "2.36-9+deb12u14", &qualifiers).unwrap(),
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc"
        );
        assert_eq!(purl("deb", None, "a", "1:2~3", &[]).unwrap(), "pkg:deb/a@1:2~3");
    }

    #[test]
    fn addresses_lose_their_logins_and_odd_ones_are_left_out() {
        assert_eq!(web_address("https://u:p@h.example/x").as_deref(), Some("https://h.example/x"));
        for text in ["file:///srv", "https://", "https:///x", "http://a b", "www.example.org", "javascript://x\u{7f}"] {
            assert_eq!(web_address(text), None, "{text}");
        }
        assert_eq!((spdx_id("libstdc++6").as_str(), spdx_id("a_b").as_str()), ("libstdc-plus-plus6", "a-x5fb"));
    }
}
