//! What others signed, and what they say to the attack: cosign's signatures are taken, and skopeo's policy refuses what
//! `verify` refuses.

use std::path::PathBuf;
use std::process::Command;

use crate::distribution::Distribution;
use crate::judges::{accepts, judge, refuses};
use crate::program::{Place, Ran};

const TWO: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

/// Debian's own registry, with a place to work in.
struct Stage {
    place: Place,
    registry: Distribution,
}

impl Stage {
    fn new() -> Option<Self> {
        let place = Place::new();
        place.write("web.yaml", TWO);
        Some(Self { registry: Distribution::start(false)?, place })
    }

    fn name(&self) -> String {
        format!("{}/team/web", self.registry.host)
    }

    /// Builds the image and pushes it as `v1`; returns its digest.
    fn push(&self) -> String {
        self.place.ok(&["build", "web.yaml", "-o", &format!("docker://{}:v1", self.name())]).trim().to_owned()
    }

    fn judge(&self, program: &PathBuf) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.place.path(".")).env("HOME", self.place.path("home")).env("COSIGN_PASSWORD", "");
        command.env("DOCKER_CONFIG", self.place.path(".docker"));
        command
    }

    fn verify(&self, arguments: &[&str]) -> Ran {
        let image = format!("docker://{}:v1", self.name());
        self.place.run(&[&["verify", &image], arguments].concat())
    }
}

