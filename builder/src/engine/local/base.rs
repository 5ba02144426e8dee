//! The image that a spec builds on: opened, held against the lock, its layers copied into the store, its tree read.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::digest::{Digest, Hasher};
use crate::image::{self, BaseConfig, Destination, OpenImage, Opened, Rootfs};
use crate::lock::Lock;
use crate::package::base::{BaseFile, BaseReader, base_index};
use crate::package::{Entry, EntryKind, PACK_FORMAT, PackIndex};
use crate::spec::{BaseImage, Platform, Spec};
use crate::store::{Kind, Store};
use crate::tar::read;

use super::Error;

/// A base of one platform.
#[derive(Debug)]
pub struct Base {
    /// What stands in it, by path.
    pub index: PackIndex,
    /// Its layers and its config, which ours are laid over.
    pub config: BaseConfig,
}

/// Returns the digest and size that a lock holds a base by: of the manifest, or of the index over several.
///
/// # Errors
/// No such image, or one that does not hold together.
pub fn base_digest(spec: &Spec, directory: &Path) -> Result<Option<(Digest, u64)>, Error> {
    let Some(base) = &spec.base else { return Ok(None) };
    let open = open_image(spec, base, directory)?;
    Ok(Some((open.descriptor().digest, open.descriptor().size)))
}

/// Opens a spec's base for one platform. With a lock, it must be the image that the lock names.
///
/// # Errors
/// No such image, another one than the lock says, none for the platform, one that does not hold together.
pub fn open_base(
    spec: &Spec,
    directory: &Path,
    lock: Option<&Lock>,
    store: &Store,
    platform: Platform,
) -> Result<Option<Base>, Error> {
    let Some(base) = &spec.base else { return Ok(None) };
    let wrong = |problem: String| Error::Base {
        base: base.text.clone(),
        problem,
        source_text: spec.source.clone(),
        span: base.span,
    };
    let open = open_image(spec, base, directory)?;
    if let Some(lock) = lock {
        let locked = lock.inputs.iter().find(|input| input.kind == "base" && input.name == base.text);
        let locked = locked.ok_or_else(|| wrong("the lock does not name it".to_owned()))?;
        if locked.digest != open.descriptor().digest {
            return Err(wrong(format!("it is {}, and the lock says {}", open.descriptor().digest, locked.digest)));
        }
    }
    let one = open
        .images()
        .iter()
        .find(|one| one.platform == Some(platform))
        .ok_or_else(|| wrong(format!("it has no image for {}", platform.oci())))?;
    for layer in &one.layers {
        if store.blob(&layer.descriptor.digest)?.is_none() {
            let mut blob = store.write_blob()?;
            let mut from = open.blob(&layer.descriptor)?;
            io::copy(&mut from, &mut blob).map_err(|source| Error::Temporary { source })?;
            blob.commit(Some(&layer.descriptor.digest))?;
        }
    }
    let index = index(&open, one, store, &wrong)?;
    Ok(Some(Base { index, config: BaseConfig::new(one, base.explicit.clone()) }))
}

/// Returns the paths of all files that make a spec's base, from the spec's directory, and the digest of each blob: of
/// an archive the archive; of a layout what its one image, or the image of the tag, consists of.
///
/// # Errors
/// No such image, or one that does not hold together.
pub fn base_files(spec: &Spec, directory: &Path) -> Result<Vec<(String, Option<Digest>)>, Error> {
    let Some(base) = &spec.base else { return Ok(Vec::new()) };
    if base.archive {
        return Ok(vec![(base.path.clone(), None)]);
    }
    let open = open_image(spec, base, directory)?;
    let mut blobs = BTreeSet::from([open.descriptor().digest]);
    for one in open.images() {
        blobs.extend([one.descriptor.digest, one.manifest.config.digest]);
        blobs.extend(one.layers.iter().map(|layer| layer.descriptor.digest));
    }
    let below = |name: &str| format!("{}/{name}", base.path);
    let mut files = vec![(below("oci-layout"), None), (below("index.json"), None)];
    files.extend(blobs.into_iter().map(|digest| (below(&format!("blobs/sha256/{}", digest.hex())), Some(digest))));
    Ok(files)
}

fn open_image(spec: &Spec, base: &BaseImage, directory: &Path) -> Result<OpenImage, Error> {
    let path = directory.join(&base.path);
    // As every file that a spec names: what a link leads to counts, not what it is called.
    if let (Ok(real), Ok(above)) = (path.canonicalize(), directory.canonicalize())
        && !real.starts_with(&above)
    {
        return Err(Error::Base {
            base: base.text.clone(),
            problem: "it leads out of the spec's directory".to_owned(),
            source_text: spec.source.clone(),
            span: base.span,
        });
    }
    let tag = base.tag.clone();
    Ok(image::open(&if base.archive { Destination::Archive(path, tag) } else { Destination::Layout(path, tag) })?)
}

/// Returns what stands in the image: read now, or earlier.
fn index(open: &OpenImage, one: &Opened, store: &Store, wrong: &dyn Fn(String) -> Error) -> Result<PackIndex, Error> {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia base\n");
    hasher.update(&PACK_FORMAT.to_be_bytes());
    hasher.update(one.descriptor.digest.as_bytes());
    let key = hasher.digest();
    if let Some(known) = store.entry(Kind::Packs, &key).and_then(|bytes| PackIndex::from_bytes(&bytes).ok()) {
        return Ok(known);
    }
    let scratch = tempfile::tempfile_in(store.root()).map_err(|source| Error::Temporary { source })?;
    let mut reader = BaseReader::new(&scratch);
    let mut failed = None;
    let rootfs: Rootfs<Option<BaseFile>> = Rootfs::read(open, one, &mut |entry, body| {
        if entry.kind != read::Kind::File {
            return Ok(None);
        }
        reader.file(entry.path.as_str(), entry.size, body).map(Some).map_err(|error| {
            let problem = format!("`{}`: {error}", entry.path);
            failed = Some(error);
            image::Error::Invalid { image: open.name().to_owned(), problem }
        })
    })
    .map_err(|error| failed.take().map_or(Error::Image(error), Error::Local))?;
    if let Some(path) = rootfs.unclear.first() {
        return Err(wrong(format!("container engines differ on where its `/{path}` ends up")));
    }
    let mut nodes = Vec::with_capacity(rootfs.nodes.len());
    for (path, node) in rootfs.nodes {
        let (kind, text) = match (node.kind, node.content) {
            (read::Kind::Directory, _) => (EntryKind::Directory, None),
            (read::Kind::Symlink(target), _) => (EntryKind::Symlink(target), None),
            (_, Some(file)) => (EntryKind::File(file.facts), file.text),
            (_, None) => return Err(wrong(format!("its `/{path}` is a hard link to what is not there"))),
        };
        let entry = Entry { path, kind, mode: node.mode, uid: node.uid, gid: node.gid, mtime: 0, xattrs: node.xattrs };
        nodes.push((entry, text));
    }
    let index = base_index(one.descriptor.digest, nodes);
    store.put_entry(Kind::Packs, &key, &index.to_bytes())?;
    Ok(index)
}
