//! What `-h` prints of the commands that look at images, word for word.

use insta::assert_snapshot;

use crate::help::help;

#[test]
fn inspect() {
    assert_snapshot!(help(&["inspect", "-h"]), @r"
    Show layers, packages, files and surface of an image

    Usage: tarsia inspect [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>  Image to look at: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
               docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST]

    Options:
          --files               List every file
          --layers              Show what each layer holds, and what an update of each package would
                                make others pull again
          --tree                Show each layer as a tree of packages and files by size
          --platform <OS/ARCH>  Only this platform, as linux/arm64; may be repeated
      -h, --help                Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --ca <FILE>          Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http         Speak plain HTTP to registries of other machines too
          --token-host <HOST>  Host that may turn registry logins into tokens; may be repeated

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn audit() {
    assert_snapshot!(help(&["audit", "-h"]), @r"
    Check an image against a policy

    Usage: tarsia audit [OPTIONS] <IMAGE|SPEC>

    Arguments:
      <IMAGE|SPEC>  Image to check (a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE,
                    docker://HOST/NAME[:TAG|@DIGEST]), or a locked spec

    Options:
          --policy <FILE>       Contract to check against [default: the spec's own, else all that can be
                                forbidden]
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
fn verify() {
    assert_snapshot!(help(&["verify", "-h"]), @r"
    Check an image's signatures, and rebuild it to compare

    Usage: tarsia verify [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>  Image to check: docker://HOST/NAME[:TAG|@DIGEST], a directory, an archive, or
               oci:DIR[:TAG], oci-archive:FILE[:TAG]

    Options:
          --key <PUB>        Public key of who signs it: a file, or env://VARIABLE; may be repeated
          --threshold <N>    How many different keys must agree [default: 1]
          --require <WHAT>   What it must have: signature, sbom, provenance, rebuild; a signature always
                             [default: signature]
          --identity <RULE>  How near a signature's reference must be to IMAGE's: exact, repository, any
                             [default: repository]
          --bundle <FILE>    File with more bundles or envelopes; may be repeated
          --against <IMAGE>  Another build, which must be the same
          --rebuild          Build it again, from its rebuild kit, and compare
      -h, --help             Print help

    Rebuild options:
          --kit <DIR|FILE>      Rebuild kit to take in place of the image's own
          --spec <SPEC>         Spec to take in place of a kit
          --lock <LOCK>         Lock of that spec [default: beside it]
          --context <DIR>       Directory that the spec's paths start from [default: its own]
          --variant <NAME>      Variant of that spec
          --require-proof       Refuse a lock that signed metadata cannot prove
          --verifier-key <KEY>  Key of a verifier, never a release's, that signs a match: a file,
                                env://VARIABLE, ssh-agent:[FINGERPRINT|COMMENT] or exec:PROGRAM
          --verifier-id <URI>   URI of who that verifier is [default: one made of the key's id]
      -o, --output <FILE>       File for what it signs [default: the registry, or beside the image]
          --platform <OS/ARCH>  Only this platform, as linux/arm64; may be repeated

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
fn sbom() {
    assert_snapshot!(help(&["sbom", "-h"]), @r"
    Print an image's SBOM

    Usage: tarsia sbom [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>  Image that the SBOM is of: a directory, an archive, or oci:DIR[:TAG],
               oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST]; or
               dir:PATH, a root file system that is looked at

    Options:
          --format <FORMAT>        Format of the SBOM [default: spdx] [possible values: spdx, cyclonedx,
                                   spdx3]
          --cdx-version <VERSION>  Version of CycloneDX [default: 1.6]
      -o, --output <FILE>          File to write [default: standard output]
          --platform <OS/ARCH>     Only this platform, as linux/arm64; may be repeated
      -h, --help                   Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --ca <FILE>          Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http         Speak plain HTTP to registries of other machines too
          --token-host <HOST>  Host that may turn registry logins into tokens; may be repeated

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}
