//! Packages files become an [`Index`].

use std::io::{self, Read};

use rayon::prelude::*;

use super::release::{decimal, is_relative_path};
use super::{Candidate, Error, MultiArch, Priority, Release};
use crate::codec::decode::{self, Format, Limits, decoder};
use crate::deb822::{self, Dependency, Stanza, Stanzas, Version, is_package_name, parse_dependencies};
use crate::digest::Digest;
use crate::lock::{LOCAL, MetadataSet, PackagesFile};

/// The most bytes of an unpacked Packages file.
const MAX_INDEX: u64 = 512 << 20;
/// Bytes of a block of stanzas that is parsed at once, and how many are read ahead.
const BLOCK: usize = 512 << 10;
const BLOCKS: usize = 8;
/// The most bytes that are looked through for the end of a stanza, above the largest that is taken.
const MAX_STANZA: usize = 5 << 20;

/// The verified list of one suite: what its signed Packages files say of one architecture and of `all`.
///
/// Only [`Keyring::verify`](super::Keyring::verify) leads here, so whoever holds an `Index` need not ask whether its
/// signature was good.
#[derive(Debug, Clone)]
#[expect(clippy::manual_non_exhaustive, reason = "other modules of this crate must not make one either")]
pub struct Index {
    /// What was verified, as the lock names it.
    pub set: MetadataSet,
    /// Packages in the order of the files read.
    pub candidates: Vec<Candidate>,
    /// Keeps others from making one.
    _verified: (),
}

impl Index {
    /// Returns an index that nobody verified.
    #[cfg(test)]
    #[allow(dead_code, reason = "for the tests of other stages")]
    pub(crate) fn unverified(set: MetadataSet, candidates: Vec<Candidate>) -> Self {
        Self { set, candidates, _verified: () }
    }
}

impl Release {
    /// Reads the Packages files in `parts`, as [`Release::packages_files`] named them, and returns the index of all.
    ///
    /// A file is held against its signed size and digest before any of it is unpacked, and unpacked within its signed
    /// size. One malformed stanza is an error that names its package.
    pub fn index(self, parts: Vec<(PackagesFile, Box<dyn Read + Send>)>) -> Result<Index, Error> {
        let mut candidates = Vec::new();
        let mut files = Vec::with_capacity(parts.len());
        for (file, reader) in parts {
            let part = Part { release: &self, path: &file.path };
            part.read(&file, reader, &mut candidates)?;
            files.push(file);
        }
        Ok(Index { set: self.metadata_set(files), candidates, _verified: () })
    }
}

/// One Packages file of a Release.
#[derive(Clone, Copy)]
struct Part<'a> {
    release: &'a Release,
    path: &'a str,
}

