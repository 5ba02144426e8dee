//! A mirror that does not mean well: it speaks HTTP, and what it says is not what was asked for.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use super::{good, judge, locked};
use crate::program::{Place, Ran};

/// What the mirror does with a request for a package; everything else it serves as it is.
type Answer = fn(&mut TcpStream, &[u8]);

/// Serves a directory until the test ends, packages by `answer`; returns its address.
fn serve(root: PathBuf, answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, root) = (connection.unwrap(), root.clone());
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                let text = String::from_utf8_lossy(&head).into_owned();
                let path = text.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
                match std::fs::read(root.join(&path)) {
                    Ok(bytes) if path.ends_with(".deb") => answer(&mut connection, &bytes),
                    Ok(bytes) => whole(&mut connection, "200 OK", &bytes),
                    Err(_) => whole(&mut connection, "404 Not Found", b"<html>not here</html>"),
                }
            });
        }
    });
    address
}

fn head(connection: &mut TcpStream, status: &str, fields: &str) {
    let _ = write!(connection, "HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n");
}

fn whole(connection: &mut TcpStream, status: &str, bytes: &[u8]) {
    head(connection, status, &format!("Content-Length: {}\r\n", bytes.len()));
    let _ = connection.write_all(bytes);
}

/// Builds from an empty store, packages from the mirror alone.
fn build(place: &Place, address: &str) -> Ran {
    let yaml = std::fs::read_to_string(place.path("web.yaml")).unwrap();
    let start = yaml.find("uri: \"").unwrap() + 6;
    let end = start + yaml[start..].find('"').unwrap();
    place.write("web.yaml", format!("{}{address}{}", &yaml[..start], &yaml[end..]));
    super::bounded(place, &["build", "web.yaml", "-o", "web.oci"])
}

#[test]
fn mirrors() {
    let cases: Vec<(&str, Answer, &str, &str)> = vec![
        ("html with status 200", |to, _| whole(to, "200 OK", b"<html>sign in</html>"), "fetch::unavailable", "bytes"),
        ("html with status 404", |to, _| whole(to, "404 Not Found", b"<html>"), "fetch::unavailable", "404"),
        ("forbidden", |to, _| whole(to, "403 Forbidden", b""), "fetch::unavailable", "403"),
        (
            "another file of the right size",
            |to, bytes| whole(to, "200 OK", &vec![b'x'; bytes.len()]),
            "fetch::mismatch",
            "sha256:",
        ),
        ("a larger file", |to, bytes| whole(to, "200 OK", &[bytes, b"x"].concat()), "fetch::unavailable", "bytes"),
        ("a smaller file", |to, bytes| whole(to, "200 OK", &bytes[1..]), "fetch::unavailable", "bytes"),
        (
            "a body without end",
            |to, _| {
                head(to, "200 OK", "");
                while to.write_all(&[b'x'; 4096]).is_ok() {}
            },
            "fetch::unavailable",
            "more than",
        ),
        (
            "a size without measure",
            |to, _| {
                head(to, "200 OK", "Content-Length: 18446744073709551615\r\n");
                while to.write_all(&[b'x'; 4096]).is_ok() {}
            },
            "fetch::unavailable",
            "",
        ),
        (
            "a redirect to a file",
            |to, _| head(to, "302 Found", "Location: file:///etc/passwd\r\nContent-Length: 0\r\n"),
            "fetch::unavailable",
            "",
        ),
        (
            "a redirect to itself",
            |to, _| head(to, "302 Found", "Location: x.deb\r\nContent-Length: 0\r\n"),
            "fetch::unavailable",
            "",
        ),
        (
            "a range that nobody asked for",
            |to, bytes| {
                let fields = format!("Content-Range: bytes 1-9/{}\r\nContent-Length: 9\r\n", bytes.len());
                head(to, "206 Partial Content", &fields);
                let _ = to.write_all(&bytes[1..10]);
            },
            "fetch::unavailable",
            "206",
        ),
        (
            "an encoding that nobody asked for",
            |to, bytes| {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                let packed = encoder.finish().unwrap();
                head(to, "200 OK", &format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", packed.len()));
                let _ = to.write_all(&packed);
            },
            "fetch::unavailable",
            "bytes",
        ),
        (
            "always cut short",
            |to, bytes| {
                head(to, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()));
                let _ = to.write_all(&bytes[..10]);
            },
            "fetch::unavailable",
            "",
        ),
        ("no HTTP at all", |to, _| drop(to.write_all(b"SSH-2.0-x\r\n")), "fetch::unavailable", ""),
        (
            "a head without end",
            |to, _| {
                let _ = to.write_all(b"HTTP/1.1 200 OK\r\n");
                while to.write_all(&[b'X'; 4096]).is_ok() {}
            },
            "fetch::unavailable",
            "",
        ),
    ];
    let mut wrong = Vec::new();
    for (case, answer, code, said) in cases {
        let place = Place::new();
        let root = good().write(&place);
        crate::world::spec(&place, "web", "packages: [hello]\nkeep: runtime\n");
        let ran = build(&place, &serve(root.clone(), answer));
        let judged = std::panic::catch_unwind(|| judge(case, &ran, code, said));
        wrong.extend(judged.err().map(|_| case));
        assert!(!place.path("web.oci").exists(), "{case}");
        // A mirror that does mean well, and the same store.
        let ran = build(&place, &serve(root, |to, bytes| whole(to, "200 OK", bytes)));
        assert_eq!(ran.status, 0, "{case}: {}", ran.err);
        assert_eq!(super::digest(&ran), super::expected(), "{case}");
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn a_mirror_that_is_not_asked_cannot_harm() {
    let (place, _) = locked();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let ran = super::bounded(&place, &["build", "web.yaml", "-o", "web.oci", "--mirror", "test=http://127.0.0.1:1"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}
