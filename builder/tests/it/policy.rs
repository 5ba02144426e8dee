//! `checks` and `audit`: a contract is kept, or the build fails and nothing is written.

use serde_json::{Value, json};

use crate::deb::{Tar, deb};
use crate::layout;
use crate::program::Place;
use crate::world::{Archive, spec};

/// A key that opens nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDtestesttesttes\n";

const BASH: &[u8] = b"\x7fELF @(#)Bash version 5.2";
const NETRC: &[u8] = b"machine example.org login a password b\n";

/// A place with an archive of packages that have what a contract can forbid.
fn place() -> Place {
    let place = Place::new();
    Archive::new(12)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(
            deb("dash", "0.5")
                .file("/usr/bin/dash", 0o755, "\u{7f}ELF EOF in backquote substitution\0")
                .symlink("/usr/bin/sh", "dash"),
        )
        .deb(deb("ping", "1.0").depends("dash").file("/usr/bin/ping", 0o4755, "\u{7f}ELF ping\n"))
        .deb(deb("hello", "1.0").file("/usr/bin/hello", 0o755, "\u{7f}ELF hello\n"))
        .write(&place);
    place
}

#[test]
fn a_broken_contract_fails_the_build_and_names_every_breach() {
    let place = place();
    place.write("app", "\u{7f}ELF BusyBox is a multi-call binary\0");
    let rest = format!(
        "packages: [ping]\nkeep: runtime\nfiles:\n  - {{copy: app, to: /opt/tool, mode: \"0755\"}}\n  - {{text: \
         \"{}\", to: /etc/ssl/key.pem}}\n  - {{dir: /srv/drop, mode: \"0777\"}}\nrun: {{user: root}}\nchecks:\n  \
         forbid: [shell, setuid, setgid, world-writable, secrets, root-user, package-manager, capability]\n  \
         max-size: 10B\n  files: {{/etc/absent: present, /bin/sh: absent}}\n",
        KEY.replace('\n', "\\n")
    );
    spec(&place, "web", &rest);
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(!place.path("web.oci").exists());
    insta::assert_snapshot!(breaches(&ran.err), @r#"
    error: cannot accept `web` (linux/amd64): `/opt/tool` is a shell: busybox, by its content, from `files[0]` of the spec
    hint: take it out of `files[0]` of the spec
    hint: or allow it: `{path: /opt/tool, finding: shell, because: "…"}` under `checks: allow`
    error: cannot accept `web` (linux/amd64): `/usr/bin/dash` is a shell, also as `/usr/bin/sh`, from package `dash`
    hint: `tarsia why web.yaml dash` says why the package is in; `"!dash"` under `packages` keeps it out
    hint: or allow it: `{path: /usr/bin/dash, finding: shell, because: "…"}` under `checks: allow`
    error: cannot accept `web` (linux/amd64): `/usr/bin/ping` runs as user 0 whoever starts it (mode 4755), from package `ping`
    hint: take `ping` out of `packages`
    hint: or allow it: `{path: /usr/bin/ping, finding: setuid, because: "…"}` under `checks: allow`
    error: cannot accept `web` (linux/amd64): `/srv/drop` may be written to by everybody (mode 0777), from `files[2]` of the spec
    hint: give `files[2]` of the spec another `mode`
    hint: or allow it: `{path: /srv/drop, finding: world-writable, because: "…"}` under `checks: allow`
    error: cannot accept `web` (linux/amd64): `/etc/ssl/key.pem` holds a private key, from `files[1]` of the spec
    hint: take it out of `files[1]` of the spec
    hint: or allow it: `{path: /etc/ssl/key.pem, finding: secrets, because: "…"}` under `checks: allow`
    error: cannot accept `web` (linux/amd64): the image runs as `0:0`
    hint: set `run: {user: nonroot}`
    error: cannot accept `web` (linux/amd64): the image holds 832 bytes, more than 10
    error: cannot accept `web` (linux/amd64): `/bin/sh` must not be there, and `/usr/bin/sh` is
    error: cannot accept `web` (linux/amd64): `/etc/absent` must be there, and is not
    "#);
    // Found again in the store, the image is judged all the same.
    assert_eq!(place.run(&["build", "--locked", "web.yaml", "-o", "web.oci"]).status, 1);
    let json = place.run(&["--json", "build", "--locked", "web.yaml", "-o", "web.oci"]);
    let codes: Vec<String> = json
        .err
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["code"].as_str().unwrap().to_owned())
        .collect();
    assert!(codes.contains(&"policy::shell".to_owned()) && codes.contains(&"policy::max-size".to_owned()), "{codes:?}");
}

