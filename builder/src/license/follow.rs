//! Where the copyright file of a package is: its own, or that of a package that it shares its documentation with.

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At<'a> {
    /// A regular file whose bytes were kept.
    Text(&'a [u8]),
    /// A symbolic link and its target.
    Link(&'a str),
}

/// The most links that are followed.
const MAX_LINKS: usize = 8;

/// Returns the copyright file of `package`, where `look` says what stands at a path (no leading slash) of any package of
/// the image. Links are followed, of the file and of its directory (Debian policy 12.5: `/usr/share/doc/libgcc-s1` leads
/// to `gcc-14-base`).
pub fn follow<'a>(package: &str, mut look: impl FnMut(&str) -> Option<At<'a>>) -> Option<&'a [u8]> {
    let mut path = format!("usr/share/doc/{package}/copyright");
    for _ in 0..=MAX_LINKS {
        match look(&path) {
            Some(At::Text(text)) => return Some(text),
            Some(At::Link(target)) => path = joined(&path, target)?,
            None => {
                let (directory, name) = path.rsplit_once('/')?;
                let Some(At::Link(target)) = look(directory) else { return None };
                path = format!("{}/{name}", joined(directory, target)?);
            }
        }
    }
    None
}

/// Returns where `target` leads that stands in a link at `path`; `None` above the root and for paths that are too long.
fn joined(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        path.rsplit_once('/').map(|(parent, _)| parent.split('/').collect()).unwrap_or_default()
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    (!joined.is_empty() && joined.len() <= crate::tree::MAX_PATH).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_file_and_directory_lead_to_another_package() {
        let look = |path: &str| {
            Some(match path {
                "usr/share/doc/gcc-base/copyright" => At::Text(b"text"),
                "usr/share/doc/libgcc" => At::Link("gcc-base"),
                "usr/share/doc/other/copyright" => At::Link("../libgcc/copyright"),
                "usr/share/doc/loop/copyright" => At::Link("copyright"),
                "usr/share/doc/up" => At::Link("../../../../../etc"),
                _ => return None,
            })
        };
        for (package, found) in
            [("gcc-base", true), ("libgcc", true), ("other", true), ("loop", false), ("up", false), ("x", false)]
        {
            assert_eq!(follow(package, look).is_some(), found, "{package}");
        }
    }
}
