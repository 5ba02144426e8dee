//! Keys that stay in an ssh-agent (draft-ietf-sshm-ssh-agent): the agent signs, no private byte is seen.
//!
//! Its signatures by `ssh-ed25519` and `ecdsa-sha2-nistp256` keys are plain ones of the bytes that it is given.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use base64ct::{Base64Unpadded, Encoding as _};

use super::{Error, PublicKey, Signer};
use crate::digest::Digest;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The most bytes of an answer.
const MAX_ANSWER: u32 = 256 << 10;
/// How long an agent may take: a person may have to touch a token, or to type.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key of an agent.
pub struct AgentSigner {
    stream: Mutex<UnixStream>,
    blob: Vec<u8>,
    public: PublicKey,
}

impl AgentSigner {
    /// Finds the key that `wanted` names in the agent at `socket`: by its fingerprint (`SHA256:…`, as `ssh-add -l` shows
    /// it) or its comment; where nothing is wanted, the only key that can sign for us.
    ///
    /// # Errors
    /// Where no agent answers, or not exactly one key fits.
    pub fn connect(socket: &Path, wanted: Option<&str>) -> Result<Self, Error> {
        let stream = UnixStream::connect(socket)
            .and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(|source| Error::Agent { problem: "it cannot be reached".to_owned(), source: Some(source) })?;
        let answer = ask(&stream, REQUEST_IDENTITIES, &[], IDENTITIES_ANSWER)?;
        let keys = identities(&answer).ok_or_else(|| broken("its list of keys"))?;
        let mut fitting: Vec<Identity> = keys
            .into_iter()
            .filter(|key| wanted.is_none_or(|wanted| key.fingerprint() == wanted || key.comment == wanted))
            .collect();
        let problem = match fitting.len() {
            1 => {
                let Identity { blob, public, .. } = fitting.remove(0);
                return Ok(Self { stream: Mutex::new(stream), blob, public });
            }
            0 => match wanted {
                Some(wanted) => format!("it holds no Ed25519 or P-256 key `{wanted}`"),
                None => "it holds no Ed25519 or P-256 key".to_owned(),
            },
            _ => {
                let names: Vec<String> = fitting.iter().map(Identity::fingerprint).collect();
                format!("several of its keys fit, and one must be named: {}", names.join(", "))
            }
        };
        Err(Error::Agent { problem, source: None })
    }
}

impl Signer for AgentSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut request = Vec::new();
        put(&mut request, &self.blob);
        put(&mut request, message);
        request.extend_from_slice(&[0; 4]);
        let stream = self.stream.lock().map_err(|_| Error::Sign)?;
        let answer = ask(&stream, SIGN_REQUEST, &request, SIGN_RESPONSE)?;
        drop(stream);
        let signature = signature(&answer).ok_or_else(|| broken("its signature"))?;
        if self.public.verifies(message, &signature) { Ok(signature) } else { Err(broken("its signature")) }
    }

    fn public(&self) -> &PublicKey {
        &self.public
    }
}

fn broken(what: &str) -> Error {
    Error::Agent { problem: format!("{what} is broken"), source: None }
}

/// Sends one request and returns the body of its answer.
fn ask(mut stream: &UnixStream, kind: u8, body: &[u8], wanted: u8) -> Result<Vec<u8>, Error> {
    let mut talk = || -> io::Result<Vec<u8>> {
        let length = u32::try_from(body.len() + 1).map_err(io::Error::other)?;
        let mut request = length.to_be_bytes().to_vec();
        request.push(kind);
        request.extend_from_slice(body);
        stream.write_all(&request)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length == 0 || length > MAX_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer has an impossible length"));
        }
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    let mut answer =
        talk().map_err(|source| Error::Agent { problem: "it does not answer".to_owned(), source: Some(source) })?;
    if answer[0] != wanted {
        return Err(Error::Agent { problem: "it refuses".to_owned(), source: None });
    }
    answer.remove(0);
    Ok(answer)
}

/// A key of an agent that can sign for us.
struct Identity {
    blob: Vec<u8>,
    comment: String,
    public: PublicKey,
}

impl Identity {
    /// Returns the fingerprint as `ssh-add -l` shows it.
    fn fingerprint(&self) -> String {
        format!("SHA256:{}", Base64Unpadded::encode_string(Digest::of(&self.blob).as_bytes()))
    }
}

/// Returns the keys of an answer that can sign for us; `None` where the answer is broken.
fn identities(mut answer: &[u8]) -> Option<Vec<Identity>> {
    let mut keys = Vec::new();
    for _ in 0..number(&mut answer)? {
        let blob = take(&mut answer)?;
        let comment = String::from_utf8_lossy(take(&mut answer)?).into_owned();
        if let Some(public) = public_key(blob) {
            keys.push(Identity { blob: blob.to_vec(), comment, public });
        }
    }
    answer.is_empty().then_some(keys)
}

/// Returns the key of a blob (RFC 8709, section 4; RFC 5656, section 3.1) where it is one of our algorithms.
fn public_key(mut blob: &[u8]) -> Option<PublicKey> {
    match take(&mut blob)? {
        b"ssh-ed25519" => PublicKey::from_ed25519_bytes(take(&mut blob)?),
        b"ecdsa-sha2-nistp256" if take(&mut blob)? == b"nistp256" => PublicKey::from_p256_bytes(take(&mut blob)?),
        _ => None,
    }
}

/// Returns the signature of an answer in the form of [`Signer::sign`] (RFC 8709, section 6; RFC 5656, section 3.1.2).
fn signature(mut answer: &[u8]) -> Option<Vec<u8>> {
    let mut blob = take(&mut answer)?;
    let kind = take(&mut blob)?;
    let mut signature = take(&mut blob)?;
    match kind {
        b"ssh-ed25519" => Some(signature.to_vec()),
        b"ecdsa-sha2-nistp256" => {
            let (r, s) = (scalar(take(&mut signature)?)?, scalar(take(&mut signature)?)?);
            let signature = p256::ecdsa::Signature::from_scalars(r, s).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        }
        _ => None,
    }
}

/// Returns a multi-precision integer (RFC 4251, section 5) as 32 bytes.
fn scalar(number: &[u8]) -> Option<[u8; 32]> {
    let digits = number.strip_prefix(&[0]).unwrap_or(number);
    let mut scalar = [0; 32];
    scalar.get_mut(32usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(scalar)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u32::from_be_bytes(*number))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)? as usize;
    let (string, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(string)
}

fn put(to: &mut Vec<u8>, string: &[u8]) {
    to.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(string);
}
