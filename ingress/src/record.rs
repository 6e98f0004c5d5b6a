//! Whose management calls are written into the record: those of whoever was granted something here.

use actix_web::HttpRequest;
use serde_json::Value;
use stormhook_shared::domain::management::{Call, Caller, ManagementCall, Subject};
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::management_record::{Recorded, Unrecorded, of_receiver};

use crate::access::Grant;
use crate::app::App;
use crate::endpoint;
use crate::error::ApiError;

/// Writes down that whoever was granted `grant` is about to do `call` to `subject`, with how that is `before` and `after`.
pub(crate) async fn record(
    app: &App,
    request: &HttpRequest,
    grant: &Grant,
    (call, subject): (Call, Subject),
    (before, after): (Option<Value>, Option<Value>),
) -> Result<Recorded, ApiError> {
    let call = ManagementCall {
        at: Timestamp::now(),
        by: caller(request, grant),
        project: grant.project.clone(),
        call,
        subject,
        before,
        after,
    };
    Ok(app.record.write(call).await?)
}

/// The same of a receiver's change from `before` to `after`.
pub(crate) async fn record_receiver(
    app: &App,
    request: &HttpRequest,
    grant: &Grant,
    call: Call,
    states: (Option<&Receiver>, Option<&Receiver>),
) -> Result<Recorded, ApiError> {
    let call = of_receiver(&grant.project, caller(request, grant), call, states);
    Ok(app.record.write(call).await?)
}

fn caller(request: &HttpRequest, grant: &Grant) -> Caller {
    Caller {
        access_key: grant.access_key.clone(),
        source: endpoint::source(request),
    }
}

impl From<Unrecorded> for ApiError {
    fn from(error: Unrecorded) -> Self {
        Self::unavailable(error.to_string())
    }
}
