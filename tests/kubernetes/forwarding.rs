//! Requests are passed on to services through the API server's proxy.

use std::net::UdpSocket;

use serde_json::json;
use stormhook_tests::kube::ControlPlane;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const BODY: &str = r#"{"branch": "main"}"#;

/// Answers one request, and returns what it was.
async fn serve_one(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // The proxy may send the body in chunks.
    while !String::from_utf8_lossy(&request).contains(BODY) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request ends early");
        request.extend_from_slice(&buffer[..read]);
    }
    let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_the_request_and_its_answer_decides() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    // An endpoint must not be on loopback: this is how the machine would be seen from outside. Nothing is sent.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    let address = socket.local_addr().unwrap().ip();
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let list = "/api/v1/namespaces/shop/services";
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "builder"},
        "spec": {"ports": [{"port": 80, "targetPort": port}]}});
    cluster.create(list, &service).await;
    // The server passes requests on to pods only.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "builder-0"},
        "spec": {"containers": [{"name": "main", "image": "builder"}]}});
    let pods = "/api/v1/namespaces/shop/pods";
    cluster.create(pods, &pod).await;
    let status = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]});
    let change = json!({"status": status});
    cluster
        .merge(&format!("{pods}/builder-0/status"), &change)
        .await;
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "builder"},
        "subsets": [{"addresses": [{"ip": address, "targetRef": {"kind": "Pod", "namespace": "shop", "name": "builder-0"}}], "ports": [{"port": port}]}]});
    cluster
        .create("/api/v1/namespaces/shop/endpoints", &endpoints)
        .await;

    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;
    let receiver = |name: &str, service: &str| {
        json!({"name": name, "driver": "forwardPost", "forwardPostConfig": {
            "projectId": "1a5", "serviceName": service, "port": 80, "path": "/build"}})
    };
    let hook = up.create(&receiver("build", "shop/builder")).await;
    for (answer, code) in [("200 OK", "forwarded"), ("404 Not Found", "targetRefused")] {
        let (outcome, request) =
            tokio::join!(up.outcome(&hook, BODY), serve_one(&listener, answer));
        assert_eq!(outcome["outcome"]["code"], code, "{outcome}");
        assert!(request.starts_with("POST /build"), "{request}");
    }
    let none = up.create(&receiver("none", "shop/none")).await;
    let missing = up.outcome(&none, "").await;
    assert_eq!(missing["outcome"]["code"], "targetRefused", "{missing}");
    up.stop().await;
}
