//! One run of a container: starting it, waiting for it, speaking to it, ending it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::bundle::Prepared;
use super::{Bundle, Error, Kind};
use crate::store::temporary::{ListedChild, ListedProcess};

/// The most bytes kept of each of what a run writes and what its port answers: the beginning.
const MAX_OUTPUT: usize = 4 << 20;
/// The most bytes kept of what a runtime says itself.
const MAX_SAID: usize = 4 << 10;
/// How often something is looked at that tells nobody when it happens.
const TICK: Duration = Duration::from_millis(20);
/// How long a program has after it was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What is run.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The program with its arguments ([`Bundle::arguments`]).
    pub arguments: Vec<String>,
    /// Variables over the image's own.
    pub env: &'a BTreeMap<String, String>,
    /// What it reads from standard input; without it, nothing.
    pub stdin: Option<&'a str>,
    /// How long it may take.
    pub timeout: Duration,
    /// A port that it is to listen on, and what is asked there; then it is stopped.
    pub listening: Option<Listening<'a>>,
}

/// What is asked of a program that listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening<'a> {
    /// TCP port of the container's loopback.
    pub port: u16,
    /// What is sent.
    pub send: Option<&'a str>,
    /// What is waited for in the answer.
    pub until: &'a [String],
}

/// How a run went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit status; 128 and the signal's number where one ended it. `None` where it never started.
    pub exit: Option<i32>,
    /// Why it never started, in the runtime's words.
    pub refused: Option<String>,
    /// It was ended because its time was over.
    pub timed_out: bool,
    /// What it wrote to standard output, up to 4 MiB.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, up to 4 MiB.
    pub stderr: Vec<u8>,
    /// What came back from its port; `None` where nobody listened there.
    pub answer: Option<Vec<u8>>,
}

impl Bundle {
    /// Runs `job` in a container of its own.
    ///
    /// # Errors
    /// The runtime cannot make containers here. A program that is not there or fails is a [`Ran`].
    pub fn run(&self, job: &Job<'_>) -> Result<Ran, Error> {
        let prepared = self.prepare(&job.arguments, job.env)?;
        let mut command = match self.runtime.kind {
            Kind::Podman => self.podman(job, &prepared),
            Kind::Runc | Kind::Crun => {
                let mut command = self.runtime_command(&prepared);
                command.arg("run").arg("--bundle").arg(&prepared.directory);
                command.arg("--pid-file").arg(prepared.directory.join("pid")).arg(&prepared.id);
                command
            }
        };
        let (listed, mut child, output) = self.start(&mut command, job.stdin)?;
        let mut container = Container::new(self, &prepared, child.id());
        let ended = waiting(move || child.wait());
        let mut ran = Ran::default();
        let status = container.attend(&ended, job, &mut ran);
        drop(container);
        drop(listed);
        let status = status?.map_err(|source| Error::Program { program: self.runtime.program.clone(), source })?;
        (ran.stdout, ran.stderr) = output.end();
        ran.exit = Some(code(status));
        self.judge(&prepared, status, &mut ran)?;
        Ok(ran)
    }

