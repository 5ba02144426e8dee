//! What a daemon tells while it solves, operation by operation.
//!
//! A daemon repeats the whole state of an operation with every change, starts one again where its cache key was asked
//! for before, and writes its log in any pieces. What goes out are changes, once each.

use std::collections::{BTreeMap, VecDeque};

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{self as wire, StatusResponse};

use super::Failure;

/// The most operations of one solve.
const MAX_VERTICES: usize = 1 << 14;
/// The most characters of a name or a message, and of one line of a log that is kept.
const MAX_NAME: usize = 512;
const MAX_MESSAGE: usize = 8 << 10;
/// Lines that are kept of each operation's log.
const LINES: usize = 20;
/// What daemons say of an operation that others took down with them.
const CANCELED: &str = "context canceled";

/// A change during a solve. `vertex` is an operation's digest as in the definition, `name` what a person calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An operation began; it may begin more than once.
    Started {
        /// The operation.
        vertex: String,
        /// Its name.
        name: String,
    },
    /// An operation ended well.
    Completed {
        /// The operation.
        vertex: String,
        /// Its name.
        name: String,
        /// Whether its result was there before.
        cached: bool,
    },
    /// An operation failed.
    Failed {
        /// The operation.
        vertex: String,
        /// Its name.
        name: String,
        /// What went wrong.
        message: String,
    },
    /// A part of an operation's work, such as a download, got on.
    Progress {
        /// The operation.
        vertex: String,
        /// The part.
        part: String,
        /// Bytes, or whatever it counts.
        current: u64,
        /// Of how many, where it is known.
        total: Option<u64>,
    },
    /// An operation wrote something.
    Log {
        /// The operation.
        vertex: String,
        /// Whether it wrote to standard error.
        error: bool,
        /// What it wrote, without control characters other than line ends and tabs.
        text: String,
    },
    /// The daemon warns.
    Warning {
        /// The operation.
        vertex: String,
        /// Of what.
        text: String,
    },
    /// Bytes of the result arrived.
    Received {
        /// How many so far.
        bytes: u64,
    },
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vertex {
    /// Its name.
    pub name: String,
    /// Whether its result was there before.
    pub cached: bool,
    /// Whether it ended.
    pub completed: bool,
    /// What went wrong; empty where nothing did.
    pub error: String,
}

#[derive(Debug, Default)]
struct Known {
    vertex: Vertex,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    log: Log,
}

/// The end of what an operation wrote.
#[derive(Debug, Default)]
struct Log {
    lines: VecDeque<String>,
    /// The last line is not ended yet.
    open: bool,
}

/// All that was told of one solve.
#[derive(Debug, Default)]
pub(super) struct Progress {
    known: BTreeMap<String, Known>,
    /// Operations that failed, in the order of the telling.
    failed: Vec<String>,
}

impl Progress {
    /// Takes what a daemon tells, and appends what is new in it.
    ///
    /// # Errors
    /// The problem, where it is too much.
    pub(super) fn take(&mut self, told: StatusResponse, events: &mut Vec<Event>) -> Result<(), String> {
        for vertex in told.vertexes {
            self.vertex(vertex, events)?;
        }
        for status in told.statuses {
            let part = if status.name.is_empty() { status.id } else { status.name };
            events.push(Event::Progress {
                vertex: shown(&status.vertex, MAX_NAME),
                part: shown(&part, MAX_NAME),
                current: u64::try_from(status.current).unwrap_or(0),
                total: u64::try_from(status.total).ok().filter(|total| *total > 0),
            });
        }
        for log in told.logs {
            let vertex = shown(&log.vertex, MAX_NAME);
            let text = text(&log.msg);
            self.entry(&vertex)?.log.append(&text);
            events.push(Event::Log { vertex, error: log.stream == 2, text });
        }
        for warning in told.warnings {
            let text = shown(&String::from_utf8_lossy(&warning.short), MAX_MESSAGE);
            events.push(Event::Warning { vertex: shown(&warning.vertex, MAX_NAME), text });
        }
        Ok(())
    }

    fn entry(&mut self, vertex: &str) -> Result<&mut Known, String> {
        if self.known.len() >= MAX_VERTICES && !self.known.contains_key(vertex) {
            return Err(format!("it tells of more than {MAX_VERTICES} operations"));
        }
        Ok(self.known.entry(vertex.to_owned()).or_default())
    }

