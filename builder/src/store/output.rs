//! Output paths: the whole result stands there, or what stood there before.
//!
//! An output is written beside its destination under a temporary name, synced to disk, and renamed. A directory is
//! replaced only where everything in it is of the kind that is being written.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, RenameFlags};

use super::temporary::{self, TemporaryDirectory, TemporaryFile};
use super::{Error, walk};

/// What an OCI image layout holds (OCI image-spec 1.1, image layout); the first is in every one.
pub const OCI_LAYOUT: &[&str] = &["oci-layout", "index.json", "blobs"];

/// By then a writer holds what it has made.
const SETTLED: Duration = Duration::from_secs(10);

/// An output that is being written. Dropped without [`Staging::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Staging {
    destination: PathBuf,
    temporary: Temporary,
    /// Locked for as long as this is being written, so that others can tell it from what a kill left behind.
    held: Option<File>,
}

#[derive(Debug)]
enum Temporary {
    File(TemporaryFile),
    Directory(TemporaryDirectory),
}

impl Staging {
    /// Starts a file at `destination`; a file that stands there is replaced at the end.
    pub fn file(destination: &Path) -> Result<Self, Error> {
        if destination.is_dir() {
            return Err(occupied(destination, "a directory stands there"));
        }
        let (parent, prefix) = beside(destination)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).permissions(Permissions::from_mode(0o666));
        let made =
            TemporaryFile::new(&builder, parent).map_err(|source| Error::write("an output", destination, source))?;
        let held = hold(made.path());
        sweep(parent, &prefix, made.path());
        Ok(Self { destination: destination.to_owned(), temporary: Temporary::File(made), held })
    }

    /// Writes a new file at `destination`, readable by its owner alone from the moment it exists where it is `secret`.
    /// What stands there already is left alone, and an error.
    pub fn new_file(destination: &Path, bytes: &[u8], secret: bool) -> Result<(), Error> {
        let (parent, prefix) = beside(destination)?;
        let failed = |source| Error::write("an output", destination, source);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).permissions(Permissions::from_mode(if secret { 0o600 } else { 0o666 }));
        let mut made = TemporaryFile::new(&builder, parent).map_err(failed)?;
        made.write_all(bytes).and_then(|()| made.as_file().sync_all()).map_err(failed)?;
        match made.persist_new(destination) {
            Ok(_) => sync(parent).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(occupied(destination, "something stands there already"))
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Starts a directory at `destination`.
    ///
    /// A directory that stands there is replaced at the end if it is empty, or holds the first of the `known` names
    /// and no others.
    pub fn directory(destination: &Path, known: &[&str]) -> Result<Self, Error> {
        refuse_foreign(destination, known)?;
        let (parent, prefix) = beside(destination)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).permissions(Permissions::from_mode(0o777));
        let made = TemporaryDirectory::new(&builder, parent)
            .map_err(|source| Error::write("an output", destination, source))?;
        let held = hold(made.path());
        sweep(parent, &prefix, made.path());
        Ok(Self { destination: destination.to_owned(), temporary: Temporary::Directory(made), held })
    }

    /// Returns the temporary path to write to: an empty file, or an empty directory.
    pub fn path(&self) -> &Path {
        match &self.temporary {
            Temporary::File(file) => file.path(),
            Temporary::Directory(directory) => directory.path(),
        }
    }

    /// Returns where the output will stand.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Syncs what was written to disk and puts it in its place.
    pub fn commit(self) -> Result<(), Error> {
        commit_all(vec![self])
    }

    /// Removes the directory that stands at the destination, all at once; what was written is dropped.
    pub fn remove(self) -> Result<(), Error> {
        let destination = self.destination.clone();
        let failed = |source| Error::write("an output", &destination, source);
        if let Temporary::Directory(directory) = &self.temporary {
            // Under the temporary name it is removed like what never came to its place.
            let old = directory.path().join("old");
            temporary::together(|| fs::rename(&destination, &old)).map_err(failed)?;
        }
        Ok(())
    }

    /// Syncs what was written to disk.
    fn sync(&self) -> io::Result<()> {
        if let Temporary::Directory(directory) = &self.temporary {
            for (path, meta) in walk::below(directory.path())? {
                if meta.is_file() || meta.is_dir() {
                    sync(&path)?;
                }
            }
        }
        // Opened anew: the writer may have replaced the file at the path.
        sync(self.path())
    }

    /// Puts what was written in its place.
    fn place(&self) -> io::Result<Placed> {
        match &self.temporary {
            Temporary::Directory(directory) => place(directory.path(), &self.destination),
            Temporary::File(file) => place_file(file.path(), &self.destination),
        }
    }

    /// Takes back what [`Staging::place`] did. What cannot be taken back stays.
    fn unplace(&self, placed: Placed) {
        let _ = match placed {
            Placed::Fresh => fs::rename(&self.destination, self.path()),
            Placed::Exchanged => place(self.path(), &self.destination).map(|_| ()),
            Placed::Over => Ok(()),
        };
    }
}

