//! Credentials where other tools keep them: Docker's `config.json`, Podman's `auth.json`, and credential helpers.
//!
//! The files are read by the program and handed in as texts. The first file that knows the registry answers; inside one,
//! a helper for the registry comes before the stored text, that before the general helper (as in docker/cli and
//! containers/image).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Error;

/// The most bytes of a helper's answer.
const MAX_ANSWER: u64 = 1 << 20;
/// How long a helper may take: a person may have to open a keyring.
const PATIENCE: Duration = Duration::from_secs(90);

/// What opens a registry. It has no printed form.
#[derive(Clone)]
pub enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// An identity token, to be exchanged for a bearer token (OAuth2).
    Identity(Zeroizing<String>),
}

/// The files that hold credentials, in the order in which they are asked: name and text.
#[derive(Clone, Default)]
pub struct CredentialFiles(Vec<(String, Zeroizing<String>)>);

/// What of a file matters.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default, deserialize_with = "secret")]
    auth: Zeroizing<String>,
    #[serde(default)]
    username: String,
    #[serde(default, deserialize_with = "secret")]
    password: Zeroizing<String>,
    #[serde(default, rename = "identitytoken", deserialize_with = "secret")]
    identity: Zeroizing<String>,
}

/// A helper's answer (docker/docker-credential-helpers).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    #[serde(deserialize_with = "secret")]
    secret: Zeroizing<String>,
}

impl std::fmt::Debug for CredentialFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl CredentialFiles {
    /// Returns the files in the order in which they are asked.
    pub fn new(files: Vec<(String, String)>) -> Self {
        Self(files.into_iter().map(|(name, text)| (name, Zeroizing::new(text))).collect())
    }

