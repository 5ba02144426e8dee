//! `gconv-modules.cache` for the character sets that an image keeps, in glibc's own format.
//!
//! In: the C library's configuration texts, kept or not, and which modules stand in the tree. Out: what `iconvconfig`
//! would write in that image (glibc 2.36 and 2.41, `iconv/iconvconfig.h`): a header, strings, a hash table of names, a
//! table of character sets, and the conversions that do not pass by glibc's own form. With the cache glibc reads no
//! text. The order of strings is not iconvconfig's, which shares tails.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::merge::{Tree, What};
use crate::spec::{Platform, Spec};
use crate::tree::Meta;

/// `GCONVCACHE_MAGIC`.
const MAGIC: u32 = 0x2001_0324;
/// Size of the header, whose last two bytes are padding, of a name in the hash table and of a character set.
const HEADER: usize = 16;
const NAME: usize = 4;
const CHARSET: usize = 12;
/// glibc's own form, which conversions pass by.
const INTERNAL: &str = "INTERNAL";

/// What glibc converts by itself (`iconv/gconv_builtin.h`, little-endian): name, what the conversions are called, and
/// other names.
const BUILT_IN: &[(&str, &str, &[&str])] = &[
    (
        "ISO-10646/UCS4/",
        "ucs4",
        &[
            "UCS4//",
            "UCS-4//",
            "UCS-4BE//",
            "CSUCS4//",
            "ISO-10646//",
            "10646-1:1993//",
            "10646-1:1993/UCS4/",
            "OSF00010104//",
            "OSF00010105//",
            "OSF00010106//",
        ],
    ),
    ("UCS-4LE//", "ucs4le", &[]),
    ("ISO-10646/UTF8/", "utf8", &["UTF8//", "UTF-8//", "ISO-IR-193//", "OSF05010001//", "ISO-10646/UTF-8/"]),
    (
        "ISO-10646/UCS2/",
        "ucs2",
        &["UCS2//", "UCS-2//", "OSF00010100//", "OSF00010101//", "OSF00010102//", "UNICODELITTLE//", "UCS-2LE//"],
    ),
    (
        "ANSI_X3.4-1968//",
        "ascii",
        &[
            "ANSI_X3.4//",
            "ISO-IR-6//",
            "ANSI_X3.4-1986//",
            "ISO_646.IRV:1991//",
            "ASCII//",
            "ISO646-US//",
            "US-ASCII//",
            "US//",
            "IBM367//",
            "CP367//",
            "CSASCII//",
            "OSF00010020//",
        ],
    ),
    ("UNICODEBIG//", "ucs2reverse", &["UCS-2BE//"]),
];

/// A line `module`, or what glibc has itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    /// Empty for what glibc has itself.
    directory: String,
    file: String,
}

/// What a set of configuration texts says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Configuration {
    aliases: BTreeMap<String, String>,
    /// By the names that they convert from and to.
    modules: BTreeMap<(String, String), Module>,
}

/// Adds the cache where the spec names character sets, modules of the C library are kept and no cache is.
pub(super) fn derive(tree: &mut Tree<'_>, spec: &Spec, platform: Platform, source_date: i64) -> Result<(), Error> {
    let mut asked = spec.features.iter().filter(|feature| feature.value.name == "iconv").peekable();
    if asked.peek().is_none() || asked.any(|feature| feature.value.value.is_none()) {
        return Ok(());
    }
    let triplet = match platform {
        Platform::Amd64 => "x86_64-linux-gnu",
        Platform::Arm64 => "aarch64-linux-gnu",
    };
    let directory = format!("usr/lib/{triplet}/gconv");
    let path = format!("{directory}/gconv-modules.cache");
    let texts = texts(tree, &directory);
    // Without texts of our own the C library is the base's, and so is its cache.
    if texts.is_empty() || tree.package("libc6").is_none() || tree.nodes.contains_key(path.as_str()) {
        return Ok(());
    }
    let here = |file: &str| tree.nodes.contains_key(format!("{directory}/{file}").as_str());
    let mut configuration = Configuration::default();
    for text in texts.values() {
        configuration.read(&String::from_utf8_lossy(text), &format!("/{directory}/"));
    }
    configuration.modules.retain(|_, module| here(&module.file));
    if configuration.modules.is_empty() {
        return Ok(());
    }
    configuration.add_built_in();
    match configuration.cache() {
        Some(bytes) => {
            tree.derive("gconv-modules.cache", &path, Meta::root(0o644, source_date), What::Inline(bytes))?;
        }
        None => tree.report.notes.push(format!("/{path} is not made: these character sets have too many names")),
    }
    Ok(())
}

