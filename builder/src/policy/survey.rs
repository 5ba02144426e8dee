//! Reads an image once: what stands where, and what its files give away.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use serde_json::Value;

use super::licenses::Licensed;
use super::owners::Owners;
use super::scan;
use super::tables::VARIABLES;
use crate::image::{Entry, Error, OpenImage, Opened, Rootfs};
use crate::languages;
use crate::spec::Finding;
use crate::tar::read::Kind;

/// The most bytes of one text that is kept.
const MAX_TEXT: u64 = 16 << 20;
/// The most bytes of all databases and lists of users that are kept; and of what says something of licences, which has
/// a bound of its own, so that it cannot push out the others.
const MAX_TEXTS: u64 = 64 << 20;

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// By their first bytes.
    Surface,
    /// From end to end.
    Contents,
}

/// What was read of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Whether it is ELF.
    pub elf: bool,
    /// What program it is, told by its content alone.
    pub program: Option<(Finding, &'static str)>,
    /// What secrets it holds, sorted.
    pub secrets: BTreeSet<&'static str>,
    /// Whose test keys it holds: private keys that everybody has.
    pub test_keys: BTreeSet<&'static str>,
    /// Its bytes, where it is a package database, a list of users, or says something of licences.
    pub text: Option<Arc<[u8]>>,
}

/// An image that was read.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Its layers, stacked.
    pub rootfs: Rootfs<Content>,
    /// Its config.
    pub config: Value,
    /// What secrets the config holds, in words.
    pub config_secrets: BTreeSet<String>,
    /// What the spec says of its own files, which no database names; empty unless the caller fills it.
    pub components: Vec<Licensed>,
}

/// Reads one image of `open`.
///
/// # Errors
/// A layer that is not what its digests say, that is malformed or beyond a bound.
pub fn survey(open: &OpenImage, one: &Opened, depth: Depth) -> Result<Survey, Error> {
    let failed = |source| Error::Read { image: open.name().to_owned(), source };
    let (mut texts, mut terms) = (0, 0);
    let rootfs = Rootfs::read(open, one, &mut |entry, body| {
        if entry.kind != Kind::File {
            return Ok(Content::default());
        }
        let path = entry.path.as_str();
        let mut content = Content::default();
        let mut head;
        let used = if keeps(path) {
            Some(&mut texts)
        } else if depth == Depth::Contents && tells_of_licenses(path) {
            Some(&mut terms)
        } else {
            None
        };
        let used = used.filter(|used| entry.size <= MAX_TEXT && **used + entry.size <= MAX_TEXTS);
        let body: &mut dyn Read = if let Some(used) = used {
            *used += entry.size;
            let mut bytes = Vec::new();
            body.take(MAX_TEXT).read_to_end(&mut bytes).map_err(failed)?;
            let bytes: Arc<[u8]> = bytes.into();
            content.text = Some(bytes.clone());
            head = std::io::Cursor::new(bytes);
            &mut head
        } else {
            body
        };
        match depth {
            Depth::Surface => content.elf = starts_like_elf(entry, body).map_err(failed)?,
            Depth::Contents => {
                let found = scan::scan(path, body).map_err(failed)?;
                content.elf = found.elf;
                content.program = found.program;
                content.secrets = found.secrets;
                content.test_keys = found.test_keys;
            }
        }
        Ok(content)
    })?;
    let config_secrets = if depth == Depth::Contents { config_secrets(one).map_err(failed)? } else { BTreeSet::new() };
    Ok(Survey { rootfs, config: one.config.clone(), config_secrets, components: Vec::new() })
}

impl Survey {
    /// Returns who the image's own package databases say a file belongs to.
    pub fn owners(&self) -> Owners {
        Owners::read(&self.rootfs)
    }

    /// Returns the bytes of regular files, those that upper layers hide included.
    pub fn size(&self) -> u64 {
        self.rootfs.layers.iter().fold(0, |sum, layer| layer.unpacked.saturating_add(sum))
    }

    /// Returns the bytes of regular files that upper layers hide.
    pub fn hidden(&self) -> u64 {
        self.rootfs.hidden.iter().fold(0, |sum, file| file.size.saturating_add(sum))
    }
}

/// Returns whether a file's bytes are kept.
fn keeps(path: &str) -> bool {
    matches!(path, "etc/passwd" | "lib/apk/db/installed" | "usr/lib/apk/db/installed" | "var/lib/dpkg/status")
        || path.strip_prefix("var/lib/dpkg/status.d/").is_some_and(|name| !name.contains('/'))
        || path.strip_prefix("var/lib/dpkg/info/").is_some_and(|name| name.ends_with(".list"))
}

/// Returns whether a file says what something is under: a copyright file, or metadata of a language's package.
fn tells_of_licenses(path: &str) -> bool {
    path.starts_with("usr/share/doc/") && path.ends_with("/copyright") || languages::is_read(path)
}

fn starts_like_elf(entry: &Entry, body: &mut dyn Read) -> std::io::Result<bool> {
    if entry.size < 4 {
        return Ok(false);
    }
    let mut head = Vec::new();
    body.take(4).read_to_end(&mut head)?;
    Ok(head == b"\x7fELF")
}

/// Returns what secrets a config holds.
fn config_secrets(one: &Opened) -> std::io::Result<BTreeSet<String>> {
    let found = scan::scan("", &mut one.config_bytes.as_slice())?;
    let mut secrets: BTreeSet<String> = found.secrets.into_iter().map(str::to_owned).collect();
    for variable in one.config["config"]["Env"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Some((name, value)) = variable.split_once('=')
            && VARIABLES.contains(&name)
            && !value.is_empty()
        {
            secrets.insert(format!("the variable `{name}`"));
        }
    }
    Ok(secrets)
}
