//! The options that every kind of receiver has.

use std::time::Duration;

use serde_json::Value;

use super::fields::{FieldError, FieldProblem, Fields, shown};
use crate::decide::check_glob;
use crate::domain::kind::Driver;
use crate::domain::receiver::{
    Condition, Dedupe, OnLimit, OnRepeat, OnResolved, Options, SignSecret, Test,
};

const MOST_CONDITIONS: usize = 20;
const LEAST_SIGN_SECRET: usize = 16;
const LONGEST_SIGN_SECRET: usize = 500;
const LONGEST_DEADLINE_SECONDS: u64 = 86_400;
/// What of a notification decides under the rules for alerts.
const ALERT_FIELDS: [&str; 4] = [
    "/version",
    "/status",
    "/notification_reason",
    "/notificationReason",
];

/// Takes the options out of a receiver's fields. `sign`: the secret that is kept where none is given anew.
pub(super) fn parse(
    fields: &mut Fields,
    driver: Driver,
    sign: Option<SignSecret>,
) -> Result<Options, FieldError> {
    let default = Options::default_for(driver);
    let longest_cooldown = Options::LONGEST_COOLDOWN.as_secs();
    let cooldown = |seconds: Option<u64>| seconds.map_or(Duration::ZERO, Duration::from_secs);
    let options = Options {
        cooldown: cooldown(fields.number("cooldownSeconds", 0, longest_cooldown)?),
        group_cooldown: cooldown(fields.number("groupCooldownSeconds", 0, longest_cooldown)?),
        on_limit: fields
            .one_of(
                "onLimit",
                &[("reject", OnLimit::Reject), ("clamp", OnLimit::Clamp)],
            )?
            .unwrap_or(default.on_limit),
        on_resolved: fields
            .one_of(
                "onResolved",
                &[
                    ("skip", OnResolved::Skip),
                    ("trigger", OnResolved::Trigger),
                    ("reverse", OnResolved::Reverse),
                ],
            )?
            .unwrap_or(default.on_resolved),
        on_repeat: fields
            .one_of(
                "onRepeat",
                &[("trigger", OnRepeat::Trigger), ("ignore", OnRepeat::Ignore)],
            )?
            .unwrap_or(default.on_repeat),
        dedupe: fields
            .one_of(
                "dedupe",
                &[("none", Dedupe::None), ("alert", Dedupe::Alert)],
            )?
            .unwrap_or(default.dedupe),
        filter: filter(fields)?,
        sign: secret(fields, sign)?,
        redact: redact(fields)?,
        deadline: fields
            .number("deadlineSeconds", 1, LONGEST_DEADLINE_SECONDS)?
            .map_or(default.deadline, Duration::from_secs),
    };
    check_redact(&options, driver)?;
    Ok(options)
}

/// Nothing may be masked that decides: a decision looks at the body as it was stored.
fn check_redact(options: &Options, driver: Driver) -> Result<(), FieldError> {
    let refused = |message: String| FieldError::new(FieldProblem::InvalidOption, "redact", message);
    let hidden = options.filter.iter().find(|condition| {
        let overlap = |masked: &String| {
            is_within(masked, &condition.pointer) || is_within(&condition.pointer, masked)
        };
        options.redact.iter().any(overlap)
    });
    if let Some(Condition { pointer, .. }) = hidden {
        let message = format!("redact masks {pointer}, which the filter has to see");
        return Err(refused(message));
    }
    // Whether an alert fires means nothing to the other kinds, but that it is repeated may.
    if !driver.is_scaling() && options.on_repeat == OnRepeat::Trigger {
        return Ok(());
    }
    let is_masked = |field: &str| options.redact.iter().any(|one| is_within(field, one));
    match ALERT_FIELDS.into_iter().find(|field| is_masked(field)) {
        None => Ok(()),
        Some(field) => {
            let message = format!("redact masks {field}, which the rules for alerts have to see");
            Err(refused(message))
        }
    }
}

fn filter(fields: &mut Fields) -> Result<Vec<Condition>, FieldError> {
    let conditions = list(fields, "filter")?;
    conditions.into_iter().map(condition).collect()
}

fn condition(value: Value) -> Result<Condition, FieldError> {
    let invalid = |message: String| FieldError::new(FieldProblem::InvalidOption, "filter", message);
    let mut fields = Fields::of(value, "filter")?;
    let pointer = pointer(
        "filter",
        &fields
            .require("pointer")
            .map_err(|error| invalid(error.message))?,
    )?;
    // Null is something to be equal to. Beside another test it counts as absent.
    let equals = fields.take_value("equals");
    let tests = (equals, fields.take("in"), fields.take("glob"));
    fields.end().map_err(|error| invalid(error.message))?;
    let test = match tests {
        (Some(value), None, None) => Test::Equals(value),
        (None | Some(Value::Null), Some(Value::Array(values)), None) => Test::In(values),
        (None | Some(Value::Null), None, Some(Value::String(pattern))) => {
            check_glob(&pattern).map_err(|error| invalid(error.to_string()))?;
            Test::Glob(pattern)
        }
        _ => {
            let message =
                "a condition of the filter has one of equals, in (a list) and glob (a text)";
            return Err(invalid(message.to_owned()));
        }
    };
    Ok(Condition { pointer, test })
}

fn redact(fields: &mut Fields) -> Result<Vec<String>, FieldError> {
    let pointers = list(fields, "redact")?;
    pointers
        .iter()
        .map(|value| pointer("redact", value))
        .collect()
}

fn secret(fields: &mut Fields, kept: Option<SignSecret>) -> Result<Option<SignSecret>, FieldError> {
    let Some(value) = fields.take("sign") else {
        return Ok(None);
    };
    let mut sign = Fields::of(value, "sign")?;
    // The secret is not shown to anybody, so whoever sends back what was shown means the one that is there.
    let Some(value) = sign.take("secret") else {
        sign.end()?;
        return kept.map(Some).ok_or_else(|| {
            FieldError::new(FieldProblem::MissingRequired, "sign", "sign needs a secret")
        });
    };
    sign.end()?;
    let mut one = Fields::of(serde_json::json!({"sign": value}), "sign")?;
    one.text("sign", LEAST_SIGN_SECRET, LONGEST_SIGN_SECRET)
        .map(|secret| Some(SignSecret(secret)))
}

fn list(fields: &mut Fields, field: &str) -> Result<Vec<Value>, FieldError> {
    match fields.take(field) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MOST_CONDITIONS => Ok(list),
        Some(Value::Array(list)) => Err(FieldError::new(
            FieldProblem::MaxLimitExceeded,
            field,
            format!(
                "{field} may have {MOST_CONDITIONS} entries at most, but has {}",
                list.len()
            ),
        )),
        Some(other) => Err(FieldError::new(
            FieldProblem::InvalidFormat,
            field,
            format!("{field} must be a list, but it is {}", shown(&other)),
        )),
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(field: &str, value: &Value) -> Result<String, FieldError> {
    match value.as_str() {
        Some(text) if is_pointer(text) => Ok(text.to_owned()),
        _ => Err(FieldError::new(
            FieldProblem::InvalidFormat,
            field,
            format!(
                "{field} needs JSON pointers (RFC 6901) like /alerts/0/status, but has {}",
                shown(value)
            ),
        )),
    }
}

/// Nothing, or names with a slash before each, in which `~` stands in `~0` and `~1` alone.
fn is_pointer(text: &str) -> bool {
    let mut behind_tildes = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/'))
        && behind_tildes.all(|rest| rest.starts_with(['0', '1']))
}

/// Whether `inner` points to `outer` or into it.
fn is_within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
