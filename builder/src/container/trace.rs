//! What a run asks for and does not find, as `strace` sees it.
//!
//! The container is made, held before its program starts, and traced from there: nothing of the runtime is in the
//! trace, and the tracer stands outside, so that no capability is needed inside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::run::{Container, waiting};
use super::{Bundle, Error, Job, Ran};
use crate::store::temporary::ListedChild;

/// System calls that ask for a file by its name.
const CALLS: &str = "trace=?open,openat,?openat2,?stat,?lstat,?newfstatat,?statx,?access,?faccessat,?faccessat2,\
                     ?readlink,?readlinkat,execve,?execveat,chdir,fchdir,?mkdir,?mkdirat,?clone,?clone3,?fork,?vfork";
/// The most bytes of a trace that are read.
const MAX_TRACE: u64 = 1 << 30;
/// The longest line that is read as one.
const MAX_LINE: usize = 64 << 10;
/// The most paths that are kept of what was asked for, and of what was found.
const MAX_PATHS: usize = 200_000;

/// How a path was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// To be run.
    Run,
    /// To be read.
    Open,
    /// Whether it is there.
    Look,
    /// As the directory that something is to be made in.
    Make,
}

/// What a traced run asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traced {
    /// How it went.
    pub ran: Ran,
    /// What was not there, by absolute path as the program said it, and how it was asked for.
    pub absent: BTreeMap<String, BTreeSet<Asked>>,
    /// What was there.
    pub found: BTreeSet<String>,
    /// There was more than is kept.
    pub cut: bool,
}

impl Bundle {
    /// Runs `job` under a tracer. What it is asked at its port stays unasked; a run whose time is over is stopped as a
    /// service is.
    ///
    /// # Errors
    /// No tracer, or one that may not trace; a runtime that cannot make containers here.
    pub fn trace(&self, job: &Job<'_>) -> Result<Traced, Error> {
        let strace = self.machine.program("strace").ok_or(Error::NoTracer)?;
        let prepared = self.prepare(&job.arguments, job.env)?;
        let mut create = self.runtime_command(&prepared);
        create.arg("create").arg("--bundle").arg(&prepared.directory);
        create.arg("--pid-file").arg(prepared.directory.join("pid")).arg(&prepared.id);
        let failed = |source| Error::Program { program: self.runtime.program.clone(), source };
        let (listed, mut child, output) = self.start(&mut create, job.stdin)?;
        let status = child.wait().map_err(failed)?;
        drop(listed);
        let mut traced = Traced::default();
        if !status.success() {
            (traced.ran.stdout, traced.ran.stderr) = output.end();
            self.judge(&prepared, status, &mut traced.ran)?;
            return Ok(traced);
        }
        let mut container = Container::new(self, &prepared, child.id());
        container.find();
        let id = container.id().ok_or_else(|| Error::Tracer { said: "the container has no process".to_owned() })?;

        let trace = prepared.directory.join("trace");
        let mut command = Command::new(&strace);
        command.args(["-f", "-q", "-y", "--pidns-translation", "-e", CALLS, "-e", "signal=none", "-o"]).arg(&trace);
        command.arg("-p").arg(id.to_string());
        command.env_clear().envs(self.machine.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let failed = |source| Error::Program { program: strace.clone(), source };
        let (tracer, mut strace_child) = ListedChild::start(|| command.spawn()).map_err(failed)?;
        let said = strace_child.stderr.take();
        let ended = waiting(move || strace_child.wait());
        let attached = (0..500).any(|_| {
            is_traced(id) || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
        });
        if !attached {
            drop(container);
            let mut text = String::new();
            if let Some(said) = said {
                // It may say nothing, and what it says is only shown.
                let _ = said.take(4096).read_to_string(&mut text);
            }
            return Err(Error::Tracer { said: text.trim().to_owned() });
        }
        let mut start = self.runtime_command(&prepared);
        let started = start.args(["start", &prepared.id]).stdin(Stdio::null()).output().map_err(failed)?;
        if !started.status.success() {
            self.judge(&prepared, started.status, &mut traced.ran)?;
        }
        let whole = container.attend(&ended, job, &mut traced.ran)?.map_err(failed);
        drop(container);
        drop(tracer);
        whole?;
        (traced.ran.stdout, traced.ran.stderr) = output.end();
        let mut delete = self.runtime_command(&prepared);
        delete.args(["delete", "--force", &prepared.id]).stdin(Stdio::null());
        // All of it is gone with the bundle anyway, but for what it may have left in control groups.
        let _ = delete.output();
        let file = File::open(&trace).map_err(|source| Error::Prepare { path: trace.clone(), source })?;
        let mut reader = Reader::new(id, self.workdir());
        let mut lines = BufReader::new(file.take(MAX_TRACE));
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line);
            match read.map_err(|source| Error::Prepare { path: trace.clone(), source })? {
                0 => break,
                _ => reader.line(&String::from_utf8_lossy(&line)),
            }
        }
        if traced.ran.refused.is_none() {
            traced.ran.exit = reader.exit;
        }
        Ok(Traced { absent: reader.absent, found: reader.found, cut: reader.cut, ..traced })
    }
}