    /// Returns the runtime, told where its own state is and where it writes what goes wrong.
    pub(super) fn runtime_command(&self, prepared: &Prepared) -> Command {
        let mut command = self.command();
        if self.runtime.kind == Kind::Crun {
            // runc finds out by itself whether it may write to them.
            command.arg("--cgroup-manager=disabled");
        }
        command.arg("--root").arg(self.state());
        command.arg("--log").arg(prepared.directory.join("log"));
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.runtime.program);
        command.current_dir(self.root()).env_clear();
        command.envs(self.machine.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Returns podman, told all that a bundle's config says to the others.
    fn podman(&self, job: &Job<'_>, prepared: &Prepared) -> Command {
        let mut command = self.command();
        command.arg("--root").arg(self.state().join("root")).arg("--runroot").arg(self.state().join("run"));
        // systemd need not be there.
        command.args(["--cgroup-manager", "cgroupfs"]);
        command.args(["--storage-driver", "vfs", "--log-level", "error", "run", "--rm", "--quiet"]);
        command.args(["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--network", "none"]);
        command.args(["--security-opt", "no-new-privileges", "--log-driver", "none"]);
        command.args(["--tmpfs", "/tmp:rw,nosuid,nodev,mode=1777", "--name", &prepared.id]);
        if job.stdin.is_some() {
            command.arg("--interactive");
        }
        for (flag, lines) in self.maps() {
            for (inside, outside, size) in lines {
                command.args([flag, &format!("{inside}:{outside}:{size}")]);
            }
        }
        command.arg("--user").arg(self.user_text()).arg("--workdir").arg(self.workdir());
        for line in self.environment(job.env) {
            command.arg("--env").arg(line);
        }
        for (from, to) in &prepared.mounts {
            command.arg("--volume").arg(format!("{}:{to}:rw,nosuid,nodev", from.display()));
        }
        command.arg("--pidfile").arg(prepared.directory.join("pid"));
        let (program, rest) = job.arguments.split_first().expect("a job names a program");
        command.arg("--entrypoint").arg(program).arg("--rootfs").arg(self.root()).args(rest);
        command
    }

    /// Starts a program with its input written and its output read by threads of their own.
    pub(super) fn start(
        &self,
        command: &mut Command,
        stdin: Option<&str>,
    ) -> Result<(ListedChild, Child, Output), Error> {
        let failed = |source| Error::Program { program: self.runtime.program.clone(), source };
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (listed, mut child) = ListedChild::start(|| command.spawn()).map_err(failed)?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), stdin) {
            let text = text.to_owned();
            // A program that does not read to the end is its own affair.
            std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
        }
        let output = Output { stdout: reading(child.stdout.take()), stderr: reading(child.stderr.take()) };
        Ok((listed, child, output))
    }

    /// Tells a program that failed from one that the runtime could not start, and that from a runtime that cannot work.
    pub(super) fn judge(&self, prepared: &Prepared, status: ExitStatus, ran: &mut Ran) -> Result<(), Error> {
        if status.success() {
            return Ok(());
        }
        let said = match self.runtime.kind {
            // podman says by its status whether the program or podman itself failed, and then why.
            Kind::Podman if matches!(status.code(), Some(125..=127)) => tail(&ran.stderr),
            Kind::Podman => return Ok(()),
            Kind::Runc | Kind::Crun => {
                let log = fs::read(prepared.directory.join("log")).unwrap_or_default();
                let log = String::from_utf8_lossy(&log).into_owned();
                let errors = log.lines().filter(|line| self.runtime.kind == Kind::Crun || line.contains("level=error"));
                let Some(last) = errors.last() else { return Ok(()) };
                message(last)
            }
        };
        let about_program = ["exec: ", "exec `", "executable file", "exec format", "cannot invoke", "chdir to cwd"];
        if about_program.iter().any(|part| said.contains(part)) || status.code() == Some(127) {
            (ran.exit, ran.refused) = (None, Some(said));
            // It wrote the same there.
            ran.stderr.clear();
            return Ok(());
        }
        Err(Error::Runtime { runtime: self.runtime.kind.as_str().to_owned(), said })
    }
}

/// Returns what a line of a log says, of logrus' `time=… level=error msg="…"`.
fn message(line: &str) -> String {
    let Some((_, message)) = line.split_once("msg=") else { return line.trim().to_owned() };
    let message = message.trim().trim_matches('"').replace("\\\"", "\"");
    // Which of its steps failed says nothing of the program.
    let reason = message.split_once("unable to start container process: ").map(|(_, reason)| reason.to_owned());
    reason.unwrap_or(message)
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MAX_SAID)..]).trim().to_owned()
}

/// Returns an exit status as shells tell it.
pub(super) fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Waits on a thread of its own.
pub(super) fn waiting<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (send, receive) = channel();
    std::thread::spawn(move || drop(send.send(wait())));
    receive
}

/// What is being written by a run.
pub(super) struct Output {
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Output {
    /// Returns all of it, once nobody has the pipes open any more.
    pub(super) fn end(self) -> (Vec<u8>, Vec<u8>) {
        let all =
            |thread: Option<JoinHandle<Vec<u8>>>| thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
        (all(self.stdout), all(self.stderr))
    }
}

fn reading(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match pipe.read(&mut piece) {
                Ok(0) => return kept,
                Ok(count) => kept.extend_from_slice(&piece[..count.min(MAX_OUTPUT - kept.len())]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return kept,
            }
        }
    }))
}

/// A container that runs; it is killed where this is dropped early.
pub(super) struct Container<'a> {
    bundle: &'a Bundle,
    prepared: &'a Prepared,
    /// Its first process.
    process: Option<(u32, ListedProcess)>,
    /// The program of this machine that waits for it.
    outside: Option<ListedProcess>,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // What has ended already does not mind.
        if let Some((_, process)) = &self.process {
            process.kill();
        }
    }
}

impl<'a> Container<'a> {
    /// Returns a container that `outside`, a child of this process, waits for.
    pub(super) fn new(bundle: &'a Bundle, prepared: &'a Prepared, outside: u32) -> Self {
        Self { bundle, prepared, process: None, outside: ListedProcess::of(outside).ok() }
    }

