//! The storage that podman, buildah and CRI-O share, written by one of the tools that know it.
//!
//! Its form on disk depends on drivers, user namespaces and locks that only those tools know, so one of them is run.
//! All keep the manifest as it is: the digest that they show is the image's. skopeo comes first, since it is told the
//! name; `podman pull` and `buildah pull` take it from an archive's annotation (from a layout, podman 4 names an image
//! for its directory).

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::image::{BlobSource, Image, ImageIndex, Reference, fill_layout, write_archive};
use crate::store::Store;
use crate::store::temporary::ListedChild;

use super::{Engines, Error};

/// Programs that write to it, in the order in which they are looked for.
pub(super) const TOOLS: [&str; 3] = ["skopeo", "podman", "buildah"];

/// The most bytes of what a program says that are kept: its end.
const SAID: usize = 4 << 10;

/// Names in the directory that a program is run in, which it reads: it splits at the first colon, and these have none.
const LAYOUT: &str = "layout";
const ARCHIVE: &str = "image.tar";

/// containers-storage, and the program that writes to it.
#[derive(Debug)]
pub struct Storage {
    name: &'static str,
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Storage {
    /// Returns the storage, if one of the programs is there.
    pub fn find(engines: &Engines) -> Result<Self, Error> {
        let found = TOOLS.iter().find_map(|&name| {
            let program = engines.search.iter().map(|directory| directory.join(name)).find(|path| is_program(path))?;
            Some(Self { name, program, environment: engines.environment.clone() })
        });
        found.ok_or(Error::NoTool)
    }

    /// Returns the name of the program that writes to it.
    pub fn tool(&self) -> &str {
        self.name
    }

    /// Puts an image into the storage under a name; one without a host gets `localhost`, as podman names what was
    /// built on this machine.
    ///
    /// # Errors
    /// A blob that is missing, or what the program says.
    pub fn load(&self, image: &Image, name: &Reference, blobs: &BlobSource<'_>, store: &Store) -> Result<(), Error> {
        let name = name.with_host().to_string();
        let directory = store.temporary_directory()?;
        let whole = ImageIndex::new(vec![image.clone()])?;
        let tags = [name.clone()].into();
        let mut command = Command::new(&self.program);
        if self.name == "skopeo" {
            let layout = directory.path().join(LAYOUT);
            fill_layout(&whole, &tags, blobs, &layout, &layout)?;
            command.args(["copy", "--quiet"]);
            command.arg(format!("oci:{LAYOUT}:{name}")).arg(format!("containers-storage:{name}"));
        } else {
            write_archive(&whole, &tags, blobs, &directory.path().join(ARCHIVE))?.commit()?;
            command.args(["pull", "--quiet"]).arg(format!("oci-archive:{ARCHIVE}"));
        }
        command
            .current_dir(directory.path())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let failed = |source| Error::Run { program: self.program.clone(), source };
        let (listed, mut child) = ListedChild::start(|| command.spawn()).map_err(failed)?;
        let said = child.stderr.take().map_or(Ok(String::new()), end_of);
        let status = child.wait().map_err(failed)?;
        drop(listed);
        if status.success() {
            return Ok(());
        }
        let said = said.map_err(failed)?;
        Err(Error::Tool { name, program: self.name.to_owned(), status: status.to_string(), said })
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Reads to the end, and returns the end of it.
fn end_of(mut from: impl Read) -> io::Result<String> {
    let mut kept = Vec::new();
    let mut piece = [0; SAID];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(String::from_utf8_lossy(&kept).trim().to_owned()),
            Ok(count) => {
                kept.extend_from_slice(&piece[..count]);
                kept.drain(..kept.len().saturating_sub(SAID));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_what_a_program_says_is_kept() {
        assert_eq!(end_of(&b" short \n"[..]).unwrap(), "short");
        let long = [vec![b'a'; 3 * SAID], b"why\n".to_vec()].concat();
        let end = end_of(&long[..]).unwrap();
        assert!(end.ends_with("why") && end.len() < SAID);
    }
}
