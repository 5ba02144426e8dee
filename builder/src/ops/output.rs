//! Where a built image goes: files and directories, the container engines of this machine, and registries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::digest::Digest;
use crate::evidence::{self, Contents, Evidence};
use crate::image::{
    self, Destination, Image, ImageIndex, Reference, stage_docker_archive, write_archive, write_layout,
};
use crate::load::{self, Docker, Engine, Storage};
use crate::registry;
use crate::spec::Platform;
use crate::store::output::commit_all;

use super::{Error, World};

/// What is written in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum File {
    Layout,
    Archive,
    DockerArchive,
}

/// The outputs of one image, each path once with all names that were asked for.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    files: BTreeMap<PathBuf, (File, BTreeSet<String>, BTreeSet<Reference>)>,
    docker: BTreeSet<Reference>,
    storage: BTreeSet<Reference>,
    registries: BTreeSet<Reference>,
    /// The name for whatever engine is there.
    load: Option<Reference>,
    /// Where evidence goes, in place of beside each file.
    evidence: Option<PathBuf>,
}

/// The engines that outputs go to.
#[derive(Debug, Default)]
pub(super) struct Engines {
    docker: Option<(Docker, BTreeSet<Reference>)>,
    storage: Option<(Storage, BTreeSet<Reference>)>,
}

impl Outputs {
    /// Parses the outputs that were asked for; `load` is the name for the engine that is there, `evidence` where evidence
    /// goes in place of beside each file.
    pub(super) fn parse(texts: &[String], load: Option<&str>, evidence: Option<&Path>) -> Result<Self, Error> {
        let mut outputs = Self { evidence: evidence.map(plain), ..Self::default() };
        for text in texts {
            match Destination::parse(text)? {
                Destination::Layout(path, tag) => outputs.add(path, File::Layout, tag, None)?,
                Destination::Archive(path, tag) => outputs.add(path, File::Archive, tag, None)?,
                Destination::DockerArchive(path, name) => outputs.add(path, File::DockerArchive, None, name)?,
                Destination::DockerDaemon(name) => {
                    outputs.docker.insert(name);
                }
                Destination::ContainersStorage(name) => {
                    outputs.storage.insert(name);
                }
                Destination::Registry(name) => {
                    if name.digest().is_some() {
                        let problem = "a digest is not chosen by who names an image";
                        return Err(image::Error::Destination { text: text.clone(), problem }.into());
                    }
                    outputs.registries.insert(name);
                }
            }
        }
        if let Some(name) = load {
            let parsed = Reference::of_engine(name)
                .map_err(|problem| image::Error::Destination { text: name.to_owned(), problem })?;
            outputs.load = Some(parsed);
        }
        let taken = outputs.files.keys().map(|path| Evidence::beside(path)).chain(outputs.evidence.clone());
        if let Some(twice) = taken.into_iter().find(|path| outputs.files.contains_key(path)) {
            return Err(Error::OutputTwice { path: twice.display().to_string() });
        }
        Ok(outputs)
    }

    /// Returns whether evidence is written anywhere.
    pub(super) fn want_evidence(&self) -> bool {
        self.evidence.is_some() || !self.files.is_empty()
    }

    fn add(&mut self, path: PathBuf, file: File, tag: Option<String>, name: Option<Reference>) -> Result<(), Error> {
        let path = plain(&path);
        let (there, tags, names) = self.files.entry(path.clone()).or_insert((file, BTreeSet::new(), BTreeSet::new()));
        if *there != file {
            return Err(Error::OutputTwice { path: path.display().to_string() });
        }
        tags.extend(tag);
        names.extend(name);
        Ok(())
    }

