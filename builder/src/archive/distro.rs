//! Which archives a distribution consists of.

use crate::spec::Distro;

/// One archive of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DistroArchive {
    /// Its name in locks and for mirrors.
    pub name: &'static str,
    /// Suites, as they stand below `dists/`.
    pub suites: &'static [&'static str],
    /// Components read.
    pub components: &'static [&'static str],
}

/// Returns the archives of `distro`: release and updates, then security.
pub fn archives_of(distro: Distro) -> &'static [DistroArchive] {
    const MAIN: &[&str] = &["main"];
    match distro {
        Distro::Debian12 => &[
            DistroArchive { name: "debian", suites: &["bookworm", "bookworm-updates"], components: MAIN },
            DistroArchive { name: "debian-security", suites: &["bookworm-security"], components: MAIN },
        ],
        Distro::Debian13 => &[
            DistroArchive { name: "debian", suites: &["trixie", "trixie-updates"], components: MAIN },
            DistroArchive { name: "debian-security", suites: &["trixie-security"], components: MAIN },
        ],
    }
}
