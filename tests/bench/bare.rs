//! What there would be without Stormhook: a handler that awaits one JetStream publish for each request.

use actix_web::{App, HttpResponse, HttpServer, web};
use async_nats::jetstream;

/// Runs the handler on a free port, with one thread a core as the ingress has, until the server handle is stopped.
/// Its stream is kept by so many servers.
pub async fn start(nats: &str, replicas: usize) -> (String, actix_web::dev::ServerHandle) {
    let servers: Vec<async_nats::ServerAddr> =
        nats.split(',').map(|one| one.parse().unwrap()).collect();
    let client = async_nats::connect(servers).await.unwrap();
    let jetstream = jetstream::new(client);
    let stream = jetstream::stream::Config {
        name: "BARE".to_owned(),
        subjects: vec!["bare".to_owned()],
        num_replicas: replicas,
        ..Default::default()
    };
    jetstream.get_or_create_stream(stream).await.unwrap();
    let jetstream = web::Data::new(jetstream);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(jetstream.clone())
            .route("/", web::post().to(publish))
    })
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}/", server.addrs()[0]);
    let server = server.disable_signals().run();
    let handle = server.handle();
    tokio::spawn(server);
    (url, handle)
}

async fn publish(jetstream: web::Data<jetstream::Context>, body: web::Bytes) -> HttpResponse {
    let sent = jetstream.publish("bare", body).await.unwrap();
    match sent.await {
        Ok(_) => HttpResponse::Accepted().finish(),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}
