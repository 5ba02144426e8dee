//! A socket that speaks BuildKit's protocol, in front of a Docker daemon that does so only after an upgrade.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Opens a socket at `own` whose connections lead into `POST /grpc` of the daemon at `docker`. It ends with the process.
pub(crate) fn bridge(own: &Path, docker: &Path) {
    let listener = UnixListener::bind(own).unwrap();
    let docker = docker.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let docker = docker.clone();
            std::thread::spawn(move || join(client, &docker));
        }
    });
}

fn join(client: UnixStream, docker: &PathBuf) -> Option<()> {
    let mut daemon = UnixStream::connect(docker).ok()?;
    daemon
        .write_all(
            b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
        )
        .ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        daemon.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return None;
    }
    let there = (client.try_clone().ok()?, daemon.try_clone().ok()?);
    let back = std::thread::spawn(move || copy(daemon, client));
    copy(there.0, there.1);
    back.join().ok()
}

/// Copies until either side ends, and ends both.
fn copy(mut from: UnixStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
