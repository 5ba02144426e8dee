//! Which package a file belongs to, told by the databases in the image: dpkg's, and apk's.

use std::collections::BTreeMap;

use super::survey::Content;
use crate::image::Rootfs;

/// The most files that are noted.
const MAX_FILES: usize = 2_000_000;

/// Packages by path.
#[derive(Debug, Clone, Default)]
pub struct Owners(BTreeMap<String, String>);

impl Owners {
    pub(super) fn read(rootfs: &Rootfs<Content>) -> Self {
        let mut owners = Self::default();
        for (path, node) in &rootfs.nodes {
            let Some(text) = node.content.text.as_deref().and_then(|text| std::str::from_utf8(text).ok()) else {
                continue;
            };
            if let Some(name) = path.strip_prefix("var/lib/dpkg/status.d/") {
                if let Some(name) = name.strip_suffix(".md5sums") {
                    let paths = text.lines().filter_map(|line| line.split_once("  ").map(|(_, path)| path));
                    owners.add(rootfs, name, paths);
                }
            } else if let Some(name) = path.strip_prefix("var/lib/dpkg/info/") {
                let name = name.trim_end_matches(".list").split(':').next().unwrap_or(name);
                owners.add(rootfs, name, text.lines());
            } else if path.ends_with("apk/db/installed") {
                owners.add_apk(rootfs, text);
            }
        }
        owners
    }

    /// Returns the package of a path (no leading slash).
    pub fn of(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Returns the paths of each package, sorted.
    pub fn by_package(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (path, package) in &self.0 {
            all.entry(package).or_default().push(path);
        }
        all
    }

    fn add<'a>(&mut self, rootfs: &Rootfs<Content>, package: &str, paths: impl Iterator<Item = &'a str>) {
        for path in paths {
            // dpkg's lists say `/bin/sh` where the file stands in `/usr/bin`.
            if self.0.len() < MAX_FILES
                && let Some(path) = rootfs.resolve_parent(path)
            {
                self.0.entry(path).or_insert_with(|| package.to_owned());
            }
        }
    }

    /// Reads apk's database: stanzas of `P:` package, `F:` directory, `R:` file in it.
    fn add_apk(&mut self, rootfs: &Rootfs<Content>, text: &str) {
        let (mut package, mut directory) = ("", "");
        for line in text.lines() {
            match line.split_once(':') {
                Some(("P", name)) => package = name,
                Some(("F", path)) => directory = path,
                Some(("R", name)) => self.add(rootfs, package, std::iter::once(&*format!("{directory}/{name}"))),
                _ => {}
            }
        }
    }
}
