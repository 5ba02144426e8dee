//! `tarsia learn`: what a traced run asked for and did not find, on packages that the tests build.

use serde_json::{Value, json};

use crate::test_command::place;

const NEVER: &str = "never: [/usr/share/app/dropped, \"/usr/share/app/more/**\", {path: /usr/share/target, force: true}, /usr/bin/tool, \
                     \"/usr/lib/python3/**\"]\n";

#[test]
fn what_was_asked_for_is_proposed_and_noise_is_not() {
    let place = place(NEVER);
    let before = std::fs::read_to_string(place.path("app.yaml")).unwrap();
    let out = place.ok(&["learn", "app.yaml", "--json", "--", "look"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    let image = &answer["images"][0];
    assert_eq!(image["runs"], json!([[["/usr/bin/app", "look"], 4]]));
    let also: Vec<&str> = image["also"].as_array().unwrap().iter().map(|one| one["also"].as_str().unwrap()).collect();
    assert_eq!(
        also,
        [
            // What was run comes first.
            "/usr/bin/tool",
            // Of a Python package, all.
            "/usr/lib/python3/pkg/sub/**",
            "/usr/share/app/dropped",
            // Three of the four files in it.
            "/usr/share/app/more/**",
            // The link stands, and its target lacks.
            "/usr/share/target",
        ]
    );
    assert_eq!(image["also"][2]["size"], 5);
    assert_eq!(image["also"][2]["packages"], json!(["app"]));
    assert_eq!(image["also"][2]["asked"], json!({"/usr/share/app/dropped": ["open"]}));
    assert_eq!(image["also"][2]["never"], "never[0]");
    assert_eq!(image["also"][4]["asked"], json!({"/link": ["open"]}));
    assert_eq!(image["directories"], json!(["/run/app"]));
    assert_eq!(image["nowhere"], json!({"libnowhere.so.1": ["open"]}));
    assert_eq!(image["passing"], json!([{"why": "documentation", "count": 1}]));
    assert_eq!(std::fs::read_to_string(place.path("app.yaml")).unwrap(), before, "the spec is its writer's");
}

#[test]
fn the_answer_can_be_pasted_into_the_spec() {
    let place = place(NEVER);
    let ran = place.run(&["learn", "app.yaml", "--", "look"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    for line in [
        "also:\n  - \"/usr/bin/tool\"  # app: run, 0 B, but `never[3]` drops it\n",
        "files:\n  - {dir: \"/run/app\"}  # something was to be made in it\n",
        "# in no locked package: libnowhere.so.1 (opened)\n",
        "# asked for in passing: 1 file, documentation\n",
    ] {
        assert!(ran.out.contains(line), "{line}{}", ran.out);
    }
    assert!(ran.err.contains("ended with exit status 4, and said at last: ModuleNotFoundError"), "{}", ran.err);
    let text = std::fs::read_to_string(place.path("app.yaml")).unwrap().replace(NEVER, "");
    place.write("next.yaml", format!("{text}{}", ran.out));
    assert_eq!(place.run(&["lock", "next.yaml"]).status, 0);
    let out = place.ok(&["learn", "next.yaml", "--", "look"]);
    assert!(out.contains("# nothing that a locked package ships was asked for and not there"), "{out}");
}

#[test]
fn without_arguments_the_checks_are_run_and_services_are_stopped() {
    let place = place("checks:\n  run: [{args: [look], exit: 4}, {args: [serve], listen: 4000, send: x}]\n");
    let answer: Value = serde_json::from_str(&place.ok(&["learn", "app.yaml", "--json"])).unwrap();
    assert_eq!(answer["images"][0]["runs"], json!([[["/usr/bin/app", "look"], 4], [["/usr/bin/app", "serve"], 5]]));
    // By itself it would serve for ever.
    let out = place.ok(&["learn", "app.yaml", "--json", "--timeout", "1", "--", "serve"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["images"][0]["runs"], json!([[["/usr/bin/app", "serve"], 5]]));
}

#[test]
fn without_a_tracer_or_a_runtime_that_can_be_held_it_says_so() {
    let place = place("");
    let ran = place.run(&["learn", "app.yaml", "--runtime", "podman"]);
    assert!(ran.status == 2 && ran.err.contains("`podman` is none of `runc`, `crun`, or not there"), "{}", ran.err);
    std::fs::create_dir(place.path("bin")).unwrap();
    let runc =
        ["/usr/sbin/runc", "/usr/bin/runc"].into_iter().find(|path| std::path::Path::new(path).exists()).unwrap();
    std::os::unix::fs::symlink(runc, place.path("bin/runc")).unwrap();
    let output = place.tarsia(["learn", "app.yaml"]).env("PATH", place.path("bin")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("cannot trace a container: there is no `strace`"),
        "{said}"
    );
}
