use super::*;

fn machine(programs: &[&str]) -> (tempfile::TempDir, Machine) {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    for program in programs {
        let path = place.path().join(program);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let search = ["a", "b"].map(|name| place.path().join(name)).to_vec();
    (place, Machine { search, ..Machine::default() })
}

#[test]
fn the_first_runtime_of_the_search_path_is_taken() {
    let (place, machine) = machine(&["a/podman", "b/crun", "b/runc"]);
    let found = |named: Option<&str>, tracing| {
        machine.runtime(named.map(Path::new), tracing).map(|runtime| runtime.program).map_err(|error| error.to_string())
    };
    assert_eq!(found(None, false).unwrap(), place.path().join("a/podman"));
    assert_eq!(found(None, true).unwrap(), place.path().join("b/runc"));
    assert_eq!(found(Some("crun"), false).unwrap(), place.path().join("b/crun"));
    let path = place.path().join("b/crun");
    assert_eq!(found(path.to_str(), false).unwrap(), path);
    assert_eq!(
        found(Some("docker"), false).unwrap_err(),
        "cannot run a container: `docker` is none of `runc`, `crun`, `podman`, or not there"
    );
    assert_eq!(
        Machine::default().runtime(None, true).unwrap_err().to_string(),
        "cannot run a container: there is none of `runc`, `crun`"
    );
}

#[test]
fn null_in_a_config_is_nothing() {
    let settings: Settings =
        serde_json::from_str(r#"{"Cmd": null, "Entrypoint": ["/x"], "Volumes": {"/data": {}}, "Other": 1}"#).unwrap();
    assert_eq!((settings.entrypoint, settings.cmd.len()), (vec!["/x".to_owned()], 0));
    assert!(settings.volumes.contains_key("/data"));
}
