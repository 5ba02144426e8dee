use std::io::Write as _;
use std::process::{Command, Stdio};

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use super::*;
use crate::attest::{SPDX, Statement};
use crate::digest::Digest;

fn key(algorithm: Algorithm, seed: u8) -> PrivateKey {
    PrivateKey::generate(algorithm, &Zeroizing::new([seed; 32])).unwrap()
}

fn both() -> [PrivateKey; 2] {
    [key(Algorithm::Ed25519, 1), key(Algorithm::P256, 2)]
}

fn read(pem: &str) -> Result<PrivateKey, Error> {
    PrivateKey::from_pem("k.key", pem.as_bytes(), &mut || None)
}

fn with_password(pem: &str, password: &'static str) -> Result<PrivateKey, Error> {
    PrivateKey::from_pem("k.key", pem.as_bytes(), &mut || Some(Zeroizing::new(password.to_owned())))
}

#[test]
fn pure_ed25519_gives_the_vectors_of_rfc_8032() {
    // Section 7.1, test 3.
    let seed = Digest::from_hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7").unwrap();
    let key = PrivateKey::generate(Algorithm::Ed25519, &Zeroizing::new(*seed.as_bytes())).unwrap();
    let signature = key.sign(&[0xaf, 0x82]).unwrap();
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
         18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    );
    assert!(key.public().verifies(&[0xaf, 0x82], &signature));
    assert!(!key.public().verifies(&[0xaf, 0x83], &signature));
}

#[test]
fn p256_signs_as_rfc_6979_says() {
    // Appendix A.2.5, SHA-256, message "sample".
    let scalar = Digest::from_hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721").unwrap();
    let key = PrivateKey::generate(Algorithm::P256, &Zeroizing::new(*scalar.as_bytes())).unwrap();
    let signature = key.sign(b"sample").unwrap();
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.contains("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"), "{hex}");
    assert!(key.public().verifies(b"sample", &signature));
}

