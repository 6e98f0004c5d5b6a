//! The configuration of each kind, from the API's JSON and to it.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde_json::{Value, json};

use super::config_field;
use super::fields::{FieldError, FieldProblem, Fields, shown};
use crate::domain::kind::{
    AddressType, DeleteOption, Driver, ForwardPost, Kind, OnFailure, PayloadFormat, ScaleHost,
    ScaleService, Scaling, ServiceUpgrade,
};
use crate::domain::push::{Tag, is_repository};
use crate::domain::scaling::{Amount, Bounds, Direction};
use crate::domain::selector::Selector;

/// Kubernetes' longest: a resource with its group, a namespace and a name.
const LONGEST_SERVICE_ID: usize = 640;
const LONGEST_LABEL: usize = 255;
const MOST_PAIRS: usize = 20;
const LONGEST_PATH: usize = 1_000;
/// Cattle refuses less.
const LEAST_INTERVAL_MILLIS: u64 = 100;
const LONGEST_INTERVAL_MILLIS: u64 = 3_600_000;
const LONGEST_SETTLE_SECONDS: u64 = 600;
const MOST_AT_ONCE: u64 = 10_000;
const LONGEST_MONITOR_SECONDS: u64 = 3_600;

/// Parses the configuration of a receiver of this kind.
pub(super) fn parse(driver: Driver, config: Value) -> Result<Kind, FieldError> {
    let mut fields = Fields::of(config, config_field(driver))?;
    fields.ignore("type");
    let kind = match driver {
        Driver::ScaleService => Kind::ScaleService(ScaleService {
            service_id: service_id(&mut fields)?,
            override_autoscaler: fields.switch("overrideAutoscaler")?.unwrap_or(false),
            scaling: scaling(&mut fields)?,
        }),
        Driver::ScaleHost => Kind::ScaleHost(scale_host(&mut fields)?),
        Driver::ServiceUpgrade => Kind::ServiceUpgrade(service_upgrade(&mut fields)?),
        Driver::ForwardPost => Kind::ForwardPost(forward_post(&mut fields)?),
    };
    fields.end()?;
    Ok(kind)
}

/// The configuration as the API shows it.
pub(super) fn render(kind: &Kind) -> Value {
    let mut rendered = match kind {
        Kind::ScaleService(config) => json!({"serviceId": config.service_id}),
        Kind::ScaleHost(config) => json!({"hostSelector": config.host_selector}),
        Kind::ServiceUpgrade(config) => json!({
            "serviceSelector": config.service_selector,
            "tag": config.tag,
            "image": config.image,
            "payloadFormat": config.payload_format,
            "batchSize": config.batch_size,
            "intervalMillis": u64::try_from(config.interval.as_millis()).unwrap_or(u64::MAX),
            "startFirst": config.start_first,
            "settleSeconds": config.settle.as_secs(),
        }),
        Kind::ForwardPost(config) => json!({
            "projectId": config.project_id,
            "serviceName": config.service_name,
            "port": config.port.to_string(),
            "path": config.path,
        }),
    };
    rendered["type"] = json!(kind.driver());
    let scaling = match kind {
        Kind::ScaleService(config) => {
            if config.override_autoscaler {
                rendered["overrideAutoscaler"] = json!(true);
            }
            Some(config.scaling)
        }
        Kind::ScaleHost(config) => {
            if config.scaling.action == Direction::Down {
                rendered["deleteOption"] = json!(config.delete_option);
            }
            // Not every platform has these: they are shown where they are set.
            if config.remove {
                rendered["remove"] = json!(true);
            }
            if config.include_managers {
                rendered["includeManagers"] = json!(true);
            }
            Some(config.scaling)
        }
        Kind::ServiceUpgrade(config) => {
            if config.payload_format == PayloadFormat::Alicloud {
                rendered["addressType"] = json!(config.address_type);
            }
            if config.on_failure != OnFailure::Pause {
                rendered["onFailure"] = json!(config.on_failure);
            }
            if let Some(monitor) = config.monitor {
                rendered["monitorSeconds"] = json!(monitor.as_secs());
            }
            None
        }
        Kind::ForwardPost(_) => None,
    };
    if let Some(scaling) = scaling {
        rendered["action"] = json!(scaling.action);
        rendered["amount"] = json!(scaling.amount);
        rendered["min"] = json!(scaling.bounds.min());
        rendered["max"] = json!(scaling.bounds.max());
    }
    rendered
}

