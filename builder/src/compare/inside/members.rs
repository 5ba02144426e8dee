//! How two archives differ, member by member, whatever their format.

use std::collections::BTreeMap;

use super::{Finder, Inside, MAX_NAMED, MemberDifference};
use crate::compare::spool::Piece;
use crate::compare::{Class, Error, bytes, order};

/// The most members that are looked into.
const MAX_LOOKED: usize = 256;

/// A member of an archive.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    /// What its header says beside its name: class, what, value; in the same order for every member.
    pub(super) facts: Vec<(Class, &'static str, String)>,
    pub(super) body: Body,
}

/// Where the bytes of a member are.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// As they are.
    Plain(Piece),
    /// Deflated (RFC 1951); the size and the CRC-32 that they are to have.
    Deflated {
        /// The compressed bytes.
        piece: Piece,
        /// Bytes that they give.
        size: u64,
    },
}

impl Finder<'_, '_> {
    /// Compares two archives by their members; `None` where either is malformed, or where the members do not tell.
    pub(super) fn members(
        &mut self,
        format: &'static str,
        a: Option<Vec<Member>>,
        b: Option<Vec<Member>>,
        depth: usize,
    ) -> Result<Option<Inside>, Error> {
        let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
        let mut found = Vec::new();
        let mut names: BTreeMap<(&str, usize), usize> = BTreeMap::new();
        for (at, member) in b.iter().enumerate() {
            let again = (0..).find(|n| !names.contains_key(&(member.name.as_str(), *n))).unwrap_or(0);
            names.insert((&member.name, again), at);
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut both = Vec::new();
        for (at, member) in a.iter().enumerate() {
            let again = seen.entry(&member.name).or_insert(0);
            match names.remove(&(member.name.as_str(), *again)) {
                Some(to) => both.push((at, to)),
                None => found.push(alone(member, Some(size(member)), None)),
            }
            *again += 1;
        }
        let mut only_b: Vec<usize> = names.into_values().collect();
        only_b.sort_unstable();
        found.extend(only_b.into_iter().map(|at| alone(&b[at], None, Some(size(&b[at])))));
        let moved = order::moved(&both.iter().map(|(_, to)| *to).collect::<Vec<_>>());
        if let Some(first) = moved.first() {
            let (at, to) = both[*first];
            let place = |at: usize| Some(format!("member {}", at + 1));
            found.push(MemberDifference {
                member: a[at].name.clone(),
                class: Class::Order,
                what: None,
                a: place(at),
                b: place(to),
                inside: None,
            });
        }
        let mut looked = 0;
        for (at, to) in both {
            for ((class, what, x), (_, _, y)) in a[at].facts.iter().zip(&b[to].facts) {
                if x != y {
                    found.push(MemberDifference {
                        member: a[at].name.clone(),
                        class: *class,
                        what: (!what.is_empty()).then(|| (*what).to_owned()),
                        a: Some(x.clone()),
                        b: Some(y.clone()),
                        inside: None,
                    });
                }
            }
            found.extend(self.member(&a[at], &b[to], depth, &mut looked)?);
        }
        if found.is_empty() {
            return Ok(None);
        }
        let more = found.len().saturating_sub(MAX_NAMED) as u64;
        found.truncate(MAX_NAMED);
        Ok(Some(Inside::Archive { format, members: found, more }))
    }

    fn member(
        &mut self,
        one: &Member,
        other: &Member,
        depth: usize,
        looked: &mut usize,
    ) -> Result<Option<MemberDifference>, Error> {
        if super::run(one.body.stored(), other.body.stored()).map_err(|source| self.spool.failed(source))?.is_none()
            && std::mem::discriminant(&one.body) == std::mem::discriminant(&other.body)
        {
            return Ok(None);
        }
        let difference = |class, inside: Option<Inside>| MemberDifference {
            member: one.name.clone(),
            class,
            what: None,
            a: Some(size(one)),
            b: Some(size(other)),
            inside: inside.map(Box::new),
        };
        *looked += 1;
        if *looked > MAX_LOOKED {
            return Ok(Some(difference(Class::Content, None)));
        }
        let mark = self.spool.mark();
        let (x, y) = (self.bytes_of(one)?, self.bytes_of(other)?);
        let found = match (x, y) {
            (Some(x), Some(y)) => match self.find(&x, &y, depth + 1)? {
                Inside::Nothing => difference(Class::Encoding, None),
                inside => difference(Class::Content, Some(inside)),
            },
            _ => difference(Class::Content, None),
        };
        self.spool.release(mark);
        Ok(Some(found))
    }

    /// Returns a member's bytes; `None` where they cannot be had within bounds.
    fn bytes_of(&mut self, member: &Member) -> Result<Option<Piece>, Error> {
        match &member.body {
            Body::Plain(piece) => Ok(Some(piece.clone())),
            Body::Deflated { piece, size } => {
                let inflated = flate2::read::DeflateDecoder::new(piece.reader());
                let mut bounded = std::io::Read::take(inflated, size.saturating_add(1).min(super::MAX_UNPACKED));
                Ok(self.kept(&mut bounded)?.filter(|kept| kept.size() == *size))
            }
        }
    }
}

impl Body {
    fn stored(&self) -> &Piece {
        match self {
            Self::Plain(piece) | Self::Deflated { piece, .. } => piece,
        }
    }
}

fn size(member: &Member) -> String {
    let size = match &member.body {
        Body::Plain(piece) => piece.size(),
        Body::Deflated { size, .. } => *size,
    };
    bytes(size)
}

fn alone(member: &Member, a: Option<String>, b: Option<String>) -> MemberDifference {
    MemberDifference { member: member.name.clone(), class: Class::Name, what: None, a, b, inside: None }
}
