//! What a registry asks for before it lets in (RFC 7235; distribution `docs/spec/auth/token`).

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Credential;
use super::credentials::secret;

/// A challenge of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token from a service.
    Bearer {
        /// The service's address.
        realm: String,
        /// The registry's name there.
        service: Option<String>,
    },
}

impl Challenge {
    /// Parses `WWW-Authenticate`: the first challenge of a known scheme, a bearer's before a basic one's.
    pub(super) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let mut parameters = parameters(rest)?;
                return Some(Self::Bearer {
                    realm: parameters.remove("realm")?,
                    service: parameters.remove("service"),
                });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

/// Parses `name="value", name=value`; `None` where it is broken or names one twice.
fn parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, tail) = rest.split_once('=')?;
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut characters = quoted.char_indices();
                let end = loop {
                    match characters.next()? {
                        (at, '"') => break at,
                        (_, '\\') => value.push(characters.next()?.1),
                        (_, character) => value.push(character),
                    }
                };
                (value, &quoted[end + 1..])
            }
            None => {
                let end = tail.find(',').unwrap_or(tail.len());
                (tail[..end].trim().to_owned(), &tail[end..])
            }
        };
        if all.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return None;
        }
        rest = tail.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(all)
}

/// Returns whether a token service may be given the registry's credential: it is on the same origin, or on TLS and on a
/// host that the registry's is a subdomain of.
pub(super) fn is_own_realm(registry: &Url, realm: &Url) -> bool {
    if registry.origin() == realm.origin() {
        return true;
    }
    let (Some(registry), Some(host)) = (registry.domain(), realm.domain()) else { return false };
    realm.scheme() == "https"
        && host.contains('.')
        && registry.strip_suffix(host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A token service's answer.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(default, deserialize_with = "secret")]
    token: Zeroizing<String>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Zeroizing<String>,
}

impl TokenAnswer {
    /// Returns the token, under whichever of its two names.
    pub(super) fn token(self) -> Option<Zeroizing<String>> {
        [self.token, self.access_token].into_iter().find(|token| !token.is_empty())
    }
}

/// Returns the value of an `Authorization` header for a name and a password.
pub(super) fn basic(credential: &Credential) -> Option<Zeroizing<String>> {
    match credential {
        Credential::Password { user, password } => {
            let pair = Zeroizing::new(format!("{user}:{}", **password));
            Some(Zeroizing::new(format!("Basic {}", Base64::encode_string(pair.as_bytes()))))
        }
        Credential::Identity(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let parse = |headers: &[&str]| Challenge::parse(headers.iter().copied());
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        assert_eq!(parse(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(
            parse(&["Basic realm=\"x\"", "Bearer realm=\"https://a.example.org/t?x=1,2\",service=\"a b\""]),
            bearer("https://a.example.org/t?x=1,2", Some("a b"))
        );
        assert_eq!(parse(&["bearer Realm=https://a.example.org/t , scope=x"]), bearer("https://a.example.org/t", None));
        for broken in ["", "Digest realm=\"x\"", "Bearer", "Bearer realm=\"x", "Bearer realm=a,realm=b"] {
            assert_eq!(parse(&[broken]), None, "{broken}");
        }
    }

    #[test]
    fn a_realm_of_its_own_is_on_the_host_or_above_it() {
        let own =
            |registry: &str, realm: &str| is_own_realm(&Url::parse(registry).unwrap(), &Url::parse(realm).unwrap());
        assert!(own("https://r.example.org/v2/", "https://r.example.org/token"));
        assert!(own("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/token"));
        assert!(own("https://registry.example.org/", "https://example.org/jwt/auth"));
        for (registry, realm) in [
            ("https://r.example.org/", "http://r.example.org/token"),
            ("https://r.example.org/", "https://auth.example.org/"),
            ("https://r.example.org/", "https://org/"),
            ("https://evilexample.org/", "https://example.org/"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"),
            ("https://r.example.org/", "https://r.example.org.evil.example/"),
        ] {
            assert!(!own(registry, realm), "{registry} {realm}");
        }
    }
}
