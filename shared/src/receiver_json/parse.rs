//! From the API's JSON to what a receiver is made of.

use serde_json::Value;

use super::SCALE_SERVICE_CONFIG;
use super::fields::{FieldError, FieldProblem, Fields};
use super::options;
use crate::domain::receiver::{Kind, Options, Receiver, ScaleService, SignSecret};
use crate::domain::scaling::{Bounds, Direction};

const LONGEST_NAME: usize = 255;
const LONGEST_SERVICE_ID: usize = 253;
/// What clients send back as they got it.
const READ_ONLY: [&str; 25] = [
    "id",
    "type",
    "links",
    "actions",
    "actionLinks",
    "url",
    "state",
    "disabledUntil",
    "revision",
    "baseType",
    "uuid",
    "kind",
    "created",
    "createdTS",
    "accountId",
    "projectId",
    "description",
    "removed",
    "removeTime",
    "transitioning",
    "transitioningMessage",
    "transitioningProgress",
    "data",
    "schemaLinks",
    "opt",
];
/// What Rancher had and this version has not.
const OTHER_DRIVERS: [&str; 3] = ["scaleHost", "serviceUpgrade", "forwardPost"];

/// What a caller says of a receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What its triggers do.
    pub kind: Kind,
    /// How they are treated.
    pub options: Options,
}

/// Parses what a caller says of a new receiver.
pub fn parse(body: Value) -> Result<Definition, FieldError> {
    parse_with(body, None)
}

/// What `receiver` becomes when `change` is merged into it (RFC 7386, as it was `rendered`): fields that are absent
/// stay as they are, null resets an option. Driver and target cannot change.
pub fn changed(
    receiver: &Receiver,
    rendered: Value,
    change: Value,
) -> Result<Definition, FieldError> {
    if !change.is_object() {
        return Err(Fields::of(change, "receiver").err().unwrap_or_else(|| {
            FieldError::new(
                FieldProblem::InvalidFormat,
                "receiver",
                "the body must be a JSON object",
            )
        }));
    }
    let mut merged = rendered;
    merge(&mut merged, change);
    let definition = parse_with(merged, receiver.options.sign.clone())?;
    if !definition.kind.has_target_of(&receiver.kind) {
        let is_other_driver = definition.kind.driver() != receiver.kind.driver();
        let field = if is_other_driver {
            "driver"
        } else {
            "serviceId"
        };
        let message =
            format!("the {field} of a receiver cannot be changed; create another receiver instead");
        return Err(FieldError::new(FieldProblem::InvalidOption, field, message));
    }
    Ok(definition)
}

fn parse_with(body: Value, sign: Option<SignSecret>) -> Result<Definition, FieldError> {
    let mut fields = Fields::of(body, "receiver")?;
    for field in READ_ONLY {
        fields.ignore(field);
    }
    let name = fields.text("name", 1, LONGEST_NAME)?;
    let driver = fields.text("driver", 1, LONGEST_NAME)?;
    if driver != "scaleService" {
        let message = if OTHER_DRIVERS.contains(&driver.as_str()) {
            format!("driver {driver} is not part of this version; it has scaleService")
        } else {
            format!("driver must be scaleService, but it is {driver:?}")
        };
        return Err(FieldError::new(
            FieldProblem::InvalidOption,
            "driver",
            message,
        ));
    }
    for other in OTHER_DRIVERS {
        let field = format!("{other}Config");
        if fields.take(&field).is_some() {
            let message =
                format!("a scaleService receiver has {SCALE_SERVICE_CONFIG}, not {field}");
            return Err(FieldError::new(
                FieldProblem::InvalidOption,
                &field,
                message,
            ));
        }
    }
    let config = fields.require(SCALE_SERVICE_CONFIG)?;
    let kind = Kind::ScaleService(scale_service(config)?);
    let options = options::parse(&mut fields, sign)?;
    fields.end()?;
    Ok(Definition {
        name,
        kind,
        options,
    })
}

