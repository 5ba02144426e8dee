//! A daemon, and solves on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{self as wire, control_client::ControlClient};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::connect::{Heard, connect, unreachable};
use super::gateway::{definition, platform_text};
use super::receive::{Limits, Problem, Received, Receiver};
use super::session::{Inbox, Login, Session, lock};
use super::status::{Event, Progress, Vertex, shown};
use super::{Address, Cache, Error, Tls, Unreachable};
use crate::diag::causes;
use crate::digest::Digest;

/// The most bytes of one message of a daemon.
const MAX_MESSAGE: usize = 16 << 20;
/// How often is looked whether anything goes on.
const TICK: Duration = Duration::from_millis(500);
/// The longest wait for what is still to be told once a solve ended, and once a session did.
const REST: Duration = Duration::from_secs(5);
/// The pause before a daemon is asked again for the progress of a solve that it does not know yet.
const AGAIN: Duration = Duration::from_millis(200);
/// The most characters of a message that are kept.
const MAX_TEXT: usize = 16 << 10;
/// Messages that wait.
const TOLD: usize = 64;

/// How a daemon is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How both sides of a TCP connection prove who they are.
    pub tls: Tls,
    /// Logins for registries that a daemon may ask for, by host: it gets no other.
    pub logins: BTreeMap<String, Login>,
    /// Random bytes, from which names of sessions and solves are made.
    pub seed: [u8; 32],
    /// The longest wait for a connection and its first answer.
    pub connect_timeout: Duration,
    /// The longest time without a byte: a daemon asks every few seconds whether this side lives.
    pub silence_timeout: Duration,
    /// The longest time in which a solve does not get on.
    pub progress_timeout: Duration,
    /// The longest time in which nothing is done but downloads, and none of them ends, beside that which all of them
    /// take at [`Options::download_rate`]: a daemon does not tell how far they are. No longer than
    /// [`Options::progress_timeout`].
    pub download_timeout: Duration,
    /// The fewest bytes a second that all downloads together are taken to bring.
    pub download_rate: u64,
}

impl Options {
    /// Returns the usual options.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            tls: Tls::default(),
            logins: BTreeMap::new(),
            seed,
            connect_timeout: Duration::from_secs(15),
            silence_timeout: Duration::from_secs(90),
            progress_timeout: Duration::from_secs(30 * 60),
            download_timeout: Duration::from_secs(5 * 60),
            download_rate: 128 << 10,
        }
    }
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Daemon {
    /// Whether it is a Docker daemon.
    pub is_docker: bool,
    /// Its version, where it tells one; daemons before BuildKit 0.11 do not.
    pub version: String,
    /// Platforms that it runs programs for, `os/architecture[/variant]`; its own first.
    pub platforms: Vec<String>,
}

/// What is to be solved.
#[derive(Debug, Clone, Default)]
pub struct Solve {
    /// A definition's bytes (`pb.Definition`).
    pub definition: Vec<u8>,
    /// Where the result's files go; without it the graph is solved and nothing sent.
    pub export: Option<Export>,
    /// Caches to look into.
    pub cache_imports: Vec<Cache>,
    /// Caches to fill.
    pub cache_exports: Vec<Cache>,
    /// Options that BuildKit reads from a frontend's, such as `attest:provenance`.
    pub attributes: BTreeMap<String, String>,
    /// Which operations are downloads, by digest as the daemon writes it, and how many bytes each brings.
    pub downloads: BTreeMap<String, u64>,
    /// Ends the solve from another thread.
    pub stop: Stop,
}

/// Where files of a result go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// A directory that is there and empty; what is made in it is left there where the solve fails.
    pub directory: PathBuf,
    /// How much may come.
    pub limits: Limits,
}

/// Ends solves from another thread; clones end together.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Ends them, those that begin later too.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether they were ended.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// A solve that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// What became of each operation, by digest.
    pub vertices: BTreeMap<String, Vertex>,
    /// What was received.
    pub received: Received,
    /// What the daemon says beside, such as the digest of a cache.
    pub response: BTreeMap<String, String>,
}

