//! What ends the program from outside: SIGINT, SIGTERM, SIGHUP.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};
use tarsia::store::temporary;

/// Waits, on a thread of its own, for a signal that ends the program; then removes its temporary files and ends it by
/// that signal, so that a shell sees 128 and its number, and knows that it was one. A second signal ends it at once.
///
/// A signal that the program was started to ignore stays ignored. Where nothing can be set up, signals do what they do
/// to any program.
pub(crate) fn watch(ignored: &[i32]) {
    let wanted: Vec<i32> = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !ignored.contains(signal)).collect();
    let second = Arc::new(AtomicBool::new(false));
    for &signal in &wanted {
        // In this order: the first signal sets the flag that the second one finds.
        let _ = flag::register_conditional_default(signal, Arc::clone(&second));
        let _ = flag::register(signal, Arc::clone(&second));
    }
    let Ok(mut signals) = Signals::new(wanted) else { return };
    // Without this thread the first signal is lost, and the second one ends the program.
    let watching = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            temporary::abandon();
            let _ = low_level::emulate_default_handler(signal);
        }
    });
    drop(watching);
}