/// Returns whether every thread of a process has a tracer.
fn is_traced(id: u32) -> bool {
    #[expect(clippy::disallowed_methods, reason = "all are asked, in whatever order")]
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return false };
    let mut threads = threads.filter_map(Result::ok).peekable();
    threads.peek().is_some()
        && threads.all(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
            tracer.is_some_and(|tracer| tracer.trim() != "0")
        })
}

/// Reads the lines of `strace -f -y`.
#[derive(Debug, Default)]
struct Reader {
    /// The first process.
    first: u32,
    start: String,
    /// Whether the program itself has been started; what the runtime does before is not its own.
    begun: bool,
    directories: BTreeMap<u32, String>,
    /// Calls that have begun, by thread.
    open: BTreeMap<u32, String>,
    absent: BTreeMap<String, BTreeSet<Asked>>,
    found: BTreeSet<String>,
    exit: Option<i32>,
    cut: bool,
}

impl Reader {
    fn new(first: u32, directory: &str) -> Self {
        Self { first, start: directory.to_owned(), ..Self::default() }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        let Some((id, rest)) = line.split_once(' ') else { return };
        let Ok(id) = id.parse::<u32>() else { return };
        let rest = rest.trim_start();
        if let Some(ended) = rest.strip_prefix("+++ ") {
            if id == self.first {
                self.exit = exit(ended);
            }
            return;
        }
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            self.open.insert(id, begun.trim_end().to_owned());
            return;
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(begun) = self.open.remove(&id) else { return };
            let Some((_, tail)) = resumed.split_once("resumed>") else { return };
            self.call(id, &format!("{begun}{tail}"));
            return;
        }
        self.call(id, rest);
    }

    fn call(&mut self, id: u32, text: &str) {
        let (Some((name, rest)), Some((_, result))) = (text.split_once('('), text.rsplit_once(" = ")) else { return };
        let ok = !result.starts_with("-1") && !result.starts_with('?');
        if !self.begun {
            // A thread of the runtime's may be the one that becomes the program.
            self.begun = name.starts_with("execve") && ok;
            return;
        }
        if matches!(name, "clone" | "clone3" | "fork" | "vfork") {
            // `9 /* 3471 in strace's PID NS */`: inside and outside.
            let outside = result.split_once("/* ").map_or(result, |(_, outside)| outside);
            if let (true, Some(child)) = (ok, outside.split_whitespace().next().and_then(|id| id.parse().ok())) {
                let here = self.directory(id).to_owned();
                self.directories.insert(child, here);
            }
            return;
        }
        let Some(path) = self.path(id, rest) else { return };
        match name {
            "chdir" | "fchdir" if ok => {
                self.directories.insert(id, path);
                return;
            }
            _ => {}
        }
        if ok {
            if self.found.len() < MAX_PATHS {
                self.found.insert(path);
            } else {
                self.cut = true;
            }
            return;
        }
        let asked = match name {
            "execve" | "execveat" => Asked::Run,
            "mkdir" | "mkdirat" => Asked::Make,
            "open" | "openat" | "openat2" if rest.contains("O_CREAT") => Asked::Make,
            "open" | "openat" | "openat2" => Asked::Open,
            _ => Asked::Look,
        };
        if !(result.contains("ENOENT") || result.contains("ENOTDIR")) {
            return;
        }
        let path = match asked {
            Asked::Make => path.rsplit_once('/').map_or_else(|| path.clone(), |(parent, _)| parent.to_owned()),
            _ => path,
        };
        if self.absent.len() < MAX_PATHS {
            self.absent.entry(path).or_default().insert(asked);
        } else {
            self.cut = true;
        }
    }

    fn directory(&self, id: u32) -> &str {
        self.directories.get(&id).map_or(&self.start, String::as_str)
    }

    /// Returns the absolute path that a call names first: after an open directory, as `-y` shows it, or by itself; of a
    /// descriptor alone, its path.
    fn path(&self, id: u32, arguments: &str) -> Option<String> {
        let (directory, rest) = match arguments.split_once('>') {
            Some((head, rest)) if !head.starts_with('"') && !head.contains('"') => {
                (Some(head.split_once('<')?.1.to_owned()), rest.trim_start_matches([',', ' ']))
            }
            _ => (None, arguments),
        };
        let Some(text) = rest.strip_prefix('"') else { return directory.filter(|path| path.starts_with('/')) };
        let name = unquoted(text)?;
        if name.starts_with('/') {
            return Some(name);
        }
        if name.is_empty() {
            return None;
        }
        let directory = directory.unwrap_or_else(|| self.directory(id).to_owned());
        Some(format!("{}/{name}", directory.trim_end_matches('/')))
    }
}

