//! Which addresses an archive's files are asked from, in order. A lock names no host; this is where hosts come in.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The snapshot service: the distro's archives as they were at every moment. The only host name in the program.
const SNAPSHOT: &str = "https://snapshot.debian.org/archive";

/// Archives that the snapshot service has.
const SNAPSHOT_ARCHIVES: &[&str] = &["debian", "debian-security"];

/// The snapshot service takes in a state within this many seconds of its release.
const SNAPSHOT_DELAY: i64 = 6 * 60 * 60;

/// Returns whether an address is one of the snapshot service.
pub(super) fn is_snapshot(url: &str) -> bool {
    url.starts_with(SNAPSHOT)
}

/// Base addresses per archive, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// By archive name; without a slash at the end.
    pub by_archive: BTreeMap<String, Vec<String>>,
    /// What else belongs to asking an archive, where anything does.
    pub private: BTreeMap<String, Private>,
}

/// How an archive is asked that is not open to all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private {
    /// Logins of the machine go to the hosts that they are meant for.
    pub auth: bool,
    /// PEM text of certificate authorities that its servers may show as well.
    pub authorities: Option<Arc<[u8]>>,
}

/// A `--mirror` flag: `[ARCHIVE=]URI`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorFlag {
    /// The archive meant; without it, all archives of the distro.
    pub archive: Option<String>,
    /// Base address.
    pub uri: String,
}

impl MirrorFlag {
    /// Reads a flag; `None` where it has no `https:`, `http:` or `file:` address.
    pub fn parse(text: &str) -> Option<Self> {
        let is_uri = |text: &str| ["https://", "http://", "file:/"].iter().any(|scheme| text.starts_with(scheme));
        if is_uri(text) {
            return Some(Self { archive: None, uri: text.to_owned() });
        }
        let (archive, uri) = text.split_once('=')?;
        (is_uri(uri) && !archive.is_empty()).then(|| Self { archive: Some(archive.to_owned()), uri: uri.to_owned() })
    }
}

/// Which state the snapshot service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// None: the service is not asked.
    Never,
    /// The newest at this moment, in seconds since 1970-01-01 UTC; for a first lock.
    Newest(i64),
    /// The one that a lock of this date was made from.
    LockedAt(i64),
}

/// Where mirrors come from, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSources<'a> {
    /// `--mirror` flags, in order.
    pub flags: &'a [MirrorFlag],
    /// The spec's own archives and their addresses.
    pub spec: &'a BTreeMap<String, String>,
    /// The machine's apt sources, by archive of the distro; see [`super::apt_sources::mirrors`].
    pub apt: &'a BTreeMap<String, Vec<String>>,
    /// The snapshot service.
    pub snapshot: Snapshot,
}

/// Returns where a file below an archive's base is published for good, whatever mirror it is fetched from: of the
/// distro's archives, the snapshot service's state of `date` (seconds since 1970-01-01 UTC); of an archive of the spec,
/// below its address there. `None` where neither is known, or the address is a path of this machine.
pub fn published(archive: &str, own: Option<&str>, date: i64, path: &str) -> Option<String> {
    match own {
        Some(base) => (!base.starts_with("file:")).then(|| join(base.trim_end_matches('/'), path)),
        None if SNAPSHOT_ARCHIVES.contains(&archive) => {
            let time = moments(Snapshot::LockedAt(date)).next()?;
            Some(join(&format!("{SNAPSHOT}/{archive}/{time}"), path))
        }
        None => None,
    }
}

impl Mirrors {
    /// Returns the mirrors of these archives; an archive that the spec does not name is the distro's.
    pub fn order(archives: &[&str], sources: &MirrorSources<'_>) -> Self {
        let by_archive = archives.iter().map(|archive| ((*archive).to_owned(), bases(archive, sources))).collect();
        Self { by_archive, private: BTreeMap::new() }
    }

    /// Returns the addresses of a file below an archive's base, best first.
    pub fn urls(&self, archive: &str, path: &str) -> Vec<String> {
        let bases = self.by_archive.get(archive).map(Vec::as_slice).unwrap_or_default();
        bases.iter().map(|base| join(base, path)).collect()
    }
}

