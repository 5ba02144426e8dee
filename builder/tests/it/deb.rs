//! Builds packages in memory: `deb("hello", "1.0").file("/usr/bin/hello", 0o755, "hi").build()`.
//!
//! The bytes depend on the calls alone. Parent directories are made as needed, mode 0755, before what is in them.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "a fixture: each user needs a part of it")]

use std::io::Write;

/// Seconds since 1970-01-01 UTC that entries and ar members carry.
pub const DATE: u64 = 1_700_000_000;

/// How `control.tar` and `data.tar` are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Stored,
    Xz,
    Zstd,
    Gzip,
}

/// A package that is being built.
#[derive(Debug, Clone)]
pub struct Deb {
    fields: Vec<(String, String)>,
    control_files: Vec<(String, u32, String)>,
    data: Tar,
    packing: Packing,
    date: u64,
}

/// Begins a package of architecture `amd64`.
pub fn deb(name: &str, version: &str) -> Deb {
    let fields = [
        ("Package", name),
        ("Version", version),
        ("Architecture", "amd64"),
        ("Maintainer", "Nobody <nobody@example.org>"),
        ("Installed-Size", "1"),
        ("Description", "a package of the tests"),
    ];
    Deb {
        fields: fields.map(|(field, value)| (field.to_owned(), value.to_owned())).to_vec(),
        control_files: Vec::new(),
        data: Tar::new().directory("./", 0o755),
        packing: Packing::Xz,
        date: DATE,
    }
}

impl Deb {
    /// Sets a control field, in the place of an earlier one of that name.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some(field) => field.1 = value.to_owned(),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    pub fn architecture(self, value: &str) -> Self {
        self.field("Architecture", value)
    }

    pub fn depends(self, value: &str) -> Self {
        self.field("Depends", value)
    }

    pub fn source(self, value: &str) -> Self {
        self.field("Source", value)
    }

    pub fn packing(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// Sets the time of entries added from here on, and of the ar members.
    pub fn date(mut self, date: u64) -> Self {
        self.date = date;
        self.data.date = date;
        self
    }

    /// Adds a file of the control archive: `md5sums`, `triggers`, `postinst`, …
    pub fn control_file(mut self, name: &str, text: &str) -> Self {
        let mode = if matches!(name, "config" | "postinst" | "postrm" | "preinst" | "prerm") { 0o755 } else { 0o644 };
        self.control_files.push((name.to_owned(), mode, text.to_owned()));
        self
    }

    pub fn file(mut self, path: &str, mode: u32, bytes: impl AsRef<[u8]>) -> Self {
        self.parents(path);
        self.data = self.data.file(&format!(".{path}"), mode, bytes.as_ref());
        self
    }

    pub fn dir(mut self, path: &str, mode: u32) -> Self {
        self.parents(path);
        self.data = self.data.directory(&format!(".{path}/"), mode);
        self
    }

    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.parents(path);
        self.data = self.data.entry(&format!(".{path}"), b'2', 0o777, target, b"");
        self
    }

    /// Adds a hard link to a file that was added before.
    pub fn hardlink(mut self, path: &str, target: &str) -> Self {
        self.parents(path);
        let target = format!(".{target}");
        let mode = self.data.names.iter().find(|(name, _)| *name == target).map_or(0o644, |(_, mode)| *mode);
        self.data = self.data.entry(&format!(".{path}"), b'1', mode, &target, b"");
        self
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').skip(1) {
            let directory = format!(".{}/", &path[..at]);
            if !self.data.names.iter().any(|(name, _)| *name == directory) {
                self.data = std::mem::take(&mut self.data).directory(&directory, 0o755);
            }
        }
    }

    /// Returns the control stanza, as a `Packages` file would begin it.
    pub fn stanza(&self) -> String {
        self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    pub fn build(&self) -> Vec<u8> {
        let mut control = Tar { date: self.date, ..Tar::new() };
        control = control.directory("./", 0o755).file("./control", 0o644, self.stanza().as_bytes());
        for (name, mode, text) in &self.control_files {
            control = control.file(&format!("./{name}"), *mode, text.as_bytes());
        }
        let suffix = match self.packing {
            Packing::Stored => "",
            Packing::Xz => ".xz",
            Packing::Zstd => ".zst",
            Packing::Gzip => ".gz",
        };
        let control = pack(self.packing, &control.build());
        let data = pack(self.packing, &self.data.build());
        ar(&[
            ("debian-binary", b"2.0\n"),
            (&format!("control.tar{suffix}"), &control),
            (&format!("data.tar{suffix}"), &data),
        ])
    }
}

/// Returns an ar archive of these members.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{DATE:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, "100644", content.len()).unwrap();
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Returns `bytes`, compressed.
pub fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Stored => bytes.to_vec(),
        Packing::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zstd => zstd::stream::encode_all(bytes, 1).unwrap(),
        Packing::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// A tar archive (GNU headers) that is being built; nothing it is given is checked.
#[derive(Debug, Clone)]
pub struct Tar {
    bytes: Vec<u8>,
    names: Vec<(String, u32)>,
    pub date: u64,
}

impl Default for Tar {
    fn default() -> Self {
        Self::new()
    }
}

impl Tar {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), names: Vec::new(), date: DATE }
    }

    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(path, b'0', mode, "", content)
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(path, b'5', mode, "", b"")
    }

    /// Adds an entry of any type, with GNU long names before it where the fields are too short.
    pub fn entry(mut self, path: &str, kind: u8, mode: u32, link: &str, content: &[u8]) -> Self {
        for (long, kind) in [(link, b'K'), (path, b'L')] {
            if long.len() > 100 {
                let name = [long.as_bytes(), b"\0"].concat();
                let header = header("././@LongLink", kind, 0, "", name.len() as u64, 0);
                self = self.raw(&header).content(&name);
            }
        }
        self.names.push((path.to_owned(), mode));
        let header = header(path, kind, mode, link, content.len() as u64, self.date);
        self.raw(&header).content(content)
    }

    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Adds bytes and fills the block.
    pub fn content(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Ends the archive.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize((bytes.len() + 1024).next_multiple_of(10240), 0);
        bytes
    }
}

/// Returns a GNU header.
pub fn header(path: &str, kind: u8, mode: u32, link: &str, size: u64, mtime: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &path.as_bytes()[..path.len().min(100)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{mtime:011o}").as_bytes());
    put(156, &[kind]);
    put(157, &link.as_bytes()[..link.len().min(100)]);
    put(257, b"ustar  \0");
    put(265, b"root");
    put(297, b"root");
    sealed(block)
}

/// Returns a header with its checksum made right.
pub fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}
