//! A strict, streaming tar reader.
//!
//! In: the bytes of a ustar, GNU or pax archive (POSIX.1-2017 pax interchange format; GNU tar's `L` and `K`). Out: its
//! entries in order, each with the place of its bytes, and every rule checked that makes the archive one tree: what two
//! readers could take differently is refused, and so is what has no place in an image. Nothing is unpacked here.
//! The archive is known to be whole when [`Reader::next`] has returned `None`.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::diag::Diagnose;
use crate::tree::{ImagePath, MAX_PATH, PathError};

mod form;
mod header;
mod pax;

pub use form::Form;
use header::{BLOCK, Header};
use pax::Records;

/// Zero bytes that may follow the end-of-archive blocks: writers fill up to their blocking factor.
const MAX_PADDING: u64 = 64 << 10;

/// What a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The most entries, implied directories counted.
    pub max_entries: usize,
    /// The most bytes of the whole archive.
    pub max_size: u64,
    /// The most bytes of paths, link targets and xattrs together.
    pub max_names: usize,
    /// The most bytes of one pax header.
    pub max_pax: u64,
    /// Takes what third-party archives have and no package has: a global pax header that holds a comment alone (as
    /// `git archive` writes it), pax records of other writers that change nothing here, a directory that comes twice (the
    /// later one is meant), and the type of a file in its mode, as moby and containers/storage write it.
    pub third_party: bool,
    /// Takes what layers of images have and no archive of files: whiteouts (OCI image-spec 1.1, layer), as empty files;
    /// the type of a file in its mode; an end without the blocks that mark it, as `umoci insert` leaves it. The caller
    /// knows the layer to be whole by its digest.
    pub layer: bool,
    /// Notes how each entry is written, for [`Reader::form`].
    pub forms: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_size: 8 << 30,
            max_names: 64 << 20,
            max_pax: 1 << 20,
            third_party: false,
            layer: false,
            forms: false,
        }
    }
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes.
    pub path: ImagePath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid, sticky.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since 1970-01-01 UTC, a fraction dropped downwards.
    pub mtime: i64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Where its bytes start in the archive.
    pub offset: u64,
    /// Size in bytes; 0 for anything but a regular file.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link and its target, as written.
    Symlink(String),
    /// A hard link to an earlier regular file.
    Hardlink(ImagePath),
}

/// An archive that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes could not be read.
    #[error("cannot read the tar archive at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive ends before its end.
    #[error("cannot read the tar archive: it is cut short at byte {offset}")]
    Truncated {
        /// Where.
        offset: u64,
    },
    /// A header breaks the format.
    #[error("cannot read the tar header at byte {offset}: {problem}")]
    Header {
        /// Where the header starts.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// An entry's path has no place in an image.
    #[error("cannot take the tar entry at byte {offset}")]
    Path {
        /// Where its header starts.
        offset: u64,
        /// Why.
        #[source]
        source: PathError,
    },
    /// An entry does not fit the tree of the entries before it.
    #[error("cannot take the tar entry `{path}`: {problem}")]
    Entry {
        /// Its path.
        path: ImagePath,
        /// What is wrong.
        problem: String,
    },
    /// A bound is exceeded.
    #[error("cannot read the tar archive: it has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// Bytes follow the end of the archive.
    #[error("cannot read the tar archive: bytes follow its end at byte {offset}")]
    Trailing {
        /// Where the end was.
        offset: u64,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "tar::read",
            Self::Truncated { .. } => "tar::truncated",
            Self::Header { .. } => "tar::header",
            Self::Path { .. } => "tar::path",
            Self::Entry { .. } => "tar::entry",
            Self::Limit { .. } => "tar::limit",
            Self::Trailing { .. } => "tar::trailing",
        }
    }
}

/// What stands at a path of the entries read so far.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// A directory without an entry of its own.
    Implied,
    Directory,
    /// A regular file with its mode, uid and gid.
    File([u32; 3]),
    Symlink,
    Hardlink(ImagePath),
}

/// A reader of one archive.
pub struct Reader<R> {
    inner: R,
    options: Options,
    /// Bytes read so far.
    position: u64,
    /// Bytes of the current entry not read yet, and its padding.
    remaining: u64,
    padding: u64,
    known: BTreeMap<ImagePath, Known>,
    names: usize,
    ended: bool,
    /// The last header read.
    block: [u8; BLOCK],
    form: Form,
    /// Where the last entry ended.
    last: u64,
}

