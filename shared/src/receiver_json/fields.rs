//! Reads the fields of a JSON object one by one, each of its type and range, or says what is wrong with it.

use serde_json::{Map, Value};

use crate::domain::scaling::{Amount, LARGEST_SCALE};

/// What is wrong with a field, in Cattle's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldProblem {
    /// It is not there.
    MissingRequired,
    /// It is of another type.
    InvalidFormat,
    /// It is none of the values that it can have, or does not go with others.
    InvalidOption,
    /// It is too small or too short.
    MinLimitExceeded,
    /// It is too large or too long.
    MaxLimitExceeded,
}

impl FieldProblem {
    /// The problem's code in an error body.
    pub fn code(self) -> &'static str {
        match self {
            Self::MissingRequired => "MissingRequired",
            Self::InvalidFormat => "InvalidFormat",
            Self::InvalidOption => "InvalidOption",
            Self::MinLimitExceeded => "MinLimitExceeded",
            Self::MaxLimitExceeded => "MaxLimitExceeded",
        }
    }
}

/// A field that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// What is wrong.
    pub problem: FieldProblem,
    /// The field's name, without the object that it stands in.
    pub field: String,
    /// A sentence: what is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    pub(crate) fn new(problem: FieldProblem, field: &str, message: impl Into<String>) -> Self {
        Self {
            problem,
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

/// An object whose fields are taken one by one; what is left at the end nobody knows.
pub(super) struct Fields {
    left: Map<String, Value>,
}

impl Fields {
    /// The fields of the object in `field`.
    pub(super) fn of(value: Value, field: &str) -> Result<Self, FieldError> {
        match value {
            Value::Object(left) => Ok(Self { left }),
            other => {
                let message = format!("{field} must be a JSON object, but it is {}", shown(&other));
                Err(FieldError::new(FieldProblem::InvalidFormat, field, message))
            }
        }
    }

    /// Takes a field; null counts as absent.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a field as it is: null is a value.
    pub(super) fn take_value(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field)
    }

    /// Passes over a field that is for reading only.
    pub(super) fn ignore(&mut self, field: &str) {
        self.left.remove(field);
    }

    /// Takes a field that must be there.
    pub(super) fn require(&mut self, field: &str) -> Result<Value, FieldError> {
        self.take(field).ok_or_else(|| {
            FieldError::new(
                FieldProblem::MissingRequired,
                field,
                format!("{field} is missing"),
            )
        })
    }

    /// Takes a text of `least` to `most` characters that must be there.
    pub(super) fn text(
        &mut self,
        field: &str,
        least: usize,
        most: usize,
    ) -> Result<String, FieldError> {
        let value = self.require(field)?;
        let Value::String(text) = &value else {
            let message = format!("{field} must be a text, but it is {}", shown(&value));
            return Err(FieldError::new(FieldProblem::InvalidFormat, field, message));
        };
        let length = text.trim().chars().count();
        if text.chars().any(char::is_control) {
            let message = format!("{field} must not contain control characters");
            return Err(FieldError::new(FieldProblem::InvalidFormat, field, message));
        }
        if length < least {
            let plural = if least == 1 { "" } else { "s" };
            let message =
                format!("{field} needs {least} character{plural} or more, but has {length}");
            return Err(FieldError::new(
                FieldProblem::MinLimitExceeded,
                field,
                message,
            ));
        }
        if length > most {
            let message = format!("{field} may have {most} characters at most, but has {length}");
            return Err(FieldError::new(
                FieldProblem::MaxLimitExceeded,
                field,
                message,
            ));
        }
        Ok(text.trim().to_owned())
    }

    /// Takes a positive whole number that must be there.
    pub(super) fn amount(&mut self, field: &str) -> Result<Amount, FieldError> {
        let value = self.require(field)?;
        let number = whole(field, &value, 1, LARGEST_SCALE.into())?;
        let amount = u32::try_from(number)
            .ok()
            .and_then(|number| Amount::try_from(number).ok());
        amount.ok_or_else(|| {
            FieldError::new(
                FieldProblem::MaxLimitExceeded,
                field,
                format!("{field} is too large"),
            )
        })
    }

    /// Takes a whole number from `least` to `most`, if it is there.
    pub(super) fn number(
        &mut self,
        field: &str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, FieldError> {
        let value = self.take(field);
        value
            .map(|value| whole(field, &value, least, most))
            .transpose()
    }

    /// Takes one of several values, if it is there.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        field: &str,
        values: &[(&str, T)],
    ) -> Result<Option<T>, FieldError> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        let found = value
            .as_str()
            .and_then(|text| values.iter().find(|(name, _)| *name == text));
        match found {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
                let message = format!(
                    "{field} must be {}, but it is {}",
                    names.join(" or "),
                    shown(&value)
                );
                Err(FieldError::new(FieldProblem::InvalidOption, field, message))
            }
        }
    }

    /// Takes true or false, if it is there.
    pub(super) fn switch(&mut self, field: &str) -> Result<Option<bool>, FieldError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(switch)) => Ok(Some(switch)),
            Some(other) => {
                let message = format!("{field} must be true or false, but it is {}", shown(&other));
                Err(FieldError::new(FieldProblem::InvalidFormat, field, message))
            }
        }
    }

    /// Nothing may be left: a typo must not go unnoticed.
    pub(super) fn end(self) -> Result<(), FieldError> {
        let unknown = self.left.into_iter().find(|(_, value)| !value.is_null());
        match unknown {
            None => Ok(()),
            Some((field, _)) => {
                let message = format!("{field} is not a field that is known here");
                Err(FieldError::new(
                    FieldProblem::InvalidOption,
                    &field,
                    message,
                ))
            }
        }
    }
}

fn whole(field: &str, value: &Value, least: u64, most: u64) -> Result<u64, FieldError> {
    let problem = match value {
        Value::Number(number) if number.is_f64() => FieldProblem::InvalidFormat,
        Value::Number(number) => match number.as_u64() {
            Some(number) if (least..=most).contains(&number) => return Ok(number),
            Some(number) if number > most => FieldProblem::MaxLimitExceeded,
            _ => FieldProblem::MinLimitExceeded,
        },
        _ => FieldProblem::InvalidFormat,
    };
    let message = format!(
        "{field} must be a whole number from {least} to {most}, but it is {}",
        shown(value)
    );
    Err(FieldError::new(problem, field, message))
}

/// A value as it is shown in a message.
pub(super) fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
