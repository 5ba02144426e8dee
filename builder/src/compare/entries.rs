//! Differences of entries: of two layers that belong together, and of what only one has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::record::{Record, Records};
use super::spool::{Piece, Spool};
use super::{Class, Difference, Error, Found, Inside, bytes, cut, inside, order};
use crate::digest::hex;
use crate::image::{self, Form, OpenImage, Opened};
use crate::tar::read::Kind;

/// The most files that are looked into.
const MAX_FILES: usize = 4096;

/// An entry: number of its layer, and its number in there.
type Place = (usize, usize);

/// A file whose bytes differ: the number of its difference, and where it is on both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    difference: usize,
    a: Place,
    b: Place,
}

/// The layers of both sides that differ, and what was found so far.
pub(super) struct Sides<'a> {
    a: &'a BTreeMap<usize, Records>,
    b: &'a BTreeMap<usize, Records>,
    forms: &'a [&'a Form],
    pub(super) found: &'a mut Found,
    only_a: Vec<Place>,
    only_b: Vec<Place>,
    changed: Vec<Changed>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(
        a: &'a BTreeMap<usize, Records>,
        b: &'a BTreeMap<usize, Records>,
        forms: &'a [&'a Form],
        found: &'a mut Found,
    ) -> Self {
        Self { a, b, forms, found, only_a: Vec::new(), only_b: Vec::new(), changed: Vec::new() }
    }

    /// Compares two layers, and returns whether they differ; what only one has waits for [`Sides::rest`].
    pub(super) fn pair(&mut self, (layer_a, layer_b): (usize, usize)) -> bool {
        let count =
            |sides: &Self| sides.found.counts.values().sum::<u64>() + (sides.only_a.len() + sides.only_b.len()) as u64;
        let before = count(self);
        let (one, other) = (&self.a[&layer_a].all, &self.b[&layer_b].all);
        let places: BTreeMap<(&str, u32), usize> =
            other.iter().enumerate().map(|(at, record)| ((record.path.as_str(), record.again), at)).collect();
        let mut met = vec![false; other.len()];
        let mut both = Vec::new();
        for (at, record) in one.iter().enumerate() {
            match places.get(&(record.path.as_str(), record.again)) {
                Some(to) => {
                    met[*to] = true;
                    both.push((at, *to));
                }
                None => self.only_a.push((layer_a, at)),
            }
        }
        self.only_b.extend(met.iter().enumerate().filter(|(_, met)| !**met).map(|(at, _)| (layer_b, at)));
        let moved = order::moved(&both.iter().map(|(_, to)| *to).collect::<Vec<_>>());
        if let Some(first) = moved.first() {
            let (at, to) = both[*first];
            let behind = |all: &[Record], at: usize| match at.checked_sub(1) {
                Some(before) => Some(format!("behind /{}", all[before].path)),
                None => Some("first".to_owned()),
            };
            let count = if moved.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", moved.len()) };
            let difference = Difference::new(Class::Order, behind(one, at), behind(other, to)).what(count);
            self.found.push(difference.at(format!("/{}", one[at].path)).layers(Some(layer_a), Some(layer_b)));
        }
        for (at, to) in both {
            self.entry((layer_a, at), (layer_b, to));
        }
        count(self) != before
    }

    /// Compares what layers have that their counterparts have not, and layers without one: a path may have moved from
    /// one layer to another.
    pub(super) fn rest(&mut self, layers_a: &[usize], layers_b: &[usize]) {
        let all = |layers: &[usize], records: &BTreeMap<usize, Records>| {
            layers.iter().flat_map(|layer| (0..records[layer].all.len()).map(|at| (*layer, at))).collect::<Vec<_>>()
        };
        self.only_a.extend(all(layers_a, self.a));
        self.only_b.extend(all(layers_b, self.b));
        let (only_a, mut only_b) = (std::mem::take(&mut self.only_a), std::mem::take(&mut self.only_b));
        let mut waiting: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
        let (a, b) = (self.a, self.b);
        for place in only_b.iter().rev() {
            waiting.entry(&b[&place.0].all[place.1].path).or_default().push(*place);
        }
        let mut moved = BTreeSet::new();
        for place in only_a {
            let record = &a[&place.0].all[place.1];
            let path = format!("/{}", record.path);
            let other = waiting.get_mut(record.path.as_str()).and_then(Vec::pop);
            match other {
                Some(other) => {
                    moved.insert(other);
                    let layer = |number: usize| Some(format!("layer {number}"));
                    let difference = Difference::new(Class::Order, layer(place.0), layer(other.0)).at(path);
                    self.found.push(difference.layers(Some(place.0), Some(other.0)));
                    self.entry(place, other);
                }
                None => {
                    let difference = Difference::new(Class::Name, Some(described(record)), None).at(path);
                    self.found.push(difference.layers(Some(place.0), None));
                }
            }
        }
        only_b.retain(|place| !moved.contains(place));
        for place in only_b {
            let record = &b[&place.0].all[place.1];
            let difference = Difference::new(Class::Name, None, Some(described(record)));
            self.found.push(difference.at(format!("/{}", record.path)).layers(None, Some(place.0)));
        }
    }

    pub(super) fn finish(self) -> Vec<Changed> {
        self.changed
    }

    fn entry(&mut self, a: Place, b: Place) {
        let (one, other) = (&self.a[&a.0].all[a.1], &self.b[&b.0].all[b.1]);
        let path = format!("/{}", one.path);
        let new = |class, x: String, y: String| {
            Difference::new(class, Some(x), Some(y)).at(path.clone()).layers(Some(a.0), Some(b.0))
        };
        let mut moved = Vec::new();
        let same_kind = std::mem::discriminant(&one.kind) == std::mem::discriminant(&other.kind);
        if !same_kind {
            self.found.push(new(Class::Type, described(one), described(other)));
        }
        match (&one.kind, &other.kind) {
            (Kind::Symlink(x), Kind::Symlink(y)) if x != y => {
                moved.push("linkpath");
                self.found.push(new(Class::Content, cut(x), cut(y)).what("target"));
            }
            (Kind::Hardlink(x), Kind::Hardlink(y)) if x != y => {
                moved.push("linkpath");
                self.found.push(new(Class::Content, x.to_string(), y.to_string()).what("target"));
            }
            (Kind::File, Kind::File) if one.digest != other.digest => {
                let value = |record: &Record| format!("{}, {}", bytes(record.size), shown(record));
                let difference = self.found.push(new(Class::Content, value(one), value(other)));
                self.changed.extend(difference.map(|difference| Changed { difference, a, b }));
            }
            // A link here and a file there: the bytes behind the name are what counts.
            (Kind::Hardlink(_), Kind::File) | (Kind::File, Kind::Hardlink(_)) if one.digest != other.digest => {
                self.found.push(new(Class::Content, shown(one), shown(other)));
            }
            _ => {}
        }
        if one.size != other.size {
            moved.push("size");
        }
        if one.mode != other.mode {
            self.found.push(new(Class::Mode, format!("{:04o}", one.mode), format!("{:04o}", other.mode)));
        }
        if (one.uid, one.gid) != (other.uid, other.gid) {
            moved.extend(["uid", "gid"]);
            let owner = |record: &Record| format!("{}:{}", record.uid, record.gid);
            self.found.push(new(Class::Owner, owner(one), owner(other)));
        }
        if one.mtime != other.mtime {
            moved.push("mtime");
            self.found.push(new(Class::Mtime, time(one.mtime), time(other.mtime)));
        }
        self.xattrs(one, other, &new);
        if same_kind && one.form != other.form {
            for (fact, x, y) in self.forms[one.form].differences(self.forms[other.form], &moved) {
                self.found.push(new(Class::Format, cut(&x), cut(&y)).what(fact));
            }
        }
    }

    fn xattrs(&mut self, one: &Record, other: &Record, new: &dyn Fn(Class, String, String) -> Difference) {
        let names: BTreeSet<&String> = one.xattrs.iter().chain(&other.xattrs).map(|(name, _)| name).collect();
        let of = |record: &Record, name: &str| {
            record.xattrs.iter().find(|(known, _)| known == name).map(|(_, value)| printed(value))
        };
        for name in names {
            let (x, y) = (of(one, name), of(other, name));
            if x != y {
                let difference = new(Class::Xattr, String::new(), String::new()).what(name.as_str());
                self.found.push(Difference { a: x, b: y, ..difference });
            }
        }
    }
}

