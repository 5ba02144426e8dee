//! Which layer of one image is which of the other, and what differs between the two.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::entries::{self, Sides};
use super::record::{Reader, Records};
use super::{Class, Difference, Error, Found, bytes, cut, order};
use crate::digest::DiffId;
use crate::image::{self, OpenImage, OpenLayer, Opened};

/// The most layers of an image that are compared.
const MAX_LAYERS: usize = 4096;

/// Compares the layers of two images.
pub(super) fn compare(
    a: (&OpenImage, &Opened),
    b: (&OpenImage, &Opened),
    scratch: &Path,
    found: &mut Found,
) -> Result<(), Error> {
    for (open, one) in [a, b] {
        if one.layers.len() > MAX_LAYERS {
            let problem = format!("it has more than {MAX_LAYERS} layers");
            return Err(image::Error::Invalid { image: open.name().to_owned(), problem }.into());
        }
    }
    let mut pairs = by_diff_id(&a.1.layers, &b.1.layers);
    for (layer_a, layer_b) in &pairs {
        let (one, other) = (&a.1.layers[*layer_a], &b.1.layers[*layer_b]);
        if one.descriptor.digest != other.descriptor.digest {
            // The DiffIDs are what the configs say; the bytes decide.
            for (open, layer) in [(a.0, one), (b.0, other)] {
                open.entries(layer, |_, _| Ok::<_, image::Error>(()))?;
            }
            let difference = Difference::new(Class::Encoding, Some(encoding(one)), Some(encoding(other)));
            found.push(difference.layers(Some(*layer_a), Some(*layer_b)));
        }
    }
    let mut reader = Reader::default();
    let mut read = |open: &OpenImage, one: &Opened, known: &dyn Fn(usize) -> bool| {
        let others = one.layers.iter().enumerate().filter(|(number, _)| !known(*number));
        others.map(|(number, layer)| Ok((number, reader.read(open, layer)?))).collect::<Result<BTreeMap<_, _>, Error>>()
    };
    let records_a = read(a.0, a.1, &|number| pairs.iter().any(|pair| pair.0 == number))?;
    let records_b = read(b.0, b.1, &|number| pairs.iter().any(|pair| pair.1 == number))?;
    let alike = by_content(&records_a, &records_b);
    pairs.extend(&alike);
    pairs.sort_unstable();
    ordered(&pairs, found);
    let alone = |all: &BTreeMap<usize, Records>, side: &dyn Fn(&(usize, usize)) -> usize| {
        all.keys().copied().filter(|number| !alike.iter().any(|pair| side(pair) == *number)).collect::<Vec<_>>()
    };
    let only_a = alone(&records_a, &|pair| pair.0);
    let only_b = alone(&records_b, &|pair| pair.1);
    for number in &only_a {
        let text = described(&a.1.layers[*number], &records_a[number]);
        found.push(Difference::new(Class::Name, Some(text), None).what("layer").layers(Some(*number), None));
    }
    for number in &only_b {
        let text = described(&b.1.layers[*number], &records_b[number]);
        found.push(Difference::new(Class::Name, None, Some(text)).what("layer").layers(None, Some(*number)));
    }
    let forms = reader.forms();
    let mut sides = Sides::new(&records_a, &records_b, &forms, found);
    for pair in &alike {
        let differs = sides.pair(*pair);
        let (one, other) = (&records_a[&pair.0], &records_b[&pair.1]);
        if one.trailer != other.trailer {
            let length = |records: &Records| Some(bytes(records.trailer));
            let difference = Difference::new(Class::Format, length(one), length(other));
            sides.found.push(difference.what("end of the archive").layers(Some(pair.0), Some(pair.1)));
        } else if !differs {
            let tars = (a.0.tar(&a.1.layers[pair.0])?, b.0.tar(&b.1.layers[pair.1])?);
            let hidden = unread(tars, one, (a.0, b.0))?;
            sides.found.extend(hidden.map(|difference| difference.layers(Some(pair.0), Some(pair.1))));
        }
    }
    sides.rest(&only_a, &only_b);
    let changed = sides.finish();
    entries::look_inside(a, b, changed, scratch, found)
}

/// Pairs layers of one DiffID, the first with the first.
fn by_diff_id(a: &[OpenLayer], b: &[OpenLayer]) -> Vec<(usize, usize)> {
    let mut waiting: BTreeMap<DiffId, Vec<usize>> = BTreeMap::new();
    for (number, layer) in b.iter().enumerate().rev() {
        waiting.entry(layer.diff_id).or_default().push(number);
    }
    let pair = |(number, layer): (usize, &OpenLayer)| Some((number, waiting.get_mut(&layer.diff_id)?.pop()?));
    a.iter().enumerate().filter_map(pair).collect()
}

