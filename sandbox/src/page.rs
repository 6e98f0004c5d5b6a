//! The web page that Cattle shows instead of JSON to whoever looks like a browser.

use actix_web::http::header::{ACCEPT, HeaderName, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse};

use crate::world::World;

const PAGE: &str = "<!DOCTYPE html>\n<title>Practice platform</title>\n<p>Others get JSON.</p>\n";

/// The answer, or the page in its place: for browsers that take anything, as Cattle's `RequestUtils.isBrowser` has it.
pub(crate) fn or(world: &World, request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let header = |name: HeaderName| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let takes_anything = header(ACCEPT).is_none_or(|accepted| accepted.contains("*/*"));
    let agent = header(USER_AGENT).unwrap_or_default();
    let is_browser = agent.to_ascii_lowercase().contains("mozilla");
    if takes_anything && (is_browser || world.lock().knobs.pages_for_all) {
        let mut page = HttpResponse::build(answer.status());
        page.content_type("text/html; charset=utf-8").body(PAGE)
    } else {
        answer
    }
}
