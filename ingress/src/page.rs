//! The web page's files, which are part of the program: compressed once, and sent anew only when they have changed.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::protection::PAGE_POLICY;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

/// Where the names of the modules come.
const MODULES: &str = "<!-- modules -->\n";

/// Files that were compressed, by their path and hash: in development they are read from the disk and change.
#[derive(Default)]
pub(crate) struct Compressed(Mutex<HashMap<(String, [u8; 32]), Bytes>>);

/// `GET /`
pub(crate) async fn index(
    compressed: web::Data<Compressed>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let file = find("index.html")?;
    let text = String::from_utf8_lossy(&file.data).replace(MODULES, &modules());
    let hash = Sha256::digest(text.as_bytes()).into();
    let mut answer = answer(&compressed, &request, "index.html", hash, text.as_bytes());
    let policy = HeaderValue::from_static(PAGE_POLICY);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(answer)
}

/// `GET /web/{path}`
pub(crate) async fn file(
    compressed: web::Data<Compressed>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let file = find(&path)?;
    let hash = file.metadata.sha256_hash();
    Ok(answer(&compressed, &request, &path, hash, &file.data))
}

fn find(path: &str) -> Result<EmbeddedFile, ApiError> {
    let missing = || ApiError::not_found(format!("the web page has no file {path}"));
    Files::get(path).ok_or_else(missing)
}

/// Names all modules, so that the browser loads them at once instead of finding one through the other.
fn modules() -> String {
    let modules = Files::iter().filter(|path| path.ends_with(".js"));
    modules
        .map(|path| format!("<link rel=\"modulepreload\" href=\"/web/{path}\">\n"))
        .collect()
}

fn answer(
    compressed: &Compressed,
    request: &HttpRequest,
    path: &str,
    hash: [u8; 32],
    data: &[u8],
) -> HttpResponse {
    let tag = format!("\"{}\"", hex::encode(&hash[..16]));
    let header = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let is_known = header(IF_NONE_MATCH).is_some_and(|known| known.contains(&tag));
    let mut answer = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((VARY, "Accept-Encoding"));
    if is_known {
        return answer.finish();
    }
    answer.content_type(content_type(path));
    if header(ACCEPT_ENCODING).is_some_and(|encodings| encodings.contains("gzip")) {
        answer.insert_header((CONTENT_ENCODING, "gzip"));
        return answer.body(compressed.of(path, hash, data));
    }
    answer.body(data.to_vec())
}

impl Compressed {
    fn of(&self, path: &str, hash: [u8; 32], data: &[u8]) -> Bytes {
        let key = (path.to_owned(), hash);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let compressed = all.entry(key).or_insert_with(|| gzip(data).into());
        compressed.clone()
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
