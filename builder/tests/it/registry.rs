//! Registries: a strict one in this process that can be unkind, and Debian's own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

use tarsia::diag::Diagnose as _;
use tarsia::digest::Digest;
use tarsia::image::{Descriptor, MANIFEST, Reference};
use tarsia::registry::{
    CredentialFiles, EMPTY, EMPTY_BYTES, Error, Options, Pushed, ReferrerManifest, Registry, Repository,
};

use crate::server::{Manners, Mishap, Server};

fn options() -> Options {
    Options { pause: Duration::from_millis(1), settle: Duration::from_millis(60), ..Options::default() }
}

fn registry() -> Registry {
    Registry::new(options(), CredentialFiles::default())
}

fn reference(server: &Server, name: &str) -> Reference {
    Reference::of_registry(&format!("docker://{}/{name}", server.host)).unwrap()
}

fn put(repository: &Repository<'_>, bytes: &'static [u8]) -> Result<Pushed, Error> {
    let open = move || Ok(Box::new(bytes) as Box<dyn Read + Send>);
    repository.push_blob(&Digest::of(bytes), bytes.len() as u64, None, &open)
}

/// Pushes an image of one layer under `tag`, as a push does: blobs, manifest, tag.
fn push(repository: &Repository<'_>, tag: &str) -> Result<Descriptor, Error> {
    const LAYER: &[u8] = &[7; 300_000];
    put(repository, LAYER)?;
    put(repository, EMPTY_BYTES)?;
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": Descriptor::of(EMPTY, EMPTY_BYTES), "layers": [Descriptor::of("application/octet-stream", LAYER)]});
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes).to_string();
    if !repository.has_document(&digest.parse().unwrap())? {
        repository.put_document(&digest, MANIFEST, &bytes)?;
    }
    if repository.resolve(tag)? != Some(Digest::of(&bytes)) {
        repository.put_document(tag, MANIFEST, &bytes)?;
    }
    Ok(Descriptor::of(MANIFEST, &bytes))
}

fn attachment(subject: &Descriptor, blob: &'static [u8]) -> ReferrerManifest {
    let annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    ReferrerManifest::new("application/x-test", subject, Descriptor::of("application/x-test", blob), annotations)
}

#[test]
fn what_is_there_is_not_sent_again() {
    let server = Server::start(Manners::default());
    let registry = registry();
    let repository = registry.repository(&reference(&server, "team/web:v1"));
    let first = push(&repository, "v1").unwrap();
    server.behave(Manners::default());
    assert_eq!(push(&repository, "v1").unwrap(), first);
    assert_eq!(server.count("PUT") + server.count("POST") + server.count("PATCH"), 0);
    let mut bytes = Vec::new();
    let layer = Descriptor::of("application/octet-stream", &[7; 300_000]);
    repository.blob(&layer, &mut bytes).unwrap();
    assert_eq!(bytes.len(), 300_000);
    assert_eq!(repository.resolve("v1").unwrap(), Some(first.digest));
    assert_eq!(repository.resolve("v2").unwrap(), None);
    let other = registry.repository(&reference(&server, "other"));
    assert!(other.document(&first.digest.to_string()).unwrap().is_none());
    let open = || -> std::io::Result<Box<dyn Read + Send>> { panic!("what is mounted is not read") };
    server.contents.lock().unwrap().log.clear();
    server.behave(Manners::default());
    // The server holds blobs for all; without a HEAD that finds it, it would be mounted.
    assert_eq!(other.push_blob(&layer.digest, layer.size, Some("team/web"), &open).unwrap(), Pushed::Present);
}

