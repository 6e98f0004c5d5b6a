//! Certificate authorities that a platform's certificate may come from, out of a file.

use std::fmt::Display;
use std::path::Path;

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates in the PEM file at `path`, at least one. The HTTP client would take a file without any, and trust
/// nobody more than before.
pub(super) fn read(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut usable = RootCertStore::empty();
    let mut authorities = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(unreadable)?;
        usable.add(certificate.clone()).map_err(unreadable)?;
        authorities.push(Certificate::from_der(&certificate).map_err(unreadable)?);
    }
    if authorities.is_empty() {
        let reason = "it holds no certificate: name a PEM file with BEGIN CERTIFICATE in it";
        return Err(reason.to_owned());
    }
    Ok(authorities)
}

fn unreadable(error: impl Display) -> String {
    format!("a certificate in it cannot be read, so write the file anew: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormhook_tests::tls::TlsFront;

    #[tokio::test]
    async fn a_file_without_a_usable_authority_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let front = TlsFront::start(folder.path(), "127.0.0.1:1").await;
        assert_eq!(read(&front.authority).unwrap().len(), 1);
        let path = folder.path().join("ca.pem");
        for (text, says) in [
            ("", "holds no certificate"),
            ("a certificate", "holds no certificate"),
            (
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                "holds no certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "cannot be read",
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "cannot be read"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
