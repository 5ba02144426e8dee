//! The canonical writer: one lock, one text. Keys stand in a fixed order, lists in the order the value gives them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Lock, LockedInput, LockedPackage, MetadataSet, PlatformLock, VariantLock};

const HEAD: &str = "# Written by tarsia from the spec beside it: change that and run `tarsia lock`.\n";

impl Lock {
    /// Returns the lock as its file's text; [`Lock::parse`] reads it back to an equal value.
    pub fn to_text(&self) -> String {
        let mut out = Text(HEAD.to_owned());
        out.number("version", i64::from(self.version));
        out.number("revision", i64::from(self.revision));
        out.string("tarsia", &self.tarsia);
        out.number("encoding", i64::from(self.encoding));
        out.number("rules", i64::from(self.rules));
        out.string("spec", &self.spec.to_string());
        out.string("keep", &self.keep);
        out.number("source-date", self.source_date);
        if self.source_date_given {
            out.0.push_str("source-date-given = true\n");
        }
        for set in &self.archives {
            out.archive(set);
        }
        for input in &self.inputs {
            out.input("", input);
        }
        out.platforms("", &self.platform);
        for (name, variant) in &self.variants {
            out.variant(name, variant);
        }
        out.0
    }
}

struct Text(String);

impl Text {
    fn number(&mut self, key: &str, value: i64) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn size(&mut self, key: &str, value: u64) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn string(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key} = {}", quoted(value));
    }

    fn list<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a String>) {
        let values: Vec<String> = values.map(|value| quoted(value)).collect();
        let _ = writeln!(self.0, "{key} = [{}]", values.join(", "));
    }

    fn archive(&mut self, set: &MetadataSet) {
        self.0.push_str("\n[[archive]]\n");
        self.string("name", &set.name);
        self.string("suite", &set.suite);
        self.string("in-release", &set.in_release.to_string());
        if let Some(signature) = &set.signature {
            self.string("signature", &signature.to_string());
        }
        self.number("date", set.date);
        if let Some(valid_until) = set.valid_until {
            self.number("valid-until", valid_until);
        }
        self.list("signers", set.signers.iter());
        self.0.push_str("packages = [\n");
        for file in &set.packages {
            let _ = writeln!(
                self.0,
                "    {{ path = {}, digest = {}, size = {} }},",
                quoted(&file.path),
                quoted(&file.digest.to_string()),
                file.size
            );
        }
        self.0.push_str("]\n");
    }

    fn variant(&mut self, name: &str, variant: &VariantLock) {
        let _ = writeln!(self.0, "\n[variant.{}]", quoted(name));
        self.string("spec", &variant.spec.to_string());
        self.string("keep", &variant.keep);
        self.number("source-date", variant.source_date);
        if variant.source_date_given {
            self.0.push_str("source-date-given = true\n");
        }
        let below = format!("variant.{}.", quoted(name));
        for input in &variant.inputs {
            self.input(&below, input);
        }
        self.platforms(&below, &variant.platform);
    }

    /// Writes an input of the table that `below` names.
    fn input(&mut self, below: &str, input: &LockedInput) {
        let _ = writeln!(self.0, "\n[[{below}input]]");
        self.string("kind", &input.kind);
        self.string("name", &input.name);
        self.string("digest", &input.digest.to_string());
        self.size("size", input.size);
    }

    fn platforms(&mut self, below: &str, platforms: &BTreeMap<String, PlatformLock>) {
        if platforms.is_empty() {
            let _ = writeln!(self.0, "\n[{below}platform]");
        }
        for (name, share) in platforms {
            let _ = writeln!(self.0, "\n[{below}platform.{}]", quoted(name));
            self.list("layers", share.layers.iter());
            for package in &share.packages {
                let _ = writeln!(self.0, "\n[[{below}platform.{}.package]]", quoted(name));
                self.package(package);
            }
        }
    }

    fn package(&mut self, package: &LockedPackage) {
        self.string("name", &package.name);
        self.string("version", &package.version);
        self.string("architecture", &package.architecture);
        self.string("source", &package.source);
        if let Some(version) = &package.source_version {
            self.string("source-version", version);
        }
        self.string("archive", &package.archive);
        if let Some(in_release) = &package.in_release {
            self.string("in-release", &in_release.to_string());
        }
        self.string("path", &package.path);
        self.size("size", package.size);
        self.string("digest", &package.digest.to_string());
        self.string("why", &package.why.to_string());
        if package.script_only {
            self.0.push_str("script-only = true\n");
        }
        if let Some(keep) = &package.keep {
            self.string("keep", keep);
        }
        self.string("layer", &package.layer);
    }
}

