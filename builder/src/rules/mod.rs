//! Tables as data.

pub mod implicit;
pub mod script_only;
