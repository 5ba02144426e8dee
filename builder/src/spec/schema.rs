//! The language as JSON Schema (draft 2020-12), for editors. Made from the table that the parser reads.

use serde_json::{Map, Value, json};

use super::shape::{Fields, Shape};
use super::table::SPEC;

/// Returns the JSON Schema of specs.
pub fn schema() -> Value {
    // What extends another spec may leave out what that one says, and removes by `null`.
    let mut part = fields(&SPEC, true);
    part["required"] = json!(["version"]);
    let mut schema = json!({
        "type": "object",
        "if": {"properties": {"extends": {"type": "string"}}, "required": ["extends"]},
        "then": part,
        "else": fields(&SPEC, false),
    });
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Tarsia spec");
    schema
}

/// Returns the schema of a mapping; with `nulls`, every value may be `null` and no key is required.
fn fields(fields: &Fields, nulls: bool) -> Value {
    let mut properties = Map::new();
    for field in fields.keys {
        let mut schema = value(&field.shape, nulls);
        let later = if field.later { " Not there yet in this release." } else { "" };
        schema["description"] = json!(format!("{}{later}", field.about));
        properties.insert(field.name.to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    let required: Vec<&str> = fields.keys.iter().filter(|field| field.required).map(|field| field.name).collect();
    if !nulls && !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// Returns the schema of a mapping's value.
fn value(shape: &Shape, nulls: bool) -> Value {
    let schema = item(shape, nulls);
    if nulls && !matches!(shape, Shape::OrNull(_)) { json!({"anyOf": [schema, {"type": "null"}]}) } else { schema }
}

fn item(shape: &Shape, nulls: bool) -> Value {
    match shape {
        Shape::Text(form) => json!({"type": "string", "pattern": form.pattern}),
        Shape::Int(least, most) if least == most => json!({"const": least}),
        Shape::Int(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::List(inner) => json!({"type": "array", "items": item(inner, false)}),
        Shape::Some(inner) => json!({"type": "array", "items": item(inner, false), "minItems": 1}),
        Shape::Map(inner) => fields(inner, nulls),
        Shape::Tagged(kinds) => {
            json!({"oneOf": kinds.iter().map(|(_, inner)| fields(inner, nulls)).collect::<Vec<_>>()})
        }
        Shape::Free(form, inner) => free(form.pattern, value(inner, nulls)),
        Shape::Partial(form, inner) => free(form.pattern, value(inner, true)),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(|shape| item(shape, nulls)).collect::<Vec<_>>()}),
        Shape::OrNull(inner) => json!({"anyOf": [item(inner, nulls), {"type": "null"}]}),
    }
}

fn free(pattern: &str, inner: Value) -> Value {
    json!({"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": inner})
}
