//! Asks for a password on the terminal, without showing it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// What ends a program by the keyboard, and what takes back a letter.
const INTERRUPT: u8 = 3;
const ERASE: [u8; 2] = [8, 127];
/// The most bytes of a password.
const MAX: usize = 1024;

/// Asks for a password; `None` where there is no terminal, or its user breaks off.
pub(crate) fn ask(question: &str) -> Option<Zeroizing<String>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    read(&terminal, question).ok().flatten()
}

/// Reads a line letter by letter: the terminal itself would show it, and end the program before it is set right again.
fn read(mut terminal: &File, question: &str) -> io::Result<Option<Zeroizing<String>>> {
    let before = tcgetattr(terminal)?;
    let mut silent = before.clone();
    silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    let _restored = Restored { terminal, before };
    tcsetattr(terminal, OptionalActions::Flush, &silent)?;
    write!(terminal, "{question}: ")?;
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX));
    let mut byte = [0];
    let ended = loop {
        if terminal.read(&mut byte)? == 0 {
            break false;
        }
        match byte[0] {
            b'\n' | b'\r' => break true,
            INTERRUPT => break false,
            erase if ERASE.contains(&erase) => {
                typed.pop();
            }
            letter if typed.len() < MAX => typed.push(letter),
            _ => {}
        }
    };
    writeln!(terminal)?;
    let text = std::str::from_utf8(&typed).ok().filter(|_| ended);
    Ok(text.map(|text| Zeroizing::new(text.to_owned())))
}

/// Sets the terminal right again when dropped.
struct Restored<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no care.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
