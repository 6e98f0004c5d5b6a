//! Each registry's notification of a push is understood, and what is wrong with one that it would not send is told.
//!
//! `notices/` has a push of each with all of its fields. The shapes are those of the registries' own documentation, with
//! the names of people, hosts and repositories made neutral, and each digest one of our own:
//! - `dockerhub`: Docker's page "Webhooks" of Docker Hub
//! - `alicloud`: Alibaba Cloud's example of what a trigger of Container Registry sends, as its users quote it
//! - `azure`: Microsoft's "Azure Container Registry webhook reference"
//! - `ghcr_package`, `ghcr_registry_package`: GitHub's examples of its events `package` and `registry_package` for
//!   containers (`octokit/webhooks`), with a tag, which is empty there
//! - `harbor`: Harbor's page "Configure Webhook Notifications" (2.x)
//! - `quay`: Red Hat's "Use Red Hat Quay", Repository Notifications
//! - `distribution`: the distribution project's page "Work with notifications" (`registry:2`): a manifest, two layers
//! - `gitlab`: the "Event notifications spec" of GitLab's container registry
//! - `gitea`: Gitea's API types `PackagePayload`, `Package` and `User`, the package belonging to no repository
//! - `generic`: our own
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

#[path = "notices/recorded.rs"]
mod recorded;

use recorded::{DIGEST, Needed, RECORDED, Recorded};
use serde_json::{Value, json};
use stormhook_shared::domain::kind::{AddressType, PayloadFormat};
use stormhook_shared::domain::push::{Notice, Push, Tag};
use stormhook_shared::receiver_json::FieldProblem;
use stormhook_shared::registry_notice::parse;

const MEBIBYTE: usize = 1024 * 1024;

/// The field at `pointer` as errors name it.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[test]
fn each_registry_is_understood() {
    for one in &RECORDED {
        let notice = one.read_text(one.body);
        assert_eq!(notice, Ok(Notice::Pushed(vec![one.push()])), "{}", one.name);
        let shown = format!("{}:{}", one.image, one.tag);
        assert_eq!(one.push().to_string(), shown, "{}", one.name);
    }
}

#[test]
fn each_format_has_a_recorded_push() {
    for (name, format) in PayloadFormat::ALL {
        let of_format = RECORDED.iter().filter(|one| one.format == format);
        let names: Vec<_> = of_format.map(|one| one.name).collect();
        assert!(!names.is_empty(), "{name}");
        assert!(
            names.iter().all(|one| one.starts_with(name)),
            "{name}: {names:?}"
        );
    }
}

#[test]
fn whatever_a_format_needs_is_asked_for_by_name() {
    for one in &RECORDED {
        for (pointer, needed) in one.needed {
            let own = dotted(pointer);
            let absent = match needed {
                Needed::Object { absent, .. } => (*absent).to_owned(),
                _ => own.clone(),
            };
            if pointer.ends_with("/0") {
                // In a list nothing is missing, and null is a value.
                let null = one.with(pointer, Value::Null);
                one.refuses(&null, FieldProblem::InvalidFormat, &own);
            } else {
                for body in [one.without(pointer), one.with(pointer, Value::Null)] {
                    one.refuses(&body, FieldProblem::MissingRequired, &absent);
                }
            }
            for wrong in needed.wrong() {
                let body = one.with(pointer, wrong);
                one.refuses(&body, FieldProblem::InvalidFormat, &own);
            }
            if let Needed::Object { empty, .. } = needed {
                for other in [json!({}), json!({"deep": [[{}]]})] {
                    let body = one.with(pointer, other);
                    one.refuses(&body, FieldProblem::MissingRequired, empty);
                }
            }
        }
    }
}

#[test]
fn what_may_be_missing_may_not_be_of_another_type() {
    for one in &RECORDED {
        for (pointer, needed) in one.optional {
            for wrong in needed.wrong() {
                let body = one.with(pointer, wrong);
                one.refuses(&body, FieldProblem::InvalidFormat, &dotted(pointer));
            }
        }
    }
}

#[test]
fn a_push_may_come_without_its_digest() {
    for one in &RECORDED {
        let Some(pointer) = one.digest_at else {
            continue;
        };
        let expected = Push {
            digest: None,
            ..one.push()
        };
        for body in [one.without(pointer), one.with(pointer, Value::Null)] {
            let notice = one.read(&body);
            let expected = Notice::Pushed(vec![expected.clone()]);
            assert_eq!(notice, Ok(expected), "{}", one.name);
        }
    }
}