/// Cuts a push at its first, second, … request in every way; the push tries on, and no tag ever dangles.
#[test]
fn every_mishap_of_a_push_is_survived() {
    let requests = {
        let server = Server::start(Manners::default());
        push(&registry().repository(&reference(&server, "web")), "v1").unwrap();
        server.contents.lock().unwrap().log.len()
    };
    assert!(requests >= 10, "{requests}");
    for number in 0..requests {
        for mishap in
            [Mishap::Cut, Mishap::CutAfter(100_000), Mishap::CutAnswer, Mishap::Status(503), Mishap::Status(429)]
        {
            let manners = Manners { mishaps: BTreeMap::from([(number, mishap)]), ..Manners::default() };
            let server = Server::start(manners);
            push(&registry().repository(&reference(&server, "web")), "v1")
                .unwrap_or_else(|error| panic!("{number} {mishap:?}: {error}"));
            assert_eq!(server.dangling(), Vec::<String>::new(), "{number} {mishap:?}");
        }
    }
}

/// Kills a push at its first, second, … request for good; the next run finishes it.
#[test]
fn a_push_that_was_killed_is_finished_by_the_next() {
    let all = || {
        let server = Server::start(Manners::default());
        push(&registry().repository(&reference(&server, "web")), "v1").unwrap();
        server.contents.lock().unwrap().log.len()
    };
    for number in 0..all() {
        let mishaps = (number..number + 50).map(|number| (number, Mishap::Cut)).collect();
        let server = Server::start(Manners { mishaps, ..Manners::default() });
        let impatient = Registry::new(Options { retries: 0, ..options() }, CredentialFiles::default());
        let error = push(&impatient.repository(&reference(&server, "web")), "v1").unwrap_err();
        assert_eq!(error.code(), "registry::unreachable", "{error}");
        assert_eq!(server.dangling(), Vec::<String>::new());
        server.behave(Manners::default());
        push(&registry().repository(&reference(&server, "web")), "v1").unwrap();
        assert_eq!(server.dangling(), Vec::<String>::new());
        assert_eq!(server.contents.lock().unwrap().tags.len(), 1);
    }
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    // HEAD, POST, PATCH: the third request is the one with the bytes.
    let manners = Manners { mishaps: BTreeMap::from([(2, Mishap::CutAfter(0))]), ..Manners::default() };
    let server = Server::start(manners);
    let registry = registry();
    let repository = registry.repository(&reference(&server, "web"));
    put(&repository, &[1; 1000]).unwrap();
    assert_eq!(server.contents.lock().unwrap().blobs.len(), 1);
    assert!(
        server.contents.lock().unwrap().log.iter().any(|(method, path, _)| method == "GET" && path.contains("uploads"))
    );
}

#[test]
fn bytes_that_are_not_what_they_were_named_for_are_refused() {
    let lie: &[u8] = b"lie";
    let server =
        Server::start(Manners { lies: BTreeMap::from([(Digest::of(b"true"), lie.to_vec())]), ..Manners::default() });
    let registry = registry();
    let repository = registry.repository(&reference(&server, "web"));
    let subject = push(&repository, "v1").unwrap();
    for truth in [&b"true"[..], b"tru"] {
        let wanted = Descriptor { digest: Digest::of(b"true"), ..Descriptor::of("x", truth) };
        let error = repository.blob(&wanted, &mut Vec::new()).unwrap_err();
        assert_eq!(error.code(), "registry::mismatch", "{error}");
    }
    let mut contents = server.contents.lock().unwrap();
    let forged = contents.manifests.values_mut().next().unwrap();
    forged.1.push(b'\n');
    drop(contents);
    assert_eq!(repository.document(&subject.digest.to_string()).unwrap_err().code(), "registry::mismatch");
}

#[test]
fn referrers_are_listed_by_the_registry_or_under_a_tag() {
    for referrers in [true, false] {
        let server = Server::start(Manners { referrers, ..Manners::default() });
        let registry = registry();
        let repository = registry.repository(&reference(&server, "web"));
        let subject = push(&repository, "v1").unwrap();
        assert_eq!(repository.referrers(&subject.digest, None).unwrap(), []);
        let manifest = attachment(&subject, b"one");
        put(&repository, b"one").unwrap();
        assert!(repository.attach(&manifest).unwrap());
        assert_eq!(repository.referrers(&subject.digest, None).unwrap(), [manifest.referrer()]);
        assert_eq!(repository.referrers(&subject.digest, Some("other")).unwrap(), []);
        server.behave(Manners { referrers, ..Manners::default() });
        assert!(!repository.attach(&manifest).unwrap(), "attaching again is no change");
        assert_eq!(server.count("PUT"), 0);
        let tag = format!("sha256-{}", subject.digest.hex());
        assert_eq!(repository.document(&tag).unwrap().is_some(), !referrers);
    }
}

