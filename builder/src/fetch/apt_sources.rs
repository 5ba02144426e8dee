//! The machine's apt sources: a hint where a mirror is near, never an authority.
//!
//! One-line `sources.list` and deb822 `.sources` (sources.list(5)). What is not understood is left out: these files
//! are not ours to check. Options such as `trusted` and `Signed-By` mean nothing here, because every byte is checked
//! against keys and digests of our own.

use std::collections::BTreeMap;

/// One source of binary packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// Base addresses, as written.
    pub uris: Vec<String>,
    /// Suites below `dists/`.
    pub suites: Vec<String>,
    /// Components.
    pub components: Vec<String>,
}

/// Suites that only Debian's own archive has, without `-updates` and the like.
const DEBIAN_SUITES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// Reads one-line sources (`deb [options] URI SUITE COMPONENT…`).
pub fn parse_list(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(one_line).collect()
}

fn one_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None;
    }
    rest = rest.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        rest = options.split_once(']')?.1;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(AptSource { uris: vec![uri], suites: vec![suite], components: words.collect() })
}

/// Reads deb822 sources.
pub fn parse_deb822(text: &str) -> Vec<AptSource> {
    let mut all = Vec::new();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            all.extend(stanza(&std::mem::take(&mut fields)));
            name = None;
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = name.as_ref().and_then(|name| fields.get_mut(name)) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((field, value)) = line.split_once(':') {
            let field = field.trim().to_ascii_lowercase();
            fields.insert(field.clone(), value.trim().to_owned());
            name = Some(field);
        }
    }
    all
}

fn stanza(fields: &BTreeMap<String, String>) -> Option<AptSource> {
    let words = |name: &str| -> Vec<String> {
        fields.get(name).map(|value| value.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    };
    let enabled = fields.get("enabled").is_none_or(|value| {
        !["no", "false", "without", "off", "disable", "0"].contains(&value.to_ascii_lowercase().as_str())
    });
    let source = AptSource { uris: words("uris"), suites: words("suites"), components: words("components") };
    (enabled && words("types").iter().any(|kind| kind == "deb") && !source.uris.is_empty() && !source.suites.is_empty())
        .then_some(source)
}

/// Returns base addresses per archive of the distro, `debian` and `debian-security`, in the order of the sources.
///
/// A source counts whatever its release. Other archives use Debian's suite names too: those whose address ends like
/// Debian's own come first, and who verifies what a mirror sends goes on to the next.
pub fn mirrors(sources: &[AptSource]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let main = |source: &&AptSource| source.components.iter().any(|component| component == "main");
    for source in sources.iter().filter(main) {
        for archive in ["debian", "debian-security"] {
            if !source.suites.iter().any(|suite| archive_of(suite) == Some(archive)) {
                continue;
            }
            for uri in source.uris.iter().filter(|uri| is_supported(uri)) {
                let all = found.entry(archive.to_owned()).or_default();
                let uri = uri.trim_end_matches('/').to_owned();
                if !all.contains(&uri) {
                    all.push(uri);
                }
            }
        }
    }
    for (archive, uris) in &mut found {
        uris.sort_by_key(|uri| uri.rsplit('/').next() != Some(archive));
    }
    found
}

/// Returns the archive that has a suite of this name.
fn archive_of(suite: &str) -> Option<&'static str> {
    let is_release = |name: &str| DEBIAN_SUITES.contains(&name);
    if suite.strip_suffix("-security").is_some_and(is_release) {
        return Some("debian-security");
    }
    let release = ["-proposed-updates", "-updates", "-backports"]
        .iter()
        .find_map(|suffix| suite.strip_suffix(suffix))
        .unwrap_or(suite);
    is_release(release).then_some("debian")
}

fn is_supported(uri: &str) -> bool {
    ["https://", "http://", "file:"].iter().any(|scheme| uri.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sources: &[AptSource]) -> String {
        let mut text = String::new();
        for (archive, uris) in mirrors(sources) {
            text.push_str(&format!("{archive}: {}\n", uris.join(" ")));
        }
        text
    }

    #[test]
    fn one_line_sources_of_any_release_are_mirrors() {
        let sources = parse_list(
            "# deb https://comment.example.org/debian trixie main\n\
             deb [arch=amd64 trusted=yes] https://a.example.org/debian/ bookworm-updates main contrib # near\n\
             deb-src https://source.example.org/debian trixie main\n\
             deb\thttps://a.example.org/debian bookworm main\n\
             deb https://tools.example.org/repository stable main\n\
             deb https://b.example.org/debian sid main\n\
             deb https://s.example.org/debian-security bullseye-security main\n\
             deb cdrom:[Disc]/ trixie main\n\
             deb file:/srv/debian trixie main\n\
             deb https://other.example.org/apt nodistro main\n\
             deb https://stable.example.org/docker bookworm stable\n\
             deb [broken https://c.example.org/debian trixie main\n\
             deb https://flat.example.org/ ./\n\
             debug https://d.example.org/debian trixie main\n",
        );
        insta::assert_snapshot!(shown(&sources), @r"
        debian: https://a.example.org/debian https://b.example.org/debian file:/srv/debian https://tools.example.org/repository
        debian-security: https://s.example.org/debian-security
        ");
    }

    #[test]
    fn deb822_sources_name_many_addresses_and_suites() {
        let sources = parse_deb822(
            "Types: deb deb-src\n\
             # URIs: https://comment.example.org/debian\n\
             URIs: https://a.example.org/debian\n \
              https://b.example.org/debian\n\
             Suites: bookworm\n\
             # between\n \
              bookworm-updates bookworm-security\n\
             Components: main\n\
             Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n =abcd\n\
             \n\n\
             types: deb\nuris: https://off.example.org/debian\nsuites: trixie\ncomponents: main\nENABLED: no\n\
             \n\
             Types: deb-src\nURIs: https://source.example.org/debian\nSuites: trixie\nComponents: main\n",
        );
        insta::assert_snapshot!(shown(&sources), @r"
        debian: https://a.example.org/debian https://b.example.org/debian
        debian-security: https://a.example.org/debian https://b.example.org/debian
        ");
    }

    #[test]
    fn nonsense_is_left_out() {
        for text in ["", "\n\n", "deb", "deb [", "deb []", "URIs", ": x", " continued", "Types: deb\n\nURIs: x"] {
            assert_eq!((parse_list(text), parse_deb822(text)), (vec![], vec![]), "{text:?}");
        }
    }
}
