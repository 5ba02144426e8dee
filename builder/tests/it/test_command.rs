//! `tarsia test`: trials of an image in a container, on packages that the tests build.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::container::must;
use crate::deb::deb;
use crate::program::Place;
use crate::world::{Archive, spec};

/// A program without any library, which does what its arguments say.
const PROGRAM: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void try(const char *path) {
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    printf("%s %s\n", path, fd < 0 ? strerror(errno) : "written");
}
static void end(int signal) { (void)signal; write(1, "stopped\n", 8); _exit(5); }
int main(int count, char **words) {
    setvbuf(stdout, 0, _IONBF, 0);
    const char *what = count > 1 ? words[1] : "nothing";
    if (!strcmp(what, "place")) {
        printf("uid %d gid %d of %s\n", getuid(), getgid(), getenv("WHO"));
        const char *paths[] = {"/x", "/usr/x", "/tmp/x", "/dev/shm/x", "/data/x", "/data/kept"};
        for (int i = 0; i < 6; i++) try(paths[i]);
        char line[256]; FILE *f = fopen("/proc/self/status", "r");
        while (f && fgets(line, sizeof line, f))
            if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10)) fputs(line, stdout);
        f = fopen("/proc/self/uid_map", "r");
        while (f && fgets(line, sizeof line, f)) printf("map %s", line);
        f = fopen("/proc/net/dev", "r"); int interfaces = 0;
        while (f && fgets(line, sizeof line, f)) interfaces += strchr(line, ':') != 0;
        printf("interfaces %d\n", interfaces);
        struct stat s; stat("/usr/bin/app", &s); printf("mode %o of %d\n", s.st_mode & 07777, s.st_uid);
        stat("/etc/secret", &s); printf("secret %o of %d:%d, %ld\n", s.st_mode & 07777, s.st_uid, s.st_gid, (long)s.st_mtime);
        return 0;
    }
    if (!strcmp(what, "echo")) {
        char buffer[4096]; ssize_t n; while ((n = read(0, buffer, sizeof buffer)) > 0) write(1, buffer, n);
        fputs("done\n", stderr); return 3;
    }
    if (!strcmp(what, "hang")) { if (!fork()) for (;;) pause(); for (;;) pause(); }
    if (!strcmp(what, "crash")) return 134;
    if (!strcmp(what, "serve")) {
        signal(SIGINT, end);
        int s = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4000)};
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        usleep(200000); bind(s, (void *)&a, sizeof a); listen(s, 1);
        for (;;) { int c = accept(s, 0, 0); char b[64] = "you said: "; ssize_t n = read(c, b + 10, 50); if (n >= 0) write(c, b, 10 + n); close(c); }
    }
    // What a traced run is to ask for.
    if (!strcmp(what, "look")) {
        open("/usr/share/app/dropped", O_RDONLY); access("/usr/share/doc/app/x", R_OK); access("/usr/share/locale/it/x", R_OK);
        chdir("/usr/share"); open("app/more/one", O_RDONLY); open("app/more/two", O_RDONLY); open("app/more/three", O_RDONLY);
        open("/run/app/pid", O_CREAT | O_WRONLY, 0600); open("/link", O_RDONLY); open("/usr/lib/libnowhere.so.1", O_RDONLY);
        if (!fork()) { execl("/usr/local/bin/tool", "tool", (char *)0); execl("/usr/bin/tool", "tool", (char *)0); _exit(0); }
        wait(0); fputs("ModuleNotFoundError: No module named 'pkg.sub'\n", stderr); return 4;
    }
    return 0;
}
"#;

