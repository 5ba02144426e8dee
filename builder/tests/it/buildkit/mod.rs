//! Real BuildKits: Debian's Docker daemon, which has one of 2020 built in, and `buildkitd` of today.
//!
//! Each daemon has its own data, its own short socket path, no bridge and no firewall rules, and ends with its value,
//! also where a test panics or is killed. They need root. A test takes its [`turn`] first, so that no more of them are
//! at work at once than the machine bears; what a daemon did is read from `buildctl`'s status stream ([`solve`]).

pub(crate) mod bridge;
mod caches;
mod client;
mod contexts;
mod counts;
pub(crate) mod daemon;
mod examples;
mod failures;
pub(crate) mod files;
mod frontend;
mod harness;
mod scan;
mod several;
pub(crate) mod solve;
pub(crate) mod ways;
mod wide;
pub(crate) mod worker;

use std::sync::{Condvar, Mutex};

/// Tests with daemons that are at work.
static WORKING: Mutex<usize> = Mutex::new(0);
static DONE: Condvar = Condvar::new();

/// The right to run daemons; others wait until it is dropped.
pub(crate) struct Turn(());

/// Waits until this machine bears one more test with daemons: one for every two cores.
pub(crate) fn turn() -> Turn {
    let most = (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1);
    let mut working = WORKING.lock().unwrap();
    while *working >= most {
        working = DONE.wait(working).unwrap();
    }
    *working += 1;
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A test that panicked elsewhere does not hold this lock.
        *WORKING.lock().unwrap() -= 1;
        DONE.notify_one();
    }
}
