//! Where paths of the tree lead through its symbolic links.

use super::error::Error;
use super::merge::{Node, Tree, What};
use crate::tree::ImagePath;

/// The most symbolic links followed in one path (Linux' own limit).
const MAX_LINKS: u32 = 40;

impl<'a> Tree<'a> {
    /// Returns where `path` leads after every symbolic link, the last one too; the result may not exist.
    pub(super) fn resolve(&self, path: &ImagePath) -> Result<ImagePath, Error> {
        self.walk(path, true)
    }

    /// Returns where `path` stands after the symbolic links of its ancestors, the last component left alone.
    pub(super) fn resolve_parent(&self, path: &ImagePath) -> Result<ImagePath, Error> {
        self.walk(path, false)
    }

    fn walk(&self, path: &ImagePath, last: bool) -> Result<ImagePath, Error> {
        let mut rest: Vec<String> = path.as_str().rsplit('/').map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(component) = rest.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let length = done.len();
            if !done.is_empty() {
                done.push('/');
            }
            done.push_str(&component);
            if rest.is_empty() && !last {
                break;
            }
            if let Some(Node { what: What::Symlink(target), .. }) = self.nodes.get(done.as_str()) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::Loop(path.clone()));
                }
                done.truncate(if target.starts_with('/') { 0 } else { length });
                rest.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        if done.is_empty() {
            return Ok(ImagePath::root());
        }
        ImagePath::parse(&done).map_err(|error| Error::Local(error.to_string()))
    }

    /// Returns the regular file that `path` leads to, if any.
    pub(super) fn file(&self, path: &ImagePath) -> Option<&Node<'a>> {
        let real = self.resolve(path).ok()?;
        self.nodes.get(real.as_str()).filter(|node| matches!(node.what, What::File { .. } | What::Inline(_)))
    }
}
