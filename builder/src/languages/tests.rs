use super::*;

fn one(path: &str, text: &str) -> LanguagePackage {
    assert!(is_read(path), "{path}");
    find([(path, text.as_bytes())]).pop().unwrap_or_else(|| panic!("{path}: no package"))
}

#[test]
fn python_tells_name_version_licence_and_files() {
    let site = "usr/lib/python3/dist-packages";
    let metadata = format!("{site}/Foo_Bar-1.2.dist-info/METADATA");
    let record = format!("{site}/Foo_Bar-1.2.dist-info/RECORD");
    let text = "Metadata-Version: 2.4\nName: Foo_Bar\nVersion: 1.2+b\nSummary: does\n  things\nLicense-Expression: MIT OR \
                Apache-2.0\nLicense: whatever\nProject-URL: Homepage, https://example.org/\nAuthor: A. B.\n\nName: body\n";
    let files =
        "foo/__init__.py,sha256=x,1\n../../../bin/foo,,\n\"odd,name.py\",,\n/etc/foo,,\n../../../../../../etc/x,,\n\n";
    let all = find([(metadata.as_str(), text.as_bytes()), (record.as_str(), files.as_bytes())]);
    let [foo] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(foo.purl().unwrap(), "pkg:pypi/foo-bar@1.2%2Bb");
    assert_eq!(foo.license.as_deref(), Some("Apache-2.0 OR MIT"));
    assert_eq!((foo.summary.as_deref(), foo.homepage.as_deref()), (Some("does things"), Some("https://example.org/")));
    assert_eq!(
        foo.files,
        ["etc/foo", "usr/bin/foo", &format!("{site}/foo/__init__.py"), &format!("{site}/odd,name.py")]
    );
}

#[test]
fn python_s_older_fields_are_read_where_they_are_certain() {
    let path = "usr/lib/python3/dist-packages/x-1.egg-info";
    for (fields, expected) in [
        ("License: MIT", Some("MIT")),
        ("License: BSD", None),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", Some("MIT")),
        ("Classifier: License :: OSI Approved :: Apache Software License", None),
        (
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: ISC License (ISCL)",
            None,
        ),
        ("License-Expression: not one", None),
        ("", None),
    ] {
        let found = one(path, &format!("Name: x\nVersion: 1\n{fields}\n"));
        assert_eq!(found.license.as_deref(), expected, "{fields}");
    }
    assert_eq!(find([(path, &b"Version: 1\n"[..])]), []);
}

#[test]
fn node_tells_scope_and_licence_in_every_form() {
    let path = "app/node_modules/@acme/x/package.json";
    for (rest, expected) in [
        (r#""license": "MIT""#, Some("MIT")),
        (r#""license": "(MIT OR Apache-2.0)""#, Some("Apache-2.0 OR MIT")),
        (r#""license": {"type": "ISC"}"#, Some("ISC")),
        (r#""licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]"#, Some("GPL-2.0-only OR MIT")),
        (r#""license": "SEE LICENSE IN x""#, None),
        (r#""license": ["MIT"]"#, None),
        (r#""private": true"#, None),
    ] {
        let found = one(path, &format!(r#"{{"name": "@acme/x", "version": "1.0.0", {rest}}}"#));
        assert_eq!(found.license.as_deref(), expected, "{rest}");
        assert_eq!(found.purl().unwrap(), "pkg:npm/%40acme/x@1.0.0");
    }
    let author = one(path, r#"{"name": "x", "version": "1", "author": "A B <a@b> (https://b)"}"#);
    assert_eq!(author.author.as_deref(), Some("A B"));
    for text in ["", "[]", "{\"name\": 1}", &"[".repeat(100_000)] {
        assert_eq!(find([(path, text.as_bytes())]), []);
    }
    for path in [
        "usr/share/nodejs/acorn/dist/package.json",
        "package.json",
        "node_modules/@acme/package.json",
        "node_modules/x/y",
    ] {
        assert!(!is_read(path), "{path}");
    }
}

#[test]
fn ruby_tells_what_rubygems_wrote() {
    let text = "# -*- encoding: utf-8 -*-\n# stub: rake 13.2.1 ruby lib\n\nGem::Specification.new do |s|\n  s.name = \
                \"rake\".freeze\n  s.version = \"13.2.1\".freeze\n\n  s.required_ruby_version = Gem::Requirement.new(\">= \
                2.3\".freeze) if s.respond_to? :x=\n  s.authors = [\"A\".freeze, \"B\".freeze]\n  s.homepage = \
                \"https://example.org\".freeze\n  s.licenses = [\"MIT\".freeze, \"Ruby\".freeze]\n  s.summary = \"Make\"\nend\n";
    let found = one("usr/share/rubygems-integration/all/specifications/rake-13.2.1.gemspec", text);
    assert_eq!(found.purl().unwrap(), "pkg:gem/rake@13.2.1");
    assert_eq!((found.license.as_deref(), found.author.as_deref()), (Some("MIT OR Ruby"), Some("A, B")));
    assert_eq!(found.homepage.as_deref(), Some("https://example.org"));
}

#[test]
fn every_certain_name_is_a_licence() {
    for (name, found) in NAMES {
        assert_eq!(license::read_spdx(found).map(|one| one.to_string()).as_deref(), Some(*found), "{name}");
    }
}
