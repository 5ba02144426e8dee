//! What a frontend asks of the BuildKit that started it.

use std::collections::BTreeMap;

use crate::buildkit::{Gateway, GatewaySolve, Reference};

use super::options::CacheImport;

/// An answer of BuildKit's that is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What BuildKit says.
    pub message: String,
    /// It says that a file is not there.
    pub absent: bool,
    /// The operation that failed, as in the definition, where it says so.
    pub vertex: Option<String>,
}

/// The gateway of a BuildKit: what is asked of it while a build is prepared and carried out.
pub trait Bridge {
    /// Carries out a definition, and returns what names its result.
    fn solve(&self, definition: &[u8], caches: &[CacheImport]) -> Result<Reference, Refused>;
    /// Returns the bytes of a file of a result, at most `limit` of them.
    fn read(&self, result: &Reference, path: &str, limit: u64) -> Result<Vec<u8>, Refused>;
    /// Returns the names in a directory of a result, each with its mode as Go's `io/fs` writes it.
    fn list(&self, result: &Reference, path: &str) -> Result<BTreeMap<String, u32>, Refused>;
    /// Returns the digest of the image that a name leads to now.
    fn resolve(&self, image: &str) -> Result<String, Refused>;
}

impl From<crate::buildkit::Error> for Refused {
    fn from(error: crate::buildkit::Error) -> Self {
        let absent = Gateway::is_absent(&error);
        match error {
            crate::buildkit::Error::Gateway { message, vertex, .. } => Self { message, absent, vertex },
            other => Self { message: crate::diag::causes(&other), absent, vertex: None },
        }
    }
}

impl Bridge for Gateway {
    fn solve(&self, definition: &[u8], caches: &[CacheImport]) -> Result<Reference, Refused> {
        let imports = caches.iter().map(|cache| (cache.kind.clone(), cache.attributes.clone()));
        let request =
            GatewaySolve { definition: definition.to_vec(), cache_imports: imports.collect(), evaluate: true };
        Ok(Gateway::solve(self, &request)?)
    }

    fn read(&self, result: &Reference, path: &str, limit: u64) -> Result<Vec<u8>, Refused> {
        Ok(self.read_file(result, path, usize::try_from(limit).unwrap_or(usize::MAX / 2))?)
    }

    fn list(&self, result: &Reference, path: &str) -> Result<BTreeMap<String, u32>, Refused> {
        let entries = self.read_dir(result, path, "")?;
        Ok(entries.into_iter().map(|entry| (entry.path, entry.mode)).collect())
    }

    fn resolve(&self, image: &str) -> Result<String, Refused> {
        Ok(self.image_config(image, None)?.digest)
    }
}
