//! A definition read back from its bytes.

use std::collections::BTreeSet;

use bollard_buildkit_proto::pb;
use prost::Message as _;

use super::{Definition, NAME, Operation, Output, Vertex};
use crate::diag::Diagnose;
use crate::digest::Digest;

/// The most operations that are read.
const MAX_OPERATIONS: usize = 100_000;

/// Bytes that are no definition.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a definition of operations: {0}")]
pub struct Error(String);

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        "llb::definition"
    }
}

impl Definition {
    /// Reads `pb.Definition`; subjects are not in it, so each is the operation's name.
    ///
    /// # Errors
    /// Bytes that are no such message, an operation that reads what does not stand before it, no end.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let message = pb::Definition::decode(bytes).map_err(|error| Error(error.to_string()))?;
        Self::of_message(&message)
    }

    /// Reads the message that a solve carries, as [`Definition::parse`] does.
    ///
    /// # Errors
    /// As there.
    pub fn of_message(message: &pb::Definition) -> Result<Self, Error> {
        let Some((end, rest)) = message.def.split_last() else {
            return Err(Error("it has no end".to_owned()));
        };
        if rest.len() > MAX_OPERATIONS {
            return Err(Error(format!("it has {} operations, more than {MAX_OPERATIONS}", rest.len())));
        }
        let mut known = BTreeSet::new();
        let mut operations = Vec::new();
        for bytes in rest {
            let digest = Digest::of(bytes);
            let inputs = outputs(bytes, &known)?.into_iter().map(|output| output.operation).collect();
            if !known.insert(digest) {
                continue;
            }
            let metadata = message.metadata.get(&digest.to_string()).cloned().unwrap_or_default();
            let name = metadata.description.get(NAME).cloned().unwrap_or_default();
            let vertex = Vertex { subject: name.clone(), name };
            operations.push(Operation { digest, bytes: bytes.clone(), inputs, metadata, vertex });
        }
        match outputs(end, &known)?.as_slice() {
            [result] => Ok(Self { operations, result: *result }),
            other => Err(Error(format!("it ends with {} outputs", other.len()))),
        }
    }
}

/// Returns what an operation reads; all of it must be `known`.
fn outputs(bytes: &[u8], known: &BTreeSet<Digest>) -> Result<Vec<Output>, Error> {
    let op = pb::Op::decode(bytes).map_err(|error| Error(error.to_string()))?;
    let output = |input: &pb::Input| {
        let operation: Digest =
            input.digest.parse().map_err(|_| Error(format!("`{}` names no operation", input.digest)))?;
        if !known.contains(&operation) {
            return Err(Error(format!("an operation reads {operation}, which does not stand before it")));
        }
        Ok(Output { operation, index: input.index })
    };
    op.inputs.iter().map(output).collect()
}
