//! Differences of documents: index, manifest, config, key by key.
//!
//! What follows from layers and configs being others (descriptors, DiffIDs) is left out; it is told by what differs in
//! them. Where all values are the same and the bytes are not, the difference is one of format.

use serde_json::{Map, Value};

use super::{Class, Difference, Found, cut};
use crate::image::Opened;

/// The deepest that keys are told apart.
const MAX_DEPTH: usize = 32;

/// Compares two indexes.
pub(super) fn indexes(a: Option<&[u8]>, b: Option<&[u8]>, differences: &mut Vec<Difference>) {
    let (Some(bytes_a), Some(bytes_b)) = (a, b) else {
        if a.is_some() != b.is_some() {
            let kind = |index: Option<&[u8]>| Some(if index.is_some() { "an index" } else { "one image" }.to_owned());
            differences.push(Difference::new(Class::Manifest, kind(a), kind(b)).at("index"));
        }
        return;
    };
    let parsed = |bytes: &[u8]| {
        let mut value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if let Some(all) = value["manifests"].as_array_mut() {
            all.iter_mut().for_each(|one| without(one, &["digest", "size"]));
            // Which platforms there are is told on its own.
            all.sort_by_key(|one| one["platform"].to_string());
        }
        value
    };
    let (value_a, value_b) = (parsed(bytes_a), parsed(bytes_b));
    let platforms = |value: &Value| {
        let all = value["manifests"].as_array().into_iter().flatten();
        all.map(|one| one["platform"].clone()).collect::<Vec<_>>()
    };
    let order = |bytes: &[u8]| serde_json::from_slice(bytes).map(|value: Value| platforms(&value)).unwrap_or_default();
    let mut found = Keys::new(Class::Manifest);
    if platforms(&value_a) == platforms(&value_b) {
        found.compare("index", &value_a, &value_b);
        let names = |all: &[Value]| {
            let name = |one: &Value| {
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                format!("{}/{}", text("os"), text("architecture"))
            };
            Some(cut(&all.iter().map(name).collect::<Vec<_>>().join(" ")))
        };
        let (order_a, order_b) = (order(bytes_a), order(bytes_b));
        if order_a != order_b {
            let difference = Difference::new(Class::Order, names(&order_a), names(&order_b));
            found.differences.push(difference.at("index.manifests"));
        }
    } else {
        let rest = |value: &Value| {
            let mut rest = value.clone();
            without(&mut rest, &["manifests"]);
            rest
        };
        found.compare("index", &rest(&value_a), &rest(&value_b));
    }
    if found.differences.is_empty() && platforms(&value_a) == platforms(&value_b) {
        found.differences.extend(format("index", bytes_a, bytes_b));
    }
    differences.extend(found.differences);
}

/// Compares two manifests.
pub(super) fn manifests(a: &Opened, b: &Opened, found: &mut Found) {
    let parsed = |one: &Opened| {
        let mut value: Value = serde_json::from_slice(&one.manifest_bytes).unwrap_or_default();
        without(&mut value["config"], &["digest", "size"]);
        if let Some(layers) = value["layers"].as_array_mut() {
            layers.iter_mut().for_each(|layer| without(layer, &["digest", "size", "mediaType"]));
            // Most descriptors say nothing else; how many there are is told by the layers.
            if layers.iter().all(|layer| layer.as_object().is_some_and(Map::is_empty)) {
                layers.clear();
            }
        }
        value
    };
    let mut keys = Keys::new(Class::Manifest);
    keys.compare("manifest", &parsed(a), &parsed(b));
    let structure = a.layers.len() == b.layers.len() && keys.only_values;
    if structure {
        keys.differences.extend(format("manifest", &a.manifest_bytes, &b.manifest_bytes));
    }
    found.extend(keys.differences);
}

/// Compares two configs.
pub(super) fn configs(a: &Opened, b: &Opened, found: &mut Found) {
    if a.config_bytes == b.config_bytes {
        return;
    }
    let parsed = |one: &Opened| {
        let mut value = one.config.clone();
        without(&mut value["rootfs"], &["diff_ids"]);
        // Entries of the config's own time follow it.
        let created = value["created"].clone();
        for entry in value["history"].as_array_mut().into_iter().flatten() {
            if !created.is_null() && entry["created"] == created {
                without(entry, &["created"]);
            }
        }
        value
    };
    let mut keys = Keys::new(Class::Config);
    keys.compare("", &parsed(a), &parsed(b));
    if a.layers.len() == b.layers.len() && keys.only_values {
        keys.differences.extend(format("config", &a.config_bytes, &b.config_bytes));
    }
    found.extend(keys.differences);
}

fn without(value: &mut Value, keys: &[&str]) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// Collects keys whose values differ.
struct Keys {
    class: Class,
    differences: Vec<Difference>,
    /// Whether both sides have the same keys, so that only values differ.
    only_values: bool,
}

impl Keys {
    fn new(class: Class) -> Self {
        Self { class, differences: Vec::new(), only_values: true }
    }

    fn compare(&mut self, at: &str, a: &Value, b: &Value) {
        self.deeper(at, a, b, 0);
    }