/// `request.host` need not be there; the manifest's address always is.
#[test]
fn a_registry_that_does_not_name_its_host_is_known_by_its_addresses() {
    for one in ["distribution", "gitlab"].map(Recorded::named) {
        let (_, path) = one.image.split_once('/').unwrap();
        let expected = Push {
            image: format!("other.example.org:5443/{path}"),
            ..one.push()
        };
        for mut body in [
            one.without("/events/0/request"),
            one.with("/events/0/request", Value::Null),
            one.with("/events/0/request", json!({})),
            one.without("/events/0/request/host"),
            one.with("/events/0/request/host", Value::Null),
        ] {
            let target = body.pointer_mut("/events/0/target").unwrap();
            target["url"] = json!("https://other.example.org:5443/v2/a/manifests/sha256:0");
            let notice = one.read(&body);
            let expected = Notice::Pushed(vec![expected.clone()]);
            assert_eq!(notice, Ok(expected), "{}", one.name);

            for (url, problem) in [
                (Value::Null, FieldProblem::MissingRequired),
                (json!(1), FieldProblem::InvalidFormat),
            ] {
                *body.pointer_mut("/events/0/target/url").unwrap() = url;
                one.refuses(&body, problem, "events.0.target.url");
            }
        }
        let notice = one.read(&one.without("/events/0/target/url"));
        assert_eq!(notice, Ok(Notice::Pushed(vec![one.push()])), "{}", one.name);
    }
}

#[test]
fn gitea_names_an_owner_by_an_object_or_a_text() {
    let gitea = Recorded::named("gitea");
    let notice = gitea.read(&gitea.with("/package/owner", json!("Example")));
    assert_eq!(notice, Ok(Notice::Pushed(vec![gitea.push()])));
    let body = gitea.with("/package/owner", json!({"id": 1}));
    gitea.refuses(&body, FieldProblem::MissingRequired, "package.owner.login");
    for body in [
        gitea.without("/package/type"),
        gitea.with("/package/type", Value::Null),
    ] {
        assert_eq!(gitea.read(&body), Ok(Notice::Pushed(vec![gitea.push()])));
    }
}

#[test]
fn alibabas_registry_has_three_addresses() {
    let alicloud = Recorded::named("alicloud");
    for (address, address_type) in AddressType::ALL {
        let notice = parse(alicloud.format, address_type, alicloud.body.as_bytes());
        let expected = Push {
            image: format!("{address}.cn-hangzhou.aliyuncs.com/namespace/repoTest"),
            ..alicloud.push()
        };
        assert_eq!(notice, Ok(Notice::Pushed(vec![expected])));
    }
}

/// GitHub's package address ends with the tag, or with a colon where it does not tell one there.
#[test]
fn githubs_address_is_taken_without_what_follows_the_repository() {
    for (name, pointer) in [
        ("ghcr_package", "/package/package_version/package_url"),
        (
            "ghcr_registry_package",
            "/registry_package/package_version/package_url",
        ),
    ] {
        let one = Recorded::named(name);
        for url in ["ghcr.io/Example-Org/hello-world:", one.image] {
            let notice = one.read(&one.with(pointer, json!(url)));
            assert_eq!(notice, Ok(Notice::Pushed(vec![one.push()])), "{url}");
        }
    }
}

#[test]
fn a_notification_can_tell_of_several_pushes() {
    let tagged = |one: &Recorded, tag: &str| Push {
        tag: Tag::try_from(tag.to_owned()).unwrap(),
        ..one.push()
    };
    let quay = Recorded::named("quay");
    let body = quay.with("/updated_tags", json!(["latest", "v2"]));
    let expected = Notice::Pushed(vec![quay.push(), tagged(quay, "v2")]);
    assert_eq!(quay.read(&body), Ok(expected));
    for (name, list, tag_at) in [
        ("harbor", "/event_data/resources", "/tag"),
        ("distribution", "/events", "/target/tag"),
        ("gitlab", "/events", "/target/tag"),
    ] {
        let one = Recorded::named(name);
        let mut body = one.value();
        let items = body.pointer_mut(list).unwrap().as_array_mut().unwrap();
        let mut second = items[0].clone();
        *second.pointer_mut(tag_at).unwrap() = json!("v2");
        items.push(second);
        let expected = Notice::Pushed(vec![one.push(), tagged(one, "v2")]);
        assert_eq!(one.read(&body), Ok(expected), "{name}");
    }
}

