//! `inspect --layers` and `--tree`: what each layer holds, and what an update makes others pull again.

use crate::deb::deb;
use crate::program::Place;
use crate::world::{Archive, spec};

fn built() -> Place {
    let place = Place::new();
    let parts: String =
        (0..12).map(|n| format!("0123456789abcdef0123456789abcdef  usr/share/hello/part-{n:02}\n")).collect();
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
            (0..12)
                .fold(deb("hello", "2.0-1"), |deb, n| deb.file(&format!("/usr/share/hello/part-{n:02}"), 0o644, "x"))
                .architecture("amd64")
                .field("Installed-Size", "4096")
                .control_file("md5sums", &(sums("usr/bin/hello") + &sums("usr/share/hello/words") + &parts))
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
    insta::assert_snapshot!(table(&place.ok(&["inspect", "--layers", "web.oci"])), @r"
    0 hello 2.0-1
    1 base-files 13.1
    ");
}

#[test]
fn a_tree_goes_by_layer_package_and_size() {
    let place = built();
    insta::assert_snapshot!(tree(&place.ok(&["inspect", "--tree", "web.oci"])), @r"
    layer 0, 6.9 kB
    └─ hello 2.0-1, 6.9 kB in 16 files
           6.0 kB  /usr/share/hello/words
            800 B  /var/lib/dpkg/status.d/hello.md5sums
            147 B  /var/lib/dpkg/status.d/hello
             19 B  /usr/bin/hello
              1 B  /usr/share/hello/part-00
              1 B  /usr/share/hello/part-01
              1 B  /usr/share/hello/part-02
              1 B  /usr/share/hello/part-03
              1 B  /usr/share/hello/part-04
              1 B  /usr/share/hello/part-05
              6 B  in 6 files more

    layer 1, 209 B
    └─ base-files 13.1, 209 B in 3 files
            148 B  /var/lib/dpkg/status.d/base-files
             53 B  /var/lib/dpkg/status.d/base-files.md5sums
              8 B  /usr/lib/os-release

    ");
    let short = place.ok(&["inspect", "--tree", "web.oci"]);
    let long = place.ok(&["-v", "inspect", "--tree", "web.oci"]);
    assert!(short.contains(" more") && !long.contains(" more"), "{short}{long}");
}

/// Returns the table of packages, without sizes that hang on the compressor.
fn table(text: &str) -> String {
    let rows = text.lines().skip_while(|line| !line.contains("pulled again with it"));
    let cells = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    rows.skip(1).filter(|line| !line.contains(" - ")).map(cells).collect::<Vec<_>>().join("\n")
}

/// Returns the tree of the packages' layers, without sizes that hang on the compressor.
fn tree(text: &str) -> String {
    let at = |number: u32| text.find(&format!("\n  layer {number},")).unwrap();
    let rows = text[at(0) + 1..at(2)].lines();
    rows.map(|line| line.split(" (").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}