/// Returns the configuration texts by path: those that packages ship, kept or not, and those that stand in the tree.
fn texts(tree: &Tree<'_>, directory: &str) -> BTreeMap<String, Vec<u8>> {
    let is = |path: &str| {
        let below = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
        below.is_some_and(|name| {
            let more = name.strip_prefix("gconv-modules.d/");
            name == "gconv-modules" || more.is_some_and(|more| more.ends_with(".conf") && !more.contains('/'))
        })
    };
    let mut texts = BTreeMap::new();
    for package in &tree.packages {
        for (at, text) in &package.index.texts {
            let entry = usize::try_from(*at).ok().and_then(|at| package.index.entries.get(at));
            if let Some(entry) = entry.filter(|entry| is(&entry.path)) {
                texts.insert(entry.path.clone(), text.clone());
            }
        }
    }
    for (path, node) in tree.nodes.iter().filter(|(path, _)| is(path.as_str())) {
        if let Some(text) = tree.content(node) {
            texts.insert(path.as_str().to_owned(), text.into_owned());
        }
    }
    texts
}

impl Configuration {
    /// Reads one text as iconvconfig does: of two lines for the same names the first counts.
    fn read(&mut self, text: &str, directory: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.as_slice() {
                ["alias", from, to, ..] => {
                    self.aliases.entry(from.to_ascii_uppercase()).or_insert_with(|| to.to_ascii_uppercase());
                }
                ["module", from, to, file, ..] => {
                    let file = if file.ends_with(".so") { (*file).to_owned() } else { format!("{file}.so") };
                    let module = Module { directory: directory.to_owned(), file };
                    self.modules.entry((from.to_ascii_uppercase(), to.to_ascii_uppercase())).or_insert(module);
                }
                _ => {}
            }
        }
    }

    fn add_built_in(&mut self) {
        let mut alias = |from: &str, to: &str| {
            self.aliases.entry(from.to_owned()).or_insert_with(|| to.to_owned());
        };
        alias("WCHAR_T//", INTERNAL);
        for (name, _, others) in BUILT_IN {
            others.iter().for_each(|other| alias(other, name));
        }
        for (name, word, _) in BUILT_IN {
            let module = |file: String| Module { directory: String::new(), file };
            let (from, to) = ((INTERNAL.to_owned(), (*name).to_owned()), ((*name).to_owned(), INTERNAL.to_owned()));
            self.modules.entry(from).or_insert_with(|| module(format!("=INTERNAL->{word}")));
            self.modules.entry(to).or_insert_with(|| module(format!("={word}->INTERNAL")));
        }
    }

    /// Returns the cache; `None` where it outgrows its 16-bit offsets.
    fn cache(&self) -> Option<Vec<u8>> {
        let names: BTreeSet<&str> = self
            .modules
            .keys()
            .flat_map(|(from, to)| [from.as_str(), to.as_str()])
            .filter(|n| *n != INTERNAL)
            .collect();
        // glibc's own form is number 0.
        let charsets: Vec<&str> = std::iter::once(INTERNAL).chain(names).collect();
        let number: BTreeMap<&str, u16> = charsets
            .iter()
            .enumerate()
            .map(|(at, name)| Some((*name, u16::try_from(at).ok()?)))
            .collect::<Option<_>>()?;
        let mut all = number.clone();
        for (alias, name) in &self.aliases {
            if let Some(at) = number.get(name.as_str()) {
                all.entry(alias).or_insert(*at);
            }
        }
        let mut strings = Strings::default();
        let hash = hash_table(&all, &mut strings)?;
        let mut table = Vec::new();
        let mut others: Vec<u8> = Vec::new();
        for charset in &charsets {
            let mut row = vec![strings.add(charset)?];
            for key in [(INTERNAL, *charset), (*charset, INTERNAL)] {
                match self.modules.get(&(key.0.to_owned(), key.1.to_owned())) {
                    Some(module) => row.extend([strings.add(&module.directory)?, strings.add(&module.file)?]),
                    None => row.extend([0, 0]),
                }
            }
            let of = |(key, _): &(&(String, String), &Module)| key.0 == **charset && key.1 != INTERNAL;
            let direct: Vec<_> = self.modules.iter().filter(of).filter(|_| *charset != INTERNAL).collect();
            // One more than the offset, for 0 says that there is none.
            row.push(if direct.is_empty() { 0 } else { u16::try_from(others.len() + 1).ok()? });
            for ((_, to), module) in &direct {
                let words = [1, number[to.as_str()], strings.add(&module.directory)?, strings.add(&module.file)?];
                words.iter().for_each(|word| others.extend(word.to_le_bytes()));
            }
            if !direct.is_empty() {
                others.extend(0_u16.to_le_bytes());
            }
            row.iter().for_each(|word| table.extend(word.to_le_bytes()));
        }
        strings.0.resize(strings.0.len().next_multiple_of(2), 0);
        let hash_at = HEADER + strings.0.len();
        let table_at = hash_at + hash.len();
        debug_assert_eq!(table.len(), charsets.len() * CHARSET);
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        for word in [HEADER, hash_at, hash.len() / NAME, table_at, table_at + table.len(), 0] {
            bytes.extend(u16::try_from(word).ok()?.to_le_bytes());
        }
        bytes.extend([strings.0, hash, table, others].concat());
        Some(bytes)
    }
}

