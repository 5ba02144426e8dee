//! The operations of a build over files, as an operation of BuildKit runs them.
//!
//! In: directories that were mounted, and what the arguments say. Out: directories that others mount. Nothing of the
//! environment, the clock or the network is read, and what is mounted is never trusted: it is what another operation
//! wrote, perhaps elsewhere and long ago, so it is bounded, read strictly, and held against digests where there are
//! any. Each operation is a function of what it reads; threads, memory, umask and the state of the disk reach no byte.
//!
//! ```text
//! open        a layer's packages        → an index of each, and their data by layer
//! open-local  the spec's own files      → one index, and their data
//! open-base   the image below           → one index, and its layers
//! select      every index               → one plan per layer
//! layer       one plan, one layer's data → the layer
//! rootfs      a layer, and what is below → a root filesystem
//! ```
//!
//! `assemble`, which needs documents and policies, is [`ops::worker`](crate::ops::worker)'s.
//!
//! Every argument list begins with a [`Contract`]: a worker that would read or write anything in another way refuses.
//! An output is written beside its place and put there as a whole; where an operation fails, nothing stands there.

mod base;
mod context;
mod contract;
mod error;
mod files;
mod job;
mod layer;
mod local;
mod open;
mod root;
mod select;
#[cfg(test)]
mod tests;

pub use base::{open_base, read_base};
pub use context::{context_files, needs_local};
pub use contract::{Contract, FORMAT};
pub use error::Error;
pub(crate) use error::broken;
pub use files::Output;
pub(crate) use files::read as read_document;
pub use job::Job;
pub(crate) use layer::blob;
pub use layer::{BaseLayer, LayerRecord, layer, read_layer};
pub use local::{open_local, read_local};
pub use open::{Asked, open};
pub use root::rootfs;
pub use select::{Indexes, read_indexes, select, selected};

/// The directory of the data of the spec's own files, which is the name of their layer.
pub const FILES: &str = "files";
/// The directory of a base's layers.
pub const BASE: &str = "base";
/// The index of the spec's own files.
pub const LOCAL: &str = "local";
/// A layer's bytes.
pub const BLOB: &str = "blob";
/// What a layer is.
pub const RECORD: &str = "layer";
/// A layer's plan.
pub const PLAN: &str = "plan";

/// Returns the name of a platform's directory, `linux-amd64`.
pub fn platform_directory(platform: crate::spec::Platform) -> String {
    platform.oci().replace('/', "-")
}
