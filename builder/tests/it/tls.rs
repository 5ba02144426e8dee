//! A certificate authority, and a server on this machine's loopback that it vouches for.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::container::must;

/// An authority of one server, `127.0.0.1`.
pub(crate) struct Authority {
    dir: PathBuf,
    name: &'static str,
}

impl Authority {
    /// Makes one whose certificate is `<name>.pem` in `dir`.
    pub(crate) fn new(dir: &Path, name: &'static str) -> Self {
        let authority = Self { dir: dir.to_owned(), name };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let subject = format!("/CN=Tarsia Test {name}");
        authority.openssl(
            // Python 3.13 verifies by RFC 5280 to the letter.
            &["req", "-x509", "-subj", &subject, "-addext", "keyUsage=critical,keyCertSign", "-days", "30"],
            &key,
            &[("-keyout", "key"), ("-out", "pem")],
        );
        authority.openssl(
            &["req", "-subj", "/CN=localhost"],
            &key,
            &[("-keyout", "server.key"), ("-out", "server.csr")],
        );
        let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n\
                          subjectKeyIdentifier=hash\nbasicConstraints=CA:FALSE\n";
        std::fs::write(dir.join(format!("{name}.ext")), extensions).unwrap();
        authority.openssl(
            &["x509", "-req", "-CAcreateserial", "-days", "30"],
            &[],
            &[("-in", "server.csr"), ("-CA", "pem"), ("-CAkey", "key"), ("-extfile", "ext"), ("-out", "server.pem")],
        );
        authority
    }

    fn openssl(&self, arguments: &[&str], more: &[&str], files: &[(&str, &str)]) {
        let mut command = Command::new("openssl");
        command.args(arguments).args(more).current_dir(&self.dir);
        for (flag, ending) in files {
            command.arg(flag).arg(format!("{}.{ending}", self.name));
        }
        must(&mut command);
    }

    /// Starts a server that tells about the connection it is asked over.
    pub(crate) fn serve(&self) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("openssl")
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-www", "-quiet"])
            .args(["-cert", &format!("{}.server.pem", self.name), "-key", &format!("{}.server.key", self.name)])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Server { child, port }
    }
}

/// A server; it dies with this value.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Its address for a client on this machine.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