/// Builds the program, an archive with a package of it, and a spec over that.
pub(crate) fn place(rest: &str) -> Place {
    let place = Place::new();
    place.write("app.c", PROGRAM);
    must(Command::new("gcc").args(["-static", "-O1", "-w", "-o", "app", "app.c"]).current_dir(place.path(".")));
    let app = std::fs::read(place.path("app")).unwrap();
    let package = deb("app", "1.0")
        .dir("/data", 0o777)
        .dir("/usr/share/app/empty", 0o755)
        .file("/usr/bin/app", 0o4755, app)
        .file("/etc/secret", 0o640, "secret")
        .file("/usr/share/app/kept", 0o644, "")
        .file("/usr/share/app/dropped", 0o644, "12345")
        .file("/usr/share/app/more/one", 0o644, "1")
        .file("/usr/share/app/more/two", 0o644, "2")
        .file("/usr/share/app/more/three", 0o644, "3")
        .file("/usr/share/app/more/four", 0o644, "4")
        .file("/usr/share/doc/app/x", 0o644, "")
        .file("/usr/share/target", 0o644, "")
        .symlink("/link", "/usr/share/target")
        .file("/usr/lib/python3/pkg/sub/__init__.py", 0o644, "")
        .file("/bin/tool", 0o755, "");
    Archive::new(7).deb(package).write(&place);
    let head = "packages: [app]\nkeep: runtime\nrun:\n  entrypoint: [/usr/bin/app]\n  cmd: [place]\n  env: {WHO: image}\n  \
                volumes: [/data, /fresh]\n  stop-signal: SIGINT\n";
    spec(&place, "app", &format!("{head}{rest}"));
    place
}

fn json(place: &Place, arguments: &[&str]) -> (i32, Value) {
    let ran = place.run(&[arguments, &["--json"]].concat());
    let value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    (ran.status, value)
}

/// Nothing of a container is left in the directory for temporary files.
fn nothing_is_left(directory: &Path) {
    assert_eq!(crate::program::names(directory), [""; 0]);
}

#[test]
fn a_trial_runs_as_strictly_as_an_image_must_bear() {
    let place = place(
        "checks:\n  run:\n    - {env: {WHO: trial}, stdout: \"uid 65532 gid 65532 of trial\"}\n    - {args: [echo], \
         stdin: \"in\\n\", stdout: \"in\\n\", stderr: done, exit: 3}\n    - {listen: 4000, args: [serve], send: hello, \
         answer: \"you said: hello\", stdout: stopped, exit: 5}\n    - {entrypoint: [/usr/bin/app, echo], exit: 3}\n",
    );
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut command = place.tarsia(["test", "app.yaml", "--json"]);
    let output = command.env("TMPDIR", place.path("tmp")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", crate::container::said(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer[0]["passed"], true);
    let runs = answer[0]["images"][0]["runs"].as_array().unwrap();
    let said = runs[0]["stdout"].as_str().unwrap();
    for line in [
        "/x Read-only file system",
        "/usr/x Read-only file system",
        "/tmp/x written",
        "/dev/shm/x written",
        "/data/x written",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "interfaces 1",
        // Without its setuid bit, which nothing here could use.
        "mode 755 of 0",
        "secret 640 of 0:0, 1700000000",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // Root inside is nobody outside.
    let map = said.lines().find_map(|line| line.strip_prefix("map ")).unwrap();
    assert!(map.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap() > 65_536, "{map}");
    assert_eq!(runs[2]["answer"], "you said: hello");
    nothing_is_left(&place.path("tmp"));
    // What one run writes to a volume is not there for the next.
    assert_eq!(place.run(&["test", "app.yaml"]).status, 0);
}

#[test]
fn each_difference_is_shown_and_the_answer_is_no() {
    let place = place(
        "checks:\n  run:\n    - {args: [echo], stdin: x, stdout: other}\n    - {entrypoint: [/absent]}\n    - {args: [crash], \
         exit: 134}\n    - {args: [hang], timeout: 1}\n    - {listen: 4001, args: [serve], timeout: 1}\n    - {listen: \
         4000, args: [crash], timeout: 20}\n    - {listen: 4000, args: [serve], send: x, answer: other, timeout: 2}\n",
    );
    let (status, answer) = json(&place, &["test", "app.yaml"]);
    assert_eq!((status, &answer[0]["passed"]), (1, &Value::Bool(false)));
    let problems: Vec<String> = answer[0]["images"][0]["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            run["problems"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join("; ")
        })
        .collect();
    assert_eq!(problems[0], "its exit status is 3, not 0; standard output has no `other`");
    assert!(problems[1].starts_with("it could not be started: exec: \"/absent\""), "{}", problems[1]);
    assert_eq!(problems[2], "");
    assert_eq!(problems[3], "it had not ended after 1 s");
    assert_eq!(problems[4], "nothing listened on port 4001 within 1 s");
    assert_eq!(problems[5], "it ended with exit status 134 before anything listened on port 4000");
    assert_eq!(problems[6], "the answer from its port has no `other`");
    let ran = place.run(&["test", "app.yaml"]);
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("  failed  /usr/bin/app echo\n          its exit status is 3, not 0\n"), "{}", ran.out);
    assert!(ran.out.contains("          stdout | x\n") && ran.out.contains("          stderr | done\n"), "{}", ran.out);
    assert!(ran.out.contains("  passed  /usr/bin/app crash\n"), "{}", ran.out);
}

