//! Tables as data.

pub mod classes;
pub mod closure;
pub mod complaints;
pub mod glob;
pub mod implicit;
pub mod probes;
pub mod script_only;
pub mod scripts;
pub mod slices;