    fn vertex(&mut self, told: wire::Vertex, events: &mut Vec<Event>) -> Result<(), String> {
        let vertex = shown(&told.digest, MAX_NAME);
        let known = self.entry(&vertex)?;
        let name = shown(&told.name, MAX_NAME);
        if !name.is_empty() {
            known.vertex.name.clone_from(&name);
        }
        // A result of a remote cache is told as cached, and then once more while it is pulled.
        known.vertex.cached |= told.cached;
        let cached = known.vertex.cached;
        if told.started.is_some() && told.started != known.started {
            known.started = told.started;
            // What comes out of the cache begins and ends in one moment.
            if !cached {
                events.push(Event::Started { vertex: vertex.clone(), name: name.clone() });
            }
        }
        known.vertex.completed = told.completed.is_some();
        let Some(ended) = told.completed else { return Ok(()) };
        let canceled = told.error.contains(CANCELED);
        if known.ended == Some(ended) && (told.error.is_empty() || !known.vertex.error.is_empty()) {
            return Ok(());
        }
        known.ended = Some(ended);
        known.vertex.error = shown(&told.error, MAX_MESSAGE);
        if told.error.is_empty() {
            events.push(Event::Completed { vertex, name, cached });
        } else if !canceled {
            let message = known.vertex.error.clone();
            if !self.failed.contains(&vertex) {
                self.failed.push(vertex.clone());
            }
            events.push(Event::Failed { vertex, name, message });
        }
        Ok(())
    }

    /// Returns the operation that a solve failed for, which ended with this message.
    pub(super) fn failure(&self, message: &str) -> Option<Failure> {
        // Others may have failed beside it: the one that the message repeats is meant.
        let repeated = |vertex: &&String| message.contains(self.known[*vertex].vertex.error.as_str());
        let vertex = self.failed.iter().find(repeated).or(self.failed.first())?;
        Some(self.told_of(vertex))
    }

    /// Returns the operations that began and did not end yet, by digest.
    pub(super) fn running(&self) -> impl Iterator<Item = &str> {
        let is_running = |known: &Known| known.started.is_some() && !known.vertex.completed;
        self.known.iter().filter(move |(_, known)| is_running(known)).map(|(vertex, _)| vertex.as_str())
    }

    /// Returns what an error says of an operation that was told of.
    pub(super) fn told_of(&self, vertex: &str) -> Failure {
        let known = &self.known[vertex];
        let log = known.log.lines.iter().cloned().collect();
        Failure { vertex: vertex.to_owned(), name: known.vertex.name.clone(), log }
    }

    /// Returns what became of each operation, by digest.
    pub(super) fn into_vertices(self) -> BTreeMap<String, Vertex> {
        self.known.into_iter().map(|(digest, known)| (digest, known.vertex)).collect()
    }
}

impl Log {
    fn append(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            let line = piece.strip_suffix('\n').unwrap_or(piece);
            match self.lines.back_mut() {
                Some(last) if self.open => {
                    let left = MAX_NAME.saturating_sub(last.chars().count());
                    last.extend(line.chars().take(left));
                }
                _ => self.lines.push_back(line.chars().take(MAX_NAME).collect()),
            }
            self.open = !piece.ends_with('\n');
            if self.lines.len() > LINES {
                self.lines.pop_front();
            }
        }
    }
}

