//! A registry in this process (OCI distribution-spec 1.1): as strict as the specification, and as unkind as a test asks.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tarsia::digest::Digest;

/// What a registry does beside the specification's minimum.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// It keeps lists of referrers, and says so by `OCI-Subject`.
    pub referrers: bool,
    /// It says of no blob that it is there before that was brought to, or mounted in, this very repository by someone.
    pub apart: bool,
    /// It wants this `Authorization`.
    pub wants: Option<String>,
    /// What it says to those who come without: `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// What happens to the request of this number, counted from 0.
    pub mishaps: BTreeMap<usize, Mishap>,
    /// Bytes of blobs that it gives in place of others.
    pub lies: BTreeMap<Digest, Vec<u8>>,
}

/// Something that goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// The connection is cut before anything is read of the body.
    Cut,
    /// The connection is cut after these many bytes of the body were taken.
    CutAfter(usize),
    /// The request is carried out, and the connection is cut before the answer.
    CutAnswer,
    /// This status is answered, and nothing is done.
    Status(u16),
    /// Nothing is done and nothing answered, for as long as anybody waits.
    Hang,
}

/// What stands in a registry.
#[derive(Default)]
pub(crate) struct Contents {
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    pub manifests: BTreeMap<(String, Digest), (String, Vec<u8>)>,
    pub tags: BTreeMap<(String, String), Digest>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Uploads that were ever begun.
    begun: usize,
    /// Every request: method, path, and `Authorization`.
    pub log: Vec<(String, String, Option<String>)>,
}

/// A running registry; it ends with the process.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) contents: Arc<Mutex<Contents>>,
    manners: Arc<Mutex<Manners>>,
}

impl Server {
    pub(crate) fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = Self { host, contents: Arc::default(), manners: Arc::new(Mutex::new(manners)) };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || while own.serve(&stream).is_some() {});
            }
        });
        server
    }

    /// Changes what the registry does from now on; requests are counted anew.
    pub(crate) fn behave(&self, manners: Manners) {
        *self.manners.lock().unwrap() = manners;
        self.contents.lock().unwrap().log.clear();
    }

    /// Takes everything away, as from a new registry of the same name.
    pub(crate) fn empty(&self) {
        let mut contents = self.contents.lock().unwrap();
        let begun = contents.begun;
        *contents = Contents { begun, ..Contents::default() };
    }

    /// Returns how many requests of a method there were.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.contents.lock().unwrap().log.iter().filter(|(found, ..)| found == method).count()
    }

    /// Returns every tag whose manifest, or anything below it, is missing.
    pub(crate) fn dangling(&self) -> Vec<String> {
        let contents = self.contents.lock().unwrap();
        let mut dangling = Vec::new();
        for ((name, tag), digest) in &contents.tags {
            let mut wanted = vec![*digest];
            while let Some(next) = wanted.pop() {
                if contents.blobs.contains_key(&next) {
                    continue;
                }
                let Some((_, bytes)) = contents.manifests.get(&(name.clone(), next)) else {
                    dangling.push(format!("{name}:{tag} wants {next}"));
                    continue;
                };
                wanted.extend(below(bytes));
            }
        }
        dangling
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
                None => break,
            };
        }
        let (number, manners) = {
            let mut contents = self.contents.lock().unwrap();
            contents.log.push((method.clone(), target.clone(), headers.get("authorization").cloned()));
            (contents.log.len() - 1, self.manners.lock().unwrap().clone())
        };
        let mishap = manners.mishaps.get(&number).copied();
        let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let take = match mishap {
            Some(Mishap::Cut) => return cut(stream),
            Some(Mishap::Hang) => {
                let _ = reader.read(&mut [0; 1]);
                return None;
            }
            Some(Mishap::CutAfter(bytes)) => bytes.min(length),
            _ => length,
        };
        let mut body = vec![0; take];
        reader.read_exact(&mut body).ok()?;
        let answer = match mishap {
            Some(Mishap::Status(status)) => Reply::new(status),
            _ if manners.wants.is_some() && manners.wants.as_ref() != headers.get("authorization") => {
                let mut reply = Reply::new(401);
                reply.headers.extend(manners.challenge.clone().map(|text| ("WWW-Authenticate", text)));
                reply
            }
            _ => self.answer(&manners, &method, &target, &headers, body),
        };
        if matches!(mishap, Some(Mishap::CutAfter(_) | Mishap::CutAnswer)) {
            return cut(stream);
        }
        let mut text = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut stream = stream;
        stream.write_all(text.as_bytes()).ok()?;
        if method != "HEAD" {
            stream.write_all(&answer.body).ok()?;
        }
        Some(())
    }

    fn answer(
        &self,
        manners: &Manners,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Reply {
        let mut contents = self.contents.lock().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<&str, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k, v.replace("%3A", ":").replace("%2F", "/")))
            .collect();
        let Some(rest) = path.strip_prefix("/v2/") else { return Reply::new(404) };
        if rest.is_empty() {
            return Reply::new(200);
        }
        if let Some((name, id)) = rest.split_once("/blobs/uploads/") {
            return contents.upload(method, name, id, &query, headers, body);
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            let Ok(digest) = digest.parse::<Digest>() else { return Reply::new(400) };
            if manners.apart && method == "HEAD" {
                return Reply::new(404);
            }
            let lie = manners.lies.get(&digest).cloned();
            return match lie.or_else(|| contents.blobs.get(&digest).cloned()) {
                Some(body) => {
                    Reply { body, ..Reply::new(200) }.with("Content-Type", "application/octet-stream".to_owned())
                }
                None => Reply::new(404),
            };
        }
        if let Some((name, which)) = rest.split_once("/manifests/") {
            return contents.manifest(manners, method, name, which, headers, body);
        }
        if let Some((name, digest)) = rest.split_once("/referrers/") {
            let Ok(digest) = digest.parse::<Digest>() else { return Reply::new(400) };
            if !manners.referrers {
                return Reply::new(404);
            }
            let all: Vec<serde_json::Value> = contents
                .manifests
                .iter()
                .filter(|((own, _), _)| own == name)
                .filter_map(|((_, own), (kind, bytes))| {
                    let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    (manifest["subject"]["digest"] == digest.to_string()).then(|| {
                        serde_json::json!({"mediaType": kind, "digest": own.to_string(), "size": bytes.len(),
                            "artifactType": manifest["artifactType"], "annotations": manifest["annotations"]})
                    })
                })
                .collect();
            let kind = "application/vnd.oci.image.index.v1+json";
            let body = serde_json::json!({"schemaVersion": 2, "mediaType": kind, "manifests": all}).to_string();
            let mut reply = Reply { body: body.into_bytes(), ..Reply::new(200) };
            reply.headers.push(("Content-Type", kind.to_owned()));
            return reply;
        }
        Reply::new(404)
    }
}

