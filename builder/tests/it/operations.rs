//! `worker`: a build by operations over directories gives what `build` gives, and believes nothing that it reads.

use std::process::Command;

use crate::chain::Chain;
use crate::container::must;
use crate::deb::deb;
use crate::program::Place;
use crate::world::{Archive, spec};

/// Holds a build by operations against one in this process: the digest, the layout and the documents.
fn same(place: &Place, file: &str, variant: Option<&str>) {
    let stem = file.trim_end_matches(".yaml");
    let out = format!("{stem}-local.oci");
    let mut arguments = vec!["build", file, "-o", &out];
    arguments.extend(variant.iter().flat_map(|variant| ["--variant", variant]));
    let digest = place.ok(&arguments);
    let chain = Chain::new(place, file, variant, &format!("room-{stem}"));
    assert_eq!(chain.build(), digest, "{file}");
    let differ = |local: String, ours: &str| {
        must(Command::new("diff").arg("-r").arg(place.path(&local)).arg(chain.path(ours)));
    };
    differ(out, "oci");
    differ(format!("{stem}-local.oci.evidence"), "evidence");
}

fn world() -> Place {
    let place = Place::new();
    Archive::new(41)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(deb("libgreet1", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet"))
        .deb(deb("hello", "1.0").depends("libgreet1 (>= 1.0)").file("/usr/bin/hello", 0o755, "hello"))
        .write(&place);
    place
}

#[test]
fn a_build_by_operations_is_the_build() {
    let place = world();
    place.write("app/main", "#!/usr/bin/hello\n");
    spec(
        &place,
        "plain",
        "packages: [hello]\nkeep: runtime\nfiles:\n  - {copy: app, to: /opt/app}\n  - {text: hi, to: /etc/hi}\n",
    );
    same(&place, "plain.yaml", None);
}
