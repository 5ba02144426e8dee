//! What `-h` prints of the operations of a build graph, word for word.

use insta::assert_snapshot;

use crate::help::help;

#[test]
fn worker() {
    assert_snapshot!(help(&["worker", "-h"]), @r"
    Run one operation of a build graph

    Usage: tarsia worker [OPTIONS] <COMMAND>

    Commands:
      open        Open a layer's packages: an index of each, and their data
      open-local  Open the spec's own files: an index, and their data
      open-base   Open the image that the spec builds on: an index, and its layers
      select      Select what is kept: one plan per layer
      layer       Write a layer from its plan and its packages' data
      assemble    Write the image as an OCI layout, and the documents about it
      rootfs      Unpack a layer onto a root filesystem

    Options:
      -h, --help  Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn open() {
    assert_snapshot!(help(&["worker", "open", "-h"]), @r"
    Open a layer's packages: an index of each, and their data

    Usage: tarsia worker open [OPTIONS] --contract <E.R.P.W> <LAYER/NAME=DIGEST[@PATH]>...

    Arguments:
      <LAYER/NAME=DIGEST[@PATH]>...  Packages to open; with a path, the one there in its directory

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --in <DIR>            Each package, as NAME/deb [default: /in]
          --index <DIR>         Takes the indexes [default: /index]
          --data <DIR>          Takes the data, by layer [default: /data]
      -h, --help                Print help

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
fn open_local() {
    assert_snapshot!(help(&["worker", "open-local", "-h"]), @r"
    Open the spec's own files: an index, and their data

    Usage: tarsia worker open-local [OPTIONS] --contract <E.R.P.W>

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --job <DIR>           The spec, its lock, and what is built of them [default: /job]
          --context <DIR>       The spec's directory, or what of it the spec names [default: /context]
          --fetched <DIR>       Each fetched file, as HEX/file [default: /fetched]
          --index <DIR>         Takes the indexes [default: /index]
          --data <DIR>          Takes the data, by layer [default: /data]
      -h, --help                Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn open_base() {
    assert_snapshot!(help(&["worker", "open-base", "-h"]), @r"
    Open the image that the spec builds on: an index, and its layers

    Usage: tarsia worker open-base [OPTIONS] --contract <E.R.P.W> --platform <OS/ARCH>

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --platform <OS/ARCH>  The platform, as linux/arm64
          --job <DIR>           The spec, its lock, and what is built of them [default: /job]
          --context <DIR>       The spec's directory, or what of it the spec names [default: /context]
          --index <DIR>         Takes the indexes [default: /index]
          --data <DIR>          Takes the data, by layer [default: /data]
      -h, --help                Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn select() {
    assert_snapshot!(help(&["worker", "select", "-h"]), @r"
    Select what is kept: one plan per layer

    Usage: tarsia worker select [OPTIONS] --contract <E.R.P.W> --platform <OS/ARCH>

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --platform <OS/ARCH>  The platform, as linux/arm64
          --job <DIR>           The spec, its lock, and what is built of them [default: /job]
          --indexes <DIR>       Indexes of packages: directories with one per package [default:
                                /indexes]
          --local <DIR>         Index of the spec's own files [default: /local]
          --base <DIR>          Index of the image that the spec builds on [default: /base]
          --plans <DIR>         Takes the plans, as LAYER/plan [default: /plans]
      -h, --help                Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}

#[test]
fn layer() {
    assert_snapshot!(help(&["worker", "layer", "-h"]), @r"
    Write a layer from its plan and its packages' data

    Usage: tarsia worker layer [OPTIONS] --contract <E.R.P.W> --compression <WORD>

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --compression <WORD>  How the layer is stored, as zstd-3 or gzip-6
          --plan <DIR>          The layer's plan [default: /plan]
          --data <DIR>          Data of the layer's packages [default: /data]
          --layer <DIR>         Takes the layer, as blob and layer [default: /layer]
      -h, --help                Print help

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
fn assemble() {
    assert_snapshot!(help(&["worker", "assemble", "-h"]), @r"
    Write the image as an OCI layout, and the documents about it

    Usage: tarsia worker assemble [OPTIONS] --contract <E.R.P.W>

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --job <DIR>           The spec, its lock, and what is built of them [default: /job]
          --indexes <DIR>       Indexes of packages by platform, as linux-amd64 [default: /indexes]
          --local <DIR>         Index of the spec's own files [default: /local]
          --base <DIR>          Index of the image that the spec builds on [default: /base]
          --blobs <DIR>         Layers of the image that the spec builds on, by platform [default:
                                /blobs]
          --layers <DIR>        Layers by platform and name [default: /layers]
          --context <DIR>       The spec's directory, or what of it the spec names [default: /context]
          --told <DIR>          What else the documents say [default: /told]
          --oci <DIR>           Takes the image [default: /oci]
          --evidence <DIR>      Takes the documents [default: /evidence]
      -h, --help                Print help

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
fn rootfs() {
    assert_snapshot!(help(&["worker", "rootfs", "-h"]), @r"
    Unpack a layer onto a root filesystem

    Usage: tarsia worker rootfs [OPTIONS] --contract <E.R.P.W>

    Options:
          --contract <E.R.P.W>  Contract of the graph, as 1.3.5.1; one of another release is refused
          --layer <DIR>         The layer; or, of a base, all of its layers [default: /layer]
          --of <RECORD>         What the layer's blob is, where no record is beside it, as JSON
          --root <DIR>          The root filesystem [default: /root]
      -h, --help                Print help

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}
