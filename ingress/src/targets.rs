//! What receivers can be made for. Answered by workers, from the platform.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::ports::platform::TargetKind;
use stormhook_shared::ports::questions::{Answer, Question};

use crate::access::{Need, authorize, required};
use crate::app::App;
use crate::error::ApiError;

/// `GET /v1-webhooks/targets?kind=service|hostLabel|serviceLabel`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let kind = required(&request, "kind")?;
    let of = match kind.as_str() {
        "service" => TargetKind::Service,
        "hostLabel" => TargetKind::HostLabel,
        "serviceLabel" => TargetKind::ServiceLabel,
        other => {
            let message =
                format!("kind must be service, hostLabel or serviceLabel, but it is {other:?}");
            return Err(ApiError::invalid("InvalidOption", "kind", message));
        }
    };
    let question = Question::Targets {
        project: grant.project,
        of,
    };
    let Answer::Targets(targets) = app.ask(question).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let data: Vec<_> = targets
        .iter()
        .map(|target| {
            let mut shown = json!(target);
            shown["type"] = json!("target");
            shown
        })
        .collect();
    let base = app.base(&request);
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "target",
        "links": {"self": format!("{base}{}", request.uri())},
        "data": data,
    })))
}
