//! One daemon as a farm sees it.

use super::{Ask, Error, Options};
use crate::buildkit::{self, Cache};

/// What stands for a daemon's number in the name of a cache that it writes.
pub(super) const NUMBER: &str = "{n}";

/// Solves graphs.
pub trait Daemon: Send + Sync {
    /// Returns where it is: what its share of the work and errors go by.
    fn address(&self) -> &str;

    /// Solves a graph and writes its result.
    ///
    /// # Errors
    /// The daemon's, or the graph's; [`buildkit::Error::is_daemon`] tells which.
    fn solve(&self, ask: &Ask<'_>) -> Result<(), buildkit::Error>;
}

/// Returns the caches that the daemon of this number, the first being 0, looks into and writes.
///
/// # Errors
/// A cache that is not written as BuildKit does.
pub(super) fn caches(options: &Options, number: usize) -> Result<(Vec<Cache>, Vec<Cache>), Error> {
    let own = |number: usize, text: &String| text.replace(NUMBER, &(number + 1).to_string());
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
    todo!("{options:?}")
}
