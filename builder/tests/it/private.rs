//! Archives with logins and an authority of their own, on a local TLS server: who is let in, and what never leaves.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::deb::deb;
use crate::program::{Place, Ran};
use crate::world::Archive;

/// `user:s3cret` as HTTP's basic authentication writes it.
const LOGIN: &str = "authorization: basic dxnlcjpzm2nyzxq=";
const PASSWORD: &str = "s3cret";

/// A server on this machine, with a certificate that no machine trusts.
struct Server {
    /// `https://127.0.0.1:PORT`.
    url: String,
    /// `127.0.0.1:PORT`.
    host: String,
    /// The authority that signed its certificate, as PEM.
    authority: String,
    /// Heads of all requests, in lower case.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves the files of a directory, to all or to those who log in; packages are found at `elsewhere`, where there
    /// is one.
    fn start(directory: PathBuf, login: bool, elsewhere: Option<String>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (config, seen, directory, elsewhere) =
                    (config.clone(), seen.clone(), directory.clone(), elsewhere.clone());
                std::thread::spawn(move || {
                    let session = rustls::ServerConnection::new(config).unwrap();
                    let mut stream = rustls::StreamOwned::new(session, connection);
                    answer(&mut stream, &seen, &directory, login, elsewhere.as_deref());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Self { url: format!("https://{host}"), host, authority: authority.pem(), heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Answers one request.
fn answer(
    stream: &mut rustls::StreamOwned<rustls::ServerConnection, TcpStream>,
    seen: &Mutex<Vec<String>>,
    directory: &std::path::Path,
    login: bool,
    elsewhere: Option<&str>,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // A client that does not trust the certificate.
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let head = head.to_lowercase();
    seen.lock().unwrap().push(head.clone());
    let (status, header, body) = match std::fs::read(directory.join(&path)) {
        _ if login && !head.contains(LOGIN) => ("401 Unauthorized", String::new(), Vec::new()),
        _ if path.ends_with(".deb") && elsewhere.is_some() => {
            ("302 Found", format!("Location: {}/{path}\r\n", elsewhere.unwrap()), Vec::new())
        }
        Ok(body) => ("200 OK", String::new(), body),
        Err(_) => ("404 Not Found", String::new(), Vec::new()),
    };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(&body);
}

/// A place with an archive of one package.
fn place() -> Place {
    let place = Place::new();
    Archive::new(9).deb(deb("hello", "1.0").file("/usr/bin/hello", 0o755, "hello\n")).write(&place);
    place
}

fn spec(place: &Place, server: &Server, rest: &str) {
    place.write("ca.pem", &server.authority);
    place.write(
        "web.yaml",
        format!(
            "version: 1\nname: web\nplatforms: [linux/amd64]\narchives:\n  acme: {{uri: \"{}\", suite: test, components: [main], signed-by: archive.asc{rest}}}\npackages: [hello]\n",
            server.url
        ),
    );
}

/// Runs the program with logins of its own; what it says never holds a password.
fn run(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = place.tarsia(arguments);
    command.env("NETRC", place.path("netrc")).env("NO_PROXY", "127.0.0.1").env_remove("TARSIA_CA");
    command.envs(variables.iter().copied());
    let ran = Ran::from(command.output().unwrap());
    assert!(!ran.out.contains(PASSWORD) && !ran.err.contains(PASSWORD), "{}{}", ran.out, ran.err);
    ran
}

fn good(ran: &Ran) {
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
}

fn refused(ran: &Ran, said: &[&str]) {
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    for word in said {
        assert!(ran.err.contains(word), "`{word}` is missing in:\n{}", ran.err);
    }
}

#[test]
fn a_login_and_an_authority_open_an_archive_and_stand_in_no_lock() {
    let place = place();
    let server = Server::start(place.path("archive"), true, None);
    place.write("netrc", format!("machine {} login user password {PASSWORD}\n", server.host));
    spec(&place, &server, ", auth: netrc, ca: ca.pem");
    good(&run(&place, &["build", "web.yaml", "-o", "web.oci", "--require-proof"], &[]));
    let heads = server.heads();
    assert!(heads.len() >= 3 && heads.iter().all(|head| head.contains(LOGIN)), "{heads:?}");
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    for secret in [PASSWORD, "127.0.0.1", "netrc", "user"] {
        assert!(!lock.contains(secret), "`{secret}` stands in\n{lock}");
    }
}

#[test]
fn an_authority_may_come_from_a_flag_or_a_variable() {
    let place = place();
    let server = Server::start(place.path("archive"), false, None);
    spec(&place, &server, "");
    refused(&run(&place, &["lock", "web.yaml"], &[]), &["certificate", "--ca FILE"]);
    good(&run(&place, &["lock", "web.yaml", "--ca", "ca.pem"], &[]));
    let _ = std::fs::remove_file(place.path("web.lock"));
    good(&run(&place, &["lock", "web.yaml"], &[("TARSIA_CA", "ca.pem")]));
    refused(&run(&place, &["lock", "web.yaml", "--update", "--ca", "none.pem"], &[]), &["cannot read `none.pem`"]);
    place.write("empty.pem", "");
    refused(&run(&place, &["lock", "web.yaml", "--update", "--ca", "empty.pem"], &[]), &["its file holds none"]);
    // Nobody asked for a login, so none was shown.
    assert!(server.heads().iter().all(|head| !head.contains("authorization")));
}

#[test]
fn who_is_not_let_in_is_told_by_which_archive_and_what_to_do() {
    let place = place();
    let server = Server::start(place.path("archive"), true, None);
    let wrong = "wrong-one";
    place.write("netrc", format!("machine {} login user password {wrong}\n", server.host));
    spec(&place, &server, ", auth: netrc, ca: ca.pem");
    let ran = run(&place, &["lock", "web.yaml"], &[]);
    refused(&ran, &["refuses the login for archive `acme`", "check login and password of `machine 127.0.0.1:"]);
    assert!(!ran.err.contains(wrong));
    place.write("netrc", format!("machine 127.0.0.1:1 login user password {PASSWORD}\n"));
    let said = ["no login is known for archive `acme`", "add `machine 127.0.0.1:", "auth.conf.d"];
    refused(&run(&place, &["lock", "web.yaml"], &[]), &said);
    place.write("netrc", format!("machine {} login user password {PASSWORD}\n", server.host));
    spec(&place, &server, ", ca: ca.pem");
    let before = server.heads().len();
    refused(&run(&place, &["lock", "web.yaml"], &[]), &["archive `acme` asks for a login", "add `auth: netrc`"]);
    assert!(server.heads()[before..].iter().all(|head| !head.contains("authorization")));
    assert!(!place.path("web.lock").exists());
}

#[test]
fn a_login_never_leaves_for_another_origin() {
    let place = place();
    let foreign = Server::start(place.path("archive"), false, None);
    let server = Server::start(place.path("archive"), true, Some(foreign.url.clone()));
    place.write("netrc", format!("machine {} login user password {PASSWORD}\n", server.host));
    spec(&place, &server, ", auth: netrc, ca: both.pem");
    place.write("both.pem", format!("{}{}", server.authority, foreign.authority));
    good(&run(&place, &["build", "web.yaml", "-o", "web.oci"], &[]));
    let heads = foreign.heads();
    assert!(!heads.is_empty() && heads.iter().all(|head| !head.contains("authorization")), "{heads:?}");
    assert!(server.heads().iter().all(|head| head.contains(LOGIN)));
}
