//! A local pack as bytes, for an operation that reads what another one opened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LocalPack, LocalSource, rules, slices, source_of};
use crate::digest::{Digest, Sha512};
use crate::package::{Error, PackIndex};

/// What is stored. Rules and definitions are texts and parsed again; what can be told from them is not stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    index: PackIndex,
    entry_of: Vec<u32>,
    sha512: BTreeMap<u32, Sha512>,
    certificates: Vec<Vec<u8>>,
    rule_texts: Vec<(String, String)>,
    slice_texts: Vec<(String, String)>,
    sources: Vec<LocalSource>,
}

impl LocalPack {
    /// Returns the stored form; equal packs have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            index: self.index.clone(),
            entry_of: self.entry_of.clone(),
            sha512: self.sha512.clone(),
            certificates: self.certificates.clone(),
            rule_texts: self.rule_texts.clone(),
            slice_texts: self.slice_texts.clone(),
            sources: self.sources.clone(),
        };
        postcard::to_stdvec(&stored).expect("a pack holds nothing that postcard cannot write")
    }

    /// Reads the stored form of this [`PACK_FORMAT`](crate::package::PACK_FORMAT).
    ///
    /// # Errors
    /// Bytes that are no such form or do not hold together; rules and definitions that do not parse.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let Ok((stored, [])) = postcard::take_from_bytes::<Stored>(bytes) else { return Err(Error::Index) };
        let Stored { mut index, entry_of, sha512, certificates, rule_texts, slice_texts, sources } = stored;
        let count = index.entries.len();
        let source = std::mem::replace(&mut index.source, Digest::of(b""));
        let holds = index.holds()
            && source == source_of(&index)
            && entry_of.len() == count
            && sha512.keys().all(|number| (*number as usize) < count);
        if !holds {
            return Err(Error::Index);
        }
        index.source = source;
        let (rules, rules_digest) = rules::parse(&rule_texts)?;
        let (slices, slices_digest) = slices::parse(&slice_texts)?;
        Ok(Self {
            index,
            entry_of,
            sha512,
            certificates,
            rules,
            rules_digest,
            rule_texts,
            slices,
            slices_digest,
            slice_texts,
            sources,
        })
    }
}
