//! Keys as the command line names them: a file, a variable, an ssh-agent, a program.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;
use tarsia::diag::{Problems, Warning};
use tarsia::sign::{AgentSigner, PluginSigner, PrivateKey, PublicKey, Signer};
use zeroize::Zeroizing;

use super::environment::Environment;
use super::error::Error;
use super::password;
use super::session::Session;

/// The most bytes of a key file.
const MAX_KEY: u64 = 64 << 10;

/// The key to sign with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Key options")]
pub(crate) struct KeyFlag {
    /// Private key: a file, env://VARIABLE, ssh-agent:[FINGERPRINT|COMMENT] or exec:PROGRAM
    #[arg(long = "key", value_name = "KEY", env = "TARSIA_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

/// Where a key is.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    File(&'a Path),
    Variable(&'a str),
    Agent(Option<&'a str>),
    Program(&'a str),
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Self {
        if let Some(name) = text.strip_prefix("env://") {
            return Self::Variable(name);
        }
        if let Some(wanted) = text.strip_prefix("ssh-agent:") {
            return Self::Agent((!wanted.is_empty()).then_some(wanted));
        }
        match text.strip_prefix("exec:") {
            Some(program) => Self::Program(program),
            None => Self::File(Path::new(text)),
        }
    }
}

impl KeyFlag {
    /// Opens the key, which must be named.
    pub(crate) fn signer(&self, session: &Session) -> Result<Box<dyn Signer>, Problems> {
        signer(session, self.key.as_deref().ok_or(Error::NoKey)?)
    }
}

/// Opens a key to sign with. A password is taken from `COSIGN_PASSWORD`, or asked for on a terminal.
pub(crate) fn signer(session: &Session, text: &str) -> Result<Box<dyn Signer>, Problems> {
    let mut ask = || {
        let environment = &session.environment;
        let known = environment.password.as_ref().map(|password| password.0.clone());
        known.or_else(|| environment.terminal.then(|| password::ask(&format!("Password of {text}"))).flatten())
    };
    let pem = match Place::parse(text) {
        Place::File(path) => file(session, path)?,
        Place::Variable(name) => variable(name)?,
        Place::Agent(wanted) => return Ok(Box::new(agent(session, wanted)?)),
        Place::Program(program) => return Ok(Box::new(PluginSigner::start(program)?)),
    };
    Ok(Box::new(PrivateKey::from_pem(text, &pem, &mut ask)?))
}

/// Opens a key that checks signatures: a public key, or the public half of an agent's or a program's.
pub(crate) fn public(session: &Session, text: &str) -> Result<PublicKey, Problems> {
    let pem = match Place::parse(text) {
        Place::File(path) => read(path)?,
        Place::Variable(name) => variable(name)?,
        Place::Agent(wanted) => return Ok(agent(session, wanted)?.public().clone()),
        Place::Program(program) => return Ok(PluginSigner::start(program)?.public().clone()),
    };
    Ok(PublicKey::from_pem(text, &pem)?)
}

fn agent(session: &Session, wanted: Option<&str>) -> Result<AgentSigner, Problems> {
    let socket = session.environment.agent.as_ref().ok_or(Error::NoAgent)?;
    Ok(AgentSigner::connect(socket, wanted)?)
}

fn variable(name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let secret = Environment::secret(name).ok_or_else(|| Error::NoVariable(name.to_owned()))?;
    Ok(Zeroizing::new(secret.0.as_bytes().to_vec()))
}

/// Reads a private key, and warns of one that others may read.
fn file(session: &Session, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o077 != 0) {
        let path = path.display();
        session.warnings(&[Warning {
            code: "cli::key-mode",
            message: format!("key `{path}` can be read by others"),
            hints: vec![format!("`chmod 600 {path}` keeps it to you")],
        }]);
    }
    read(path)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |cause| Error::Key(path.display().to_string(), cause);
    let file = File::open(path).map_err(failed)?;
    // Room for all of it from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY as usize + 1));
    file.take(MAX_KEY + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_where_it_is() {
        assert_eq!(Place::parse("a.key"), Place::File(Path::new("a.key")));
        assert_eq!(Place::parse("env://K"), Place::Variable("K"));
        assert_eq!(Place::parse("ssh-agent:"), Place::Agent(None));
        assert_eq!(Place::parse("ssh-agent:SHA256:abc"), Place::Agent(Some("SHA256:abc")));
        assert_eq!(Place::parse("exec:/bin/sign"), Place::Program("/bin/sign"));
    }
}
