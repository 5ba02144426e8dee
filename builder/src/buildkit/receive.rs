//! Files from a daemon (fsutil's protocol, `moby.filesync.v1.FileSend`), made beneath one directory.
//!
//! A daemon names entries in order (STAT), the receiver asks for each file by its number (REQ), gets its bytes in
//! pieces (DATA, an empty one being the end), and says when it has all (FIN). Taken are directories and regular files
//! with names that are names, in strictly rising order, each below a directory named before; sizes and counts are held
//! against limits before anything is made, and files are new ones of an open directory that no link leads out of.
//! Modes, owners and times are not taken over.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};

use super::status::shown;

/// Files that are asked for at once: each is an open file here.
const ASKED: usize = 16;
/// The longest path, and the longest name in it.
const MAX_PATH: usize = 4096;
const MAX_NAME: usize = 255;
/// The most directories above a file.
const MAX_DEPTH: usize = 64;

/// Types of a file as Go writes them (`io/fs.FileMode`).
pub(super) const GO_DIRECTORY: u32 = 1 << 31;
const GO_TYPES: u32 = GO_DIRECTORY | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;

/// How much a daemon may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and directories.
    pub entries: u32,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 64 << 30 }
    }
}

/// What was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why files are not taken.
#[derive(Debug)]
pub(super) enum Problem {
    /// What the daemon sends is not wanted.
    Refused(String),
    /// A file cannot be made.
    File { doing: &'static str, path: PathBuf, source: io::Error },
}

impl Problem {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused(problem) => problem.clone(),
            Self::File { doing, path, source } => format!("cannot {doing} `{}`: {source}", path.display()),
        }
    }
}

/// A file that is being received.
struct Open {
    path: String,
    file: File,
    left: u64,
}

/// The receiving end: packets in, packets out.
pub(super) struct Receiver {
    directory: PathBuf,
    top: OwnedFd,
    limits: Limits,
    /// The number of the next entry.
    next: u32,
    /// The last entry's path.
    last: String,
    /// The directories that an entry can be in, the innermost last; the top is not among them.
    above: Vec<String>,
    /// All entries were named.
    named: bool,
    waiting: VecDeque<(u32, String, u64)>,
    open: BTreeMap<u32, Open>,
    promised: u64,
    received: Received,
    complete: bool,
}

