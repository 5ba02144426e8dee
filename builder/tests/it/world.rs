//! A signed archive of packages that the tests build, on disk, reached by a `file:` address.

use std::fmt::Write as _;
use std::path::PathBuf;

use tarsia::digest::Digest;

use crate::deb::Deb;
use crate::program::Place;
use crate::signing;

/// 2026-01-02 03:04:05 UTC, the date of every archive here unless a test moves it.
pub(crate) const DATE: i64 = 1_767_323_045;

/// An archive with one suite, one component, amd64.
pub(crate) struct Archive {
    seed: u64,
    date: i64,
    extra_fields: String,
    debs: Vec<(String, Vec<u8>)>,
}

impl Archive {
    /// Returns an archive that holds nothing, signed by the key of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, date: DATE, extra_fields: String::new(), debs: Vec::new() }
    }

    /// Dates the Release.
    pub(crate) fn date(mut self, date: i64) -> Self {
        self.date = date;
        self
    }

    /// Adds a line to the Release.
    pub(crate) fn field(mut self, line: &str) -> Self {
        self.extra_fields.push_str(line);
        self.extra_fields.push('\n');
        self
    }

    /// Adds a package.
    pub(crate) fn deb(self, deb: Deb) -> Self {
        let (stanza, bytes) = (deb.stanza(), deb.build());
        self.raw(stanza, bytes)
    }

    /// Adds a package by its control fields and its bytes, which need not fit each other.
    pub(crate) fn raw(mut self, stanza: String, bytes: Vec<u8>) -> Self {
        self.debs.push((stanza, bytes));
        self
    }

    /// Writes the archive below `archive/` of a place, with its public key `archive.asc`, and returns its directory.
    pub(crate) fn write(&self, place: &Place) -> PathBuf {
        let root = place.path("archive");
        let mut packages = String::new();
        for (stanza, bytes) in &self.debs {
            let field = |name: &str| {
                let line = stanza.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                line.unwrap_or_else(|| panic!("no {name} in {stanza}")).to_owned()
            };
            let version = field("Version").replace(':', "%3a");
            let path = format!("pool/main/{}_{version}_{}.deb", field("Package"), field("Architecture"));
            place.write(&format!("archive/{path}"), bytes);
            write!(
                packages,
                "{}Filename: {path}\nSize: {}\nSHA256: {}\n\n",
                ensure_newline(stanza),
                bytes.len(),
                Digest::of(bytes).hex()
            )
            .unwrap();
        }
        let index = gzip(packages.as_bytes());
        place.write("archive/dists/test/main/binary-amd64/Packages.gz", &index);
        place.write("archive/dists/test/main/binary-amd64/Packages", &packages);
        let date = rfc2822(self.date);
        let release = format!(
            "Origin: Test\nSuite: test\nCodename: test\nDate: {date}\n{}Architectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages\n {} {} main/binary-amd64/Packages.gz\n",
            self.extra_fields,
            Digest::of(packages.as_bytes()).hex(),
            packages.len(),
            Digest::of(&index).hex(),
            index.len(),
        );
        let (secret, public) = signing::generate_key(self.seed);
        place.write("archive/dists/test/InRelease", signing::clearsign(&secret, &release, self.date));
        place.write("archive.asc", public);
        root
    }
}

fn ensure_newline(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

/// Returns seconds since 1970-01-01 UTC as a Release writes them.
pub(crate) fn rfc2822(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes a spec over the archive of a place: `rest` is what follows the archive.
pub(crate) fn spec(place: &Place, name: &str, rest: &str) -> PathBuf {
    let uri = format!("file://{}", place.path("archive").display());
    place.write(
        &format!("{name}.yaml"),
        format!("version: 1\nname: {name}\nplatforms: [linux/amd64]\narchives:\n  test: {{uri: \"{uri}\", suite: test, components: [main], signed-by: archive.asc}}\n{rest}"),
    )
}
