//! What there is and which fields it has, in Rancher's form, for clients that build their forms and calls from that.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use stormhook_shared::domain::kind::{AddressType, Driver, Kind, OnFailure, PayloadFormat};
use stormhook_shared::domain::receiver::Options;
use stormhook_shared::domain::scaling::LARGEST_SCALE;
use stormhook_shared::receiver_json::config_field;

use crate::access::{Need, authorize, parameter};
use crate::app::App;
use crate::error::ApiError;

const HEADER: HeaderName = HeaderName::from_static("x-api-schemas");
const MOST_SECONDS: u64 = Options::LONGEST_COOLDOWN.as_secs();

/// `GET /v1-webhooks/schemas`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let address = Address::of(&app, &request, grant.project.as_str());
    let data: Vec<_> = all()
        .into_iter()
        .map(|schema| schema.shown(&address))
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "schema",
        "links": {"self": address.of_schema("")},
        "data": data,
    })))
}

/// `GET /v1-webhooks/schemas/{id}`
pub(crate) async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let address = Address::of(&app, &request, grant.project.as_str());
    let schema = all().into_iter().find(|schema| schema.id == *id);
    let schema = schema.ok_or_else(|| ApiError::not_found(format!("there is no schema {id}")))?;
    Ok(HttpResponse::Ok().json(schema.shown(&address)))
}

/// Adds the address of the schemas to every answer of the management API.
pub(crate) async fn name_in_header(
    app: web::Data<App>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_management =
        request.path().starts_with("/v1-webhooks") && request.path() != "/v1-webhooks/endpoint";
    let address = is_management.then(|| {
        let project = parameter(request.request(), "projectId").unwrap_or_default();
        Address::of(&app, request.request(), &project).of_schema("")
    });
    let mut response = next.call(request).await?;
    if let Some(value) = address.and_then(|address| HeaderValue::try_from(address).ok()) {
        response.headers_mut().insert(HEADER, value);
    }
    Ok(response)
}

/// What links begin and end with.
struct Address {
    base: String,
    query: String,
}

impl Address {
    fn of(app: &App, request: &HttpRequest, project: &str) -> Self {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("projectId", project)
            .finish();
        Self {
            base: format!("{}/v1-webhooks", app.base(request)),
            query,
        }
    }

    fn of_schema(&self, id: &str) -> String {
        let Self { base, query } = self;
        let slash = if id.is_empty() { "" } else { "/" };
        format!("{base}/schemas{slash}{id}?{query}")
    }
}

/// What there is, and which fields it has.
pub(crate) struct Schema {
    /// Its name.
    pub(crate) id: String,
    plural: String,
    collection_methods: &'static [&'static str],
    resource_methods: &'static [&'static str],
    actions: &'static [&'static str],
    /// The fields, in Rancher's words.
    pub(crate) fields: Vec<(&'static str, Value)>,
}

impl Schema {
    fn shown(self, address: &Address) -> Value {
        let mut links = json!({"self": address.of_schema(&self.id)});
        if !self.collection_methods.is_empty() {
            let Address { base, query } = address;
            links["collection"] = json!(format!("{base}/{}?{query}", self.plural));
        }
        let fields: Map<_, _> = self
            .fields
            .into_iter()
            .map(|(name, field)| (name.to_owned(), field))
            .collect();
        let actions: Map<_, _> = self
            .actions
            .iter()
            .map(|action| ((*action).to_owned(), json!({"output": self.id})))
            .collect();
        json!({
            "type": "schema",
            "id": self.id,
            "pluralName": self.plural,
            "collectionMethods": self.collection_methods,
            "resourceMethods": self.resource_methods,
            "resourceActions": actions,
            "resourceFields": fields,
            "links": links,
        })
    }
}

/// All schemas.
pub(crate) fn all() -> Vec<Schema> {
    let mut all = vec![receiver()];
    all.extend(Driver::ALL.map(|driver| Schema {
        id: driver.to_string(),
        plural: format!("{driver}s"),
        collection_methods: &[],
        resource_methods: &[],
        actions: &[],
        fields: config(driver),
    }));
    all.push(trigger());
    all
}