/// Returns the errors and hints of what was said, without carets.
fn breaches(said: &str) -> String {
    let lines = said.lines().filter(|line| line.starts_with("error") || line.starts_with("hint"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_exception_allows_what_it_names_and_no_more() {
    let place = place();
    let contract = |allow: &str| {
        spec(
            &place,
            "web",
            &format!("packages: [ping]\nkeep: runtime\nchecks:\n  forbid: [shell, setuid]\n  allow: [{allow}]\n"),
        );
        let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
        (ran.status, ran.err)
    };
    let shell = "{path: \"/bin/d*\", finding: shell, because: ping needs it}";
    let setuid = "{path: /usr/bin/ping, finding: setuid, because: raw sockets}";
    let (status, err) = contract(&format!("{shell}, {setuid}"));
    assert_eq!(status, 0, "{err}");
    assert!(!err.contains("exception"), "{err}");
    let (status, err) = contract(shell);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("`/usr/bin/ping` runs as user 0") && !err.contains("is a shell"), "{err}");
    let unused = "{path: /usr/bin/hello, finding: shell, because: history}";
    for _ in 0..2 {
        let (status, err) = contract(&format!("{shell}, {setuid}, {unused}"));
        assert_eq!(status, 0, "{err}");
        assert!(err.contains("the exception for `shell` at `/usr/bin/hello` allows nothing"), "{err}");
    }
}

#[test]
fn a_contract_moves_no_digest() {
    let place = place();
    let plain = "packages: [hello]\nkeep: runtime\n";
    spec(&place, "web", plain);
    let without = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    spec(&place, "web", &format!("{plain}checks: {{forbid: [shell, secrets, root-user], max-size: 1MB}}\n"));
    assert_eq!(place.ok(&["build", "web.yaml", "-o", "web.oci"]), without);
}

#[test]
fn audit_judges_a_spec_with_its_contract_or_all_there_is() {
    let place = place();
    spec(&place, "web", "packages: [ping]\nkeep: runtime\nchecks: {forbid: [root-user]}\n");
    assert_eq!(place.run(&["audit", "web.yaml"]).status, 2, "no lock yet");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    assert!(place.ok(&["audit", "web.yaml"]).contains("keeps the contract"));
    place.write(
        "policy.yaml",
        "version: 1\nchecks:\n  forbid: [shell]\n  allow: [{path: /usr/bin/dash, finding: shell, because: it is asked for}]\n",
    );
    let ran = place.run(&["audit", "web.yaml", "--policy", "policy.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("from package `dash`; allowed: it is asked for"), "{}", ran.out);
    let ran = place.run(&["audit", "web.oci"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().skip(3).collect();
    let [shell, setuid, verdict] = lines[..] else { panic!("{}", ran.out) };
    assert_eq!(shell, "  shell           /usr/bin/dash is a shell, also as `/usr/bin/sh`");
    assert_eq!(setuid, "  setuid          /usr/bin/ping runs as user 0 whoever starts it (mode 4755)");
    assert!(verdict.starts_with("  2 breaches, "), "{verdict}");
    // A variant has a contract of its own, and an image has no variants.
    let rest =
        "packages: [ping]\nkeep: runtime\nchecks: {forbid: [root-user]}\nvariants: {root: {run: {user: root}}}\n";
    spec(&place, "web", rest);
    place.ok(&["lock", "web.yaml"]);
    assert!(place.ok(&["audit", "web.yaml"]).contains("keeps the contract"));
    let ran = place.run(&["audit", "web.yaml", "--variant", "root"]);
    assert!(ran.status == 1 && ran.out.contains("root-user"), "{}{}", ran.out, ran.err);
    let ran = place.run(&["audit", "web.oci", "--variant", "root"]);
    assert!(ran.status == 2 && ran.err.contains("only a spec has variants"), "{}", ran.err);
    place.write("policy.yaml", "version: 1\nchecks: {forbid: [shells]}\n");
    assert_eq!(place.run(&["audit", "web.oci", "--policy", "policy.yaml"]).status, 2);
    assert_eq!(place.run(&["audit", "nothing.oci"]).status, 2);
}

#[test]
fn audit_sees_what_upper_layers_hide_and_what_a_runtime_sees() {
    let place = Place::new();
    let lower = Tar::new()
        .directory("bin/", 0o755)
        .file("bin/bash", 0o755, BASH)
        .directory("root/", 0o700)
        .file("root/.netrc", 0o600, NETRC)
        .file("root/key", 0o600, KEY.as_bytes())
        .file("root/kept", 0o4755, BASH)
        .directory("var/lib/dpkg/info/", 0o755)
        .file("var/lib/dpkg/info/bash.list", 0o644, b"/.\n/bin\n/bin/bash\n/root/kept\n");
    let upper = Tar::new()
        .directory("bin/", 0o755)
        .file("bin/.wh.bash", 0o644, b"")
        .directory("root/", 0o700)
        .file("root/.wh.key", 0o644, b"")
        .file("root/.netrc", 0o600, b"")
        .entry("usr/bin/sh", b'2', 0o777, "bash", b"");
    let config = json!({ "User": "app", "Env": ["GITHUB_TOKEN=x"] });
    layout::write(&place, "other.oci", &[lower.build(), upper.build()], &config);
    let ran = place.run(&["--json", "audit", "other.oci"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let audit: Value = serde_json::from_str(&ran.out).unwrap();
    let image = &audit["images"][0];
    let broken: Vec<String> = image["broken"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {} {}", one["rule"], one["path"], one["what"], one["from"]).replace('"', ""))
        .collect();
    insta::assert_snapshot!(broken.join("\n"), @r"
    shell /root/kept is a shell: bash, by its content package `bash`
    setuid /root/kept runs as user 0 whoever starts it (mode 4755) package `bash`
    secrets null holds the variable `GITHUB_TOKEN` in its config null
    secrets /root/.netrc holds passwords of servers; layer 2 hides it, and layer 1 still has it null
    secrets /root/key holds a private key; layer 2 hides it, and layer 1 still has it null
    ");
    assert_eq!(image["hidden"], json!(BASH.len() + NETRC.len() + KEY.len()));
    assert_eq!(audit["accepted"], json!(false));
}

#[test]
fn audit_knows_root_by_any_name() {
    let place = Place::new();
    let tar = Tar::new().file("etc/passwd", 0o644, b"toor:x:0:0::/:/bin/none\nweb:x:7:7::/:/bin/none\n");
    for (user, status) in [("", 1), ("0", 1), ("root:7", 1), ("toor", 1), ("web", 0), ("7:0", 0), ("00", 1)] {
        layout::write(&place, "x.oci", &[tar.clone().build()], &json!({ "User": user }));
        assert_eq!(place.run(&["audit", "x.oci"]).status, status, "{user:?}");
    }
}
