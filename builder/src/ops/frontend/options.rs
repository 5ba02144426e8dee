//! What a client of BuildKit asks of a frontend, read strictly: what cannot be done is refused, not left out.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::fetch::MirrorFlag;
use crate::spec::Platform;

use super::error::Error;

/// Build arguments that clients hand over unasked: what Docker's configuration says of proxies, and what is meant for
/// BuildKit or its exporters.
const UNASKED: &[&str] =
    &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy", "source_date_epoch", "buildkit_"];

/// Keys of options that change how a Dockerfile's commands run. No command of a spec's runs.
const OF_COMMANDS: &[&str] =
    &["add-hosts", "cgroup-parent", "force-network-mode", "hostname", "image-resolve-mode", "shm-size", "ulimit"];

/// What is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An image that BuildKit stores, loads or pushes: the same files and config under BuildKit's own digest.
    Image,
    /// The OCI layout that `tarsia build -o DIR` writes.
    Oci,
    /// The documents that `tarsia build` puts beside it.
    Evidence,
}

/// Every target by name, with what it is; the first is made where none is named.
pub(super) const TARGETS: [(&str, Target, &str); 3] = [
    ("image", Target::Image, "an image that runs: the files and the config of ours under BuildKit's own digest"),
    ("oci", Target::Oci, "an OCI layout with the bytes that `tarsia build` writes"),
    ("evidence", Target::Evidence, "the documents that `tarsia build` puts beside an image"),
];

/// A place that BuildKit takes cached results from, as the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct CacheImport {
    /// `registry`, `local`, `gha`, …
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its attributes, as `ref`.
    #[serde(rename = "Attrs", default)]
    pub attributes: BTreeMap<String, String>,
}

/// The options of one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Name of the spec's file, below the directory that the client hands over.
    pub(super) filename: String,
    /// What the client calls the directory that the spec stands in.
    pub(super) local: String,
    /// What is to be made.
    pub(super) target: Target,
    /// For which platforms; empty where the client does not say.
    pub(super) platforms: Vec<Platform>,
    /// The client wants a list of images even of one.
    pub(super) list: bool,
    /// Which variant of the spec.
    pub(super) variant: Option<String>,
    /// Mirrors, in the order in which they are to be tried.
    pub(super) mirrors: Vec<MirrorFlag>,
    /// Labels to put upon those of the spec.
    pub(super) labels: BTreeMap<String, String>,
    /// Where cached results may come from.
    pub(super) cache_imports: Vec<CacheImport>,
    /// Every operation is to run again.
    pub(super) no_cache: bool,
    /// The image that this frontend is, as the client named it.
    pub(super) source: Option<String>,
    /// What is asked in place of a build.
    pub(super) request: Option<String>,
}

impl Options {
    /// Reads the options of a build.
    ///
    /// # Errors
    /// The first, in order of keys, that is not known or cannot be done.
    pub(super) fn read(given: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mut options = Self {
            filename: String::new(),
            local: "dockerfile".to_owned(),
            target: Target::Image,
            platforms: Vec::new(),
            list: false,
            variant: None,
            mirrors: Vec::new(),
            labels: BTreeMap::new(),
            cache_imports: Vec::new(),
            no_cache: false,
            source: None,
            request: None,
        };
        for (key, value) in given {
            options.take(key, value)?;
        }
        if options.request.is_none() {
            options.filename = filename(&options.filename)?;
        }
        // What is for one archive alone goes before what is for all.
        options.mirrors.sort_by_key(|mirror| mirror.archive.is_none());
        if options.target != Target::Image
            && let Some((name, _)) = options.labels.first_key_value()
        {
            return Err(Error::Label(name.clone()));
        }
        Ok(options)
    }