/// Strings, each ended by a zero byte; the first is empty, and means none.
struct Strings(Vec<u8>, BTreeMap<String, u16>);

impl Default for Strings {
    fn default() -> Self {
        Self(vec![0], BTreeMap::from([(String::new(), 0)]))
    }
}

impl Strings {
    fn add(&mut self, text: &str) -> Option<u16> {
        if let Some(at) = self.1.get(text) {
            return Some(*at);
        }
        let at = u16::try_from(self.0.len()).ok()?;
        self.0.extend(text.bytes().chain([0]));
        self.1.insert(text.to_owned(), at);
        Some(at)
    }
}

/// Returns the names, each with its character set's number, placed by double hashing as `find_module_idx` looks for
/// them; two fifths of the places stay free.
fn hash_table(names: &BTreeMap<&str, u16>, strings: &mut Strings) -> Option<Vec<u8>> {
    let size = next_prime(u32::try_from(names.len() * 7 / 5).ok()?.max(11));
    let mut places: Vec<(u16, u16)> = vec![(0, 0); usize::try_from(size).ok()?];
    for (name, number) in names {
        let hash = hash(name);
        let (mut at, step) = (hash % size, 1 + hash % (size - 2));
        while places[at as usize].0 != 0 {
            at = (at + step) % size;
        }
        places[at as usize] = (strings.add(name)?, *number);
    }
    Some(places.iter().flat_map(|(name, number)| [name.to_le_bytes(), number.to_le_bytes()].concat()).collect())
}

/// `__hash_string` of glibc (`intl/hash-string.c`), after P. J. Weinberger.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) ^ high
    })
}

