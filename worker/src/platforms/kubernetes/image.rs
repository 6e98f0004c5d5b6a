//! References to images, as workloads write them: `[host[:port]/]path[:tag][@digest]`. Pure.

use stormhook_shared::domain::push::{Push, is_same_repository};

/// The repository of a reference, as it is spelled there.
pub(super) fn repository(reference: &str) -> &str {
    let named = reference.split('@').next().unwrap_or(reference);
    match named.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => named,
    }
}

/// The reference to what was pushed in the repository of `reference`, which keeps its spelling: a mirror is not left.
/// `None` where another repository was pushed.
pub(super) fn pushed(reference: &str, push: &Push) -> Option<String> {
    let repository = repository(reference);
    if !is_same_repository(repository, &push.image) {
        return None;
    }
    let digest = push.digest.as_ref().map(|digest| format!("@{digest}"));
    Some(format!(
        "{repository}:{}{}",
        push.tag,
        digest.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(image: &str, digest: Option<&str>) -> Push {
        Push {
            image: image.to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn the_repository_stands_before_tag_and_digest() {
        for (reference, expected) in [
            ("nginx", "nginx"),
            ("nginx:1.19", "nginx"),
            ("nginx@sha256:abc", "nginx"),
            ("r.example.org:5000/a/b", "r.example.org:5000/a/b"),
            (
                "r.example.org:5000/a/b:v1@sha256:abc",
                "r.example.org:5000/a/b",
            ),
        ] {
            assert_eq!(repository(reference), expected, "{reference}");
        }
    }

    #[test]
    fn all_spellings_of_the_pushed_repository_are_met_and_kept() {
        for (reference, image, expected) in [
            ("nginx:1", "docker.io/library/nginx", Some("nginx:v2")),
            (
                "index.docker.io/library/nginx",
                "nginx",
                Some("index.docker.io/library/nginx:v2"),
            ),
            ("nginx:1", "library/nginx", Some("nginx:v2")),
            ("ghcr.io/a/b:1", "GHCR.io/a/b", Some("ghcr.io/a/b:v2")),
            ("nginx:1", "example/nginx", None),
        ] {
            let goal = pushed(reference, &push(image, None));
            assert_eq!(goal.as_deref(), expected, "{reference} {image}");
        }
        let pinned = pushed("nginx@sha256:old", &push("nginx", Some("sha256:new")));
        assert_eq!(pinned.as_deref(), Some("nginx:v2@sha256:new"));
    }
}