impl Part<'_> {
    fn read(self, file: &PackagesFile, reader: impl Read, candidates: &mut Vec<Candidate>) -> Result<(), Error> {
        let (archive, suite, path) = self.place();
        if self.release.file(self.path) != Some((file.digest, file.size)) {
            return Err(Error::NotSigned { archive, suite, path });
        }
        if file.size > MAX_INDEX {
            return Err(self.content(format!("it is larger than {MAX_INDEX} bytes")));
        }
        let mut packed = Vec::new();
        if let Err(source) = reader.take(file.size + 1).read_to_end(&mut packed) {
            return Err(Error::IndexRead { archive, suite, path, source });
        }
        let (found, length) = (Digest::of(&packed), packed.len() as u64);
        if (found, length) != (file.digest, file.size) {
            let (signed, found) = (Box::new((file.digest, file.size)), Box::new((found, length)));
            return Err(Error::IndexDigest { archive, suite, path, signed, found });
        }
        let plain = self.path.rsplit_once('.').map_or(self.path, |(plain, _)| plain);
        let signed = self.release.file(plain).map(|(_, size)| size);
        let limit = signed.unwrap_or(MAX_INDEX).min(MAX_INDEX);
        let format = match self.path.rsplit_once('.').map(|(_, suffix)| suffix) {
            Some("xz") => Format::Xz,
            Some("zst") => Format::Zstd,
            Some("gz") => Format::Gzip,
            _ => Format::Stored,
        };
        // Its size is signed or bounded, so its ratio does not matter.
        let limits = Limits { max_output: limit, max_ratio: u64::MAX, ..Limits::default() };
        let reader = decoder(format, io::Cursor::new(packed), &limits).map_err(|error| self.content(said(&error)))?;
        let unpacked = self.stanzas(reader, candidates)?;
        match signed {
            Some(size) if size != unpacked => {
                Err(self.content(format!("signed are {size} bytes unpacked, it has {unpacked}")))
            }
            _ => Ok(()),
        }
    }

    /// Reads all stanzas of the unpacked `reader` and returns its length.
    ///
    /// Blocks of whole stanzas are read ahead while those before them are parsed, on several threads.
    fn stanzas(self, reader: impl Read + Send, candidates: &mut Vec<Candidate>) -> Result<u64, Error> {
        let mut blocks = Blocks { reader, rest: Vec::new(), line: 1, length: 0, over: false };
        let mut ready = blocks.several();
        loop {
            let now = ready.map_err(|error| self.content(unpacking(&error)))?;
            if now.is_empty() {
                return Ok(blocks.length);
            }
            let parse = || now.par_iter().map(|(line, text)| self.block(*line, text)).collect::<Vec<_>>();
            let (parsed, next) = rayon::join(parse, || blocks.several());
            for block in parsed {
                candidates.extend(block?);
            }
            ready = next;
        }
    }

    /// Parses a block of stanzas that starts on `line` of its file.
    fn block(self, line: u64, text: &[u8]) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::new();
        for stanza in Stanzas::starting_at(text, line) {
            let (archive, suite, path) = self.place();
            let stanza = match stanza {
                Ok(stanza) => stanza,
                Err(source) => return Err(Error::IndexSyntax { archive, suite, path, source }),
            };
            match self.candidate(&stanza) {
                Ok(candidate) => candidates.extend(candidate),
                Err(what) => {
                    return Err(Error::Package {
                        archive,
                        suite,
                        path,
                        package: deb822::shown(stanza.get("Package").unwrap_or("unnamed")).into(),
                        line: stanza.line(),
                        what: what.into(),
                    });
                }
            }
        }
        Ok(candidates)
    }

    fn place(self) -> (String, String, String) {
        (self.release.archive().to_owned(), self.release.suite().to_owned(), self.path.to_owned())
    }

    fn content(self, what: String) -> Error {
        let (archive, suite, path) = self.place();
        Error::IndexContent { archive, suite, path, what }
    }

    /// Returns the package of `stanza`, where it is for the file's architecture or for all.
    fn candidate(self, stanza: &Stanza) -> Result<Option<Candidate>, String> {
        let mut fields = Fields::default();
        for (name, value) in stanza.fields() {
            fields.set(name, value);
        }
        let architecture = fields.required("Architecture")?;
        let wanted = self.path.rsplit('/').nth(1).and_then(|directory| directory.strip_prefix("binary-"));
        // The list of a flat archive is of every architecture.
        if architecture != "all" && wanted.is_some_and(|wanted| wanted != architecture) {
            return Ok(None);
        }
        fields.candidate(self.release, architecture).map(Some)
    }
}

/// The fields that matter, picked in one pass.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a str>; NAMES.len()],
}

const NAMES: [&str; 22] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Provides",
    "Replaces",
    "Recommends",
    "Suggests",
    "Enhances",
    "Priority",
    "Protected",
    "Important",
    "Essential",
    "Installed-Size",
    "Filename",
    "Size",
    "SHA256",
];

