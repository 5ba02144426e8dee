//! A signal ends the program at once, by that signal, and nothing is left of what it was doing.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::outputs::{Play, daemon, place, program};
use crate::program::{Place, names};

const SPEC: &str = "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
}

/// Returns the names of temporary files in a directory and in those below it.
fn temporary(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(directory) {
        if name.starts_with(".tmp-") || name.contains(".tarsia-") {
            found.push(name.clone());
        }
        let path = directory.join(&name);
        if path.is_dir() && !path.is_symlink() {
            found.extend(temporary(&path));
        }
    }
    found
}

/// Starts a program that no signal is ignored for: `nohup`, or a shell's `&`, may have made the tests ignore some.
fn start(command: &mut Command) -> Child {
    let mut fresh = Command::new("/usr/bin/env");
    fresh.arg("--default-signal=HUP,INT,TERM").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => fresh.env(name, value),
            None => fresh.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        fresh.current_dir(directory);
    }
    fresh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends a build that hangs with a layout staged, by this signal.
fn ended_by(signal: &str, number: i32) {
    let place = place(SPEC);
    let (address, _played) = daemon(&place, Play::Hang);
    place.ok(&["build", "web.yaml", "-o", "oci:out"]);
    let before = std::fs::read(place.path("out/index.json")).unwrap();
    let child = start(
        place
            .tarsia(["build", "web.yaml", "-o", "oci:out:new", "-o", "x.tar", "-o", "docker-daemon:web"])
            .env("DOCKER_HOST", address),
    );
    let staged = || names(&place.path(".")).iter().filter(|name| name.contains(".tarsia-")).count();
    until("both files and their evidence are staged", || staged() == 4);
    // The daemon's turn comes after them.
    std::thread::sleep(Duration::from_millis(200));
    send(signal, child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(number), "{output:?}");
    assert_eq!((output.stdout.as_slice(), String::from_utf8_lossy(&output.stderr).as_ref()), (&b""[..], ""));
    assert!(temporary(&place.path(".")).is_empty(), "{:?}", temporary(&place.path(".")));
    assert!(std::fs::read(place.path("out/index.json")).unwrap() == before);
    assert!(!place.path("x.tar").exists());
}

#[test]
fn sigint_sigterm_and_sighup_end_a_build_and_leave_nothing() {
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        ended_by(signal, number);
    }
}

/// Returns a place whose build downloads a file that never ends.
fn downloading() -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
            stream.write_all(head).unwrap();
            stream.write_all(&[b'x'; 300_000]).unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(3600));
                drop(stream);
            });
        }
    });
    let fetch = format!("{{fetch: \"http://{address}/x\", sha256: \"{}\", to: /x}}", "0".repeat(64));
    place(&SPEC.replace("{text: \"hi\\n\", to: /srv/motd}", &fetch))
}

#[test]
fn a_shell_sees_143_and_a_download_leaves_nothing_in_the_store() {
    let place = downloading();
    let script = format!(
        "{} build web.yaml -o out.oci --threads 1 & echo $! > pid; wait $!; echo status $?",
        env!("CARGO_BIN_EXE_tarsia")
    );
    // A shell without job control starts what runs behind it with SIGINT ignored, and so it must stay.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(&script).current_dir(place.path(".")).env("TARSIA_STORE", place.path("store"));
    let child = start(&mut shell);
    until("the download is under way", || place.path("store").is_dir() && !temporary(&place.path("store")).is_empty());
    let pid = std::fs::read_to_string(place.path("pid")).unwrap().trim().parse().unwrap();
    send("INT", pid);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!temporary(&place.path("store")).is_empty(), "an ignored signal stays ignored");
    send("TERM", pid);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "status 143\n");
    assert!(temporary(&place.path(".")).is_empty(), "{:?}", temporary(&place.path(".")));
    assert!(!place.path("out.oci").exists());
    let mut command = place.tarsia(["build", "web.yaml", "-o", "out.oci"]);
    let child = start(&mut command);
    until("the download is under way", || !temporary(&place.path("store")).is_empty());
    send("INT", child.id());
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(2), "which a shell shows as 130");
    assert!(temporary(&place.path(".")).is_empty());
}

#[test]
fn a_program_that_writes_to_containers_storage_ends_with_the_build() {
    let place = place(SPEC);
    let pid = place.path("pid");
    let script = format!("PATH=/usr/bin:/bin; echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600\n", pid.display());
    let path = program(&place, "podman", &script);
    let child = start(place.tarsia(["build", "web.yaml", "-o", "containers-storage:web"]).env("PATH", path));
    until("podman runs", || pid.exists());
    let podman = std::fs::read_to_string(&pid).unwrap().trim().to_owned();
    assert!(!temporary(&place.path("store")).is_empty(), "the layout that podman reads");
    send("TERM", child.id());
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(15));
    until("podman has ended", || !Path::new(&format!("/proc/{podman}")).exists());
    assert!(temporary(&place.path(".")).is_empty());
}
