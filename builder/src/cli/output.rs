//! Writing to standard output and standard error without ever panicking.

use std::io::{self, Write};

use super::error::Error;

/// Writes `text` to standard output. A reader that has gone away (`tarsia schema | head`) has what it wanted: that is no
/// error; a full disk is.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write_to(&mut io::stdout().lock(), text.as_bytes()).map_err(Error::Output)
}

/// Writes bytes to standard output, as [`print`].
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    write_to(&mut io::stdout().lock(), bytes).map_err(Error::Output)
}

/// Writes a line to standard error. Where even that fails, nobody is left to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn write_to(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Returns a text without what could move a terminal's cursor.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        assert!(write_to(&mut Broken(io::ErrorKind::BrokenPipe), b"x").is_ok());
        assert!(write_to(&mut Broken(io::ErrorKind::StorageFull), b"x").is_err());
    }
}
