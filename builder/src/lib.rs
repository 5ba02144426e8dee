//! Tarsia: signed packages in, byte-reproducible distroless OCI images out.
//!
//! The crate is a row of stages; each takes the value of the stage before it and returns the next one:
//! `Spec` → `Lock` → `Pack` → `Selection` → `Layer` → `Image`. ARCHITECTURE.md holds the map, and a test
//! holds the modules to it.
//!
//! # Glossary
//! - **Spec**: what is asked, written by a person. **Lock**: what was chosen, every input by digest.
//! - **Archive**: a signed place that packages come from. **Index**: an archive's verified list.
//! - **Package**: one `.deb`. **Pack**: a package opened once.
//! - **Tree**, **Node**, **Origin**: what an image holds, and where each entry comes from.
//! - **Selection**: the kept nodes with a **Reason** each. **LayerPlan**: one layer's share of it.
//! - **Digest** names stored bytes; **DiffId** names an uncompressed tar.
//! - **Descriptor**, **Config**, **Manifest**, **Image**, **ImageIndex**: OCI image-spec 1.1.
//! - **Store**: a content-addressed directory that is never trusted.

#![forbid(unsafe_op_in_unsafe_fn)]

pub mod budget;
pub mod canon;
pub mod codec;
pub mod deb822;
pub mod diag;
pub mod digest;
pub mod elf;
pub mod languages;
pub mod license;
pub mod shell;
pub mod store;
pub mod tar;
pub mod tree;

pub mod archive;
pub mod attest;
pub mod buildkit;
pub mod compare;
pub mod container;
pub mod engine;
pub mod evidence;
pub mod fetch;
pub mod image;
pub mod kit;
pub mod layer;
pub mod llb;
pub mod load;
pub mod lock;
pub mod ops;
pub mod package;
pub mod policy;
pub mod registry;
pub mod resolve;
pub mod rules;
pub mod sbom;
pub mod select;
pub mod sign;
pub mod spec;
pub mod verify;
