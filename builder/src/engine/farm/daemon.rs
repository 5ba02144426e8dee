//! One daemon as a farm sees it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Ask, Error, Options};
use crate::buildkit::{self, Address, Cache, Client, Daemon as Reachable, Export, Solve};
use crate::digest::Hasher;

/// What stands for a daemon's number in the name of a cache that it writes.
pub(super) const NUMBER: &str = "{n}";

/// Solves graphs.
pub trait Daemon: Send + Sync {
    /// Returns where it is: what its share of the work and errors go by.
    fn address(&self) -> &str;

    /// Returns whether it writes caches for other daemons.
    fn exports(&self) -> bool {
        false
    }

    /// Solves a graph and writes its result.
    ///
    /// # Errors
    /// The daemon's, or the graph's; [`buildkit::Error::is_daemon`] tells which.
    fn solve(&self, ask: &Ask<'_>) -> Result<(), buildkit::Error>;
}

/// A daemon at an address, reached once there is something to solve.
struct Reached {
    address: Address,
    text: String,
    options: buildkit::Options,
    imports: Vec<Cache>,
    exports: Vec<Cache>,
    client: Mutex<Option<Client>>,
}

impl Daemon for Reached {
    fn address(&self) -> &str {
        &self.text
    }

    fn exports(&self) -> bool {
        !self.exports.is_empty()
    }

    fn solve(&self, ask: &Ask<'_>) -> Result<(), buildkit::Error> {
        let mut client = self.client.lock().expect("nobody panics while a daemon is spoken to");
        let client = match &mut *client {
            Some(client) => client,
            none => {
                let client = Client::connect(&self.address, &self.options)?;
                // Docker before 24 says so itself, once all else is done.
                let Reachable { is_docker, version, .. } = client.daemon();
                if *is_docker && version.is_empty() && self.exports() {
                    return Err(buildkit::Error::NoExport { address: self.text.clone() });
                }
                none.insert(client)
            }
        };
        let solve = Solve {
            definition: ask.definition.bytes(),
            export: Some(Export { directory: ask.directory.to_owned(), limits: ask.limits }),
            cache_imports: self.imports.clone(),
            cache_exports: if ask.is_whole { self.exports.clone() } else { Vec::new() },
            attributes: BTreeMap::new(),
            downloads: ask.downloads.clone(),
            stop: ask.stop.clone(),
        };
        client.solve(&solve, &mut |event| (ask.events)(&event)).map(drop)
    }
}

/// Returns the caches that the daemon of this number, the first being 0, looks into and writes.
///
/// # Errors
/// A cache that is not written as BuildKit does.
pub(super) fn caches(options: &Options, number: usize) -> Result<(Vec<Cache>, Vec<Cache>), Error> {
    let own = |number: usize, text: &String| text.replace(NUMBER, &number.to_string());
    let mut from = Vec::new();
    for text in &options.cache_from {
        // Where all daemons write one each, each looks into all.
        let numbers = if text.contains(NUMBER) { 0..options.addresses.len().max(1) } else { 0..1 };
        for number in numbers {
            from.push(Cache::import(&own(number, text))?);
        }
    }
    let to = options.cache_to.iter().map(|text| Cache::export(&own(number, text))).collect::<Result<_, _>>()?;
    Ok((from, to))
}

/// Returns the daemons of these options, none of which is reached yet.
pub(super) fn all(options: &Options) -> Result<Vec<Box<dyn Daemon>>, Error> {
    let addresses = options.addresses.iter().enumerate();
    let daemons = addresses.map(|(number, address)| {
        let (imports, exports) = caches(options, number)?;
        let text = address.to_string();
        // Two daemons that stand behind one must not be told the same names.
        let mut seed = Hasher::new();
        seed.update(&options.seed);
        seed.update(text.as_bytes());
        let own = buildkit::Options {
            tls: options.tls.clone(),
            logins: options.logins.clone(),
            ..buildkit::Options::new(*seed.digest().as_bytes())
        };
        let client = Mutex::new(None);
        let daemon = Reached { address: address.clone(), text, options: own, imports, exports, client };
        Ok(Box::new(daemon) as Box<dyn Daemon>)
    });
    daemons.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::Worker;

    fn options(addresses: &[&str], from: &[&str], to: &[&str]) -> Options {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Options {
            addresses: addresses.iter().map(|text| Address::parse(text).unwrap()).collect(),
            worker: Worker::parse(&format!("http://x.example/t#sha256={}", "0".repeat(64))).unwrap(),
            tls: buildkit::Tls::default(),
            logins: BTreeMap::new(),
            seed: [7; 32],
            cache_from: own(from),
            cache_to: own(to),
        }
    }

    #[test]
    fn each_daemon_writes_a_cache_of_its_own() {
        let two = ["unix:///a", "tcp://b:1"];
        let (one, each) = ("type=registry,ref=r.example/c", "type=registry,ref=r.example/c:{n},mode=max");
        assert!(options(&two, &[one], &[one]).check().unwrap_err().to_string().contains("several daemons"));
        assert!(options(&two[..1], &[one], &[one]).check().is_ok());
        assert!(options(&two[..1], &["type=nonsense,"], &[]).check().is_err());
        let options = options(&two, &[each], &[each]);
        options.check().unwrap();
        let (from, to) = caches(&options, 1).unwrap();
        let names = |all: &[Cache]| all.iter().map(|cache| cache.attributes["ref"].clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&from), names(&to)),
            (vec!["r.example/c:0".into(), "r.example/c:1".into()], vec!["r.example/c:1".into()])
        );
        assert_eq!(all(&options).unwrap().iter().map(|daemon| daemon.address().to_owned()).collect::<Vec<_>>(), two);
    }
}
