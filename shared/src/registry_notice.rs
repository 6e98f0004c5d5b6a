//! What registries say when an image was pushed: each in its own JSON. Pure.
//!
//! The shapes are those of the registries' documentation: Docker Hub webhooks, Alibaba ACR triggers, Azure ACR
//! webhooks, GitHub's `package` and `registry_package` events, Harbor's `PUSH_ARTIFACT`, Quay's repository push, the
//! distribution project's notifications (also GitLab's), Gitea's package events.

use serde_json::Value;

use crate::domain::kind::{AddressType, PayloadFormat};
use crate::domain::push::{Notice, Push, Tag, is_host, is_repository};
use crate::receiver_json::{FieldError, FieldProblem};

/// How many characters of a text from a body are shown.
const MOST_SHOWN: usize = 80;

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
        PayloadFormat::Dockerhub => {
            let name = root.child("repository.repo_name")?;
            let image = name.as_text()?;
            let tag = root.child("push_data.tag")?;
            pushed(vec![push(image, &name, &tag, None)?])
        }
        PayloadFormat::Alicloud => alicloud(&root, address_type),
        PayloadFormat::Azure => azure(&root),
        PayloadFormat::Ghcr => ghcr(&root),
        PayloadFormat::Harbor => harbor(&root),
        PayloadFormat::Quay => quay(&root),
        PayloadFormat::Gitlab | PayloadFormat::Distribution => distribution(&root),
        PayloadFormat::Gitea => gitea(&root),
        PayloadFormat::Generic => {
            let digest = root.optional_text("digest")?;
            let name = root.child("image")?;
            let image = name.as_text()?;
            pushed(vec![push(image, &name, &root.child("tag")?, digest)?])
        }
    }
}

fn alicloud(root: &Node<'_>, address_type: AddressType) -> Result<Notice, FieldError> {
    let address = AddressType::ALL
        .into_iter()
        .find(|(_, one)| *one == address_type);
    let address = address.map_or("registry", |(name, _)| name);
    let region = root.child("repository.region")?;
    let name = root.child("repository.repo_full_name")?;
    let path = name.as_text()?;
    let image = format!("{address}.{}.aliyuncs.com/{path}", region_in(&region)?);
    let tag = root.child("push_data.tag")?;
    pushed(vec![push(&image, &name, &tag, None)?])
}

/// The region that `node` names. With a dot or a slash in it, the image would come from another host.
fn region_in<'a>(node: &Node<'a>) -> Result<&'a str, FieldError> {
    let region = node.as_text()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if region.is_empty() || !region.chars().all(is_plain) {
        let kind = "a region, of letters, digits and hyphens";
        return Err(node.cannot_be(kind, region));
    }
    Ok(region)
}

fn azure(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "push" {
        return Ok(other("the action", action, "push"));
    }
    let host = root.child("request.host")?;
    let repository = root.child("target.repository")?;
    let path = repository.as_text()?;
    let image = format!("{}/{path}", host.checked_host(host.as_text()?)?);
    let digest = root.optional_text("target.digest")?;
    let tag = root.child("target.tag")?;
    pushed(vec![push(&image, &repository, &tag, digest)?])
}

fn ghcr(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "published" {
        return Ok(other("the action", action, "published"));
    }
    let package = match root.optional("registry_package")? {
        Some(package) => package,
        None => root.child("package")?,
    };
    let url = package.child("package_version.package_url")?;
    let image = without_tag(url.as_text()?).to_lowercase();
    let tag = package.child("package_version.container_metadata.tag.name")?;
    if tag.as_text()?.is_empty() {
        return Ok(Notice::Other("the package has no tag".to_owned()));
    }
    let digest = package.optional_text("package_version.container_metadata.tag.digest")?;
    pushed(vec![push(&image, &url, &tag, digest)?])
}

fn harbor(root: &Node<'_>) -> Result<Notice, FieldError> {
    let kind = root.text("type")?;
    if kind != "PUSH_ARTIFACT" {
        return Ok(other("the event", kind, "PUSH_ARTIFACT"));
    }
    let mut pushes = Vec::new();
    for resource in root.list("event_data.resources")? {
        let named = resource.child("resource_url")?;
        let url = named.as_text()?;
        let Some(tag) = resource.tag("tag")? else {
            continue;
        };
        let digest = resource.optional_text("digest")?;
        let image = without_tag(url.split('@').next().unwrap_or(url));
        pushes.push(push(image, &named, &tag, digest)?);
    }
    pushed(pushes)
}

