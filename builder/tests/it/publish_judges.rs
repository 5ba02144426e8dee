//! What other people's tools say of what tarsia publishes: in Debian's own registry, with and without logins, which keeps
//! no lists of referrers, and in the one of this process, which does.

use std::path::PathBuf;
use std::process::Command;

use tarsia::digest::Digest;

use crate::distribution::Distribution;
use crate::judges::{accepts, judge, refuses};
use crate::keys::Agent;
use crate::program::{Place, Ran};
use crate::server::{Manners, Server};

const TWO: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

/// A registry, and a place with an image of two platforms that was pushed there as `team/web:1`, and a key `k`.
struct Stage {
    place: Place,
    host: String,
    /// The index.
    digest: Digest,
    _registry: Option<Distribution>,
}

impl Stage {
    fn over(host: &str, registry: Option<Distribution>) -> Self {
        let place = Place::new();
        if let Some(registry) = &registry {
            registry.log_in(&place);
        }
        place.write("web.yaml", TWO);
        place.ok(&["keygen", "-o", "k"]);
        let digest = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
        let stage = Self { place, host: host.to_owned(), digest: digest.trim().parse().unwrap(), _registry: registry };
        stage.place.ok(&["push", "web.oci", &stage.tag()]);
        stage
    }

    /// Returns one stage over each registry.
    fn all() -> Vec<Self> {
        let server = Server::start(Manners { referrers: true, ..Manners::default() });
        let mut stages = vec![Self::over(&server.host, None)];
        for logins in [false, true] {
            stages.extend(Distribution::start(logins).map(|one| Self::over(&one.host.clone(), Some(one))));
        }
        stages
    }

    /// Returns the image as tarsia names it.
    fn tag(&self) -> String {
        format!("docker://{}", self.name())
    }

    fn name(&self) -> String {
        format!("{}/team/web:1", self.host)
    }

    fn at(&self, digest: &Digest) -> String {
        format!("{}/team/web@{digest}", self.host)
    }

