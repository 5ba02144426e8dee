//! A fetched tar as files of the image.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

impl Packer<'_> {
    /// Adds the entries of a tar (plain, gzip, xz or zstd) below `to`, without their first `strip` components; owners,
    /// setuid, setgid, sticky and xattrs are dropped, entries with no components left too.
    pub(super) fn unpack(
        &mut self,
        file: File,
        url: &str,
        strip: u32,
        to: &ImagePath,
        mode: Option<u32>,
    ) -> Result<(), Error> {
        let limits = decode::Limits { concatenated: true, ..decode::Limits::default() };
        let mut head = [0; 6];
        let length = file.read_at(&mut head, 0).map_err(|error| local(url, error))?;
        let source = Whole { file: &file, at: 0 };
        let decoder =
            decode::decoder(Format::sniff(&head[..length]), source, &limits).map_err(|error| failed(url, error))?;
        let options = tar::Options { third_party: true, ..tar::Options::default() };
        let mut reader = tar::Reader::new(BufReader::with_capacity(CHUNK, decoder), options);
        let mut directories = BTreeMap::new();
        let first = self.entries.len();
        while let Some(entry) = reader.next().map_err(|error| tar_failed(url, error))? {
            let Some(path) = stripped(&entry.path, strip, to) else {
                continue;
            };
            let path = path.map_err(|error| failed(url, error))?;
            if path.is_root() {
                continue;
            }
            let mtime = entry.mtime.clamp(0, self.latest.max(0));
            let own = entry.mode & 0o777;
            match entry.kind {
                tar::Kind::Directory => {
                    if let Some(earlier) = directories.insert(path.clone(), self.entries.len()) {
                        self.entries[earlier].mode = own;
                        self.entries[earlier].mtime = mtime;
                        directories.insert(path, earlier);
                        continue;
                    }
                    self.push_dated(&path, EntryKind::Directory, own, mtime)?;
                }
                tar::Kind::Symlink(target) => {
                    self.push_dated(&path, EntryKind::Symlink(target), 0o777, mtime)?;
                }
                tar::Kind::Hardlink(target) => {
                    let Some(Ok(target)) = stripped(&target, strip, to) else {
                        return Err(refused(url, &format!("the hard link `{path}` leads to what is stripped")));
                    };
                    self.push_dated(&path, EntryKind::Hardlink(target.into()), mode.unwrap_or(own), mtime)?;
                }
                tar::Kind::File => {
                    let read = |buffer: &mut [u8]| reader.read_data(buffer).map_err(|error| tar_failed(url, error));
                    self.file_dated(&path, mode.unwrap_or(own), entry.size, mtime, read)?;
                }
            }
        }
        // The reader refuses this of the names in the tar; without their first components they can meet anew.
        let links: BTreeSet<&str> = self.entries[first..]
            .iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Symlink(_)))
            .map(|entry| entry.path.as_str())
            .collect();
        for entry in &self.entries[first..] {
            let mut above = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
            if let Some(link) = above.find(|above| links.contains(above)) {
                return Err(refused(url, &format!("`/{}` lies below the symbolic link `/{link}`", entry.path)));
            }
        }
        Ok(())
    }
}

/// Returns where a path goes, or nothing where no component of it is left.
fn stripped(path: &ImagePath, strip: u32, to: &ImagePath) -> Option<Result<ImagePath, PathError>> {
    if path.is_root() && strip == 0 {
        return Some(Ok(to.clone()));
    }
    let mut rest = path.as_str();
    for _ in 0..strip {
        rest = rest.split_once('/')?.1;
    }
    if rest.is_empty() { None } else { Some(below(to, rest)) }
}

fn failed(url: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unpack { url: url.to_owned(), source: Box::new(source) }
}

fn tar_failed(url: &str, error: tar::Error) -> Error {
    match error {
        tar::Error::Read { source, .. } => failed(url, source),
        other => failed(url, other),
    }
}
