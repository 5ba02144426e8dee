//! What a script does to a root: values that are applied to the tree later.

use super::super::account::AccountRequest;

/// One `update-alternatives --install`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::select) struct Alternative {
    pub(in crate::select) link: String,
    pub(in crate::select) name: String,
    pub(in crate::select) path: String,
    pub(in crate::select) priority: i64,
    /// (link, name, path) of each `--slave`.
    pub(in crate::select) slaves: Vec<(String, String, String)>,
}

/// One effect. Paths are absolute, and have a place in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::select) enum Effect {
    Directory {
        path: String,
        mode: Option<u32>,
    },
    Link {
        path: String,
        target: String,
    },
    /// A file; without a mode of its own it has that of the file that it is a copy of, or 0644.
    File {
        path: String,
        text: Vec<u8>,
        mode: Option<u32>,
        like: Option<String>,
    },
    Owner {
        path: String,
        user: Option<String>,
        group: Option<String>,
    },
    /// Octal, or symbolic as `chmod` reads it.
    Mode {
        path: String,
        change: String,
    },
    Remove {
        path: String,
    },
    Alternative(Alternative),
    /// A file of another package moves aside.
    Divert {
        path: String,
        to: String,
        by: Option<String>,
    },
    Account(AccountRequest),
    /// What `pam-auth-update` makes of all configurations.
    Pam,
}

impl Effect {
    /// Returns the paths that it changes.
    pub(super) fn paths_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Directory { path, .. }
            | Self::Link { path, .. }
            | Self::File { path, .. }
            | Self::Owner { path, .. }
            | Self::Mode { path, .. }
            | Self::Remove { path } => vec![path],
            Self::Divert { path, to, .. } => vec![path, to],
            Self::Alternative(alternative) => {
                let slaves = alternative.slaves.iter_mut().flat_map(|(link, _, path)| [link, path]);
                [&mut alternative.link, &mut alternative.path].into_iter().chain(slaves).collect()
            }
            Self::Account(_) | Self::Pam => Vec::new(),
        }
    }

    /// Returns about how many bytes it holds beside its paths.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::File { text, .. } => text.len(),
            Self::Link { target, .. } => target.len(),
            // Whoever applies alternatives compares those of a name with each other.
            Self::Alternative(_) => 1 << 14,
            _ => 64,
        }
    }
}

/// Returns the mode after a change as `chmod` reads it (POSIX XCU chmod), or `None` where it is none.
pub(in crate::select) fn changed_mode(mode: u32, change: &str, directory: bool) -> Option<u32> {
    if change.bytes().all(|byte| matches!(byte, b'0'..=b'7')) && !change.is_empty() && change.len() <= 5 {
        return u32::from_str_radix(change, 8).ok().filter(|mode| *mode <= 0o7777);
    }
    let mut mode = mode;
    for clause in change.split(',') {
        let end = clause.find(['+', '-', '='])?;
        let (who, mut rest) = clause.split_at(end);
        let mut mask = 0;
        for c in who.chars() {
            mask |= match c {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        if who.is_empty() {
            mask = 0o7777;
        }
        while let Some(operator) = rest.chars().next() {
            rest = &rest[1..];
            let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
            let mut bits = 0;
            for c in rest[..end].chars() {
                bits |= match c {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    'X' if directory || mode & 0o111 != 0 => 0o111,
                    'X' => 0,
                    's' => 0o6000,
                    't' => 0o1000,
                    'u' => (mode >> 6 & 7) * 0o111,
                    'g' => (mode >> 3 & 7) * 0o111,
                    'o' => (mode & 7) * 0o111,
                    _ => return None,
                };
            }
            bits &= mask | if mask & 0o7000 != 0 { 0 } else { 0o777 };
            rest = &rest[end..];
            match operator {
                '+' => mode |= bits,
                '-' => mode &= !bits,
                // A directory keeps its set-user-id and set-group-id bits.
                '=' => mode = mode & !(mask & 0o777 | if directory { 0 } else { mask & 0o7000 }) | bits,
                _ => return None,
            }
        }
    }
    Some(mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::changed_mode;

    #[test]
    fn modes_change_as_chmod_changes_them() {
        for (before, change, directory, after) in [
            (0o644, "0755", false, Some(0o755)),
            (0o644, "2775", true, Some(0o2775)),
            (0o644, "+x", false, Some(0o755)),
            (0o644, "g+w,o-r", false, Some(0o660)),
            (0o755, "u=rwx,g=rx,o=", true, Some(0o750)),
            (0o755, "g+s", true, Some(0o2755)),
            (0o755, "u+s", false, Some(0o4755)),
            (0o644, "a+X", false, Some(0o644)),
            (0o644, "go=", false, Some(0o600)),
            (0o1777, "o-t", true, Some(0o777)),
            (0o644, "x", false, None),
            (0o644, "99", false, None),
            (0o644, "u+q", false, None),
        ] {
            assert_eq!(changed_mode(before, change, directory), after, "{before:o} {change}");
        }
    }
}
