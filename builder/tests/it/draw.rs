//! A seeded draw: the same names on every machine.

/// Draws `count` of the names: sorted bytewise, shuffled by Fisher and Yates with SplitMix64, the first ones taken.
pub(crate) fn draw(names: &[String], seed: u64, count: usize) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for last in (1..names.len()).rev() {
        let other = usize::try_from(next() % (last as u64 + 1)).unwrap();
        names.swap(last, other);
    }
    names.truncate(count);
    names
}

#[test]
fn a_draw_is_the_same_everywhere() {
    let names: Vec<String> = (0..1000).map(|number| format!("p{number}")).collect();
    let mut backwards = names.clone();
    backwards.reverse();
    let drawn = draw(&names, 4, 5);
    assert_eq!(drawn, draw(&backwards, 4, 5));
    assert_ne!(drawn, draw(&names, 5, 5));
    assert_eq!(draw(&names, 4, 2000).len(), 1000);
}
