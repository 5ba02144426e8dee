//! A definition as people read it.

use bollard_buildkit_proto::pb;
use prost::Message as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Definition, Operation};
use crate::canon::{self, Sorted};
use crate::digest::Digest;

/// The largest file whose text is shown; of others, the digest is.
const MAX_TEXT: usize = 4 << 10;

/// One operation, its fields in the order in which they are shown.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    digest: Digest,
    kind: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    inputs: &'a [String],
    #[serde(flatten)]
    does: Sorted<'a>,
}

impl Definition {
    /// Returns the operations as JSON, indented, with a newline at the end: for each its name, digest and kind, what it
    /// reads (`NAME`, with `#N` for another output than the first), and what it does.
    pub fn json(&self) -> String {
        let all: Vec<_> = self.operations.iter().map(|operation| self.described(operation)).collect();
        let shown = self.operations.iter().zip(&all).map(|(operation, (kind, inputs, does))| Shown {
            name: &operation.vertex.name,
            digest: operation.digest,
            kind,
            inputs,
            does: Sorted(does),
        });
        let all: Vec<Shown<'_>> = shown.collect();
        let mut text = String::from_utf8(canon::indented(&all)).expect("JSON is UTF-8");
        text.push('\n');
        text
    }

    /// Returns of what kind an operation is, what it reads and what it does.
    fn described(&self, operation: &Operation) -> (&'static str, Vec<String>, Value) {
        let op = pb::Op::decode(operation.bytes.as_slice()).unwrap_or_default();
        let inputs: Vec<String> = op.inputs.iter().map(|input| self.input(input)).collect();
        let (kind, does) = match &op.op {
            Some(pb::op::Op::Source(source)) => {
                ("source", json!({ "identifier": source.identifier, "attributes": source.attrs }))
            }
            Some(pb::op::Op::Exec(exec)) => ("exec", shown_exec(exec, &inputs)),
            Some(pb::op::Op::File(files)) => ("file", shown_files(files, &inputs)),
            Some(_) => ("other", json!({})),
            None => ("none", json!({})),
        };
        (kind, inputs, does)
    }

    /// Returns how an input is called: by its operation's name, which progress shows too.
    fn input(&self, input: &pb::Input) -> String {
        let of = |operation: &&Operation| operation.digest.to_string() == input.digest;
        let name = self.operations.iter().find(of).map_or(input.digest.as_str(), |found| &found.vertex.name);
        if input.index == 0 { name.to_owned() } else { format!("{name} #{}", input.index) }
    }
}

fn shown_exec(exec: &pb::ExecOp, inputs: &[String]) -> Value {
    let mounts: Vec<Value> = exec
        .mounts
        .iter()
        .map(|mount| {
            let mut shown = json!({ "at": mount.dest });
            if let Some(input) = usize::try_from(mount.input).ok().and_then(|index| inputs.get(index)) {
                shown["from"] = json!(input);
            }
            if !mount.selector.is_empty() {
                shown["selector"] = json!(mount.selector);
            }
            if mount.output >= 0 {
                shown["output"] = json!(mount.output);
            }
            shown
        })
        .collect();
    let meta = exec.meta.clone().unwrap_or_default();
    let network = match pb::NetMode::try_from(exec.network) {
        Ok(mode) => mode.as_str_name().to_ascii_lowercase(),
        Err(_) => exec.network.to_string(),
    };
    json!({ "arguments": meta.args, "mounts": mounts, "network": network })
}

fn shown_files(files: &pb::FileOp, inputs: &[String]) -> Value {
    use pb::file_action::Action;
    let steps = files.actions.iter().map(|action| match &action.action {
        Some(Action::Mkdir(step)) => json!({ "directory": step.path }),
        Some(Action::Mkfile(step)) => match std::str::from_utf8(&step.data) {
            Ok(text) if text.len() <= MAX_TEXT => json!({ "file": step.path, "text": text }),
            _ => json!({ "file": step.path, "size": step.data.len(), "digest": Digest::of(&step.data) }),
        },
        Some(Action::Copy(step)) => {
            let from = usize::try_from(action.secondary_input).ok().and_then(|index| inputs.get(index));
            json!({ "copy": step.src, "from": from, "to": step.dest })
        }
        _ => json!({}),
    });
    json!({ "steps": steps.collect::<Vec<_>>() })
}
