//! Opens packages.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use super::error::broken;
use super::files::{self, Output, is_name};
use super::{Contract, Error};
use crate::digest::Digest;
use crate::engine::local::open_each;
use crate::layer::Workers;
use crate::package::{local, open_deb, pack_key};

/// A package that is to be opened, as text `LAYER/NAME=sha256:HEX` or `LAYER/NAME=sha256:HEX@PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The layer that it goes to.
    pub layer: String,
    /// Its name.
    pub name: String,
    /// Digest of the `.deb`.
    pub digest: Digest,
    /// Where it stands in its mount, for one of the spec's own directory; `deb` otherwise.
    pub path: Option<String>,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { layer, name, digest, path } = self;
        write!(f, "{layer}/{name}={digest}")?;
        path.iter().try_for_each(|path| write!(f, "@{path}"))
    }
}

impl FromStr for Asked {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (layer, rest) = text.split_once('/')?;
            let (name, rest) = rest.split_once('=')?;
            let (digest, path) = match rest.split_once('@') {
                Some((digest, path)) => (digest, Some(path.to_owned())),
                None => (rest, None),
            };
            let asked = Self { layer: layer.to_owned(), name: name.to_owned(), digest: digest.parse().ok()?, path };
            (is_name(layer) && is_name(name)).then_some(asked)
        };
        read().ok_or("a package is asked for as LAYER/NAME=sha256:HEX[@PATH]")
    }
}

/// Opens packages: each is the file `deb` in the directory of its name below `input`, or the one at its path there.
/// Writes its index to `index/NAME` and its data to `data/LAYER/KEY`, the key of its pack in hexadecimal.
///
/// # Errors
/// A package that is not there, has other bytes than asked for, or is not taken; outputs that cannot be written.
pub fn open(
    contract: Contract,
    packages: &[Asked],
    input: &Path,
    (index, data): (&Path, &Path),
    workers: &Workers,
) -> Result<(), Error> {
    contract.check()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = packages.iter().find(|package| !names.insert(&package.name)) {
        return Err(broken(format!("package `{}`", twice.name), "it is asked for twice"));
    }
    let (index, data) = (Output::start(index)?, Output::start(data)?);
    let file = |number: usize| {
        let Asked { name, path, digest, .. } = &packages[number];
        let directory = input.join(name);
        let what = format!("package `{name}`");
        let mut file = match path {
            Some(path) => local::file(&directory, path).map_err(|source| Error::Package { name: name.clone(), source }),
            None => files::file(&directory.join("deb"), &what),
        }?;
        let failed = |source| Error::Read { what, path: directory.display().to_string(), source };
        let (found, _) = files::digest(&mut file).map_err(failed)?;
        if found != *digest {
            return Err(Error::Bytes { name: name.clone(), expected: *digest, found });
        }
        Ok(file)
    };
    for package in packages {
        data.directory(&package.layer)?;
    }
    open_each(workers, packages.len(), &file, &|number, deb, limits| {
        let Asked { layer, name, digest, .. } = &packages[number];
        let sink = data.create(&format!("{layer}/{}", pack_key(digest).hex()))?;
        let opened = open_deb(deb, *digest, &sink, limits);
        let opened = opened.map_err(|source| Error::Package { name: name.clone(), source })?;
        index.write(name, &opened.to_bytes())
    })?;
    Output::commit_all([index, data])
}
