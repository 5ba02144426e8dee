use super::*;

fn vertex(name: &str) -> Vertex {
    Vertex::new(name, format!("part `{name}`"))
}

fn http(name: &str) -> Http {
    Http {
        url: format!("http://mirror.example.org/{name}"),
        digest: Digest::of(name.as_bytes()),
        name: "deb".to_owned(),
        mode: None,
    }
}

/// Two downloads, opened and gathered.
fn sample(graph: &mut Graph) -> Output {
    let worker = graph.http(&Http { name: "tool".to_owned(), mode: Some(0o755), ..http("worker") }, vertex("worker"));
    let context = graph.local(
        &Local { name: "context".to_owned(), paths: vec![pattern("etc/a b"), pattern("x.conf")] },
        vertex("context"),
    );
    let text = graph.files(
        &[
            Step::Directory { path: "/a/b".to_owned() },
            Step::File { path: "/a/b/text".to_owned(), bytes: b"text".to_vec() },
        ],
        vertex("text"),
    );
    let mut opened = Vec::new();
    for name in ["one", "two"] {
        let deb = graph.http(&http(name), vertex(name));
        opened.extend(graph.exec(
            &Exec {
                root: worker,
                arguments: vec!["/tool".to_owned(), "open".to_owned(), name.to_owned()],
                mounts: vec![
                    Mount::read("/in", deb),
                    Mount::select("/text", text, "/a/b"),
                    Mount::read("/context", context),
                    Mount::write("/index"),
                    Mount::Write { at: "/data".to_owned(), over: Some(text) },
                ],
            },
            vertex(&format!("open {name}")),
        ));
    }
    let copy = |from: &Output, to: &str| Step::Copy { from: *from, source: "/".to_owned(), to: to.to_owned() };
    graph.files(&[copy(&opened[1], "/0"), copy(&opened[2], "/1")], vertex("gather"))
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let once = {
        let mut graph = Graph::new();
        let end = sample(&mut graph);
        graph.finish(end)
    };
    let twice = {
        let mut graph = Graph::new();
        sample(&mut graph);
        let end = sample(&mut graph);
        // What does not lead to the end is not in it.
        graph.http(&http("three"), vertex("three"));
        graph.finish(end)
    };
    assert_eq!(once.bytes(), twice.bytes());
    assert_eq!(once.len(), 8);
    insta::assert_snapshot!(Digest::of(&once.bytes()), @"sha256:59ffb3a55ca83004e76e52fd532946c36c43dcf0ea460c02d1380f5673c8e03a");
}

#[test]
fn a_definition_is_read_back_as_it_was() {
    let mut graph = Graph::new();
    let end = sample(&mut graph);
    let definition = graph.finish(end);
    let read = Definition::parse(&definition.bytes()).unwrap();
    assert_eq!(read.bytes(), definition.bytes());
    let names: Vec<&str> = read.vertices().into_values().map(|vertex| vertex.name.as_str()).collect();
    for name in ["worker", "context", "text", "one", "two", "open one", "open two", "gather"] {
        assert!(names.contains(&name), "{name}");
    }
    let mut other = Graph::new();
    let result = other.include(&read);
    assert_eq!(other.finish(result).bytes(), definition.bytes());
    let json = definition.json();
    let start = json.find("    \"name\": \"open one\"").unwrap();
    let end = start + json[start..].find("\n  },").unwrap();
    insta::assert_snapshot!(&json[start..end], @r#"
        "name": "open one",
        "digest": "sha256:5b657681a7eeb225b76a19300a27218999b2b2469a2a1e2ead73c712c3185328",
        "kind": "exec",
        "inputs": [
          "worker",
          "one",
          "text",
          "context"
        ],
        "arguments": [
          "/tool",
          "open",
          "one"
        ],
        "mounts": [
          {
            "at": "/",
            "from": "worker"
          },
          {
            "at": "/in",
            "from": "one"
          },
          {
            "at": "/text",
            "from": "text",
            "selector": "/a/b"
          },
          {
            "at": "/context",
            "from": "context"
          },
          {
            "at": "/index",
            "output": 0
          },
          {
            "at": "/data",
            "from": "text",
            "output": 1
          }
        ],
        "network": "none"
    "#);
}

#[test]
fn what_is_no_definition_is_refused() {
    let mut graph = Graph::new();
    let end = sample(&mut graph);
    let message = graph.finish(end).message();
    let refused = |message: &pb::Definition| Definition::of_message(message).unwrap_err().to_string();
    let mut turned = message.clone();
    turned.def.reverse();
    assert!(refused(&turned).contains("which does not stand before it"), "{}", refused(&turned));
    let empty = pb::Definition::default();
    assert_eq!(refused(&empty), "cannot read a definition of operations: it has no end");
    let mut open = message.clone();
    open.def.pop();
    assert!(refused(&open).ends_with("it ends with 2 outputs"), "{}", refused(&open));
    assert!(Definition::parse(b"\xff\xff\xff").is_err());
}

#[test]
fn a_pattern_has_no_sign_that_two_readers_read_differently() {
    assert_eq!(pattern("etc/nginx.conf"), "etc/nginx.conf");
    assert_eq!(pattern("a b/[x]*(1)+!^$\\ü"), "a?b/?x???1???????");
}
