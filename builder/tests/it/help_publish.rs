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
      -o, --output <FILE>  Where signatures of an image on disk go [default: IMAGE.sigstore.jsonl]
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

    Usage: tarsia attest [OPTIONS] --type <TYPE> --predicate <FILE> <IMAGE>

    Arguments:
      <IMAGE>  Image that the statement is about: docker://HOST/NAME[:TAG|@DIGEST], a directory, an
               archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG]

    Options:
          --type <TYPE>         What is said: spdx, spdx3, cyclonedx, provenance, or a predicate type's
                                URI
          --predicate <FILE>    The predicate, a JSON file
          --name <NAME>         Name of the image in the statement
          --platform <OS/ARCH>  About the image of this platform, not about the index over several
          --no-legacy-att       Write no .att tag, which cosign before 3 and admission controllers read
      -o, --output <FILE>       Where a statement about an image on disk goes [default:
                                IMAGE.sigstore.jsonl]
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
    Publish an image

    Usage: tarsia push [OPTIONS] <IMAGE> <DEST>...

    Arguments:
      <IMAGE>    Image to publish: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
                 docker-archive:FILE[:REF]
      <DEST>...  Where to: docker://HOST/NAME[:TAG]

    Options:
          --mount-from <NAME>  Take blobs from this repository of the same registry, where it has them
      -h, --help               Print help

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

    Usage: tarsia attach [OPTIONS] <IMAGE> <FILE>...

    Arguments:
      <IMAGE>    Published image, whoever built it: docker://HOST/NAME[:TAG|@DIGEST]
      <FILE>...  Documents to attach

    Options:
          --media-type <TYPE>   Media type of the documents [default: as their content tells]
          --type <TYPE>         With a key, what the documents are attested as: spdx, spdx3, cyclonedx,
                                provenance, or a URI [default: as their content tells]
          --platform <OS/ARCH>  To the image of this platform, not to the index over several
          --no-legacy-att       Write no .att tag, which cosign before 3 and admission controllers read
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