/// Each architecture's image of one for several is pushed so, before the tag is.
#[test]
fn what_is_pushed_by_its_digest_alone_is_no_push_and_no_mistake() {
    let harbor = Recorded::named("harbor");
    let mut body = harbor.value();
    for sign in ['@', ':'] {
        let resource = json!({"digest": DIGEST, "tag": DIGEST,
            "resource_url": format!("{}{sign}{DIGEST}", harbor.image)});
        let alone = harbor.read(&harbor.with("/event_data/resources", json!([resource])));
        assert!(matches!(alone, Ok(Notice::Other(_))), "{sign} {alone:?}");
        let resources = body.pointer_mut("/event_data/resources").unwrap();
        resources.as_array_mut().unwrap().push(resource);
    }
    let expected = Notice::Pushed(vec![harbor.push()]);
    assert_eq!(harbor.read(&body), Ok(expected), "beside one with a tag");

    let gitea = Recorded::named("gitea");
    let notice = gitea.read(&gitea.with("/package/version", json!(DIGEST)));
    assert!(matches!(notice, Ok(Notice::Other(_))), "{notice:?}");

    for one in ["distribution", "gitlab"].map(Recorded::named) {
        let notice = one.read(&one.without("/events/0/target/tag"));
        assert!(matches!(notice, Ok(Notice::Other(_))), "{notice:?}");
    }
}

#[test]
fn other_events_are_no_pushes_and_no_mistakes() {
    for (name, pointer, value) in [
        ("azure", "/action", json!("delete")),
        ("ghcr_package", "/action", json!("updated")),
        (
            "ghcr_package",
            "/package/package_version/container_metadata/tag/name",
            json!(""),
        ),
        ("ghcr_registry_package", "/action", json!("updated")),
        (
            "ghcr_registry_package",
            "/registry_package/package_version/container_metadata/tag/name",
            json!(""),
        ),
        ("harbor", "/type", json!("SCANNING_COMPLETED")),
        ("harbor", "/event_data/resources", json!([])),
        ("harbor", "/event_data/resources/0/tag", Value::Null),
        ("harbor", "/event_data/resources/0/tag", json!("")),
        ("quay", "/updated_tags", json!([])),
        ("distribution", "/events", json!([])),
        ("distribution", "/events/0/action", json!("pull")),
        ("distribution", "/events/0/target/tag", Value::Null),
        ("distribution", "/events/0/target/tag", json!("")),
        ("gitlab", "/events/0/action", json!("delete")),
        ("gitlab", "/events/0/target/tag", Value::Null),
        ("gitea", "/action", json!("deleted")),
        ("gitea", "/package/type", json!("npm")),
    ] {
        let one = Recorded::named(name);
        let notice = one.read(&one.with(pointer, value));
        assert!(
            matches!(notice, Ok(Notice::Other(_))),
            "{name} {pointer}: {notice:?}"
        );
    }
}

/// What registries say beside what is needed grows over the years, up to what a body may have.
#[test]
fn each_registry_is_understood_in_a_body_of_a_mebibyte() {
    for one in &RECORDED {
        let mut large = one.value();
        let rest = MEBIBYTE - large.to_string().len() - r#","padding":"""#.len();
        large["padding"] = json!("x".repeat(rest));
        assert_eq!(large.to_string().len(), MEBIBYTE);
        let notice = one.read(&large);
        assert_eq!(notice, Ok(Notice::Pushed(vec![one.push()])), "{}", one.name);
    }
}

