//! Keys: made, encrypted, and taken from files, variables, agents and programs; read by openssl and cosign, and theirs by
//! us.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use crate::judges::{accepts, judge};
use crate::program::{Place, Ran};

const ONE: &str = "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

/// A place with an image on disk.
fn place() -> Place {
    let place = Place::new();
    place.write("web.yaml", ONE);
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place
}

fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap()
}

/// Signs the image with a key, and returns the bundle.
fn sign(place: &Place, key: &str, variables: &[(&str, &str)]) -> String {
    let _ = std::fs::remove_file(place.path("b.json"));
    let mut command = place.tarsia(["sign", "web.oci", "-o", "b.json", "--key", key]);
    let ran = Ran::from(command.envs(variables.iter().copied()).output().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.err);
    read(place, "b.json")
}

#[test]
fn a_key_is_its_owners_from_the_start_and_is_never_written_over_or_shown() {
    let place = Place::new();
    for algorithm in ["ed25519", "p256"] {
        let ran = place.run(&["keygen", "-o", algorithm, "--algorithm", algorithm]);
        assert_eq!((ran.status, ran.out.as_str()), (0, format!("{algorithm}.pub\n").as_str()), "{}", ran.err);
        let path = place.path(&format!("{algorithm}.key"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let pem = read(&place, &format!("{algorithm}.key"));
        let body = pem.lines().nth(1).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(!ran.err.contains(body), "{}", ran.err);
        let public = read(&place, &format!("{algorithm}.pub"));
        let ran = place.run(&["keygen", "-o", algorithm]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        std::fs::remove_file(&path).unwrap();
        let ran = place.run(&["keygen", "-o", algorithm]);
        assert_eq!(ran.status, 2, "a public key is not written over either: {}", ran.err);
        assert!(!path.exists());
        assert_eq!(read(&place, &format!("{algorithm}.pub")), public);
    }
    std::fs::create_dir(place.path("keys")).unwrap();
    for name in ["keys/", "keys/.", "..", ""] {
        let ran = place.run(&["keygen", "-o", name]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{name}: {}", ran.err);
    }
    assert!(crate::program::names(&place.path("keys")).is_empty(), "no `.key` that nobody sees");
    place.ok(&["keygen", "-o", "a"]);
    place.ok(&["keygen", "-o", "b"]);
    assert_ne!(read(&place, "a.key"), read(&place, "b.key"));
}

#[test]
fn a_key_comes_from_a_file_a_variable_or_a_program() {
    let place = place();
    place.ok(&["keygen", "-o", "k"]);
    let bundle = sign(&place, "k.key", &[]);
    let pem = read(&place, "k.key");
    assert_eq!(sign(&place, "env://THE_KEY", &[("THE_KEY", &pem)]), bundle);
    assert_eq!(sign(&place, "k.key", &[("TARSIA_KEY", "/nonexistent")]), bundle, "a flag comes before its variable");
    let program = place.write(
        "plugin",
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\ncase $1 in public) cat k.pub;; sign) cat > in && openssl pkeyutl -sign -inkey k.key -rawin -in in;; esac\n",
    );
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(sign(&place, &format!("exec:{}", program.display()), &[]), bundle);

    for (key, said) in [
        ("none.key", "cannot read key `none.key`"),
        ("k.pub", "it is a public key; name the private one"),
        ("env://NO_SUCH_KEY", "it is not set"),
        ("ssh-agent:", "`SSH_AUTH_SOCK` names none"),
        ("exec:/nonexistent", "it cannot be run"),
    ] {
        let ran = place.run(&["sign", "web.oci", "--key", key]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains(said), "{key}: {}", ran.err);
    }
    let ran = place.run(&["sign", "web.oci"]);
    assert!(ran.status == 2 && ran.err.contains("no key is named"), "{}", ran.err);
    std::fs::set_permissions(place.path("k.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.run(&["sign", "web.oci", "--key", "k.key"]);
    assert!(ran.status == 0 && ran.err.contains("key `k.key` can be read by others"), "{}", ran.err);
}

/// An ssh-agent with keys in it; it ends when this is dropped.
pub(crate) struct Agent {
    pub(crate) socket: std::path::PathBuf,
    child: Child,
}

impl Agent {
    /// Starts an agent that holds one key of each of these kinds, called by its kind; `None` where there is none.
    pub(crate) fn start(place: &Place, kinds: &[&str]) -> Option<Self> {
        crate::judges::program("ssh-agent")?;
        let socket = place.path("agent");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        while !socket.exists() {
            std::thread::yield_now();
        }
        for kind in kinds {
            let file = place.path(&format!("ssh-{kind}"));
            accepts(Command::new("ssh-keygen").args(["-q", "-N", "", "-C", kind, "-t", kind, "-f"]).arg(&file));
            accepts(Command::new("ssh-add").arg("-q").arg(&file).env("SSH_AUTH_SOCK", &socket));
        }
        Some(Self { socket, child })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_key_of_an_ssh_agent_signs_and_gives_its_public_half() {
    let place = place();
    let Some(agent) = Agent::start(&place, &["ed25519", "ecdsa"]) else { return };
    let socket = agent.socket.to_str().unwrap().to_owned();
    let variables = [("SSH_AUTH_SOCK", socket.as_str())];
    for kind in ["ed25519", "ecdsa"] {
        let key = format!("ssh-agent:{kind}");
        let bundle = sign(&place, &key, &variables);
        let mut command = place.tarsia(["keygen", "-o", kind, "--public-of", &key]);
        let ran = Ran::from(command.envs(variables).output().unwrap());
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert!(!place.path(&format!("{kind}.key")).exists());
        let public = tarsia::sign::PublicKey::from_pem(kind, read(&place, &format!("{kind}.pub")).as_bytes()).unwrap();
        assert!(tarsia::sign::Bundle::parse(bundle.trim().as_bytes()).unwrap().open(&public).is_ok());
    }
    let mut command = place.tarsia(["sign", "web.oci", "--key", "ssh-agent:"]);
    let ran = Ran::from(command.envs(variables).output().unwrap());
    assert!(ran.status == 2 && ran.err.contains("several of its keys fit"), "{}", ran.err);
}

#[test]
fn an_encrypted_key_opens_with_its_password_alone() {
    let place = place();
    let run = |arguments: &[&str], password: Option<&str>| {
        let mut command = place.tarsia(arguments);
        command.stdin(Stdio::null());
        command.envs(password.map(|password| ("COSIGN_PASSWORD", password)));
        Ran::from(command.output().unwrap())
    };
    let ran = run(&["keygen", "-o", "k", "--encrypt"], None);
    assert!(ran.status == 2 && ran.err.contains("no password was given"), "{}", ran.err);
    assert!(!place.path("k.key").exists());
    let ran = run(&["keygen", "-o", "k", "--encrypt"], Some("a pass word"));
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(read(&place, "k.key").starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"));
    let sign = ["sign", "web.oci", "--key", "k.key"];
    assert_eq!(run(&sign, Some("a pass word")).status, 0);
    for (password, said) in [(Some("another"), "the password is wrong"), (None, "no password was given")] {
        let ran = run(&sign, password);
        assert!(ran.status == 2 && ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn cosign_reads_our_keys_and_we_read_cosigns() {
    let place = place();
    for name in ["cosign-2", "cosign-3"] {
        let Some(cosign) = judge(&format!("bin/{name}")) else { return };
        let cosign = || {
            let mut command = Command::new(&cosign);
            command.current_dir(place.path(".")).env("COSIGN_PASSWORD", "s3cret");
            command
        };
        // Theirs: a sealed P-256 key.
        accepts(cosign().args(["generate-key-pair", "--output-key-prefix", name]));
        let bundle = sign(&place, &format!("{name}.key"), &[("COSIGN_PASSWORD", "s3cret")]);
        let public = tarsia::sign::PublicKey::from_pem(name, read(&place, &format!("{name}.pub")).as_bytes()).unwrap();
        assert!(tarsia::sign::Bundle::parse(bundle.trim().as_bytes()).unwrap().open(&public).is_ok());
        assert_eq!(sign(&place, &format!("{name}.key"), &[("COSIGN_PASSWORD", "s3cret")]), bundle, "RFC 6979");
        // Ours, sealed: cosign opens it, and says which public key it has.
        for algorithm in ["ed25519", "p256"] {
            let key = format!("{name}-{algorithm}");
            let mut command = place.tarsia(["keygen", "-o", &key, "--algorithm", algorithm, "--encrypt"]);
            let ran = Ran::from(command.env("COSIGN_PASSWORD", "s3cret").output().unwrap());
            assert_eq!(ran.status, 0, "{}", ran.err);
            let said = accepts(cosign().args(["public-key", "--key", &format!("{key}.key")]));
            assert!(said.contains(read(&place, &format!("{key}.pub")).trim()), "{said}");
        }
        // Ours, plain: cosign 3 takes it in. 2.5 takes in no P-256 key, openssl's neither.
        if name == "cosign-2" {
            continue;
        }
        let plain = format!("{name}-plain");
        place.ok(&["keygen", "-o", &plain, "--algorithm", "p256"]);
        let imported = format!("{name}-imported");
        accepts(cosign().args(["import-key-pair", "--key", &format!("{plain}.key"), "--output-key-prefix", &imported]));
        assert_eq!(read(&place, &format!("{imported}.pub")).trim(), read(&place, &format!("{plain}.pub")).trim());
    }
}