impl<'a> Fields<'a> {
    fn set(&mut self, name: &str, value: &'a str) {
        if let Some(at) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            self.values[at] = Some(value);
        }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        NAMES.iter().position(|known| *known == name).and_then(|at| self.values[at])
    }

    fn required(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("it has no `{name}`"))
    }

    fn candidate(&self, release: &Release, architecture: &str) -> Result<Candidate, String> {
        self.candidate_of(release.archive(), release.suite(), Some(release.digest()), architecture)
    }

    fn candidate_of(
        &self,
        archive: &str,
        suite: &str,
        in_release: Option<Digest>,
        architecture: &str,
    ) -> Result<Candidate, String> {
        let name = self.required("Package")?;
        if !is_package_name(name) {
            return Err("`Package` is no package name".to_owned());
        }
        let text = |error: deb822::Error| error.to_string();
        let unfit = |field: &str, value: &str| format!("`{}` cannot be `{field}`", deb822::shown(value));
        let version = Version::parse(self.required("Version")?).map_err(text)?;
        let multi_arch = match self.get("Multi-Arch") {
            None | Some("no") => MultiArch::No,
            Some("same") => MultiArch::Same,
            Some("foreign") => MultiArch::Foreign,
            Some("allowed") => MultiArch::Allowed,
            Some(other) => return Err(unfit("Multi-Arch", other)),
        };
        let (source, source_version) = match self.get("Source") {
            None => (name, version.as_str()),
            Some(source) => match source.split_once(' ') {
                None => (source, version.as_str()),
                Some((source, rest)) => {
                    let inner = rest.trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
                    (source, inner.ok_or_else(|| unfit("Source", rest))?)
                }
            },
        };
        if !is_package_name(source) {
            return Err(unfit("Source", source));
        }
        Version::parse(source_version).map_err(text)?;
        let flag = |field: &str| match self.get(field) {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(unfit(field, other)),
        };
        let priority = match self.get("Priority") {
            None => Priority::Unstated,
            Some("required") => Priority::Required,
            Some("important") => Priority::Important,
            Some("standard") => Priority::Standard,
            Some("optional") => Priority::Optional,
            Some(_) => Priority::Extra,
        };
        let installed_size_kib = match self.get("Installed-Size") {
            None => 0,
            Some(size) => decimal(size).ok_or_else(|| unfit("Installed-Size", size))?,
        };
        let path = self.required("Filename")?;
        let path = path.strip_prefix("./").unwrap_or(path);
        if in_release.is_some() && !is_relative_path(path) {
            return Err(unfit("Filename", path));
        }
        let size = self.required("Size")?;
        let size = decimal(size).filter(|&size| size > 0).ok_or_else(|| unfit("Size", size))?;
        let digest = self.required("SHA256")?;
        let digest = Digest::from_hex(digest).map_err(|_| unfit("SHA256", digest))?;
        let relations = |field: &str| -> Result<Vec<Dependency>, String> {
            self.get(field).map_or(Ok(Vec::new()), |value| parse_dependencies(value).map_err(text))
        };
        let mut depends = relations("Pre-Depends")?;
        depends.extend(relations("Depends")?);
        Ok(Candidate {
            name: name.to_owned(),
            multi_arch,
            source: source.to_owned(),
            source_version: source_version.to_owned(),
            version,
            architecture: architecture.to_owned(),
            depends,
            conflicts: relations("Conflicts")?,
            breaks: relations("Breaks")?,
            provides: relations("Provides")?,
            replaces: relations("Replaces")?,
            recommends: self.get("Recommends").unwrap_or_default().into(),
            suggests: self.get("Suggests").unwrap_or_default().into(),
            enhances: self.get("Enhances").unwrap_or_default().into(),
            essential: flag("Essential")?,
            protected: flag("Protected")? || flag("Important")?,
            priority,
            installed_size_kib,
            path: path.to_owned(),
            size,
            digest,
            archive: archive.to_owned(),
            suite: suite.to_owned(),
            in_release,
        })
    }
}

impl Candidate {
    /// Returns the package that a file of the spec's own directory holds: its control fields, and where the file is.
    ///
    /// # Errors
    /// What is wrong with a field, as the rest of a sentence.
    pub fn of_file(fields: &[(String, String)], path: &str, size: u64, digest: Digest) -> Result<Self, String> {
        let (size, hex) = (size.to_string(), digest.hex());
        let mut known = Fields::default();
        for (name, value) in fields {
            known.set(name, value);
        }
        for (name, value) in [("Filename", path), ("Size", &size), ("SHA256", &hex)] {
            known.set(name, value);
        }
        known.candidate_of(LOCAL, LOCAL, None, known.required("Architecture")?)
    }
}

/// Cuts a text into blocks of whole stanzas.
struct Blocks<R> {
    reader: R,
    /// Read already, and not handed out.
    rest: Vec<u8>,
    /// The line that `rest` starts on.
    line: u64,
    /// Bytes read.
    length: u64,
    over: bool,
}

impl<R: Read> Blocks<R> {
    /// Returns the next blocks, each with its first line; none at the end.
    fn several(&mut self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut blocks = Vec::new();
        while blocks.len() < BLOCKS
            && let Some(block) = self.next()?
        {
            let line = self.line;
            self.line += memchr::memchr_iter(b'\n', &block).count() as u64;
            blocks.push((line, block));
        }
        Ok(blocks)
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut wanted = BLOCK;
        while !self.over {
            let room = wanted.saturating_sub(self.rest.len()) as u64;
            self.length += (&mut self.reader).take(room).read_to_end(&mut self.rest)? as u64;
            self.over = self.rest.len() < wanted;
            if let Some(end) = memchr::memmem::rfind(&self.rest, b"\n\n").filter(|_| !self.over) {
                let rest = self.rest.split_off(end + 2);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
            // A stanza that is larger than this is refused when it is parsed.
            if wanted > MAX_STANZA {
                break;
            }
            wanted += BLOCK;
        }
        Ok((!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest)))
    }
}

/// Returns what a decoder says, without the words that this module's own messages begin with.
fn said(error: &decode::Error) -> String {
    let text = error.to_string();
    text.split_once("data: ").map_or(text.clone(), |(_, what)| what.to_owned())
}

fn unpacking(error: &io::Error) -> String {
    decode::Error::of(error).map_or_else(|| error.to_string(), said)
}
