//! Tables as data.

pub mod classes;
pub mod complaints;
pub mod implicit;
pub mod probes;
pub mod script_only;
pub mod scripts;
