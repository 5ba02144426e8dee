//! What a graph and a worker must agree on.

use std::fmt;
use std::str::FromStr;

use super::Error;
use crate::lock::{ENCODING, RULES};
use crate::package::PACK_FORMAT;

/// Version of the operations: of their arguments, and of every file that one writes and another reads.
pub const FORMAT: u32 = 1;

/// The numbers of everything that shapes what operations read and write; as text `E.R.P.W`.
///
/// A graph names those of the release that made it. They stand in the arguments, so an operation's cache key has them
/// too: where a number moves, nothing that an older release made is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// [`ENCODING`].
    pub encoding: u32,
    /// [`RULES`].
    pub rules: u32,
    /// [`PACK_FORMAT`].
    pub pack: u32,
    /// [`FORMAT`].
    pub worker: u32,
}

impl Contract {
    /// That of this release.
    pub const OWN: Self = Self { encoding: ENCODING, rules: RULES, pack: PACK_FORMAT, worker: FORMAT };

    /// Refuses the contract of another release.
    ///
    /// # Errors
    /// Where any of the numbers is another one; the message names both contracts.
    pub fn check(self) -> Result<(), Error> {
        if self == Self::OWN { Ok(()) } else { Err(Error::Contract { asked: self }) }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoding, rules, pack, worker } = self;
        write!(f, "{encoding}.{rules}.{pack}.{worker}")
    }
}

impl FromStr for Contract {
    type Err = &'static str;

    /// Parses four numbers between dots, as they are written.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let read = (|| Some(Self { encoding: next()?, rules: next()?, pack: next()?, worker: next()? }))();
        read.filter(|read| read.to_string() == text).ok_or("a contract is four numbers, as 1.3.5.1")
    }
}
