//! A release that carries everything: verified by rebuilding where there is nothing but the registry.

use std::process::Command;

use crate::judges::program;
use crate::program::{Place, Ran};

/// Runs a shell script where loopback is all the network there is, with its own registry over `data`.
fn cut_off(place: &Place, host: &str, script: &str) -> Ran {
    place.write(
        "registry.yml",
        format!("version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: data}}\nhttp: {{addr: \"{host}\"}}\n"),
    );
    let script = format!(
        "ip link set lo up && {{ docker-registry serve registry.yml >registry.log 2>&1 & }} && trap 'kill $!' EXIT && {script}"
    );
    let program = place.tarsia(std::iter::empty::<&str>());
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", &script]).current_dir(place.path("."));
    command
        .env("TARSIA", program.get_program())
        .env("TARSIA_STORE", place.path("store"))
        .env("HOME", place.path("home"));
    Ran::from(command.output().unwrap())
}

#[test]
fn a_full_release_is_verified_by_rebuilding_without_checkout_archive_or_network() {
    if ["docker-registry", "ip", "unshare"].iter().any(|name| program(name).is_none()) {
        return;
    }
    let host = "127.0.0.1:5000";
    let image = format!("docker://{host}/team/web:1");
    let place = crate::rebuild::place();
    place.ok(&["keygen", "-o", "k"]);
    let digest = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let ran =
        cut_off(&place, host, &format!("\"$TARSIA\" release web.oci {image} --key k.key --assets assets --kit full"));
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    // The checkout, the archive and the store are gone.
    for name in crate::program::names(&place.path(".")) {
        let path = place.path(&name);
        if path.is_dir() && name != "data" {
            std::fs::remove_dir_all(path).unwrap();
        } else if path.is_file() && name != "k.pub" {
            std::fs::remove_file(path).unwrap();
        }
    }
    let verify = "\"$TARSIA\" verify";
    let required = "--key k.pub --identity exact --require sbom,provenance";
    let ran = cut_off(&place, host, &format!("{verify} {image} {required} --rebuild"));
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with(&digest) && ran.out.contains("the same here"), "{}", ran.out);
    assert!(ran.out.ends_with("\nverified\n"), "{}", ran.out);
}
