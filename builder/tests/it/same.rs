//! The group `real`, on determinism: nothing of the machine reaches a byte.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::container::must;
use crate::program::{Place, copy_blobs, copy_tree};
use crate::real::{EXAMPLES, built};

fn cold_store(to: &Path) {
    copy_blobs(&built().path("store"), to);
}

fn digests(place: &Place, build: &mut dyn FnMut(&str) -> Command) -> Vec<String> {
    EXAMPLES
        .iter()
        .map(|name| must(&mut build(name)).trim().to_owned())
        .inspect(|digest| assert!(digest.starts_with("sha256:"), "{digest} in {place:?}", place = place.path(".")))
        .collect()
}

#[test]
fn every_example_has_the_same_digest_in_another_world() {
    let home = built();
    let expected: Vec<String> = EXAMPLES
        .iter()
        .map(|name| {
            home.ok(&["build", "--locked", &format!("specs/{name}.yaml"), "-o", &format!("warm-{name}.oci")])
                .trim()
                .to_owned()
        })
        .collect();

    // Another directory, user, umask, TZ, LANG, HOME, PATH, clock, thread count, budget; inputs of other times, owners
    // and group-write bits; a disk that lists its directories in another order; a cold cache.
    let place = Place::new();
    std::fs::set_permissions(place.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
    copy_tree(&home.path("specs"), &place.path("plain/other specs"));
    must(Command::new("sh").current_dir(place.path("plain")).args([
        "-c",
        "find . -exec touch -h -d 2001-02-03T04:05:06Z {} + && chmod -R g+w . && chown -R 1234:4321 . && chmod 755 .",
    ]));
    cold_store(&place.path("store"));
    std::fs::create_dir(place.path("out")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_tarsia"), place.path("tarsia")).unwrap();
    must(Command::new("chown").args(["-R", "1234:4321"]).arg(place.path("store")).arg(place.path("out")));
    let specs = place.path("disordered");
    std::fs::create_dir(&specs).unwrap();
    let mounted = Command::new("disorderfs")
        .args(["--multi-user=yes", "--shuffle-dirents=yes", "--reverse-dirents=no"])
        .args(["-o", "allow_other"])
        .arg(place.path("plain/other specs"))
        .arg(&specs)
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(mounted, "disorderfs mounts; .ci/run installs it");
    let other = digests(&place, &mut |name| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=1234", "--regid=4321", "--clear-groups", "faketime", "2031-05-06 07:08:09", "sh", "-c"])
            .arg("umask 077; exec \"$0\" \"$@\"")
            .arg(place.path("tarsia"))
            .args(["build", "--locked", "--offline", "--threads", "7", "--memory", "48MiB"])
            .arg(specs.join(format!("{name}.yaml")))
            .arg("-o")
            .arg(place.path("out").join(format!("{name}.oci")))
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/games")
            .env("TZ", "Pacific/Chatham")
            .env("LANG", "tr_TR.UTF-8")
            .env("LC_ALL", "C")
            .env("HOME", place.path("out"))
            .env("TARSIA_STORE", place.path("store"))
            .current_dir("/");
        command
    });
    must(Command::new("fusermount").arg("-u").arg(&specs));
    assert_eq!(other, expected);
}

#[test]
fn threads_and_memory_never_reach_a_byte() {
    let home = built();
    let expected = home.ok(&["build", "--locked", "specs/python.yaml", "-o", "warm.oci"]);
    for (threads, memory) in [("1", "192MiB"), ("2", "16MiB"), ("64", "192MiB")] {
        let place = Place::new();
        cold_store(&place.path("store"));
        let spec = home.path("specs/python.yaml");
        let digest = place.ok(&[
            "build",
            "--locked",
            "--offline",
            "--threads",
            threads,
            "--memory",
            memory,
            spec.to_str().unwrap(),
            "-o",
            "python.oci",
        ]);
        assert_eq!(digest, expected, "{threads} threads, {memory}");
        must(Command::new("diff").arg("-r").arg(home.path("warm.oci")).arg(place.path("python.oci")));
    }
}