/// Returns the text up to the closing quote, without strace's escapes (octal, and C's); `None` for what is no UTF-8 or
/// was cut.
fn unquoted(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().peekable();
    loop {
        match rest.next()? {
            b'"' => break,
            b'\\' => match rest.next()? {
                first @ b'0'..=b'7' => {
                    let mut value = u32::from(first - b'0');
                    for _ in 0..2 {
                        let Some(digit) = rest.next_if(|byte| (b'0'..=b'7').contains(byte)) else { break };
                        value = value * 8 + u32::from(digit - b'0');
                    }
                    bytes.push(u8::try_from(value).ok()?);
                }
                b'n' => bytes.push(b'\n'),
                b't' => bytes.push(b'\t'),
                b'r' => bytes.push(b'\r'),
                b'v' => bytes.push(0x0b),
                b'f' => bytes.push(0x0c),
                other => bytes.push(other),
            },
            byte => bytes.push(byte),
        }
    }
    (!rest.collect::<Vec<_>>().starts_with(b"...")).then(|| String::from_utf8(bytes).ok())?
}

/// Returns the status of `exited with 3 +++` and `killed by SIGKILL +++`.
fn exit(text: &str) -> Option<i32> {
    if let Some(rest) = text.strip_prefix("exited with ") {
        return rest.split_whitespace().next()?.parse().ok();
    }
    let name = text.strip_prefix("killed by ")?.split_whitespace().next()?;
    let number = match name {
        "SIGHUP" => 1,
        "SIGINT" => 2,
        "SIGQUIT" => 3,
        "SIGILL" => 4,
        "SIGABRT" => 6,
        "SIGBUS" => 7,
        "SIGFPE" => 8,
        "SIGKILL" => 9,
        "SIGSEGV" => 11,
        "SIGPIPE" => 13,
        "SIGTERM" => 15,
        _ => return None,
    };
    Some(super::run::code(ExitStatus::from_raw(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_what_was_asked_for_and_not_there() {
        let trace = r#"
7 openat(AT_FDCWD</>, "/etc/before", O_RDONLY) = -1 ENOENT (No such file or directory)
7 execve("/usr/bin/app", ["/usr/bin/app"], 0xc0 /* 2 vars */ <unfinished ...>
8 openat(AT_FDCWD</>, "/etc/too", O_RDONLY) = -1 ENOENT (No such file or directory)
7 <... execve resumed>)             = 0
7 access("/etc/ld.so.preload", R_OK) = -1 ENOENT (No such file or directory)
7 openat(AT_FDCWD</srv>, "data/x", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
7 openat(5</usr/share/a>, "b", O_RDONLY) = 6</usr/share/a/b>
7 open("log/new", O_WRONLY|O_CREAT, 0666) = -1 ENOENT (No such file or directory)
7 chdir("/var") = 0
7 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 2 /* 9 in strace's PID NS */
9 stat("lib", 0x7ffe) = -1 ENOENT (No such file or directory)
9 execve("/usr/bin/\303\250\"", ["x"], 0x7ffe /* 1 var */) = -1 ENOENT (No such file or directory)
9 readlink("/etc/secret", 0x7f, 4096) = -1 EACCES (Permission denied)
9 +++ exited with 127 +++
7 +++ killed by SIGTERM +++
"#;
        let mut reader = Reader::new(7, "/home");
        trace.lines().for_each(|line| reader.line(line));
        let absent: Vec<_> =
            reader.absent.iter().map(|(path, how)| (path.as_str(), how.first().copied().unwrap())).collect();
        assert_eq!(
            absent,
            [
                ("/etc/ld.so.preload", Asked::Look),
                ("/home/log", Asked::Make),
                ("/srv/data/x", Asked::Open),
                ("/usr/bin/è\"", Asked::Run),
                ("/var/lib", Asked::Look),
            ]
        );
        assert_eq!(reader.found.into_iter().collect::<Vec<_>>(), ["/usr/share/a/b"]);
        assert_eq!(reader.exit, Some(143));
    }

    #[test]
    fn hostile_lines_are_nothing() {
        let mut reader = Reader::new(1, "/");
        reader.begun = true;
        for line in [
            "",
            "x",
            "1",
            "1 (",
            "1 open(",
            "1 open(\"",
            "1 open(\"a\\",
            "1 <... open resumed>",
            "1 open(\"a\"... = 1",
            "1 = ",
            "1 openat(>\"x\") = -1 ENOENT",
        ] {
            reader.line(line);
        }
        assert!(reader.absent.is_empty(), "{:?}", reader.absent);
    }
}
