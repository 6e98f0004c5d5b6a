//! One push of each registry, what it tells, and which of its fields must be there. Fields are given by their JSON
//! pointers.

use self::Needed::{List, Object, Text, TextOrObject};
use serde_json::{Value, json};
use stormhook_shared::domain::kind::{AddressType, PayloadFormat};
use stormhook_shared::domain::push::{Notice, Push, Tag};
use stormhook_shared::receiver_json::{FieldError, FieldProblem};
use stormhook_shared::registry_notice::parse;

/// The digest that is pushed in `distribution.json`.
pub const DIGEST: &str = "sha256:93354845030274cd4bf1686abd60ab28ec52e1a792fa6f7ccb9cbd0ddff53d12";

/// What a field is.
#[derive(Clone, Copy)]
pub enum Needed {
    Text,
    List,
    /// An object, and what is asked for when there is none, and when there is nothing in it.
    Object {
        absent: &'static str,
        empty: &'static str,
    },
    TextOrObject,
}

/// An object whose `first` field is asked for, as if it stood alone, when there is none.
const fn object(first: &'static str) -> Needed {
    Object {
        absent: first,
        empty: first,
    }
}

impl Needed {
    /// Values of every other type.
    pub fn wrong(self) -> impl Iterator<Item = Value> {
        let values = [
            json!(1),
            json!(true),
            json!("v1"),
            json!([]),
            json!(["v1"]),
            json!({}),
            json!({"deep": [[{}]]}),
        ];
        values.into_iter().filter(move |value| match self {
            Text => !value.is_string(),
            List => !value.is_array(),
            Object { .. } => !value.is_object(),
            TextOrObject => !value.is_string() && !value.is_object(),
        })
    }
}

/// A push as its registry tells it, and what it tells.
pub struct Recorded {
    pub name: &'static str,
    pub format: PayloadFormat,
    pub body: &'static str,
    pub image: &'static str,
    pub tag: &'static str,
    pub tag_at: &'static str,
    pub digest: Option<&'static str>,
    pub digest_at: Option<&'static str>,
    pub needed: &'static [(&'static str, Needed)],
    /// What may be missing, but not be of another type.
    pub optional: &'static [(&'static str, Needed)],
}

