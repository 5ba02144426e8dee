//! Where an image to be read stands: a layout, an archive or a registry.
//!
//! Of an image in a registry the documents are fetched at once, each checked against its digest, and the layers of the
//! platforms that are looked at, into the store.

use crate::diag::{Problems, Progress};
use crate::image::{self, Destination, OpenImage, Opened, Reference};
use crate::registry::{Registry, Repository};
use crate::spec::Platform;
use crate::store::{self, Store};

use super::World;
use super::inspect::chosen;

/// What reading an image may need beside the disk.
pub struct Reach<'a> {
    /// The registries.
    pub registry: &'a Registry,
    /// Opens the store that fetched images go to; asked only for these.
    pub store: &'a dyn Fn() -> Result<Store, store::Error>,
    /// Who hears of progress.
    pub progress: &'a dyn Progress,
}

/// An image that is read, and where it came from.
pub(super) struct ImageSource<'a> {
    /// The image: its documents are read, its layers can be once they were asked for.
    pub(super) open: OpenImage,
    /// Where it stands, as it was named.
    pub(super) destination: Destination,
    remote: Option<(Repository<'a>, Store)>,
    progress: &'a dyn Progress,
}

impl<'a> ImageSource<'a> {
    /// Opens the image named `name`.
    ///
    /// # Errors
    /// No such image, or one whose documents do not hold together.
    pub(super) fn open(reach: &Reach<'a>, name: &str) -> Result<Self, Problems> {
        Self::find(reach.registry, reach.store, reach.progress, name)
    }

    /// Opens the image named `name` with the store and the registries of a world.
    ///
    /// # Errors
    /// As [`ImageSource::open`].
    pub(super) fn in_world(world: &World<'a>, name: &str) -> Result<Self, Problems> {
        Self::find(world.registry, &|| Ok(world.store.clone()), world.progress, name)
    }

    fn find(
        registry: &'a Registry,
        store: &dyn Fn() -> Result<Store, store::Error>,
        progress: &'a dyn Progress,
        name: &str,
    ) -> Result<Self, Problems> {
        let destination = Destination::parse(name)?;
        let Destination::Registry(reference) = &destination else {
            let open = image::open(&destination)?;
            return Ok(Self { open, destination, remote: None, progress });
        };
        let store = store()?;
        let repository = registry.repository(reference);
        if let (Some(tag), Some(digest)) = (reference.tag(), reference.digest())
            && repository.resolve(tag)? != Some(*digest)
        {
            let problem = format!("its tag `{tag}` names another image than its digest");
            return Err(image::Error::Invalid { image: name.to_owned(), problem }.into());
        }
        let descriptor = repository.pull_documents(&reference.wanted(), &store)?;
        let open = image::stored(&destination.to_string(), &descriptor, &store)?;
        Ok(Self { open, destination, remote: Some((repository, store)), progress })
    }

    /// Returns the images of these platforms, or all that run where none is named, with their layers at hand.
    ///
    /// # Errors
    /// A platform that the image does not have; layers that cannot be fetched.
    pub(super) fn images(&self, platforms: &[Platform]) -> Result<Vec<&Opened>, Problems> {
        let images = chosen(&self.open, platforms)?;
        self.fetch(&images)?;
        Ok(images)
    }

    /// Brings the layers of these images to hand.
    ///
    /// # Errors
    /// Layers that cannot be fetched.
    pub(super) fn fetch(&self, images: &[&Opened]) -> Result<(), Problems> {
        if let Some((repository, store)) = &self.remote {
            let layers = images.iter().flat_map(|one| &one.layers).map(|layer| &layer.descriptor);
            repository.pull_layers(layers, store, self.progress)?;
        }
        Ok(())
    }

    /// Returns where the image stands in a registry, if it does.
    pub(super) fn remote(&self) -> Option<(&Repository<'a>, &Reference)> {
        match (&self.remote, &self.destination) {
            (Some((repository, _)), Destination::Registry(reference)) => Some((repository, reference)),
            _ => None,
        }
    }
}
