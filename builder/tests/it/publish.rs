//! Images in registries: `build -o docker://` and `push`, against the registry in this process and Debian's own.

use std::process::Command;

use crate::distribution::Distribution;
use crate::judges::{accepts, judge, refuses};
use crate::program::Place;
use crate::server::{Manners, Server};

const ONE: &str = "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";
const TWO: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

fn place(spec: &str) -> Place {
    let place = Place::new();
    place.write("web.yaml", spec);
    place
}

#[test]
fn build_writes_to_a_registry_and_a_second_build_sends_nothing() {
    for spec in [ONE, TWO] {
        let place = place(spec);
        let server = Server::start(Manners::default());
        let to = format!("docker://{}/team/web:1", server.host);
        let digest = place.ok(&["build", "web.yaml", "-o", &to, "-o", "web.oci"]);
        assert_eq!(server.dangling(), Vec::<String>::new());
        let tag = server.contents.lock().unwrap().tags[&("team/web".to_owned(), "1".to_owned())];
        assert_eq!(digest.trim(), tag.to_string());
        server.behave(Manners::default());
        assert_eq!(place.ok(&["build", "web.yaml", "-o", &to]), digest);
        assert_eq!(server.count("PUT") + server.count("POST") + server.count("PATCH"), 0);
        let ran = place.run(&["build", "web.yaml", "-o", &to, "--offline"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains("no network may be used"), "{}", ran.err);
    }
}

#[test]
fn debians_registry_takes_images_and_crane_reads_them() {
    for logins in [false, true] {
        let Some(registry) = Distribution::start(logins) else { return };
        // crane's own check knows gzip alone.
        let place = place(&format!("{TWO}layers: {{compression: gzip}}\n"));
        let to = format!("docker://{}/web:1", registry.host);
        if logins {
            let ran = place.run(&["build", "web.yaml", "-o", &to]);
            assert_eq!(ran.status, 2, "{}", ran.err);
            assert!(ran.err.contains("it asks for a credential, and none is stored"), "{}", ran.err);
            registry.log_in(&place);
        }
        let digest = place.ok(&["build", "web.yaml", "-o", &to]);
        let Some(crane) = judge("bin/crane") else { return };
        let name = to.strip_prefix("docker://").unwrap();
        let mut crane = Command::new(crane);
        crane.env("DOCKER_CONFIG", place.path(".docker"));
        assert!(accepts(crane.args(["validate", "--remote", name])).contains("PASS"), "{name}");
        let mut digested = Command::new(crane.get_program());
        digested.env("DOCKER_CONFIG", place.path(".docker"));
        let absent = format!("{name}2");
        refuses(
            Command::new(crane.get_program()).env("DOCKER_CONFIG", place.path(".docker")).args(["digest", &absent]),
        );
        assert_eq!(accepts(digested.args(["digest", name])), digest);
    }
}
