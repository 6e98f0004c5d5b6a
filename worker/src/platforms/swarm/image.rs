//! Images as services name them: repository, tag and digest. Pure.

use stormhook_shared::domain::push::{Push, is_same_repository, repository_of};

/// The pushed image as a service is to name it: in the service's own spelling of the repository.
pub(super) fn goal(before: &str, push: &Push, digest: Option<&str>) -> String {
    let goal = format!("{}:{}", repository_of(before), push.tag);
    match digest {
        Some(digest) => format!("{goal}@{digest}"),
        None => goal,
    }
}

/// Whether `image` is what was pushed, by whatever digest if the push tells none.
pub(super) fn is_pushed(image: &str, push: &Push) -> bool {
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    let repository = repository_of(image);
    let tag = named
        .strip_prefix(repository)
        .and_then(|tag| tag.strip_prefix(':'));
    let is_digest = match (&push.digest, digest) {
        (Some(pushed), Some(own)) => pushed == own,
        _ => true,
    };
    is_same_repository(repository, &push.image) && tag == Some(push.tag.as_str()) && is_digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(digest: Option<&str>) -> Push {
        Push {
            image: "docker.io/example/web".to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn the_services_own_spelling_of_the_repository_stays() {
        let before = "example/web:v1@sha256:aa";
        assert_eq!(goal(before, &push(None), None), "example/web:v2");
        let resolved = goal(before, &push(None), Some("sha256:bb"));
        assert_eq!(resolved, "example/web:v2@sha256:bb");
    }

    #[test]
    fn what_was_pushed_is_recognised() {
        for (image, digest, is) in [
            ("example/web:v2", None, true),
            ("example/web:v2@sha256:bb", None, true),
            ("example/web:v2@sha256:bb", Some("sha256:bb"), true),
            ("example/web:v2@sha256:aa", Some("sha256:bb"), false),
            ("example/web:v1", None, false),
            ("example/web", None, false),
            ("example/api:v2", None, false),
        ] {
            assert_eq!(is_pushed(image, &push(digest)), is, "{image} {digest:?}");
        }
    }
}