/// Returns the first characters of a text that a daemon sent, as one line that can be shown.
pub(super) fn shown(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns what an operation wrote without what would move a terminal's cursor.
fn text(bytes: &[u8]) -> String {
    let kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    String::from_utf8_lossy(bytes).chars().filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn vertex(digest: &str, started: i64, completed: i64, cached: bool, error: &str) -> wire::Vertex {
        wire::Vertex {
            digest: digest.to_owned(),
            name: format!("open {digest}"),
            cached,
            started: (started > 0).then(|| at(started)).flatten(),
            completed: (completed > 0).then(|| at(completed)).flatten(),
            error: error.to_owned(),
            ..wire::Vertex::default()
        }
    }

    fn told(vertexes: Vec<wire::Vertex>) -> StatusResponse {
        StatusResponse { vertexes, ..StatusResponse::default() }
    }

    fn take(progress: &mut Progress, told: StatusResponse) -> Vec<Event> {
        let mut events = Vec::new();
        progress.take(told, &mut events).unwrap();
        events
    }

    #[test]
    fn each_change_is_told_once() {
        let mut progress = Progress::default();
        let started = || Event::Started { vertex: "a".to_owned(), name: "open a".to_owned() };
        let completed = |cached| Event::Completed { vertex: "a".to_owned(), name: "open a".to_owned(), cached };
        assert!(take(&mut progress, told(vec![vertex("a", 0, 0, false, "")])).is_empty());
        assert_eq!(take(&mut progress, told(vec![vertex("a", 1, 0, false, "")])), [started()]);
        assert!(take(&mut progress, told(vec![vertex("a", 1, 0, false, "")])).is_empty());
        assert_eq!(take(&mut progress, told(vec![vertex("a", 1, 2, false, "")])), [completed(false)]);
        assert!(take(&mut progress, told(vec![vertex("a", 1, 2, false, "")])).is_empty());
        // Its key was asked for; now it runs.
        assert_eq!(take(&mut progress, told(vec![vertex("a", 3, 0, false, "")])), [started()]);
        assert!(!progress.known["a"].vertex.completed);
        assert_eq!(take(&mut progress, told(vec![vertex("a", 3, 3, true, "")])), [completed(true)]);
        // What a remote cache holds is pulled when it is needed: that is no run.
        assert!(take(&mut progress, told(vec![vertex("a", 4, 0, false, "")])).is_empty());
        assert_eq!(take(&mut progress, told(vec![vertex("a", 4, 5, false, "")])), [completed(true)]);
        let all = progress.into_vertices();
        assert!(all["a"].cached && all["a"].completed);
    }

    #[test]
    fn the_operation_that_failed_is_told_from_those_it_took_along() {
        let mut progress = Progress::default();
        let log = |vertex: &str, text: &[u8]| wire::VertexLog {
            vertex: vertex.to_owned(),
            stream: 2,
            msg: text.to_vec(),
            ..wire::VertexLog::default()
        };
        let logs = vec![log("c", b"error: can"), log("c", b"not open\x1b[31m `libc6`\nhint"), log("b", b"fine\n")];
        let events = take(&mut progress, StatusResponse { logs, ..StatusResponse::default() });
        assert!(matches!(&events[1], Event::Log { text, error: true, .. } if text == "not open[31m `libc6`\nhint"));
        let vertices = vec![
            vertex("a", 1, 2, false, "process was ended: context canceled"),
            vertex("b", 1, 2, false, "no route"),
            vertex("c", 1, 3, false, "exit code: 2"),
        ];
        let failed = take(&mut progress, told(vertices));
        let names: Vec<_> = failed.iter().filter(|event| matches!(event, Event::Failed { .. })).collect();
        assert_eq!(names.len(), 2);
        let failure = progress.failure("process \"/tarsia\" did not complete: exit code: 2").unwrap();
        assert_eq!((failure.vertex.as_str(), failure.name.as_str()), ("c", "open c"));
        assert_eq!(failure.log, ["error: cannot open[31m `libc6`", "hint"]);
        assert_eq!(progress.failure("something else").unwrap().vertex, "b");
        assert!(Progress::default().failure("x").is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut progress = Progress::default();
        for n in 0..100 {
            let msg = format!("{n} {}\n", "x".repeat(2000)).into_bytes();
            let logs = vec![wire::VertexLog { vertex: "a".to_owned(), msg, ..wire::VertexLog::default() }];
            take(&mut progress, StatusResponse { logs, ..StatusResponse::default() });
        }
        let endless =
            vec![wire::VertexLog { vertex: "b".to_owned(), msg: vec![b'y'; 100], ..wire::VertexLog::default() }];
        for _ in 0..100 {
            take(&mut progress, StatusResponse { logs: endless.clone(), ..StatusResponse::default() });
        }
        let lines = &progress.known["a"].log.lines;
        assert_eq!((lines.len(), lines[0].chars().count()), (LINES, MAX_NAME));
        assert!(lines[LINES - 1].starts_with("99 "));
        assert_eq!(progress.known["b"].log.lines[0].len(), MAX_NAME);

        let all = (0..=MAX_VERTICES).map(|n| vertex(&n.to_string(), 0, 0, false, "")).collect();
        let said = progress.take(told(all), &mut Vec::new()).unwrap_err();
        assert!(said.contains("more than 16384 operations"), "{said}");
    }

    #[test]
    fn downloads_and_warnings_are_told() {
        let status = wire::VertexStatus {
            id: "downloading".to_owned(),
            vertex: "a".to_owned(),
            current: 7,
            total: -1,
            ..wire::VertexStatus::default()
        };
        let warning = wire::VertexWarning { vertex: "a".to_owned(), short: b"old\x07".to_vec(), ..Default::default() };
        let all = StatusResponse { statuses: vec![status], warnings: vec![warning], ..StatusResponse::default() };
        let events = take(&mut Progress::default(), all);
        let part = "downloading".to_owned();
        assert_eq!(events[0], Event::Progress { vertex: "a".to_owned(), part, current: 7, total: None });
        assert_eq!(events[1], Event::Warning { vertex: "a".to_owned(), text: "old ".to_owned() });
    }
}
