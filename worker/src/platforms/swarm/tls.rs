//! Certificates for an engine that is reached over TLS.

use std::path::Path;

use stormhook_shared::configuration::SwarmTls;

use super::connection::SwarmError;
use crate::platforms::authorities;

/// The client with the files of `tls`.
pub(super) fn secured(
    mut builder: reqwest::ClientBuilder,
    tls: &SwarmTls,
) -> Result<reqwest::ClientBuilder, SwarmError> {
    if let Some(path) = &tls.ca_file {
        let what = "the certificate authority";
        let authorities = authorities::read(path).map_err(|reason| unusable(what, path, reason))?;
        // Docker's usual set-up is an authority of its own, and only that one then counts.
        builder = builder.tls_certs_only(authorities);
    }
    if let Some((cert, key)) = &tls.identity {
        let what = "the certificate";
        let mut pem =
            std::fs::read(cert).map_err(|error| unusable(what, cert, error.to_string()))?;
        let key_pem =
            std::fs::read(key).map_err(|error| unusable("the key", key, error.to_string()))?;
        pem.extend_from_slice(b"\n");
        pem.extend(key_pem);
        let identity = reqwest::Identity::from_pem(&pem)
            .map_err(|error| unusable(what, cert, error.to_string()))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn unusable(what: &'static str, path: &Path, reason: String) -> SwarmError {
    SwarmError::File {
        what,
        path: path.display().to_string(),
        reason,
    }
}
