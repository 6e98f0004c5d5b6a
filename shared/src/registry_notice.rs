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
            &root.child("push_data.tag")?,
            None,
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
                &root.child("tag")?,
                digest,
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
    pushed(vec![push(&image, &root.child("push_data.tag")?, None)?])
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
    pushed(vec![push(&image, &root.child("target.tag")?, digest)?])
}

fn ghcr(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "published" {
        let message = format!("the action is {action}, not published");
        return Ok(Notice::Other(message));
    }
    let package = match root.optional("registry_package")? {
        Some(package) => package,
        None => root.child("package")?,
    };
    let url = package.text("package_version.package_url")?;
    let tag = package.child("package_version.container_metadata.tag.name")?;
    if tag.as_text()?.is_empty() {
        return Ok(Notice::Other("the package has no tag".to_owned()));
    }
    let digest = package.optional_text("package_version.container_metadata.tag.digest")?;
    let image = without_tag(url).to_lowercase();
    pushed(vec![push(&image, &tag, digest)?])
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
        let Some(tag) = resource.tag("tag")? else {
            continue;
        };
        let digest = resource.optional_text("digest")?;
        let image = without_tag(url.split('@').next().unwrap_or(url));
        pushes.push(push(image, &tag, digest)?);
    }
    pushed(pushes)
}

fn quay(root: &Node<'_>) -> Result<Notice, FieldError> {
    let image = root.text("docker_url")?;
    let mut pushes = Vec::new();
    for tag in root.list("updated_tags")? {
        pushes.push(push(image, &tag, None)?);
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
        // Layers have none.
        let Some(tag) = event.tag("target.tag")? else {
            continue;
        };
        let host = match event.optional_text("request.host")? {
            Some(host) => host,
            None => host_of(event.text("target.url")?),
        };
        let digest = event.optional_text("target.digest")?;
        pushes.push(push(&format!("{host}/{repository}"), &tag, digest)?);
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
    let tag = package.child("version")?;
    // Of an image for several architectures, each one's is told of as well, by its digest.
    if is_digest(tag.as_text()?) {
        return Ok(Notice::Other("the package has no tag".to_owned()));
    }
    pushed(vec![push(&image, &tag, None)?])
}

fn pushed(pushes: Vec<Push>) -> Result<Notice, FieldError> {
    if pushes.is_empty() {
        return Ok(Notice::Other("no tag was pushed".to_owned()));
    }
    Ok(Notice::Pushed(pushes))
}

fn push(image: &str, tag: &Node<'_>, digest: Option<&str>) -> Result<Push, FieldError> {
    let name = tag.as_text()?.to_owned();
    if !is_repository(image) {
        let shown: String = image.chars().take(80).collect();
        let message = format!("{shown:?} does not name a repository");
        return Err(FieldError::new(
            FieldProblem::InvalidFormat,
            "image",
            message,
        ));
    }
    let tag = Tag::try_from(name).map_err(|error| {
        FieldError::new(FieldProblem::InvalidFormat, &tag.path, error.to_string())
    })?;
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

/// Whether a digest stands where others have a tag.
fn is_digest(tag: &str) -> bool {
    tag.starts_with("sha256:")
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
        self.optional(path)?.ok_or_else(|| {
            let field = self.name_of(path);
            let message = format!("{field} is missing in the body");
            FieldError::new(FieldProblem::MissingRequired, &field, message)
        })
    }

    /// What `path` leads to from here, or none where something on the way is missing or null.
    fn optional(&self, path: &str) -> Result<Option<Self>, FieldError> {
        let mut node = self.clone();
        for field in path.split('.') {
            let fields = node.value.as_object();
            let fields = fields.ok_or_else(|| node.is_no("an object"))?;
            let Some(value) = fields.get(field).filter(|value| !value.is_null()) else {
                return Ok(None);
            };
            node = Self {
                value,
                path: node.name_of(field),
            };
        }
        Ok(Some(node))
    }

    fn as_text(&self) -> Result<&'a str, FieldError> {
        self.value.as_str().ok_or_else(|| self.is_no("a text"))
    }

    fn text(&self, path: &str) -> Result<&'a str, FieldError> {
        self.child(path)?.as_text()
    }

    fn optional_text(&self, path: &str) -> Result<Option<&'a str>, FieldError> {
        self.optional(path)?.map(|node| node.as_text()).transpose()
    }

    /// The tag in `path`, or none where something was pushed by its digest alone: registries then leave the tag out,
    /// leave it empty, or put the digest there.
    fn tag(&self, path: &str) -> Result<Option<Self>, FieldError> {
        let Some(tag) = self.optional(path)? else {
            return Ok(None);
        };
        let name = tag.as_text()?;
        Ok((!name.is_empty() && !is_digest(name)).then_some(tag))
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
        if self.path.is_empty() {
            let message = format!("the body must be {kind}");
            return FieldError::new(FieldProblem::InvalidFormat, "body", message);
        }
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
