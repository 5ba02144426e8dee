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
