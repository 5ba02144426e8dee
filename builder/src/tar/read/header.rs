//! One 512-byte header: its fields, each in the one form that every reader takes alike.

/// Size of a tar block.
pub(super) const BLOCK: usize = 512;

/// The first size that 11 octal digits cannot hold.
pub(super) const OCTAL_SIZE: u64 = 1 << 33;

/// The fields of a header, checked one by one.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: i64,
    /// The type flag.
    pub(super) kind: u8,
}

impl Header {
    /// Parses a block (POSIX.1-2017, ustar header block; GNU tar, `struct posix_header` with the old GNU magic).
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, String> {
        let sum: u64 = block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]).map(|byte| u64::from(*byte)).sum();
        if octal(&block[148..156], "checksum")? != sum {
            return Err("its checksum does not match".to_owned());
        }
        let posix = match &block[257..265] {
            b"ustar\x0000" => true,
            b"ustar  \0" => false,
            _ => return Err("it is neither a ustar nor a GNU header".to_owned()),
        };
        let kind = block[156];
        let mut path = text(&block[..100], "path")?.to_vec();
        if posix {
            let prefix = text(&block[345..500], "prefix")?;
            if !prefix.is_empty() {
                path = [prefix, b"/", &path].concat();
            }
        } else if block[345..500].iter().any(|byte| *byte != 0) {
            return Err("GNU fields for sparse or incremental archives".to_owned());
        }
        if block[500..].iter().any(|byte| *byte != 0) {
            return Err("bytes after its last field".to_owned());
        }
        for (field, range) in [("owner name", 265..297), ("group name", 297..329)] {
            text(&block[range], field)?;
        }
        for range in [329..337, 337..345] {
            if block[range.clone()].iter().any(|byte| *byte != 0) && octal(&block[range], "device number")? != 0 {
                return Err("a device number".to_owned());
            }
        }
        let mode = octal(&block[100..108], "mode")?;
        // GNU tar before 1.13 and writers of layers write the file type here too; the reader decides on that.
        if mode > 0o177_777 {
            return Err(format!("its mode {mode:o} has bits beyond 7777"));
        }
        Ok(Self {
            path,
            link: text(&block[157..257], "link target")?.to_vec(),
            mode: mode as u32,
            uid: id(&block[108..116], "uid")?,
            gid: id(&block[116..124], "gid")?,
            size: u64::try_from(number(&block[124..136], "size")?).map_err(|_| "its size is negative".to_owned())?,
            mtime: number(&block[136..148], "mtime")?,
            kind,
        })
    }
}

/// Returns the bytes before the first NUL; all that follows it must be NUL.
fn text<'a>(field: &'a [u8], name: &str) -> Result<&'a [u8], String> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    if field[end..].iter().any(|byte| *byte != 0) {
        return Err(format!("its {name} goes on after a NUL byte"));
    }
    Ok(&field[..end])
}

/// Returns an octal field's number: digits from its first byte, then NUL bytes or spaces to its end, at least one.
fn octal(field: &[u8], name: &str) -> Result<u64, String> {
    let digits = field.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let rest = &field[digits..];
    if digits == 0 || rest.is_empty() || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return Err(format!("its {name} is not written in octal"));
    }
    Ok(field[..digits].iter().fold(0, |value, digit| value << 3 | u64::from(digit - b'0')))
}

/// Returns a field's number: octal, or GNU's base 256 where octal cannot hold it.
fn number(field: &[u8], name: &str) -> Result<i64, String> {
    if !matches!(field[0], 0x80 | 0xff) {
        return octal(field, name).map(|value| value as i64);
    }
    let (bytes, fill) = (&field[1..], if field[0] == 0xff { 0xff } else { 0 });
    let (head, tail) = bytes.split_at(bytes.len().saturating_sub(8));
    let mut value = [fill; 8];
    value[8 - tail.len()..].copy_from_slice(tail);
    let value = i64::from_be_bytes(value);
    if head.iter().any(|byte| *byte != fill) || (value < 0) != (fill == 0xff) {
        return Err(format!("its {name} does not fit 64 bits"));
    }
    if (0..1 << (3 * (field.len() - 1))).contains(&value) {
        return Err(format!("its {name} is written in base 256 where octal would do"));
    }
    Ok(value)
}

fn id(field: &[u8], name: &str) -> Result<u32, String> {
    u32::try_from(number(field, name)?).map_err(|_| format!("its {name} does not fit 32 bits"))
}
