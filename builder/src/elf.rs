//! Facts of one ELF file (System V gABI; LSB; the dlopen metadata note of systemd.io/ELF_DLOPEN_METADATA).

use serde::{Deserialize, Serialize};

/// What the loader and the closure need to know of an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// 32 or 64.
    pub class: u8,
    /// `e_machine`.
    pub machine: u16,
    /// `e_type` (2 executable, 3 shared object, 1 relocatable).
    pub kind: u16,
    /// `e_flags`.
    pub flags: u32,
    /// PT_INTERP.
    pub interpreter: Option<String>,
    /// DT_SONAME.
    pub soname: Option<String>,
    /// DT_NEEDED in order.
    pub needed: Vec<String>,
    /// DT_RUNPATH split at `:`.
    pub runpath: Vec<String>,
    /// DT_RPATH split at `:`.
    pub rpath: Vec<String>,
    /// DF_1_NODEFLIB is set.
    pub nodefaultlib: bool,
    /// `.note.gnu.property` x86 ISA level needed, as a bit set (0 where absent).
    pub isa_needed: u32,
    /// Minimum kernel of `.note.ABI-tag` as (os, major, minor, patch).
    pub abi_tag: Option<(u32, u32, u32, u32)>,
    /// `.note.dlopen`: (soname alternatives, priority).
    pub dlopen: Vec<(Vec<String>, String)>,
    /// Has a dynamic section.
    pub dynamic: bool,
}
