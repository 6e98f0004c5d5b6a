//! An image that was pushed to a registry, as its notification names it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A pushed image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The repository with its registry's host, without a tag.
    pub image: String,
    /// The tag.
    pub tag: Tag,
    /// What the tag leads to, where the registry says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What a registry's notification tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// These were pushed; at least one.
    Pushed(Vec<Push>),
    /// No push of a tag: why, in a sentence.
    Other(String),
}

/// An image's tag: 1 to 128 of `[A-Za-z0-9_.-]`, not starting with `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// A text that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a tag: 1 to 128 letters, digits, underscores, dots and hyphens, not starting with a dot or a hyphen"
)]
pub struct InvalidTag(String);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;

    fn try_from(text: String) -> Result<Self, InvalidTag> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if (1..=128).contains(&text.len())
            && text.chars().all(plain)
            && !text.starts_with(['.', '-'])
        {
            Ok(Self(text))
        } else {
            Err(InvalidTag(text.chars().take(140).collect()))
        }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.image, self.tag)
    }
}

/// Whether `text` can name a repository, with or without a registry's host, in whichever case.
pub fn is_repository(text: &str) -> bool {
    let (host, path) = text.split_once('/').unwrap_or(("h", text));
    text.len() <= 255 && is_host(host) && path.split('/').all(is_part)
}

/// Whether `text` can name a registry's host, with or without a port.
pub fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    is_part(name) && port.parse::<u16>().is_ok()
}

fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !matches!(part, "" | "." | "..") && part.chars().all(plain)
}

/// Whether what stands before the first slash is a registry's host, and not the beginning of a path.
fn is_registry(start: &str) -> bool {
    start.contains(['.', ':']) || start.eq_ignore_ascii_case("localhost")
}

/// The repository of an image as a container names it: without tag and digest.
pub fn repository_of(image: &str) -> &str {
    let named = image.split('@').next().unwrap_or(image);
    match named.rsplit_once(':') {
        // Behind a registry's port comes a path.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => named,
    }
}

/// The host of the registry that has `repository`.
pub fn registry_of(repository: &str) -> String {
    let normalized = normalized(repository);
    let host = normalized.split('/').next();
    host.unwrap_or_default().to_owned()
}

/// Whether both name the same repository: `nginx` is `docker.io/library/nginx`.
pub fn is_same_repository(one: &str, other: &str) -> bool {
    normalized(one) == normalized(other)
}

fn normalized(repository: &str) -> String {
    let lower = repository.to_ascii_lowercase();
    let (host, path) = match lower.split_once('/') {
        Some((host, path)) if is_registry(host) => (host, path),
        _ => ("docker.io", lower.as_str()),
    };
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") {
        "docker.io"
    } else {
        host
    };
    if host == "docker.io" && !path.contains('/') {
        return format!("docker.io/library/{path}");
    }
    format!("{host}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_at_the_borders_of_the_rule() {
        for good in ["a", "1", "_x", "v1.2-rc.3", &"a".repeat(128)] {
            assert!(Tag::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a:b", "ü", &"a".repeat(129)] {
            assert!(Tag::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn repositories_are_compared_with_their_registry() {
        assert!(is_same_repository("nginx", "docker.io/library/nginx"));
        assert!(is_same_repository(
            "example/web",
            "index.docker.io/example/web"
        ));
        assert!(is_same_repository("GHCR.io/a/b", "ghcr.io/a/b"));
        assert!(!is_same_repository("nginx", "quay.io/library/nginx"));
        assert!(!is_same_repository("localhost/a", "a"));
    }

    #[test]
    fn an_images_repository_stands_before_its_tag_and_digest() {
        for (image, repository) in [
            ("nginx", "nginx"),
            ("nginx:1.29", "nginx"),
            ("nginx@sha256:abc", "nginx"),
            ("ghcr.io/a/b:v1@sha256:abc", "ghcr.io/a/b"),
            ("localhost:5000/a", "localhost:5000/a"),
            ("localhost:5000/a:v1", "localhost:5000/a"),
        ] {
            assert_eq!(repository_of(image), repository, "{image}");
        }
    }

    #[test]
    fn what_cannot_name_a_repository_is_told() {
        for good in ["nginx", "a/b/c", "r.example.org:5000/a", "localhost/x_y"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "a b",
            "r:x/a",
            "a@b",
            "a:latest",
            "https://a/b",
            ".",
            "a/./b",
            "a/..",
            "../a",
            "..:5000/a",
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
    }
}
