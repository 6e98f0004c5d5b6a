//! From the API's JSON to what a receiver is made of.

use serde_json::{Map, Value};

use super::fields::{FieldError, FieldProblem, Fields};
use super::{config, config_field, options};
use crate::domain::kind::{Driver, Kind, Target, UnknownDriver};
use crate::domain::receiver::{ImportedKey, Options, Receiver, SignSecret};

const LONGEST_NAME: usize = 255;
/// What clients send back as they got it.
const READ_ONLY: [&str; 27] = [
    "id",
    "type",
    "links",
    "actions",
    "actionLinks",
    "url",
    "state",
    "disabledUntil",
    "revision",
    "imported",
    "importedKeySha256",
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
/// What a caller says of a receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What its triggers do.
    pub kind: Kind,
    /// How they are treated.
    pub options: Options,
    /// A key that its trigger URL had elsewhere.
    pub imported_key: Option<ImportedKey>,
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
    // Told before the configuration of another driver is missed.
    if !change["driver"].is_null() && change["driver"] != receiver.kind.driver().to_string() {
        return Err(unchangeable("driver"));
    }
    let mut merged = rendered;
    // A selector is replaced as a whole: what would be left of the old one nobody can see in the request.
    for driver in Driver::ALL {
        let config = config_field(driver);
        for selector in ["hostSelector", "serviceSelector"] {
            if !change[config][selector].is_null() {
                merged[config][selector] = Value::Null;
            }
        }
    }
    let config = config_field(Driver::ScaleHost);
    if change[config]["action"] == "up" && change[config]["deleteOption"].is_null() {
        // It was shown for the other direction.
        merged[config]["deleteOption"] = Value::Null;
    }
    merge(&mut merged, change);
    let definition = parse_with(merged, receiver.options.sign.clone())?;
    check_target(receiver, &definition.kind)?;
    Ok(definition)
}

/// Refuses a `kind` of another driver than the one of `receiver`, or with another target.
pub fn check_target(receiver: &Receiver, kind: &Kind) -> Result<(), FieldError> {
    if kind.driver() != receiver.kind.driver() {
        return Err(unchangeable("driver"));
    }
    match other_target(&receiver.kind, kind) {
        None => Ok(()),
        Some(field) => Err(unchangeable(field)),
    }
}

fn unchangeable(field: &str) -> FieldError {
    let message =
        format!("the {field} of a receiver cannot be changed; create another receiver instead");
    FieldError::new(FieldProblem::InvalidOption, field, message)
}

/// The field by which both act on other things; none if their triggers belong to one group.
fn other_target(one: &Kind, other: &Kind) -> Option<&'static str> {
    if let (Kind::ForwardPost(one), Kind::ForwardPost(other)) = (one, other) {
        let fields = [
            ("projectId", one.project_id == other.project_id),
            ("serviceName", one.service_name == other.service_name),
            ("port", one.port == other.port),
        ];
        let differing = fields.into_iter().find(|(_, is_same)| !is_same);
        return differing.map(|(field, _)| field);
    }
    let is_same = match (one.target(), other.target()) {
        (Target::Hosts(one), Target::Hosts(other))
        | (Target::Services(one), Target::Services(other)) => one.is_same(&other),
        (one, other) => one == other,
    };
    (!is_same).then(|| one.target_field())
}

fn parse_with(body: Value, sign: Option<SignSecret>) -> Result<Definition, FieldError> {
    let mut fields = Fields::of(body, "receiver")?;
    for field in READ_ONLY {
        fields.ignore(field);
    }
    let name = fields.text("name", 1, LONGEST_NAME)?;
    let driver: Driver =
        fields
            .text("driver", 1, LONGEST_NAME)?
            .parse()
            .map_err(|error: UnknownDriver| {
                FieldError::new(FieldProblem::InvalidOption, "driver", error.to_string())
            })?;
    let own = config_field(driver);
    // Clients with a type for receivers send the empty configurations of the other kinds along.
    let is_empty = |config: &Value| config.as_object().is_some_and(Map::is_empty);
    for other in Driver::ALL.into_iter().filter(|other| *other != driver) {
        let field = config_field(other);
        if fields.take(field).is_some_and(|config| !is_empty(&config)) {
            let message = format!("a {driver} receiver has {own}, not {field}");
            return Err(FieldError::new(FieldProblem::InvalidOption, field, message));
        }
    }
    let kind = config::parse(driver, fields.require(own)?)?;
    let imported_key = imported_key(&mut fields)?;
    let options = options::parse(&mut fields, driver, sign)?;
    fields.end()?;
    Ok(Definition {
        name,
        kind,
        options,
        imported_key,
    })
}