/// How many solves this process has named: several clients may have one seed.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// A connection to a daemon; solves of several threads share it.
#[derive(Debug)]
pub struct Client {
    /// Always there until drop.
    runtime: Option<Runtime>,
    control: ControlClient<Channel>,
    address: Address,
    daemon: Daemon,
    options: Options,
    logins: Arc<BTreeMap<String, Login>>,
    heard: Heard,
}

impl Client {
    /// Connects, and asks who is there.
    ///
    /// # Errors
    /// [`Error::Connect`] with the kind of problem, [`Error::Tls`] for certificates that are none.
    pub fn connect(address: &Address, options: &Options) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("buildkit")
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let connected = runtime.block_on(async {
            let heard = Heard::now();
            let (channel, is_docker) = connect(address, &options.tls, options.connect_timeout, &heard).await?;
            let (control, daemon) = greet(channel, address, options, &heard).await?;
            Ok::<_, Error>((control, Daemon { is_docker, ..daemon }, heard))
        });
        match connected {
            Ok((control, daemon, heard)) => Ok(Self {
                runtime: Some(runtime),
                control,
                address: address.clone(),
                daemon,
                options: options.clone(),
                logins: Arc::new(options.logins.clone()),
                heard,
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Returns where the daemon is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns who the daemon is.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Solves a graph; what happens meanwhile is told on this thread.
    ///
    /// # Errors
    /// What the daemon says ([`Error::Solve`]), what is wrong with what it sends, and [`Error::is_daemon`] for one that
    /// goes away, says nothing for long, or does not get on.
    pub fn solve(&self, request: &Solve, events: &mut dyn FnMut(Event)) -> Result<Solved, Error> {
        let runtime = self.runtime.as_ref().expect("the runtime is there until drop");
        runtime.block_on(self.run(request, events))
    }

    async fn run(&self, request: &Solve, events: &mut dyn FnMut(Event)) -> Result<Solved, Error> {
        let asked = self.asked(request)?;
        if request.stop.is_stopped() {
            return Err(Error::Stopped);
        }
        let inbox = match &request.export {
            Some(export) => {
                let receiver = Receiver::new(&export.directory, export.limits).map_err(|why| self.refused(why))?;
                Some(Arc::new(Mutex::new(Inbox::new(receiver))))
            }
            None => None,
        };
        let opened = Session::open(self.control.clone(), &asked.session, inbox.clone(), self.logins.clone());
        let session = match timeout(self.options.silence_timeout, opened).await {
            Ok(Ok(session)) => session,
            Ok(Err(status)) => return Err(self.failed(&status, &Progress::default())),
            Err(_) => return Err(self.hung("no session was opened", self.options.silence_timeout)),
        };
        let mut progress = Progress::default();
        let answer = self.follow(asked, session, inbox.as_deref(), request, &mut progress, events).await?;
        let problem = inbox.as_ref().and_then(|inbox| lock(inbox).problem.take());
        match (answer, problem) {
            (_, Some(problem)) => Err(self.refused(problem)),
            (Err(status), None) => Err(self.failed(&status, &progress)),
            (Ok(answer), None) => {
                let received = match &inbox {
                    Some(inbox) if !lock(inbox).receiver.is_complete() => {
                        return Err(self.astray("it says that it is done, and has not sent the result"));
                    }
                    Some(inbox) => lock(inbox).receiver.received(),
                    None => Received::default(),
                };
                let response = answer.exporter_response.into_iter().collect();
                Ok(Solved { vertices: progress.into_vertices(), received, response })
            }
        }
    }

    /// Waits for the answer to a solve, and tells what comes before it and shortly after.
    async fn follow(
        &self,
        asked: wire::SolveRequest,
        mut session: Session,
        inbox: Option<&Mutex<Inbox>>,
        request: &Solve,
        progress: &mut Progress,
        events: &mut dyn FnMut(Event),
    ) -> Result<Result<wire::SolveResponse, Status>, Error> {
        let (sender, mut told) = mpsc::channel(TOLD);
        let _status = Task(tokio::spawn(status(self.control.clone(), asked.r#ref.clone(), sender)));
        let mut control = self.control.clone();
        let mut solving = std::pin::pin!(async move { control.solve(asked).await });
        let mut stop = request.stop.0.subscribe();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);

        let mut answer = None;
        let mut lost = None;
        // Until when the rest is waited for: for what is told once there is an answer, for the answer without a session.
        let mut rest = None;
        let (mut is_told, mut bytes) = (false, 0);
        let mut moved = Instant::now();
        let mut changes = Vec::new();
        while !(answer.is_some() && is_told) {
            tokio::select! {
                ended = &mut solving, if answer.is_none() => {
                    answer = Some(ended.map(tonic::Response::into_inner));
                    rest = Some(Instant::now() + REST);
                }
                message = told.recv(), if !is_told => match message {
                    Some(message) => {
                        progress.take(message, &mut changes).map_err(|problem| self.astray(&problem))?;
                        moved = Instant::now();
                        rest = rest.map(|_| moved + REST);
                    }
                    None => is_told = true,
                },
                why = session.ended(), if lost.is_none() && answer.is_none() => {
                    lost = Some(why);
                    rest = Some(Instant::now() + REST);
                }
                stopped = stop.wait_for(|stop| *stop) => {
                    drop(stopped);
                    return Err(Error::Stopped);
                }
                _ = tick.tick() => {
                    if let Some(now) = inbox.map(|inbox| lock(inbox).receiver.received().bytes).filter(|now| *now > bytes) {
                        bytes = now;
                        moved = Instant::now();
                        changes.push(Event::Received { bytes });
                    }
                    if rest.is_some_and(|until| until <= Instant::now()) {
                        break;
                    }
                    let silence = self.heard.silence();
                    if answer.is_none() && silence > self.options.silence_timeout {
                        return Err(self.hung("it said nothing", silence));
                    }
                    let knows_all = !is_told && told.is_empty();
                    if answer.is_none() && knows_all && let Some(failed) = self.stalled(request, progress, moved.elapsed()) {
                        return Err(failed);
                    }
                    if answer.is_none() && moved.elapsed() > self.options.progress_timeout {
                        return Err(self.hung("the solve did not get on", moved.elapsed()));
                    }
                }
            }
            changes.drain(..).for_each(&mut *events);
        }
        answer.ok_or_else(|| self.lost(lost.unwrap_or_default()))
    }

    fn asked(&self, request: &Solve) -> Result<wire::SolveRequest, Error> {
        let cache = |cache: &Cache| wire::CacheOptionsEntry {
            r#type: cache.kind.clone(),
            attrs: cache.attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        };
        let exporter = |_: &Export| wire::Exporter { r#type: "local".to_owned(), ..wire::Exporter::default() };
        Ok(wire::SolveRequest {
            r#ref: self.name(),
            session: self.name(),
            definition: Some(definition(&request.definition)?),
            // Daemons before BuildKit 0.13 know one exporter, in a field of its own.
            exporter_deprecated: request.export.as_ref().map(|_| "local".to_owned()).unwrap_or_default(),
            exporters: request.export.iter().map(exporter).collect(),
            frontend_attrs: request.attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            cache: Some(wire::CacheOptions {
                imports: request.cache_imports.iter().map(cache).collect(),
                exports: request.cache_exports.iter().map(cache).collect(),
                ..wire::CacheOptions::default()
            }),
            ..wire::SolveRequest::default()
        })
    }

    /// Returns a name that no other has.
    fn name(&self) -> String {
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let mut name = Digest::of(&[&self.options.seed[..], &number.to_be_bytes()].concat()).hex();
        name.truncate(25);
        name
    }

    /// Returns an answer that is an error as ours.
    fn failed(&self, status: &Status, progress: &Progress) -> Error {
        let message = shown(status.message(), MAX_TEXT);
        let failure = progress.failure(&message);
        let broken = std::error::Error::source(status).is_some() || status.code() == Code::Unavailable;
        let given_up = status.code() == Code::Cancelled || message.contains("context canceled");
        match status.code() {
            _ if failure.is_none() && broken => self.lost(format!("the connection broke: {}", causes(status))),
            _ if failure.is_none() && given_up => self.lost(format!("it gave up the work: {message}")),
            Code::Unimplemented => Error::Connect {
                address: self.address.to_string(),
                why: Unreachable::Foreign,
                problem: format!("it is no BuildKit: {message}"),
            },
            code => Error::Solve {
                address: self.address.to_string(),
                message,
                code: code as i32,
                failure: failure.map(Box::new),
            },
        }
    }

    /// Returns that a download does not get on, where nothing else is being done and all have had their time.
    fn stalled(&self, request: &Solve, progress: &Progress, waited: Duration) -> Option<Error> {
        let running = progress.running().map(|vertex| Some((*request.downloads.get(vertex)?, vertex)));
        let running: Vec<(u64, &str)> = running.collect::<Option<_>>()?;
        let all = running.iter().fold(0_u64, |all, (bytes, _)| all.saturating_add(*bytes));
        let rate = Duration::from_secs(all / self.options.download_rate.max(1));
        // Who waits longer takes the daemon for lost.
        let most = self.options.download_timeout.saturating_add(rate).min(self.options.progress_timeout);
        // The smallest should have been the first.
        let (_, vertex) = running.iter().min()?;
        let (address, failure) = (self.address.to_string(), Box::new(progress.told_of(vertex)));
        (waited > most).then_some(Error::Stalled { address, failure, waited })
    }

    fn refused(&self, problem: Problem) -> Error {
        match problem {
            Problem::Refused(problem) => Error::Receive { address: self.address.to_string(), problem },
            Problem::File { doing, path, source } => Error::File { doing, path, source },
        }
    }

    fn lost(&self, problem: String) -> Error {
        Error::Lost { address: self.address.to_string(), problem }
    }

    fn hung(&self, what: &'static str, waited: Duration) -> Error {
        Error::Hung { address: self.address.to_string(), what, waited }
    }

    fn astray(&self, problem: &str) -> Error {
        Error::Protocol { address: self.address.to_string(), problem: problem.to_owned() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks a daemon for its workers: who cannot tell is no BuildKit.
async fn greet(
    channel: Channel,
    address: &Address,
    options: &Options,
    heard: &Heard,
) -> Result<(ControlClient<Channel>, Daemon), Error> {
    let limit = options.connect_timeout;
    let mut control = ControlClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let problem = |why, problem| Error::Connect { address: address.to_string(), why, problem };
    let workers = match timeout(limit, control.list_workers(wire::ListWorkersRequest::default())).await {
        Ok(Ok(answer)) => answer.into_inner().record,
        Ok(Err(status)) if status.code() == Code::Unimplemented => {
            return Err(problem(Unreachable::Foreign, "who answers is no BuildKit".to_owned()));
        }
        Ok(Err(status)) => return Err(unreachable(address, &status, &options.tls)),
        Err(_) if heard.hung_up() => {
            return Err(problem(Unreachable::Foreign, "it hangs up on the first word".to_owned()));
        }
        Err(_) => {
            return Err(problem(Unreachable::Silent, format!("no answer within {} s", limit.as_secs())));
        }
    };
    let version = workers.iter().find_map(|worker| worker.buildkit_version.as_ref()).map(|version| &version.version);
    let platforms =
        workers.iter().flat_map(|worker| &worker.platforms).map(|platform| shown(&platform_text(platform), 64));
    let daemon = Daemon {
        is_docker: false,
        version: shown(version.map_or("", String::as_str), 64),
        platforms: platforms.collect(),
    };
    Ok((control, daemon))
}

/// Passes on what a daemon tells of a solve, from when it knows it until it is over.
async fn status(mut control: ControlClient<Channel>, solve: String, sender: mpsc::Sender<wire::StatusResponse>) {
    let mut heard = false;
    while !heard {
        if let Ok(answer) = control.status(wire::StatusRequest { r#ref: solve.clone() }).await {
            let mut messages = answer.into_inner();
            loop {
                match messages.message().await {
                    Ok(Some(message)) => {
                        heard = true;
                        if sender.send(message).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    // The answer to the solve says what is wrong.
                    Err(_) => break,
                }
            }
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests;