fn receiver() -> Schema {
    let drivers = Driver::ALL.map(|driver| driver.to_string());
    let mut fields = vec![
        (
            "name",
            required(json!({"type": "string", "minLength": 1, "maxLength": 255})),
        ),
        ("driver", fixed(json!({"type": "enum", "options": drivers}))),
        ("url", read_only("string")),
        ("state", read_only("string")),
        ("disabledUntil", read_only("date")),
        ("imported", read_only("boolean")),
        ("importedKeySha256", read_only("string")),
        ("revision", read_only("int")),
        ("created", read_only("date")),
    ];
    for driver in Driver::ALL {
        fields.push((config_field(driver), optional(json!({"type": driver}))));
    }
    fields.extend([
        ("cooldownSeconds", number(0, MOST_SECONDS, 0)),
        ("groupCooldownSeconds", number(0, MOST_SECONDS, 0)),
        ("onLimit", choice(&["reject", "clamp"], "reject")),
        (
            "onResolved",
            choice(&["skip", "trigger", "reverse"], "skip"),
        ),
        ("onRepeat", choice(&["trigger", "ignore"], "trigger")),
        ("dedupe", choice(&["none", "alert"], "none")),
        (
            "filter",
            optional(json!({"type": "array[json]", "default": []})),
        ),
        ("sign", optional(json!({"type": "json"}))),
        (
            "redact",
            optional(json!({"type": "array[string]", "default": []})),
        ),
        (
            "deadlineSeconds",
            optional(json!({
                "type": "int", "min": 1, "max": MOST_SECONDS, "description": default_deadlines(),
            })),
        ),
    ]);
    Schema {
        id: "receiver".to_owned(),
        plural: "receivers".to_owned(),
        collection_methods: &["GET", "POST"],
        resource_methods: &["GET", "PUT", "DELETE"],
        actions: &["rotate", "enable", "disable"],
        fields,
    }
}

/// The default of `deadlineSeconds`, which a field cannot tell, as each driver has its own: clients post what a field tells.
fn default_deadlines() -> String {
    let seconds = |driver| Kind::default_deadline(driver).as_secs();
    format!(
        "{} where none is given, {} for hosts and upgrades",
        seconds(Driver::ScaleService),
        seconds(Driver::ScaleHost)
    )
}

fn trigger() -> Schema {
    let texts = [
        "receiverId",
        "receiverName",
        "driver",
        "group",
        "state",
        "replayOf",
        "parentId",
    ];
    let mut fields: Vec<_> = texts.map(|field| (field, read_only("string"))).into();
    fields.extend([
        ("sequence", read_only("int")),
        ("acceptedAt", read_only("date")),
        ("source", read_only("json")),
        ("outcome", read_only("json")),
    ]);
    Schema {
        id: "trigger".to_owned(),
        plural: "triggers".to_owned(),
        collection_methods: &["GET"],
        resource_methods: &["GET"],
        actions: &["redeliver"],
        fields,
    }
}