/// Syncs outputs that belong together to disk, and puts them in their places, in this order: all, or, where one cannot
/// be put in its place, none.
///
/// A process that is killed in between leaves the first ones in their places and the others not.
pub fn commit_all(all: Vec<Staging>) -> Result<(), Error> {
    let failed = |staging: &Staging, source| Error::write("an output", &staging.destination, source);
    for staging in &all {
        staging.sync().map_err(|source| failed(staging, source))?;
    }
    let placed = temporary::together(|| {
        let mut placed = Vec::new();
        for staging in &all {
            match staging.place() {
                Ok(how) => placed.push(how),
                Err(source) => {
                    for (staging, how) in all.iter().zip(placed).rev() {
                        staging.unplace(how);
                    }
                    return Err(failed(staging, source));
                }
            }
        }
        Ok(placed)
    })?;
    let mut parents = BTreeSet::new();
    for (staging, how) in all.into_iter().zip(placed) {
        let Staging { destination, temporary, held: _held } = staging;
        let left = how == Placed::Exchanged;
        match temporary {
            Temporary::File(file) => file.placed(left),
            Temporary::Directory(directory) => directory.placed(left),
        }
        parents.extend(parent(&destination).map(Path::to_owned));
    }
    for parent in parents {
        sync(&parent).map_err(|source| Error::write("an output", &parent, source))?;
    }
    Ok(())
}

/// How an output came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// Nothing stood there.
    Fresh,
    /// What stood there stands at the temporary path now.
    Exchanged,
    /// What stood there is gone.
    Over,
}

/// Locks a temporary output; `None` where the file system has no locks.
fn hold(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

/// Removes what killed writers of the same output left beside it: not what is held, nor what is nearly as young as
/// `ours`, whose writer may be about to hold it.
fn sweep(parent: &Path, prefix: &OsStr, ours: &Path) {
    let age = |path: &Path| fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok();
    let (Some(now), Ok(names)) = (age(ours), walk::names(parent)) else { return };
    for path in names {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let is_temporary = name.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.len() == 6);
        let is_old = age(&path).and_then(|then| now.duration_since(then).ok()).is_some_and(|age| age > SETTLED);
        let is_link = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
        if !is_temporary || !is_old || is_link || path == ours {
            continue;
        }
        let Some(_held) = hold(&path) else { continue };
        // What cannot be removed is in nobody's way.
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// Renames a directory to its destination, in place of what stands there.
fn place(from: &Path, destination: &Path) -> io::Result<Placed> {
    match rustix::fs::renameat_with(CWD, from, CWD, destination, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Placed::Exchanged),
        Err(rustix::io::Errno::NOENT) => fs::rename(from, destination).map(|()| Placed::Fresh),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            replace(from, destination)
        }
        Err(error) => Err(error.into()),
    }
}

/// As [`place`], for a file. A directory is not replaced.
fn place_file(from: &Path, destination: &Path) -> io::Result<Placed> {
    if fs::symlink_metadata(destination).is_ok_and(|meta| meta.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match rustix::fs::renameat_with(CWD, from, CWD, destination, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Placed::Exchanged),
        Err(rustix::io::Errno::NOENT) => fs::rename(from, destination).map(|()| Placed::Fresh),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            // There is no instant without a file there, and so no way back.
            fs::rename(from, destination).map(|()| Placed::Over)
        }
        Err(error) => Err(error.into()),
    }
}

