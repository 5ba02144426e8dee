//! Tables as data.

pub mod classes;
pub mod closure;
pub mod glob;
pub mod implicit;
pub mod script_only;
pub mod scripts;
