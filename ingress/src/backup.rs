//! The embedded database for a backup, as it is at one moment, with the fingerprint of the secret in use. What else a backup
//! has, its maker reads from the record and from the data folder.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::program::secret_fingerprint;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::access::{Need, authorize};
use crate::app::App;
use crate::audit::needs_everything;
use crate::error::ApiError;

/// How many bytes are sent at once.
const PART: usize = 64 * 1024;

/// `GET /v1-webhooks/backup/database`
pub(crate) async fn database(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    needs_everything(&grant)?;
    let Some(database) = &app.database else {
        let message = "this Stormhook has no database of its own: back NATS up with its own tools";
        return Err(ApiError::not_found(message));
    };
    let name = format!("backup-{}.redb", Timestamp::now().as_millis());
    let path = database.folder.join(name);
    let written = database.snapshots.write(&path).await;
    let file = File::open(&path).await;
    // Gone from the folder at once, whatever becomes of this request; its bytes stay until it is read.
    let removed = tokio::fs::remove_file(&path).await;
    written?;
    let unreadable = |error: std::io::Error| {
        ApiError::unavailable(format!(
            "the copy of the database at {}: {error}",
            path.display()
        ))
    };
    removed.map_err(unreadable)?;
    let file = file.map_err(unreadable)?;
    let length = file.metadata().await.map_err(unreadable)?.len();
    let parts = futures::stream::try_unfold(file, |mut file| async move {
        let mut part = Vec::with_capacity(PART);
        file.read_buf(&mut part).await?;
        let part = (!part.is_empty()).then(|| (Bytes::from(part), file));
        Ok::<_, std::io::Error>(part)
    });
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((
            secret_fingerprint::HEADER,
            database.secret_fingerprint.as_str(),
        ))
        .no_chunking(length)
        .streaming(parts))
}
