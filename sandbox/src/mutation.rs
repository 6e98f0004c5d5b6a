//! What changing calls do to a resource. Nothing here is written yet: that is the caller's.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::error::CattleError;
use crate::knobs::{EvacuationEnd, Knobs};
use crate::process;
use crate::resource::Kind;

/// States in which a change is stored, and yet refused.
const STORED_BUT_REFUSED: [&str; 4] = ["registering", "deactivating", "restarting", "removing"];
/// States that a change of scale leads back to `active` from.
const RECONCILED: [&str; 3] = ["active", "updating-active", "activating"];

/// Hosts in these states cannot be removed at once.
const HOSTS_THAT_STAY: [&str; 5] = [
    "active",
    "updating-active",
    "activating",
    "deactivating",
    "removing",
];
/// A year.
const FOREVER: u64 = 366 * 86_400_000;

/// What a call did, and its answer's status if there was no error.
pub(crate) struct Done {
    pub(crate) status: StatusCode,
    pub(crate) effect: Value,
    /// The change is stored, but the answer is this error.
    pub(crate) refusal: Option<CattleError>,
}

/// `PUT`: changes what can be changed, ignores the rest.
pub(crate) fn put(
    kind: Kind,
    resource: &mut Value,
    body: &Value,
    now: i64,
    settle_ms: u64,
) -> Result<Done, CattleError> {
    let mut effect = json!({});
    if let Some(scale) = body
        .get("scale")
        .filter(|scale| kind == Kind::Service && !scale.is_null())
    {
        let is_whole = scale
            .as_u64()
            .is_some_and(|scale| i32::try_from(scale).is_ok());
        if !is_whole {
            let message = "must be a whole number that is not negative";
            return Err(CattleError::field("InvalidFormat", "scale", message));
        }
    }
    for field in kind.writable() {
        if let Some(value) = body.get(*field).filter(|value| **value != resource[*field]) {
            effect[*field] = json!({"from": resource[*field], "to": value});
            resource[*field] = value.clone();
        }
    }
    let state = resource["state"].as_str().unwrap_or_default().to_owned();
    let has_changed = effect.as_object().is_some_and(|effect| !effect.is_empty());
    let refusal = (has_changed && STORED_BUT_REFUSED.contains(&state.as_str()))
        .then(|| CattleError::new(StatusCode::CONFLICT, "Conflict", ""));
    if effect.get("scale").is_some() && RECONCILED.contains(&state.as_str()) {
        process::pass_through(resource, &["updating-active"], "active", now, settle_ms);
    }
    Ok(Done {
        status: StatusCode::OK,
        effect,
        refusal,
    })
}

/// `POST ?action=…`
pub(crate) fn act(
    kind: Kind,
    resource: &mut Value,
    action: &str,
    body: &Value,
    now: i64,
    knobs: &Knobs,
) -> Result<Done, CattleError> {
    if !process::exists(kind, action) {
        return Err(CattleError::field("InvalidAction", "action", action));
    }
    if !process::actions(kind, resource).any(|possible| possible == action) {
        return Err(CattleError::field("ActionNotAvailable", "action", action));
    }
    let before = resource["state"].clone();
    let mut effect = json!({});
    let mut millis = knobs.settle_ms;
    match action {
        "upgrade" => {
            effect["images"] = upgrade(resource, body)?;
            millis = millis.saturating_add(pauses(resource, &body["inServiceStrategy"]));
            if knobs.stuck_upgrades {
                millis = FOREVER;
            }
        }
        "rollback" => roll_back(resource),
        _ => {}
    }
    process::begin(kind, resource, action, now, millis);
    effect["state"] = json!({"from": before, "to": resource["state"]});
    Ok(Done {
        status: StatusCode::ACCEPTED,
        effect,
        refusal: None,
    })
}

/// How long the pauses between an upgrade's batches take together.
fn pauses(service: &Value, strategy: &Value) -> u64 {
    let batch = strategy["batchSize"].as_u64().unwrap_or(1).max(1);
    let batches = service["scale"].as_u64().unwrap_or(1).div_ceil(batch);
    let interval = strategy["intervalMillis"].as_u64().unwrap_or(2_000);
    batches.saturating_sub(1).saturating_mul(interval)
}

/// `DELETE`
pub(crate) fn delete(
    kind: Kind,
    resource: &mut Value,
    now: i64,
    settle_ms: u64,
) -> Result<Done, CattleError> {
    let state = resource["state"].as_str().unwrap_or_default();
    if kind == Kind::Host && HOSTS_THAT_STAY.contains(&state) {
        return Err(CattleError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            format!("the host is {state}"),
        ));
    }
    process::pass_through(resource, &["removing"], "removed", now, settle_ms);
    Ok(Done {
        status: StatusCode::OK,
        effect: json!({"state": "removing"}),
        refusal: None,
    })
}

