//! Records of a pax extended header (POSIX.1-2017, pax, "pax Extended Header").

use std::collections::BTreeSet;

/// What an extended header says of the next entry.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<String>,
    pub(super) linkpath: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Seconds, a fraction dropped downwards.
    pub(super) mtime: Option<i64>,
    /// Sorted by name.
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

/// Records that change nothing here.
const IGNORED: [&str; 5] = ["atime", "ctime", "uname", "gname", "comment"];

/// Records of other writers that change nothing here.
const IGNORED_OF_THIRD_PARTIES: [&str; 6] =
    ["SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "SCHILY.fflags", "LIBARCHIVE.creationtime", "LIBARCHIVE.symlinktype"];

impl Records {
    pub(super) fn parse(bytes: &[u8], third_party: bool) -> Result<Self, String> {
        let mut records = Self::default();
        let mut seen = BTreeSet::new();
        for record in split(bytes) {
            let (key, value) = record?;
            if !seen.insert(key) {
                return Err(format!("the pax record `{key}` comes twice"));
            }
            let text = || match std::str::from_utf8(value) {
                Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
                _ => Err(format!("the pax record `{key}` is empty or no UTF-8 text")),
            };
            match key {
                "path" => records.path = Some(text()?),
                "linkpath" => records.linkpath = Some(text()?),
                "size" => records.size = Some(integer(key, value)?),
                "uid" => records.uid = Some(narrow(key, value)?),
                "gid" => records.gid = Some(narrow(key, value)?),
                "mtime" => records.mtime = Some(seconds(key, &text()?)?),
                ignored if IGNORED.contains(&ignored) => {}
                ignored if third_party && IGNORED_OF_THIRD_PARTIES.contains(&ignored) => {}
                other => match other.strip_prefix("SCHILY.xattr.") {
                    Some(name) if !name.is_empty() => records.xattrs.push((name.to_owned(), value.to_vec())),
                    _ if other.starts_with("GNU.sparse.") => return Err("a sparse file".to_owned()),
                    _ => return Err(format!("the pax record `{}` is not known", other.escape_default())),
                },
            }
        }
        records.xattrs.sort();
        Ok(records)
    }
}

/// Returns whether a global header holds a comment and nothing else.
pub(super) fn is_comment(bytes: &[u8]) -> bool {
    split(bytes).all(|record| matches!(record, Ok(("comment", _))))
}

/// Splits `LENGTH KEY=VALUE\n` records; stops after the first that is malformed.
pub(super) fn split(bytes: &[u8]) -> impl Iterator<Item = Result<(&str, &[u8]), String>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((key, value, tail)) = record(rest) else {
            rest = &[];
            return Some(Err("a malformed pax record".to_owned()));
        };
        rest = tail;
        Some(Ok((key, value)))
    })
}

fn record(bytes: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let length = canonical(&bytes[..space])?;
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len() && *length > space + 1)?;
    let (body, tail) = (&bytes[space + 1..length], &bytes[length..]);
    let body = body.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let key = std::str::from_utf8(&body[..equals]).ok().filter(|key| !key.is_empty() && !key.contains('\0'))?;
    Some((key, &body[equals + 1..], tail))
}

/// Returns a decimal number without sign or leading zeros.
fn canonical(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn integer(key: &str, value: &[u8]) -> Result<u64, String> {
    canonical(value).ok_or_else(|| format!("the pax record `{key}` is no decimal number"))
}

fn narrow(key: &str, value: &[u8]) -> Result<u32, String> {
    u32::try_from(integer(key, value)?).map_err(|_| format!("the pax record `{key}` does not fit 32 bits"))
}

fn seconds(key: &str, text: &str) -> Result<i64, String> {
    let wrong = || format!("the pax record `{key}` is no time");
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    if fraction.is_some_and(|digits| digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit())) {
        return Err(wrong());
    }
    let whole = canonical(whole.as_bytes()).and_then(|whole| i64::try_from(whole).ok()).ok_or_else(wrong)?;
    let partial = fraction.is_some_and(|digits| digits.bytes().any(|digit| digit != b'0'));
    Ok(if negative { -whole - i64::from(partial) } else { whole })
}
