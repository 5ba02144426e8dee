//! What a file is to the closure, told by its path and by whether it is ELF.

use super::universe::Body;
use crate::rules::classes::{self, Class};
use crate::spec::Platform;

/// Directories in which programs are looked for by name.
pub(super) const PATH: [&str; 6] =
    ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "usr/local/games", "usr/games"];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A licence text.
    Copyright,
    /// A link in the place of a package's directory of documentation: it leads to the licence text.
    DocLink,
    Doc,
    Admin,
    /// In a directory of programs.
    Program,
    /// ELF, or a link to it, where the loader looks by itself.
    Library,
    /// ELF elsewhere.
    Plugin,
    /// The rest.
    Data,
}

impl Role {
    /// Returns whether this is what a package is installed for.
    pub(super) fn is_payload(self) -> bool {
        matches!(self, Self::Program | Self::Library | Self::Plugin | Self::Data)
    }
}

/// Where the loader of a platform looks by itself.
pub(super) struct Roles {
    libraries: [&'static str; 7],
}

impl Roles {
    pub(super) fn new(platform: Platform) -> Self {
        let (own, local) = match platform {
            Platform::Amd64 => ("usr/lib/x86_64-linux-gnu", "usr/local/lib/x86_64-linux-gnu"),
            Platform::Arm64 => ("usr/lib/aarch64-linux-gnu", "usr/local/lib/aarch64-linux-gnu"),
        };
        Self { libraries: [own, "usr/lib", "usr/lib64", "usr/lib32", "usr/libx32", local, "usr/local/lib"] }
    }

    /// Returns the role of what stands at a path without leading slash.
    pub(super) fn of(&self, path: &str, body: &Body<'_>) -> Role {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match classes::class(path) {
            Class::Copyright => return Role::Copyright,
            Class::Doc if matches!(body, Body::Link(_)) && parent == "usr/share/doc" => return Role::DocLink,
            Class::Doc => return Role::Doc,
            Class::Admin => return Role::Admin,
            Class::Payload => {}
        }
        let hwcaps = parent.rsplit_once('/').and_then(|(above, _)| above.strip_suffix("/glibc-hwcaps"));
        let in_libraries = self.libraries.contains(&hwcaps.unwrap_or(parent));
        match body {
            Body::Directory(_) => Role::Data,
            _ if PATH.contains(&parent) => Role::Program,
            Body::Link(_) if in_libraries && name.contains(".so") => Role::Library,
            Body::File(facts) if facts.elf.as_ref().is_some_and(|elf| elf.kind != 1) => {
                if in_libraries {
                    Role::Library
                } else {
                    Role::Plugin
                }
            }
            _ => Role::Data,
        }
    }
}
