//! `release`: pushes, signs, attests and attaches in one go, and writes what others need to check it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::evidence::{Document, Evidence, KIT, KIT_MEDIA_TYPE, ManifestEvidence};
use crate::image::{self, Destination, Reference};
use crate::registry::PushedImage;
use crate::sign::Signer;

use super::assets::{Assets, SUMS, SUMS_SIGNATURE};
use super::attest::evident;
use super::kit::full_kit;
use super::published::{Attachment, Published, Said, at_once};
use super::push::{evidence_of, target_of};
use super::{Error, World, shown};

/// How an image is released.
#[derive(Debug, Clone)]
pub struct ReleaseOptions {
    /// The directory of what others take.
    pub assets: PathBuf,
    /// Where the evidence is; beside the image where nothing is said.
    pub evidence: Option<PathBuf>,
    /// The rebuild kit holds all that the lock names, too: packages, signed metadata, fetched files.
    pub full_kit: bool,
    /// An image whose packages were not all found in signed metadata may be released; its provenance says so.
    pub unproved: bool,
    /// Attestations are written as cosign's `.att` too.
    pub legacy: bool,
    /// A repository of the same registry that blobs are taken from, where it has them.
    pub mount_from: Option<String>,
}

/// What was released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The whole.
    pub digest: Digest,
    /// Where it stands now.
    pub reference: Reference,
    /// What the push came to.
    pub pushed: PushedImage,
    /// Signatures, attestations and documents that were not there before.
    pub attached: usize,
    /// Whether the tag was not there, or pointed elsewhere.
    pub tagged: bool,
    /// Whether a file of the assets changed.
    pub changed: bool,
    /// How others check it: a shell script.
    pub commands: String,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Releases the image at `source`, on disk with its evidence, as `target`: pushes it, signs its index and every manifest,
/// attests SBOMs and provenance, attaches the documents and the rebuild kit, writes the tag, and at last the assets. What
/// is there already is not written again.
///
/// # Errors
/// No evidence, or no proof of its archives; whatever goes wrong with key, registry or disk. Until all of it is in the
/// registry, the tag is left alone; until the tag stands, the assets are.
pub fn release(
    world: &World<'_>,
    source: &str,
    target: &str,
    signer: &dyn Signer,
    options: &ReleaseOptions,
) -> Result<Release, Problems> {
    let reference = target_of(target)?;
    if reference.digest().is_some() {
        let problem = "a digest is not chosen by who names an image";
        return Err(image::Error::Destination { text: target.to_owned(), problem }.into());
    }
    let tag = reference.wanted();
    let destination = Destination::parse(source)?;
    let (path, _) = super::sign::on_disk(&destination)?;
    let open = image::open(&destination)?;
    let evidence = evidence_of(&open, Some(&path), options.evidence.as_deref())?;
    let evidence = evidence.ok_or_else(|| Error::NoEvidence { image: source.to_owned() })?;
    let published = Published::of(world.registry, &reference, &open);
    let digest = published.whole().digest;
    let mut warnings = Vec::new();
    check_proof(&evidence, source, options.unproved, &mut warnings)?;
    let name = asset_name(&evidence)?;
    let assets = Assets::open(&options.assets, asset_names(&name, &evidence))?;

    // What has to be fetched for a kit is, before anything is published.
    let room = world.store.temporary_directory()?;
    let kits = kits(world, &evidence, options, room.path(), &mut warnings)?;

    let pushed = published.repository.push_image(&open, options.mount_from.as_deref(), world.progress)?;
    let signatures = published.signatures(signer)?;
    let attestations = attestations(&published, &evidence, signer)?;
    let mut attachments = published.evident(&evidence)?;
    for (path, digest) in kits {
        attachments.push(Attachment::file(published.whole(), KIT_MEDIA_TYPE, KIT, &path, digest)?);
    }
    attachments.extend(signatures.iter().chain(&attestations).map(Said::attachment));
    let envelopes = || if options.legacy { published.write_envelopes(&attestations) } else { Ok(0) };
    let attached = at_once::<Problems>(vec![
        Box::new(|| Ok(published.attach(&attachments)?)),
        Box::new(|| published.sign_names(Some(&tag), signer)),
        Box::new(envelopes),
    ])?;
    let whole = published.documents.last().expect("an image has a document");
    let tagged = published.repository.tag(&tag, whole)?;

    let files = files(&name, &evidence, &signatures, &attestations, signer)?;
    let changed = assets.write(files, signer)?;
    let plain = world.registry.is_plain(&reference);
    let commands =
        Commands { assets: &options.assets, name: &name, reference: &reference, tag: &tag, plain }.text(&attestations);
    Ok(Release { digest, reference, pushed, attached, tagged, changed, commands, warnings })
}