fn service_id(fields: &mut Fields) -> Result<String, FieldError> {
    let id = fields.text("serviceId", 1, LONGEST_SERVICE_ID)?;
    if id.contains(char::is_whitespace) {
        let message = format!("serviceId must be a service's id, like 1s5, but it is {id:?}");
        return Err(invalid(FieldProblem::InvalidFormat, "serviceId", message));
    }
    Ok(id)
}

fn scaling(fields: &mut Fields) -> Result<Scaling, FieldError> {
    let directions = [("up", Direction::Up), ("down", Direction::Down)];
    let action = fields.one_of("action", &directions)?.ok_or_else(|| {
        let message = "action is missing: up or down";
        invalid(FieldProblem::MissingRequired, "action", message)
    })?;
    let amount: Amount = fields.amount("amount")?;
    let (min, max) = (fields.amount("min")?, fields.amount("max")?);
    let bounds = Bounds::new(min, max)
        .map_err(|error| invalid(FieldProblem::InvalidOption, "min", error.to_string()))?;
    Ok(Scaling {
        action,
        amount,
        bounds,
    })
}

fn scale_host(fields: &mut Fields) -> Result<ScaleHost, FieldError> {
    let host_selector = selector(fields, "hostSelector")?;
    let scaling = scaling(fields)?;
    let options = [
        ("mostRecent", DeleteOption::MostRecent),
        ("leastRecent", DeleteOption::LeastRecent),
    ];
    let delete_option = fields.one_of("deleteOption", &options)?;
    if delete_option.is_some() && scaling.action == Direction::Up {
        let message = "deleteOption is for the action down only";
        return Err(invalid(
            FieldProblem::InvalidOption,
            "deleteOption",
            message,
        ));
    }
    Ok(ScaleHost {
        host_selector,
        scaling,
        delete_option: delete_option.unwrap_or(DeleteOption::LeastRecent),
        remove: fields.switch("remove")?.unwrap_or(false),
        include_managers: fields.switch("includeManagers")?.unwrap_or(false),
    })
}

fn service_upgrade(fields: &mut Fields) -> Result<ServiceUpgrade, FieldError> {
    let service_selector = selector(fields, "serviceSelector")?;
    let tag = Tag::try_from(fields.text("tag", 1, 1_000)?)
        .map_err(|error| invalid(FieldProblem::InvalidFormat, "tag", error.to_string()))?;
    let image = match fields.take("image") {
        None => None,
        Some(Value::String(image)) if is_repository(&image) => Some(image),
        Some(other) => {
            let message = format!(
                "image must be a repository without a tag, like example/web, but it is {}",
                shown(&other)
            );
            return Err(invalid(FieldProblem::InvalidFormat, "image", message));
        }
    };
    let payload_format = fields.one_of("payloadFormat", &PayloadFormat::ALL)?;
    let payload_format = payload_format.unwrap_or(PayloadFormat::Dockerhub);
    let address_type = fields.one_of("addressType", &AddressType::ALL)?;
    let batch_size = fields.number("batchSize", 1, MOST_AT_ONCE)?.unwrap_or(1);
    let interval = fields.number(
        "intervalMillis",
        LEAST_INTERVAL_MILLIS,
        LONGEST_INTERVAL_MILLIS,
    )?;
    let settle = fields.number("settleSeconds", 0, LONGEST_SETTLE_SECONDS)?;
    Ok(ServiceUpgrade {
        service_selector,
        tag,
        image,
        payload_format,
        address_type: address_type.unwrap_or(AddressType::Registry),
        batch_size: u32::try_from(batch_size)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN),
        interval: Duration::from_millis(interval.unwrap_or(2_000)),
        start_first: fields.switch("startFirst")?.unwrap_or(false),
        settle: Duration::from_secs(settle.unwrap_or(5)),
        on_failure: fields
            .one_of("onFailure", &OnFailure::ALL)?
            .unwrap_or_default(),
        monitor: fields
            .number("monitorSeconds", 1, LONGEST_MONITOR_SECONDS)?
            .map(Duration::from_secs),
    })
}

