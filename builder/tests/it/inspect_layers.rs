//! `inspect --layers` and `--tree`: what each layer holds, and what an update makes others pull again.

use crate::deb::deb;
use crate::program::Place;
use crate::world::{Archive, spec};

fn built() -> Place {
    let place = Place::new();
    let sums = |path: &str| format!("0123456789abcdef0123456789abcdef  {path}\n");
    Archive::new(13)
        .deb(
            deb("base-files", "13.1")
                .architecture("amd64")
                .control_file("md5sums", &sums("usr/lib/os-release"))
                .dir("/etc", 0o755)
                .file("/usr/lib/os-release", 0o644, "ID=test\n"),
        )
        .deb(
            deb("hello", "2.0-1")
                .architecture("amd64")
                .field("Installed-Size", "4096")
                .control_file("md5sums", &(sums("usr/bin/hello") + &sums("usr/share/hello/words")))
                .file("/usr/bin/hello", 0o755, "#!/bin/false\nhello\n")
                .file("/usr/share/hello/words", 0o644, "words\n".repeat(1000)),
        )
        .write(&place);
    spec(&place, "web", "packages: [hello]\nkeep: runtime\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place
}

#[test]
fn what_an_update_pulls_is_the_layers_it_is_in_and_those_made_of_all() {
    let place = built();
    let json: serde_json::Value =
        serde_json::from_str(&place.ok(&["--json", "inspect", "--layers", "web.oci"])).unwrap();
    let image = &json["images"][0];
    let contents = image["contents"].as_array().unwrap();
    let sizes: Vec<u64> = contents.iter().map(|layer| layer["size"].as_u64().unwrap()).collect();
    let listed: Vec<u64> =
        image["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, listed);
    // The two layers of tarsia's own hold no package.
    let own: u64 = sizes[sizes.len() - 2..].iter().sum();
    for name in ["hello", "base-files"] {
        let (at, package) = contents
            .iter()
            .enumerate()
            .find_map(|(at, layer)| {
                let mut packages = layer["packages"].as_array().unwrap().iter();
                packages.find(|package| package["name"] == name).map(|package| (at, package))
            })
            .unwrap();
        assert_eq!(package["pulled"].as_u64().unwrap(), sizes[at] + own, "{name}");
        assert!(package.get("paths").is_none());
    }
    insta::assert_snapshot!(table(&place.ok(&["inspect", "--layers", "web.oci"])), @"");
}

#[test]
fn a_tree_goes_by_layer_package_and_size() {
    let place = built();
    insta::assert_snapshot!(tree(&place.ok(&["inspect", "--tree", "web.oci"])), @"");
    let short = place.ok(&["inspect", "--tree", "web.oci"]);
    let long = place.ok(&["-v", "inspect", "--tree", "web.oci"]);
    assert!(short.contains(" more") && !long.contains(" more"), "{short}{long}");
}

/// Returns the table of packages, without sizes that hang on the compressor.
fn table(text: &str) -> String {
    let rows = text.lines().skip_while(|line| !line.contains("pulled again with it"));
    rows.map(|line| line.trim().rsplit_once("  ").map_or(line, |(rest, _)| rest).trim()).collect::<Vec<_>>().join("\n")
}

/// Returns the tree, without sizes that hang on the compressor.
fn tree(text: &str) -> String {
    let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("layer 0"));
    rows.map(|line| line.split(" (").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}
