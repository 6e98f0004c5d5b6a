//! The rules of scaleService.

use super::ServiceSeen;
use super::checks::Wish;
use super::limits;
use crate::domain::kind::ScaleService;
use crate::domain::outcome::{Code, Verdict};
use crate::domain::receiver::OnLimit;

/// The verdict on one trigger that finds `service` as it is, and leaves it as the trigger wants it.
pub(super) fn decide(
    config: &ScaleService,
    on_limit: OnLimit,
    wish: Wish,
    service: &mut ServiceSeen,
) -> Verdict {
    if let Some(reason) = &service.unscalable {
        return Verdict::new(Code::Unsupported, reason.clone());
    }
    if let Some(reason) = &service.autoscaled
        && !config.override_autoscaler
    {
        return Verdict::new(Code::Unsupported, reason.clone());
    }
    let from = service.scale;
    match limits::goal(&config.scaling, on_limit, wish, from, &service.name) {
        Err(verdict) => verdict,
        Ok(to) => {
            service.scale = to;
            let message = format!("scaled {} from {from} to {to}", service.name);
            Verdict::new(Code::Scaled, message).scaling(from, to)
        }
    }
}