fn scale_service(config: Value) -> Result<ScaleService, FieldError> {
    let mut fields = Fields::of(config, SCALE_SERVICE_CONFIG)?;
    fields.ignore("type");
    let service_id = fields.text("serviceId", 1, LONGEST_SERVICE_ID)?;
    if service_id.contains(char::is_whitespace) {
        let message =
            format!("serviceId must be a service's id, like 1s5, but it is {service_id:?}");
        return Err(FieldError::new(
            FieldProblem::InvalidFormat,
            "serviceId",
            message,
        ));
    }
    let directions = [("up", Direction::Up), ("down", Direction::Down)];
    let action = fields.one_of("action", &directions)?.ok_or_else(|| {
        FieldError::new(
            FieldProblem::MissingRequired,
            "action",
            "action is missing: up or down",
        )
    })?;
    let amount = fields.amount("amount")?;
    let (min, max) = (fields.amount("min")?, fields.amount("max")?);
    fields.end()?;
    let bounds = Bounds::new(min, max)
        .map_err(|error| FieldError::new(FieldProblem::InvalidOption, "min", error.to_string()))?;
    Ok(ScaleService {
        service_id,
        action,
        amount,
        bounds,
    })
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (field, value) in patch {
                if value.is_null() {
                    target.remove(&field);
                } else {
                    merge(target.entry(field).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn complete() -> Value {
        json!({
            "name": "scale-web", "driver": "scaleService",
            "scaleServiceConfig": {"type": "scaleService", "serviceId": "1s5", "amount": 1, "action": "up", "min": 1, "max": 4},
        })
    }

    fn with(pointer: &str, field: &str, value: Value) -> Value {
        let mut body = complete();
        body.pointer_mut(pointer).unwrap()[field] = value;
        body
    }

    #[test]
    fn a_complete_receiver_is_understood_with_what_rancher_clients_send_along() {
        let definition = parse(complete()).unwrap();
        assert_eq!(definition.name, "scale-web");
        assert_eq!(definition.options, Options::default());
        for (field, value) in [
            ("scaleHostConfig", Value::Null),
            ("links", json!({})),
            ("id", json!("1x1")),
            ("cooldownSeconds", json!(60)),
        ] {
            assert!(parse(with("", field, value)).is_ok(), "{field}");
        }
    }

    #[test]
    fn each_mistake_is_told_with_its_field() {
        const CONFIG: &str = "/scaleServiceConfig";
        use FieldProblem::*;
        for (pointer, field, value, problem) in [
            (CONFIG, "amount", json!(1.5), InvalidFormat),
            (CONFIG, "amount", json!("1"), InvalidFormat),
            (CONFIG, "amount", json!(0), MinLimitExceeded),
            (CONFIG, "amount", json!(-1), MinLimitExceeded),
            (CONFIG, "amount", json!(3_000_000_000_u64), MaxLimitExceeded),
            (CONFIG, "amount", json!(null), MissingRequired),
            (CONFIG, "min", json!(null), MissingRequired),
            (CONFIG, "max", json!(null), MissingRequired),
            (CONFIG, "min", json!(4), InvalidOption),
            (CONFIG, "action", json!("sideways"), InvalidOption),
            (CONFIG, "action", json!(null), MissingRequired),
            (CONFIG, "serviceId", json!(null), MissingRequired),
            (CONFIG, "serviceId", json!(5), InvalidFormat),
            (CONFIG, "ammount", json!(5), InvalidOption),
            ("", "name", json!(null), MissingRequired),
            ("", "name", json!("   "), MinLimitExceeded),
            ("", "name", json!("x".repeat(256)), MaxLimitExceeded),
            ("", "driver", json!("scaleMoon"), InvalidOption),
            ("", "driver", json!("scaleHost"), InvalidOption),
            ("", "scaleServiceConfig", json!(null), MissingRequired),
            ("", "scaleServiceConfig", json!([]), InvalidFormat),
            ("", "scaleHostConfig", json!({}), InvalidOption),
            ("", "cooldownSeconds", json!(-1), MinLimitExceeded),
            ("", "cooldownSeconds", json!(86_401), MaxLimitExceeded),
            ("", "cooldownSecond", json!(1), InvalidOption),
            ("", "onLimit", json!("stop"), InvalidOption),
            ("", "filter", json!({}), InvalidFormat),
            (
                "",
                "filter",
                json!([{"pointer": "a", "equals": 1}]),
                InvalidFormat,
            ),
            ("", "filter", json!([{"pointer": "/a"}]), InvalidOption),
            (
                "",
                "filter",
                json!([{"pointer": "/a", "glob": "["}]),
                InvalidOption,
            ),
            ("", "sign", json!({"secret": "short"}), MinLimitExceeded),
            ("", "redact", json!(["a"]), InvalidFormat),
        ] {
            let error = parse(with(pointer, field, value.clone())).unwrap_err();
            assert_eq!(
                (error.problem, error.field.as_str()),
                (problem, field),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn the_filter_must_see_what_it_looks_at() {
        let mut body = with("", "redact", json!(["/secret"]));
        body["filter"] = json!([{"pointer": "/secret/part", "equals": 1}]);
        assert_eq!(parse(body).unwrap_err().field, "redact");
    }
}
