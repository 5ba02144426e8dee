//! Versions and their order (Debian policy 5.6.12).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::{Error, shown};

/// A Debian version. Equality is that of the order: `1.0`, `0:1.0` and `1.0-0` are equal.
#[derive(Clone)]
pub struct Version {
    text: Box<str>,
    epoch: u32,
    upstream: u32,
    /// Where the hyphen before the revision is; the length of the text without one.
    hyphen: u32,
}

impl Version {
    /// Reads `[epoch:]upstream[-revision]`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |what| Error::Version { version: shown(text), what };
        if text.len() > 4096 {
            return Err(wrong("it is longer than 4096 bytes"));
        }
        let (epoch, upstream) = match text.find(':') {
            None => (0, 0),
            Some(colon) => {
                let digits = &text[..colon];
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(wrong("the epoch is no number"));
                }
                // dpkg keeps the epoch in a signed int.
                let epoch = digits.parse::<i32>().map_err(|_| wrong("the epoch is too large"))?;
                (epoch.unsigned_abs(), colon + 1)
            }
        };
        let hyphen = text[upstream..].rfind('-').map_or(text.len(), |at| upstream + at);
        if upstream == hyphen {
            return Err(wrong("the upstream version is empty"));
        }
        let common = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'~');
        if !text[upstream..hyphen].bytes().all(|byte| common(byte) || byte == b'-' || byte == b':') {
            return Err(wrong("a character that an upstream version cannot have"));
        }
        if hyphen < text.len() {
            let revision = &text[hyphen + 1..];
            if revision.is_empty() {
                return Err(wrong("the revision is empty"));
            }
            if !revision.bytes().all(common) {
                return Err(wrong("a character that a revision cannot have"));
            }
        }
        Ok(Self { text: text.into(), epoch, upstream: upstream as u32, hyphen: hyphen as u32 })
    }

    /// Returns the version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the epoch, 0 where none is written.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns the part between epoch and revision.
    pub fn upstream(&self) -> &str {
        &self.text[self.upstream as usize..self.hyphen as usize]
    }

    /// Returns the Debian revision, where there is one.
    pub fn revision(&self) -> Option<&str> {
        self.text.get(self.hyphen as usize + 1..)
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(self.upstream(), other.upstream()))
            .then_with(|| compare(self.revision().unwrap_or(""), other.revision().unwrap_or("")))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    /// Equal versions hash alike: zeros before numbers and absent trailing numbers do not count.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.epoch.hash(state);
        for part in [self.upstream(), self.revision().unwrap_or("")] {
            let mut rest = part.as_bytes();
            while !rest.is_empty() {
                let (letters, after) = rest.split_at(span(rest, |byte| !byte.is_ascii_digit()));
                let (digits, after) = after.split_at(span(after, |byte| byte.is_ascii_digit()));
                let number = &digits[span(digits, |byte| byte == b'0')..];
                if !letters.is_empty() || !number.is_empty() {
                    letters.hash(state);
                    number.hash(state);
                }
                rest = after;
            }
            state.write_u8(0xff);
        }
    }
}

fn span(bytes: &[u8], test: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !test(byte)).unwrap_or(bytes.len())
}

/// Compares upstream versions or revisions: in turn a part without digits and a number.
fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (a, b) = (weight(left), weight(right));
            if a != b {
                return a.cmp(&b);
            }
            // Equal weights of 0: both are at a digit or at the end.
            if a == 0 {
                break;
            }
            (left, right) = (&left[1..], &right[1..]);
        }
        let (a, b) = (number(&mut left), number(&mut right));
        let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Returns the rank of the first byte: tilde, then the end or a digit, then letters, then the rest.
fn weight(bytes: &[u8]) -> i32 {
    match bytes.first() {
        None | Some(b'0'..=b'9') => 0,
        Some(b'~') => -1,
        Some(&byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(&byte) => i32::from(byte) + 256,
    }
}

/// Takes a number from the front and returns it without leading zeros.
fn number<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (digits, rest) = bytes.split_at(span(bytes, |byte| byte.is_ascii_digit()));
    *bytes = rest;
    &digits[span(digits, |byte| byte == b'0')..]
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    /// In rising order; entries of one line are equal.
    const ORDER: &[&[&str]] = &[
        &["0~~", "0~~-0"],
        &["0~~a"],
        &["0~", "0~0"],
        &["0", "00", "0:0", "0-0", "0-00"],
        &["0a"],
        &["0+"],
        &["0.", "0.0", "0.00", "0.-0"],
        &["1~beta1~svn1245"],
        &["1~beta1"],
        &["1", "1-0", "0:1", "01"],
        &["1-0a"],
        &["1-1~deb12u1"],
        &["1-1"],
        &["1-1+b1"],
        &["1-1+b2"],
        &["1-1+b10"],
        &["1-1.1"],
        &["1-2"],
        &["1a"],
        &["1b"],
        &["1+dfsg-1"],
        &["1-a-1"],
        &["1.2.9"],
        &["1.2.10"],
        &["1.18446744073709551616"],
        &["1.18446744073709551617"],
        &["2.36-9+deb12u10"],
        &["2.36-9+deb12u13"],
        &["1:0~", "1:0~0"],
        &["1:0.1"],
        &["1:0:1"],
        &["2:0"],
    ];

    #[test]
    fn versions_are_ordered_as_policy_says() {
        let all: Vec<(usize, Version)> = (0..)
            .zip(ORDER)
            .flat_map(|(rank, row)| row.iter().map(move |text| (rank, Version::parse(text).unwrap())))
            .collect();
        let hash = BuildHasherDefault::<DefaultHasher>::default();
        for (a_rank, a) in &all {
            for (b_rank, b) in &all {
                assert_eq!(a.cmp(b), a_rank.cmp(b_rank), "{a} {b}");
                if a == b {
                    assert_eq!(hash.hash_one(a), hash.hash_one(b), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_version_knows_its_parts() {
        let version = Version::parse("2:1.0-rc1:2-3+b1").unwrap();
        assert_eq!((version.epoch(), version.upstream(), version.revision()), (2, "1.0-rc1:2", Some("3+b1")));
        assert_eq!(version.to_string(), "2:1.0-rc1:2-3+b1");
        assert_eq!(Version::parse("1").unwrap().revision(), None);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", ":1", "a:1", "-1:1", "1:", "-1", "1-", "1 2", "1_2", "1-2_3", "2147483648:1", "1\n", "ä", "1:-1"]
        {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }

    /// Asks dpkg about pairs drawn from an alphabet that reaches every branch; says so where there is no dpkg.
    #[test]
    fn dpkg_agrees() {
        let dpkg = |a: &str, op: &str, b: &str| {
            std::process::Command::new("dpkg")
                .args(["--compare-versions", a, op, b])
                .stderr(std::process::Stdio::null())
                .status()
        };
        if dpkg("1", "eq", "1").is_err() {
            eprintln!("dpkg is not installed: its order was not compared");
            return;
        }
        let mut seed = 7_u64;
        let mut draw = |count: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % count
        };
        let mut text = || {
            let mut text = String::from(["0", "1", "1:1", "10", "007"][draw(5)]);
            for _ in 0..draw(6) {
                text.push_str(["0", "1", "9", "a", "Z", "~", "+", ".", "-1", "~~", "00"][draw(11)]);
            }
            text
        };
        for _ in 0..150 {
            let (a, b) = (text(), text());
            let op = match Version::parse(&a).unwrap().cmp(&Version::parse(&b).unwrap()) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert!(dpkg(&a, op, &b).unwrap().success(), "{a} {op} {b}");
        }
    }
}