#[test]
fn writers_at_once_lose_nothing() {
    const WRITERS: usize = 6;
    let server = Server::start(Manners::default());
    let registry = registry();
    let repository = registry.repository(&reference(&server, "web"));
    let subject = push(&repository, "v1").unwrap();
    let blobs: Vec<&'static [u8]> = vec![b"a", b"b", b"c", b"d", b"e", b"f"];
    for blob in &blobs {
        put(&repository, blob).unwrap();
    }
    let barrier = std::sync::Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for blob in &blobs {
            scope.spawn(|| {
                let registry = self::registry();
                let repository = registry.repository(&reference(&server, "web"));
                barrier.wait();
                repository.attach(&attachment(&subject, blob)).unwrap();
            });
        }
    });
    let found: BTreeSet<Digest> =
        repository.referrers(&subject.digest, None).unwrap().into_iter().map(|one| one.digest).collect();
    let wanted: BTreeSet<Digest> = blobs.iter().map(|blob| attachment(&subject, blob).referrer().digest).collect();
    assert_eq!(found, wanted);
}

#[test]
fn an_entry_without_its_kind_is_opened_for_it() {
    let server = Server::start(Manners::default());
    let registry = registry();
    let repository = registry.repository(&reference(&server, "web"));
    let subject = push(&repository, "v1").unwrap();
    put(&repository, b"one").unwrap();
    let manifest = attachment(&subject, b"one");
    repository.attach(&manifest).unwrap();
    let tag = format!("sha256-{}", subject.digest.hex());
    let list = repository.document(&tag).unwrap().unwrap();
    let text = String::from_utf8(list.bytes).unwrap().replace("application/x-test", EMPTY);
    repository.put_document(&tag, &list.media_type, text.as_bytes()).unwrap();
    assert_eq!(repository.referrers(&subject.digest, Some("application/x-test")).unwrap().len(), 1);
}

fn files(host: &str, pair: &str) -> CredentialFiles {
    let auth = base64(pair);
    CredentialFiles::new(vec![("config.json".to_owned(), format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#))])
}

fn base64(text: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_stored_credential_opens_a_registry() {
    let wants = Some(format!("Basic {}", base64("u:p")));
    let server =
        Server::start(Manners { wants, challenge: Some("Basic realm=\"x\"".to_owned()), ..Manners::default() });
    let place = reference(&server, "web");
    let good = Registry::new(options(), files(&server.host, "u:p"));
    push(&good.repository(&place), "v1").unwrap();
    for (credentials, text) in [
        (CredentialFiles::default(), "it asks for a credential, and none is stored"),
        (files(&server.host, "u:q"), "the stored credential is not taken"),
        (files("127.0.0.1:1", "u:p"), "it asks for a credential, and none is stored"),
    ] {
        let registry = Registry::new(options(), credentials);
        let error = push(&registry.repository(&place), "v1").unwrap_err().to_string();
        assert!(error.ends_with(text), "{error}");
    }
}

#[test]
fn a_token_service_on_a_foreign_host_gets_no_credential() {
    let service = Server::start(Manners::default());
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"x\"", service.host);
    let wants = Some("Bearer none".to_owned());
    let server = Server::start(Manners { wants, challenge: Some(challenge), ..Manners::default() });
    let registry = Registry::new(options(), files(&server.host, "u:p"));
    let error = push(&registry.repository(&reference(&server, "web")), "v1").unwrap_err();
    assert_eq!(error.code(), "registry::realm", "{error}");
    assert!(service.contents.lock().unwrap().log.is_empty(), "nothing was asked there");
}