fn bases(archive: &str, sources: &MirrorSources<'_>) -> Vec<String> {
    let of_spec = sources.spec.get(archive);
    let flags = sources.flags.iter().filter(|flag| match &flag.archive {
        Some(name) => name == archive,
        None => of_spec.is_none(),
    });
    let mut all: Vec<String> = flags.map(|flag| flag.uri.clone()).collect();
    all.extend(of_spec.cloned());
    if of_spec.is_none() {
        all.extend(sources.apt.get(archive).into_iter().flatten().cloned());
        if SNAPSHOT_ARCHIVES.contains(&archive) {
            all.extend(moments(sources.snapshot).map(|time| format!("{SNAPSHOT}/{archive}/{time}")));
        }
    }
    let mut kept = Vec::new();
    for uri in all {
        let uri = uri.trim_end_matches('/').to_owned();
        if !kept.contains(&uri) {
            kept.push(uri);
        }
    }
    kept
}

/// Returns the moments to ask the snapshot service for, as it writes them.
///
/// It answers with the last state it took in before a moment. A lock's date is that of a Release, so the moment comes
/// later; the date itself stands behind it for a lock that is younger than that.
fn moments(snapshot: Snapshot) -> impl Iterator<Item = String> {
    let seconds = match snapshot {
        Snapshot::Never => vec![],
        Snapshot::Newest(now) => vec![now],
        Snapshot::LockedAt(date) => vec![date.saturating_add(SNAPSHOT_DELAY), date],
    };
    seconds
        .into_iter()
        .filter_map(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Joins a path to a base address, escaping what an address cannot hold as it is.
fn join(base: &str, path: &str) -> String {
    let mut url = format!("{base}/");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' | b'+' | b':' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_stand_in_the_order_flag_spec_apt_snapshot() {
        let flags: Vec<_> =
            ["https://all.example.org/debian/", "acme=file:/srv/acme", "debian=http://near.example.org"]
                .iter()
                .map(|flag| MirrorFlag::parse(flag).unwrap())
                .collect();
        let spec = BTreeMap::from([("acme".to_owned(), "https://apt.example.org/".to_owned())]);
        let apt = BTreeMap::from([(
            "debian".to_owned(),
            vec!["https://apt.example.org/debian".to_owned(), "http://near.example.org/".to_owned()],
        )]);
        let sources =
            MirrorSources { flags: &flags, spec: &spec, apt: &apt, snapshot: Snapshot::LockedAt(1_700_000_000) };
        let mirrors = Mirrors::order(&["debian", "debian-security", "acme"], &sources);
        let shown: String = mirrors
            .by_archive
            .iter()
            .flat_map(|(archive, all)| all.iter().map(move |uri| format!("{archive} {uri}\n")))
            .map(|line| line.replace(SNAPSHOT, "SNAPSHOT"))
            .collect();
        insta::assert_snapshot!(shown, @r"
        acme file:/srv/acme
        acme https://apt.example.org
        debian https://all.example.org/debian
        debian http://near.example.org
        debian https://apt.example.org/debian
        debian SNAPSHOT/debian/20231115T041320Z
        debian SNAPSHOT/debian/20231114T221320Z
        debian-security https://all.example.org/debian
        debian-security SNAPSHOT/debian-security/20231115T041320Z
        debian-security SNAPSHOT/debian-security/20231114T221320Z
        ");
        let none = MirrorSources { snapshot: Snapshot::Never, flags: &[], ..sources };
        assert_eq!(Mirrors::order(&["debian-security"], &none).urls("debian-security", "x"), Vec::<String>::new());
        assert_eq!(mirrors.urls("acme", "pool/a b_1~2+3.deb")[1], "https://apt.example.org/pool/a%20b_1~2+3.deb");
    }

    #[test]
    fn what_is_published_does_not_depend_on_mirrors() {
        let of = |archive: &str, own: Option<&str>| published(archive, own, 1_700_000_000, "pool/a b_1~2+3.deb");
        let there = of("debian", None).unwrap();
        assert_eq!(there.replace(SNAPSHOT, "SNAPSHOT"), "SNAPSHOT/debian/20231115T041320Z/pool/a%20b_1~2+3.deb");
        let own = of("acme", Some("https://apt.example.org/")).unwrap();
        assert_eq!(own, "https://apt.example.org/pool/a%20b_1~2+3.deb");
        assert_eq!(of("acme", None), None);
        assert_eq!(of("acme", Some("file:///srv/acme")), None);
    }

    #[test]
    fn a_flag_without_an_address_is_none() {
        for text in ["", "debian", "debian=", "debian=ftp://example.org", "=https://example.org", "/srv/debian"] {
            assert_eq!(MirrorFlag::parse(text), None, "{text}");
        }
        let query = MirrorFlag::parse("https://example.org/?a=b").unwrap();
        assert_eq!(query.archive, None);
    }
}
