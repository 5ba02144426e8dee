//! The language as a whole: what parses to what, what is refused where, and that schema and parser agree.

use super::*;

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
                format!(
                    "{} `{at}`: {}{hints}",
                    problem.code(),
                    problem.to_string().replace("cannot read spec `web.yaml`: ", "")
                )
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
         min-signatures: 2, require-key: ["0123456789abcdef0123456789abcdef01234567"],
         auth: netrc, ca: keys/ca.pem}
  flat: {uri: https://flat.example.org, suite: ./, signed-by: keys/flat.asc}
packages:
  - ca-certificates
  - nginx-light >= 1.22
  - {name: acme-agent, from: acme}
  - "!libelogind0"
keep: all
files:
  - {copy: target/app, to: /usr/bin/app, mode: "0755"}
  - {copy: conf/, to: /etc/nginx/, include: ["*.conf"], exclude: [local.conf], owner: web, group: logs}
  - {copy: ./data, to: /srv/}
  - {fetch: https://example.org/m.tar.gz, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, to: /opt/m/, unpack: true, strip: 1}
  - {text: "hello\n", to: /etc/motd}
  - {dir: /var/cache/nginx, owner: web, mode: "0750"}
  - {symlink: /usr/bin/web, target: app}
users:
  web: {uid: 10001, home: /home/web, shell: /bin/sh}
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
checks:
  forbid: [shell, package-manager, setuid, setgid, capability, world-writable, secrets, root-user]
  allow: [{path: /usr/bin/ping, finding: capability, because: "health probe"}]
  max-size: 60MB
  files: {/usr/share/doc/nginx: absent, "/etc/ssl/certs/*.crt": present}
  run: [{args: [-v], stderr: "nginx version", stdout: x, exit: 1}]
"#;

#[test]
fn a_whole_spec_becomes_its_parts() {
    let spec = spec(WHOLE);
    assert_eq!(spec.platforms.iter().map(|p| p.value.oci()).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let acme = &spec.archives["acme"];
    assert_eq!((acme.uri.as_str(), acme.min_signatures), ("https://apt.acme.example", 2));
    assert_eq!(acme.require_key, ["0123456789ABCDEF0123456789ABCDEF01234567"]);
    assert_eq!((acme.auth, acme.ca.as_ref().map(|path| path.value.as_str())), (true, Some("keys/ca.pem")));
    let flat = &spec.archives["flat"];
    assert_eq!((flat.suite.as_str(), flat.components.is_empty(), flat.auth), ("./", true, false));
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
    assert_eq!((spec.name.as_str(), spec.keep, spec.platforms.len()), ("web", Keep::Needed, 0));
    assert_eq!((spec.run.user.value.as_str(), spec.run.workdir.as_str()), ("nonroot", "/"));
    assert_eq!(spec.layers, LayerSpec { max: 12, compression: Compression::Zstd(3) });
    assert_eq!(self::spec("version: 1\nlayers: {compression: gzip}\n").layers.compression, Compression::Gzip(6));
}

#[test]
fn only_values_reach_the_digest() {
    let one = spec("version: 1\nname: a\nkeep: all # c\nlabels: {b: x, a: \"z\"}\n").digest;
    assert_eq!(one, spec("labels:\n  a: z\n  b: 'x'\n\nkeep: \"all\"\nversion: 1\nname: other\n").digest);
    assert_ne!(one, spec("version: 1\nkeep: all\nlabels: {b: x, a: w}\n").digest);
    assert_ne!(one, spec("version: 1\nlabels: {b: x, a: z}\n").digest);
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
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn each_mistake_names_its_fix() {
    for (text, expected) in [
        (
            "distro: debian/13\n",
            "spec::missing-key `distro: debian/13`: a spec needs the key `version` | add `version: 1`",
        ),
        ("version: 2\n", "spec::value `2`: `2` is out of range"),
        ("version: \"1\"\n", "spec::type `\"1\"`: expected `1`, found a text | leave the quotes out: `1`"),
        ("[]\n", "spec::type `[]`: expected a mapping (a spec), found a list"),
        (
            "version: 1\npackages: [a1]\n",
            "spec::missing-key `a1`: packages are asked for, and no archive to take them from | \
          add `distro: debian/13`, or name an archive under `archives`",
        ),
        (
            "version: 1\nentrypoint: [x]\n",
            "spec::unknown-key `entrypoint`: unknown key `entrypoint` | `entrypoint` belongs under `run`",
        ),
        (
            "version: 1\nrun: {command: [x]}\n",
            "spec::unknown-key `command`: unknown key `command` | did you mean `cmd`?",
        ),
        (
            "version: 1\nrun: {env: {PORT: 8080}}\n",
            "spec::ambiguous-scalar `8080`: `8080` is a number to YAML, not a text | quote it: `\"8080\"`",
        ),
        (
            "version: 1\nrun: {env: {on: x}}\n",
            "spec::ambiguous-scalar `on`: key `on` is not a text to every YAML reader | quote it: `\"on\"`",
        ),
        (
            "version: 1\nlabels: {a: yes}\n",
            "spec::ambiguous-scalar `yes`: `yes` is true or false for YAML 1.1, a text for YAML 1.2 | quote it: `\"yes\"`",
        ),
        (
            "version: 1\ndistro: debian/13\npackages: [libc6:arm64]\n",
            "spec::value `libc6:arm64`: `libc6:arm64` is not a package: a name, \
          perhaps with a relation and a version, or with a slice, or `!name` | leave the architecture out; `platforms` says it",
        ),
        (
            "version: 1\ndistro: debian/13\npackages: [aa, \"!aa\"]\n",
            "spec::conflict `aa`: package `aa` is both wanted and excluded | remove one of them",
        ),
        (
            "version: 1\ndistro: debian/13\npackages: [{name: aa, from: acme}]\n",
            "spec::value `acme`: there is no archive `acme` | add `acme:` under `archives`",
        ),
        (
            "version: 1\narchives: {acme: {uri: file:/x, suite: ./, components: [main], signed-by: k}}\n",
            "spec::missing-key `[main]`: a flat archive has no components | leave out `components`, or the slash at the \
             end of `suite`",
        ),
        (
            "version: 1\narchives: {acme: {uri: file:/x, suite: stable, signed-by: k}}\n",
            "spec::missing-key `stable`: the key `components` is missing | add `components: [main]`; the `suite` of a \
             flat archive ends in a slash",
        ),
        (
            "version: 1\nusers: {a: {uid: 5}, b: {uid: 5}}\n",
            "spec::conflict `5`: user number 5 is taken by `a` | take another number",
        ),
        (
            "version: 1\nusers: {a: {uid: 65534, gid: 7}}\n",
            "spec::conflict `65534`: user number 65534 is taken by `nobody` | take another number",
        ),
        (
            "version: 1\nusers: {a: {uid: 5}}\ngroups: {g: {gid: 5}}\n",
            "spec::conflict `a`: group number 5 is taken by `a` | take another number",
        ),
        ("version: 1\nusers: {nobody: {uid: 99}}\nrun: {user: nobody}\n", "ok"),
        ("version: 1\nusers: {a: {uid: 5, gid: 0}}\ngroups: {g: {gid: 5, members: [a]}}\n", "ok"),
        ("version: 1.0\n", "spec::type `1.0`: expected `1`, found a number with a fraction or exponent"),
        (
            "version: 1\nrun: {ports: [080]}\n",
            "spec::ambiguous-scalar `080`: `080` is octal for YAML 1.1, decimal for YAML 1.2 | \
          write a decimal number without leading zeros: `80`",
        ),
        (
            "version: 1\nrun: {cmd: -v}\nkeep: !all x\n",
            "spec::type `-v`: expected a list, found a text | write a list: `[\"-v\"]`\n\
          spec::syntax `!all`: `!all` is a YAML tag, which specs do without | quote a text that begins with `!`: `\"!all\"`",
        ),
        (
            "version: 1\nusers:\n",
            "spec::type ``: expected a mapping, found nothing | give it a value, or remove the key",
        ),
        (
            "version: 1\nrun: {user: web}\n",
            "spec::value `web`: there is no user `web` | add `web: {uid: 10001}` under `users`",
        ),
        ("version: 1\nlayers: {max: 31}\n", "spec::value `31`: `31` is out of range"),
        ("version: 1\nlayers: {compression: gzip, level: 10}\n", "spec::value `10`: `10` is no level of gzip"),
        (
            "version: 1\nfiles: [{fetch: \"https://example.org/\", sha256: e3b0, to: /x}]\n",
            "spec::value `e3b0`: `e3b0` is not a SHA-256 of 64 lower-case hexadecimal digits",
        ),
        (
            "version: 1\nfiles: [{text: x, to: /etc/}]\n",
            "spec::value `/etc/`: `/etc` is a directory, and the file has no name | write `to: /etc/NAME`",
        ),
        (
            "version: 1\nfiles: [{text: x, copy: y, to: /etc/x}]\n",
            "spec::conflict `text`: `copy` and `text` exclude each other | make two entries of it",
        ),
        (
            "version: 1\nfiles: [{src: x, to: /x}]\n",
            "spec::unknown-key `src`: unknown key `src` | did you mean `copy`?",
        ),
        (
            "version: 1\nfiles: [{to: /x}]\n",
            "spec::missing-key `{to: /x}`: one of `copy`, `fetch`, `text`, `dir` or `symlink` is needed",
        ),
        (
            "version: 1\nfiles: [{copy: x, to: etc}]\n",
            "spec::value `etc`: `etc` is not a path in the image, beginning with `/` and without `..` | begin with `/`: `/etc`",
        ),
        (
            "version: 1\nfiles: [{copy: x, to: /x, include: [\"[\"]}]\n",
            "spec::value `\"[\"`: `[` is no glob: unclosed character class; missing ']'",
        ),
        (
            "version: 1\nrun: {ports: [80, 80/tcp]}\n",
            "spec::conflict `80`: port `80/tcp` is given twice | remove one of them",
        ),
        (
            "version: 1\nfiles: [{copy: x, to: /x, component: {name: a, version: 1.4}}]\n",
            "spec::ambiguous-scalar `1.4`: `1.4` is a number to YAML, not a text | quote it: `\"1.4\"`",
        ),
    ] {
        assert_eq!(mistakes(text), expected, "{text}");
    }
}

/// Parts that are checked and then refused, one a line.
const LATER: &[&str] = &[
    "base: docker://example.org/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "layers: {compression: zstd-chunked}",
];

/// Parts that an engine carries out and that [`WHOLE`] has no room for, one a line.
const MORE: &[&str] = &[
    "extends: ./common.yaml",
    "keep: needed",
    "features: [locales:C.utf8, iconv:utf-16, \"timezones:Europe/Rome\", gpu]",
    "rules: ./rules/",
    "also: [\"/usr/share/nginx/html/**\"]",
    "slices: ./slices",
    "checks: {run: [{entrypoint: [/bin/x], env: {A: b}, stdin: x, timeout: 5}, {listen: 80, send: x, answer: [ok]}]}",
    "variants: {debug: {packages: [busybox-static], labels: {x: null}, run: {entrypoint: [/bin/busybox, sh]}}}",
    "never: [\"/usr/bin/*sh\", {path: \"/usr/lib/**/libfoo.so*\", force: true}]",
    "packages: [{name: aa, keep: all}]",
    "packages: [{deb: dist/my-tool_1.0_amd64.deb}]",
    "checks: {licenses: {allow: [MIT], deny: [AGPL-3.0-only], exceptions: [{package: \"lib*\", license: ISC, because: x}]}}",
    "files: [{copy: app, to: /app, component: {name: app, version: 1.4.2, license: MIT, supplier: Acme}}]",
    "sbom: {formats: [spdx, cyclonedx, spdx3], author: \"Acme Ltd <sbom@acme.example>\", dpkg-db: status.d}",
];

#[test]
fn what_nothing_can_carry_out_is_refused_and_not_ignored() {
    for line in LATER {
        let text = format!("version: 1\ndistro: debian/13\n{line}\n");
        let found = mistakes(&text);
        assert!(found.starts_with("spec::not-yet") && found.lines().count() == 1, "{line}\n{found}");
    }
}

#[test]
fn parts_without_an_engine_are_all_named_beside_those_that_have_one() {
    let whole = WHOLE.replace("keep: all", "keep: needed").replace(
        "base: null",
        "base: docker://example.org/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    let found = mistakes(&format!("{whole}variants: {{debug: {{keep: all}}}}\n"));
    let codes: Vec<&str> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let codes: Vec<&str> = codes.iter().map(|code| code.split("@sha256").next().unwrap()).collect();
    assert_eq!(codes, ["spec::not-yet `docker://example.org/x"]);
}

/// What only a spec that extends another one may say.
const PARTS: &[&str] = &[
    "run: null",
    "labels: {a: null}",
    "archives: {acme: {suite: stable}}",
    "users: {web: {home: null}}",
    "packages: null",
];

/// Specs whose shape is wrong, as lines after `version: 1`.
const MISSHAPEN: &[&str] = &[
    "pakages: []",
    "name: Web",
    "name: [x]",
    "distro: debian/11",
    "distro: 13",
    "platforms: linux/amd64",
    "platforms: [linux/s390x]",
    "archives: []",
    "archives: {acme: {uri: \"https://example.org\"}}",
    "archives: {Acme: {uri: file:/x, suite: s, components: [m], signed-by: k}}",
    "archives: {acme: {uri: file:/x, suite: s, components: [], signed-by: k}}",
    "archives: {acme: {uri: file:/x, suite: s, components: [m], signed-by: ../k}}",
    "archives: {acme: {uri: file:/x, suite: s, components: [m], signed-by: k, min-signatures: 0}}",
    "packages: [X]",
    "packages: [[aa]]",
    "packages: [{}]",
    "packages: [{name: aa, version: \"1\"}]",
    "packages: [{name: aa, deb: x.deb}]",
    "packages: [{deb: /x.deb}]",
    "keep: everything",
    "files: {}",
    "files: [{copy: x}]",
    "files: [{copy: x, to: y}]",
    "files: [{copy: x, to: /y, mode: 493}]",
    "files: [{copy: x, to: /y, mode: \"0999\"}]",
    "files: [{copy: x, to: /y, unpack: true}]",
    "files: [{symlink: /x, target: y, mode: \"0777\"}]",
    "files: [{text: x, to: /y, owner: Web}]",
    "files: [{text: x, to: /y, owner: -1}]",
    "files: [{fetch: \"ftp://example.org\", sha256: x, to: /y}]",
    "files: [{text: null, to: /y}]",
    "files: [x]",
    "users: {web: {}}",
    "users: {web: {uid: 4294967295}}",
    "users: {web: 5}",
    "users: {Web: {uid: 5}}",
    "groups: {web: {gid: 1, members: web}}",
    "certificates: [/x.pem]",
    "base: latest",
    "run: {user: \"a:b\"}",
    "run: {entrypoint: /usr/bin/x}",
    "run: {cmd: [1]}",
    "run: {env: [A=b]}",
    "run: {env: {A: null}}",
    "run: {workdir: x}",
    "run: {ports: [70000]}",
    "run: {ports: [\"80/icmp\"]}",
    "run: {stop-signal: TERM}",
    "labels: {a: 1.5}",
    "layers: {max: 0}",
    "layers: {level: 20}",
    "layers: {compression: xz}",
    "run: null",
    "features: [X!]",
    "also: [usr]",
    "never: [{force: true}]",
    "rules: 5",
    "sbom: {formats: [spdx4]}",
    "checks: {max-size: 60}",
    "checks: {allow: [{path: /x, finding: shell}]}",
    "variants: {debug: {version: 1}}",
    "variants: {debug: {layers: {max: 99}}}",
    "variants: {debug: {packages: null, nope: null}}",
    "variants: {debug: {packages: [{name: aa, from: null}]}}",
    "extends: ../common.yaml",
];

/// Returns `text` as an editor sees it: JSON, numbers being numbers.
fn json(text: &str) -> serde_json::Value {
    fn value(node: &node::Node) -> serde_json::Value {
        match &node.value {
            node::Value::Null | node::Value::Refused => serde_json::Value::Null,
            node::Value::Bool(value) => (*value).into(),
            node::Value::Int(number) => (*number).into(),
            node::Value::Float(_) | node::Value::Ambiguous(..) => 0.5.into(),
            node::Value::Text(text) => text.as_str().into(),
            node::Value::List(items) => items.iter().map(value).collect(),
            node::Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.text.clone(), value(node)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
    let source = Source::new("web.yaml", text);
    value(&node::parse(&mut error::Report::new(&source)).unwrap())
}

#[test]
fn schema_and_parser_agree() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let agree = |text: &str, expected: bool| {
        let error = validator.iter_errors(&json(text)).next().map(|error| error.to_string());
        assert_eq!(error.is_none(), expected, "schema: {error:?}\n{text}");
        let source = Source::new("web.yaml", text);
        let mut report = error::Report::new(&source);
        let root = node::parse(&mut report).unwrap();
        match root.get("extends") {
            None => shape::check(&root, &shape::Shape::Map(&table::SPEC), &table::SPEC, &mut report),
            Some(_) => shape::check_part(&root, &table::SPEC, &mut report),
        }
        let found: Vec<String> = report
            .into_problems()
            .iter()
            .flat_map(|problems| problems.iter().map(|problem| (problem.code(), problem.to_string())))
            .filter(|(code, _)| *code != "spec::not-yet")
            .map(|(_, message)| message)
            .collect();
        assert_eq!(found.is_empty(), expected, "parser: {found:?}\n{text}");
    };
    agree(WHOLE, true);
    agree("distro: debian/13\n", false);
    agree("[]\n", false);
    for line in LATER.iter().chain(MORE) {
        agree(&format!("version: 1\n{line}\n"), true);
    }
    for line in PARTS {
        agree(&format!("version: 1\nextends: x.yaml\n{line}\n"), true);
        agree(&format!("version: 1\n{line}\n"), false);
    }
    agree("extends: x.yaml\n", false);
    for line in MISSHAPEN {
        agree(&format!("version: 1\n{line}\n"), false);
        assert_ne!(mistakes(&format!("version: 1\ndistro: debian/13\n{line}\n")), "ok", "{line}");
    }
}

#[test]
fn every_key_of_the_table_is_tried_above() {
    fn keys<'a>(shape: &'a shape::Shape, found: &mut std::collections::BTreeSet<&'a str>) {
        use shape::Shape;
        match shape {
            Shape::Map(fields) => fields.keys.iter().for_each(|field| {
                found.insert(field.name);
                keys(&field.shape, found);
            }),
            Shape::Tagged(kinds) => kinds.iter().for_each(|(_, fields)| {
                for field in fields.keys {
                    found.insert(field.name);
                    keys(&field.shape, found);
                }
            }),
            Shape::List(inner)
            | Shape::Some(inner)
            | Shape::Free(_, inner)
            | Shape::Partial(_, inner)
            | Shape::OrNull(inner) => {
                keys(inner, found);
            }
            Shape::Either(shapes) => shapes.iter().for_each(|shape| keys(shape, found)),
            Shape::Text(_) | Shape::Int(..) | Shape::Bool | Shape::Word(_) => {}
        }
    }
    let mut found = std::collections::BTreeSet::new();
    let root = shape::Shape::Map(&table::SPEC);
    keys(&root, &mut found);
    let all = format!("{WHOLE}{}\n{}", LATER.join("\n"), MORE.join("\n"));
    let untried: Vec<&str> = found.into_iter().filter(|key| !all.contains(&format!("{key}:"))).collect();
    assert_eq!(untried, [] as [&str; 0]);
}

#[test]
fn the_specs_of_the_repository_parse() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    for name in ["hello", "static", "base", "cc", "python", "python-debian12"] {
        let spec = read(&directory.join(format!("{name}.yaml"))).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(spec.name, name);
        assert_eq!(spec.keep, Keep::Needed);
    }
    let problems = read(&directory.join("absent.yaml")).unwrap_err();
    assert_eq!(problems.iter().next().unwrap().code(), "spec::read");
}

#[test]
fn no_text_makes_the_parser_panic() {
    // Cuts and mangles a spec that has everything, by a fixed walk.
    let whole = format!("{WHOLE}{}\n{}", LATER.join("\n"), MORE.join("\n"));
    let marks =
        ["\u{e9}", ":", "- ", "\"", "'", "{", "]", "\n", "\t", "!", "&a", "*a", "|", "0755", "~", "#", "\0", "? "];
    let mut state: usize = 7;
    for round in 0..1000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = (state >> 20) % whole.len();
        let mark = marks[(state >> 9) % marks.len()];
        let text = match round % 3 {
            0 => whole[..at].to_owned(),
            1 => format!("{}{mark}{}", &whole[..at], &whole[at..]),
            _ => format!("{}{mark}{}", &whole[..at], &whole[(at + state % 7).min(whole.len())..]),
        };
        if let Err(problems) = Spec::parse(&Source::new("web.yaml", text.as_str()), "web") {
            for problem in problems.iter() {
                for label in problem.labels() {
                    assert!(text.get(label.span.start..label.span.end).is_some(), "{text}\n{problem}");
                }
            }
        }
    }
}