/// A key that was brought along from Rancher: 40 letters and digits.
fn imported_key(fields: &mut Fields) -> Result<Option<ImportedKey>, FieldError> {
    match fields.take("importedKey") {
        None => Ok(None),
        Some(Value::String(key)) if ImportedKey::is_key(&key) => Ok(Some(ImportedKey::new(&key))),
        Some(_) => Err(FieldError::new(
            FieldProblem::InvalidFormat,
            "importedKey",
            "importedKey must be the 40 letters and digits of a trigger URL of Rancher",
        )),
    }
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
    use crate::domain::receiver::Test;
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
        assert_eq!(
            definition.options,
            Options::default_for(Driver::ScaleService)
        );
        for (field, value) in [
            ("scaleHostConfig", Value::Null),
            ("scaleHostConfig", json!({})),
            ("forwardPostConfig", json!({})),
            ("links", json!({})),
            ("actions", json!({"rotate": "https://hooks.example.org"})),
            ("importedKeySha256", json!("00")),
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
            ("", "scaleServiceConfig", json!(null), MissingRequired),
            ("", "scaleServiceConfig", json!([]), InvalidFormat),
            ("", "scaleHostConfig", json!({"min": 1}), InvalidOption),
            ("", "scaleHostConfig", json!([]), InvalidOption),
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
            ("", "redact", json!(["/a~2"]), InvalidFormat),
            ("", "redact", json!(["/a~"]), InvalidFormat),
            ("", "redact", json!(["/a~~0"]), InvalidFormat),
            (
                "",
                "filter",
                json!([{"pointer": "/a~2", "equals": 1}]),
                InvalidFormat,
            ),
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

    #[test]
    fn the_rules_for_alerts_must_see_what_they_look_at() {
        for field in [
            "",
            "/version",
            "/status",
            "/notification_reason",
            "/notificationReason",
        ] {
            let error = parse(with("", "redact", json!([field]))).unwrap_err();
            assert_eq!(error.field, "redact", "{field}");
            assert!(error.message.contains("rules for alerts"), "{error}");
        }
        let harmless = json!(["/alerts", "/alerts/0/labels", "/statuses", "/a~0b~1c"]);
        assert!(parse(with("", "redact", harmless)).is_ok());

        // Only repeats mean something to the other kinds, where they are ignored.
        let mut forward = json!({
            "name": "pass-on", "driver": "forwardPost", "redact": ["/status"],
            "forwardPostConfig": {"projectId": "1a5", "serviceName": "api", "port": 80},
        });
        assert!(parse(forward.clone()).is_ok());
        forward["onRepeat"] = json!("ignore");
        assert_eq!(parse(forward).unwrap_err().field, "redact");
    }

    #[test]
    fn a_filter_can_ask_for_null() {
        let test = |condition: Value| {
            let filter = json!([condition]);
            let definition = parse(with("", "filter", filter)).unwrap();
            definition.options.filter[0].test.clone()
        };
        let null = test(json!({"pointer": "/a", "equals": null}));
        assert_eq!(null, Test::Equals(Value::Null));
        let one_of = test(json!({"pointer": "/a", "equals": null, "in": [null]}));
        assert_eq!(one_of, Test::In(vec![Value::Null]));
        let like = test(json!({"pointer": "/a", "equals": null, "glob": "*"}));
        assert_eq!(like, Test::Glob("*".to_owned()));
        let neither = with("", "filter", json!([{"pointer": "/a", "in": null}]));
        assert_eq!(parse(neither).unwrap_err().field, "filter");
    }

    #[test]
    fn a_field_that_leads_to_another_target_is_named() {
        let forward = |field: &str, value: Value| {
            let mut body = json!({
                "name": "pass-on", "driver": "forwardPost",
                "forwardPostConfig": {"projectId": "1a5", "serviceName": "api", "port": 80},
            });
            body["forwardPostConfig"][field] = value;
            parse(body).unwrap().kind
        };
        let kind = forward("path", json!("/"));
        let elsewhere = forward("path", json!("/x"));
        assert_eq!(other_target(&kind, &elsewhere), None);
        for (field, value) in [
            ("projectId", json!("1a6")),
            ("serviceName", json!("web")),
            ("port", json!("81")),
        ] {
            let other = forward(field, value);
            assert_eq!(other_target(&kind, &other), Some(field));
        }
    }
}
