//! Whatever has a scale is scaled, of whatever sort it is.

use serde_json::json;
use stormhook_tests::custom_resources::{CustomResources, Sort};

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_resource_with_a_scale_is_scaled() {
    let fleets = Sort {
        group: "example.org",
        versions: vec!["v1"],
        plural: "fleets",
        kind: "Fleet",
        scale: Some("ships"),
    };
    let cluster = CustomResources::start(&[fleets]).await;
    let fleet = json!({"metadata": {}, "spec": {"ships": 2, "captains": ["a", "b"]}});
    cluster.create("fleets", "shop", "north", fleet);
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path()).await;
    let service = "fleets.example.org/shop/north";
    let hook = up.scaling("fleet", service, "up", (1, 9), json!({})).await;
    let fired = up.outcome(&hook, "").await;
    assert_eq!(fired["outcome"]["message"], "scaled shop/north from 2 to 3");
    let found = cluster.get("fleets", "shop", "north").unwrap();
    assert_eq!(found["spec"], json!({"ships": 3, "captains": ["a", "b"]}));
    up.stop().await;
}
