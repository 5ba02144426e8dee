//! What a client may ask in place of a build (BuildKit, `frontend/subrequests`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::buildkit::{Reference, Returned};
use crate::canon;

use super::FrontendOutcome;
use super::error::Error;
use super::options::{TARGETS, Target};

/// Every request that is answered: name, version, and what it is for.
const REQUESTS: [(&str, &str, &str); 2] = [
    ("frontend.subrequests.describe", "1.0.0", "List available subrequest types"),
    ("frontend.targets", "1.0.0", "List all targets current build supports"),
];

/// Answers a request.
///
/// # Errors
/// One that is not known.
pub(super) fn answer(request: &str) -> Result<FrontendOutcome, Error> {
    let Some((name, version, _)) = REQUESTS.iter().find(|(name, ..)| *name == request) else {
        return Err(Error::Request(request.to_owned()));
    };
    let (json, text) = if *name == "frontend.targets" { targets() } else { described() };
    let metadata = BTreeMap::from([
        ("result.json".to_owned(), canon::indented(&json)),
        ("result.txt".to_owned(), text.into_bytes()),
        ("version".to_owned(), version.as_bytes().to_vec()),
    ]);
    Ok(FrontendOutcome { returned: Returned::One(Reference::default()), metadata })
}

fn described() -> (Value, String) {
    let result = json!([{"name": "result.json"}, {"name": "result.txt"}]);
    let all = REQUESTS.iter().map(|(name, version, what)| {
        json!({"name": name, "version": version, "type": "rpc", "description": what, "opts": [], "metadata": result})
    });
    let rows = REQUESTS.iter().map(|(name, version, what)| {
        [name.trim_start_matches("frontend.").to_owned(), (*version).to_owned(), (*what).to_owned()]
    });
    (all.collect(), table(["NAME", "VERSION", "DESCRIPTION"], rows.collect()))
}

fn targets() -> (Value, String) {
    let is_default = |target: Target| target == TARGETS[0].1;
    let all = TARGETS.iter().map(|(name, target, what)| {
        let mut said = json!({"name": name, "description": what});
        if is_default(*target) {
            said["default"] = true.into();
        }
        said
    });
    let rows = TARGETS.iter().map(|(name, target, what)| {
        let name = if is_default(*target) { format!("{name} (default)") } else { (*name).to_owned() };
        [name, (*what).to_owned()]
    });
    let rows: Vec<[String; 2]> = rows.collect();
    (json!({"targets": all.collect::<Value>(), "sources": []}), table(["TARGET", "DESCRIPTION"], rows))
}

/// Returns rows beneath a head, in columns.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0) + 1;
    let lines = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        format!("{}\n", cells.collect::<String>().trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_requests_are_listed() {
        let text = |request: &str| String::from_utf8(answer(request).unwrap().metadata["result.txt"].clone()).unwrap();
        insta::assert_snapshot!(text("frontend.targets"), @r"
        TARGET          DESCRIPTION
        image (default) an image that runs: the files and the config of ours under BuildKit's own digest
        oci             an OCI layout with the bytes that `tarsia build` writes
        evidence        the documents that `tarsia build` puts beside an image
        ");
        insta::assert_snapshot!(text("frontend.subrequests.describe"), @r"
        NAME                 VERSION DESCRIPTION
        subrequests.describe 1.0.0   List available subrequest types
        targets              1.0.0   List all targets current build supports
        ");
        let json: Value = serde_json::from_slice(&answer("frontend.targets").unwrap().metadata["result.json"]).unwrap();
        assert_eq!((&json["targets"][0]["name"], &json["targets"][0]["default"]), (&json!("image"), &json!(true)));
        assert_eq!(answer("frontend.outline").unwrap_err().to_string(), "unsupported request frontend.outline");
    }
}