pub static RECORDED: [Recorded; 11] = [
    Recorded {
        name: "dockerhub",
        format: PayloadFormat::Dockerhub,
        body: include_str!("dockerhub.json"),
        image: "example/testhook",
        tag: "latest",
        tag_at: "/push_data/tag",
        digest: None,
        digest_at: None,
        needed: &[
            ("/repository", object("repository.repo_name")),
            ("/repository/repo_name", Text),
            ("/push_data", object("push_data.tag")),
            ("/push_data/tag", Text),
        ],
        optional: &[],
    },
    Recorded {
        name: "alicloud",
        format: PayloadFormat::Alicloud,
        body: include_str!("alicloud.json"),
        image: "registry-vpc.cn-hangzhou.aliyuncs.com/namespace/repoTest",
        tag: "latest",
        tag_at: "/push_data/tag",
        digest: None,
        digest_at: None,
        needed: &[
            ("/repository", object("repository.region")),
            ("/repository/region", Text),
            ("/repository/repo_full_name", Text),
            ("/push_data", object("push_data.tag")),
            ("/push_data/tag", Text),
        ],
        optional: &[],
    },
    Recorded {
        name: "azure",
        format: PayloadFormat::Azure,
        body: include_str!("azure.json"),
        image: "myregistry.azurecr.io/hello-world",
        tag: "v1",
        tag_at: "/target/tag",
        digest: Some("sha256:79f43c3b9c23fbdf293bdba80dab38ba194fc1da79187091b3d3760dad840bf8"),
        digest_at: Some("/target/digest"),
        needed: &[
            ("/action", Text),
            ("/request", object("request.host")),
            ("/request/host", Text),
            ("/target", object("target.repository")),
            ("/target/repository", Text),
            ("/target/tag", Text),
        ],
        optional: &[("/target/digest", Text)],
    },
    Recorded {
        name: "ghcr_package",
        format: PayloadFormat::Ghcr,
        body: include_str!("ghcr_package.json"),
        image: "ghcr.io/example-org/hello-world",
        tag: "nightly",
        tag_at: "/package/package_version/container_metadata/tag/name",
        digest: Some("sha256:40e17cf820af5a743f876a5c46ca73762ec9fb9ae5591272418151d63ac78f34"),
        digest_at: Some("/package/package_version/container_metadata/tag/digest"),
        needed: &[
            ("/action", Text),
            (
                "/package",
                Object {
                    absent: "package",
                    empty: "package.package_version.package_url",
                },
            ),
            (
                "/package/package_version",
                object("package.package_version.package_url"),
            ),
            ("/package/package_version/package_url", Text),
            (
                "/package/package_version/container_metadata",
                object("package.package_version.container_metadata.tag.name"),
            ),
            (
                "/package/package_version/container_metadata/tag",
                object("package.package_version.container_metadata.tag.name"),
            ),
            ("/package/package_version/container_metadata/tag/name", Text),
        ],
        optional: &[(
            "/package/package_version/container_metadata/tag/digest",
            Text,
        )],
    },
    Recorded {
        name: "ghcr_registry_package",
        format: PayloadFormat::Ghcr,
        body: include_str!("ghcr_registry_package.json"),
        image: "ghcr.io/example-org/hello-world",
        tag: "v1.2.0",
        tag_at: "/registry_package/package_version/container_metadata/tag/name",
        digest: Some("sha256:c58dfd3979e9aac738a18142b260550f1c819c28ebd2c4bd141d1b93840619d1"),
        digest_at: Some("/registry_package/package_version/container_metadata/tag/digest"),
        needed: &[
            ("/action", Text),
            (
                "/registry_package",
                Object {
                    absent: "package",
                    empty: "registry_package.package_version.package_url",
                },
            ),
            (
                "/registry_package/package_version",
                object("registry_package.package_version.package_url"),
            ),
            ("/registry_package/package_version/package_url", Text),
            (
                "/registry_package/package_version/container_metadata",
                object("registry_package.package_version.container_metadata.tag.name"),
            ),
            (
                "/registry_package/package_version/container_metadata/tag",
                object("registry_package.package_version.container_metadata.tag.name"),
            ),
            (
                "/registry_package/package_version/container_metadata/tag/name",
                Text,
            ),
        ],
        optional: &[(
            "/registry_package/package_version/container_metadata/tag/digest",
            Text,
        )],
    },
    Recorded {
        name: "harbor",
        format: PayloadFormat::Harbor,
        body: include_str!("harbor.json"),
        image: "hub.example.org:8443/test-webhook/debian",
        tag: "latest",
        tag_at: "/event_data/resources/0/tag",
        digest: Some("sha256:c1d64b2d4cb30f1be788cc4d246ddd9fc1fe85a3eb3a85a3de33829dfaf6ce7d"),
        digest_at: Some("/event_data/resources/0/digest"),
        needed: &[
            ("/type", Text),
            ("/event_data", object("event_data.resources")),
            ("/event_data/resources", List),
            (
                "/event_data/resources/0",
                object("event_data.resources.0.resource_url"),
            ),
            ("/event_data/resources/0/resource_url", Text),
        ],
        optional: &[
            ("/event_data/resources/0/tag", Text),
            ("/event_data/resources/0/digest", Text),
        ],
    },
    Recorded {
        name: "quay",
        format: PayloadFormat::Quay,
        body: include_str!("quay.json"),
        image: "quay.io/example/test",
        tag: "latest",
        tag_at: "/updated_tags/0",
        digest: None,
        digest_at: None,
        needed: &[
            ("/docker_url", Text),
            ("/updated_tags", List),
            ("/updated_tags/0", Text),
        ],
        optional: &[],
    },
    Recorded {
        name: "distribution",
        format: PayloadFormat::Distribution,
        body: include_str!("distribution.json"),
        image: "registry.example.org/library/test",
        tag: "latest",
        tag_at: "/events/0/target/tag",
        digest: Some(DIGEST),
        digest_at: Some("/events/0/target/digest"),
        needed: EVENTS_NEEDED,
        optional: EVENTS_OPTIONAL,
    },
    Recorded {
        name: "gitlab",
        format: PayloadFormat::Gitlab,
        body: include_str!("gitlab.json"),
        image: "registry.example.org:5000/root/test",
        tag: "latest",
        tag_at: "/events/0/target/tag",
        digest: Some("sha256:9d96d9d5b1addd7e7e6119a23b1e5b5f68545312bfecb21d1cdc6af22b8628b8"),
        digest_at: Some("/events/0/target/digest"),
        needed: EVENTS_NEEDED,
        optional: EVENTS_OPTIONAL,
    },
    Recorded {
        name: "gitea",
        format: PayloadFormat::Gitea,
        body: include_str!("gitea.json"),
        image: "git.example.org/example/web",
        tag: "latest",
        tag_at: "/package/version",
        digest: None,
        digest_at: None,
        needed: &[
            ("/action", Text),
            (
                "/package",
                Object {
                    absent: "package",
                    empty: "package.owner",
                },
            ),
            ("/package/owner", TextOrObject),
            ("/package/owner/login", Text),
            ("/package/html_url", Text),
            ("/package/name", Text),
            ("/package/version", Text),
        ],
        optional: &[("/package/type", Text)],
    },
    Recorded {
        name: "generic",
        format: PayloadFormat::Generic,
        body: include_str!("generic.json"),
        image: "registry.example.org:5000/example/web",
        tag: "v1",
        tag_at: "/tag",
        digest: Some("sha256:3a2e8954befdbd6e7eac2f10d4301a2923cd65a5f38bf80914019b55a03f78c4"),
        digest_at: Some("/digest"),
        needed: &[("/image", Text), ("/tag", Text)],
        optional: &[("/digest", Text)],
    },
];