    /// Returns the spec's directory below the one that the client hands over; empty where it is that itself.
    pub(super) fn directory(&self) -> &str {
        self.filename.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let refuse = |problem: &str| Error::Option { key: key.to_owned(), problem: problem.to_owned() };
        if let Some(name) = key.strip_prefix("build-arg:") {
            return self.argument(name, value);
        }
        if let Some(name) = key.strip_prefix("label:") {
            self.labels.insert(name.to_owned(), value.to_owned());
            return Ok(());
        }
        match key {
            "filename" => value.clone_into(&mut self.filename),
            "dockerfilekey" => value.clone_into(&mut self.local),
            "target" if !value.is_empty() => {
                let found = TARGETS.iter().find(|(name, ..)| *name == value);
                self.target = found.ok_or_else(|| Error::Target(value.to_owned()))?.1;
            }
            "platform" => {
                for name in value.split(',').filter(|name| !name.is_empty()) {
                    self.platforms.push(platform(name).ok_or_else(|| Error::Platform(name.to_owned()))?);
                }
                self.platforms.sort();
                self.platforms.dedup();
            }
            "multi-platform" => self.list = truth(value),
            "no-cache" => self.no_cache = true,
            "source" => self.source = Some(value.to_owned()),
            "requestid" if !value.is_empty() => self.request = Some(value.to_owned()),
            "cache-imports" => {
                let imports: Vec<CacheImport> =
                    serde_json::from_str(value).map_err(|error| refuse(&error.to_string()))?;
                self.cache_imports.extend(imports);
            }
            // What older clients say instead.
            "cache-from" => self.cache_imports.extend(value.split(',').filter(|name| !name.is_empty()).map(|name| {
                let attributes = BTreeMap::from([("ref".to_owned(), name.to_owned())]);
                CacheImport { kind: "registry".to_owned(), attributes }
            })),
            "context" => {
                return Err(refuse("a spec is read from a directory of the client's, and not from elsewhere"));
            }
            _ if key.starts_with("context:") || key.starts_with("input:") || key.starts_with("input-metadata:") => {
                return Err(refuse("a spec names no other contexts"));
            }
            _ if OF_COMMANDS.contains(&key) && !is_default(key, value) => {
                return Err(refuse("a spec has no commands that it could change"));
            }
            // Names of sessions, attestations and the like are between the client and BuildKit.
            _ => {}
        }
        Ok(())
    }

    fn argument(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let mirror = |archive: Option<&str>| {
            let flag = MirrorFlag::parse(value).filter(|flag| {
                let web = flag.uri.starts_with("https://") || flag.uri.starts_with("http://");
                web && (archive.is_none() || flag.archive.is_none())
            });
            let flag = flag.ok_or_else(|| Error::Mirror { name: name.to_owned(), value: value.to_owned() })?;
            Ok::<_, Error>(MirrorFlag { archive: archive.map(str::to_owned).or(flag.archive), uri: flag.uri })
        };
        if let Some(archive) = name.strip_prefix("mirror.") {
            self.mirrors.push(mirror(Some(archive))?);
        } else if name == "mirror" {
            self.mirrors.push(mirror(None)?);
        } else if name == "variant" {
            self.variant = Some(value.to_owned()).filter(|name| !name.is_empty());
        } else if name == "BUILDKIT_MULTI_PLATFORM" {
            self.list = truth(value);
        } else {
            let lower = name.to_ascii_lowercase();
            let unasked = |known: &str| lower == known || (known.ends_with('_') && lower.starts_with(known));
            if !UNASKED.iter().any(|known| unasked(known)) {
                return Err(Error::Argument(name.to_owned()));
            }
        }
        Ok(())
    }
}

/// Returns whether an option says what goes without saying.
fn is_default(key: &str, value: &str) -> bool {
    value.is_empty()
        || match key {
            "force-network-mode" => matches!(value, "default" | "none"),
            "image-resolve-mode" => true,
            "shm-size" => value == "0",
            _ => false,
        }
}