fn quay(root: &Node<'_>) -> Result<Notice, FieldError> {
    let url = root.child("docker_url")?;
    let image = url.as_text()?;
    let mut pushes = Vec::new();
    for tag in root.list("updated_tags")? {
        pushes.push(push(image, &url, &tag, None)?);
    }
    pushed(pushes)
}

fn distribution(root: &Node<'_>) -> Result<Notice, FieldError> {
    let mut pushes = Vec::new();
    for event in root.list("events")? {
        if event.text("action")? != "push" {
            continue;
        }
        let repository = event.child("target.repository")?;
        let path = repository.as_text()?;
        // Layers have none.
        let Some(tag) = event.tag("target.tag")? else {
            continue;
        };
        let host = match event.optional("request.host")? {
            Some(host) => host.checked_host(host.as_text()?)?,
            None => event.child("target.url")?.host_of_url()?,
        };
        let digest = event.optional_text("target.digest")?;
        let image = format!("{host}/{path}");
        pushes.push(push(&image, &repository, &tag, digest)?);
    }
    pushed(pushes)
}

fn gitea(root: &Node<'_>) -> Result<Notice, FieldError> {
    let action = root.text("action")?;
    if action != "created" {
        return Ok(other("the action", action, "created"));
    }
    let package = root.child("package")?;
    if let Some(kind) = package.optional_text("type")?
        && kind != "container"
    {
        return Ok(other("the package's type", kind, "container"));
    }
    let owner = match package.child("owner")? {
        owner if owner.value.is_string() => owner,
        owner => owner.child("login")?,
    };
    let owner_name = owner.as_text()?;
    if !is_repository(owner_name) {
        return Err(owner.cannot_be("an owner", owner_name));
    }
    let host = package.child("html_url")?.host_of_url()?;
    let name = package.child("name")?;
    let image = format!("{host}/{owner_name}/{}", name.as_text()?).to_lowercase();
    let tag = package.child("version")?;
    // Of an image for several architectures, each one's is told of as well, by its digest.
    if is_digest(tag.as_text()?) {
        return Ok(Notice::Other("the package has no tag".to_owned()));
    }
    pushed(vec![push(&image, &name, &tag, None)?])
}

/// No push of a tag, as `what` is `found` and not `wanted`.
fn other(what: &str, found: &str, wanted: &str) -> Notice {
    let found: String = match found {
        "" => "empty".to_owned(),
        found => found.chars().take(MOST_SHOWN).collect(),
    };
    Notice::Other(format!("{what} is {found}, not {wanted}"))
}

fn pushed(pushes: Vec<Push>) -> Result<Notice, FieldError> {
    if pushes.is_empty() {
        return Ok(Notice::Other("no tag was pushed".to_owned()));
    }
    Ok(Notice::Pushed(pushes))
}

/// A push of `image`, whose path stands in `named`.
fn push(
    image: &str,
    named: &Node<'_>,
    tag: &Node<'_>,
    digest: Option<&str>,
) -> Result<Push, FieldError> {
    let name = tag.as_text()?.to_owned();
    if !is_repository(image) {
        return Err(named.cannot_be("a repository", image));
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

    /// The host in the address that stands here.
    fn host_of_url(&self) -> Result<&'a str, FieldError> {
        let url = self.as_text()?;
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        self.checked_host(rest.split('/').next().unwrap_or(rest))
    }

    /// `host`, which stands here, if it can be a registry's.
    fn checked_host<'b>(&self, host: &'b str) -> Result<&'b str, FieldError> {
        if is_host(host) {
            return Ok(host);
        }
        Err(self.cannot_be("a registry's host", host))
    }

    /// What makes up `text` stands here, and that names no `kind`.
    fn cannot_be(&self, kind: &str, text: &str) -> FieldError {
        let path = &self.path;
        let shown: String = text.chars().take(MOST_SHOWN).collect();
        let message = format!("{path} in the body does not name {kind}: {shown:?}");
        FieldError::new(FieldProblem::InvalidFormat, path, message)
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