    /// Returns the number of its first process.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(|(id, _)| *id)
    }

    /// Waits for the end, speaks to the port where that is asked, and ends what takes too long. Returns what `ended`
    /// tells.
    pub(super) fn attend<T>(&mut self, ended: &Receiver<T>, job: &Job<'_>, ran: &mut Ran) -> Result<T, Error> {
        let mut left = job.timeout;
        loop {
            match ended.recv_timeout(TICK.min(left)) {
                Ok(status) => return Ok(status),
                Err(RecvTimeoutError::Disconnected) => unreachable!("whoever waits says when it is over"),
                Err(RecvTimeoutError::Timeout) => left = left.saturating_sub(TICK),
            }
            self.find();
            if let Some(listening) = job.listening
                && let Some((id, _)) = &self.process
                && let Some(stream) = connect(*id, listening.port)?
            {
                ran.answer = Some(speak(stream, listening, left));
                return Ok(self.stop(ended));
            }
            if left.is_zero() {
                ran.timed_out = true;
                return Ok(self.stop(ended));
            }
        }
    }

    /// Looks for the first process of the container, until it is found.
    pub(super) fn find(&mut self) {
        if self.process.is_some() {
            return;
        }
        let pid = fs::read_to_string(self.prepared.directory.join("pid")).ok();
        let Some(id) = pid.and_then(|text| text.trim().parse::<u32>().ok()) else { return };
        let Ok(process) = ListedProcess::of(id) else { return };
        // The first of a namespace of its own: the number has not gone to somebody else.
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let spaces = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        if spaces.is_some_and(|ids| ids.split_whitespace().count() > 1 && ids.split_whitespace().last() == Some("1")) {
            self.process = Some((id, process));
        }
    }

    /// Asks the program to stop, ends it where it does not, and returns what `ended` tells.
    fn stop<T>(&mut self, ended: &Receiver<T>) -> T {
        let Self { bundle, prepared, .. } = self;
        let mut command = if bundle.runtime.kind == Kind::Podman {
            let mut command = bundle.command();
            let state = bundle.state();
            command.arg("--root").arg(state.join("root")).arg("--runroot").arg(state.join("run"));
            command.args(["--storage-driver", "vfs", "kill", "--signal", bundle.stop_signal(), &prepared.id]);
            command
        } else {
            let mut command = bundle.runtime_command(prepared);
            command.args(["kill", &prepared.id, bundle.stop_signal()]);
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let asked = command.status().is_ok_and(|status| status.success());
        let grace = if asked { GRACE } else { Duration::ZERO };
        if let Ok(status) = ended.recv_timeout(grace) {
            return status;
        }
        self.find();
        if let Some((_, process)) = &self.process {
            process.kill();
        }
        // Where even that ends nothing, the one who waits is ended.
        if let Ok(status) = ended.recv_timeout(GRACE) {
            return status;
        }
        if let Some(outside) = &self.outside {
            outside.kill();
        }
        ended.recv().expect("whoever waits says when it is over")
    }
}

/// Connects to a port of the loopback that a process has; `None` while nobody listens there.
fn connect(process: u32, port: u16) -> Result<Option<TcpStream>, Error> {
    let failed = |source: io::Error| Error::Network { port, source };
    let Ok(network) = fs::File::open(Path::new("/proc").join(process.to_string()).join("ns/net")) else {
        return Ok(None);
    };
    // A thread's namespace ends with the thread; what is opened in it stays.
    let connect = std::thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        Ok::<_, io::Error>(TcpStream::connect(&addresses[..]).ok())
    });
    connect.join().expect("connecting does not panic").map_err(failed)
}

/// Sends what is to be sent, and returns what comes back: until all is there that is waited for, or the other side ends,
/// or the time is over.
fn speak(mut stream: TcpStream, listening: Listening<'_>, left: Duration) -> Vec<u8> {
    const WAIT: Duration = Duration::from_millis(100);
    // Whoever answers drop by drop has no more time than others.
    let deadline = Instant::now() + left;
    let mut answer = Vec::new();
    if stream.set_read_timeout(Some(WAIT)).is_err() || stream.set_write_timeout(Some(GRACE)).is_err() {
        return answer;
    }
    if stream.write_all(listening.send.unwrap_or_default().as_bytes()).is_err() {
        return answer;
    }
    let mut piece = [0; 4096];
    let whole =
        |answer: &[u8]| listening.until.iter().all(|text| memchr::memmem::find(answer, text.as_bytes()).is_some());
    while !whole(&answer) && Instant::now() < deadline && answer.len() < MAX_OUTPUT {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => break,
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_drop_by_drop_ends_with_the_time() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let drops = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            while peer.write_all(b".").is_ok() {
                std::thread::sleep(TICK);
            }
        });
        let until = ["never".to_owned()];
        let listening = Listening { port: address.port(), send: None, until: &until };
        let answer = speak(TcpStream::connect(address).unwrap(), listening, TICK * 10);
        assert!(!answer.is_empty() && answer.iter().all(|byte| *byte == b'.'));
        drops.join().unwrap();
    }
}
