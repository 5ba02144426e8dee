//! Whether a lock still answers its spec.

use std::collections::BTreeSet;

use crate::lock::{ENCODING, Lock, RULES};
use crate::spec::Spec;

/// Returns why `lock` does not answer `spec`, in words; empty where it does.
///
/// Where the spec leaves platforms to the host, whatever the lock has is right.
pub fn stale(lock: &Lock, spec: &Spec) -> Vec<String> {
    let mut reasons = Vec::new();
    if lock.spec != spec.digest {
        reasons.push(format!("the spec changed: the lock was made for {}, the spec is {}", lock.spec, spec.digest));
    }
    if lock.keep != spec.keep.as_str() {
        reasons.push(format!("`keep` is `{}`, in the lock `{}`", spec.keep.as_str(), lock.keep));
    }
    let wanted: BTreeSet<&str> = spec.platforms.iter().map(|platform| platform.value.oci()).collect();
    if !wanted.is_empty() || lock.platform.is_empty() {
        let locked: BTreeSet<&str> = lock.platform.keys().map(String::as_str).collect();
        for platform in wanted.difference(&locked) {
            reasons.push(format!("{platform} is not locked"));
        }
        for platform in locked.difference(&wanted) {
            reasons.push(format!("{platform} is locked, and no longer in the spec"));
        }
        if wanted.is_empty() {
            reasons.push("no platform is locked".to_owned());
        }
    }
    for (what, locked, own) in [("encoding", lock.encoding, ENCODING), ("rules", lock.rules, RULES)] {
        if locked != own {
            reasons.push(format!("{what} is {own}, in the lock {locked} (tarsia {})", lock.tarsia));
        }
    }
    reasons
}
