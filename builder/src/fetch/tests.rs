use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use super::*;
use crate::diag::Silent;
use crate::store::StoreOptions;

/// How a scripted body ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Whole,
    /// The connection is reset.
    Reset,
    /// The server says no more, whatever length it promised.
    Cut,
    /// Zeros for ever.
    Endless,
}

/// One scripted answer.
#[derive(Clone)]
struct Answer {
    status: u16,
    bytes: Vec<u8>,
    end: End,
    /// Whether `Content-Length` is sent; what it says where the body is cut.
    length: Option<u64>,
    retry_after: Option<&'static str>,
    etag: Option<&'static str>,
    /// Seconds that each byte takes.
    slow: u64,
}

fn answer(status: u16, bytes: &[u8]) -> Answer {
    let length = Some(bytes.len() as u64);
    Answer { status, bytes: bytes.to_vec(), end: End::Whole, length, retry_after: None, etag: None, slow: 0 }
}

impl Answer {
    fn after(self, retry_after: &'static str) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }
    /// Stops after `count` bytes.
    fn stops(mut self, count: usize, end: End) -> Self {
        self.bytes.truncate(count);
        Self { end, ..self }
    }
    fn unsized_(self) -> Self {
        Self { length: None, ..self }
    }
    fn tagged(self, etag: &'static str) -> Self {
        Self { etag: Some(etag), ..self }
    }
    fn slow(self, seconds: u64) -> Self {
        Self { slow: seconds, ..self }
    }
}

#[derive(Clone, Default)]
struct World(std::sync::Arc<State>);

#[derive(Default)]
struct State {
    answers: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    log: Mutex<Vec<String>>,
    time: Mutex<Duration>,
    read: AtomicUsize,
}

impl World {
    fn serve(&self, url: &str, answers: impl IntoIterator<Item = Answer>) {
        self.0.answers.lock().unwrap().entry(url.to_owned()).or_default().extend(answers);
    }
    fn say(&self, line: String) {
        self.0.log.lock().unwrap().push(line);
    }
    /// Returns requests and waits since the last call.
    fn log(&self) -> String {
        std::mem::take(&mut *self.0.log.lock().unwrap()).join("\n")
    }
    /// Returns bytes read since the last call.
    fn read(&self) -> usize {
        self.0.read.swap(0, Ordering::Relaxed)
    }
}

impl Transport for World {
    fn get(&self, request: &Request) -> Result<Response, TransportError> {
        let mut line = request.url.clone();
        if request.offset > 0 {
            line += &format!(" from {}", request.offset);
        }
        if let Some(tag) = &request.if_range {
            line += &format!(" if {tag}");
        }
        let mut answers = self.0.answers.lock().unwrap();
        let Some(answer) = answers.get_mut(&request.url).and_then(VecDeque::pop_front) else {
            self.say(line + " → reset");
            return Err(TransportError::Failed("connection refused".to_owned()));
        };
        self.say(format!("{line} → {}", answer.status));
        // The script of a 206 holds the rest alone.
        let content_range = (answer.status == 206).then(|| {
            let rest = answer.length.unwrap();
            format!("bytes {}-{}/{}", request.offset, request.offset + rest - 1, request.offset + rest)
        });
        Ok(Response {
            status: answer.status,
            length: answer.length,
            content_range,
            etag: answer.etag.map(str::to_owned),
            retry_after: answer.retry_after.map(str::to_owned),
            body: Box::new(Body { answer, read: 0, world: self.clone() }),
        })
    }
}

struct Body {
    answer: Answer,
    read: usize,
    world: World,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.answer.bytes[self.read..];
        let at_once = if self.answer.slow > 0 { 1 } else { 100_000 };
        let count = match (rest.len(), self.answer.end) {
            (0, End::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            (0, End::Endless) => {
                buffer.fill(0);
                buffer.len()
            }
            (left, _) => {
                let count = left.min(buffer.len()).min(at_once);
                buffer[..count].copy_from_slice(&rest[..count]);
                self.read += count;
                count
            }
        };
        *self.world.0.time.lock().unwrap() += Duration::from_secs(self.answer.slow);
        self.world.0.read.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

impl Clock for World {
    fn elapsed(&self) -> Duration {
        *self.0.time.lock().unwrap()
    }
    fn unix(&self) -> i64 {
        784_111_777
    }
    fn sleep(&self, duration: Duration) {
        *self.0.time.lock().unwrap() += duration;
        self.say(format!("wait {duration:?}"));
    }
}

const A: &str = "https://a.example.org/pool/hello.deb";
const B: &str = "https://b.example.org/pool/hello.deb";

fn wanted(bytes: &[u8]) -> Wanted {
    Wanted {
        archive: "debian".to_owned(),
        path: "pool/hello.deb".to_owned(),
        by_hash: None,
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        label: "hello 1.0".to_owned(),
        promised_by: "the lock",
    }
}

fn mirrors() -> Mirrors {
    let all = vec!["https://a.example.org".to_owned(), "https://b.example.org".to_owned()];
    Mirrors { by_archive: BTreeMap::from([("debian".to_owned(), all)]), ..Mirrors::default() }
}

/// Runs `test` with a fetcher over a fresh store.
fn with<T>(world: &World, options: FetchOptions, test: impl FnOnce(&Fetcher<'_>) -> T) -> T {
    let room = tempfile::tempdir().unwrap();
    let store = Store::open(&room.path().join("store"), StoreOptions::default()).unwrap();
    let mirrors = mirrors();
    let result = test(&Fetcher::new(&store, world, &mirrors, &options, world, &Silent));
    let left = store.usage().unwrap();
    assert!(!left.rooms.contains_key("temporary"), "{left:?}");
    result
}

/// Fetches `bytes` and returns the log, with the error where there is one.
fn fetch(world: &World, bytes: &[u8]) -> String {
    with(world, FetchOptions::default(), |fetcher| match fetcher.blob(&wanted(bytes)) {
        Ok(mut file) => {
            let mut read = Vec::new();
            file.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
            world.log()
        }
        Err(error) => format!("{}\n{error}", world.log()),
    })
}

#[test]
fn a_reset_is_resumed_where_it_broke_off() {
    let world = World::default();
    world.serve(
        A,
        [
            answer(200, b"hello world").tagged("\"1\"").stops(5, End::Reset),
            answer(206, b" world").stops(3, End::Cut),
            answer(206, b"rld"),
        ],
    );
    insta::assert_snapshot!(fetch(&world, b"hello world"), @r#"
    https://a.example.org/pool/hello.deb → 200
    wait 500ms
    https://a.example.org/pool/hello.deb from 5 if "1" → 206
    wait 1s
    https://a.example.org/pool/hello.deb from 8 if "1" → 206
    "#);
    assert_eq!(world.read(), 11);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let world = World::default();
    world.serve(A, [answer(200, b"hello world").stops(5, End::Cut).unsized_(), answer(200, b"hello world")]);
    insta::assert_snapshot!(fetch(&world, b"hello world"), @r"
    https://a.example.org/pool/hello.deb → 200
    wait 500ms
    https://a.example.org/pool/hello.deb from 5 → 200
    ");
    world.serve(A, [answer(200, b"hello world").stops(5, End::Reset), answer(416, b""), answer(200, b"hello world")]);
    insta::assert_snapshot!(fetch(&world, b"hello world"), @r"
    https://a.example.org/pool/hello.deb → 200
    wait 500ms
    https://a.example.org/pool/hello.deb from 5 → 416
    wait 1s
    https://a.example.org/pool/hello.deb → 200
    ");
}

#[test]
fn pieces_of_two_files_are_fetched_again_whole() {
    let world = World::default();
    world.serve(
        A,
        [answer(200, b"HELLO world").stops(5, End::Reset), answer(206, b" world"), answer(200, b"hello world")],
    );
    insta::assert_snapshot!(fetch(&world, b"hello world"), @r"
    https://a.example.org/pool/hello.deb → 200
    wait 500ms
    https://a.example.org/pool/hello.deb from 5 → 206
    wait 1s
    https://a.example.org/pool/hello.deb → 200
    ");
}

#[test]
fn a_busy_server_is_given_the_time_it_asks_for() {
    let world = World::default();
    world.serve(
        A,
        [
            answer(503, b"").after("7"),
            answer(429, b"").after("Sun, 06 Nov 1994 08:49:47 GMT"),
            answer(503, b"").after("86400"),
            answer(500, b""),
            answer(200, b"hello"),
        ],
    );
    insta::assert_snapshot!(fetch(&world, b"hello"), @r"
    https://a.example.org/pool/hello.deb → 503
    wait 7s
    https://a.example.org/pool/hello.deb → 429
    wait 10s
    https://a.example.org/pool/hello.deb → 503
    wait 60s
    https://a.example.org/pool/hello.deb → 500
    wait 4s
    https://a.example.org/pool/hello.deb → 200
    ");
}

#[test]
fn what_one_mirror_lacks_comes_from_the_next() {
    for status in [403, 404, 410] {
        let world = World::default();
        world.serve(A, [answer(status, b"")]);
        world.serve(B, [answer(200, b"hello")]);
        let log = fetch(&world, b"hello");
        assert_eq!(log, format!("{A} → {status}\n{B} → 200"));
    }
    let world = World::default();
    world.serve(A, [answer(404, b"")]);
    world.serve(B, [answer(404, b"")]);
    insta::assert_snapshot!(fetch(&world, b"hello"), @r"
    https://a.example.org/pool/hello.deb → 404
    https://b.example.org/pool/hello.deb → 404
    cannot fetch `hello 1.0`
      from https://a.example.org/pool/hello.deb: HTTP status 404
      from https://b.example.org/pool/hello.deb: HTTP status 404
    ");
}

#[test]
fn wrong_bytes_at_every_mirror_are_named_with_both_digests() {
    let world = World::default();
    world.serve(A, [answer(200, b"HELLO")]);
    world.serve(B, [answer(200, b"hello!")]);
    insta::assert_snapshot!(fetch(&world, b"hello"), @r"
    https://a.example.org/pool/hello.deb → 200
    https://b.example.org/pool/hello.deb → 200
    cannot fetch `hello 1.0`: it should be sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 by the lock
      from https://a.example.org/pool/hello.deb: its bytes are sha256:3733cd977ff8eb18b987357e22ced99f46097f31ecb239e878ae63760e83e4d5
      from https://b.example.org/pool/hello.deb: it has 6 bytes, expected 5
    ");
    world.serve(A, [answer(200, b"HELLO")]);
    world.serve(B, [answer(200, b"hello")]);
    assert_eq!(fetch(&world, b"hello"), format!("{A} → 200\n{B} → 200"));
}

#[test]
fn an_endless_body_is_read_one_byte_too_far() {
    let world = World::default();
    world.serve(A, [answer(200, b"").stops(0, End::Endless).unsized_()]);
    world.serve(B, [answer(404, b"")]);
    let log = fetch(&world, b"hello");
    assert!(log.contains("it has more than 5 bytes"), "{log}");
    assert_eq!(world.read(), 6);
    with(&world, FetchOptions::default(), |fetcher| {
        let url = "https://a.example.org/dists/sid/InRelease";
        world.serve(url, [answer(200, b"").stops(0, End::Endless).unsized_()]);
        world.serve("https://b.example.org/dists/sid/InRelease", [answer(200, &[0; 101])]);
        let error = fetcher.metadata("debian", "dists/sid/InRelease", 100).unwrap_err().to_string();
        assert!(error.contains("more than 100 bytes") && error.contains("has 101 bytes, allowed are 100"), "{error}");
        assert_eq!(world.read(), 101);
    });
}

#[test]
fn a_slow_mirror_is_left_for_the_next_one() {
    let world = World::default();
    world.serve(A, vec![answer(200, &[7; 1000]).slow(10); 5]);
    world.serve(B, [answer(200, &[7; 1000])]);
    let log = fetch(&world, &[7; 1000]);
    assert_eq!(log.lines().filter(|line| line.starts_with(A)).count(), 5, "{log}");
    assert!(log.ends_with(&format!("{B} → 200")), "{log}");
    // It is asked again where nobody else gives a file, and no sooner.
    world.serve(A, vec![answer(200, &[7; 1000]).slow(10); 5]);
    world.serve(B, [answer(200, &[7; 1000]), answer(200, b"hello"), answer(404, b"")]);
    with(&world, FetchOptions::default(), |fetcher| {
        fetcher.blob(&wanted(&[7; 1000])).unwrap();
        world.log();
        fetcher.blob(&wanted(b"hello")).unwrap();
        assert_eq!(world.log(), format!("{B} → 200"));
        // That it fails at once now means little.
        assert!(fetcher.blob(&wanted(b"none")).is_err());
        assert_eq!(world.log(), format!("{B} → 404\n{A} → reset"));
        world.serve(A, [answer(200, b"other"), answer(200, b"more")]);
        world.serve(B, [answer(404, b"")]);
        fetcher.blob(&wanted(b"other")).unwrap();
        assert_eq!(world.log(), format!("{B} → 404\n{A} → 200"));
        fetcher.blob(&wanted(b"more")).unwrap();
        assert_eq!(world.log(), format!("{A} → 200"));
    });
}

#[test]
fn headway_starts_the_count_of_attempts_anew() {
    let world = World::default();
    let bytes = vec![9; 900_000];
    world.serve(A, [answer(200, &bytes).stops(100_000, End::Reset)]);
    for n in 1..9 {
        world.serve(A, [answer(206, &bytes[n * 100_000..]).stops(100_000, End::Reset)]);
    }
    let log = fetch(&world, &bytes);
    assert!(log.ends_with("from 800000 → 206"), "{log}");
    assert!(!log.contains("wait 1s"), "{log}");
}

#[test]
fn a_server_that_is_down_is_not_waited_for_twice() {
    let world = World::default();
    world.serve(B, [answer(200, b"hello"), answer(200, b"other")]);
    with(&world, FetchOptions::default(), |fetcher| {
        fetcher.blob(&wanted(b"hello")).unwrap();
        assert_eq!(world.log().lines().filter(|line| line.starts_with(A)).count(), 5);
        fetcher.blob(&wanted(b"other")).unwrap();
        assert_eq!(world.log(), format!("{A} → reset\n{B} → 200"));
    });
}

#[test]
fn metadata_is_taken_from_the_first_mirror_that_its_reader_accepts() {
    let world = World::default();
    world.serve("https://a.example.org/dists/sid/InRelease", [answer(200, b"stale")]);
    // Without an entity tag the rest could be of another file.
    world.serve(
        "https://b.example.org/dists/sid/InRelease",
        [
            answer(200, b"fresh").stops(2, End::Reset),
            answer(200, b"fresh").tagged("\"1\"").stops(2, End::Reset),
            answer(206, b"esh"),
        ],
    );
    with(&world, FetchOptions::default(), |fetcher| {
        let mut accept = |bytes: &[u8]| if bytes == b"fresh" { Ok(()) } else { Err("it is older".to_owned()) };
        let bytes = fetcher.metadata_where("debian", "dists/sid/InRelease", MAX_IN_RELEASE, &mut accept).unwrap();
        assert_eq!(bytes, b"fresh");
        assert!(fetcher.tools.store.blob(&Digest::of(b"fresh")).unwrap().is_some());
        assert!(fetcher.tools.store.blob(&Digest::of(b"stale")).unwrap().is_none());
    });
    insta::assert_snapshot!(world.log(), @r#"
    https://a.example.org/dists/sid/InRelease → 200
    https://b.example.org/dists/sid/InRelease → 200
    wait 500ms
    https://b.example.org/dists/sid/InRelease → 200
    wait 1s
    https://b.example.org/dists/sid/InRelease from 2 if "1" → 206
    "#);
}

#[test]
fn an_index_is_asked_for_by_its_hash_first() {
    let world = World::default();
    let file = PackagesFile { path: "main/binary-amd64/Packages.xz".to_owned(), digest: Digest::of(b"index"), size: 5 };
    let by_hash = format!("main/binary-amd64/by-hash/SHA256/{}", file.digest.hex());
    let wanted = Wanted::packages_file("debian", "sid", &file, Some(&by_hash));
    world.serve(&format!("https://a.example.org/dists/sid/{by_hash}"), [answer(404, b"")]);
    world.serve("https://a.example.org/dists/sid/main/binary-amd64/Packages.xz", [answer(200, b"index")]);
    with(&world, FetchOptions::default(), |fetcher| fetcher.blob(&wanted).map(drop)).unwrap();
    assert_eq!(world.log().lines().count(), 2);
}

#[test]
fn many_files_come_the_largest_first_and_once() {
    let world = World::default();
    let mut all: Vec<Wanted> = (1..=20_u8)
        .map(|n| {
            let bytes = vec![n; usize::from(n)];
            let path = format!("pool/{n}.deb");
            world.serve(&format!("https://a.example.org/{path}"), [answer(200, &bytes)]);
            Wanted { path, label: format!("package {n}"), ..wanted(&bytes) }
        })
        .collect();
    all.push(all[0].clone());
    let one = FetchOptions { parallel: 1, ..FetchOptions::default() };
    with(&world, one, |fetcher| {
        assert_eq!(fetcher.blobs(&all).unwrap(), [Fetched::Downloaded; 21]);
        let log = world.log();
        assert!(log.starts_with("https://a.example.org/pool/20.deb → 200\nhttps://a.example.org/pool/19.deb"), "{log}");
        assert_eq!(log.lines().count(), 20);
        assert_eq!(fetcher.blobs(&all).unwrap(), [Fetched::Present; 21]);
        assert_eq!(world.log(), "");
    });
    for one in &all[..20] {
        world.serve(&format!("https://a.example.org/{}", one.path), [answer(404, b"")]);
        world.serve(
            &format!("https://b.example.org/{}", one.path),
            [if [3, 7].contains(&one.size) {
                answer(404, b"")
            } else {
                answer(200, &vec![u8::try_from(one.size).unwrap(); usize::try_from(one.size).unwrap()])
            }],
        );
    }
    with(&world, FetchOptions::default(), |fetcher| {
        let problems = fetcher.blobs(&all).unwrap_err();
        let lines: Vec<_> = problems.iter().map(|error| error.to_string().lines().next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["cannot fetch `package 3`", "cannot fetch `package 7`"]);
    });
}

#[test]
fn offline_names_what_is_missing() {
    let world = World::default();
    with(&world, FetchOptions { offline: true, ..FetchOptions::default() }, |fetcher| {
        let here = fetcher.tools.store.put_blob(b"here").unwrap();
        assert!(fetcher.url("https://example.org/here", &here, 10).is_ok());
        let all: Vec<_> = (0..7_u8)
            .map(|n| Wanted { label: format!("package {n}"), ..wanted(&[n]) })
            .chain([wanted(b"here")])
            .collect();
        insta::assert_snapshot!(fetcher.blobs(&all).unwrap_err(), @"cannot work offline: `package 0`, `package 1`, `package 2`, `package 3`, `package 4` and 2 more are not in the store");
        insta::assert_snapshot!(fetcher.blob(&all[0]).unwrap_err(), @"cannot work offline: `package 0` is not in the store");
        assert!(fetcher.metadata("debian", "dists/sid/InRelease", 1).is_err());
        assert!(fetcher.url("https://example.org/other", &Digest::of(b"other"), 10).is_err());
    });
    assert_eq!(world.log(), "");
}

#[test]
fn an_address_of_the_spec_is_bounded_and_shown_without_credentials() {
    let world = World::default();
    let url = "https://user:secret@example.org/m.tar.gz";
    world.serve(url, [answer(200, b"bytes"), answer(200, b"wrong"), answer(200, b"long bytes")]);
    with(&world, FetchOptions::default(), |fetcher| {
        fetcher.url(url, &Digest::of(b"bytes"), 5).unwrap();
        let error = fetcher.url(url, &Digest::of(b"right"), 5).unwrap_err().to_string();
        assert!(error.contains("https://example.org/m.tar.gz: its bytes are") && !error.contains("secret"), "{error}");
        assert!(fetcher.url(url, &Digest::of(b"long bytes"), 5).is_err());
    });
}

#[test]
fn an_archive_without_mirrors_is_named() {
    let world = World::default();
    with(&world, FetchOptions::default(), |fetcher| {
        let nowhere = Wanted { archive: "acme".to_owned(), ..wanted(b"hello") };
        let error = fetcher.blob(&nowhere).unwrap_err();
        assert_eq!(error.to_string(), "cannot fetch `hello 1.0`: no mirror of `acme` is known");
        assert_eq!(crate::diag::Diagnose::hints(&error), ["name one with `--mirror acme=URI`"]);
    });
}