/// Returns path and digest of the rebuild kits: that of the evidence, which the provenance names, and the full one where it
/// is wanted, which is made in `room`.
fn kits(
    world: &World<'_>,
    evidence: &Evidence,
    options: &ReleaseOptions,
    room: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(PathBuf, Digest)>, Problems> {
    let own = evidence.checked_kit()?;
    if !options.full_kit {
        return Ok(own.into_iter().collect());
    }
    let (own, digest) = own.ok_or_else(|| Error::NoKit { directory: shown(evidence.directory()) })?;
    let full = full_kit(world, &own, &room.join(KIT), !options.unproved)?;
    warnings.extend(full.warnings);
    Ok(vec![(own, digest), (full.output, full.digest)])
}

/// Refuses an image whose archives were not proved, by the word of its provenance.
fn check_proof(evidence: &Evidence, image: &str, unproved: bool, warnings: &mut Vec<Warning>) -> Result<(), Problems> {
    for one in evidence.manifests() {
        let provenance = evidence.statement(&one.digest, Document::Provenance)?;
        let provenance = provenance.ok_or_else(|| Error::NoEvidence { image: image.to_owned() })?;
        let relaxed = provenance.predicate().pointer("/buildDefinition/internalParameters/relaxed");
        let proved = relaxed.and_then(|relaxed| relaxed.as_array()).is_some_and(|relaxed| {
            relaxed.iter().all(|one| one["check"].as_str().is_some_and(|check| check != "archive-chain-not-proved"))
        });
        match (proved, unproved) {
            (true, _) => {}
            (false, false) => return Err(Error::UnprovedImage { image: image.to_owned() }.into()),
            (false, true) => {
                warnings.push(Warning {
                    code: "release::unproved",
                    message: format!("the archives of `{image}` were not proved; its provenance says so"),
                    hints: Vec::new(),
                });
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Returns what the evidence says of each manifest, signed.
fn attestations(published: &Published<'_>, evidence: &Evidence, signer: &dyn Signer) -> Result<Vec<Said>, Problems> {
    let mut all = Vec::new();
    for one in evidence.manifests() {
        let Some((subject, _)) = published.documents.iter().find(|(own, _)| own.digest == one.digest) else {
            continue;
        };
        for statement in evident(evidence, &one.digest)? {
            all.push(published.say(subject, &statement, signer)?);
        }
    }
    Ok(all)
}

/// Returns the image's name as the beginning of file names.
fn asset_name(evidence: &Evidence) -> Result<String, Error> {
    let name = evidence.name();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.starts_with(['.', '-']) || !name.bytes().all(plain) {
        return Err(Error::AssetName { name: name.to_owned() });
    }
    Ok(name.to_owned())
}

/// Returns the names of all files that a release of this image may have, but for the sums.
fn asset_names(name: &str, evidence: &Evidence) -> Vec<String> {
    let mut names: Vec<String> =
        ["sigstore.json", "intoto.jsonl", "pub"].iter().map(|ending| format!("{name}.{ending}")).collect();
    let documents = [Document::Spdx, Document::Cyclonedx, Document::Spdx3];
    for of in evidence.manifests().iter().map(|one| platform_ending(one, evidence)) {
        names.extend(documents.iter().map(|document| format!("{name}{of}.{}", document.file_name())));
    }
    names
}

/// Returns what tells the documents of one platform from those of another.
fn platform_ending(one: &ManifestEvidence, evidence: &Evidence) -> String {
    match evidence.manifests() {
        [_] => String::new(),
        _ => format!("-{}", one.platform.replace('/', "-")),
    }
}

/// Returns the assets by name, but for the sums.
fn files(
    name: &str,
    evidence: &Evidence,
    signatures: &[Said],
    attestations: &[Said],
    signer: &dyn Signer,
) -> Result<BTreeMap<String, Vec<u8>>, Problems> {
    let mut files = BTreeMap::new();
    for one in evidence.manifests() {
        let of = platform_ending(one, evidence);
        for document in [Document::Spdx, Document::Cyclonedx, Document::Spdx3] {
            if let Some(bytes) = evidence.read(&one.digest, document)? {
                files.insert(format!("{name}{of}.{}", document.file_name()), bytes);
            }
        }
    }
    let (whole, manifests) = signatures.split_last().expect("an image has a signature");
    files.insert(format!("{name}.sigstore.json"), whole.bundle.to_bytes());
    let mut lines = Vec::new();
    for said in manifests.iter().chain(attestations) {
        lines.extend(said.bundle.envelope().to_bytes());
        lines.push(b'\n');
    }
    files.insert(format!("{name}.intoto.jsonl"), lines);
    files.insert(format!("{name}.pub"), signer.public().to_pem().into_bytes());
    Ok(files)
}

/// How others check a release.
struct Commands<'a> {
    assets: &'a Path,
    name: &'a str,
    reference: &'a Reference,
    tag: &'a str,
    plain: bool,
}

impl Commands<'_> {
    /// Returns a shell script that leaves nothing behind in the assets.
    fn text(&self, attestations: &[Said]) -> String {
        let Self { name, tag, .. } = self;
        let repository = self.reference.repository();
        let (image, key) = (format!("{repository}:{tag}"), format!("{name}.pub"));
        let cosign = format!("--key {key} --insecure-ignore-tlog=true");
        let http = if self.plain { " --allow-http-registry=true" } else { "" };
        let mut lines = vec![
            format!("cd {}", quoted(&self.assets.display().to_string())),
            format!("cosign verify-blob {cosign} --signature {SUMS_SIGNATURE} {SUMS}"),
            format!("sha256sum --check {SUMS}"),
            format!("cosign verify {cosign}{http} {image}"),
        ];
        for said in attestations {
            let kind = cosign_type(&said.predicate_type);
            let at = format!("{repository}@{}", said.subject.digest);
            lines.push(format!("cosign verify-attestation {cosign}{http} --type {kind} {at}"));
        }
        let mut required = vec!["signature"];
        let is_sbom = |said: &Said| said.predicate_type != Document::Provenance.predicate_type();
        if attestations.iter().any(is_sbom) {
            required.push("sbom");
        }
        required.push("provenance");
        let tarsia_http = if self.plain { " --plain-http" } else { "" };
        lines.push(format!(
            "tarsia verify docker://{image}{tarsia_http} --key {key} --identity exact --require {}",
            required.join(",")
        ));
        let host = self.reference.host();
        let tls = if self.plain { " --src-tls-verify=false" } else { "" };
        lines.push("place=$(mktemp -d)".to_owned());
        lines.push(format!(
            r#"printf '{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"{host}":[{{"type":"sigstoreSigned","keyPath":"%s","signedIdentity":{{"type":"matchExact"}}}}]}}}}}}' "$PWD/{key}" >"$place/policy.json""#
        ));
        lines.push(r#"mkdir "$place/registries.d""#.to_owned());
        lines.push(format!(
            r#"printf 'docker: {{"{host}": {{use-sigstore-attachments: true}}}}\n' >"$place/registries.d/signed.yaml""#
        ));
        lines.push(format!(
            r#"skopeo --policy "$place/policy.json" --registries.d "$place/registries.d" copy --all --remove-signatures{tls} docker://{image} "oci:$place/image""#
        ));
        lines.push(r#"rm -r "$place""#.to_owned());
        lines.join("\n") + "\n"
    }
}

/// Returns what cosign calls a predicate type.
fn cosign_type(predicate_type: &str) -> &str {
    [(Document::Spdx, "spdxjson"), (Document::Cyclonedx, "cyclonedx"), (Document::Provenance, "slsaprovenance1")]
        .into_iter()
        .find(|(document, _)| document.predicate_type() == predicate_type)
        .map_or(predicate_type, |(_, name)| name)
}

/// Returns a word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | ',');
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["plain/a-b.c", "a b", "it's", "$(x)", "", "-a", "é\n"] {
            let script = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
