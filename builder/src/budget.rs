//! One byte budget for everything that holds buffers: decoders, cuts, encoders.
//!
//! A dispatcher (never a rayon task) calls [`Budget::reserve`] before it starts work, in the order in which results
//! are consumed; so whoever is next to be consumed always holds its bytes already, and nothing can wait in a circle.

use std::sync::{Arc, Condvar, Mutex};

/// Bytes that work may hold at once.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

impl Budget {
    /// Returns a budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self(Arc::new(Shared { total, free: Mutex::new(total), freed: Condvar::new() }))
    }

    /// Returns the size of the whole budget in bytes.
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// Waits until `bytes` are free and takes them; a request above the whole budget takes all of it, alone.
    pub fn reserve(&self, bytes: u64) -> Reservation {
        let bytes = bytes.min(self.0.total);
        let mut free = self.0.free.lock().expect("no holder of the budget panics");
        while *free < bytes {
            free = self.0.freed.wait(free).expect("no holder of the budget panics");
        }
        *free -= bytes;
        Reservation { budget: self.clone(), bytes }
    }
}

/// Bytes taken from a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: u64,
}

impl Reservation {
    /// Gives back all but `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.budget.give_back(surplus);
    }
}

impl Budget {
    fn give_back(&self, bytes: u64) {
        *self.0.free.lock().expect("no holder of the budget panics") += bytes;
        self.0.freed.notify_all();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
