//! The language as a whole: what parses to what, what is refused where, and that schema and parser agree.

use super::*;
use crate::diag::Diagnose as _;

/// Parses and dumps: the mistakes, one a line, as `code text-pointed-at | hints`.
fn mistakes(text: &str) -> String {
    match Spec::parse(&Source::new("web.yaml", text), "web") {
        Ok(_) => "ok".to_owned(),
        Err(problems) => problems
            .iter()
            .map(|problem| {
                let labels = problem.labels();
                let at = labels.first().map(|label| &text[label.span.start..label.span.end]).unwrap_or_default();
                let hints = problem.hints();
                let hints = if hints.is_empty() { String::new() } else { format!(" | {}", hints.join("; ")) };
                format!("{} `{at}`: {}{hints}", problem.code(), problem.to_string().replace("cannot read spec `web.yaml`: ", ""))
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn spec(text: &str) -> Spec {
    Spec::parse(&Source::new("web.yaml", text), "web").unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// Everything that an engine carries out today.
const WHOLE: &str = r#"
version: 1
name: web
distro: debian/13
platforms: [linux/amd64, linux/arm64]
archives:
  acme: {uri: https://apt.acme.example/, suite: stable, components: [main], signed-by: keys/acme.asc,
         min-signatures: 2, require-key: ["0123456789abcdef0123456789abcdef01234567"]}
packages:
  - ca-certificates
  - nginx-light >= 1.22
  - {name: acme-agent, from: acme}
  - "!libelogind0"
keep: all
files:
  - {copy: target/app, to: /usr/bin/app, mode: "0755"}
  - {copy: conf/, to: /etc/nginx/, include: ["*.conf"], owner: web}
  - {copy: ./data, to: /srv/}
  - {fetch: https://example.org/m.tar.gz, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, to: /opt/m/, unpack: true, strip: 1}
  - {text: "hello\n", to: /etc/motd}
  - {dir: /var/cache/nginx, owner: web, mode: "0750"}
  - {symlink: /usr/bin/web, target: app}
users:
  web: {uid: 10001, home: /home/web}
groups:
  logs: {gid: 10002, members: [web]}
certificates: [certs/corp.pem]
base: null
run:
  user: web
  entrypoint: [/usr/sbin/nginx]
  cmd: [-g, "daemon off;"]
  env: {TZ: UTC}
  workdir: /
  ports: [8080, 53/udp]
  volumes: [/data]
  stop-signal: SIGQUIT
labels: {org.opencontainers.image.source: https://example.org/web}
layers: {max: 12, compression: zstd, level: 3}
"#;

#[test]
fn a_whole_spec_becomes_its_parts() {
    let spec = spec(WHOLE);
    assert_eq!(spec.platforms.iter().map(|p| p.value.oci()).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let acme = &spec.archives["acme"];
    assert_eq!((acme.uri.as_str(), acme.min_signatures), ("https://apt.acme.example", 2));
    assert_eq!(acme.require_key, ["0123456789ABCDEF0123456789ABCDEF01234567"]);
    assert_eq!(spec.packages[1].value.version, Some((">=".to_owned(), "1.22".to_owned())));
    assert_eq!(spec.packages[2].value.from.as_deref(), Some("acme"));
    assert_eq!(spec.excluded[0].value, "libelogind0");
    assert_eq!(spec.keep, Keep::All);
    let to: Vec<String> = spec.files.iter().map(|file| file.value.to.to_string()).collect();
    assert_eq!(
        to,
        ["/usr/bin/app", "/etc/nginx", "/srv/data", "/opt/m", "/etc/motd", "/var/cache/nginx", "/usr/bin/web"]
    );
    assert_eq!(spec.files[0].value.mode, Some(0o755));
    assert!(matches!(&spec.files[1].value.what, FileSource::Copy { path, .. } if path == "conf"));
    assert_eq!(spec.run.ports, ["8080/tcp", "53/udp"]);
    assert_eq!(spec.run.env["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

#[test]
fn defaults_are_filled_in() {
    let spec = spec("version: 1\n");
    assert_eq!((spec.name.as_str(), spec.keep, spec.platforms.len()), ("web", Keep::Runtime, 0));
    assert_eq!((spec.run.user.value.as_str(), spec.run.workdir.as_str()), ("nonroot", "/"));
    assert_eq!(spec.layers, LayerSpec { max: 12, compression: Compression::Zstd(3) });
    assert_eq!(self::spec("version: 1\nlayers: {compression: gzip}\n").layers.compression, Compression::Gzip(6));
}

#[test]
fn only_values_reach_the_digest() {
    let one = spec("version: 1\nname: a\nkeep: all # c\nlabels: {b: x, a: \"y\"}\n").digest;
    assert_eq!(one, spec("labels:\n  a: y\n  b: 'x'\n\nkeep: \"all\"\nversion: 1\nname: other\n").digest);
    assert_ne!(one, spec("version: 1\nkeep: all\nlabels: {b: x, a: z}\n").digest);
    assert_ne!(one, spec("version: 1\nlabels: {b: x, a: y}\n").digest);
    assert_eq!(spec("version: 1\n").digest, Digest::of(b"{\"version\":1}"));
}

#[test]
fn mistakes_are_told_together_and_in_order() {
    let text = "version: 1\npakages: [x]\ndistro: debian/14\nfiles:\n  - {copy: ../x, to: /x, mode: 0755}\n  \
                - {text: x, to: /y}\n  - {text: z, to: /y}\nrun: {ports: [0]}\n";
    let expected = [
        "spec::unknown-key `pakages`: unknown key `pakages` | did you mean `packages`?",
        "spec::value `debian/14`: `debian/14` is not known here | did you mean `debian/12`?",
        "spec::value `../x`: `../x` is not a path beneath the spec's directory, relative and without `..` | for example \
         `conf/app.conf`",
        "spec::ambiguous-scalar `0755`: `0755` is octal for YAML 1.1, decimal for YAML 1.2 | quote it: `\"0755\"`",
        "spec::conflict `/y`: path `/y` is given twice | remove one of them",
        "spec::value `0`: `0` is out of range",
    ];
    let found = mistakes(text);
    // The later of two places is told beside the earlier one, which comes first among the labels.
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}
