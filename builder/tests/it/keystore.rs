//! Java's keystore as Java's own tool reads it.

use std::collections::BTreeSet;

use crate::container::Bundle;
use crate::program::names;
use crate::real::image;

#[test]
fn keytool_reads_every_certificate_of_the_bundle_and_its_password_holds() {
    let bundle = Bundle::unpack(&image("java"));
    let list = |password: &str| {
        let store = "/etc/ssl/certs/java/cacerts";
        bundle.run(Some(&["/usr/bin/keytool", "-list", "-keystore", store, "-storepass", password]))
    };
    let good = list("changeit");
    let out = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{out}{}", String::from_utf8_lossy(&good.stderr));
    assert!(out.contains("Keystore type: JKS"), "{out}");
    let aliases: BTreeSet<String> = out
        .lines()
        .filter(|line| line.contains("trustedCertEntry"))
        .filter_map(|line| line.split(',').next())
        .map(str::to_owned)
        .collect();
    let links = names(&bundle.root().join("etc/ssl/certs"));
    let links: BTreeSet<String> = links
        .iter()
        .filter(|name| name.ends_with(".pem"))
        .map(|name| format!("debian:{}", name.to_lowercase()))
        .collect();
    assert!(links.len() > 100);
    // A terminal without UTF-8 shows other letters as question marks, so the names are compared where they are ASCII.
    let plain = |all: &BTreeSet<String>| {
        all.iter().filter(|name| name.is_ascii() && !name.contains('?')).cloned().collect::<BTreeSet<_>>()
    };
    assert_eq!(aliases.len(), links.len());
    assert_eq!(plain(&aliases), plain(&links));
    // The digest at its end is keyed by the password: what keytool accepts is whole.
    assert!(!list("changed").status.success());
}
