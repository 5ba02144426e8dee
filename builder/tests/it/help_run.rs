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
    ");
}

#[test]
fn learn() {
    assert_snapshot!(help(&["learn", "-h"]), @r"
    Propose files that a run of the image asked for
    ");
}