/// Says where the bytes of changed files differ: reads the layers that hold them again.
pub(super) fn look_inside(
    a: (&OpenImage, &Opened),
    b: (&OpenImage, &Opened),
    mut changed: Vec<Changed>,
    scratch: &Path,
    found: &mut Found,
) -> Result<(), Error> {
    changed.truncate(MAX_FILES);
    if changed.is_empty() {
        return Ok(());
    }
    let mut spool = Spool::new(scratch)?;
    let wanted = |place: &dyn Fn(&Changed) -> Place| changed.iter().map(place).collect::<BTreeSet<Place>>();
    let pieces_a = pieces(a, &wanted(&|one| one.a), &mut spool)?;
    let pieces_b = pieces(b, &wanted(&|one| one.b), &mut spool)?;
    for Changed { difference, a, b } in changed {
        let (Some(one), Some(other)) = (pieces_a.get(&a), pieces_b.get(&b)) else { continue };
        let found = &mut found.differences[difference];
        found.inside = Some(inside::find(one, other, &mut spool)?).filter(|inside| *inside != Inside::Nothing);
    }
    Ok(())
}

/// Copies the bytes of entries out of their layers, as far as there is room.
fn pieces(
    (open, one): (&OpenImage, &Opened),
    wanted: &BTreeSet<Place>,
    spool: &mut Spool<'_>,
) -> Result<BTreeMap<Place, Piece>, Error> {
    let mut pieces = BTreeMap::new();
    let layers: BTreeSet<usize> = wanted.iter().map(|place| place.0).collect();
    for layer in layers {
        let mut at = 0;
        open.entries(&one.layers[layer], |entry, body| {
            let place = (layer, at);
            at += 1;
            if wanted.contains(&place) && spool.has_room(entry.size) {
                let unread = |source| image::Error::Read { image: open.name().to_owned(), source }.into();
                pieces.insert(place, spool.take(body, unread)?);
            }
            Ok::<_, Error>(())
        })?;
    }
    Ok(pieces)
}

fn described(record: &Record) -> String {
    match &record.kind {
        Kind::Directory => "directory".to_owned(),
        Kind::File => format!("file of {}", bytes(record.size)),
        Kind::Symlink(target) => format!("symbolic link to {}", cut(target)),
        Kind::Hardlink(target) => format!("hard link to {target}"),
    }
}

fn shown(record: &Record) -> String {
    record.digest.map(|digest| digest.to_string()).unwrap_or_default()
}

/// Returns a time as a person reads it, and as seconds where the calendar ends.
fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Returns the value of an attribute: text as it is, else in hexadecimal digits.
fn printed(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => cut(text),
        _ => cut(&format!("0x{}", hex(&value[..value.len().min(256)]))),
    }
}
