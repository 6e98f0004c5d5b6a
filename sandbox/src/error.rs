//! Cattle's error bodies.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// An error in Cattle's shape.
#[derive(Debug)]
pub(crate) struct CattleError {
    pub(crate) status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
}

impl CattleError {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            retry_after: None,
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
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.json(json!({
            "id": "sandbox",
            "type": "error",
            "links": {},
            "actions": {},
            "status": self.status.as_u16(),
            "code": self.code,
            "message": self.detail,
            "detail": null,
            "fieldName": self.field,
        }))
    }
}
