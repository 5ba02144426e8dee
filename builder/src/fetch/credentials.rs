//! Logins for private archives: netrc, and apt's auth.conf (apt_auth.conf(5)).
//!
//! Texts come in that somebody else has read; a login goes out for an address that it is meant for, and for no other.
//! Nothing here is ever shown: the types print as dots.

use std::fmt;
use std::sync::Arc;

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// What a server is shown, and what it must show, beside what holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Who asks.
    pub login: Option<Login>,
    /// PEM text of certificate authorities that count for it as well.
    pub authorities: Option<Arc<[u8]>>,
}

/// Every login that the machine knows, in the order of its files.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    entries: Vec<Entry>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} …)", self.entries.len())
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    scheme: Option<String>,
    /// Host, perhaps with port and the beginning of a path.
    place: String,
    login: Login,
}

impl Credentials {
    /// Adds the logins of a file: `machine PLACE login USER password PASSWORD`, on one line or several.
    ///
    /// What is not understood is passed over, and so is `default`, which would send a password to any host.
    pub fn add(&mut self, text: &str) {
        let mut entry: Option<Entry> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "machine" => {
                        self.entries.extend(entry.take().filter(Entry::is_whole));
                        entry = words.next().map(Entry::of);
                    }
                    "default" => self.entries.extend(entry.take().filter(Entry::is_whole)),
                    "login" => set(&mut entry, words.next(), |login| &mut login.user),
                    "password" => set(&mut entry, words.next(), |login| &mut login.password),
                    "account" => drop(words.next()),
                    // A macro ends with an empty line.
                    "macdef" => {
                        lines.by_ref().find(|line| line.trim().is_empty());
                        break;
                    }
                    comment if comment.starts_with('#') => break,
                    _ => {}
                }
            }
        }
        self.entries.extend(entry.filter(Entry::is_whole));
    }

    /// Returns the login for an address; the first entry that is meant for it counts.
    ///
    /// As apt has it: an entry of a host alone is for every port, one with a path is for what begins with it, and
    /// without a scheme it is for https only, and for this machine itself.
    pub fn of(&self, url: &str) -> Option<&Login> {
        let (scheme, rest) = url.split_once("://")?;
        let (server, _) = rest.split_once('/').unwrap_or((rest, ""));
        if server.contains('@') {
            return None;
        }
        let host = host_of(server);
        let encrypted = scheme == "https" || is_loopback(host);
        let fits = |entry: &&Entry| {
            let place = entry.place.as_str();
            let here = if place.contains('/') { rest.starts_with(place) } else { place == server || place == host };
            here && entry.scheme.as_deref().map_or(encrypted, |named| named == scheme)
        };
        self.entries.iter().find(fits).map(|entry| &entry.login)
    }
}

impl Entry {
    fn of(place: &str) -> Self {
        let (scheme, place) = match place.split_once("://") {
            Some((scheme, place)) => (Some(scheme.to_owned()), place),
            None => (None, place),
        };
        // `host/` is the host.
        let place = place.strip_suffix('/').filter(|host| !host.contains('/')).unwrap_or(place).to_owned();
        Self { scheme, place, login: Login { user: String::new(), password: String::new() } }
    }

    fn is_whole(&self) -> bool {
        !self.place.is_empty() && !self.login.user.is_empty()
    }
}

fn set(entry: &mut Option<Entry>, word: Option<&str>, field: fn(&mut Login) -> &mut String) {
    if let (Some(entry), Some(word)) = (entry, word) {
        word.clone_into(field(&mut entry.login));
    }
}

/// Returns a server without its port.
fn host_of(server: &str) -> &str {
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => server,
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# for all of us\nmachine apt.example.org login one password p#1\n\
        machine apt.example.com/acme/\n  login two\n  password p2\nmachine http://plain.example.org login three password p3\n\
        macdef init\n  machine macro.example.org login no password no\n\n\
        machine apt.example.org:8443/x login four password p4 machine ported.example.org:444 login five password p5\n\
        machine half.example.org password only\ndefault login any password any\n";

    #[test]
    fn a_login_goes_where_it_is_meant_to_and_nowhere_else() {
        let mut credentials = Credentials::default();
        credentials.add(TEXT);
        for (url, user) in [
            ("https://apt.example.org/debian/x", Some("one")),
            ("https://apt.example.org", Some("one")),
            ("https://apt.example.org:8443/x/y", Some("one")),
            ("http://apt.example.org/debian", None),
            ("https://xapt.example.org/", None),
            ("https://apt.example.org.evil.example/", None),
            ("https://apt.example.com/acme/dists", Some("two")),
            ("https://apt.example.com/other", None),
            ("https://apt.example.com:444/acme/", None),
            ("http://plain.example.org/x", Some("three")),
            ("https://plain.example.org/x", None),
            ("https://ported.example.org:444/", Some("five")),
            ("https://ported.example.org/", None),
            ("https://macro.example.org/", None),
            ("https://half.example.org/", None),
            ("https://elsewhere.example.org/", None),
            ("https://own:pw@apt.example.org/", None),
            ("file:///apt.example.org/", None),
        ] {
            assert_eq!(credentials.of(url).map(|login| login.user.as_str()), user, "{url}");
        }
        assert_eq!(credentials.of("https://apt.example.org/").unwrap().password, "p#1");
        let mut local = Credentials::default();
        local.add("machine 127.0.0.1 login l password p");
        assert!(local.of("http://127.0.0.1:8000/x").is_some());
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let mut credentials = Credentials::default();
        credentials.add("machine a.example login user password secret");
        let access = Access { login: credentials.of("https://a.example/").cloned(), authorities: None };
        let shown = format!("{credentials:?} {access:?}");
        assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
    }
}
