//! Which files the maintainer scripts of a package name: they copy, read or run them, so selection needs their bytes.
//!
//! A change here changes packs: raise [`PACK_FORMAT`](super::PACK_FORMAT).

use std::collections::BTreeSet;

/// The most bytes of named files in one package; one file may have them all.
const MAX_BYTES: u64 = 512 << 10;
/// The most names that are looked for.
const MAX_NAMES: usize = 4096;

/// What scripts name.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Paths without leading slash, of files or of directories.
    paths: BTreeSet<String>,
    /// Last components of paths whose directory is a variable.
    names: BTreeSet<String>,
    taken: u64,
}

impl Named {
    /// Collects what the scripts that run on a first installation name.
    pub(super) fn by(scripts: &[(String, String)]) -> Self {
        let mut named = Self::default();
        for (_, text) in scripts.iter().filter(|(name, _)| name == "postinst" || name == "preinst") {
            let part = |c: char| c.is_ascii_alphanumeric() || "._+@/${}-".contains(c);
            for token in text.split(|c| !part(c)).filter(|token| token.contains('/')) {
                if named.paths.len() + named.names.len() >= MAX_NAMES {
                    break;
                }
                let (literal, rest) = token.split_at(token.find('$').unwrap_or(token.len()));
                if let Some(path) = literal.strip_prefix('/') {
                    let path = if rest.is_empty() { path } else { path.rsplit_once('/').map_or("", |(path, _)| path) };
                    let path = path.trim_end_matches('/');
                    if !path.is_empty() {
                        named.paths.insert(path.to_owned());
                    }
                }
                let name = token.rsplit('/').next().unwrap_or_default();
                if !rest.is_empty() && name.len() > 3 && !name.contains(['$', '{', '}']) {
                    named.names.insert(name.to_owned());
                }
            }
        }
        named
    }

    /// Returns whether a file is named, itself or by a directory that is a package's own, and takes its bytes off
    /// what one package may have.
    pub(super) fn takes(&mut self, path: &str, size: u64) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let directory = || {
            let ends = path.match_indices('/').map(|(at, _)| &path[..at]);
            ends.filter(|directory| directory.matches('/').count() >= 2).any(|directory| self.paths.contains(directory))
        };
        let named = self.paths.contains(path) || self.names.contains(name) || directory();
        if !named || self.taken.saturating_add(size) > MAX_BYTES {
            return false;
        }
        self.taken += size;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_scripts_name_are_taken_within_bounds() {
        let script = "ucf /usr/share/app/default.conf /etc/app.conf\ncp -a /usr/share/app/skel $dir\n\
                      . $lib/functions.sh\ncat \"/usr/share/app/mods/${x}.ini\" /usr/lib\n";
        let mut named = Named::by(&[("postinst".into(), script.into()), ("postrm".into(), "rm /etc/gone".into())]);
        for path in
            ["usr/share/app/default.conf", "usr/share/app/skel/a/b", "opt/x/functions.sh", "usr/share/app/mods/a.ini"]
        {
            assert!(named.takes(path, 10), "{path}");
        }
        for path in ["usr/lib/libx.so", "etc/gone", "usr/share/app/other"] {
            assert!(!named.takes(path, 10), "{path}");
        }
        assert!(!named.takes("usr/share/app/default.conf", MAX_BYTES));
    }
}