#[test]
fn what_cosign_signs_is_verified() {
    let Some(two) = judge("bin/cosign-2") else { return };
    let plain = ["--tlog-upload=false", "--yes", "--allow-insecure-registry", "--allow-http-registry"];
    for (name, more) in [("bin/cosign-2", None), ("bin/cosign-3", Some("--use-signing-config=false"))] {
        let Some(cosign) = judge(name) else { return };
        let Some(stage) = Stage::new() else { return };
        let digest = stage.push();
        accepts(stage.judge(&two).arg("generate-key-pair"));
        let reference = format!("{}@{digest}", stage.name());
        let signing = |command: &str| {
            let mut signing = stage.judge(&cosign);
            signing.args([command, "--key", "cosign.key"]).args(plain).args(more);
            signing
        };
        let ran = stage.verify(&["--key", "cosign.pub"]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        // Not yet the manifests.
        accepts(signing("sign").arg(&reference));
        let any = ["--key", "cosign.pub", "--identity", "any"];
        assert_eq!(stage.verify(&any).status, 1);
        accepts(signing("sign").arg("--recursive").arg(&reference));
        let ran = stage.verify(&any);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        // Cosign 3 writes bundles alone, which name no repository.
        assert_eq!(stage.verify(&["--key", "cosign.pub"]).status, i32::from(more.is_some()));
        // Cosign names the repository, and no tag.
        assert_eq!(stage.verify(&["--key", "cosign.pub", "--identity", "exact"]).status, 1);
        stage.place.write("sbom.json", br#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"a"}]}"#);
        for one in manifests(&stage, &digest) {
            let attested = format!("{}@{one}", stage.name());
            accepts(signing("attest").args(["--type", "cyclonedx", "--predicate", "sbom.json"]).arg(attested));
        }
        let ran = stage.verify(&[&any[..], &["--require", "sbom"]].concat());
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("CycloneDX 1.6: 1 component by `cosign.pub`"), "{}", ran.out);
    }
}

fn manifests(stage: &Stage, digest: &str) -> Vec<String> {
    stage.place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let hex = digest.strip_prefix("sha256:").unwrap();
    let bytes = std::fs::read(stage.place.path(&format!("web.oci/blobs/sha256/{hex}"))).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let all = index["manifests"].as_array().unwrap();
    all.iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_attack_is_refused_by_verify_and_by_skopeo() {
    let Some(skopeo) = judge("bin/skopeo") else { return };
    let Some(stage) = Stage::new() else { return };
    let image = format!("docker://{}:v1", stage.name());
    stage.place.ok(&["keygen", "-o", "k"]);
    let good = stage.push();
    stage.place.ok(&["sign", &image, "--key", "k.key"]);
    let key = stage.place.path("k.pub");
    stage.place.write(
        "policy.json",
        format!(
            r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"{}":[{{"type":"sigstoreSigned","keyPath":"{}","signedIdentity":{{"type":"matchRepository"}}}}]}}}}}}"#,
            stage.registry.host,
            key.display()
        ),
    );
    let attachments = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", stage.registry.host);
    stage.place.write("registries.d/x.yaml", attachments);
    let copy = || {
        let _ = std::fs::remove_dir_all(stage.place.path("out"));
        let mut command = stage.judge(&skopeo);
        command.args(["--policy", "policy.json", "--registries.d", "registries.d", "copy", "--remove-signatures"]);
        command.args(["--src-tls-verify=false", "--all", &image, "oci:out"]);
        command
    };
    accepts(&mut copy());
    let ran = stage.verify(&["--key", "k.pub", "--identity", "exact"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    // The right tag, one altered file.
    stage.place.write("web.yaml", TWO.replace("hi", "ho"));
    let altered = stage.push();
    assert_ne!(altered, good);
    let said = refuses(&mut copy());
    assert!(said.contains("no signature exists"), "{said}");
    let ran = stage.verify(&["--key", "k.pub"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("no signature: nothing is signed"), "{}", ran.out);
    // The signatures of the good image, moved to the altered one.
    let Some(crane) = judge("bin/crane") else { return };
    let sig = |digest: &str| format!("{}:{}.sig", stage.name(), digest.replace(':', "-"));
    accepts(stage.judge(&crane).args(["copy", &sig(&good), &sig(&altered)]));
    let said = refuses(&mut copy());
    assert!(said.contains("Source image rejected"), "{said}");
    let ran = stage.verify(&["--key", "k.pub"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains(&format!("`k.pub` signed another image there, {good}")), "{}", ran.out);
}

#[test]
fn what_oras_copies_with_its_referrers_is_verified_on_disk() {
    let Some(oras) = judge("bin/oras") else { return };
    let Some(stage) = Stage::new() else { return };
    stage.place.ok(&["keygen", "-o", "k"]);
    stage.push();
    let image = format!("docker://{}:v1", stage.name());
    stage.place.ok(&["sign", &image, "--key", "k.key"]);
    let mut copy = stage.judge(&oras);
    copy.args(["cp", "-r", "--from-plain-http", "--to-oci-layout", &format!("{}:v1", stage.name()), "copied:v1"]);
    accepts(&mut copy);
    let ran = stage.place.run(&["verify", "oci:copied:v1", "--key", "k.pub"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.out.matches("yes      signature").count(), 3, "{}", ran.out);
}

#[test]
fn a_verdict_is_read_by_cosign_and_is_no_signature() {
    let Some(stage) = Stage::new() else { return };
    let image = format!("docker://{}:v1", stage.name());
    for name in ["k", "verifier"] {
        stage.place.ok(&["keygen", "-o", name]);
    }
    stage.place.write("web.yaml", TWO.replace(", linux/arm64", ""));
    stage.place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    stage.place.ok(&["release", "web.oci", &image, "--key", "k.key", "--assets", "assets"]);
    let ran = stage.verify(&["--key", "k.pub", "--rebuild", "--verifier-key", "verifier.key"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let ran = stage.verify(&["--key", "k.pub", "--key", "verifier.pub", "--require", "rebuild"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(stage.verify(&["--key", "verifier.pub", "--identity", "any"]).status, 1);
    let name = format!("{}:v1", stage.name());
    let plain = ["--insecure-ignore-tlog=true", "--allow-http-registry", "--allow-insecure-registry"];
    for cosign in ["bin/cosign-2", "bin/cosign-3"] {
        let Some(cosign) = judge(cosign) else { return };
        for kind in [tarsia::attest::VERIFICATION, tarsia::attest::PROVENANCE] {
            let mut reading = stage.judge(&cosign);
            reading.args(["verify-attestation", "--key", "verifier.pub", "--type", kind]).args(plain).arg(&name);
            accepts(&mut reading);
        }
    }
}
