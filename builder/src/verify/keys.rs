//! The keys that are trusted.

use crate::digest::Digest;
use crate::sign::PublicKey;

/// Public keys with the names that the user gave them, each key once.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<(String, PublicKey)>);

impl Keys {
    /// Returns these keys. One that was named twice, in whatever encoding, is one key and keeps its first name.
    pub fn new(named: Vec<(String, PublicKey)>) -> Self {
        let mut keys: Vec<(String, PublicKey)> = Vec::new();
        for (name, key) in named {
            if !keys.iter().any(|(_, known)| known.id() == key.id()) {
                keys.push((name, key));
            }
        }
        Self(keys)
    }

    /// Returns how many different keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().map(|(_, key)| key)
    }

    /// Returns the name of the key with this id; the id itself where it is none of these.
    pub fn name(&self, id: &Digest) -> String {
        self.0.iter().find(|(_, key)| key.id() == *id).map_or_else(|| id.to_string(), |(name, _)| name.clone())
    }
}
