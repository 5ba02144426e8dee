//! What has to move to turn one order into another.

/// Returns the positions in `places` that have to move so that the rest increases: the fewest there can be.
///
/// `places` are distinct numbers: of each thing in the first order, its place in the second.
pub(super) fn moved(places: &[usize]) -> Vec<usize> {
    // Longest increasing subsequence by patience: `piles[n]` is where the best run of n + 1 ends.
    let mut piles: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        let pile = piles.partition_point(|top| places[*top] < *place);
        before.push(pile.checked_sub(1).map(|below| piles[below]));
        if pile == piles.len() {
            piles.push(at);
        } else {
            piles[pile] = at;
        }
    }
    let mut stays = vec![false; places.len()];
    let mut at = piles.last().copied();
    while let Some(one) = at {
        stays[one] = true;
        at = before[one];
    }
    stays.iter().enumerate().filter(|(_, stays)| !**stays).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_as_possible_move() {
        for (places, expected) in [
            (vec![], vec![]),
            (vec![0, 1, 2], vec![]),
            (vec![3, 0, 1, 2], vec![0]),
            (vec![1, 2, 3, 0], vec![3]),
            (vec![0, 2, 1, 3], vec![1]),
            (vec![2, 1, 0], vec![0, 1]),
        ] {
            assert_eq!(moved(&places), expected, "{places:?}");
        }
    }
}
