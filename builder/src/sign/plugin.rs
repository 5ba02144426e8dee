//! Keys behind a program of the user's: a token, a cloud's key service, anything that can be scripted.
//!
//! `PROGRAM public` prints the public key as PEM; `PROGRAM sign` reads the bytes to sign from standard input and writes
//! the signature, as [`Signer::sign`] says it, raw or in base64, to standard output. The program is run as it is named,
//! never through a shell; what it says on standard error reaches the user.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;

use base64ct::{Base64, Encoding as _};

use super::{Error, PublicKey, Signer};

/// The most bytes of an answer.
const MAX_ANSWER: u64 = 64 << 10;

/// A key behind a program.
pub struct PluginSigner {
    program: String,
    public: PublicKey,
}

impl PluginSigner {
    /// Asks the program for its public key.
    ///
    /// # Errors
    /// Where the program cannot be run, fails, or prints no key.
    pub fn start(program: &str) -> Result<Self, Error> {
        let pem = run(program, "public", &[])?;
        Ok(Self { program: program.to_owned(), public: PublicKey::from_pem(program, &pem)? })
    }
}

impl Signer for PluginSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let answer = run(&self.program, "sign", message)?;
        if self.public.verifies(message, &answer) {
            return Ok(answer);
        }
        let text = std::str::from_utf8(&answer).ok().map(str::trim);
        text.and_then(|text| Base64::decode_vec(text).ok())
            .filter(|signature| self.public.verifies(message, signature))
            .ok_or_else(|| problem(&self.program, "it printed no signature of these bytes by its key"))
    }

    fn public(&self) -> &PublicKey {
        &self.public
    }
}

fn problem(program: &str, problem: impl Into<String>) -> Error {
    Error::Plugin { program: program.to_owned(), problem: problem.into(), source: None }
}

fn run(program: &str, verb: &str, input: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |what: &str, source: io::Error| Error::Plugin {
        program: program.to_owned(),
        problem: what.to_owned(),
        source: Some(source),
    };
    let mut child = Command::new(program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| failed("it cannot be run", source))?;
    let answer = talk(&mut child, input).map_err(|source| failed("it cannot be talked to", source));
    if !matches!(&answer, Ok(answer) if answer.len() as u64 <= MAX_ANSWER) {
        // What still runs would be waited for in vain; that it may have ended already is no matter.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|source| failed("it cannot be waited for", source))?;
    let answer = answer?;
    if answer.len() as u64 > MAX_ANSWER {
        return Err(problem(program, format!("it printed more than {MAX_ANSWER} bytes")));
    }
    if !status.success() {
        return Err(problem(program, format!("`{verb}` ended with {status}")));
    }
    Ok(answer)
}

/// Writes the input while the output is read, so that neither waits for the other.
fn talk(child: &mut Child, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let stdout = child.stdout.take().expect("standard output is piped");
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read all of its input has its reasons: its answer tells.
            let _ = stdin.write_all(input);
        });
        let mut answer = Vec::new();
        stdout.take(MAX_ANSWER + 1).read_to_end(&mut answer)?;
        Ok(answer)
    })
}
