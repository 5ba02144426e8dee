pub(super) const ROWS: &[u8] = &[];
