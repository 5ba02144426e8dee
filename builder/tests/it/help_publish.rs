//! Help of the commands that make keys, sign and publish, as `-h` prints it.

use insta::assert_snapshot;

use crate::help::help;

#[test]
fn keygen() {
    assert_snapshot!(help(&["keygen", "-h"]), @r"
    Create a signing key pair

    Usage: tarsia keygen [OPTIONS] --output <NAME>

    Options:
      -o, --output <NAME>          Where the pair goes: NAME.key, readable by you alone, and NAME.pub
          --algorithm <ALGORITHM>  What the key computes; p256 where a verifier knows no Ed25519
                                   [default: ed25519] [possible values: ed25519, p256]
          --encrypt                Encrypt the private key, as cosign does, by COSIGN_PASSWORD or a
                                   password asked for
          --public-of <KEY>        Make no key; write the public half of this one: a file,
                                   env://VARIABLE, ssh-agent:[KEY] or exec:PROGRAM
      -h, --help                   Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn sign() {
    assert_snapshot!(help(&["sign", "-h"]), @r"
    Sign an image

    Usage: tarsia sign [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>  Image to sign: docker://HOST/NAME[:TAG|@DIGEST], a directory, an archive, or
               oci:DIR[:TAG], oci-archive:FILE[:TAG]

    Options:
      -o, --output <FILE>  Where signatures of an image on disk go [default: IMAGE.sigstore.json]
      -h, --help           Print help

    Key options:
          --key <KEY>  Private key: a file, env://VARIABLE, ssh-agent:[FINGERPRINT|COMMENT] or
                       exec:PROGRAM [env: TARSIA_KEY]

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
fn attest() {
    assert_snapshot!(help(&["attest", "-h"]), @r"
    Sign a statement about an image

    Usage: tarsia attest [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>  Image that the statement is about: docker://HOST/NAME[:TAG|@DIGEST], a directory, an
               archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG]

    Options:
          --type <TYPE>         What is said: spdx, spdx3, cyclonedx, provenance, or a predicate type's
                                URI [default: all that the evidence says]
          --predicate <FILE>    The predicate, a JSON file [default: the documents of the evidence]
          --evidence <DIR>      Evidence of the image [default: IMAGE.evidence]
          --name <NAME>         Name of the image in a statement with a predicate of your own
          --platform <OS/ARCH>  About the image of this platform, not about the index over several
          --no-legacy-att       Write no .att tag, which cosign before 3 and admission controllers read
      -o, --output <FILE>       Where a statement about an image on disk goes [default:
                                IMAGE.intoto.jsonl]
      -h, --help                Print help

    Key options:
          --key <KEY>  Private key: a file, env://VARIABLE, ssh-agent:[FINGERPRINT|COMMENT] or
                       exec:PROGRAM [env: TARSIA_KEY]

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
fn push() {
    assert_snapshot!(help(&["push", "-h"]), @r"
    Publish an image with its evidence

    Usage: tarsia push [OPTIONS] <IMAGE> <DEST>...

    Arguments:
      <IMAGE>    Image to publish: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
                 docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST]
      <DEST>...  Where to: docker://HOST/NAME[:TAG]

    Options:
          --mount-from <NAME>  Take blobs from this repository of the same registry, where it has them
          --evidence <DIR>     Evidence of the image, whose documents are attached to it [default:
                               IMAGE.evidence]
          --no-evidence        Push the image alone
      -h, --help               Print help

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
fn attach() {
    assert_snapshot!(help(&["attach", "-h"]), @r"
    Add documents to a published image

    Usage: tarsia attach [OPTIONS] <IMAGE> [FILE]...

    Arguments:
      <IMAGE>    Published image, whoever built it: docker://HOST/NAME[:TAG|@DIGEST]
      [FILE]...  Documents to attach

    Options:
          --sbom                Attach SBOMs of every platform: those of --evidence, or ones made of
                                what is in the image
          --evidence <DIR>      Evidence of the image, as `build` wrote it
          --media-type <TYPE>   Media type of the documents [default: as their content tells]
          --type <TYPE>         With a key, what the documents are attested as: spdx, spdx3, cyclonedx,
                                provenance, or a URI [default: as their content tells]
          --platform <OS/ARCH>  To the image of this platform, not to the index over several
          --no-legacy-att       Write no .att tag, which cosign before 3 and admission controllers read
      -h, --help                Print help

    Key options:
          --key <KEY>  Private key: a file, env://VARIABLE, ssh-agent:[FINGERPRINT|COMMENT] or
                       exec:PROGRAM [env: TARSIA_KEY]

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
fn release() {
    assert_snapshot!(help(&["release", "-h"]), @r"
    Push, sign, attest and write release assets in one go

    Usage: tarsia release [OPTIONS] --assets <DIR> <IMAGE> <DEST>

    Arguments:
      <IMAGE>  Image with its evidence beside it: a directory, an archive, or oci:DIR[:TAG],
               oci-archive:FILE[:TAG]
      <DEST>   Where to: docker://HOST/NAME[:TAG]

    Options:
          --assets <DIR>       Directory for what others take: SBOMs, signatures, sums and the public
                               key
          --evidence <DIR>     Evidence of the image [default: IMAGE.evidence]
          --kit <KIT>          Rebuild kit to attach: what no digest can bring, or also all packages and
                               signed metadata [default: local] [possible values: local, full]
          --unproved           Release an image whose archives were not proved; its provenance says so
          --no-legacy-att      Write no .att tag, which cosign before 3 and admission controllers read
          --mount-from <NAME>  Take blobs from this repository of the same registry, where it has them
      -h, --help               Print help

    Key options:
          --key <KEY>  Private key: a file, env://VARIABLE, ssh-agent:[FINGERPRINT|COMMENT] or
                       exec:PROGRAM [env: TARSIA_KEY]

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
