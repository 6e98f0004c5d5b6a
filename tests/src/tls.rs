//! A front with TLS before a server that has none, with a certificate of its own authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A front that passes everything on; it ends when this is dropped.
pub struct TlsFront {
    _tasks: JoinSet<()>,
    /// Where it listens, like `https://localhost:41234`.
    pub url: String,
    /// The file with the authority that its certificate is checked against.
    pub authority: PathBuf,
}

impl TlsFront {
    /// Starts one before `server` (an address and port), with its authority's file in `folder`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &Path, server: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .expect("a certificate can be made");
        let authority = folder.join("authority.pem");
        std::fs::write(&authority, made.cert.pem()).expect("the folder can be written");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the certificate belongs to the key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let server = server.to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass_on(client, acceptor.clone(), server.clone()));
            }
        });
        Self {
            _tasks: tasks,
            url: format!("https://localhost:{port}"),
            authority,
        }
    }
}

async fn pass_on(client: TcpStream, acceptor: TlsAcceptor, server: String) {
    // Whoever does not trust the certificate hangs up here.
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    if let Ok(mut server) = TcpStream::connect(server).await {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
