//! Writes the seeds of every target to `corpus/TARGET/`, where `cargo fuzz` looks for them.

use std::fs;
use std::path::Path;

use tarsia::digest::Digest;
use tarsia_fuzz::{TARGETS, seeds};

fn main() -> std::io::Result<()> {
    for (name, _) in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        fs::create_dir_all(&directory)?;
        for seed in seeds::of(name) {
            fs::write(directory.join(&Digest::of(&seed).hex()[..16]), seed)?;
        }
    }
    Ok(())
}
