//! What a layer holds, entry by entry, without its bytes.

use std::collections::BTreeMap;
use std::io::Read;

use super::Error;
use crate::digest::{Digest, Hasher};
use crate::image::{self, Form, OpenImage, OpenLayer};
use crate::tar::read::Kind;

/// The most entries of all layers that are looked into.
const MAX_ENTRIES: usize = 4_000_000;
/// The most bytes of their names, link targets, attributes and forms.
const MAX_NAMES: usize = 256 << 20;

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// No leading slash; empty for the root.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    pub(super) size: u64,
    /// Of a regular file; of a hard link, that of its file.
    pub(super) digest: Option<Digest>,
    /// Number of its form.
    pub(super) form: usize,
    /// Where its bytes start in the tar.
    pub(super) offset: u64,
    /// Which of the entries of this path it is; a directory may come twice.
    pub(super) again: u32,
}

impl Record {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// The entries of one layer, in their order.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) all: Vec<Record>,
    /// Bytes behind the last entry.
    pub(super) trailer: u64,
}

/// Reads layers of both images, within bounds over all of them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    forms: BTreeMap<Form, usize>,
    entries: usize,
    names: usize,
}

impl Reader {
    /// Reads a layer to its end, and checks it against its digests.
    pub(super) fn read(&mut self, open: &OpenImage, layer: &OpenLayer) -> Result<Records, Error> {
        let mut records = Records::default();
        let mut seen: BTreeMap<String, (u32, Option<Digest>)> = BTreeMap::new();
        records.trailer = open.written(layer, |entry, form, body| {
            self.entries += 1;
            let target = match &entry.kind {
                Kind::Symlink(target) => target.len(),
                Kind::Hardlink(target) => target.as_str().len(),
                Kind::Directory | Kind::File => 0,
            };
            let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
            self.names += 2 * entry.path.as_str().len() + target + xattrs;
            let form = match self.forms.get(form) {
                Some(known) => *known,
                None => {
                    self.names += form.length();
                    self.forms.insert(form.clone(), self.forms.len());
                    self.forms.len() - 1
                }
            };
            self.within(open)?;
            let digest = match &entry.kind {
                Kind::File => Some(hashed(open, body)?),
                Kind::Hardlink(target) => seen.get(target.as_str()).and_then(|(_, digest)| *digest),
                Kind::Directory | Kind::Symlink(_) => None,
            };
            let path = entry.path.as_str().to_owned();
            let again = match seen.get_mut(&path) {
                Some((count, _)) => {
                    *count += 1;
                    *count
                }
                None => {
                    seen.insert(path.clone(), (0, digest));
                    0
                }
            };
            records.all.push(Record {
                path,
                kind: entry.kind.clone(),
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime,
                xattrs: entry.xattrs.clone(),
                size: entry.size,
                digest,
                form,
                offset: entry.offset,
                again,
            });
            Ok::<_, Error>(())
        })?;
        Ok(records)
    }

    /// Returns the forms by their numbers.
    pub(super) fn forms(&self) -> Vec<&Form> {
        let mut forms: Vec<(&usize, &Form)> = self.forms.iter().map(|(form, number)| (number, form)).collect();
        forms.sort_by_key(|(number, _)| **number);
        forms.into_iter().map(|(_, form)| form).collect()
    }

    fn within(&self, open: &OpenImage) -> Result<(), image::Error> {
        let too_many = |problem| Err(image::Error::Invalid { image: open.name().to_owned(), problem });
        if self.entries > MAX_ENTRIES {
            return too_many(format!("its layers have more than {MAX_ENTRIES} entries"));
        }
        if self.names > MAX_NAMES {
            return too_many(format!("its layers have more than {MAX_NAMES} bytes of names"));
        }
        Ok(())
    }
}

fn hashed(open: &OpenImage, body: &mut dyn Read) -> Result<Digest, image::Error> {
    let failed = |source| image::Error::Read { image: open.name().to_owned(), source };
    let mut hasher = Hasher::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match body.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hasher.digest()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
