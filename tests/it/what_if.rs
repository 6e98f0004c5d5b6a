//! "What if it had been configured otherwise?": the recorded triggers decided anew, without any call of the platform.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, run};

#[tokio::test(flavor = "multi_thread")]
async fn another_maximum_is_tried_on_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let rise = up.scaling("rise", "1s5", "up", (1, 6), json!({})).await;
    let fall = up.scaling("fall", "1s5", "down", (1, 6), json!({})).await;
    for _ in 0..8 {
        up.outcome(&rise, "").await;
    }
    for _ in 0..3 {
        up.outcome(&fall, "").await;
    }
    let (calls, triggers) = (up.calls().await.len(), up.history("").await.len());

    let same = ask(&up, &rise, &json!({}), "").await;
    assert_eq!(
        (&same["triggers"], &same["different"]),
        (&json!(11), &json!(0)),
        "{same}"
    );
    assert_eq!(same["recorded"]["curve"], same["whatIf"]["curve"]);
    assert_eq!(same["recorded"]["highest"], 6);

    let smaller = json!({"scaleServiceConfig": {"max": 3}});
    let less = ask(&up, &rise, &smaller, "").await;
    let ends = |side: &str| {
        let rows = less["rows"].as_array().unwrap();
        let end = |row: &Value| row[side]["code"].as_str().unwrap().to_owned();
        rows.iter().map(end).collect::<Vec<_>>()
    };
    let list = |of: &[(&str, usize)]| {
        let codes = of
            .iter()
            .flat_map(|(code, times)| vec![(*code).to_owned(); *times]);
        codes.collect::<Vec<_>>()
    };
    assert_eq!(
        ends("recorded"),
        list(&[("scaled", 5), ("aboveMax", 3), ("scaled", 3)])
    );
    let expected = list(&[
        ("scaled", 2),
        ("aboveMax", 6),
        ("scaled", 2),
        ("belowMin", 1),
    ]);
    assert_eq!(ends("whatIf"), expected);
    let side = &less["whatIf"];
    assert_eq!(
        (
            &side["actions"],
            &side["highest"],
            &side["last"],
            &side["maximum"]
        ),
        (&json!(4), &json!(3), &json!(1), &json!(3)),
        "{side}"
    );
    assert!(side["millisAtMaximum"].as_u64() > less["recorded"]["millisAtMaximum"].as_u64());

    // In pages, and within a time.
    let page = ask(&up, &rise, &smaller, "&limit=2").await;
    assert_eq!(
        (page["rows"].as_array().unwrap().len(), &page["hasMore"]),
        (2, &json!(true))
    );
    let after = format!("&limit=2&after={}", page["rows"][1]["sequence"]);
    let page = ask(&up, &rise, &smaller, &after).await;
    assert_eq!(page["rows"][0]["whatIf"]["code"], "aboveMax");
    let since = format!("&since={}", page["rows"][1]["acceptedAt"].as_str().unwrap());
    let later = ask(&up, &rise, &json!({}), &since).await;
    assert_eq!(
        (&later["different"], &later["recorded"]["lowest"]),
        (&json!(0), &json!(3)),
        "{later}"
    );

    assert_eq!(up.calls().await.len(), calls, "no platform was called");
    assert_eq!(up.history("").await.len(), triggers, "nothing was sent");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cooldowns_and_filters_are_tried_and_drawn_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("rise", "1s5", "up", (1, 60), json!({})).await;
    for number in 0..6 {
        up.outcome(&hook, &json!({"number": number}).to_string())
            .await;
    }
    let calm = ask(&up, &hook, &json!({"cooldownSeconds": 3_600}), "").await;
    assert_eq!(
        (&calm["whatIf"]["actions"], &calm["whatIf"]["skipped"]),
        (&json!(1), &json!(5)),
        "{calm}"
    );
    let even = json!([{"pointer": "/number", "in": [0, 2, 4]}]);
    let even = ask(&up, &hook, &json!({"filter": even}), "").await;
    assert_eq!(
        (&even["whatIf"]["actions"], &even["whatIf"]["last"]),
        (&json!(3), &json!(4)),
        "{even}"
    );

    let file = folder.path().join("calm.json");
    std::fs::write(&file, r#"{"name": "rise", "cooldownSeconds": 3600}"#).unwrap();
    let file = file.to_str().unwrap();
    let replay = ["replay", "--since", "1h ago", "--what-if", file];
    for (name, begins) in [("scales.svg", &b"<svg"[..]), ("scales.png", b"\x89PNG")] {
        let path = folder.path().join(name);
        let chart = ["--chart", path.to_str().unwrap()];
        let (code, told, error) = run(folder.path(), &[&replay[..], &chart].concat()).await;
        assert_eq!(code, 0, "{error}");
        for part in [
            "coolingDown",
            "≠",
            "highest scale",
            "5 of 6 triggers would have come",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert!(std::fs::read(&path).unwrap().starts_with(begins), "{name}");
    }
    let chart = ["--chart", "scales.txt"];
    let (code, _, error) = run(folder.path(), &[&replay[..], &chart].concat()).await;
    assert_eq!(code, 1);
    assert!(error.contains("must end with .svg or .png"), "{error}");
    assert_eq!(
        run(folder.path(), &[&replay[..], &["--apply"]].concat())
            .await
            .0,
        2
    );
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("rise", "1s5", "up", (1, 6), json!({})).await;
    let push = up
        .upgrading("pushed", json!({"release": "shop"}), json!({}))
        .await;
    let other = json!({"scaleServiceConfig": {"serviceId": "1s6"}});
    for (hook, change, query, status, field) in [
        (&hook, &other, "", 400, "serviceId"),
        (
            &hook,
            &json!({"cooldownSeconds": -1}),
            "",
            400,
            "cooldownSeconds",
        ),
        (&hook, &json!({}), "&since=yesterday", 400, "since"),
        (
            &hook,
            &json!({}),
            "&since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
            400,
            "until",
        ),
        (&hook, &json!({}), "&limit=many", 400, "limit"),
        (&push, &json!({}), "", 422, "driver"),
    ] {
        let path = format!("receivers/{}/what-if?x=1{query}", hook.receiver);
        let (found, error) = up.api(Method::POST, &path, Some(change)).await;
        assert_eq!(
            (found.as_u16(), &error["fieldName"]),
            (status, &json!(field)),
            "{error}"
        );
    }
    let nothing = ask(&up, &hook, &json!({}), "").await;
    assert_eq!(
        (&nothing["triggers"], &nothing["rows"]),
        (&json!(0), &json!([]))
    );
    up.stop().await;
}

async fn ask(up: &Up, hook: &Hook, change: &Value, query: &str) -> Value {
    let path = format!("receivers/{}/what-if?limit=100{query}", hook.receiver);
    let path = if query.contains("limit") {
        path.replace("limit=100&", "")
    } else {
        path
    };
    let (status, answer) = up.api(Method::POST, &path, Some(change)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}
