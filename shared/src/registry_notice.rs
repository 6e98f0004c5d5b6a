//! What registries say when an image was pushed: each in its own JSON. Pure.
//!
//! The shapes are those of the registries' documentation: Docker Hub webhooks, Alibaba ACR triggers, Azure ACR
//! webhooks, GitHub's `package` and `registry_package` events, Harbor's `PUSH_ARTIFACT`, Quay's repository push, the
//! distribution project's notifications (also GitLab's), Gitea's package events.

use serde_json::Value;

use crate::domain::kind::{AddressType, PayloadFormat};
use crate::domain::push::{Notice, Push, Tag, is_repository};
use crate::receiver_json::{FieldError, FieldProblem};

/// What `body` tells in `format`. An error is the caller's mistake: something that the format needs is missing or of
/// another type.
pub fn parse(
    format: PayloadFormat,
    address_type: AddressType,
    body: &[u8],
) -> Result<Notice, FieldError> {
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body is not JSON, as the registry sends it: {error}");
        FieldError::new(FieldProblem::InvalidFormat, "body", message)
    })?;
    let root = Node::root(&body);
    match format {
        PayloadFormat::Dockerhub => pushed(vec![push(
            root.text("repository.repo_name")?,
            root.text("push_data.tag")?,
            None,
            "push_data.tag",
        )?]),
        PayloadFormat::Alicloud => alicloud(&root, address_type),
        PayloadFormat::Azure => azure(&root),
        PayloadFormat::Ghcr => ghcr(&root),
        PayloadFormat::Harbor => harbor(&root),
        PayloadFormat::Quay => quay(&root),
        PayloadFormat::Gitlab | PayloadFormat::Distribution => distribution(&root),
        PayloadFormat::Gitea => gitea(&root),
        PayloadFormat::Generic => {
            let digest = root.optional_text("digest")?;
            pushed(vec![push(
                root.text("image")?,
                root.text("tag")?,
                digest,
                "tag",
            )?])
        }
    }
}

fn alicloud(root: &Node<'_>, address_type: AddressType) -> Result<Notice, FieldError> {
    let address = AddressType::ALL
        .into_iter()
        .find(|(_, one)| *one == address_type);
    let address = address.map_or("registry", |(name, _)| name);
    let region = root.text("repository.region")?;
    let name = root.text("repository.repo_full_name")?;
    let image = format!("{address}.{region}.aliyuncs.com/{name}");
    pushed(vec![push(
        &image,
        root.text("push_data.tag")?,
        None,
        "push_data.tag",
    )?])
}

fn azure(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "push" {
        return Ok(Notice::Other(format!("the action is {action}, not push")));
    }
    let image = format!(
        "{}/{}",
        root.text("request.host")?,
        root.text("target.repository")?
    );
    let digest = root.optional_text("target.digest")?;
    let tag = root.text("target.tag")?;
    pushed(vec![push(&image, tag, digest, "target.tag")?])
}

fn ghcr(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "published" {
        let message = format!("the action is {action}, not published");
        return Ok(Notice::Other(message));
    }
    let package = match root.child("registry_package") {
        Ok(package) => package,
        Err(_) => root.child("package")?,
    };
    let url = package.text("package_version.package_url")?;
    let tag = package.text("package_version.container_metadata.tag.name")?;
    if tag.is_empty() {
        return Ok(Notice::Other("the package has no tag".to_owned()));
    }
    let digest = package.optional_text("package_version.container_metadata.tag.digest")?;
    let image = without_tag(url).to_lowercase();
    pushed(vec![push(&image, tag, digest, "tag.name")?])
}

fn harbor(root: &Node<'_>) -> Result<Notice, FieldError> {
    let kind = root.text("type")?;
    if kind != "PUSH_ARTIFACT" {
        let message = format!("the event is {kind}, not PUSH_ARTIFACT");
        return Ok(Notice::Other(message));
    }
    let mut pushes = Vec::new();
    for resource in root.list("event_data.resources")? {
        let url = resource.text("resource_url")?;
        // What is pushed by its digest has none.
        let Some(tag) = resource.optional_text("tag")?.filter(|tag| !tag.is_empty()) else {
            continue;
        };
        let digest = resource.optional_text("digest")?;
        let image = without_tag(url.split('@').next().unwrap_or(url));
        pushes.push(push(image, tag, digest, "tag")?);
    }
    pushed(pushes)
}

fn quay(root: &Node<'_>) -> Result<Notice, FieldError> {
    let image = root.text("docker_url")?;
    let mut pushes = Vec::new();
    for tag in root.list("updated_tags")? {
        pushes.push(push(image, tag.as_text()?, None, "updated_tags")?);
    }
    pushed(pushes)
}