#[test]
fn keys_survive_their_pem() {
    for key in both() {
        let again = read(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::from_pem("k.pub", key.public().to_pem().as_bytes()).unwrap();
        assert_eq!(public.id(), key.public().id());
        let signature = key.sign(b"x").unwrap();
        assert_eq!(again.sign(b"x").unwrap(), signature, "the same bytes are signed alike");
        assert!(public.verifies(b"x", &signature) && !public.verifies(b"y", &signature));
    }
    assert_eq!(key(Algorithm::Ed25519, 1).to_pem().lines().count(), 3, "PKCS#8 version 1 is 48 bytes long");
}

#[test]
fn sealed_keys_open_with_their_password_alone() {
    for key in both() {
        let pem = key.to_sealed_pem("secret", &Sealing { salt: [3; 32], nonce: [4; 24] });
        assert!(pem.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
        assert_eq!(with_password(&pem, "secret").unwrap().public(), key.public());
        assert!(matches!(with_password(&pem, "other"), Err(Error::WrongPassword { .. })));
        assert!(matches!(read(&pem), Err(Error::NoPassword { .. })));
    }
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    let [ed25519, _] = both();
    let sealed = |json: &str| {
        pem_rfc7468::encode_string("ENCRYPTED COSIGN PRIVATE KEY", pem_rfc7468::LineEnding::LF, json.as_bytes())
            .unwrap()
    };
    let kdf = |n: u64| {
        format!(
            r#"{{"kdf":{{"name":"scrypt","params":{{"N":{n},"r":8,"p":1}},"salt":""}},"cipher":{{"name":"nacl/secretbox","nonce":"{}"}},"ciphertext":""}}"#,
            Base64::encode_string(&[0; 24])
        )
    };
    for (pem, problem) in [
        ("x".to_owned(), "it is no PEM file"),
        (ed25519.public().to_pem(), "it is a public key"),
        (sealed("{}"), "its document is broken"),
        (sealed(&kdf(1 << 40)), "out of bounds"),
        (sealed(&kdf(3)), "out of bounds"),
        (format!("{}\n{}", &*ed25519.to_pem(), &*ed25519.to_pem()), "it is no PEM file"),
    ] {
        let error = with_password(&pem, "").unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let error = PublicKey::from_pem("k", ed25519.to_pem().as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "cannot read key `k`: it is a private key; name the public one");
    assert!(!format!("{ed25519:?}").contains(ed25519.to_pem().lines().nth(1).unwrap()), "a private key is not shown");
}

#[test]
fn a_weak_key_is_no_key() {
    // The point of order one signs anything.
    assert!(PublicKey::from_ed25519_bytes(&[&[1u8][..], &[0; 31]].concat()).is_none());
}

#[test]
fn only_the_signing_key_opens_an_envelope() {
    let [ed25519, p256] = both();
    for key in [&ed25519, &p256] {
        let statement = Statement::new("web", Digest::of(b"m"), SPDX, serde_json::json!({"a": 1}));
        let bundle = Bundle::sign(&statement, key).unwrap();
        assert_eq!(Bundle::sign(&statement, key).unwrap(), bundle, "a bundle is a function of statement and key");
        let again = Bundle::parse(&bundle.to_bytes()).unwrap();
        let opened = again.open(key.public()).unwrap();
        assert_eq!((opened.value(), *opened.key()), (&statement, key.public().id()));
        let other = if key.public() == ed25519.public() { &p256 } else { &ed25519 };
        assert!(matches!(again.open(other.public()), Err(Error::Signature { .. })));
    }
}

#[test]
fn a_flipped_byte_of_a_payload_is_seen() {
    let [key, _] = both();
    let envelope = Envelope::sign(&Statement::signature(Digest::of(b"m")), &key).unwrap();
    let text = String::from_utf8(envelope.to_bytes()).unwrap();
    let payload = text.split('"').nth(3).unwrap();
    let mut bytes = Base64::decode_vec(payload).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    let forged = text.replace(payload, &Base64::encode_string(&bytes));
    let error = key.public().open(&Envelope::parse(forged.as_bytes()).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Signature { .. }), "{error}");
}

#[test]
fn envelopes_and_bundles_of_another_form_are_refused() {
    let [key, _] = both();
    let bundle =
        String::from_utf8(Bundle::sign(&Statement::signature(Digest::of(b"m")), &key).unwrap().to_bytes()).unwrap();
    for (from, to, problem) in [
        ("bundle.v0.3+json", "bundle.v0.2+json", "it is a `"),
        ("application/vnd.in-toto+json", "text/plain", "its payload is a `text/plain`"),
        ("\"publicKey\"", "\"certificate\"", "unknown field `certificate`"),
        ("\"dsseEnvelope\"", "\"messageSignature\"", "unknown field `messageSignature`"),
        ("{\"mediaType\"", "{\"x\":1,\"mediaType\"", "unknown field `x`"),
    ] {
        let error = Bundle::parse(bundle.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let logged = bundle.replace("\"verificationMaterial\":{", "\"verificationMaterial\":{\"tlogEntries\":[{\"a\":1}],");
    assert!(Bundle::parse(logged.as_bytes()).is_ok(), "a log's entries are read over");
}

#[test]
fn simple_signing_has_cosigns_bytes() {
    let digest = Digest::of(b"m");
    let signed = SimpleSigning { reference: "host:5000/web:1".to_owned(), digest };
    assert_eq!(
        String::from_utf8(signed.to_bytes()).unwrap(),
        format!(
            "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"host:5000/web:1\"}},\
             \"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"cosign container image signature\"}},\
             \"optional\":null}}"
        )
    );
    for key in both() {
        let (payload, signature) = signed.sign(&key).unwrap();
        assert_eq!(key.public().open_simple(&payload, &signature).unwrap().value(), &signed);
        let mut flipped = payload.clone();
        flipped[60] ^= 1;
        assert!(matches!(key.public().open_simple(&flipped, &signature), Err(Error::Signature { .. })));
    }
}

/// Runs openssl over files in a directory; `None` where it is not installed.
fn openssl(directory: &std::path::Path, arguments: &[&str]) -> Option<std::process::Output> {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output();
    if output.is_err() {
        eprintln!("openssl is not installed: not asked");
    }
    output.ok()
}

#[test]
fn openssl_reads_our_keys_and_checks_our_signatures() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for key in both() {
        std::fs::write(at("k.key"), key.to_pem().as_bytes()).unwrap();
        std::fs::write(at("k.pub"), key.public().to_pem()).unwrap();
        std::fs::write(at("m"), b"message").unwrap();
        std::fs::write(at("s"), key.sign(b"message").unwrap()).unwrap();
        let Some(output) = openssl(place.path(), &["pkey", "-in", "k.key", "-pubout"]) else { return };
        assert_eq!(String::from_utf8(output.stdout).unwrap(), key.public().to_pem());
        let raw: &[&str] =
            if key.public().algorithm() == Algorithm::Ed25519 { &["-rawin"] } else { &["-rawin", "-digest", "sha256"] };
        let arguments =
            [&["pkeyutl", "-verify", "-pubin", "-inkey", "k.pub", "-in", "m", "-sigfile", "s"], raw].concat();
        let output = openssl(place.path(), &arguments).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn keys_made_by_openssl_are_read() {
    let place = tempfile::tempdir().unwrap();
    for arguments in [
        &["genpkey", "-algorithm", "ED25519", "-out", "k"][..],
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "k"],
        &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k"],
    ] {
        let Some(output) = openssl(place.path(), arguments) else { return };
        assert!(output.status.success());
        let key = read(&std::fs::read_to_string(place.path().join("k")).unwrap()).unwrap();
        let output = openssl(place.path(), &["pkey", "-in", "k", "-pubout"]).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), key.public().to_pem());
    }
}

#[test]
fn a_key_of_an_ssh_agent_signs() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("agent");
    let Ok(mut agent) = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn() else {
        eprintln!("ssh-agent is not installed: not asked");
        return;
    };
    while !socket.exists() {
        std::thread::yield_now();
    }
    for kind in ["ed25519", "ecdsa"] {
        let file = place.path().join(kind);
        let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-C", kind, "-t", kind, "-f"]).arg(&file).status();
        assert!(made.unwrap().success());
        let added = Command::new("ssh-add").arg("-q").arg(&file).env("SSH_AUTH_SOCK", &socket).status();
        assert!(added.unwrap().success());
    }
    let several = AgentSigner::connect(&socket, None).err().unwrap().to_string();
    assert!(several.contains("several of its keys fit") && several.contains("SHA256:"), "{several}");
    for kind in ["ed25519", "ecdsa"] {
        let signer = AgentSigner::connect(&socket, Some(kind)).unwrap();
        let bundle = Bundle::sign(&Statement::signature(Digest::of(b"m")), &signer).unwrap();
        assert!(bundle.open(signer.public()).is_ok());
    }
    let absent = AgentSigner::connect(&socket, Some("other")).err().unwrap().to_string();
    assert_eq!(absent, "cannot sign with the ssh-agent: it holds no Ed25519 or P-256 key `other`");
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn a_key_behind_a_program_signs() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let [key, _] = both();
    std::fs::write(place.path().join("key"), key.to_pem().as_bytes()).unwrap();
    std::fs::write(place.path().join("pub"), key.public().to_pem()).unwrap();
    let program = place.path().join("plugin");
    let script = |sign: &str| {
        let text = format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\ncase $1 in public) cat pub;; sign) {sign};; esac\n");
        let mut file = std::fs::File::create(&program).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let sign = "cat > in && openssl pkeyutl -sign -inkey key -rawin -in in";
    let name = program.to_str().unwrap();
    for command in [sign.to_owned(), format!("{sign} | base64 -w0")] {
        script(&command);
        let signer = PluginSigner::start(name).unwrap();
        assert_eq!(signer.public(), key.public());
        if openssl(place.path(), &["version"]).is_some() {
            assert_eq!(signer.sign(b"message").unwrap(), key.sign(b"message").unwrap());
        }
    }
    for (command, problem) in [
        ("printf x", "it printed no signature of these bytes by its key"),
        ("exit 3", "`sign` ended with exit status: 3"),
        ("yes", "it printed more than 65536 bytes"),
    ] {
        script(command);
        let error = PluginSigner::start(name).unwrap().sign(b"message").unwrap_err().to_string();
        assert!(error.ends_with(problem), "{error}");
    }
    assert!(PluginSigner::start("/nonexistent/plugin").is_err());
}
