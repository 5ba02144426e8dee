//! Help of the commands around building, as `-h` prints it.

use insta::assert_snapshot;

use crate::help::help;

#[test]
fn cache() {
    assert_snapshot!(help(&["cache", "-h"]), @r"
    Manage the store

    Usage: tarsia cache [OPTIONS] <COMMAND>

    Commands:
      gc      Remove what was not used for longest, down to a size
      verify  Check everything in the store, and throw out what is broken

    Options:
      -h, --help  Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
    assert_snapshot!(help(&["cache", "gc", "-h"]), @r"
    Remove what was not used for longest, down to a size

    Usage: tarsia cache gc [OPTIONS]

    Options:
          --max-size <SIZE>  Size that the store may keep, as 10GiB [default: 10GiB]
      -h, --help             Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
    assert_snapshot!(help(&["cache", "verify", "-h"]), @r"
    Check everything in the store, and throw out what is broken

    Usage: tarsia cache verify [OPTIONS]

    Options:
      -h, --help  Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn schema() {
    assert_snapshot!(help(&["schema", "-h"]), @r"
    Print the JSON Schema of specs

    Usage: tarsia schema [OPTIONS]

    Options:
      -h, --help  Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn completions() {
    assert_snapshot!(help(&["completions", "-h"]), @r"
    Print completions for a shell

    Usage: tarsia completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>  Shell to complete in [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help  Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn man() {
    assert_snapshot!(help(&["man", "-h"]), @r"
    Print the manual page

    Usage: tarsia man [OPTIONS] [COMMAND]...

    Arguments:
      [COMMAND]...  Command to describe, as `build` or `cache gc`; all of tarsia where absent

    Options:
      -h, --help  Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn llb() {
    assert_snapshot!(help(&["llb", "-h"]), @r#"
    Print the graph of BuildKit operations that builds a spec

    Usage: tarsia llb [OPTIONS] --worker <WORKER> <SPEC>

    Arguments:
      <SPEC>  Spec to build

    Options:
          --worker <WORKER>             The tarsia that BuildKit runs: IMAGE@sha256:HEX, or a static
                                        program as URL#sha256=HEX [env: TARSIA_WORKER]
          --target <WHAT>               What the build gives: the image as an OCI layout, or the
                                        documents about it [default: oci] [possible values: oci,
                                        evidence]
      -o, --output <FILE>               File to write [default: standard output]
          --source-revision <REVISION>  Tell this commit in the provenance, as [URI@]COMMIT; `git` reads
                                        it from the checkout that the spec stands in
          --locked                      Write no lock; a stale one is an error
          --require-proof               Refuse a lock that cannot be proved against its signed archives;
                                        without this, the documents call it unproved
          --variant <NAME>              Variant of the spec to work on
          --platform <OS/ARCH>          Only this platform, as linux/arm64; may be repeated
      -h, --help                        Print help

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

    Any BuildKit builds from it, and gives the image of `tarsia build`, byte for byte:
      tarsia llb web.yaml --worker W > web.llb
      buildctl build --local context=. --output type=local,dest=web.oci < web.llb
    where `.` is the directory of web.yaml
    "#);
}