    fn deeper(&mut self, at: &str, a: &Value, b: &Value, depth: usize) {
        if a == b {
            return;
        }
        match (a, b) {
            (Value::Object(map_a), Value::Object(map_b)) if depth < MAX_DEPTH => {
                let mut keys: Vec<&String> = map_a.keys().chain(map_b.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    let at = join(at, key);
                    match (map_a.get(key), map_b.get(key)) {
                        (Some(a), Some(b)) => self.deeper(&at, a, b, depth + 1),
                        (a, b) => self.push(&at, a, b),
                    }
                }
            }
            (Value::Array(all_a), Value::Array(all_b))
                if depth < MAX_DEPTH && all_a.iter().chain(all_b).any(Value::is_object) =>
            {
                if all_a.len() == all_b.len() {
                    for (number, (a, b)) in all_a.iter().zip(all_b).enumerate() {
                        self.deeper(&format!("{at}[{number}]"), a, b, depth + 1);
                    }
                } else {
                    self.only_values = false;
                    let count = |all: &Vec<Value>| {
                        Some(if all.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", all.len()) })
                    };
                    self.differences.push(Difference::new(self.class, count(all_a), count(all_b)).at(at));
                }
            }
            _ => self.push(at, Some(a), Some(b)),
        }
    }

    fn push(&mut self, at: &str, a: Option<&Value>, b: Option<&Value>) {
        let plain = |value: Option<&Value>| value.is_some_and(|value| !value.is_array() && !value.is_object());
        self.only_values &= plain(a) && plain(b);
        let text = |value: Option<&Value>| {
            value.map(|value| match value {
                Value::String(text) => cut(text),
                other => cut(&other.to_string()),
            })
        };
        self.differences.push(Difference::new(self.class, text(a), text(b)).at(at));
    }
}

/// Returns a key behind others: `config.User`, `config.Labels["org.example"]`.
fn join(at: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (plain, at) {
        (true, "") => key.to_owned(),
        (true, at) => format!("{at}.{key}"),
        (false, at) => format!("{at}[{key:?}]"),
    }
}

/// Returns the difference of two documents that are written otherwise: in white space, or in the order of keys.
fn format(what: &str, a: &[u8], b: &[u8]) -> Option<Difference> {
    let (form_a, form_b) = (skeleton(a), skeleton(b));
    if form_a == form_b {
        return None;
    }
    let bare = |form: &[u8]| form.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>();
    let spaces = bare(&form_a) == bare(&form_b);
    let (a, b) = (form_a.len(), form_b.len());
    let difference =
        Difference::new(Class::Format, Some(format!("{a} bytes of form")), Some(format!("{b} bytes of form")));
    Some(difference.at(what).what(if spaces { "white space" } else { "order or spelling of keys" }))
}

/// Returns a JSON text without its values: white space, punctuation and keys.
fn skeleton(text: &[u8]) -> Vec<u8> {
    let mut skeleton = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let mut end = at + 1;
                while end < text.len() && text[end] != b'"' {
                    end += if text[end] == b'\\' { 2 } else { 1 };
                }
                let end = (end + 1).min(text.len());
                let next = text[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                if next == Some(&b':') {
                    skeleton.extend_from_slice(&text[at..end]);
                } else {
                    skeleton.extend_from_slice(b"\"\"");
                }
                at = end;
            }
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.') => at += 1,
            byte => {
                skeleton.push(byte);
                at += 1;
            }
        }
    }
    skeleton
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(a: &Value, b: &Value) -> Vec<String> {
        let mut keys = Keys::new(Class::Config);
        keys.compare("", a, b);
        let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        keys.differences.into_iter().map(|one| format!("{} {} {}", shown(one.at), shown(one.a), shown(one.b))).collect()
    }

    #[test]
    fn keys_are_told_apart() {
        let a =
            json!({"config": {"User": "0", "Env": ["A=1"], "Labels": {"a.b": "x"}}, "history": [{"x": 1}], "os": "l"});
        let b = json!({"config": {"User": "1", "Env": ["A=2"], "Labels": {}}, "history": [{"x": 2}], "new": null});
        assert_eq!(
            keys(&a, &b),
            [
                "config.Env [\"A=1\"] [\"A=2\"]",
                "config.Labels[\"a.b\"] x -",
                "config.User 0 1",
                "history[0].x 1 2",
                "new - null",
                "os l -",
            ]
        );
    }

    #[test]
    fn white_space_and_order_are_form() {
        let what = |a: &str, b: &str| format("config", a.as_bytes(), b.as_bytes()).and_then(|one| one.what);
        assert_eq!(what(r#"{"a":1,"b":"x"}"#, r#"{"a":22,"b":"y\"z"}"#), None);
        assert_eq!(what(r#"{"a":1}"#, r#"{"a": 1}"#).as_deref(), Some("white space"));
        assert_eq!(what(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#).as_deref(), Some("order or spelling of keys"));
        // Cut short, and never a panic.
        assert_eq!(what("\"\\", "\""), None);
    }
}