fn config(driver: Driver) -> Vec<(&'static str, Value)> {
    let amounts = |default| {
        required(json!({"type": "int", "min": 1, "max": LARGEST_SCALE, "default": default}))
    };
    let scaling = [
        (
            "action",
            required(json!({"type": "enum", "options": ["up", "down"]})),
        ),
        ("amount", amounts(1)),
        ("min", amounts(1)),
        ("max", amounts(100)),
    ];
    let selector = || fixed(json!({"type": "map[string]"}));
    match driver {
        Driver::ScaleService => {
            let mut fields = vec![("serviceId", fixed(json!({"type": "reference[service]"})))];
            fields.extend(scaling);
            fields.push(("overrideAutoscaler", switch()));
            fields
        }
        Driver::ScaleHost => {
            let mut fields = vec![("hostSelector", selector())];
            fields.extend(scaling);
            // No default, as clients post it: with the action up it would be refused.
            let delete_option = optional(json!({
                "type": "enum", "options": ["mostRecent", "leastRecent"],
                "description": "for the action down only; leastRecent where none is given",
            }));
            fields.push(("deleteOption", delete_option));
            fields.push(("remove", switch()));
            fields.push(("includeManagers", switch()));
            fields
        }
        Driver::ServiceUpgrade => vec![
            ("serviceSelector", selector()),
            (
                "tag",
                required(json!({"type": "string", "minLength": 1, "maxLength": 128})),
            ),
            ("image", optional(json!({"type": "string"}))),
            (
                "payloadFormat",
                choice(&PayloadFormat::ALL.map(|(name, _)| name), "dockerhub"),
            ),
            (
                "addressType",
                choice(&AddressType::ALL.map(|(name, _)| name), "registry"),
            ),
            ("batchSize", number(1, 10_000, 1)),
            ("intervalMillis", number(100, 3_600_000, 2_000)),
            ("startFirst", switch()),
            ("settleSeconds", number(0, 600, 5)),
            (
                "onFailure",
                choice(&OnFailure::ALL.map(|(name, _)| name), "pause"),
            ),
            (
                "monitorSeconds",
                optional(json!({"type": "int", "min": 1, "max": 3_600})),
            ),
        ],
        Driver::ForwardPost => vec![
            ("projectId", fixed(json!({"type": "string"}))),
            ("serviceName", fixed(json!({"type": "string"}))),
            ("port", fixed(json!({"type": "string"}))),
            ("path", optional(json!({"type": "string", "default": "/"}))),
        ],
    }
}

fn with(mut field: Value, required: bool, create: bool, update: bool) -> Value {
    field["required"] = json!(required);
    field["nullable"] = json!(!required);
    field["create"] = json!(create);
    field["update"] = json!(update);
    field
}

/// Must be given, and can be changed.
fn required(field: Value) -> Value {
    with(field, true, true, true)
}

/// Must be given, and stays.
fn fixed(field: Value) -> Value {
    with(field, true, true, false)
}

fn optional(field: Value) -> Value {
    with(field, false, true, true)
}

fn read_only(kind: &str) -> Value {
    with(json!({"type": kind}), false, false, false)
}

fn number(min: u64, max: u64, default: u64) -> Value {
    optional(json!({"type": "int", "min": min, "max": max, "default": default}))
}

fn switch() -> Value {
    optional(json!({"type": "boolean", "default": false}))
}

