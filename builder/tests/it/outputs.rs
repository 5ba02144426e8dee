//! Where `build` puts an image: tags, archives for Docker, several outputs at once, and container engines, which are
//! played here; the group `real` has the real ones.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use serde_json::Value;

use crate::program::{Place, Ran, names};

const ONE: &str = "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

pub(crate) fn place(spec: &str) -> Place {
    let place = Place::new();
    place.write("web.yaml", spec);
    place
}

fn json(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&place.ok(arguments)).unwrap()
}

/// The program says why it did not do what it was asked, and leaves nothing but what was there before.
fn refused(place: &Place, ran: &Ran, said: &[&str]) {
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    for word in said {
        assert!(ran.err.contains(word), "`{word}` is missing in:\n{}", ran.err);
    }
    let left: Vec<_> =
        names(&place.path(".")).into_iter().filter(|name| name.contains("out") || name.contains("tarsia-")).collect();
    assert!(left.is_empty(), "{left:?}");
    let store = names(&place.path("store"));
    assert!(!store.iter().any(|name| name.starts_with(".tmp-")), "{store:?}");
}

#[test]
fn several_outputs_and_tags_come_from_one_build() {
    let place = place(ONE);
    let arguments = [
        "build",
        "web.yaml",
        "-o",
        "oci:web:1",
        "-o",
        "oci:./web:2",
        "-o",
        "web.tar",
        "-o",
        "docker-archive:d.tar:acme/web:1",
        "-o",
        "docker-archive:d.tar:web",
    ];
    let digest = place.ok(&arguments);
    let index: Value = serde_json::from_slice(&std::fs::read(place.path("web/index.json")).unwrap()).unwrap();
    let entry = |at: usize| {
        let one = &index["manifests"][at];
        (one["digest"].as_str().unwrap(), one["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
    };
    assert_eq!((entry(0), entry(1)), ((digest.trim(), "1"), (digest.trim(), "2")));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let told = json(&place, &["--json", "inspect", "web.tar", "--files"]);
    for image in ["web", "oci:web:1", "oci:web:2"] {
        let mut other = json(&place, &["--json", "inspect", image, "--files"]);
        other["image"] = told["image"].clone();
        assert_eq!(other, told);
    }
    for image in ["oci:web:3", "docker-archive:d.tar:other"] {
        assert_eq!(place.run(&["inspect", image]).status, 2);
    }
    for image in ["docker-archive:d.tar", "docker-archive:d.tar:web", "docker-archive:d.tar:web:latest", "d.tar"] {
        let found = json(&place, &["--json", "inspect", image, "--files"]);
        let (found, told) = (&found["images"][0], &told["images"][0]);
        for same in ["files", "created", "user", "env", "workdir", "platform", "packages"] {
            assert_eq!(found[same], told[same], "{same}");
        }
        let ids = |image: &Value| {
            let layers = image["layers"].as_array().unwrap().iter();
            layers.map(|layer| layer["diff_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(found), ids(told));
    }
    // A directory that holds an image is replaced as a whole: its tags are those that were asked for.
    place.ok(&["build", "web.yaml", "-o", "oci:web:3"]);
    assert_eq!(place.run(&["inspect", "oci:web:1"]).status, 2);
    let bytes = std::fs::read(place.path("d.tar")).unwrap();
    place.ok(&arguments);
    assert!(std::fs::read(place.path("d.tar")).unwrap() == bytes);
}

#[test]
fn one_path_takes_one_kind_of_output() {
    let place = place(ONE);
    let ran = place.run(&["build", "web.yaml", "-o", "oci:out", "-o", "docker-archive:out"]);
    refused(&place, &ran, &["cannot write two kinds of output to `out`", "hint"]);
    let ran = place.run(&["build", "web.yaml", "-o", "docker-archive:out:Web"]);
    refused(&place, &ran, &["cannot use `docker-archive:out:Web` as an image", "hint"]);
    let ran = place.run(&["build", "web.yaml", "-o", "oci:out", "-o", "no/such/x.tar"]);
    refused(&place, &ran, &["no/such/x.tar"]);
}

#[test]
fn an_archive_for_docker_holds_one_platform() {
    let place = place(&ONE.replace("[linux/amd64]", "[linux/amd64, linux/arm64]"));
    let ran = place.run(&["build", "web.yaml", "-o", "docker-archive:out.tar"]);
    refused(&place, &ran, &["linux/amd64, linux/arm64", "hint: choose one with `--platform linux/amd64`"]);
    place.ok(&["build", "web.yaml", "--platform", "linux/arm64", "-o", "docker-archive:arm.tar"]);
    let found = json(&place, &["--json", "inspect", "arm.tar"]);
    assert_eq!(found["images"][0]["platform"], "linux/arm64");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let both = json(&place, &["--json", "inspect", "web.oci"]);
    assert_eq!(both["images"][1]["platform"], "linux/arm64");
}

/// What a played daemon does with an image.
#[derive(Clone, Copy)]
pub(crate) enum Play {
    Take,
    Refuse,
    RefuseAtOnce,
    GoAway,
    Hang,
}

/// Plays a Docker daemon at a socket of the place for two requests; returns what it was sent.
pub(crate) fn daemon(place: &Place, play: Play) -> (String, JoinHandle<Vec<u8>>) {
    let path = place.path("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let played = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        assert!(head(&mut stream).starts_with("GET /_ping "));
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").unwrap();
        // The connection may be used again, or another be made.
        listener.set_nonblocking(true).unwrap();
        let mut stream = loop {
            if let Ok((other, _)) = listener.accept() {
                break BufReader::new(other);
            }
            stream.get_mut().set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
            match stream.fill_buf() {
                Ok([]) | Err(_) => {}
                Ok(_) => break stream,
            }
        };
        stream.get_mut().set_nonblocking(false).unwrap();
        stream.get_mut().set_read_timeout(None).unwrap();
        let head = head(&mut stream);
        assert!(head.starts_with("POST /images/load?quiet=1 "), "{head}");
        let mut body = Vec::new();
        let answer = match play {
            Play::GoAway => return body,
            Play::Hang => loop {
                std::thread::sleep(std::time::Duration::from_secs(3600));
            },
            Play::RefuseAtOnce => {
                "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 22\r\n\r\n{\"message\":\"no space\"}\n"
            }
            Play::Refuse => {
                chunks(&mut stream, &mut body);
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n{\"error\":\"layer is broken\"}\r\n0\r\n\r\n"
            }
            Play::Take => {
                chunks(&mut stream, &mut body);
                "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n{\"stream\":\"Loaded image: web:latest\"}\r\n"
            }
        };
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        // As servers do that answer early, so that their answer is read.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        body
    });
    (format!("unix://{}", path.display()), played)
}

fn head(stream: &mut BufReader<UnixStream>) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut text).unwrap() > 0, "{text}");
    }
    text
}

/// Reads a chunked body (RFC 9112, section 7.1).
fn chunks(stream: &mut BufReader<UnixStream>, body: &mut Vec<u8>) {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).unwrap();
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return;
        }
    }
}