fn forward_post(fields: &mut Fields) -> Result<ForwardPost, FieldError> {
    let project_id = fields.text("projectId", 1, 64)?.parse();
    let project_id = project_id.map_err(|error: crate::domain::ids::InvalidId| {
        invalid(FieldProblem::InvalidFormat, "projectId", error.to_string())
    })?;
    let service_name = fields.text("serviceName", 1, LONGEST_SERVICE_ID)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !service_name.chars().all(plain) || !is_path(&service_name) {
        let message = format!("serviceName must be a service's name, but it is {service_name:?}");
        return Err(invalid(FieldProblem::InvalidFormat, "serviceName", message));
    }
    // Rancher's clients send it as a text.
    let port = fields.require("port")?;
    let number = match &port {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    let port = number.and_then(NonZeroU16::new).ok_or_else(|| {
        let message = format!(
            "port must be a whole number from 1 to 65535, but it is {}",
            shown(&port)
        );
        invalid(FieldProblem::InvalidFormat, "port", message)
    })?;
    let path = match fields.take("path") {
        None => "/".to_owned(),
        Some(Value::String(path)) if path.len() <= LONGEST_PATH && is_path(&path) => {
            format!("/{}", path.trim_start_matches('/'))
        }
        Some(other) => {
            let message = format!(
                "path must be a path without a query, like /hooks/deploy, but it is {}",
                shown(&other)
            );
            return Err(invalid(FieldProblem::InvalidFormat, "path", message));
        }
    };
    Ok(ForwardPost {
        project_id,
        service_name,
        port,
        path,
    })
}

/// No step out of the service's own paths, however it is written, no query, no control characters.
fn is_path(path: &str) -> bool {
    let written = path.to_ascii_lowercase().replace("%2e", ".");
    !written.contains(['?', '#', '\\'])
        && !written.contains("%2f")
        && !written.contains("%5c")
        && !written.chars().any(char::is_control)
        && !written.split('/').any(|part| matches!(part, "." | ".."))
}

fn selector(fields: &mut Fields, field: &str) -> Result<Selector, FieldError> {
    let value = fields.require(field)?;
    let Value::Object(pairs) = &value else {
        let message = format!(
            "{field} must be an object of labels and values, but it is {}",
            shown(&value)
        );
        return Err(invalid(FieldProblem::InvalidFormat, field, message));
    };
    let mut labels = BTreeMap::new();
    for (label, value) in pairs {
        let Some(text) = value.as_str() else {
            let message = format!(
                "the values of {field} must be texts, but that of {label} is {}",
                shown(value)
            );
            return Err(invalid(FieldProblem::InvalidFormat, field, message));
        };
        if label.len() > LONGEST_LABEL || text.len() > LONGEST_LABEL {
            let message =
                format!("labels and values of {field} may have {LONGEST_LABEL} characters at most");
            return Err(invalid(FieldProblem::MaxLimitExceeded, field, message));
        }
        labels.insert(label.clone(), text.to_owned());
    }
    if labels.len() > MOST_PAIRS {
        let message = format!("{field} may have {MOST_PAIRS} pairs at most");
        return Err(invalid(FieldProblem::MaxLimitExceeded, field, message));
    }
    Selector::new(labels).map_err(|error| {
        invalid(
            FieldProblem::InvalidOption,
            field,
            format!("{field}: {error}"),
        )
    })
}

fn invalid(problem: FieldProblem, field: &str, message: impl Into<String>) -> FieldError {
    FieldError::new(problem, field, message)
}
