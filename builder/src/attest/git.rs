//! The commit that a checkout stands at, read without running git (gitrepository-layout, gitformat-index's refs).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::SourceRevision;

/// The most bytes of a file that names a commit, or another file.
const MAX_SMALL: u64 = 64 << 10;
/// The most bytes of the list of packed references.
const MAX_PACKED: u64 = 64 << 20;
/// The most references that name each other.
const MAX_STEPS: usize = 8;

impl SourceRevision {
    /// Returns the commit at `HEAD` of the checkout that `directory` lies in; `None` where it lies in none, or no commit
    /// has been made yet.
    ///
    /// Where the repository was cloned from is not told: an address may hold a login. Whether the checkout has changes
    /// that are in no commit is not told either, since that takes git.
    ///
    /// # Errors
    /// What makes the checkout unreadable, in words.
    pub fn of_checkout(directory: &Path) -> Result<Option<Self>, String> {
        let absolute = directory.canonicalize().map_err(|error| format!("`{}`: {error}", directory.display()))?;
        let Some(git) = absolute.ancestors().map(|above| above.join(".git")).find(|git| git.exists()) else {
            return Ok(None);
        };
        let git = git_directory(git)?;
        // A worktree of its own has HEAD alone; what it refers to stands in the repository.
        let common = match text(&git.join("commondir"), MAX_SMALL)? {
            Some(path) => git.join(path.trim_end()),
            None => git.clone(),
        };
        let mut head = text(&git.join("HEAD"), MAX_SMALL)?.ok_or_else(|| "it has no `HEAD`".to_owned())?;
        for _ in 0..MAX_STEPS {
            let Some(name) = head.trim_end().strip_prefix("ref: ").map(str::to_owned) else {
                return Self::parse(head.trim_end()).map(Some).map_err(|problem| format!("its `HEAD`: {problem}"));
            };
            let plain = name.starts_with("refs/") && !name.split('/').any(|part| matches!(part, "" | "." | ".."));
            if !plain {
                return Err(format!("its `HEAD` names `{}`", name.escape_default()));
            }
            head = match (text(&git.join(&name), MAX_SMALL)?, text(&common.join(&name), MAX_SMALL)?) {
                (Some(found), _) | (None, Some(found)) => found,
                (None, None) => match packed(&common, &name)? {
                    Some(found) => found,
                    None => return Ok(None),
                },
            };
        }
        Err("its references name each other in a circle".to_owned())
    }
}

/// Returns the directory that `.git` is, or names.
fn git_directory(git: PathBuf) -> Result<PathBuf, String> {
    if git.is_dir() {
        return Ok(git);
    }
    let content = text(&git, MAX_SMALL)?.unwrap_or_default();
    let path = content.trim_end().strip_prefix("gitdir: ").ok_or_else(|| "its `.git` names no directory".to_owned())?;
    Ok(git.parent().unwrap_or(Path::new(".")).join(path))
}

/// Returns what the list of packed references says of one.
fn packed(common: &Path, name: &str) -> Result<Option<String>, String> {
    let Some(list) = text(&common.join("packed-refs"), MAX_PACKED)? else { return Ok(None) };
    let mut lines = list.lines().filter(|line| !line.starts_with(['#', '^']));
    Ok(lines
        .find_map(|line| line.split_once(' ').filter(|(_, known)| *known == name))
        .map(|(commit, _)| commit.to_owned()))
}

/// Returns a file's text; `None` where there is none.
fn text(path: &Path, limit: u64) -> Result<Option<String>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
        }
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(format!("`{}`: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn write(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_commit_of_a_checkout_is_found_wherever_git_keeps_it() {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().join("repo");
        let below = root.join("specs");
        std::fs::create_dir_all(&below).unwrap();
        let commit = |at: &Path| SourceRevision::of_checkout(at).map(|found| found.map(|found| found.commit));
        write(root.join(".git/HEAD"), "ref: refs/heads/main\n");
        assert_eq!(commit(&below), Ok(None), "no commit has been made yet");
        write(
            root.join(".git/packed-refs"),
            &format!("# pack-refs\n{TWO} refs/heads/mai\n{ONE} refs/heads/main\n^{TWO}\n"),
        );
        assert_eq!(commit(&below).unwrap().unwrap(), ONE);
        write(root.join(".git/refs/heads/main"), &format!("{TWO}\n"));
        assert_eq!(commit(&below).unwrap().unwrap(), TWO);
        write(root.join(".git/HEAD"), &format!("{ONE}\n"));
        assert_eq!(commit(&below).unwrap().unwrap(), ONE);
        // A worktree of its own.
        let tree = room.path().join("tree");
        write(tree.join(".git"), &format!("gitdir: {}\n", root.join(".git/worktrees/tree").display()));
        write(root.join(".git/worktrees/tree/commondir"), "../..\n");
        write(root.join(".git/worktrees/tree/HEAD"), "ref: refs/heads/main\n");
        assert_eq!(commit(&tree).unwrap().unwrap(), TWO);
        for head in ["ref: refs/heads/../../../secret\n", "ref: HEAD\n", "1234\n", "ref: refs/heads/a\n"] {
            write(root.join(".git/HEAD"), head);
            write(root.join(".git/refs/heads/a"), "ref: refs/heads/a\n");
            assert!(commit(&below).is_err(), "{head}");
        }
    }

    #[test]
    fn a_revision_is_a_whole_commit() {
        let parsed = SourceRevision::parse(&format!("git+https://example.org/web@{ONE}")).unwrap();
        assert_eq!((parsed.uri.as_deref(), parsed.commit.as_str()), (Some("git+https://example.org/web"), ONE));
        assert_eq!(SourceRevision::parse(ONE).unwrap().uri, None);
        for wrong in ["", "main", "1234567", &ONE.replace('1', "A"), &format!("web@{ONE}"), &format!("a: b@{ONE}")] {
            assert!(SourceRevision::parse(wrong).is_err(), "{wrong}");
        }
    }
}
