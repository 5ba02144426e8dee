//! The merged-/usr rewrite: one place for every path, before anything is compared.

/// Top-level directories that are links into /usr on every merged system, and two that base-files' script moves.
const ALIASES: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib32", "usr/lib32"),
    ("lib64", "usr/lib64"),
    ("libx32", "usr/libx32"),
    ("sbin", "usr/sbin"),
    ("var/lock", "run/lock"),
    ("var/run", "run"),
];

/// Returns where `path` (no leading slash) really stands; the alias itself is left alone unless it is a directory.
pub(super) fn rewrite(path: &str, is_directory: bool) -> Option<String> {
    ALIASES.iter().find_map(|(alias, target)| {
        let rest = path.strip_prefix(alias)?;
        if rest.is_empty() && is_directory {
            Some((*target).to_owned())
        } else {
            rest.strip_prefix('/').map(|rest| format!("{target}/{rest}"))
        }
    })
}

/// As [`rewrite`], in two parts that are not copied: the target of the alias, and what is below.
pub(super) fn alias(path: &str, is_directory: bool) -> Option<(&'static str, &str)> {
    ALIASES.iter().find_map(|(alias, target)| {
        let rest = path.strip_prefix(alias)?;
        if rest.is_empty() && is_directory { Some((*target, "")) } else { Some((*target, rest.strip_prefix('/')?)) }
    })
}

/// Returns where a top-level directory of this name is a link to.
pub(super) fn alias_directory(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, target)| *target)
}

/// Returns the link text of an alias, as base-files of Debian 13 ships it and its script makes it.
pub(super) fn alias_target(alias: &str) -> Option<&'static str> {
    match alias {
        "var/lock" => Some("/run/lock"),
        "var/run" => Some("/run"),
        _ => ALIASES.iter().find(|(name, _)| *name == alias).map(|(_, target)| *target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_become_their_targets() {
        for (path, is_directory, expected) in [
            ("bin", true, Some("usr/bin")),
            ("bin", false, None),
            ("bin/sh", false, Some("usr/bin/sh")),
            ("lib64/ld-linux-x86-64.so.2", false, Some("usr/lib64/ld-linux-x86-64.so.2")),
            ("library/x", false, None),
            ("usr/bin/x", false, None),
            ("var/run/x", true, Some("run/x")),
            ("var/lock", true, Some("run/lock")),
        ] {
            assert_eq!(rewrite(path, is_directory).as_deref(), expected, "{path}");
        }
    }
}
