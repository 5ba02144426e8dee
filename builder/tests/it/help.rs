//! Help is what `-h` prints, word for word; and the program is polite to wrong command lines.

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;

/// Runs tarsia with `arguments` and nothing of the caller's environment.
fn tarsia(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tarsia")).args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn help(arguments: &[&str]) -> String {
    let output = tarsia(arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program() {
    assert_snapshot!(help(&["-h"]), @r"
    Build byte-reproducible distroless images from signed packages

    Usage: tarsia [OPTIONS] <COMMAND>

    Commands:
      init         Write a starter spec
      add          Add packages to a spec and its lock
      remove       Remove packages from a spec and its lock
      check        Check a spec and its lock without building
      lock         Pin every input of a spec
      outdated     Show what an update would move
      fetch        Download locked inputs into the store
      vendor       Write all inputs of a lock into a directory
      build        Build images from specs
      llb          Print the graph of BuildKit operations that builds a spec
      test         Run a spec's checks in its built image
      learn        Propose files that a run of the image asked for
      why          Explain why a file is, or is not, in an image
      inspect      Show layers, packages, files and surface of an image
      diff         Explain how two images or locks differ
      sbom         Print an image's SBOM
      audit        Check an image against a policy
      keygen       Create a signing key pair
      sign         Sign an image
      attest       Sign a statement about an image
      push         Publish an image with its evidence
      attach       Add documents to a published image
      release      Push, sign, attest and write release assets in one go
      verify       Check an image's signatures, and rebuild it to compare
      worker       Run one operation of a build graph
      cache        Manage the store
      schema       Print the JSON Schema of specs
      completions  Print completions for a shell
      man          Print the manual page

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn init() {
    assert_snapshot!(help(&["init", "-h"]), @r"
    Write a starter spec

    Usage: tarsia init [OPTIONS] [NAME]

    Arguments:
      [NAME]  Name of the image [default: app]

    Options:
          --distro <DISTRO>  Distribution that packages come from [default: debian/13]
      -o, --output <FILE>    File to write [default: <NAME>.yaml]
      -h, --help             Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn add() {
    assert_snapshot!(help(&["add", "-h"]), @r"
    Add packages to a spec and its lock

    Usage: tarsia add [OPTIONS] <SPEC> <PKG>...

    Arguments:
      <SPEC>    Spec to change
      <PKG>...  Packages to add: `name`, 'name >= 1.22', '!name' (never installed), or a .deb

    Options:
          --no-lock  Leave the lock as it is
      -h, --help     Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn remove() {
    assert_snapshot!(help(&["remove", "-h"]), @r"
    Remove packages from a spec and its lock

    Usage: tarsia remove [OPTIONS] <SPEC> <PKG>...

    Arguments:
      <SPEC>    Spec to change
      <PKG>...  Packages to remove, as the spec names them

    Options:
          --no-lock  Leave the lock as it is
      -h, --help     Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn check() {
    assert_snapshot!(help(&["check", "-h"]), @r"
    Check a spec and its lock without building

    Usage: tarsia check [OPTIONS] <SPEC>...

    Arguments:
      <SPEC>...  Specs to check

    Options:
          --proof               Prove the lock against the signed archives
          --variant <NAME>      Variant of the spec to work on
          --platform <OS/ARCH>  Only this platform, as linux/arm64; may be repeated
      -h, --help                Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn lock() {
    assert_snapshot!(help(&["lock", "-h"]), @r"
    Pin every input of a spec

    Usage: tarsia lock [OPTIONS] <SPEC>...
           tarsia lock [OPTIONS] <SPEC>... --update [PKG]...

    Arguments:
      [SPEC]...  Specs to lock

    Options:
          --update [<PKG>...]  Take the newest of these packages, or of all where none is named
          --variant <NAME>     Variant of the spec to work on
      -h, --help               Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn outdated() {
    assert_snapshot!(help(&["outdated", "-h"]), @r"
    Show what an update would move

    Usage: tarsia outdated [OPTIONS] <SPEC>...

    Arguments:
      <SPEC>...  Specs to look at

    Options:
          --variant <NAME>  Variant of the spec to work on
      -h, --help            Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn fetch() {
    assert_snapshot!(help(&["fetch", "-h"]), @r"
    Download locked inputs into the store

    Usage: tarsia fetch [OPTIONS] <SPEC>...

    Arguments:
      <SPEC>...  Specs to fetch for

    Options:
          --variant <NAME>  Variant of the spec to work on
      -h, --help            Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn build() {
    assert_snapshot!(help(&["build", "-h"]), @r"
    Build images from specs

    Usage: tarsia build [OPTIONS] <SPEC>...

    Arguments:
      <SPEC>...  Specs to build

    Options:
      -o, --output <DEST>               Where the image goes: a directory, a file that ends in .tar,
                                        oci:DIR[:TAG], oci-archive:FILE[:TAG],
                                        docker-archive:FILE[:REF], docker-daemon:REF,
                                        containers-storage:REF or docker://HOST/NAME[:TAG]; may be
                                        repeated [default: <name>.oci]
          --load                        Load the image, as <name>:latest or <name>-<variant>:latest,
                                        into Docker if its daemon answers, else into podman
          --evidence <DIR>              Where the documents about the image go [default: DEST.evidence
                                        beside each file]
          --embed-referrers             Put the documents into OCI layouts and archives too, as
                                        referrers in their index.json
          --source-revision <REVISION>  Tell this commit in the provenance, as [URI@]COMMIT; `git` reads
                                        it from the checkout that the spec stands in
          --locked                      Write no lock; a stale one is an error
          --require-proof               Refuse a lock that cannot be proved against its signed archives
          --variant <NAME>              Variant of the spec to work on
          --platform <OS/ARCH>          Only this platform, as linux/arm64; may be repeated
      -h, --help                        Print help

    Engine options:
          --engine <ENGINE>     What opens packages and writes layers: `local`, this process, or
                                `buildkit[=ADDR,…]`, the daemons at unix:///PATH, tcp://HOST:PORT or
                                docker+unix:///PATH, without an address Docker's own; the image is the
                                same [default: local] [env: TARSIA_ENGINE]
          --worker <WORKER>     The tarsia that BuildKit runs: IMAGE@sha256:HEX, or a static program as
                                URL#sha256=HEX [env: TARSIA_WORKER]
          --engine-ca <FILE>    Trust the authority in this PEM file for daemons reached by tcp://
          --engine-cert <FILE>  Certificate that is shown to daemons reached by tcp://
          --engine-key <FILE>   Key of that certificate
          --cache-from <CACHE>  Cache that daemons look into, as type=registry,ref=HOST/NAME; may be
                                repeated
          --cache-to <CACHE>    Cache that daemons write, as type=registry,ref=HOST/NAME,mode=max; may
                                be repeated; an `n` in braces stands for a daemon's number in --engine

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn why() {
    assert_snapshot!(help(&["why", "-h"]), @r"
    Explain why a file is, or is not, in an image

    Usage: tarsia why [OPTIONS] <SPEC|IMAGE> [PACKAGE|PATH]

    Arguments:
      <SPEC|IMAGE>    Spec to explain, or an image with its evidence beside it or attached to it
      [PACKAGE|PATH]  Package, or path in the image

    Options:
          --package <PACKAGE>   Tell how far this package is kept, and why
          --all                 Print every chain of reasons, not the shortest alone
          --variant <NAME>      Variant of the spec to work on
          --platform <OS/ARCH>  Only this platform, as linux/arm64; may be repeated
      -h, --help                Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --mirror <[ARCHIVE=]URI>  Mirror to try first, for one archive or for all [env: TARSIA_MIRROR]
          --ca <FILE>               Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http              Speak plain HTTP to registries of other machines too
          --token-host <HOST>       Host that may turn registry logins into tokens; may be repeated
          --vendor <DIR|FILE>       Vendored inputs to look into before the network [env: TARSIA_VENDOR]
          --offline                 Use no network

    Machine options:
          --threads <N>    Threads to use [default: one per core]
          --memory <SIZE>  Memory for buffers, as 192MiB or 1GiB [default: 192MiB]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn every_command_has_a_manual_page_without_a_date() {
    for command in ["init", "check", "lock", "outdated", "fetch", "build", "why", "inspect", "schema", "man"] {
        let page = help(&["man", command]);
        assert!(page.contains(&format!("tarsia-{command}")) || page.contains(&format!("tarsia {command}")), "{page}");
        assert!(page.contains(".TH "), "{page}");
    }
    assert!(help(&["man", "cache", "gc"]).contains("max\\-size"));
    assert_eq!(tarsia(&["man", "fly"]).status.code(), Some(2));
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(help(&["completions", shell]).contains("outdated"), "{shell}");
    }
}

#[test]
fn a_wrong_command_line_is_a_2_and_says_so_on_standard_error() {
    for arguments in [&["fly"][..], &["build"], &["build", "a.yaml", "--memory", "much"], &["-q", "-v", "schema"], &[]]
    {
        let output = tarsia(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}