fn to_daemon(place: &Place, address: &str, arguments: &[&str]) -> Ran {
    Ran::from(place.tarsia(["build", "web.yaml"]).args(arguments).env("DOCKER_HOST", address).output().unwrap())
}

#[test]
fn a_docker_daemon_is_sent_what_an_archive_holds() {
    let place = place(ONE);
    place.ok(&["build", "web.yaml", "-o", "docker-archive:web.tar:web", "-o", "docker-archive:web.tar:web:1"]);
    let (address, played) = daemon(&place, Play::Take);
    let ran = to_daemon(&place, &address, &["--load", "-o", "docker-daemon:web:1", "-o", "oci:web.oci"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("docker-daemon:web:latest"), "{}", ran.err);
    assert!(played.join().unwrap() == std::fs::read(place.path("web.tar")).unwrap());
    assert!(place.path("web.oci/index.json").exists());
}

#[test]
fn what_a_docker_daemon_says_is_told_and_nothing_is_left() {
    for (play, said) in [
        (Play::Refuse, "layer is broken"),
        (Play::RefuseAtOnce, "no space"),
        (Play::GoAway, "cannot speak to the Docker daemon"),
    ] {
        // Larger than what any socket holds, so that a daemon that does not read is met while it is sent to.
        let place = place(&ONE.replace("files:", "files:\n  - {copy: large, to: /large}"));
        place.write("large", vec![b'x'; 8 << 20]);
        let (address, played) = daemon(&place, play);
        let ran = to_daemon(&place, &address, &["-o", "docker-daemon:web", "-o", "oci:out"]);
        refused(&place, &ran, &[said]);
        played.join().unwrap();
    }
    let place = place(ONE);
    for (address, said) in [
        ("tcp://127.0.0.1:1", "only sockets"),
        ("unix:///nonexistent/docker.sock", "cannot speak to the Docker daemon"),
    ] {
        for output in ["--load", "-odocker-daemon:web"] {
            let ran = to_daemon(&place, address, &[output]);
            refused(&place, &ran, &[said, "hint"]);
        }
    }
}

/// Writes a program into `bin` of a place, and returns a `PATH` that begins there.
pub(crate) fn program(place: &Place, name: &str, script: &str) -> PathBuf {
    let path = place.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.path("bin")
}

#[test]
fn containers_storage_is_written_by_the_tool_that_is_there_in_a_clean_environment() {
    for (tool, line) in [
        ("podman", "pull --quiet oci-archive:image.tar\n"),
        ("skopeo", "copy --quiet oci:layout:localhost/web:latest containers-storage:localhost/web:latest\n"),
        ("buildah", "pull --quiet oci-archive:image.tar\n"),
    ] {
        let place = place(ONE);
        let digest = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
        let seen = place.path("seen");
        let path = program(
            &place,
            tool,
            &format!(
                "PATH=/usr/bin:/bin; mkdir {0} && echo \"$*\" > {0}/line && cp -r * {0}/ && env > {0}/env\n",
                seen.display()
            ),
        );
        let mut command = place.tarsia(["build", "web.yaml", "-o", "containers-storage:web"]);
        command.env("PATH", path).env("SECRET", "1").env("STORAGE_DRIVER", "vfs").env("DOCKER_HOST", "unix:///none");
        let ran = Ran::from(command.output().unwrap());
        assert_eq!((ran.status, &ran.out), (0, &digest), "{}", ran.err);
        assert_eq!(std::fs::read_to_string(place.path("seen/line")).unwrap(), line);
        let environment = std::fs::read_to_string(place.path("seen/env")).unwrap();
        assert!(environment.contains("STORAGE_DRIVER=vfs\n") && environment.contains("LC_ALL=C\n"), "{environment}");
        assert!(!environment.contains("SECRET") && !environment.contains("DOCKER_HOST"), "{environment}");
        let seen = if tool == "skopeo" { "oci:seen/layout" } else { "oci-archive:seen/image.tar" };
        assert_eq!(json(&place, &["--json", "inspect", seen])["digest"], digest.trim());
    }
}

#[test]
fn what_a_tool_says_is_told_and_nothing_is_left() {
    let place = place(ONE);
    let path = program(&place, "podman", "echo 'Error: disk quota exceeded' >&2; exit 125\n");
    let mut command = place.tarsia(["build", "web.yaml", "-o", "containers-storage:web", "-o", "oci:out"]);
    let ran = Ran::from(command.env("PATH", path).output().unwrap());
    refused(&place, &ran, &["localhost/web:latest", "podman", "125", "disk quota exceeded"]);

    let empty = place.path("empty");
    let mut command = place.tarsia(["build", "web.yaml", "-o", "containers-storage:web"]);
    let ran = Ran::from(command.env("PATH", &empty).output().unwrap());
    refused(&place, &ran, &["none of `skopeo`, `podman`, `buildah`", "hint"]);
    if !std::path::Path::new("/var/run/docker.sock").exists() {
        let ran = Ran::from(place.tarsia(["build", "web.yaml", "--load"]).env("PATH", &empty).output().unwrap());
        refused(&place, &ran, &["cannot find a container engine", "hint"]);
        assert!(!place.path("web.oci").exists());
        let path = program(&place, "podman", "exit 0\n");
        let ran = Ran::from(place.tarsia(["build", "web.yaml", "--load"]).env("PATH", path).output().unwrap());
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert!(ran.err.contains("containers-storage:localhost/web:latest"), "{}", ran.err);
        assert!(!place.path("web.oci").exists(), "--load is an output");
    }
}

#[test]
fn an_engine_takes_the_image_of_this_machine_out_of_several() {
    let place = place(&ONE.replace("[linux/amd64]", "[linux/amd64, linux/arm64]"));
    let path = program(&place, "podman", "PATH=/usr/bin:/bin; cp image.tar \"$HOME/seen.tar\"\n");
    let mut command = place.tarsia(["build", "web.yaml", "-o", "containers-storage:web"]);
    let ran = Ran::from(command.env("PATH", path).env("HOME", place.path(".")).output().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = json(&place, &["--json", "inspect", "seen.tar"]);
    let host = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    assert_eq!(found["images"][0]["platform"], host);
    assert_eq!(found["images"].as_array().unwrap().len(), 1);
}