impl Contents {
    fn upload(
        &mut self,
        method: &str,
        name: &str,
        id: &str,
        query: &BTreeMap<&str, String>,
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Reply {
        let place = |id: &str| format!("/v2/{name}/blobs/uploads/{id}?state=x");
        if method == "POST" {
            if let Some(digest) = query.get("mount").and_then(|text| text.parse::<Digest>().ok())
                && self.blobs.contains_key(&digest)
            {
                return Reply::new(201);
            }
            self.begun += 1;
            let id = format!("u{}", self.begun);
            self.uploads.insert(id.clone(), Vec::new());
            return Reply::new(202).with("Location", place(&id));
        }
        let Some(upload) = self.uploads.get_mut(id) else { return Reply::new(404) };
        let range = |upload: &Vec<u8>| format!("0-{}", upload.len().saturating_sub(1));
        match method {
            "GET" => Reply::new(204).with("Location", place(id)).with("Range", range(upload)),
            "PATCH" => {
                if let Some(start) =
                    headers.get("content-range").and_then(|text| text.split('-').next()?.parse::<usize>().ok())
                    && start != upload.len()
                {
                    return Reply::new(416);
                }
                upload.extend_from_slice(&body);
                Reply::new(202).with("Location", place(id)).with("Range", range(upload))
            }
            "PUT" => {
                upload.extend_from_slice(&body);
                let wanted = query.get("digest").and_then(|text| text.parse::<Digest>().ok());
                let found = Digest::of(upload);
                if wanted != Some(found) {
                    return Reply::new(400);
                }
                let bytes = self.uploads.remove(id).unwrap();
                self.blobs.insert(found, bytes);
                Reply::new(201)
            }
            _ => Reply::new(405),
        }
    }

    fn manifest(
        &mut self,
        manners: &Manners,
        method: &str,
        name: &str,
        which: &str,
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Reply {
        let digest = which.parse::<Digest>().ok();
        if method == "PUT" {
            let found = Digest::of(&body);
            if digest.is_some_and(|digest| digest != found) {
                return Reply::new(400);
            }
            for wanted in below(&body) {
                if !self.blobs.contains_key(&wanted) && !self.manifests.contains_key(&(name.to_owned(), wanted)) {
                    return Reply::new(404);
                }
            }
            let manifest: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let subject = manifest["subject"]["digest"].as_str().map(str::to_owned);
            let kind = headers.get("content-type").cloned().unwrap_or_default();
            self.manifests.insert((name.to_owned(), found), (kind, body));
            if digest.is_none() {
                self.tags.insert((name.to_owned(), which.to_owned()), found);
            }
            let reply = Reply::new(201).with("Docker-Content-Digest", found.to_string());
            return match subject {
                Some(subject) if manners.referrers => reply.with("OCI-Subject", subject),
                _ => reply,
            };
        }
        let digest = digest.or_else(|| self.tags.get(&(name.to_owned(), which.to_owned())).copied());
        match digest.and_then(|digest| self.manifests.get(&(name.to_owned(), digest))) {
            Some((kind, bytes)) => Reply { body: bytes.clone(), ..Reply::new(200) }
                .with("Content-Type", kind.clone())
                .with("Docker-Content-Digest", Digest::of(bytes).to_string()),
            None => Reply::new(404),
        }
    }
}

/// Returns what a manifest or index names below itself; its subject may be missing (OCI image-spec 1.1).
fn below(bytes: &[u8]) -> Vec<Digest> {
    let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    let mut all = [list("layers"), list("manifests")].concat();
    all.extend(document.get("config").cloned());
    all.iter().map(|one| one["digest"].as_str().unwrap().parse().unwrap()).collect()
}

fn cut(stream: &TcpStream) -> Option<()> {
    let _ = stream.shutdown(std::net::Shutdown::Both);
    None
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