/// An `externalHostEvents` of type `host.evacuate`: the host goes by and by, as far as it comes.
pub(crate) fn evacuate(host: &mut Value, now: i64, knobs: &Knobs) -> Done {
    let way = ["deactivating", "inactive", "removing"];
    let (way, end, millis) = match knobs.evacuations_end {
        EvacuationEnd::Deactivating => (&way[..1], "inactive", FOREVER),
        EvacuationEnd::Inactive => (&way[..1], "inactive", knobs.settle_ms),
        EvacuationEnd::Removed => (&way[..], "removed", knobs.settle_ms),
        EvacuationEnd::Purged => (&way[..], "purged", knobs.settle_ms),
    };
    process::pass_through(host, way, end, now, millis);
    Done {
        status: StatusCode::CREATED,
        effect: json!({"evacuated": host["id"]}),
        refusal: None,
    }
}

/// A new host is made by the driver whose configuration it has, or by its template's.
pub(crate) fn provision(host: &mut Value, now: i64, knobs: &Knobs) -> Result<(), CattleError> {
    let drivers: Vec<_> = host
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, config)| !config.is_null())
        .filter_map(|(field, _)| field.strip_suffix("Config"))
        .map(str::to_owned)
        .collect();
    let driver = match (drivers.as_slice(), &host["hostTemplateId"]) {
        ([driver], Value::Null) => driver.clone(),
        ([], template) if !template.is_null() => "digitalocean".to_owned(),
        _ => {
            let message = "exactly one driver's configuration must be given";
            let code = "DriverConfigExactlyOneRequired";
            return Err(CattleError::field(code, "driver", message));
        }
    };
    host["driver"] = json!(driver);
    let is_failing = knobs
        .failing_hosts
        .iter()
        .any(|name| host["hostname"] == name.as_str());
    match &knobs.agent_domain {
        Some(domain) => {
            let hostname = host["hostname"].as_str().unwrap_or_default();
            host["hostname"] = json!(format!("{hostname}.{domain}"));
        }
        None if host["name"].is_null() => host["name"] = host["hostname"].clone(),
        None => {}
    }
    let (way, end, message): (&[&str], _, _) = if is_failing {
        let message = "machine creation failed: quota exceeded, on purpose";
        (&["registering", "provisioning"], "error", message)
    } else {
        let way = &["registering", "provisioning", "activating"];
        (way, "active", "creating the machine")
    };
    process::pass_through(host, way, end, now, knobs.settle_ms);
    process::explain(host, message);
    Ok(())
}

/// Launch configurations are replaced wholesale by those of the request; sidekicks that it leaves out stay. Returns
/// the images before and after.
fn upgrade(resource: &mut Value, body: &Value) -> Result<Value, CattleError> {
    let strategy = &body["inServiceStrategy"];
    let configs = ["launchConfig", "secondaryLaunchConfigs"];
    if configs.iter().all(|config| strategy[*config].is_null()) {
        let message = "launchConfig or secondaryLaunchConfigs must be given";
        return Err(CattleError::field("InvalidOption", "launchConfig", message));
    }
    if resource["type"] == "loadBalancerService" && strategy["launchConfig"].is_null() {
        let message = "a load balancer's launchConfig must be given";
        return Err(CattleError::field("InvalidOption", "launchConfig", message));
    }
    if strategy["startFirst"] == true && resource["retainIp"] == true {
        let message = "a service that retains its IP cannot start first";
        return Err(CattleError::field("InvalidOption", "startFirst", message));
    }
    for (field, least) in [("batchSize", 1), ("intervalMillis", 100)] {
        if strategy[field]
            .as_u64()
            .is_some_and(|number| number < least)
        {
            let message = format!("must be at least {least}");
            return Err(CattleError::field("MinLimitExceeded", field, message));
        }
    }
    let mut noted = strategy.clone();
    for config in configs {
        let previous = format!("previous{}{}", config[..1].to_uppercase(), &config[1..]);
        noted[previous] = resource[config].clone();
    }
    let before = images(resource);
    if !strategy["launchConfig"].is_null() {
        resource["launchConfig"] = strategy["launchConfig"].clone();
    }
    let sidekicks = strategy["secondaryLaunchConfigs"].as_array();
    for new in sidekicks.into_iter().flatten() {
        let there = resource["secondaryLaunchConfigs"].as_array_mut();
        let there = there.into_iter().flatten();
        match there.into_iter().find(|one| one["name"] == new["name"]) {
            Some(one) => *one = new.clone(),
            None => {
                let message = format!("there is no sidekick {}", new["name"]);
                let field = "secondaryLaunchConfigs";
                return Err(CattleError::field("InvalidReference", field, message));
            }
        }
    }
    resource["upgrade"] = json!({"inServiceStrategy": noted});
    Ok(json!({"from": before, "to": images(resource)}))
}

fn images(service: &Value) -> Vec<Value> {
    let sidekicks = service["secondaryLaunchConfigs"].as_array();
    std::iter::once(&service["launchConfig"])
        .chain(sidekicks.into_iter().flatten())
        .map(|config| config["imageUuid"].clone())
        .collect()
}

fn roll_back(resource: &mut Value) {
    let strategy = resource["upgrade"]["inServiceStrategy"].take();
    for (config, previous) in [
        ("launchConfig", "previousLaunchConfig"),
        ("secondaryLaunchConfigs", "previousSecondaryLaunchConfigs"),
    ] {
        if !strategy[previous].is_null() {
            resource[config] = strategy[previous].clone();
        }
    }
    resource["upgrade"] = Value::Null;
}
