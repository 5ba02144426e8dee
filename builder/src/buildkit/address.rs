//! Where a daemon is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Error;

/// Where a Docker daemon listens unless it is told otherwise.
const DOCKER: &str = "/var/run/docker.sock";
/// The longest path of a socket, without the zero at its end (`sockaddr_un`).
const MAX_SOCKET: usize = 107;

/// Who is expected at an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A socket of buildkitd or of Docker: who it is says the answer.
    Unix(PathBuf),
    /// buildkitd on a network, with or without TLS.
    Tcp(Host),
    /// A Docker daemon's socket.
    DockerUnix(PathBuf),
    /// A Docker daemon on a network, with or without TLS.
    DockerTcp(Host),
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// The address of a daemon: ordered and shown as it was written.
///
/// - `unix:///PATH`: the socket of a buildkitd or of a Docker daemon
/// - `tcp://HOST:PORT`: a buildkitd
/// - `docker://`, `docker:///PATH`, `docker+unix:///PATH`: the socket of a Docker daemon, without a path the usual one
/// - `docker://HOST:PORT`, `docker+tcp://HOST:PORT`: a Docker daemon
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    text: String,
    place: Place,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::Address`] for any other form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |problem| Error::Address { text: text.to_owned(), problem };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refused("it has no `://`"))?;
        let place = match scheme {
            "unix" => Place::Unix(socket(rest).map_err(refused)?),
            "tcp" => Place::Tcp(host(rest).map_err(refused)?),
            "docker" if rest.is_empty() => Place::DockerUnix(PathBuf::from(DOCKER)),
            "docker" if rest.starts_with('/') => Place::DockerUnix(socket(rest).map_err(refused)?),
            "docker+unix" => Place::DockerUnix(socket(rest).map_err(refused)?),
            "docker" | "docker+tcp" => Place::DockerTcp(host(rest).map_err(refused)?),
            _ => return Err(refused("it begins with none of `unix`, `tcp`, `docker`, `docker+unix`, `docker+tcp`")),
        };
        Ok(Self { text: text.to_owned(), place })
    }

    /// Returns the address of the Docker daemon at this socket.
    pub fn docker(socket: &Path) -> Self {
        Self { text: format!("docker://{}", socket.display()), place: Place::DockerUnix(socket.to_owned()) }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl Default for Address {
    /// Returns the address of the machine's own Docker daemon.
    fn default() -> Self {
        Self { text: "docker://".to_owned(), place: Place::DockerUnix(PathBuf::from(DOCKER)) }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn socket(path: &str) -> Result<PathBuf, &'static str> {
    if !path.starts_with('/') {
        return Err("the path of a socket begins with `/`, so that there are three of them");
    }
    if path.len() > MAX_SOCKET {
        return Err("the path of a socket has at most 107 bytes");
    }
    if path.contains('\0') {
        return Err("a path has no zero byte");
    }
    Ok(PathBuf::from(path))
}

fn host(text: &str) -> Result<Host, &'static str> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once("]:").ok_or("an IPv6 address is `[ADDRESS]:PORT`")?;
            name.parse::<std::net::Ipv6Addr>().map_err(|_| "what stands in brackets is no IPv6 address")?;
            (name, port)
        }
        None => text.rsplit_once(':').ok_or("it has no port")?,
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !text.starts_with('[') && !name.chars().all(good) {
        return Err("its host is no name and no IP address");
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its port is no number");
    }
    match port.parse() {
        Ok(0) | Err(_) => Err("its port is not between 1 and 65535"),
        Ok(port) => Ok(Host { name: name.to_owned(), port }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        let address = Address::parse(text).unwrap();
        assert_eq!(address.to_string(), text);
        address.place
    }

    #[test]
    fn every_form_is_read() {
        let named = |name: &str, port| Host { name: name.to_owned(), port };
        assert_eq!(place("unix:///run/b.sock"), Place::Unix(PathBuf::from("/run/b.sock")));
        assert_eq!(place("tcp://farm-1.example:1234"), Place::Tcp(named("farm-1.example", 1234)));
        assert_eq!(place("tcp://[::1]:1"), Place::Tcp(named("::1", 1)));
        assert_eq!(place("docker://"), *Address::default().place());
        assert_eq!(place("docker:///run/d.sock"), Place::DockerUnix(PathBuf::from("/run/d.sock")));
        assert_eq!(place("docker+unix:///run/d.sock"), Place::DockerUnix(PathBuf::from("/run/d.sock")));
        assert_eq!(place("docker://127.0.0.1:2376"), Place::DockerTcp(named("127.0.0.1", 2376)));
        assert_eq!(place("docker+tcp://h:2376"), Place::DockerTcp(named("h", 2376)));
        assert_eq!(named("::1", 1).to_string(), "[::1]:1");
    }

    #[test]
    fn any_other_is_refused_with_a_reason() {
        let said = |text: &str| match Address::parse(text) {
            Err(Error::Address { problem, .. }) => problem,
            other => panic!("`{text}`: {other:?}"),
        };
        assert_eq!(said("/run/b.sock"), "it has no `://`");
        assert!(said("ssh://h").starts_with("it begins with none of"));
        assert!(said("unix://run/b.sock").contains("three"));
        assert!(said("unix://").contains("begins with `/`"));
        assert!(said(&format!("unix:///{}", "x".repeat(107))).contains("107"));
        assert_eq!(said("tcp://h"), "it has no port");
        assert!(said("tcp://h:0").contains("65535") && said("tcp://h:65536").contains("65535"));
        assert_eq!(said("tcp://h:+1"), "its port is no number");
        assert!(said("tcp://:1").contains("its host") && said("tcp://a/b:1").contains("its host"));
        assert!(said("tcp://[::1]").contains("IPv6") && said("tcp://[h]:1").contains("IPv6"));
        assert_eq!(said("docker+tcp://"), "it has no port");
    }
}
