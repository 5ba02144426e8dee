//! Images wherever they stand, and registries that are unkind.

use super::*;

#[test]
fn referrers_without_end_are_bounded() {
    let world = World::new(SPEC, referrers());
    for number in 0..70_u32 {
        let blob = world.blob("application/x-test", number.to_string().as_bytes());
        world.blob(EMPTY, EMPTY_BYTES);
        let manifest =
            ReferrerManifest::new("application/x-test", &world.descriptor(&world.digest), blob, BTreeMap::new());
        world.repository().attach(&manifest).unwrap();
    }
    world.unknown(&KEY, "70 things are attached");
    // What is good beside it is good.
    world.sign(&world.digest, &[&key(1)]);
    world.yes(&KEY);
    // One that claims to be huge.
    let world = World::new(SPEC, referrers());
    world.blob(EMPTY, EMPTY_BYTES);
    let blob = Descriptor { size: 9 << 20, ..world.blob(BUNDLE, b"{}") };
    let manifest = ReferrerManifest::new(BUNDLE, &world.descriptor(&world.digest), blob, BTreeMap::new());
    world.repository().attach(&manifest).unwrap();
    world.unknown(&KEY, "holds a claim of 9437184 bytes");
}

#[test]
fn a_registry_that_lies_about_a_digest_is_not_believed() {
    let world = World::new(SPEC, Manners::default());
    world.sign(&world.digest, &[&key(1)]);
    {
        let mut contents = world.server.contents.lock().unwrap();
        let forged = contents.manifests.iter_mut().find(|((_, digest), _)| *digest == world.digest).unwrap();
        forged.1.1.push(b'\n');
    }
    let by_digest = format!("docker://{}@{}", world.name(), world.digest);
    let ran = world.place.run(&["verify", &by_digest, "--key", "1.pub"]);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("cannot trust") && ran.err.contains("it gave"), "{}", ran.err);
    // Under the tag it is another image, which nobody signed.
    world.no(&KEY, "no signature: nothing is signed");
}

#[test]
fn credentials_do_not_leave_for_a_foreign_service() {
    let world = World::new(SPEC, Manners::default());
    let service = Server::start(Manners::default());
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"x\"", service.host);
    let config = json!({"auths": {&world.server.host: {"auth": "dXNlcjpzM2NyZXQ="}}});
    world.place.write(".docker/config.json", config.to_string());
    world.server.behave(Manners { wants: Some("x".to_owned()), challenge: Some(challenge), ..Manners::default() });
    world.unknown(&KEY, "its token service is on the foreign host");
    assert!(service.contents.lock().unwrap().log.is_empty(), "nothing was asked there");
}