#[test]
fn without_a_runtime_or_runs_nothing_can_be_told() {
    let place = place("checks:\n  run: [{}]\n");
    let mut command = place.tarsia(["test", "app.yaml"]);
    let output = command.env("PATH", place.path(".")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot run a container: there is none of `runc`, `crun`, `podman`"), "{said}");
    assert!(!place.path("app.lock").exists(), "before anything is done");
    let ran = place.run(&["test", "app.yaml", "--locked"]);
    assert!(ran.status == 2 && ran.err.contains("there is no such lock"), "{}", ran.err);
    let ran = place.run(&["test", "app.yaml", "--runtime", "/absent/runc"]);
    assert!(ran.status == 2 && ran.err.contains("`/absent/runc` is none of"), "{}", ran.err);
    // A runtime that fails says why.
    let runtime =
        place.write("bin/runc", "#!/bin/sh\necho 'time=x level=error msg=\"no cgroups here\"' > \"$4\"\nexit 1\n");
    must(Command::new("chmod").arg("755").arg(&runtime));
    let ran = place.run(&["test", "app.yaml", "--runtime", runtime.to_str().unwrap()]);
    assert!(ran.status == 2 && ran.err.contains("`runc` says: no cgroups here"), "{}", ran.err);

    spec(&place, "none", "packages: [app]\n");
    let ran = place.run(&["test", "none.yaml"]);
    assert!(ran.status == 2 && ran.err.contains("cannot test `none.yaml`: it says no runs"), "{}", ran.err);
}

#[test]
fn a_foreign_platform_is_run_by_an_emulator_or_not_at_all() {
    let place = place("checks:\n  run: [{}]\n");
    let text = std::fs::read_to_string(place.path("app.yaml")).unwrap();
    place.write("app.yaml", text.replace("[linux/amd64]", "[linux/arm64]").replace("packages: [app]\n", ""));
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        eprintln!("an emulator is registered here: not tried");
        return;
    }
    for arguments in [&["test", "app.yaml"][..], &["test", "app.yaml", "--platform", "linux/arm64"]] {
        let ran = place.run(arguments);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains("cannot run `linux/arm64` here: no emulator of it is registered"), "{}", ran.err);
    }
}

#[test]
fn a_container_does_not_outlive_a_signal() {
    let place = place("checks:\n  run: [{args: [hang], timeout: 100}]\n");
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut command = place.tarsia(["test", "app.yaml"]);
    let mut child =
        command.env("TMPDIR", place.path("tmp")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mark = place.path("tmp").display().to_string();
    let inside = loop {
        let run = crate::program::names(&place.path("tmp"))
            .first()
            .map(|name| place.path("tmp").join(name).join("run-0/pid"));
        if let Some(pid) = run.and_then(|path| std::fs::read_to_string(path).ok()).filter(|pid| !pid.is_empty()) {
            break pid.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "nothing runs in {mark}");
        std::thread::sleep(Duration::from_millis(20));
    };
    // It is known to the program a moment later than to us.
    std::thread::sleep(Duration::from_millis(500));
    must(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    assert!(!child.wait().unwrap().success());
    while Path::new("/proc").join(&inside).join("exe").symlink_metadata().is_ok() {
        assert!(Instant::now() < deadline, "{inside} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    nothing_is_left(&place.path("tmp"));
}
