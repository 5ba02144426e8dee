//! Where an image goes, or comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::reference::is_tag;
use super::{Error, Reference};

/// Where an image goes, or comes from, by the transport names that other tools use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI layout directory, with a tag where one is named.
    Layout(PathBuf, Option<String>),
    /// An OCI layout as a tar, with a tag where one is named.
    Archive(PathBuf, Option<String>),
    /// An archive as `docker save` writes it, with a name for the image in it where one is said.
    DockerArchive(PathBuf, Option<Reference>),
    /// A Docker daemon; goes there only.
    DockerDaemon(Reference),
    /// The storage that podman, buildah and CRI-O share; goes there only.
    ContainersStorage(Reference),
    /// A registry.
    Registry(Reference),
}

impl Destination {
    /// Parses `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `docker-daemon:REF`,
    /// `containers-storage:REF`, `docker://HOST/NAME[:TAG|@DIGEST]`, or a path: an archive where it ends in `.tar`, else
    /// a layout.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem| Error::Destination { text: text.to_owned(), problem };
        let reference = |name: &str| Reference::of_engine(name).map_err(refuse);
        if text.starts_with("docker://") {
            return Ok(Self::Registry(Reference::of_registry(text).map_err(refuse)?));
        }
        if let Some(name) = text.strip_prefix("docker-daemon:") {
            return Ok(Self::DockerDaemon(reference(name)?));
        }
        if let Some(name) = text.strip_prefix("containers-storage:") {
            return Ok(Self::ContainersStorage(reference(name)?));
        }
        // A tag is split off at the first colon, as containers/image does it.
        let split = |rest: &str| match rest.split_once(':') {
            Some((path, tag)) => (path.to_owned(), Some(tag.to_owned())),
            None => (rest.to_owned(), None),
        };
        let (transport, rest) = match text.split_once(':') {
            Some((name @ ("oci" | "oci-archive" | "docker-archive"), rest)) => (name, split(rest)),
            _ if text.ends_with(".tar") => ("oci-archive", (text.to_owned(), None)),
            _ => ("oci", (text.to_owned(), None)),
        };
        let (path, tag) = rest;
        if path.is_empty() {
            return Err(refuse("it names no path"));
        }
        let path = PathBuf::from(path);
        if transport == "docker-archive" {
            let name = tag.as_deref().map(reference).transpose()?;
            return Ok(Self::DockerArchive(path, name));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse("its tag is none"));
        }
        Ok(if transport == "oci" { Self::Layout(path, tag) } else { Self::Archive(path, tag) })
    }

    /// Returns the path that is written or read; `None` for a container engine or a registry.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Layout(path, _) | Self::Archive(path, _) | Self::DockerArchive(path, _) => Some(path),
            Self::DockerDaemon(_) | Self::ContainersStorage(_) | Self::Registry(_) => None,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name): (_, _, Option<&dyn fmt::Display>) = match self {
            Self::Layout(path, tag) => ("oci", path, tag.as_ref().map(|tag| tag as _)),
            Self::Archive(path, tag) => ("oci-archive", path, tag.as_ref().map(|tag| tag as _)),
            Self::DockerArchive(path, name) => ("docker-archive", path, name.as_ref().map(|name| name as _)),
            Self::DockerDaemon(name) => return write!(f, "docker-daemon:{name}"),
            Self::ContainersStorage(name) => return write!(f, "containers-storage:{name}"),
            Self::Registry(name) => return write!(f, "docker://{name}"),
        };
        write!(f, "{transport}:{}", path.display())?;
        name.map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_have_the_names_people_know() {
        for (text, shown) in [
            ("web.oci", "oci:web.oci"),
            ("out/web.tar", "oci-archive:out/web.tar"),
            ("oci:web.tar", "oci:web.tar"),
            ("oci:web:1.2", "oci:web:1.2"),
            ("oci-archive:web", "oci-archive:web"),
            ("oci-archive:web.tar:v1", "oci-archive:web.tar:v1"),
            ("docker-archive:web.tar", "docker-archive:web.tar"),
            ("docker-archive:web.tar:acme/web", "docker-archive:web.tar:acme/web:latest"),
            ("docker-archive:web:host:5000/web:1", "docker-archive:web:host:5000/web:1"),
            ("docker-daemon:web", "docker-daemon:web:latest"),
            ("containers-storage:host.example/web:1", "containers-storage:host.example/web:1"),
            ("docker://host.example/web:1", "docker://host.example/web:1"),
            ("a:b", "oci:a:b"),
        ] {
            assert_eq!(Destination::parse(text).unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "oci:",
            "oci::tag",
            "oci:web:",
            "oci:web:a b",
            "oci:web:a:b",
            "docker://web",
            "docker://example.org/Web",
            "docker-archive:",
            "docker-archive::web",
            "docker-archive:x:",
            "docker-archive:x:Web",
            "docker-daemon:",
            "containers-storage:web@sha256:0",
        ] {
            assert!(Destination::parse(wrong).is_err(), "{wrong}");
        }
    }
}
