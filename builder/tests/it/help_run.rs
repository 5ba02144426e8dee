//! What `-h` prints of the commands that run an image, word for word.

use insta::assert_snapshot;

use crate::help::help;

#[test]
fn test() {
    assert_snapshot!(help(&["test", "-h"]), @r"
    Run a spec's checks in its built image

    Usage: tarsia test [OPTIONS] <SPEC>...

    Arguments:
      <SPEC>...  Specs to test

    Options:
          --locked              Write no lock; a stale one is an error
          --runtime <PROGRAM>   Program that runs containers, by name or path [default: the first of
                                runc, crun and podman in PATH] [env: TARSIA_RUNTIME]
          --variant <NAME>      Variant of the spec to work on
          --platform <OS/ARCH>  Only this platform, as linux/arm64; may be repeated
      -h, --help                Print help

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
fn learn() {
    assert_snapshot!(help(&["learn", "-h"]), @r"
    Propose files that a run of the image asked for

    Usage: tarsia learn [OPTIONS] <SPEC> [-- <ARG>...]

    Arguments:
      <SPEC>    Spec whose image is run
      [ARG]...  Arguments in place of the image's own [default: each run under `checks`, else the image
                as it is]

    Options:
          --entrypoint <PROGRAM>  Program in place of the image's entrypoint
          --timeout <SECONDS>     Seconds after which the program is stopped, as a service is [default:
                                  60]
          --locked                Write no lock; a stale one is an error
          --runtime <PROGRAM>     Program that runs containers, by name or path [default: the first of
                                  runc, crun and podman in PATH] [env: TARSIA_RUNTIME]
          --variant <NAME>        Variant of the spec to work on
          --platform <OS/ARCH>    Only this platform, as linux/arm64; may be repeated
      -h, --help                  Print help

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
