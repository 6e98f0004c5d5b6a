//! What receivers can be made for. Answered by workers, from the platform.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::kind::Target;
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::ports::platform::TargetKind;
use stormhook_shared::ports::questions::{Answer, Question};
use url::form_urlencoded;

use crate::access::{Need, authorize, required};
use crate::app::App;
use crate::error::ApiError;

/// `GET /v1-webhooks/targets?kind=service|hostLabel|serviceLabel`, or `kind=hosts|services` with a `selector` of labels
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let kind = required(&request, "kind")?;
    let data = match kind.as_str() {
        "hosts" | "services" => members(&app, &request, grant.project, &kind).await?,
        _ => targets(&app, grant.project, &kind).await?,
    };
    let base = app.base(&request);
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "target",
        "links": {"self": format!("{base}{}", request.uri())},
        "data": data,
    })))
}

/// What there is to choose from.
async fn targets(app: &App, project: ProjectId, kind: &str) -> Result<Vec<Value>, ApiError> {
    let of = match kind {
        "service" => TargetKind::Service,
        "hostLabel" => TargetKind::HostLabel,
        "serviceLabel" => TargetKind::ServiceLabel,
        other => {
            let message = format!(
                "kind must be service, hostLabel, serviceLabel, hosts or services, but it is {other:?}"
            );
            return Err(ApiError::invalid("InvalidOption", "kind", message));
        }
    };
    let question = Question::Targets { project, of };
    let Answer::Targets(targets) = app.ask(question).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let shown = targets.iter().map(|target| {
        let mut shown = json!(target);
        shown["type"] = json!("target");
        shown
    });
    Ok(shown.collect())
}

/// The hosts or services that carry the labels of the parameter `selector`.
async fn members(
    app: &App,
    request: &HttpRequest,
    project: ProjectId,
    kind: &str,
) -> Result<Vec<Value>, ApiError> {
    let text = required(request, "selector")?;
    let pairs = form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect();
    let selector = Selector::new(pairs)
        .map_err(|error| ApiError::invalid("InvalidFormat", "selector", error.to_string()))?;
    let (target, shown_kind) = match kind {
        "hosts" => (Target::Hosts(selector), "host"),
        _ => (Target::Services(selector), "service"),
    };
    let group = GroupKey::of(&project, &target);
    let question = Question::Members { project, group };
    let Answer::Members(members) = app.ask(question).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let shown = members.iter().map(|member| {
        json!({"type": "target", "kind": shown_kind, "id": member.id, "name": member.name})
    });
    Ok(shown.collect())
}
