//! Cattle's error bodies.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::fault::Fault;

/// An error in Cattle's shape.
#[derive(Debug)]
pub(crate) struct CattleError {
    pub(crate) status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
    /// The answer on purpose that is given in its place.
    fault: Option<Box<Fault>>,
}

impl CattleError {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            retry_after: None,
            fault: None,
        }
    }

    /// 422 because of one field.
    pub(crate) fn field(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "")
    }

    pub(crate) fn down(retry_after: Option<u64>) -> Self {
        Self {
            retry_after,
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "failing on purpose",
            )
        }
    }
}

impl From<Fault> for CattleError {
    fn from(fault: Fault) -> Self {
        let own = Self::new(fault.status(), "OnPurpose", "failing on purpose");
        Self {
            fault: Some(Box::new(fault)),
            ..own
        }
    }
}

impl From<redb::Error> for CattleError {
    fn from(error: redb::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServerError",
            error.to_string(),
        )
    }
}

impl fmt::Display for CattleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for CattleError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(fault) = &self.fault {
            return fault.answer();
        }
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        let field = self.field.as_deref();
        response.json(body(self.status, self.code, &self.detail, field))
    }
}

/// The body of an error.
pub(crate) fn body(status: StatusCode, code: &str, message: &str, field: Option<&str>) -> Value {
    json!({
        "id": "sandbox",
        "type": "error",
        "links": {},
        "actions": {},
        "status": status.as_u16(),
        "code": code,
        "message": message,
        "detail": null,
        "fieldName": field,
    })
}