fn distribution(root: &Node<'_>) -> Result<Notice, FieldError> {
    let mut pushes = Vec::new();
    for event in root.list("events")? {
        if event.text("action")? != "push" {
            continue;
        }
        let repository = event.text("target.repository")?;
        // Layers and what is pushed by its digest have none.
        let Some(tag) = event
            .optional_text("target.tag")?
            .filter(|tag| !tag.is_empty())
        else {
            continue;
        };
        let host = match event.optional_text("request.host")? {
            Some(host) => host,
            None => host_of(event.text("target.url")?),
        };
        let digest = event.optional_text("target.digest")?;
        pushes.push(push(
            &format!("{host}/{repository}"),
            tag,
            digest,
            "target.tag",
        )?);
    }
    pushed(pushes)
}

fn gitea(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "created" {
        return Ok(Notice::Other(format!(
            "the action is {action}, not created"
        )));
    }
    let package = root.child("package")?;
    if let Some(kind) = package.optional_text("type")?
        && kind != "container"
    {
        return Ok(Notice::Other(format!("the package is of type {kind}")));
    }
    let owner = match package.child("owner")? {
        owner if owner.value.is_string() => owner.as_text()?,
        owner => owner.text("login")?,
    };
    let host = host_of(package.text("html_url")?);
    let image = format!("{host}/{owner}/{}", package.text("name")?).to_lowercase();
    let tag = package.text("version")?;
    pushed(vec![push(&image, tag, None, "package.version")?])
}

fn pushed(pushes: Vec<Push>) -> Result<Notice, FieldError> {
    if pushes.is_empty() {
        return Ok(Notice::Other("no tag was pushed".to_owned()));
    }
    Ok(Notice::Pushed(pushes))
}

fn push(image: &str, tag: &str, digest: Option<&str>, field: &str) -> Result<Push, FieldError> {
    if !is_repository(image) {
        let shown: String = image.chars().take(80).collect();
        let message = format!("{shown:?} does not name a repository");
        return Err(FieldError::new(
            FieldProblem::InvalidFormat,
            "image",
            message,
        ));
    }
    let tag = Tag::try_from(tag.to_owned())
        .map_err(|error| FieldError::new(FieldProblem::InvalidFormat, field, error.to_string()))?;
    Ok(Push {
        image: image.to_owned(),
        tag,
        digest: digest.map(str::to_owned),
    })
}

