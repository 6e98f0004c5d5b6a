//! The OpenAPI document: `openapi.json` beside this file describes the calls, and the fields of receivers are those of the
//! schemas.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::error::ApiError;
use crate::schemas;

const CALLS: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(crate) async fn document(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let document = whole(app.public_url.as_deref()).map_err(|error| {
        ApiError::unavailable(format!("the document cannot be put together: {error}"))
    })?;
    Ok(HttpResponse::Ok().json(document))
}

/// The whole document. `server`: where the calls go, if not to where it comes from.
fn whole(server: Option<&str>) -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(CALLS)?;
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["servers"] = json!([{"url": server.unwrap_or("/")}]);
    for schema in schemas::all() {
        if schema.id != "trigger" {
            document["components"]["schemas"][&schema.id] = object(&schema.fields);
        }
    }
    Ok(document)
}

/// A JSON Schema of an object with these fields.
fn object(fields: &[(&'static str, Value)]) -> Value {
    let required: Vec<_> = fields
        .iter()
        .filter(|(_, field)| field["required"] == true)
        .map(|(name, _)| name)
        .collect();
    let properties: Map<_, _> = fields
        .iter()
        .map(|(name, field)| ((*name).to_owned(), property(field)))
        .collect();
    json!({"type": "object", "required": required, "properties": properties})
}

/// A field of a schema of Rancher as a JSON Schema.
fn property(field: &Value) -> Value {
    let kind = field["type"].as_str().unwrap_or_default();
    let mut property = match kind {
        "string" | "reference[service]" => json!({"type": "string"}),
        "date" => json!({"type": "string", "format": "date-time"}),
        "int" => json!({"type": "integer"}),
        "boolean" => json!({"type": "boolean"}),
        "enum" => json!({"enum": field["options"]}),
        "map[string]" => {
            json!({"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1})
        }
        "array[string]" => json!({"type": "array", "items": {"type": "string"}}),
        "array[json]" => json!({"type": "array", "items": {"type": "object"}}),
        "json" => json!({"type": "object"}),
        other => json!({"$ref": format!("#/components/schemas/{other}")}),
    };
    for (theirs, ours) in [
        ("min", "minimum"),
        ("max", "maximum"),
        ("minLength", "minLength"),
        ("maxLength", "maxLength"),
        ("default", "default"),
        ("description", "description"),
    ] {
        if !field[theirs].is_null() {
            property[ours] = field[theirs].clone();
        }
    }
    if field["create"] == false && field["update"] == false {
        property["readOnly"] = json!(true);
    } else if field["nullable"] == true {
        return json!({"anyOf": [property, {"type": "null"}]});
    }
    property
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::PLACES;

    #[test]
    fn it_describes_every_call_and_no_other() {
        let document = whole(None).unwrap();
        let described: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, calls)| {
                let methods = calls.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let is_api = |path: &str| path != "/" && !path.starts_with("/web/");
        let probes = ["/healthz", "/readyz", "/metrics"].map(|path| format!("GET {path}"));
        let there: BTreeSet<_> = PLACES
            .iter()
            .filter(|place| is_api(place.path))
            .flat_map(|place| {
                let methods = place.allow.split(", ");
                // HEAD is GET without the body, and not described.
                let described = methods.filter(|method| *method != "HEAD");
                described.map(move |method| format!("{method} {}", place.path))
            })
            .chain(probes)
            .collect();
        assert_eq!(described, there);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        match value.as_str() {
                            Some(to) if name == "$ref" => found.push(to.to_owned()),
                            _ => references(value, found),
                        }
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = whole(None).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 30, "{found:?}");
        for to in found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
    }
}