    /// Returns the credential for a repository: the longest stored name that is its host, or its host and the beginning
    /// of its path.
    ///
    /// # Errors
    /// Where a file or a helper's answer is broken. Messages hold no secret.
    pub fn find(&self, host: &str, repository: &str) -> Result<Option<Credential>, Error> {
        for (name, text) in &self.0 {
            let broken = |problem: &str| Error::Credentials { from: name.clone(), problem: problem.to_owned() };
            let config: Config = serde_json::from_str(text).map_err(|error| {
                broken(&format!("it is not of the form of a Docker configuration (line {})", error.line()))
            })?;
            if let Some(helper) = config.helpers.get(host) {
                if let Some(found) = ask(helper, host, PATIENCE)? {
                    return Ok(Some(found));
                }
                continue;
            }
            let mut stored: Vec<(String, &Auth)> = config
                .auths
                .iter()
                .map(|(key, auth)| (plain(key), auth))
                .filter(|(key, _)| fits(key, host, repository))
                .collect();
            stored.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
            for (_, auth) in &stored {
                if let Some(found) =
                    auth.credential().ok_or_else(|| broken("an `auth` is no base64 of `name:password`"))?
                {
                    return Ok(Some(found));
                }
            }
            if !config.store.is_empty()
                && let Some(found) = ask(&config.store, host, PATIENCE)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Auth {
    /// Returns the credential, `Some(None)` where the entry holds none, `None` where it is broken.
    fn credential(&self) -> Option<Option<Credential>> {
        if !self.identity.is_empty() {
            return Some(Some(Credential::Identity(self.identity.clone())));
        }
        if !self.auth.is_empty() {
            let text = Zeroizing::new(String::from_utf8(Base64::decode_vec(self.auth.trim()).ok()?).ok()?);
            let (user, password) = text.split_once(':')?;
            let password = Zeroizing::new(password.trim_end_matches('\0').to_owned());
            return Some(Some(Credential::Password { user: user.to_owned(), password }));
        }
        Some(
            (!self.username.is_empty())
                .then(|| Credential::Password { user: self.username.clone(), password: self.password.clone() }),
        )
    }
}

/// Returns a stored name without its scheme and what Docker puts behind it.
fn plain(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key).to_owned()
}

fn fits(key: &str, host: &str, repository: &str) -> bool {
    match key.strip_prefix(host) {
        Some("") => true,
        Some(path) => path.strip_prefix('/').is_some_and(|path| {
            repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }),
        None => false,
    }
}

/// Asks `docker-credential-HELPER get`.
fn ask(helper: &str, host: &str, patience: Duration) -> Result<Option<Credential>, Error> {
    let program = format!("docker-credential-{helper}");
    let broken = |problem: String| Error::Credentials { from: program.clone(), problem };
    if helper.contains('/') {
        return Err(broken("its name holds a `/`".to_owned()));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| broken(format!("it cannot be run: {error}")))?;
    let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let asked = host.to_owned();
    let (sender, receiver) = mpsc::channel();
    // On a thread of its own, which is left behind where a helper never ends.
    thread::spawn(move || {
        let mut answer = Zeroizing::new(Vec::new());
        // A helper that does not read, or breaks off, has no credential: its status says so.
        let _ = stdin.take().map(|mut stdin| stdin.write_all(asked.as_bytes()));
        let _ = stdout.map(|stdout| stdout.take(MAX_ANSWER).read_to_end(&mut answer));
        let _ = sender.send(answer);
    });
    let deadline = Instant::now() + patience;
    let late = || broken(format!("it has not answered for {} s", patience.as_secs()));
    let answer = receiver.recv_timeout(patience).map_err(|_| late());
    let ended = answer.and_then(|answer| {
        loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok((answer, status)),
                Ok(None) if Instant::now() >= deadline => break Err(late()),
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Err(error) => break Err(broken(format!("it cannot be waited for: {error}"))),
            }
        }
    });
    if ended.is_err() {
        // That it may have ended by now is no matter.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (answer, status) = ended?;
    if !status.success() {
        let text = String::from_utf8_lossy(&answer);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(broken(format!("it ended with {status}")));
    }
    let helped: Helped = serde_json::from_slice(&answer).map_err(|_| broken("it answers no credential".to_owned()))?;
    Ok(Some(match helped.username.as_str() {
        "<token>" => Credential::Identity(helped.secret),
        user => Credential::Password { user: user.to_owned(), password: helped.secret },
    }))
}

/// Reads a text that is overwritten when it is dropped.
pub(super) fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], host: &str, repository: &str) -> Option<(String, String)> {
        let files = texts.iter().map(|text| ("config.json".to_owned(), (*text).to_owned())).collect();
        CredentialFiles::new(files).find(host, repository).unwrap().map(|credential| match credential {
            Credential::Password { user, password } => (user, password.to_string()),
            Credential::Identity(token) => ("<token>".to_owned(), token.to_string()),
        })
    }

    #[test]
    fn the_longest_name_that_fits_answers() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        let auth = |text: &str| Base64::encode_string(text.as_bytes());
        let text = format!(
            r#"{{"auths":{{"https://a.example.org/v1/":{{"auth":"{}"}},"a.example.org/team":{{"auth":"{}"}},
               "b.example.org":{{"identitytoken":"t"}},"c.example.org":{{}}}}}}"#,
            auth("u:p:q"),
            auth("t:x")
        );
        let texts = [text.as_str()];
        assert_eq!(found(&texts, "a.example.org", "web"), pair("u", "p:q"));
        assert_eq!(found(&texts, "a.example.org", "team/web"), pair("t", "x"));
        assert_eq!(found(&texts, "a.example.org", "teams/web"), pair("u", "p:q"));
        assert_eq!(found(&texts, "b.example.org", "web"), pair("<token>", "t"));
        assert_eq!(found(&texts, "c.example.org", "web"), None);
        assert_eq!(found(&texts, "a.example.org.evil.example", "web"), None);
        assert_eq!(found(&[r#"{"auths":{}}"#, &text], "a.example.org", "web"), pair("u", "p:q"));
    }

    #[test]
    fn a_broken_file_is_an_error_without_its_secrets() {
        for text in ["{\"auths\":{\"a.example.org\":{\"auth\":\"c2VjcmV0\"}}}", "{\"auths\": secret}"] {
            let files = CredentialFiles::new(vec![("config.json".to_owned(), text.to_owned())]);
            let error = files.find("a.example.org", "web").err().unwrap().to_string();
            assert!(error.contains("config.json") && !error.contains("secret") && !error.contains("c2Vj"), "{error}");
        }
    }
}
