//! Debian's own `docker-registry`, on loopback, with and without logins. It keeps no lists of referrers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::judges::program;
use crate::program::Place;

/// The login that is taken, `user` and `s3cret`, in `htpasswd`'s form.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";
/// The same as Docker's configuration holds it.
const AUTH: &str = "dXNlcjpzM2NyZXQ=";

/// A running registry; it ends when this is dropped.
pub(crate) struct Distribution {
    pub(crate) host: String,
    child: Child,
    _place: Place,
}

impl Distribution {
    /// Starts an empty one; `None` where it is not installed. With `logins`, only a login is let in.
    pub(crate) fn start(logins: bool) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(&free.to_string(), logins)
    }

    /// As [`Distribution::start`], at this host and port.
    pub(crate) fn start_at(host: &str, logins: bool) -> Option<Self> {
        let registry = program("docker-registry")?;
        let place = Place::new();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: \"{host}\"}}\n",
            place.path("data").display()
        );
        if logins {
            let file = place.write("htpasswd", HTPASSWD);
            config.push_str(&format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", file.display()));
        }
        let config = place.write("config.yml", config);
        let child = Command::new(registry)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { host: host.to_owned(), child, _place: place };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !started.answers() {
            assert!(Instant::now() < deadline, "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.host) else { return false };
        let asked = stream.write_all(format!("GET /v2/ HTTP/1.0\r\nHost: {}\r\n\r\n", self.host).as_bytes());
        let mut answer = String::new();
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.")
    }

    /// Stores the login where the program and the judges of a place read it.
    pub(crate) fn log_in(&self, place: &Place) {
        place.write(".docker/config.json", format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{AUTH}\"}}}}}}", self.host));
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