    /// Returns the manifests below the index.
    fn manifests(&self) -> Vec<Digest> {
        let bytes = std::fs::read(self.place.path(&format!("web.oci/blobs/sha256/{}", self.digest.hex()))).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let all = index["manifests"].as_array().unwrap();
        all.iter().map(|one| one["digest"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Returns a judge that stands in the place with its logins.
    fn judge(&self, program: &PathBuf) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.place.path("."));
        command.env("DOCKER_CONFIG", self.place.path(".docker")).env("HOME", self.place.path("home"));
        command.env("REGISTRY_AUTH_FILE", self.place.path(".docker/config.json"));
        command
    }

    fn sign(&self) {
        self.place.ok(&["sign", &self.tag(), "--key", "k.key"]);
    }
}

#[test]
fn cosign_verifies_the_index_and_every_manifest_by_tag_and_by_digest() {
    for stage in Stage::all() {
        stage.sign();
        stage.place.ok(&["keygen", "-o", "other"]);
        for name in ["cosign-2", "cosign-3"] {
            let Some(cosign) = judge(&format!("bin/{name}")) else { return };
            let verify = |key: &str, reference: &str| {
                let mut command = stage.judge(&cosign);
                command.args(["verify", "--key", key, "--insecure-ignore-tlog=true", reference]);
                command
            };
            let mut names = vec![stage.name(), stage.at(&stage.digest)];
            names.extend(stage.manifests().iter().map(|digest| stage.at(digest)));
            for reference in names {
                let said = accepts(&mut verify("k.pub", &reference));
                assert!(said.contains("The signatures were verified against the specified public key"), "{said}");
                refuses(&mut verify("other.pub", &reference));
            }
        }
    }
}

#[test]
fn skopeo_copies_what_its_policy_wants_signed_under_every_identity() {
    let Some(skopeo) = judge("bin/skopeo") else { return };
    for stage in Stage::all() {
        let copy = |reference: &str, identity: &str, all: bool| {
            let key = stage.place.path("k.pub");
            stage.place.write(
                "policy.json",
                format!(
                    r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"{}":[{{"type":"sigstoreSigned","keyPath":"{}","signedIdentity":{identity}}}]}}}}}}"#,
                    stage.host,
                    key.display()
                ),
            );
            stage.place.write(
                "registries.d/x.yaml",
                format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", stage.host),
            );
            let _ = std::fs::remove_dir_all(stage.place.path("out"));
            let mut command = stage.judge(&skopeo);
            command.args(["--policy", "policy.json", "--registries.d", "registries.d", "copy", "--remove-signatures"]);
            command.args(["--src-tls-verify=false"]);
            command.args(all.then_some("--all"));
            command.args([&format!("docker://{reference}"), "oci:out"]);
            command
        };
        let matches = |kind: &str| format!(r#"{{"type":"{kind}"}}"#);
        let host = &stage.host;
        let identities = [
            matches("matchExact"),
            matches("matchRepoDigestOrExact"),
            matches("matchRepository"),
            format!(r#"{{"type":"exactReference","dockerReference":"{}"}}"#, stage.name()),
            format!(r#"{{"type":"exactRepository","dockerRepository":"{host}/team/web"}}"#),
            format!(r#"{{"type":"remapIdentity","prefix":"{host}","signedPrefix":"{host}"}}"#),
        ];
        let said = refuses(&mut copy(&stage.name(), &identities[0], true));
        assert!(said.contains("no signature exists"), "{said}");
        stage.sign();
        for identity in &identities {
            for reference in [stage.name(), stage.at(&stage.digest), stage.at(&stage.manifests()[0])] {
                accepts(&mut copy(&reference, identity, true));
                accepts(&mut copy(&reference, identity, false));
            }
        }
        refuses(&mut copy(&stage.name(), r#"{"type":"exactRepository","dockerRepository":"example.org/web"}"#, true));
    }
}

#[test]
fn cosign_verifies_attestations_of_every_kind() {
    for stage in Stage::all() {
        let subject = stage.manifests()[0];
        let documents = [
            ("spdx", "spdxjson", r#"{"spdxVersion":"SPDX-2.3","name":"<web> & more"}"#),
            (
                "spdx3",
                "https://spdx.dev/Document/v3",
                r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}"#,
            ),
            ("cyclonedx", "cyclonedx", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#),
            (
                "provenance",
                "slsaprovenance1",
                r#"{"buildDefinition":{"buildType":"https://example.org/b","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"}}}"#,
            ),
            ("https://example.org/claim/v1", "https://example.org/claim/v1", r#"{"good":true}"#),
        ];
        for (kind, _, text) in documents {
            stage.place.write("p.json", text);
            let at = format!("docker://{}", stage.at(&subject));
            let attest = ["attest", &at, "--type", kind, "--predicate", "p.json", "--key", "k.key", "--name", "web"];
            assert!(stage.place.ok(&attest).starts_with(&subject.to_string()));
        }
        for name in ["cosign-2", "cosign-3"] {
            let Some(cosign) = judge(&format!("bin/{name}")) else { return };
            for (_, kind, text) in documents {
                let mut command = stage.judge(&cosign);
                command.args(["verify-attestation", "--key", "k.pub", "--insecure-ignore-tlog=true", "--type", kind]);
                let said = accepts(command.arg(stage.at(&subject)));
                let payload = said.lines().find_map(|line| {
                    let value: serde_json::Value = serde_json::from_str(line).ok()?;
                    Some(value["payload"].as_str()?.to_owned())
                });
                use base64ct::Encoding as _;
                let payload = base64ct::Base64::decode_vec(&payload.unwrap_or_else(|| panic!("{said}"))).unwrap();
                let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(statement["predicate"], serde_json::from_str::<serde_json::Value>(text).unwrap());
                assert_eq!(statement["subject"][0]["name"], "web");
            }
            let mut command = stage.judge(&cosign);
            command.args(["verify-attestation", "--key", "k.pub", "--insecure-ignore-tlog=true", "--type", "vuln"]);
            refuses(command.arg(stage.at(&subject)));
        }
    }
}

#[test]
fn oras_finds_all_of_it_and_copies_all_of_it() {
    let Some(oras) = judge("bin/oras") else { return };
    let Some(target) = Distribution::start(false) else { return };
    for stage in Stage::all() {
        stage.sign();
        stage.place.write("s.json", r#"{"spdxVersion":"SPDX-2.3"}"#);
        stage.place.ok(&["attach", &stage.tag(), "s.json", "--key", "k.key"]);
        let discover = |reference: &str| {
            let mut command = stage.judge(&oras);
            command.args(["discover", "--plain-http", "--format", "json", reference]);
            let said: serde_json::Value = serde_json::from_str(&accepts(&mut command)).unwrap();
            let mut found: Vec<(String, String)> = said["referrers"]
                .as_array()
                .unwrap_or_else(|| panic!("{said}"))
                .iter()
                .map(|one| {
                    (one["artifactType"].as_str().unwrap().to_owned(), one["digest"].as_str().unwrap().to_owned())
                })
                .collect();
            found.sort();
            found
        };
        let found = discover(&stage.name());
        let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        assert_eq!(kinds, ["application/spdx+json", bundle, bundle]);
        let copy = format!("{}/copied/{}:1", target.host, stage.host.replace([':', '.'], "-"));
        let mut command = stage.judge(&oras);
        command.args(["cp", "-r", "--from-plain-http", "--to-plain-http", &stage.name(), &copy]);
        accepts(&mut command);
        assert_eq!(discover(&copy), found);
        if let Some(cosign) = judge("bin/cosign-3") {
            let mut command = stage.judge(&cosign);
            accepts(command.args(["verify", "--key", "k.pub", "--insecure-ignore-tlog=true", &copy]));
        }
    }
}

#[test]
fn an_agents_key_signs_what_cosign_verifies_and_signing_again_is_no_change() {
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let stage = Stage::over(&server.host, None);
    let Some(agent) = Agent::start(&stage.place, &["ed25519", "ecdsa"]) else { return };
    for kind in ["ed25519", "ecdsa"] {
        let key = format!("ssh-agent:{kind}");
        let run = |arguments: &[&str]| {
            let ran = Ran::from(stage.place.tarsia(arguments).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap());
            assert_eq!(ran.status, 0, "{}", ran.err);
        };
        run(&["keygen", "-o", kind, "--public-of", &key]);
        run(&["sign", &stage.tag(), "--key", &key]);
        server.behave(Manners { referrers: true, ..Manners::default() });
        // ECDSA by OpenSSH signs in other words every time: what it said before is found and left alone.
        run(&["sign", &stage.tag(), "--key", &key]);
        assert_eq!(server.count("PUT") + server.count("POST") + server.count("PATCH"), 0, "{kind}");
        for name in ["cosign-2", "cosign-3"] {
            let Some(cosign) = judge(&format!("bin/{name}")) else { return };
            let mut command = stage.judge(&cosign);
            command.args(["verify", "--key", &format!("{kind}.pub"), "--insecure-ignore-tlog=true"]);
            accepts(command.arg(stage.name()));
        }
    }
}

#[test]
fn openssl_checks_the_payload_and_npm_the_bundle() {
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let stage = Stage::over(&server.host, None);
    stage.sign();
    let contents = server.contents.lock().unwrap();
    let tag = ("team/web".to_owned(), format!("sha256-{}.sig", stage.digest.hex()));
    let (_, manifest) = &contents.manifests[&("team/web".to_owned(), contents.tags[&tag])];
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    for layer in layers {
        use base64ct::Encoding as _;
        let payload = &contents.blobs[&layer["digest"].as_str().unwrap().parse::<Digest>().unwrap()];
        let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        stage.place.write("payload", payload);
        stage.place.write("signature", base64ct::Base64::decode_vec(signature).unwrap());
        let mut openssl = stage.judge(&PathBuf::from("openssl"));
        openssl.args(["pkeyutl", "-verify", "-pubin", "-inkey", "k.pub", "-rawin", "-in", "payload"]);
        accepts(openssl.args(["-sigfile", "signature"]));
    }
    let bundle = contents
        .blobs
        .values()
        .find(|bytes| bytes.starts_with(b"{\"mediaType\":\"application/vnd.dev.sigstore.bundle"))
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    use base64ct::Encoding as _;
    let statement = base64ct::Base64::decode_vec(value["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let statement: serde_json::Value = serde_json::from_slice(&statement).unwrap();
    let subject = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
    stage.place.write("bundle.json", bundle);
    let Some(modules) = judge("npm/node_modules") else { return };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/judges/bundle.js");
    let ask = |subject: &str| {
        let mut node = stage.judge(&PathBuf::from("node"));
        node.arg(&script).arg(&modules).args(["bundle.json", "k.pub", subject]);
        node
    };
    assert!(accepts(&mut ask(subject)).contains("accepted"));
    refuses(&mut ask(&"0".repeat(64)));
    let mut forged = bundle.clone();
    let at = forged.windows(7).position(|bytes| bytes == b"\"sig\":\"").unwrap() + 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    stage.place.write("bundle.json", forged);
    refuses(&mut ask(subject));
}