    /// Refuses several platforms where an output holds one.
    pub(super) fn check_platforms(&self, platforms: &[Platform]) -> Result<(), Error> {
        let single = self.files.iter().find(|(_, (file, ..))| *file == File::DockerArchive);
        match single {
            Some((path, _)) if platforms.len() > 1 => Err(image::Error::OnePlatform {
                output: Destination::DockerArchive(path.clone(), None).to_string(),
                platforms: platforms.iter().map(|platform| platform.oci().to_owned()).collect(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// Finds the engines that outputs go to, so that a build is not made in vain.
    pub(super) fn engines(&self, known: &load::Engines) -> Result<Engines, Error> {
        let mut engines = Engines::default();
        let (mut docker, mut storage) = (self.docker.clone(), self.storage.clone());
        if let Some(name) = &self.load {
            match known.any()? {
                Engine::Docker(found) => {
                    docker.insert(name.clone());
                    engines.docker = Some((found, BTreeSet::new()));
                }
                Engine::Storage(found) => {
                    storage.insert(name.clone());
                    engines.storage = Some((found, BTreeSet::new()));
                }
            }
        }
        if !docker.is_empty() {
            let found = match engines.docker.take() {
                Some((found, _)) => found,
                None => Docker::find(known)?,
            };
            engines.docker = Some((found, docker));
        }
        if !storage.is_empty() {
            let found = match engines.storage.take() {
                Some((found, _)) => found,
                None => Storage::find(known)?,
            };
            engines.storage = Some((found, storage));
        }
        Ok(engines)
    }

    /// Writes the image to all outputs, and its evidence beside each file or to where it was asked for. Files are put in
    /// their places last, evidence before its image: where an engine or a registry does not take the image, what stood
    /// there before still does.
    pub(super) fn write(
        &self,
        world: &World<'_>,
        image: &ImageIndex,
        evidence: Option<&Contents>,
        engines: &Engines,
    ) -> Result<(), Error> {
        let blobs = |digest: &Digest| world.store.blob(digest).map_err(std::io::Error::other);
        let mut staged = Vec::new();
        if let (Some(contents), Some(directory)) = (evidence, &self.evidence) {
            staged.push(evidence::stage(contents, &blobs, directory)?);
        }
        for (path, (file, tags, names)) in &self.files {
            let image = match file {
                File::Layout => write_layout(image, tags, &blobs, path)?,
                File::Archive => write_archive(image, tags, &blobs, path)?,
                File::DockerArchive => {
                    let text = Destination::DockerArchive(path.clone(), None).to_string();
                    stage_docker_archive(only(image, &text)?, names, &blobs, path)?
                }
            };
            if let (Some(contents), None) = (evidence, &self.evidence) {
                staged.push(evidence::stage(contents, &blobs, &Evidence::beside(path))?);
            }
            staged.push(image);
        }
        if let Some((docker, names)) = &engines.docker {
            docker.load(own(image, world.host, "a Docker daemon")?, names, &blobs)?;
        }
        if let Some((storage, names)) = &engines.storage {
            for name in names {
                storage.load(own(image, world.host, "containers-storage")?, name, &blobs, world.store)?;
            }
        }
        for name in &self.registries {
            let open = image::built(&Destination::Registry(name.clone()).to_string(), image, &blobs)?;
            let repository = world.registry.repository(name);
            repository.push_image(&open, None, world.progress)?;
            let documents = registry::documents(&open);
            repository.tag(&name.wanted(), documents.last().expect("an image has a manifest"))?;
        }
        commit_all(staged)?;
        if let (Some(contents), Some(directory)) = (evidence, &self.evidence) {
            for beside in self.files.keys().map(|path| Evidence::beside(path)).filter(|beside| beside != directory) {
                evidence::remove_other(&beside, &contents.digest)?;
            }
        }
        Ok(())
    }

    /// Returns the outputs as a user would write them, and what engine took what.
    pub(super) fn shown(&self, texts: &[String], engines: &Engines) -> Vec<String> {
        let mut shown = texts.to_vec();
        if let Some(name) = &self.load {
            shown.push(match &engines.docker {
                Some((_, names)) if names.contains(name) => Destination::DockerDaemon(name.clone()).to_string(),
                _ => Destination::ContainersStorage(name.with_host()).to_string(),
            });
        }
        shown
    }
}

/// Returns a path without what changes nothing: `./web` is `web`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Returns the one image of an output that holds one platform.
fn only<'a>(image: &'a ImageIndex, output: &str) -> Result<&'a Image, Error> {
    match image.images() {
        [one] => Ok(one),
        several => Err(one_platform(output, several)),
    }
}

/// Returns the one image for an engine: the only one, else that of this machine's platform.
fn own<'a>(image: &'a ImageIndex, host: Platform, output: &str) -> Result<&'a Image, Error> {
    match image.images() {
        [one] => Ok(one),
        several => several.iter().find(|one| one.platform() == host).ok_or_else(|| one_platform(output, several)),
    }
}

fn one_platform(output: &str, images: &[Image]) -> Error {
    let platforms = images.iter().map(|image| image.platform().oci().to_owned()).collect();
    image::Error::OnePlatform { output: output.to_owned(), platforms }.into()
}

/// Returns the directory that an output's path is in; `None` where it has no path.
pub fn directory_of_output(text: &str) -> Option<PathBuf> {
    let destination = Destination::parse(text).ok()?;
    let parent = destination.path()?.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some(parent.unwrap_or(Path::new(".")).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_is_one_output_with_all_its_tags() {
        let parse =
            |texts: &[&str]| Outputs::parse(&texts.iter().map(|&text| text.into()).collect::<Vec<_>>(), None, None);
        let outputs = parse(&["oci:a:1", "./a", "oci:a:2", "docker-archive:b:web", "docker-archive:b:web:1"]).unwrap();
        assert_eq!(outputs.files.len(), 2);
        assert_eq!(outputs.files[Path::new("a")].1.iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(outputs.files[Path::new("b")].2.len(), 2);
        assert!(parse(&["oci:a", "docker-archive:a"]).is_err());
        assert!(outputs.check_platforms(&[Platform::Amd64, Platform::Arm64]).is_err());
        assert!(outputs.check_platforms(&[Platform::Arm64]).is_ok());
        assert!(Outputs::parse(&[], Some("a..b"), None).is_err());
        assert!(parse(&["oci:a", "oci:a.evidence"]).is_err());
        assert!(Outputs::parse(&["oci:a".to_owned()], None, Some(Path::new("./a"))).is_err());
    }
}