#[test]
fn layouts_and_archives_are_verified_with_files_beside_them() {
    let world = World::new(SPEC, Manners::default());
    world.place.ok(&["build", "web.yaml", "-o", "web.tar", "-o", "docker-archive:docker.tar"]);
    let bundle = Bundle::sign(&Statement::signature(world.digest), &key(1)).unwrap().to_bytes();
    world.place.write("some.json", &bundle);
    for image in ["web.oci", "web.tar"] {
        let run = |more: &[&str]| world.place.run(&[&["verify", image, "--key", "1.pub"], more].concat());
        let ran = run(&[]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("no signature: nothing is signed"), "{}", ran.out);
        let ran = run(&["--bundle", "some.json"]);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("under which name it is signed was not checked"), "{}", ran.out);
        assert!(ran.out.contains("hold what the manifest names") || ran.out.contains("contents"), "{}", ran.out);
        world.place.write(&format!("{image}.sigstore.json"), &bundle);
        assert_eq!(run(&[]).status, 0);
        assert_eq!(run(&["--bundle", "none.json"]).status, 2);
        world.place.write("broken.json", "{}");
        assert_eq!(run(&["--bundle", "broken.json"]).status, 2);
    }
    let ran = world.place.run(&["verify", "docker-archive:docker.tar", "--key", "1.pub"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("holds no manifest"), "{}", ran.err);
    // A layer whose bytes are not what the signed manifest names.
    let manifest = std::fs::read(world.place.path(&format!("web.oci/blobs/sha256/{}", world.digest.hex()))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let path = world.place.path(&format!("web.oci/blobs/sha256/{}", layer.hex()));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = world.place.run(&["verify", "web.oci", "--key", "1.pub"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("no       contents"), "{}", ran.out);
}

#[test]
fn rubbish_beside_an_image_hides_no_signature_and_is_none() {
    let world = World::new(SPEC, Manners::default());
    world.place.write("k.key", key(1).to_pem().as_bytes());
    std::fs::set_permissions(world.place.path("k.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let verify = || world.place.run(&["verify", "web.oci", "--key", "1.pub"]);
    let (signature, statements) = (world.place.path("web.oci.sigstore.json"), world.place.path("web.oci.intoto.jsonl"));
    let pipe = |path: &std::path::Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    pipe(&signature);
    let ran = verify();
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("it is no regular file"), "{}", ran.out);
    std::fs::remove_file(&signature).unwrap();
    world.place.ok(&["sign", "web.oci", "--key", "k.key"]);
    pipe(&statements);
    assert_eq!(verify().status, 0);
    std::fs::remove_file(&statements).unwrap();
    for rubbish in ["", "{}", "rubbish\n"] {
        std::fs::write(&statements, rubbish).unwrap();
        let ran = verify();
        assert_eq!(ran.status, 0, "{rubbish}: {}{}", ran.out, ran.err);
    }
    // Alone, it may have been one.
    std::fs::remove_file(&signature).unwrap();
    let ran = verify();
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("not all could be read"), "{}", ran.out);
    // What is named is read, and must hold claims.
    let ran = world.place.run(&["verify", "web.oci", "--key", "1.pub", "--bundle", "web.oci.intoto.jsonl"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
}

#[test]
fn images_of_registries_are_looked_at_like_others() {
    let world = World::new(TWO, Manners::default());
    let image = world.image();
    let on_disk = world.place.ok(&["inspect", "web.oci", "--json"]).replace("\"web.oci\"", "");
    let there = world.place.ok(&["inspect", &image, "--json"]).replace(&format!("\"{image}\""), "");
    assert_eq!(there, on_disk);
    let on_disk = world.place.run(&["audit", "web.oci"]);
    let there = world.place.run(&["audit", &image]);
    assert_eq!((there.status, there.out), (on_disk.status, on_disk.out));
    // What is in the store is not fetched again, and no platform but the wanted one is.
    world.server.behave(Manners::default());
    world.place.ok(&["inspect", &image, "--platform", "linux/amd64"]);
    let log = world.server.contents.lock().unwrap().log.clone();
    assert!(log.iter().all(|(_, path, _)| path.ends_with("/manifests/v1")), "{log:?}");
    let ran = world.place.run(&["inspect", &format!("docker://{}:v9", world.name())]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("holds no image `v9`"), "{}", ran.err);
    let ran = world.place.run(&["inspect", &image, "--platform", "linux/amd64", "--store", "other"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[test]
fn a_layer_that_a_registry_cuts_short_is_refused() {
    let world = World::new(SPEC, Manners::default());
    let manifest: Value = serde_json::from_slice(&world.repository().document("v1").unwrap().unwrap().bytes).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let bytes = world.server.contents.lock().unwrap().blobs[&layer].clone();
    let image = world.image();
    for lie in
        [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat(), &bytes.iter().map(|b| b ^ 1).collect::<Vec<_>>()]
    {
        let lies = BTreeMap::from([(layer, lie.to_vec())]);
        world.server.behave(Manners { lies, ..Manners::default() });
        let ran = world.place.run(&["inspect", &image, "--store", "fresh"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains("cannot trust"), "{}", ran.err);
    }
    world.server.behave(Manners::default());
    assert_eq!(world.place.run(&["inspect", &image, "--store", "fresh"]).status, 0);
}

#[test]
fn another_build_is_compared() {
    let world = World::new(TWO, Manners::default());
    let image = world.image();
    let run = |arguments: &[&str]| world.place.run(&[&["verify"], arguments].concat());
    let ran = run(&[&image, "--against", "web.oci"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("signatures were not checked"), "{}", ran.out);
    world.place.write("web.yaml", TWO.replace("hi", "ho"));
    world.place.ok(&["build", "web.yaml", "-o", "other.oci"]);
    for (a, b) in [(image.as_str(), "other.oci"), ("other.oci", image.as_str())] {
        let ran = run(&[a, "--against", b]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("no       against"), "{}", ran.out);
        assert!(ran.out.contains("content  /srv/motd"), "{}", ran.out);
    }
    let ran = run(&[&image, "--against", "other.oci", "--json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["outcome"], &json["against"]["same"]), (&json!("no"), &json!(false)));
    world.sign(&world.digest, &[&key(1)]);
    let ran = run(&[&image, "--against", "web.oci", "--key", "1.pub"]);
    assert_eq!(ran.status, 1, "the manifests are not signed: {}{}", ran.out, ran.err);
}