const EVENTS_NEEDED: &[(&str, Needed)] = &[
    ("/events", List),
    ("/events/0", object("events.0.action")),
    ("/events/0/action", Text),
    ("/events/0/target", object("events.0.target.repository")),
    ("/events/0/target/repository", Text),
];

const EVENTS_OPTIONAL: &[(&str, Needed)] = &[
    ("/events/0/target/tag", Text),
    ("/events/0/target/digest", Text),
    ("/events/0/request", object("events.0.target.url")),
    ("/events/0/request/host", Text),
];

impl Recorded {
    pub fn named(name: &str) -> &'static Self {
        RECORDED.iter().find(|one| one.name == name).unwrap()
    }

    /// What is pushed in it.
    pub fn push(&self) -> Push {
        Push {
            image: self.image.to_owned(),
            tag: Tag::try_from(self.tag.to_owned()).unwrap(),
            digest: self.digest.map(str::to_owned),
        }
    }

    pub fn value(&self) -> Value {
        serde_json::from_str(self.body).unwrap()
    }

    /// The body with `value` instead of what stands at `pointer`.
    pub fn with(&self, pointer: &str, value: Value) -> Value {
        let mut body = self.value();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    }

    /// The body without the field at `pointer`.
    pub fn without(&self, pointer: &str) -> Value {
        let mut body = self.value();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let fields = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        fields.remove(field).unwrap();
        body
    }

    pub fn read(&self, body: &Value) -> Result<Notice, FieldError> {
        self.read_text(&body.to_string())
    }

    pub fn read_text(&self, body: &str) -> Result<Notice, FieldError> {
        parse(self.format, AddressType::RegistryVpc, body.as_bytes())
    }

    /// Expects that `body` is refused for `field`, which the message names as well.
    pub fn refuses(&self, body: &Value, problem: FieldProblem, field: &str) {
        let expected = (problem, field);
        match self.read(body) {
            Ok(notice) => panic!("{}: {expected:?} is taken: {notice:?}", self.name),
            Err(error) => {
                let told = (error.problem, error.field.as_str());
                assert_eq!(told, expected, "{}: {error}", self.name);
                assert!(error.message.contains(field), "{}: {error}", self.name);
            }
        }
    }
}
