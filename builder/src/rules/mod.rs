//! Tables as data.

pub mod classes;
pub mod scripts;