/// Returns a TOML basic string (TOML 1.0, string).
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::sample;
    use super::*;

    #[test]
    fn a_lock_is_read_back_from_its_own_text() {
        let mut lock = sample();
        lock.source_date_given = true;
        lock.archives[0].suite = "./".to_owned();
        lock.archives[0].signature = Some(crate::digest::Digest::of(b"signature"));
        let text = lock.to_text();
        assert_eq!(Lock::parse("web.lock", &text).unwrap(), lock);
        assert_eq!(Lock::parse("web.lock", &text).unwrap().to_text(), text);
    }

    #[test]
    fn the_text_is_what_the_format_says() {
        let mut lock = sample();
        lock.inputs.clear();
        insta::assert_snapshot!(lock.to_text(), @r#"
        # Written by tarsia from the spec beside it: change that and run `tarsia lock`.
        version = 1
        revision = 2
        tarsia = "0.1.0"
        encoding = 1
        rules = 3
        spec = "sha256:d4f02eaafd1a9e9de7d10972ca8e47fa7a985825c3c9c1e249c72683cb3e4f19"
        keep = "needed"
        source-date = 1750000000

        [[archive]]
        name = "debian"
        suite = "trixie"
        in-release = "sha256:8ae765d7c7194ee0681f289a423c5d161ed4b13154fa89cb772bfc686b2f45d3"
        date = 1750000000
        valid-until = 1760000000
        signers = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
        packages = [
            { path = "main/binary-amd64/Packages.xz", digest = "sha256:b28b1ed9821f38c64524ea13e19264bb0772f8376afffd5d8a1f8277621833eb", size = 5 },
        ]

        [platform."linux/amd64"]
        layers = ["small-1"]

        [[platform."linux/amd64".package]]
        name = "hello"
        version = "2.10-3"
        architecture = "amd64"
        source = "hello"
        source-version = "2.10-2"
        archive = "debian"
        in-release = "sha256:8ae765d7c7194ee0681f289a423c5d161ed4b13154fa89cb772bfc686b2f45d3"
        path = "pool/main/hello_2.10-3_amd64.deb"
        size = 10
        digest = "sha256:edadfe586c76007bd2c1be184bfb83aa41d45d0e984bc16dd13f389cd07cf820"
        why = "requested"
        layer = "small-1"

        [[platform."linux/amd64".package]]
        name = "libc-bin"
        version = "2.41-12"
        architecture = "amd64"
        source = "libc-bin"
        archive = "debian"
        in-release = "sha256:8ae765d7c7194ee0681f289a423c5d161ed4b13154fa89cb772bfc686b2f45d3"
        path = "pool/main/libc-bin_2.41-12_amd64.deb"
        size = 10
        digest = "sha256:bd58521751ac38b3cb51e9e3329e23ca397a9d0d9d93c39f8a4f1593b5ff3b0a"
        why = "implicit: libc6"
        script-only = true
        layer = "small-1"

        [[platform."linux/amd64".package]]
        name = "libc6"
        version = "2.41-12"
        architecture = "amd64"
        source = "libc6"
        archive = "debian"
        in-release = "sha256:8ae765d7c7194ee0681f289a423c5d161ed4b13154fa89cb772bfc686b2f45d3"
        path = "pool/main/libc6_2.41-12_amd64.deb"
        size = 10
        digest = "sha256:ef4ab11da6bc7c2c77b4343f1c7d021aaddcb43a2941d45bf5e73a86ceff76b9"
        why = "hello"
        layer = "small-1"
        "#);
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n\u{7f}"), "\"a\\\"b\\\\c\\u000A\\u007F\"");
    }
}