/// `ghcr.io/a/b:v1` and `ghcr.io/a/b:` without what follows the repository.
fn without_tag(url: &str) -> &str {
    match url.rsplit_once(':') {
        Some((image, tag)) if !tag.contains('/') => image,
        _ => url,
    }
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// A place in the body.
#[derive(Clone)]
struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    /// What `path` leads to from here.
    fn child(&self, path: &str) -> Result<Self, FieldError> {
        self.optional(path).ok_or_else(|| {
            let field = self.name_of(path);
            let message = format!("{field} is missing in the body");
            FieldError::new(FieldProblem::MissingRequired, &field, message)
        })
    }

    fn optional(&self, path: &str) -> Option<Self> {
        let value = path
            .split('.')
            .try_fold(self.value, |value, field| value.get(field))?;
        (!value.is_null()).then(|| Self {
            value,
            path: self.name_of(path),
        })
    }

    fn as_text(&self) -> Result<&'a str, FieldError> {
        self.value.as_str().ok_or_else(|| self.is_no("a text"))
    }

    fn text(&self, path: &str) -> Result<&'a str, FieldError> {
        self.child(path)?.as_text()
    }

    fn optional_text(&self, path: &str) -> Result<Option<&'a str>, FieldError> {
        self.optional(path).map(|node| node.as_text()).transpose()
    }

    fn list(&self, path: &str) -> Result<Vec<Self>, FieldError> {
        let node = self.child(path)?;
        let items = node.value.as_array().ok_or_else(|| node.is_no("a list"))?;
        Ok(items
            .iter()
            .enumerate()
            .map(|(number, value)| Self {
                value,
                path: format!("{}.{number}", node.path),
            })
            .collect())
    }

    fn is_no(&self, kind: &str) -> FieldError {
        let message = format!("{} must be {kind} in the body", self.path);
        FieldError::new(FieldProblem::InvalidFormat, &self.path, message)
    }

    fn name_of(&self, path: &str) -> String {
        if self.path.is_empty() {
            path.to_owned()
        } else {
            format!("{}.{path}", self.path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An example of each format in the shape that the registry's documentation shows, the image in it, and the
    /// fields that it needs.
    fn examples() -> Vec<(PayloadFormat, Value, &'static str, Vec<&'static str>)> {
        vec![
            (
                PayloadFormat::Dockerhub,
                json!({"callback_url": "https://registry.hub.docker.com/u/example/web/hook/2141/",
                    "push_data": {"pushed_at": 1_417_566_161, "pusher": "trustedbuilder", "tag": "v1"},
                    "repository": {"name": "web", "namespace": "example", "repo_name": "example/web", "status": "Active"}}),
                "example/web:v1",
                vec![
                    "/push_data",
                    "/push_data/tag",
                    "/repository",
                    "/repository/repo_name",
                ],
            ),
            (
                PayloadFormat::Alicloud,
                json!({"push_data": {"digest": "sha256:1", "pushed_at": "2026-01-01 00:00:00", "tag": "v1"},
                    "repository": {"date_created": "2026-01-01", "name": "web", "namespace": "example", "region": "cn-hangzhou",
                        "repo_authentication_type": "NO_CERTIFIED", "repo_full_name": "example/web", "repo_type": "PUBLIC"}}),
                "registry-vpc.cn-hangzhou.aliyuncs.com/example/web:v1",
                vec![
                    "/push_data/tag",
                    "/repository/region",
                    "/repository/repo_full_name",
                ],
            ),
            (
                PayloadFormat::Azure,
                json!({"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "push",
                    "target": {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 524,
                        "digest": "sha256:80f0", "length": 524, "repository": "web", "tag": "v1"},
                    "request": {"id": "3", "host": "example.azurecr.io", "method": "PUT", "useragent": "docker/1"}}),
                "example.azurecr.io/web:v1",
                vec![
                    "/action",
                    "/target/repository",
                    "/target/tag",
                    "/request/host",
                ],
            ),
            (
                PayloadFormat::Ghcr,
                json!({"action": "published", "package": {"id": 1, "name": "web", "namespace": "example", "ecosystem": "CONTAINER",
                    "package_version": {"id": 2, "version": "sha256:1", "package_url": "ghcr.io/Example/Web:v1",
                        "container_metadata": {"tag": {"name": "v1", "digest": "sha256:1"}}}}}),
                "ghcr.io/example/web:v1",
                vec![
                    "/action",
                    "/package",
                    "/package/package_version/package_url",
                    "/package/package_version/container_metadata/tag/name",
                ],
            ),
            (
                PayloadFormat::Harbor,
                json!({"type": "PUSH_ARTIFACT", "occur_at": 1_586_922_308, "operator": "admin",
                    "event_data": {"resources": [{"digest": "sha256:8a9e", "tag": "v1",
                        "resource_url": "hub.example.org:8443/library/web:v1"}],
                        "repository": {"name": "web", "namespace": "library", "repo_full_name": "library/web", "repo_type": "private"}}}),
                "hub.example.org:8443/library/web:v1",
                vec![
                    "/type",
                    "/event_data",
                    "/event_data/resources",
                    "/event_data/resources/0/resource_url",
                ],
            ),
            (
                PayloadFormat::Quay,
                json!({"name": "web", "repository": "example/web", "namespace": "example", "docker_url": "quay.io/example/web",
                    "homepage": "https://quay.io/repository/example/web", "updated_tags": ["v1"]}),
                "quay.io/example/web:v1",
                vec!["/docker_url", "/updated_tags"],
            ),
            (
                PayloadFormat::Distribution,
                json!({"events": [{"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "push",
                    "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:f", "size": 708,
                        "repository": "example/web", "url": "http://registry.example.org/v2/example/web/manifests/sha256:f", "tag": "v1"},
                    "request": {"id": "1", "addr": "10.0.0.1", "host": "registry.example.org", "method": "PUT"}}]}),
                "registry.example.org/example/web:v1",
                vec![
                    "/events",
                    "/events/0/action",
                    "/events/0/target",
                    "/events/0/target/repository",
                ],
            ),
            (
                PayloadFormat::Gitea,
                json!({"action": "created", "package": {"id": 1, "owner": {"id": 1, "login": "Example"}, "name": "web",
                    "type": "container", "version": "v1", "html_url": "https://git.example.org/Example/-/packages/container/web/v1"}}),
                "git.example.org/example/web:v1",
                vec![
                    "/action",
                    "/package",
                    "/package/owner",
                    "/package/name",
                    "/package/version",
                    "/package/html_url",
                ],
            ),
            (
                PayloadFormat::Generic,
                json!({"image": "example/web", "tag": "v1"}),
                "example/web:v1",
                vec!["/image", "/tag"],
            ),
        ]
    }

    fn read(format: PayloadFormat, body: &Value) -> Result<Notice, FieldError> {
        parse(
            format,
            AddressType::RegistryVpc,
            body.to_string().as_bytes(),
        )
    }

    #[test]
    fn each_registry_is_understood() {
        for (format, body, image, _) in examples() {
            let notice = read(format, &body).unwrap();
            let Notice::Pushed(pushes) = notice else {
                panic!("{format:?}: {notice:?}");
            };
            assert_eq!(pushes[0].to_string(), image, "{format:?}");
        }
    }

    #[test]
    fn whatever_a_format_needs_is_asked_for_by_name() {
        for (format, body, _, needed) in examples() {
            for pointer in needed {
                for wrong in [
                    None,
                    Some(Value::Null),
                    Some(json!(1)),
                    Some(json!({"deep": [[{}]]})),
                ] {
                    let mut changed = body.clone();
                    let (parent, field) = pointer.rsplit_once('/').unwrap();
                    match (changed.pointer_mut(parent).unwrap(), &wrong) {
                        (Value::Object(fields), None) => drop(fields.remove(field)),
                        (parent, Some(wrong)) => parent[field] = wrong.clone(),
                        _ => continue,
                    }
                    let error = read(format, &changed).unwrap_err();
                    assert!(
                        !error.field.is_empty(),
                        "{format:?} {pointer} {wrong:?}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_events_are_no_pushes_and_no_mistakes() {
        for (format, pointer, value) in [
            (PayloadFormat::Azure, "/action", json!("delete")),
            (PayloadFormat::Ghcr, "/action", json!("updated")),
            (
                PayloadFormat::Ghcr,
                "/package/package_version/container_metadata/tag/name",
                json!(""),
            ),
            (PayloadFormat::Harbor, "/type", json!("SCANNING_COMPLETED")),
            (
                PayloadFormat::Harbor,
                "/event_data/resources/0/tag",
                Value::Null,
            ),
            (PayloadFormat::Quay, "/updated_tags", json!([])),
            (
                PayloadFormat::Distribution,
                "/events/0/action",
                json!("pull"),
            ),
            (
                PayloadFormat::Distribution,
                "/events/0/target/tag",
                Value::Null,
            ),
            (PayloadFormat::Gitea, "/action", json!("deleted")),
            (PayloadFormat::Gitea, "/package/type", json!("npm")),
        ] {
            let mut body = examples()
                .into_iter()
                .find(|one| one.0 == format)
                .unwrap()
                .1;
            *body.pointer_mut(pointer).unwrap() = value;
            let notice = read(format, &body);
            assert!(
                matches!(notice, Ok(Notice::Other(_))),
                "{format:?} {pointer}: {notice:?}"
            );
        }
    }

    /// What registries say beside what is needed grows over the years, up to what a body may have.
    #[test]
    fn each_registry_is_understood_in_a_body_of_a_mebibyte() {
        for (format, body, image, _) in examples() {
            let mut large = body.clone();
            let rest = 1024 * 1024 - body.to_string().len() - r#","padding":"""#.len();
            large["padding"] = json!("x".repeat(rest));
            assert_eq!(large.to_string().len(), 1024 * 1024);
            let Ok(Notice::Pushed(pushes)) = read(format, &large) else {
                panic!("{format:?} is not understood");
            };
            assert_eq!(pushes[0].to_string(), image, "{format:?}");
        }
    }

    /// 1 to 128 of `[A-Za-z0-9_.-]`, not starting with `.` or `-`, in each format where the tag stands.
    #[test]
    fn tags_are_taken_up_to_the_borders_of_their_rule() {
        for (format, body, _, _) in examples() {
            let with = |tag: &str| {
                let text = body.to_string().replace("\"v1\"", &json!(tag).to_string());
                parse(format, AddressType::RegistryVpc, text.as_bytes())
            };
            for tag in ["a", "_", "1.0", "A-b_c.9", &"x".repeat(128)] {
                let Ok(Notice::Pushed(pushes)) = with(tag) else {
                    panic!("{format:?} {tag}: {:?}", with(tag));
                };
                assert_eq!(pushes[0].tag.to_string(), tag, "{format:?}");
            }
            for tag in [".a", "-a", "a b", "a/b", "a:b", "ä", &"x".repeat(129)] {
                assert!(with(tag).is_err(), "{format:?} {tag}");
            }
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_told() {
        let deep = "[".repeat(1_000_000);
        for body in ["", "tag=v1", "{", "[]", "null", &deep] {
            let error = parse(
                PayloadFormat::Dockerhub,
                AddressType::Registry,
                body.as_bytes(),
            );
            assert!(error.is_err(), "{}", &body[..body.len().min(9)]);
        }
    }

    #[test]
    fn a_tag_outside_the_rule_and_an_image_that_is_none_are_told() {
        for (image, tag) in [
            ("example/web", ".v1"),
            ("example/web", ""),
            ("a b", "v1"),
            ("http://x/y", "v1"),
        ] {
            let body = json!({"image": image, "tag": tag});
            assert!(read(PayloadFormat::Generic, &body).is_err(), "{body}");
        }
    }
}
