//! A directory served over HTTP, which counts what it is asked for and is as unkind as a test asks.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use tarsia::digest::Digest;

/// Something that goes wrong with the requests for a file.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// This status is answered.
    Status(u16),
    /// Other bytes are answered.
    Bytes(Vec<u8>),
    /// The connection is cut after half of the bytes.
    Half,
}

/// A running server on this machine's loopback; it ends with the process.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) host: String,
    root: PathBuf,
    log: Arc<Mutex<Vec<(String, String)>>>,
    troubles: Arc<Mutex<BTreeMap<String, Trouble>>>,
    /// Who asks for a path with this in it waits.
    held: Arc<(Mutex<Option<String>>, Condvar)>,
}

impl Files {
    /// Serves a directory.
    pub(crate) fn serve(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let files =
            Self { host, root: root.to_owned(), log: Arc::default(), troubles: Arc::default(), held: Arc::default() };
        let own = files.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while own.answer(&mut reader, &stream).is_some() {}
                });
            }
        });
        files
    }

    /// Returns the address of a file.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.host)
    }

    /// Makes requests for paths that contain `part` go wrong from now on.
    pub(crate) fn trouble(&self, part: &str, trouble: Trouble) {
        self.troubles.lock().unwrap().insert(part.to_owned(), trouble);
    }

    /// Lets requests for paths that contain `part` wait until [`Files::release`].
    pub(crate) fn hold(&self, part: &str) {
        *self.held.0.lock().unwrap() = Some(part.to_owned());
    }

    /// Answers all that waited.
    pub(crate) fn release(&self) {
        *self.held.0.lock().unwrap() = None;
        self.held.1.notify_all();
    }

    /// Waits until `count` requests for the bytes of paths that contain `part` have come since the log was taken.
    pub(crate) fn wait_for(&self, part: &str, count: usize) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
        loop {
            let come =
                self.log.lock().unwrap().iter().filter(|(how, path)| how == "GET" && path.contains(part)).count();
            if come >= count {
                return;
            }
            assert!(std::time::Instant::now() < until, "{come} requests of {count} for `{part}`");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Returns the paths whose bytes were asked for since the last call, in order.
    pub(crate) fn taken(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.into_iter().filter(|(method, _)| method == "GET").map(|(_, path)| path).collect()
    }

    fn answer(&self, reader: &mut BufReader<&TcpStream>, mut stream: &TcpStream) -> Option<()> {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut asked_for = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("if-none-match") => {
                    asked_for = Some(value.trim().to_owned());
                }
                Some(_) => {}
                None => break,
            }
        }
        let path = decoded(target.split('?').next()?.trim_start_matches('/'))?;
        self.log.lock().unwrap().push((method.clone(), path.clone()));
        let mut held = self.held.0.lock().unwrap();
        while held.as_ref().is_some_and(|part| path.contains(part.as_str())) {
            held = self.held.1.wait(held).unwrap();
        }
        drop(held);
        let trouble = {
            let troubles = self.troubles.lock().unwrap();
            troubles.iter().find(|(part, _)| path.contains(*part)).map(|(_, trouble)| trouble.clone())
        };
        let file =
            if path.split('/').any(|part| part == "..") { None } else { std::fs::read(self.root.join(&path)).ok() };
        let (mut status, body) = match (&trouble, file) {
            (Some(Trouble::Status(status)), _) => (*status, Vec::new()),
            (Some(Trouble::Bytes(bytes)), _) => (200, bytes.clone()),
            (_, Some(bytes)) => (200, bytes),
            (_, None) => (404, Vec::new()),
        };
        let tag = format!("\"{}\"", Digest::of(&body).hex());
        if status == 200 && asked_for.as_ref() == Some(&tag) {
            status = 304;
        }
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nETag: {tag}\r\nAccept-Ranges: none\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        if method != "GET" || status == 304 {
            return Some(());
        }
        if matches!(trouble, Some(Trouble::Half)) {
            stream.write_all(&body[..body.len() / 2]).ok()?;
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return None;
        }
        stream.write_all(&body).ok()
    }
}

/// Undoes percent encoding (RFC 3986, section 2.1).
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