fn next_prime(seed: u32) -> u32 {
    let is_prime =
        |number: &u32| (3..).step_by(2).take_while(|by| by * by <= *number).all(|by| !number.is_multiple_of(by));
    (seed | 1..).step_by(2).find(is_prime).unwrap_or(seed | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "alias LATIN1// ISO-8859-1//  # a comment\nalias NOWHERE// KOI8-R//\nmodule ISO-8859-1// INTERNAL \
        ISO8859-1 1\nmodule INTERNAL iso-8859-1// ISO8859-1 1\nmodule BIG5// INTERNAL BIG5 1\nmodule BIG5// EUC-CN// \
        GBBIG5 1\nmodule BIG5// ISO-8859-1// X.so 1\nmodule KOI8-R// INTERNAL KOI8-R 1\n";

    fn configuration() -> Configuration {
        let mut made = Configuration::default();
        made.read(TEXT, "/g/");
        made.modules.retain(|_, module| module.file != "KOI8-R.so");
        made.add_built_in();
        made
    }

    /// Reads as `iconv/gconv_cache.c` does.
    struct Reader(Vec<u8>);

    impl Reader {
        fn word(&self, at: usize) -> usize {
            usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
        }

        fn text(&self, at: usize) -> &str {
            let start = self.word(4) + at;
            let end = start + self.0[start..].iter().position(|byte| *byte == 0).unwrap();
            std::str::from_utf8(&self.0[start..end]).unwrap()
        }

        fn number(&self, name: &str) -> Option<usize> {
            let (table, size) = (self.word(6), self.word(8));
            let hash = hash(name) as usize;
            let (mut at, step) = (hash % size, 1 + hash % (size - 2));
            while self.word(table + at * NAME) != 0 {
                if self.text(self.word(table + at * NAME)) == name {
                    return Some(self.word(table + at * NAME + 2));
                }
                at = (at + step) % size;
            }
            None
        }

        /// Name, module from glibc's own form, module to it, and (name, module) of what is reached directly.
        fn charset(&self, name: &str) -> Option<[String; 4]> {
            let row = self.word(10) + self.number(name)? * CHARSET;
            let file = |at: usize| format!("{}{}", self.text(self.word(at)), self.text(self.word(at + 2)));
            let mut direct = Vec::new();
            let mut at = self.word(12) + self.word(row + 10);
            while self.word(row + 10) != 0 && self.word(at - 1) != 0 {
                let to = self.word(10) + self.word(at + 1) * CHARSET;
                direct.push(format!("{}={}", self.text(self.word(to)), file(at + 3)));
                at += 8;
            }
            Some([self.text(self.word(row)).to_owned(), file(row + 2), file(row + 6), direct.join(" ")])
        }
    }

    #[test]
    fn the_cache_answers_as_glibc_asks() {
        let cache = Reader(configuration().cache().unwrap());
        assert_eq!(cache.0[..4], [0x24, 0x03, 0x01, 0x20]);
        let [name, from, to, direct] = cache.charset("LATIN1//").unwrap();
        assert_eq!((name.as_str(), from.as_str(), to.as_str()), ("ISO-8859-1//", "/g/ISO8859-1.so", "/g/ISO8859-1.so"));
        assert!(direct.is_empty());
        let [_, from, to, direct] = cache.charset("BIG5//").unwrap();
        assert_eq!((from.as_str(), to.as_str()), ("", "/g/BIG5.so"));
        assert_eq!(direct, "EUC-CN//=/g/GBBIG5.so ISO-8859-1//=/g/X.so");
        assert_eq!(cache.charset("UTF-8//").unwrap()[1], "=INTERNAL->utf8");
        assert_eq!(cache.number("INTERNAL"), Some(0));
        assert_eq!(cache.number("WCHAR_T//"), Some(0));
        for absent in ["KOI8-R//", "NOWHERE//", "KLINGON//"] {
            assert_eq!(cache.number(absent), None, "{absent}");
        }
    }

    #[test]
    fn what_outgrows_the_format_is_not_written() {
        let mut much = configuration();
        for number in 0..9000 {
            much.read(&format!("module CHARSET-{number}// INTERNAL X 1"), "/g/");
        }
        assert_eq!(much.cache(), None);
    }

    #[test]
    fn names_are_hashed_as_gettext_hashes() {
        assert_eq!(hash(""), 0);
        assert_eq!(hash("UTF-8//"), {
            // Written out by the definition, in 64 bits.
            let mut value: u64 = 0;
            for byte in b"UTF-8//" {
                value = (value << 4) + u64::from(*byte);
                let high = value & (0xf << 28);
                if high != 0 {
                    value ^= high >> 24;
                    value ^= high;
                }
            }
            u32::try_from(value & 0xffff_ffff).unwrap()
        });
        assert_eq!([next_prime(10), next_prime(24), next_prime(120)], [11, 29, 127]);
    }
}
