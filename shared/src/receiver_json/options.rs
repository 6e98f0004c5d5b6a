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
    let hidden = options.filter.iter().find(|condition| {
        let overlap = |masked: &String| {
            is_within(masked, &condition.pointer) || is_within(&condition.pointer, masked)
        };
        options.redact.iter().any(overlap)
    });
    match hidden {
        None => Ok(options),
        Some(condition) => Err(FieldError::new(
            FieldProblem::InvalidOption,
            "redact",
            format!(
                "redact masks {}, which the filter has to see",
                condition.pointer
            ),
        )),
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
    let tests = [
        fields.take("equals"),
        fields.take("in"),
        fields.take("glob"),
    ];
    fields.end().map_err(|error| invalid(error.message))?;
    let test = match tests {
        [Some(value), None, None] => Test::Equals(value),
        [None, Some(Value::Array(values)), None] => Test::In(values),
        [None, None, Some(Value::String(pattern))] => {
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
        Some(text) if text.is_empty() || text.starts_with('/') => Ok(text.to_owned()),
        _ => Err(FieldError::new(
            FieldProblem::InvalidFormat,
            field,
            format!(
                "{field} needs JSON pointers like /alerts/0/status, but has {}",
                shown(value)
            ),
        )),
    }
}

/// Whether `inner` points to `outer` or into it.
fn is_within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
