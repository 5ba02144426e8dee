//! Caches of BuildKit's own, in the words of its client: `type=registry,ref=HOST/NAME:TAG,mode=max`.

use std::collections::BTreeMap;

use super::Error;

/// A cache that a daemon reads from or writes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cache {
    /// Its kind, such as `registry`, `s3` or `gha`.
    pub kind: String,
    /// All else that is said about it.
    pub attributes: BTreeMap<String, String>,
}

impl Cache {
    /// Reads a cache to look into, as `buildctl --import-cache` does.
    ///
    /// # Errors
    /// [`Error::Cache`] for a text of another form, and for kinds that live in BuildKit's own client.
    pub fn import(text: &str) -> Result<Self, Error> {
        Self::read(text, "src")
    }

    /// Reads a cache to fill, as `buildctl --export-cache` does; `mode` is `min` unless it is said.
    ///
    /// # Errors
    /// [`Error::Cache`] for a text of another form, and for kinds that live in BuildKit's own client.
    pub fn export(text: &str) -> Result<Self, Error> {
        let mut cache = Self::read(text, "dest")?;
        cache.attributes.entry("mode".to_owned()).or_insert_with(|| "min".to_owned());
        Ok(cache)
    }

    fn read(text: &str, directory: &str) -> Result<Self, Error> {
        let refused = |problem: String| Error::Cache { text: text.to_owned(), problem };
        // BuildKit's client takes a bare name for that of an image in a registry, and warns of it.
        if !text.contains("type=") {
            if text.contains(['=', ',', '"']) {
                return Err(refused("it says no `type`".to_owned()));
            }
            let attributes = [("ref".to_owned(), named(text).map_err(refused)?)].into_iter().collect();
            return Ok(Self { kind: "registry".to_owned(), attributes });
        }
        let (mut kind, mut attributes) = (String::new(), BTreeMap::new());
        for field in fields(text).map_err(refused)? {
            let (key, value) = field.split_once('=').ok_or_else(|| refused(format!("`{field}` has no `=`")))?;
            match key.to_ascii_lowercase() {
                key if key == "type" => value.clone_into(&mut kind),
                key => drop(attributes.insert(key, value.to_owned())),
            }
        }
        match kind.as_str() {
            "" => return Err(refused("it says no `type`".to_owned())),
            "local" => {
                return Err(refused(format!(
                    "`local` with its `{directory}` is a directory of BuildKit's own client; take a registry"
                )));
            }
            "inline" => return Err(refused("`inline` is a cache in an image that BuildKit writes itself".to_owned())),
            "registry" => {
                let name = attributes.get("ref").map(String::as_str).unwrap_or_default();
                named(name).map_err(refused)?;
            }
            _ => {}
        }
        Ok(Self { kind, attributes })
    }
}

fn named(name: &str) -> Result<String, String> {
    if name.is_empty() { Err("a registry's cache has a `ref`".to_owned()) } else { Ok(name.to_owned()) }
}

/// Splits one line of comma-separated values (RFC 4180), whose fields may stand in quotes.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let (part, behind) = rest.split_once('"').ok_or("a quote is not closed")?;
                field.push_str(part);
                rest = behind;
                // Two quotes within quotes are one.
                match rest.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        rest = more;
                    }
                    None => break,
                }
            }
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("behind a closing quote there is no comma".to_owned());
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
            if field.contains('"') {
                return Err("a quote stands within a field".to_owned());
            }
        }
        all.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cache: &Cache) -> String {
        let all: Vec<_> = cache.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{} {}", cache.kind, all.join(" "))
    }

    #[test]
    fn caches_are_read_as_buildctl_reads_them() {
        let import = |text| shown(&Cache::import(text).unwrap());
        let export = |text| shown(&Cache::export(text).unwrap());
        assert_eq!(import("type=registry,ref=h:1/c:t"), "registry ref=h:1/c:t");
        assert_eq!(import("h:1/c:t"), "registry ref=h:1/c:t");
        assert_eq!(export("h:1/c:t"), "registry mode=min ref=h:1/c:t");
        assert_eq!(export("ref=c,MODE=max,type=registry"), "registry mode=max ref=c");
        assert_eq!(
            export("type=s3,bucket=b,\"name=a,\"\"b\"\"\",region="),
            "s3 bucket=b mode=min name=a,\"b\" region="
        );
        assert_eq!(import("type=gha,url=a=b"), "gha url=a=b");
    }

    #[test]
    fn what_is_no_cache_is_refused() {
        let said = |text| Cache::export(text).unwrap_err().to_string();
        assert_eq!(
            said("type=registry,mode=max"),
            "cannot read the cache `type=registry,mode=max`: a registry's cache has a `ref`"
        );
        assert!(said("").ends_with("has a `ref`"));
        assert!(said("ref=c,mode=max").ends_with("it says no `type`"));
        assert!(said("type=,ref=c").ends_with("it says no `type`"));
        assert!(said("type=registry,max").ends_with("`max` has no `=`"));
        assert!(said("type=local,dest=/d").contains("take a registry"));
        assert!(said("type=inline").contains("image that BuildKit writes"));
        assert!(said("type=s3,\"a=b").ends_with("not closed"));
        assert!(said("type=s3,\"a=b\"c").ends_with("no comma"));
        assert!(said("type=s3,a=\"b\"").ends_with("within a field"));
    }
}