/// Pairs layers by what they share: the most paths first; what is left then, where equally many are, in their order.
fn by_content(a: &BTreeMap<usize, Records>, b: &BTreeMap<usize, Records>) -> Vec<(usize, usize)> {
    let mut where_b: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, records) in b {
        for record in records.all.iter().filter(|record| !record.is_directory()) {
            let known = where_b.entry(&record.path).or_default();
            if known.last() != Some(number) {
                known.push(*number);
            }
        }
    }
    let mut shared: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (number, records) in a {
        for record in records.all.iter().filter(|record| !record.is_directory()) {
            for other in where_b.get(record.path.as_str()).into_iter().flatten().take(64) {
                *shared.entry((*number, *other)).or_insert(0) += 1;
            }
        }
    }
    let mut candidates: Vec<(usize, (usize, usize))> = shared.into_iter().map(|(pair, count)| (count, pair)).collect();
    candidates.sort_by(|x, y| {
        y.0.cmp(&x.0).then_with(|| x.1.0.abs_diff(x.1.1).cmp(&y.1.0.abs_diff(y.1.1))).then(x.1.cmp(&y.1))
    });
    let (mut left_a, mut left_b): (Vec<usize>, Vec<usize>) = (a.keys().copied().collect(), b.keys().copied().collect());
    let mut pairs = Vec::new();
    for (_, (one, other)) in candidates {
        if let (Some(at), Some(to)) = (left_a.iter().position(|n| *n == one), left_b.iter().position(|n| *n == other)) {
            left_a.remove(at);
            left_b.remove(to);
            pairs.push((one, other));
        }
    }
    if left_a.len() == left_b.len() {
        pairs.extend(left_a.into_iter().zip(left_b));
    }
    pairs.sort_unstable();
    pairs
}

/// Notes layers that stand in another order.
fn ordered(pairs: &[(usize, usize)], found: &mut Found) {
    let places: Vec<usize> = pairs.iter().map(|pair| pair.1).collect();
    for at in order::moved(&places) {
        let (layer_a, layer_b) = pairs[at];
        let place = |number: usize| Some(format!("layer {number}"));
        let difference = Difference::new(Class::Order, place(layer_a), place(layer_b));
        found.push(difference.layers(Some(layer_a), Some(layer_b)));
    }
}

fn encoding(layer: &OpenLayer) -> String {
    let kind = layer.descriptor.media_type.rsplit('.').next().unwrap_or_default();
    format!("{} of {}, {}", cut(kind), bytes(layer.descriptor.size), layer.descriptor.digest)
}

fn described(layer: &OpenLayer, records: &Records) -> String {
    match records.all.len() {
        1 => format!("1 entry, {}", layer.diff_id),
        count => format!("{count} entries, {}", layer.diff_id),
    }
}

/// Finds the first byte in which two tars differ whose entries are the same: what fills blocks, and what follows the
/// end.
fn unread(
    (mut a, mut b): (Box<dyn Read + Send + '_>, Box<dyn Read + Send + '_>),
    records: &Records,
    (open_a, open_b): (&OpenImage, &OpenImage),
) -> Result<Option<Difference>, Error> {
    let failed = |open: &OpenImage, source| image::Error::Read { image: open.name().to_owned(), source };
    let (mut block_a, mut block_b) = ([0; 32 << 10], [0; 32 << 10]);
    let mut offset = 0u64;
    loop {
        let count_a = fill(&mut a, &mut block_a).map_err(|source| failed(open_a, source))?;
        let count_b = fill(&mut b, &mut block_b).map_err(|source| failed(open_b, source))?;
        let common = count_a.min(count_b);
        let at = block_a[..common].iter().zip(&block_b[..common]).position(|(one, other)| one != other);
        let at = at.or((count_a != count_b).then_some(common));
        if let Some(at) = at {
            let byte = |block: &[u8], count: usize| (at < count).then(|| format!("{:#04x}", block[at]));
            let place = offset + at as u64;
            let difference = Difference::new(Class::Format, byte(&block_a, count_a), byte(&block_b, count_b))
                .what(format!("byte {place} of the tar, which no reader looks at"));
            let entry = records.all.iter().rev().find(|record| record.offset <= place && record.size > 0);
            return Ok(Some(match entry {
                Some(record) => difference.at(format!("/{}", record.path)),
                None => difference,
            }));
        }
        if common == 0 {
            return Ok(None);
        }
        offset += common as u64;
    }
}

/// Fills a buffer as far as the bytes go.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