/// As [`place`], in two steps, where the file system cannot exchange names.
fn replace(from: &Path, destination: &Path) -> io::Result<Placed> {
    if fs::symlink_metadata(destination).is_err() {
        return fs::rename(from, destination).map(|()| Placed::Fresh);
    }
    let old = from.with_extension("old");
    fs::rename(destination, &old)?;
    if let Err(error) = fs::rename(from, destination) {
        fs::rename(&old, destination)?;
        return Err(error);
    }
    // Where it is removed: under the temporary name.
    fs::rename(&old, from).map(|()| Placed::Exchanged)
}

fn refuse_foreign(destination: &Path, known: &[&str]) -> Result<(), Error> {
    match fs::symlink_metadata(destination) {
        Ok(meta) if meta.is_dir() => {}
        Ok(meta) if meta.is_symlink() => return Err(occupied(destination, "a symbolic link stands there")),
        Ok(_) => return Err(occupied(destination, "a file stands there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::write("an output", destination, source)),
    }
    let entries = walk::names(destination).map_err(|source| Error::Read { path: destination.to_owned(), source })?;
    let names: Vec<_> = entries.iter().filter_map(|path| path.file_name()).collect();
    if let Some(foreign) = names.iter().find(|name| !known.iter().any(|known| *name == known)) {
        let why = format!("a directory with `{}` in it stands there", foreign.display());
        return Err(occupied(destination, &why));
    }
    match known.first() {
        Some(first) if !names.is_empty() && !names.iter().any(|name| name == first) => {
            Err(occupied(destination, &format!("a directory without `{first}` stands there")))
        }
        _ => Ok(()),
    }
}

fn occupied(destination: &Path, why: &str) -> Error {
    Error::Occupied { path: destination.to_owned(), why: why.to_owned() }
}

/// Returns the directory that an output goes to, and the prefix of its temporary name there.
fn beside(destination: &Path) -> Result<(&Path, std::ffi::OsString), Error> {
    match (parent(destination), destination.file_name()) {
        (Some(parent), Some(name)) => {
            let mut prefix = std::ffi::OsString::from(".");
            prefix.push(name);
            prefix.push(".tarsia-");
            Ok((parent, prefix))
        }
        _ => Err(occupied(destination, "it names no file")),
    }
}

fn parent(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Gives everything below a directory the mode that outputs have whatever the umask: files 0644, directories 0755.
pub(crate) fn settle(directory: &Path) -> io::Result<()> {
    for (path, meta) in walk::below(directory)? {
        let mode = match (meta.is_dir(), meta.is_file()) {
            (true, _) => 0o755,
            (_, true) => 0o644,
            _ => continue,
        };
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Copies a file of the store to a new file at `to`, sharing its blocks where the file system can; returns the count
/// of bytes.
///
/// Never a hard link: an edit of the output would change the store.
pub fn export(file: &File, to: &Path) -> Result<u64, Error> {
    let failed = |source| Error::write("an output", to, source);
    let mut new = File::create_new(to).map_err(failed)?;
    if rustix::fs::ioctl_ficlone(&new, file).is_ok() {
        return new.metadata().map(|meta| meta.len()).map_err(failed);
    }
    let mut from = file;
    from.rewind().map_err(failed)?;
    // `copy_file_range` where the kernel has it.
    io::copy(&mut from, &mut new).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &Path) -> String {
        let mut lines: Vec<_> = walk::below(root)
            .unwrap()
            .into_iter()
            .map(|(path, meta)| {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                if meta.is_file() { format!("{name}: {}", fs::read_to_string(&path).unwrap()) } else { name + "/" }
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }

    fn layout(destination: &Path, text: &str) -> Result<Staging, Error> {
        let staging = Staging::directory(destination, OCI_LAYOUT)?;
        fs::write(staging.path().join("oci-layout"), text).unwrap();
        Ok(staging)
    }

    #[test]
    fn an_output_is_whole_or_what_stood_there_before() {
        let room = tempfile::tempdir().unwrap();
        let out = room.path().join("web.oci");
        drop(layout(&out, "dropped").unwrap());
        assert_eq!(tree(room.path()), "");
        layout(&out, "one").unwrap().commit().unwrap();
        drop(layout(&out, "dropped").unwrap());
        assert_eq!(tree(room.path()), "web.oci/\nweb.oci/oci-layout: one");
        layout(&out, "two").unwrap().commit().unwrap();
        assert_eq!(tree(room.path()), "web.oci/\nweb.oci/oci-layout: two");

        let file = room.path().join("web.tar");
        for text in ["three", "four"] {
            let staging = Staging::file(&file).unwrap();
            fs::write(staging.path(), text).unwrap();
            staging.commit().unwrap();
        }
        drop(Staging::file(&file).unwrap());
        assert_eq!(tree(room.path()), "web.oci/\nweb.oci/oci-layout: two\nweb.tar: four");
    }

    #[test]
    fn a_new_file_is_written_over_nothing_and_a_secret_is_its_owners() {
        let room = tempfile::tempdir().unwrap();
        for (name, secret, mode) in [("k", true, 0o600), ("p", false, 0o644)] {
            let path = room.path().join(name);
            Staging::new_file(&path, b"one", secret).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o22, mode);
            let error = Staging::new_file(&path, b"two", secret).unwrap_err();
            assert!(error.to_string().ends_with("something stands there already"), "{error}");
        }
        assert_eq!(tree(room.path()), "k: one\np: one");
    }

    #[test]
    fn names_are_replaced_in_two_steps_where_they_cannot_be_exchanged() {
        let room = tempfile::tempdir().unwrap();
        let out = room.path().join("web.oci");
        for text in ["one", "two"] {
            let Temporary::Directory(directory) = layout(&out, text).unwrap().temporary else { unreachable!() };
            let placed = replace(directory.path(), &out).unwrap();
            directory.placed(placed == Placed::Exchanged);
        }
        assert_eq!(tree(room.path()), "web.oci/\nweb.oci/oci-layout: two");
    }

    #[test]
    fn outputs_that_belong_together_stand_there_all_or_none() {
        let room = tempfile::tempdir().unwrap();
        let (out, file, new) = (room.path().join("web.oci"), room.path().join("web.tar"), room.path().join("new"));
        let made = |text: &str| {
            let staging = Staging::file(&file).unwrap();
            fs::write(staging.path(), text).unwrap();
            vec![layout(&new, text).unwrap(), staging, layout(&out, text).unwrap()]
        };
        commit_all(made("one")).unwrap();
        commit_all(made("two")).unwrap();
        let two = "new/\nnew/oci-layout: two\nweb.oci/\nweb.oci/oci-layout: two\nweb.tar: two";
        assert_eq!(tree(room.path()), two);
        // The last one cannot be put in its place.
        for there in [true, false] {
            let mut broken = made("three");
            broken[2].destination = room.path().join("none/web.oci");
            assert!(commit_all(broken).is_err());
            let expected = if there { two } else { "web.oci/\nweb.oci/oci-layout: two" };
            assert_eq!(tree(room.path()), expected);
            // Once more where nothing stood before.
            let _ = (fs::remove_dir_all(&new), fs::remove_file(&file));
        }
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let room = tempfile::tempdir().unwrap();
        let out = room.path().join("home");
        fs::create_dir(&out).unwrap();
        layout(&out, "into an empty one").unwrap().commit().unwrap();
        fs::write(out.join("thesis.txt"), "").unwrap();
        let error = layout(&out, "").unwrap_err();
        assert!(error.to_string().ends_with("a directory with `thesis.txt` in it stands there"), "{error}");
        fs::remove_file(out.join("thesis.txt")).unwrap();
        fs::rename(out.join("oci-layout"), out.join("blobs")).unwrap();
        let error = layout(&out, "").unwrap_err();
        assert!(error.to_string().ends_with("a directory without `oci-layout` stands there"), "{error}");
        assert!(Staging::file(&out).is_err());
        assert!(Staging::directory(Path::new("/"), OCI_LAYOUT).is_err());
    }

    #[test]
    fn an_export_shares_nothing_that_an_edit_could_reach() {
        let room = tempfile::tempdir().unwrap();
        let (from, to) = (room.path().join("from"), room.path().join("to"));
        fs::write(&from, "bytes").unwrap();
        assert_eq!(export(&File::open(&from).unwrap(), &to).unwrap(), 5);
        fs::write(&to, "edited").unwrap();
        assert_eq!(fs::read_to_string(&from).unwrap(), "bytes");
        assert!(export(&File::open(&from).unwrap(), &to).is_err(), "nothing is written over");
    }
}
