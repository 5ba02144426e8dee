//! A plan as bytes, for an operation that writes its layer elsewhere.

use super::{Body, LayerPlan, PlanEntry};

/// The most bytes of tar that a plan may ask for: 64 GiB, what a reader of layers takes.
const MAX_TAR: u64 = 64 << 30;

impl LayerPlan {
    /// Returns the stored form; equal plans have equal bytes, and nothing of other layers is in them.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a plan holds nothing that postcard cannot write")
    }

    /// Reads the stored form; `None` where it is none, or what no selection writes: bodies without an end or beyond all
    /// bounds, entries out of order, a directory among what has a body of its own.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Ok((plan, [])) = postcard::take_from_bytes::<Self>(bytes) else { return None };
        plan.holds().then_some(plan)
    }

    fn holds(&self) -> bool {
        let size = |entry: &PlanEntry| match &entry.body {
            Body::Pack { offset, size, .. } => offset.checked_add(*size).map(|_| *size),
            Body::Inline(bytes) => Some(bytes.len() as u64),
            Body::Directory | Body::Symlink(_) | Body::Hardlink(_) => Some(0),
        };
        let is_sorted = |entries: &[PlanEntry]| entries.windows(2).all(|pair| pair[0].path < pair[1].path);
        let entries = self.groups.iter().flat_map(|group| &group.entries).chain(&self.directories);
        let total = entries.map(size).try_fold(0u64, |total, size| total.checked_add(size?));
        total.is_some_and(|total| total <= MAX_TAR)
            && is_sorted(&self.directories)
            && self.directories.iter().all(|entry| entry.body == Body::Directory)
            && self.groups.iter().all(|group| is_sorted(&group.entries))
    }
}