impl<R: Read> Reader<R> {
    /// Returns a reader of the archive that `inner` gives; it should be buffered.
    pub fn new(inner: R, options: Options) -> Self {
        Self {
            inner,
            options,
            position: 0,
            remaining: 0,
            padding: 0,
            known: BTreeMap::new(),
            names: 0,
            ended: false,
            block: [0; BLOCK],
            form: Form::default(),
            last: 0,
        }
    }

    /// Returns how the last entry is written; empty without [`Options::forms`].
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Returns the bytes behind the last entry, once the end was read: blocks that mark it, and what fills it up.
    pub fn trailer(&self) -> u64 {
        self.position - self.last
    }

    /// Returns the next entry, or `None` when the archive was read to its very end and is whole.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not be read from between its items")]
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.skip_data()?;
        self.last = self.position;
        if self.ended {
            return Ok(None);
        }
        self.form = Form::default();
        let mut records = Records::default();
        let mut has_records = false;
        let (mut long_path, mut long_link) = (None, None);
        loop {
            let offset = self.position;
            let wrong = |problem: String| Error::Header { offset, problem };
            let Some(header) = self.header()? else {
                if has_records || long_path.is_some() || long_link.is_some() {
                    return Err(wrong("the archive ends after an extension header".to_owned()));
                }
                return Ok(None);
            };
            match header.kind {
                b'x' => {
                    if has_records {
                        return Err(wrong("a second pax header for one entry".to_owned()));
                    }
                    let bytes = self.extension(&header, self.options.max_pax, "bytes in a pax header", offset)?;
                    records = Records::parse(&bytes, self.options.third_party).map_err(wrong)?;
                    has_records = true;
                    if self.options.forms {
                        self.form.pax(&self.block, &header, &bytes);
                    }
                }
                b'g' => {
                    let bytes = self.extension(&header, self.options.max_pax, "bytes in a pax header", offset)?;
                    if !self.options.third_party || !pax::is_comment(&bytes) {
                        return Err(wrong("a global pax header".to_owned()));
                    }
                    if self.options.forms {
                        self.form.extension(header.kind);
                    }
                }
                b'L' | b'K' => {
                    let slot = if header.kind == b'L' { &mut long_path } else { &mut long_link };
                    if slot.is_some() {
                        return Err(wrong("a second long name for one entry".to_owned()));
                    }
                    // `./`, the path, a trailing slash, NUL.
                    let limit = MAX_PATH as u64 + 4;
                    let bytes = self.extension(&header, limit, "bytes in a long name", offset)?;
                    let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
                    if text.is_empty() || text.contains(&0) {
                        return Err(wrong("a long name that is empty or holds a NUL byte".to_owned()));
                    }
                    let text = std::str::from_utf8(text).map_err(|_| wrong("a long name is not UTF-8".to_owned()))?;
                    *slot = Some(text.to_owned());
                    if self.options.forms {
                        self.form.extension(header.kind);
                    }
                }
                _ => {
                    if has_records && (long_path.is_some() || long_link.is_some()) {
                        return Err(wrong("pax and GNU extension headers for one entry".to_owned()));
                    }
                    return self.entry(header, records, long_path, long_link, offset).map(Some);
                }
            }
        }
    }

    /// Reads bytes of the current entry; 0 at its end.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let length = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        let count = self.fill(&mut buffer[..length])?;
        if count == 0 {
            return Err(Error::Truncated { offset: self.position });
        }
        self.remaining -= count as u64;
        Ok(count)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    self.position += count as u64;
                    if self.position > self.options.max_size {
                        return Err(Error::Limit { what: "bytes", limit: self.options.max_size });
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { offset: self.position, source }),
            }
        }
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.fill(&mut buffer[filled..])? {
                0 => return Err(Error::Truncated { offset: self.position }),
                count => filled += count,
            }
        }
        Ok(())
    }

    fn skip_data(&mut self) -> Result<(), Error> {
        let mut scratch = [0; 8192];
        while self.read_data(&mut scratch)? > 0 {}
        let mut left = std::mem::take(&mut self.padding) as usize;
        while left > 0 {
            match self.fill(&mut scratch[..left])? {
                0 if self.options.layer => {
                    self.ended = true;
                    return Ok(());
                }
                0 => return Err(Error::Truncated { offset: self.position }),
                count => left -= count,
            }
        }
        Ok(())
    }

    /// Reads one header; `None` after the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        let offset = self.position;
        let mut block = [0; BLOCK];
        let count = self.fill(&mut block)?;
        if count == 0 && self.options.layer {
            self.ended = true;
            return Ok(None);
        }
        self.exact(&mut block[count..])?;
        if block == [0; BLOCK] {
            self.exact(&mut block)?;
            if block != [0; BLOCK] {
                return Err(Error::Header { offset, problem: "a single zero block inside the archive".to_owned() });
            }
            self.end()?;
            return Ok(None);
        }
        self.block = block;
        let header = Header::parse(&block).map_err(|problem| Error::Header { offset, problem })?;
        if header.size > self.options.max_size {
            return Err(Error::Limit { what: "bytes", limit: self.options.max_size });
        }
        Ok(Some(header))
    }

    fn end(&mut self) -> Result<(), Error> {
        self.ended = true;
        let end = self.position;
        let mut scratch = [0; 8192];
        loop {
            let count = self.fill(&mut scratch)?;
            if count == 0 {
                return Ok(());
            }
            if scratch[..count].iter().any(|byte| *byte != 0) || self.position - end > MAX_PADDING {
                return Err(Error::Trailing { offset: end });
            }
        }
    }

    /// Reads the bytes of an extension header.
    fn extension(&mut self, header: &Header, limit: u64, what: &'static str, offset: u64) -> Result<Vec<u8>, Error> {
        if header.size > limit {
            return Err(Error::Limit { what, limit });
        }
        if header.size == 0 {
            return Err(Error::Header { offset, problem: "an empty extension header".to_owned() });
        }
        let mut bytes = vec![0; header.size as usize];
        self.exact(&mut bytes)?;
        let mut rest = [0; BLOCK];
        self.exact(&mut rest[..padding(header.size) as usize])?;
        Ok(bytes)
    }

    fn entry(
        &mut self,
        header: Header,
        records: Records,
        long_path: Option<String>,
        long_link: Option<String>,
        offset: u64,
    ) -> Result<Entry, Error> {
        let wrong = |problem: &str| Error::Header { offset, problem: problem.to_owned() };
        let size = match records.size {
            None => header.size,
            Some(size) if size == header.size || (size >= header::OCTAL_SIZE && header.size == 0) => size,
            Some(_) => return Err(wrong("its pax header says another size")),
        };
        let linked = matches!(header.kind, b'1' | b'2');
        if !linked && (records.linkpath.is_some() || long_link.is_some() || !header.link.is_empty()) {
            return Err(wrong("a link target on what is no link"));
        }
        let name = match records.path.or(long_path) {
            Some(name) => name,
            None => String::from_utf8(header.path).map_err(|_| wrong("its path is not UTF-8"))?,
        };
        if self.options.forms {
            self.form.entry(&self.block, header.kind, header.mode, &name);
        }
        let path = image_path(&name, offset)?;
        let target = match records.linkpath.or(long_link) {
            Some(target) => target,
            None => String::from_utf8(header.link).map_err(|_| wrong("its link target is not UTF-8"))?,
        };
        let kind = match header.kind {
            b'0' | 0 => Kind::File,
            b'5' => Kind::Directory,
            b'2' if target.is_empty() => return Err(wrong("a symbolic link without a target")),
            b'2' if target.len() > MAX_PATH => return Err(wrong("a link target longer than 4096 bytes")),
            b'2' => Kind::Symlink(target),
            b'1' => Kind::Hardlink(image_path(&target, offset)?),
            b'3' | b'4' => return Err(wrong("a device")),
            b'6' => return Err(wrong("a fifo")),
            b'S' => return Err(wrong("a sparse file")),
            other => return Err(wrong(&format!("an entry of type `{}`", char::from(other).escape_default()))),
        };
        if kind != Kind::Directory && (name.ends_with('/') || path.is_root()) {
            return Err(wrong("a path that only a directory can have"));
        }
        if kind != Kind::File && size != 0 {
            return Err(wrong("a size on what is no regular file"));
        }
        self.names += path.as_str().len() + records.xattrs.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        if let Kind::Symlink(target) = &kind {
            self.names += target.len();
        }
        let (uid, gid) = (records.uid.unwrap_or(header.uid), records.gid.unwrap_or(header.gid));
        let mode = header.mode & 0o7777;
        let typed = match kind {
            Kind::Directory => 0o040_000,
            Kind::Symlink(_) => 0o120_000,
            Kind::File | Kind::Hardlink(_) => 0o100_000,
        };
        let may_be_typed = self.options.layer || self.options.third_party;
        if header.mode != mode && !(may_be_typed && header.mode == mode | typed) {
            return Err(wrong(&format!("its mode {:o} has bits beyond 7777", header.mode)));
        }
        let kind = self.place(&path, kind, size, [mode, uid, gid])?;
        self.remaining = size;
        self.padding = padding(size);
        Ok(Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime: records.mtime.unwrap_or(header.mtime),
            xattrs: records.xattrs,
            offset: self.position,
            size,
        })
    }

    /// Puts an entry into the tree of what is known, or says why it has no place there.
    fn place(&mut self, path: &ImagePath, kind: Kind, size: u64, owned: [u32; 3]) -> Result<Kind, Error> {
        let wrong = |problem: &str| Error::Entry { path: path.clone(), problem: problem.to_owned() };
        let mut marked = path.as_str().rsplit('/').map(|component| component.starts_with(".wh."));
        let own = marked.next().unwrap_or(false);
        if marked.any(|marked| marked) || own && !(self.options.layer && kind == Kind::File && size == 0) {
            return Err(wrong("its name marks a whiteout"));
        }
        let mut above = path.parent();
        while let Some(parent) = above {
            match self.known.get(&parent) {
                Some(Known::Implied | Known::Directory) => break,
                Some(Known::Symlink) => return Err(wrong(&format!("it lies below the symbolic link `{parent}`"))),
                Some(_) => return Err(wrong(&format!("it lies below the file `{parent}`"))),
                None => {
                    above = parent.parent();
                    self.names += parent.as_str().len();
                    self.known.insert(parent, Known::Implied);
                    self.within_limits()?;
                }
            }
        }
        let kind = match kind {
            Kind::Hardlink(target) => match self.known.get(&target) {
                _ if target == *path => return Err(wrong("it is a hard link to itself")),
                Some(Known::File(_)) => Kind::Hardlink(target),
                Some(Known::Hardlink(file)) if file != path => Kind::Hardlink(file.clone()),
                Some(_) => return Err(wrong(&format!("its hard link's target `{target}` is no regular file"))),
                None => return Err(wrong(&format!("its hard link's target `{target}` does not come before it"))),
            },
            other => other,
        };
        if let Kind::Hardlink(target) = &kind {
            // They share one inode; readers differ in whose metadata stands.
            if self.known.get(target) != Some(&Known::File(owned)) {
                return Err(wrong(&format!("its mode or owner is not that of its hard link's target `{target}`")));
            }
        }
        let new = match &kind {
            Kind::Directory => Known::Directory,
            Kind::File => Known::File(owned),
            Kind::Symlink(_) => Known::Symlink,
            Kind::Hardlink(target) => Known::Hardlink(target.clone()),
        };
        match (self.known.get(path), &new) {
            (None, _) | (Some(Known::Implied), Known::Directory) => {}
            (Some(Known::Implied), _) => return Err(wrong("it is the parent of an earlier entry and no directory")),
            (Some(Known::Directory), Known::Directory) if self.options.third_party => {}
            (Some(_), _) => return Err(wrong("it comes twice")),
        }
        self.known.insert(path.clone(), new);
        self.within_limits()?;
        Ok(kind)
    }

    fn within_limits(&self) -> Result<(), Error> {
        if self.known.len() > self.options.max_entries {
            return Err(Error::Limit { what: "entries", limit: self.options.max_entries as u64 });
        }
        if self.names > self.options.max_names {
            return Err(Error::Limit { what: "bytes of names", limit: self.options.max_names as u64 });
        }
        Ok(())
    }
}

/// Returns the bytes from the end of `size` bytes to the next block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn image_path(name: &str, offset: u64) -> Result<ImagePath, Error> {
    let wrong = |source| Error::Path { offset, source };
    if name.starts_with('/') {
        return Err(wrong(PathError { path: name.to_owned(), problem: "is absolute" }));
    }
    ImagePath::parse(name).map_err(wrong)
}

#[cfg(test)]
mod tests;
