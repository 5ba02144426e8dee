//! Temporary files and directories that no end of the process leaves behind.
//!
//! Each is listed from before it exists until it is gone or in its place, so that [`abandon`] can remove them all when
//! a signal ends the process. What ends the process without a word (`SIGKILL`, a crash of the machine) leaves them;
//! they are swept away later, by the next writer of the same output or by `gc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// What this process would leave behind.
struct Live {
    /// Whether [`abandon`] has been called.
    closed: bool,
    paths: BTreeSet<PathBuf>,
    children: BTreeSet<u32>,
    /// Processes that are killed, by a number of our own.
    processes: BTreeMap<u64, OwnedFd>,
}

static LIVE: Mutex<Live> =
    Mutex::new(Live { closed: false, paths: BTreeSet::new(), children: BTreeSet::new(), processes: BTreeMap::new() });

/// How often the removal of a directory that others still write to is tried.
const TRIES: usize = 20;

/// Removes every temporary file and directory of this process and ends its children, for a process that is about to
/// end.
///
/// From then on nothing is put in its place any more: whoever would make, place or remove such a file waits for ever,
/// and so does [`proceed`]. The caller must end the process.
pub fn abandon() {
    let (paths, children, processes) = {
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        live.closed = true;
        let Live { paths, children, processes, .. } = &mut *live;
        (std::mem::take(paths), std::mem::take(children), std::mem::take(processes))
    };
    for process in processes.values() {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
    for child in children {
        if let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) {
            // One that has ended needs no end.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    for path in paths {
        for _ in 0..TRIES {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                // A thread that still runs may have added a file.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
    }
}

/// Returns at once, or never where [`abandon`] has been called: to be asked before an outcome is told, which would be
/// that of a process whose files were taken away.
pub fn proceed() {
    drop(live());
}

/// Runs `work`, renames of files that belong together, as if in one instant: a signal comes before it or behind it.
pub(super) fn together<T>(work: impl FnOnce() -> T) -> T {
    let _live = live();
    work()
}

/// Locks the list; waits for ever where the process is about to end.
fn live() -> MutexGuard<'static, Live> {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    if !live.closed {
        return live;
    }
    drop(live);
    loop {
        std::thread::park();
    }
}

/// A listed path; off the list when dropped.
#[derive(Debug)]
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        live().paths.remove(&self.0);
    }
}

/// Makes a temporary path with `make`, listed before anybody else can see the list without it.
fn listed<T>(make: impl FnOnce() -> io::Result<T>, path: impl FnOnce(&T) -> &Path) -> io::Result<(T, Listed)> {
    let mut live = live();
    let made = make()?;
    let path = path(&made).to_owned();
    live.paths.insert(path.clone());
    Ok((made, Listed(path)))
}

/// A named temporary file, removed when dropped.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    file: tempfile::NamedTempFile,
    // After the file: listed until that is gone.
    _listed: Listed,
}

impl TemporaryFile {
    pub(super) fn new(builder: &tempfile::Builder<'_, '_>, directory: &Path) -> io::Result<Self> {
        let (file, listed) = listed(|| builder.tempfile_in(directory), |file| file.path())?;
        Ok(Self { file, _listed: listed })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Lets go of the file, which stands in its place now; what was put at its path instead, if anything, is removed.
    pub(super) fn placed(self, left: bool) {
        let Self { file, _listed: listed } = self;
        if !left {
            // Nothing stands at the path any more.
            let _ = file.keep();
        } else {
            drop(file);
        }
        drop(listed);
    }

    /// Renames the file to `path`, in place of what stands there.
    pub(super) fn persist(self, path: &Path) -> io::Result<File> {
        let Self { file, _listed: listed } = self;
        let placed = {
            let _live = live();
            file.persist(path)
        };
        drop(listed);
        placed.map_err(|error| error.error)
    }
}

impl TemporaryFile {
    /// Renames the file to `path`, where nothing may stand.
    pub(super) fn persist_new(self, path: &Path) -> io::Result<File> {
        let Self { file, _listed: listed } = self;
        let placed = {
            let _live = live();
            file.persist_noclobber(path)
        };
        drop(listed);
        placed.map_err(|error| error.error)
    }
}

impl Read for TemporaryFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.as_file_mut().read(buffer)
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl Seek for TemporaryFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.as_file_mut().seek(to)
    }
}

/// A temporary directory, removed with all that is in it when dropped.
#[derive(Debug)]
pub struct TemporaryDirectory {
    directory: tempfile::TempDir,
    // After the directory: listed until that is gone.
    _listed: Listed,
}

impl TemporaryDirectory {
    pub(super) fn new(builder: &tempfile::Builder<'_, '_>, directory: &Path) -> io::Result<Self> {
        let (directory, listed) = listed(|| builder.tempdir_in(directory), |made| made.path())?;
        Ok(Self { directory, _listed: listed })
    }

    /// Makes one, which the user alone may enter, inside `directory`; its name begins with `prefix`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn beneath(directory: &Path, prefix: &str) -> io::Result<Self> {
        Self::new(tempfile::Builder::new().prefix(prefix), directory)
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Lets go of the directory, which stands in its place now; what was put at its path instead, if anything, is
    /// removed. What is left of that does not make the new one wrong.
    pub(super) fn placed(self, left: bool) {
        let Self { directory, _listed: listed } = self;
        if left {
            let _ = directory.close();
        } else {
            let _gone = directory.keep();
        }
        drop(listed);
    }
}

/// A child process that does not outlive a signal to this one; named by its id.
#[derive(Debug)]
pub struct ListedChild(u32);

impl ListedChild {
    /// Starts a child with `start`, and lists it.
    ///
    /// # Errors
    /// What `start` met.
    pub fn start(start: impl FnOnce() -> io::Result<std::process::Child>) -> io::Result<(Self, std::process::Child)> {
        let mut live = live();
        let child = start()?;
        live.children.insert(child.id());
        Ok((Self(child.id()), child))
    }
}

impl Drop for ListedChild {
    fn drop(&mut self) {
        live().children.remove(&self.0);
    }
}

/// A process, no child of this one, that is killed where a signal ends this one: the first of a container, with which all
/// others in it end.
#[derive(Debug)]
pub struct ListedProcess(u64);

impl ListedProcess {
    /// Lists the process of that number, which the caller knows to be there.
    ///
    /// # Errors
    /// There is no such process any more.
    pub fn of(id: u32) -> io::Result<Self> {
        let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let mut live = live();
        let process = pidfd_open(id, PidfdFlags::empty())?;
        let number = live.processes.last_key_value().map_or(0, |(last, _)| last + 1);
        live.processes.insert(number, process);
        Ok(Self(number))
    }

    /// Kills it; one that has ended needs no end.
    pub fn kill(&self) {
        if let Some(process) = live().processes.get(&self.0) {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

impl Drop for ListedProcess {
    fn drop(&mut self) {
        live().processes.remove(&self.0);
    }
}