fn truth(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Returns the spec's path below the client's directory, without `./`.
fn filename(given: &str) -> Result<String, Error> {
    let path = given.trim_start_matches("./");
    if path.is_empty() {
        return Err(Error::NoSpec);
    }
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !path.split('/').all(plain) || path.contains('\0') {
        return Err(Error::Filename(given.to_owned()));
    }
    Ok(path.to_owned())
}

/// Returns the platform that a client means by a word, in any of the spellings that BuildKit reads.
fn platform(word: &str) -> Option<Platform> {
    let lower = word.to_ascii_lowercase();
    let machine = lower.strip_prefix("linux/").unwrap_or(&lower);
    match machine {
        "amd64" | "x86_64" | "x86-64" | "amd64/v1" => Some(Platform::Amd64),
        "arm64" | "aarch64" | "arm64/v8" | "arm64/8" => Some(Platform::Arm64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Diagnose as _;

    fn read(given: &[(&str, &str)]) -> Result<Options, String> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Options::read(&given).map_err(|error| {
            let hints: String = error.hints().iter().map(|hint| format!("\nhint: {hint}")).collect();
            format!("{error}{hints}")
        })
    }

    #[test]
    fn what_docker_says_of_a_plain_build_is_enough() {
        let options = read(&[
            ("filename", "web.yaml"),
            ("source", "127.0.0.1:5000/tarsia@sha256:0"),
            ("cmdline", "127.0.0.1:5000/tarsia@sha256:0"),
            ("build-arg:HTTP_PROXY", "http://proxy.example.org"),
            ("build-arg:SOURCE_DATE_EPOCH", "0"),
            ("build-arg:BUILDKIT_INLINE_CACHE", "1"),
            ("image-resolve-mode", "default"),
            ("force-network-mode", "default"),
            ("shm-size", "0"),
            ("target", ""),
        ])
        .unwrap();
        assert_eq!((options.filename.as_str(), options.local.as_str()), ("web.yaml", "dockerfile"));
        assert_eq!((options.target, options.list, options.no_cache), (Target::Image, false, false));
        assert_eq!(options.source.as_deref(), Some("127.0.0.1:5000/tarsia@sha256:0"));
        assert!(options.platforms.is_empty() && options.mirrors.is_empty() && options.variant.is_none());
    }

    #[test]
    fn all_that_a_build_can_be_told_is_taken() {
        let options = read(&[
            ("filename", "./specs/web.yaml"),
            ("dockerfilekey", "specs"),
            ("target", "oci"),
            ("platform", "linux/arm64/v8,linux/amd64,linux/x86_64"),
            ("no-cache", ""),
            ("build-arg:variant", "debug"),
            ("build-arg:mirror", "https://all.example.org/debian"),
            ("build-arg:mirror.acme", "http://acme.example.org"),
            ("cache-from", "r.example.org/a,r.example.org/b"),
            ("cache-imports", r#"[{"Type":"gha","Attrs":{"scope":"x"}},{"Type":"inline"}]"#),
        ])
        .unwrap();
        assert_eq!((options.filename.as_str(), options.local.as_str()), ("specs/web.yaml", "specs"));
        assert_eq!(options.platforms, [Platform::Amd64, Platform::Arm64]);
        assert_eq!((options.target, options.no_cache), (Target::Oci, true));
        assert_eq!(options.variant.as_deref(), Some("debug"));
        let mirrors: Vec<_> = options.mirrors.iter().map(|one| (one.archive.as_deref(), one.uri.as_str())).collect();
        assert_eq!(
            mirrors,
            [(Some("acme"), "http://acme.example.org"), (None, "https://all.example.org/debian")],
            "one archive's goes first"
        );
        let imports: Vec<_> = options.cache_imports.iter().map(|one| one.kind.as_str()).collect();
        assert_eq!(imports, ["registry", "registry", "gha", "inline"]);
        let of_one = read(&[("filename", "a"), ("build-arg:mirror", "acme=http://acme.example.org")]).unwrap();
        assert_eq!(of_one.mirrors[0].archive.as_deref(), Some("acme"));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refused = |key: &str, value: &str| read(&[("filename", "web.yaml"), (key, value)]).unwrap_err();
        let all = [
            refused("filename", ""),
            refused("filename", "../web.yaml"),
            refused("target", "debug"),
            refused("platform", "linux/riscv64"),
            refused("build-arg:mirror", "file:///srv"),
            refused("build-arg:mirror.acme", "debian=http://m.example.org"),
            refused("build-arg:VERSION", "1"),
            refused("context", "https://example.org/x.git"),
            refused("context:base", "docker-image://x"),
            refused("add-hosts", "a=1.2.3.4"),
            refused("cache-imports", "["),
            read(&[("filename", "web.yaml"), ("target", "oci"), ("label:a", "b")]).unwrap_err(),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        cannot build: no spec is named
        hint: name it: `docker build -f SPEC .`, or `--opt filename=SPEC` of buildctl
        cannot read `../web.yaml`: a spec stands beneath the directory that the client hands over
        hint: hand over the directory that it stands in
        cannot build target `debug`: there is no such target
        hint: `image` is an image that runs: the files and the config of ours under BuildKit's own digest
        hint: `oci` is an OCI layout with the bytes that `tarsia build` writes
        hint: `evidence` is the documents that `tarsia build` puts beside an image
        cannot build for `linux/riscv64`: known are linux/amd64 and linux/arm64
        cannot use build argument `mirror`: `file:///srv` is no mirror
        hint: a mirror is an `http:` or `https:` address: `--build-arg mirror=[ARCHIVE=]URI`, or `--build-arg mirror.ARCHIVE=URI` for each of several
        cannot use build argument `mirror.acme`: `debian=http://m.example.org` is no mirror
        hint: a mirror is an `http:` or `https:` address: `--build-arg mirror=[ARCHIVE=]URI`, or `--build-arg mirror.ARCHIVE=URI` for each of several
        cannot use build argument `VERSION`: a spec has no such argument
        hint: build arguments: `variant`, `mirror`, `mirror.ARCHIVE`
        cannot use option `context`: a spec is read from a directory of the client's, and not from elsewhere
        cannot use option `context:base`: a spec names no other contexts
        cannot use option `add-hosts`: a spec has no commands that it could change
        cannot use option `cache-imports`: EOF while parsing a list at line 1 column 1
        cannot set label `a`: this target has the bytes of a local build
        hint: write it under `labels` of the spec
        ");
    }
}
