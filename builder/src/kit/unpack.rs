//! Unpacks a rebuild kit: what stands beside its spec, as it was read. Hostile input is assumed.
//!
//! Only paths that [`spec_path`] itself would write are taken, links are made after all else, so that nothing is ever
//! written through one, and every file is checked against its digest. What the files are for is decided elsewhere; a
//! build reads them as it reads any spec's files, never outside of their directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Body, Error, File, IMAGE, Kit, LOCK, SPEC, Special, spec_path};
use crate::digest::{Digest, HashingReader};

/// The most bytes of a spec or a lock.
const MAX_TEXT: u64 = 16 << 20;
/// The most bytes of all files together.
const MAX_BYTES: u64 = 64 << 30;
/// The most files.
const MAX_FILES: usize = 1_000_000;

impl Kit {
    /// Returns the spec and the lock of a rebuild kit.
    ///
    /// # Errors
    /// Where the kit has none, or other bytes than it says.
    pub fn texts(&self) -> Result<(String, String), Error> {
        Ok((self.text(SPEC, "spec")?, self.text(LOCK, "lock")?))
    }

    /// Returns the variant that the spec of a rebuild kit is, where it is one.
    pub fn variant(&self) -> Option<&str> {
        let spec = self.manifest().files.iter().find(|file| file.path == SPEC && file.kind == "spec");
        match spec.and_then(|file| file.special.as_ref()) {
            Some(Special::Variant(name)) => Some(name),
            _ => None,
        }
    }

    fn text(&self, path: &str, kind: &str) -> Result<String, Error> {
        let file = self.manifest().files.iter().find(|file| file.path == path && file.kind == kind);
        let file = file.ok_or_else(|| self.invalid(format!("it is no rebuild kit: it has no `{path}`")))?;
        if file.size > MAX_TEXT {
            return Err(self.invalid(format!("its `{path}` has more than {MAX_TEXT} bytes")));
        }
        let mut bytes = Vec::new();
        self.body(file)?.take(file.size).read_to_end(&mut bytes).map_err(|source| self.unread(source))?;
        self.check(file, Digest::of(&bytes))?;
        String::from_utf8(bytes).map_err(|_| self.invalid(format!("its `{path}` is not UTF-8")))
    }

    /// Writes what stands beside the spec of a rebuild kit into `directory`, which is empty.
    ///
    /// # Errors
    /// A path that leads elsewhere or comes twice, other bytes than the kit says, too many of them, the disk.
    pub fn unpack(&self, directory: &Path) -> Result<(), Error> {
        let prefix = spec_path(IMAGE, "x").expect("it is a plain name").trim_end_matches('x').to_owned();
        // One file may be listed as a key and as a copy, and only the latter says that it can be executed.
        let mut beside: BTreeMap<&str, &File> = BTreeMap::new();
        for file in &self.manifest().files {
            let Some(path) = file.path.strip_prefix(prefix.as_str()) else { continue };
            if spec_path(IMAGE, path).as_deref() != Some(file.path.as_str()) || path.contains('\0') {
                return Err(self.invalid(format!("`{}` leads elsewhere", file.path.escape_default())));
            }
            match beside.get(path) {
                Some(known) if known.digest != file.digest || known.has_bytes() != file.has_bytes() => {
                    return Err(self.invalid(format!("it lists `{}` twice", file.path.escape_default())));
                }
                Some(known) if known.special.is_some() => {}
                _ => {
                    beside.insert(path, file);
                }
            }
        }
        if beside.len() > MAX_FILES {
            return Err(self.invalid(format!("it has {} files, more than {MAX_FILES}", beside.len())));
        }
        let mut bytes = 0_u64;
        for (path, file) in &beside {
            bytes = bytes.saturating_add(file.size);
            if bytes > MAX_BYTES {
                return Err(self.invalid(format!("its files have more than {MAX_BYTES} bytes")));
            }
            self.unpack_one(file, &directory.join(path))?;
        }
        for (path, file) in beside {
            if let Some(Special::Link(target)) = &file.special {
                let to = directory.join(path);
                let made = parents(&to).and_then(|()| std::os::unix::fs::symlink(target, &to));
                made.map_err(|source| Error::Write { path: to, source })?;
            }
        }
        Ok(())
    }

    fn unpack_one(&self, file: &File, to: &Path) -> Result<(), Error> {
        let failed = |source| Error::Write { path: to.to_owned(), source };
        match &file.special {
            Some(Special::Link(_)) => return Ok(()),
            Some(Special::Directory) => return fs::create_dir_all(to).map_err(failed),
            Some(Special::Executable | Special::Variant(_)) | None => {}
        }
        parents(to).map_err(failed)?;
        let mut body = HashingReader::new(self.body(file)?.take(file.size.saturating_add(1)));
        let mut new = fs::File::create_new(to).map_err(failed)?;
        io::copy(&mut body, &mut new).map_err(failed)?;
        self.check(file, body.finish().0)?;
        let mode = if file.special == Some(Special::Executable) { 0o755 } else { 0o644 };
        new.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)
    }

    fn body(&self, file: &File) -> Result<Body, Error> {
        let body = self.file(&file.path)?;
        body.ok_or_else(|| self.invalid(format!("it lists `{}` and does not hold it", file.path.escape_default())))
    }

    fn check(&self, file: &File, found: Digest) -> Result<(), Error> {
        if found == file.digest {
            return Ok(());
        }
        let path = file.path.escape_default();
        Err(self.invalid(format!("its `{path}` is {found}, and its manifest says {}", file.digest)))
    }

    fn invalid(&self, problem: String) -> Error {
        Error::Invalid { path: self.name().to_owned(), problem }
    }

    fn unread(&self, source: io::Error) -> Error {
        Error::Read { path: self.name().to_owned(), source }
    }
}

fn parents(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
