//! The one way a document becomes bytes.
//!
//! JSON as Go's `encoding/json` writes it (the form of every registry and of BuildKit's exporter): `&`, `<`, `>`,
//! U+2028 and U+2029 are escaped, other control characters as `\u00xx` in lower case, no space in compact form. What
//! goes in is a `Value`, whose keys are sorted here, or a value whose fields are written in their own order; maps in it
//! must be ordered ones.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// Returns `value` as compact JSON, the keys of every object sorted bytewise.
pub fn compact(value: &Value) -> Vec<u8> {
    ordered(&Sorted(value))
}

/// Returns `value` as compact JSON, fields in their own order.
pub fn ordered<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written(value, Go(CompactFormatter))
}

/// Returns `value` as JSON indented by two spaces, fields in their own order, without a newline at the end.
pub fn indented<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written(value, Go(PrettyFormatter::with_indent(b"  ")))
}

/// Returns `value` as JSON indented by two spaces, the keys of every object sorted bytewise.
pub fn indented_sorted(value: &Value) -> Vec<u8> {
    indented(&Sorted(value))
}

fn written<T: Serialize + ?Sized, F: Formatter>(value: &T, formatter: F) -> Vec<u8> {
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .expect("documents are plain data with text keys, and memory takes every write");
    bytes
}

/// A value whose objects are written in the order of their keys, however the map keeps them; for a field of a document
/// whose other fields have an order of their own.
#[derive(Debug, Clone, Copy)]
pub struct Sorted<'a>(
    /// The value.
    pub &'a Value,
);

impl Serialize for Sorted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                serializer.collect_map(map.iter().map(|(key, value)| (key, Sorted(value))).collect::<BTreeMap<_, _>>())
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Sorted)),
            plain => plain.serialize(serializer),
        }
    }
}

/// Escapes inside strings what Go's encoder escapes beside JSON's own.
struct Go<F>(F);

impl<F: Formatter> Formatter for Go<F> {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, character) in fragment.char_indices() {
            let escape = match character {
                '&' => "\\u0026",
                '<' => "\\u003c",
                '>' => "\\u003e",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[written..at])?;
            writer.write_all(escape.as_bytes())?;
            written = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }

    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        let value = serde_json::json!({"b": "<&>\u{2028}\u{2029}\u{7f}é\u{1}\t\n\"\\/\u{8}\u{c}", "a<": [1, true, null, {}], "B": []});
        assert_eq!(
            String::from_utf8(compact(&value)).unwrap(),
            "{\"B\":[],\"a\\u003c\":[1,true,null,{}],\
             \"b\":\"\\u003c\\u0026\\u003e\\u2028\\u2029\u{7f}é\\u0001\\t\\n\\\"\\\\/\\b\\f\"}"
        );
    }

    #[test]
    fn fields_keep_their_order_and_stand_on_lines_of_their_own() {
        #[derive(Serialize)]
        struct Document {
            z: u32,
            a: Vec<u32>,
            m: BTreeMap<String, String>,
        }
        let document = Document { z: 2, a: vec![1, 2], m: BTreeMap::new() };
        assert_eq!(
            String::from_utf8(indented(&document)).unwrap(),
            "{\n  \"z\": 2,\n  \"a\": [\n    1,\n    2\n  ],\n  \"m\": {}\n}"
        );
        assert_eq!(String::from_utf8(ordered(&document)).unwrap(), r#"{"z":2,"a":[1,2],"m":{}}"#);
    }
}
