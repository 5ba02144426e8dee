//! A broken contract as an error, one for each breach.

use std::sync::Arc;

use super::judge::{Found, Rule};
use crate::diag::{Diagnose, Label, Source, Verdict};
use crate::spec::Finding;

/// One breach of a contract.
#[derive(Debug, thiserror::Error)]
#[error("cannot accept `{image}` ({platform}): {} {}{}", found.subject(), found.what, from(found))]
pub struct Broken {
    /// The image as it was named.
    pub image: String,
    /// Its platform.
    pub platform: String,
    /// What breaks the contract.
    pub found: Found,
    /// The contract's text.
    pub source_text: Arc<Source>,
    /// What the caller can say on how to settle it, before what is said anyway.
    pub fixes: Vec<String>,
}

fn from(found: &Found) -> String {
    found.from.as_ref().map(|from| format!(", from {from}")).unwrap_or_default()
}

impl Diagnose for Broken {
    fn code(&self) -> &'static str {
        match self.found.rule {
            Rule::Forbid(Finding::Shell) => "policy::shell",
            Rule::Forbid(Finding::PackageManager) => "policy::package-manager",
            Rule::Forbid(Finding::Setuid) => "policy::setuid",
            Rule::Forbid(Finding::Setgid) => "policy::setgid",
            Rule::Forbid(Finding::Capability) => "policy::capability",
            Rule::Forbid(Finding::WorldWritable) => "policy::world-writable",
            Rule::Forbid(Finding::Secrets) => "policy::secrets",
            Rule::Forbid(Finding::RootUser) => "policy::root-user",
            Rule::MaxSize => "policy::max-size",
            Rule::Licenses => "policy::licenses",
            Rule::Files => "policy::files",
        }
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label { source: self.source_text.clone(), span: self.found.span, text: String::new() }]
    }

    fn hints(&self) -> Vec<String> {
        self.fixes.iter().cloned().chain(fix(&self.found)).collect()
    }

    fn verdict(&self) -> Verdict {
        Verdict::No
    }
}

/// Returns what settles a breach, whoever built the image.
fn fix(found: &Found) -> Option<String> {
    if let Some(package) = &found.package {
        return Some(format!(
            "or accept it: `{{package: {package}, because: \"…\"}}` under `checks: licenses: exceptions`"
        ));
    }
    let Rule::Forbid(finding) = found.rule else { return None };
    Some(match (finding, &found.path) {
        (Finding::RootUser, _) => "set `run: {user: nonroot}`".to_owned(),
        (Finding::Secrets, _) if found.hidden => {
            "build the image without it, and change the secret: what a later layer deletes stays in the image"
                .to_owned()
        }
        (_, None) => "take it out, and change the secret".to_owned(),
        (_, Some(path)) => format!(
            "or allow it: `{{path: {path}, finding: {}, because: \"…\"}}` under `checks: allow`",
            finding.as_str()
        ),
    })
}