impl Receiver {
    /// Returns a receiver that makes files beneath this directory, which is there.
    pub(super) fn new(directory: &Path, limits: Limits) -> Result<Self, Problem> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, directory, flags, Mode::empty()).map_err(|error| Problem::File {
            doing: "open",
            path: directory.to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            top,
            limits,
            next: 0,
            last: String::new(),
            above: Vec::new(),
            named: false,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            promised: 0,
            received: Received::default(),
            complete: false,
        })
    }

    /// Returns what came so far.
    pub(super) fn received(&self) -> Received {
        self.received
    }

    /// Returns whether all is there.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes a packet, and appends those to send.
    pub(super) fn packet(&mut self, packet: Packet, answers: &mut Vec<Packet>) -> Result<(), Problem> {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::PacketStat) => match packet.stat {
                Some(stat) => self.stat(stat)?,
                None if self.named => return Err(Problem::Refused("it ends its list twice".to_owned())),
                None => self.named = true,
            },
            Ok(PacketType::PacketData) => self.data(packet.id, &packet.data)?,
            Ok(PacketType::PacketErr) => {
                let text = String::from_utf8_lossy(&packet.data);
                return Err(Problem::Refused(format!("it cannot send them: {}", shown(&text, MAX_PATH))));
            }
            Ok(PacketType::PacketFin) if self.complete => return Ok(()),
            Ok(PacketType::PacketFin | PacketType::PacketReq) | Err(_) => {
                return Err(Problem::Refused("it sends what only a receiver sends".to_owned()));
            }
        }
        while self.open.len() < ASKED {
            let Some((number, path, size)) = self.waiting.pop_front() else { break };
            let file = self.create(&path)?;
            self.open.insert(number, Open { path, file, left: size });
            answers.push(Packet { r#type: PacketType::PacketReq as i32, id: number, ..Packet::default() });
        }
        if self.named && self.open.is_empty() && !self.complete {
            self.complete = true;
            answers.push(Packet { r#type: PacketType::PacketFin as i32, ..Packet::default() });
        }
        Ok(())
    }

    fn stat(&mut self, stat: Stat) -> Result<(), Problem> {
        let refused = |why: &str| Problem::Refused(format!("`{}` {why}", plain(&stat.path)));
        if self.named {
            return Err(refused("comes behind the end of its list"));
        }
        if self.next >= self.limits.entries {
            return Err(Problem::Refused(format!("it sends more than {} entries", self.limits.entries)));
        }
        let number = self.next;
        self.next += 1;
        self.place(&stat.path).map_err(refused)?;
        let directory = stat.mode & GO_TYPES == GO_DIRECTORY;
        if !directory && stat.mode & GO_TYPES != 0 {
            return Err(refused("is neither a directory nor a regular file"));
        }
        if !stat.linkname.is_empty() {
            return Err(refused("is a link"));
        }
        if directory {
            self.make(&stat.path)?;
            self.above.push(stat.path.clone());
        } else {
            let size = u64::try_from(stat.size).map_err(|_| refused("has a size below zero"))?;
            self.promised =
                self.promised.checked_add(size).filter(|all| *all <= self.limits.bytes).ok_or_else(|| {
                    Problem::Refused(format!(
                        "with `{}` it is more than {} bytes",
                        plain(&stat.path),
                        self.limits.bytes
                    ))
                })?;
            self.waiting.push_back((number, stat.path.clone(), size));
        }
        self.last = stat.path;
        Ok(())
    }

    /// Checks a path, and that it comes where it has to.
    fn place(&mut self, path: &str) -> Result<(), &'static str> {
        if path.is_empty() || path.len() > MAX_PATH {
            return Err("has no path, or one above 4096 bytes");
        }
        let names = || path.split('/');
        if names().any(|name| name.is_empty() || name == "." || name == ".." || name.len() > MAX_NAME) {
            return Err("is no path beneath a directory");
        }
        if path.contains(['\0', '\\']) {
            return Err("has a character that no path needs");
        }
        if names().count() > MAX_DEPTH {
            return Err("lies too deep");
        }
        if !self.last.is_empty() && self.last.split('/').cmp(names()) != std::cmp::Ordering::Less {
            return Err("is out of order");
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        while self.above.last().is_some_and(|known| known != parent) {
            self.above.pop();
        }
        if self.above.last().map_or("", String::as_str) != parent {
            return Err("is in a directory that was not named");
        }
        Ok(())
    }

    fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Problem> {
        let Some(open) = self.open.get_mut(&number) else {
            return Err(Problem::Refused(format!("it sends bytes of file {number}, which nobody asked for")));
        };
        if bytes.is_empty() {
            let open = self.open.remove(&number).expect("it is there");
            if open.left > 0 {
                return Err(Problem::Refused(format!("`{}` ends {} bytes early", plain(&open.path), open.left)));
            }
            self.received.files += 1;
            return Ok(());
        }
        open.left = open
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| Problem::Refused(format!("`{}` has more bytes than were told", plain(&open.path))))?;
        open.file.write_all(bytes).map_err(|source| Problem::File {
            doing: "write",
            path: self.directory.join(&open.path),
            source,
        })?;
        self.received.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes a directory.
    fn make(&self, path: &str) -> Result<(), Problem> {
        let made = self.parent(path).and_then(|(parent, name)| mkdirat(&parent, name, Mode::from_raw_mode(0o755)));
        made.map_err(|error| self.failed("make", path, error))
    }

    /// Makes a file.
    fn create(&self, path: &str) -> Result<File, Problem> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made =
            self.parent(path).and_then(|(parent, name)| openat(&parent, name, flags, Mode::from_raw_mode(0o644)));
        made.map(File::from).map_err(|error| self.failed("make", path, error))
    }

    /// Opens the directory that an entry is in, without following any link.
    fn parent<'a>(&self, path: &'a str) -> rustix::io::Result<(OwnedFd, &'a str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok((openat2(&self.top, parent, flags, Mode::empty(), resolve)?, name))
    }

    fn failed(&self, doing: &'static str, path: &str, error: rustix::io::Errno) -> Problem {
        Problem::File { doing, path: self.directory.join(path), source: error.into() }
    }
}

fn plain(path: &str) -> String {
    shown(path, MAX_NAME)
}

#[cfg(test)]
mod tests;