/// The JSON reader goes down 127 levels, the body itself being the first.
#[test]
fn each_registry_is_understood_down_to_the_deepest_level_that_is_read() {
    for one in &RECORDED {
        let start = one.body.trim_end().strip_suffix('}').unwrap();
        for (open, close) in [("[", "]"), (r#"{"x":"#, "}")] {
            let read = |levels: usize| {
                let (down, up) = (open.repeat(levels), close.repeat(levels));
                one.read_text(&format!(r#"{start},"padding":{down}0{up}}}"#))
            };
            let expected = Notice::Pushed(vec![one.push()]);
            assert_eq!(read(126), Ok(expected), "{} {open}", one.name);
            for levels in [127, 128, 100_000] {
                let error = read(levels).unwrap_err();
                let told = (error.problem, error.field.as_str());
                let expected = (FieldProblem::InvalidFormat, "body");
                assert_eq!(told, expected, "{} {levels} {open}: {error}", one.name);
                assert!(
                    error.message.contains("recursion limit exceeded"),
                    "{} {levels} {open}: {error}",
                    one.name
                );
            }
        }
    }
}

/// 1 to 128 of `[A-Za-z0-9_.-]`, not starting with `.` or `-`, in each format where the tag stands.
#[test]
fn tags_are_taken_up_to_the_borders_of_their_rule() {
    for one in &RECORDED {
        for tag in ["a", "_", "1.0", "A-b_c.9", &"x".repeat(128)] {
            let expected = Push {
                tag: Tag::try_from(tag.to_owned()).unwrap(),
                ..one.push()
            };
            let notice = one.read(&one.with(one.tag_at, json!(tag)));
            let expected = Notice::Pushed(vec![expected]);
            assert_eq!(notice, Ok(expected), "{} {tag}", one.name);
        }
        for tag in [
            ".a",
            "-a",
            "a b",
            "a/b",
            "a:b",
            "a@b",
            "a+b",
            "a\n",
            "ä",
            &"x".repeat(129),
        ] {
            let error = one
                .read(&one.with(one.tag_at, json!(tag)))
                .expect_err(one.name);
            let told = (error.problem, error.field);
            let expected = (FieldProblem::InvalidFormat, dotted(one.tag_at));
            assert_eq!(told, expected, "{} {tag:?}", one.name);
        }
    }
}

#[test]
fn what_is_no_json_or_too_deep_or_no_object_is_told() {
    let deep = "[".repeat(1_000_000);
    for one in &RECORDED {
        for body in ["", "tag=v1", "{", "[]", "null", "1", r#""v1""#, &deep] {
            let error = one.read_text(body).unwrap_err();
            let told = (error.problem, error.field.as_str());
            let expected = (FieldProblem::InvalidFormat, "body");
            let start = &body[..body.len().min(9)];
            assert_eq!(told, expected, "{} {start}: {error}", one.name);
        }
    }
}

#[test]
fn a_tag_outside_the_rule_and_an_image_that_is_none_are_told() {
    let generic = Recorded::named("generic");
    for (image, tag) in [
        ("example/web", ".v1"),
        ("example/web", ""),
        ("a b", "v1"),
        ("http://x/y", "v1"),
    ] {
        let body = json!({"image": image, "tag": tag});
        assert!(generic.read(&body).is_err(), "{body}");
    }
}

/// Where each registry's repository stands, and of what else its image is made.
#[test]
fn an_image_that_cannot_be_is_told_by_its_field() {
    for (name, pointer) in [
        ("dockerhub", "/repository/repo_name"),
        ("alicloud", "/repository/repo_full_name"),
        ("azure", "/target/repository"),
        ("ghcr_package", "/package/package_version/package_url"),
        ("harbor", "/event_data/resources/0/resource_url"),
        ("quay", "/docker_url"),
        ("distribution", "/events/0/target/repository"),
        ("gitlab", "/events/0/target/repository"),
        ("gitea", "/package/name"),
        ("generic", "/image"),
    ] {
        let one = Recorded::named(name);
        for wrong in ["", "a b", "r.example.org/a//b", "r.example.org/../b", "a/."] {
            let body = one.with(pointer, json!(wrong));
            one.refuses(&body, FieldProblem::InvalidFormat, &dotted(pointer));
        }
    }
    for (name, pointer, wrong) in [
        ("alicloud", "/repository/region", "x.example.org/a"),
        ("alicloud", "/repository/region", "cn_beijing"),
        ("alicloud", "/repository/region", ""),
        ("azure", "/request/host", "r.example.org/a"),
        ("azure", "/request/host", ".."),
        ("distribution", "/events/0/request/host", ""),
        ("distribution", "/events/0/request/host", "a b"),
        ("gitlab", "/events/0/request/host", "r.example.org:x"),
        ("gitea", "/package/html_url", "https:///a"),
        ("gitea", "/package/owner/login", ".."),
    ] {
        let one = Recorded::named(name);
        let body = one.with(pointer, json!(wrong));
        one.refuses(&body, FieldProblem::InvalidFormat, &dotted(pointer));
    }
}

/// GitHub and Gitea write names as people do, and store them in small letters.
#[test]
fn capital_letters_are_taken_where_the_registry_means_small_ones() {
    for (name, pointer, capital) in [
        ("gitea", "/package/name", "Web"),
        ("gitea", "/package/owner/login", "Example"),
    ] {
        let one = Recorded::named(name);
        let notice = one.read(&one.with(pointer, json!(capital)));
        assert_eq!(notice, Ok(Notice::Pushed(vec![one.push()])), "{name}");
    }
}

#[test]
fn an_empty_action_is_told_as_such() {
    let azure = Recorded::named("azure");
    let notice = azure.read(&azure.with("/action", json!("")));
    let expected = "the action is empty, not push".to_owned();
    assert_eq!(notice, Ok(Notice::Other(expected)));
}