fn choice(options: &[&str], default: &str) -> Value {
    optional(json!({"type": "enum", "options": options, "default": default}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormhook_shared::receiver_json::{self, Definition, FieldError, FieldProblem};

    /// A field that a receiver can be given.
    struct Field {
        /// In which object, as a JSON pointer.
        place: String,
        name: &'static str,
        /// What the schemas tell of it.
        told: Value,
    }

    impl Field {
        /// What becomes of `receiver` with this field.
        fn put(&self, mut receiver: Value, value: Value) -> Result<Definition, FieldError> {
            receiver.pointer_mut(&self.place).unwrap()[self.name] = value;
            receiver_json::parse(receiver)
        }

        fn is(&self, kind: &str) -> bool {
            self.told["type"] == kind
        }
    }

    /// The fields of receivers of this kind that can be given, without its driver and its configuration as a whole.
    fn fields(driver: Driver) -> Vec<Field> {
        let whole = Driver::ALL.map(config_field);
        let receiver = receiver().fields.into_iter();
        let receiver = receiver.filter(|(name, _)| *name != "driver" && !whole.contains(name));
        let receiver = receiver.map(|field| (String::new(), field));
        let place = format!("/{}", config_field(driver));
        let config = config(driver).into_iter();
        let config = config.map(|field| (place.clone(), field));
        receiver
            .chain(config)
            .map(|(place, (name, told))| Field { place, name, told })
            .filter(|field| field.told["create"] == true)
            .collect()
    }

    /// A receiver with the fields that it needs and no others.
    fn least(driver: Driver, action: &str) -> Value {
        let config = match driver {
            Driver::ScaleService => json!({
                "serviceId": "1s5", "action": action, "amount": 1, "min": 1, "max": 4,
            }),
            Driver::ScaleHost => json!({
                "hostSelector": {"role": "web"}, "action": action, "amount": 1, "min": 1, "max": 4,
            }),
            Driver::ServiceUpgrade => json!({"serviceSelector": {"release": "shop"}, "tag": "v1"}),
            Driver::ForwardPost => json!({"projectId": "1a5", "serviceName": "api", "port": "80"}),
        };
        json!({"name": "some", "driver": driver, config_field(driver): config})
    }

    #[test]
    fn limits_are_those_that_the_parser_keeps() {
        use FieldProblem::{InvalidOption, MaxLimitExceeded, MinLimitExceeded};
        for driver in Driver::ALL {
            for field in fields(driver).iter().filter(|field| field.is("int")) {
                let limit = |name: &str| field.told[name].as_i64().unwrap();
                for (number, expected) in [
                    (limit("min") - 1, Some(MinLimitExceeded)),
                    (limit("min"), None),
                    (limit("max"), None),
                    (limit("max") + 1, Some(MaxLimitExceeded)),
                ] {
                    let parsed = field.put(least(driver, "down"), json!(number));
                    let problem = parsed.err().map(|error| error.problem);
                    // Beyond its limits, min must be below max.
                    let problem = problem.filter(|problem| *problem != InvalidOption);
                    assert_eq!(problem, expected, "{driver}, {}: {number}", field.name);
                }
            }
        }
    }

    #[test]
    fn lengths_are_those_that_the_parser_keeps() {
        for driver in Driver::ALL {
            let has_length = |field: &&Field| field.told["maxLength"].is_u64();
            for field in fields(driver).iter().filter(has_length) {
                let limit = |name: &str| field.told[name].as_u64().unwrap();
                let (least_chars, most_chars) = (limit("minLength"), limit("maxLength"));
                for chars in least_chars - 1..=most_chars + 1 {
                    let text = json!("x".repeat(usize::try_from(chars).unwrap()));
                    let is_taken = field.put(least(driver, "down"), text).is_ok();
                    let is_told = (least_chars..=most_chars).contains(&chars);
                    assert_eq!(is_taken, is_told, "{driver}, {}: {chars}", field.name);
                }
            }
        }
    }

    #[test]
    fn options_are_those_that_the_parser_takes() {
        for driver in Driver::ALL {
            for field in fields(driver).iter().filter(|field| field.is("enum")) {
                for option in field.told["options"].as_array().unwrap() {
                    let parsed = field.put(least(driver, "down"), option.clone());
                    assert!(parsed.is_ok(), "{driver}, {}: {parsed:?}", field.name);
                }
                let wrong = field.put(least(driver, "down"), json!("sideways"));
                let error = wrong.unwrap_err();
                assert_eq!(error.problem, FieldProblem::InvalidOption);
                assert_eq!(error.field, field.name);
            }
        }
    }

    #[test]
    fn what_may_be_left_out_has_the_default_that_is_told() {
        for (driver, action) in Driver::ALL
            .into_iter()
            .flat_map(|driver| [(driver, "up"), (driver, "down")])
        {
            let least = least(driver, action);
            let expected = receiver_json::parse(least.clone()).unwrap();
            for field in fields(driver) {
                let (name, default) = (field.name, field.told["default"].clone());
                if field.told["required"] == true {
                    let error = field.put(least.clone(), Value::Null).unwrap_err();
                    assert_eq!(error.problem, FieldProblem::MissingRequired);
                    assert_eq!(error.field, name);
                } else {
                    // Without a default it is null.
                    let parsed = field.put(least.clone(), default);
                    assert_eq!(parsed.as_ref(), Ok(&expected), "{driver} {action}, {name}");
                }
            }
        }
    }
}
