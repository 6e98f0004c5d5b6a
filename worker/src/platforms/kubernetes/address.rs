//! How a service is named on Kubernetes: `deployments/<namespace>/<name>`, or `<plural>.<group>/<namespace>/<name>`
//! for what is not of the group `apps`. Pure.

use std::fmt;

/// The resources of the group `apps` that run containers, each with what it is called.
const WORKLOADS: [(&str, Workload); 4] = [
    ("deployments", Workload::Deployment),
    ("statefulsets", Workload::StatefulSet),
    ("daemonsets", Workload::DaemonSet),
    ("replicasets", Workload::ReplicaSet),
];

/// A thing that triggers can act upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Of which sort it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Apps(Workload),
    Custom { plural: String, group: String },
}

/// A workload of the group `apps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
}

impl Workload {
    /// Those that roll out changes by themselves.
    pub(super) const UPGRADABLE: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    pub(super) fn plural(self) -> &'static str {
        let named = WORKLOADS.iter().find(|(_, workload)| *workload == self);
        named.map_or("", |(plural, _)| plural)
    }
}

impl Address {
    /// Reads a `serviceId`, or says how to write one.
    pub(super) fn parse(id: &str) -> Result<Self, String> {
        let how = || {
            format!(
                "{id:?} names no service: write it like deployments/shop/web or rollouts.argoproj.io/shop/web"
            )
        };
        let parts: Vec<_> = id.split('/').collect();
        let [resource, namespace, name] = parts[..] else {
            return Err(how());
        };
        if ![resource, namespace, name].into_iter().all(is_name) {
            return Err(how());
        }
        let resource = match resource.split_once('.') {
            Some((plural, "apps")) => {
                return Err(format!(
                    "write {plural}/{namespace}/{name} instead of {id}: one service has one id"
                ));
            }
            Some((plural, group)) => Resource::Custom {
                plural: plural.to_owned(),
                group: group.to_owned(),
            },
            None => {
                let named = WORKLOADS.iter().find(|(plural, _)| *plural == resource);
                let (_, workload) = named.ok_or_else(how)?;
                Resource::Apps(*workload)
            }
        };
        Ok(Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The workload in a namespace with this name.
    pub(super) fn of(workload: Workload, namespace: &str, name: &str) -> Self {
        Self {
            resource: Resource::Apps(workload),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Its name with its namespace, for people.
    pub(super) fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace, name, ..
        } = self;
        match &self.resource {
            Resource::Apps(workload) => write!(f, "{}/{namespace}/{name}", workload.plural()),
            Resource::Custom { plural, group } => write!(f, "{plural}.{group}/{namespace}/{name}"),
        }
    }
}

/// What Kubernetes takes as a name (RFC 1123), and so what is safe in a path.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    (1..=253).contains(&text.len())
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        for id in [
            "deployments/shop/web",
            "statefulsets/shop/db-0.main",
            "replicasets/a/b",
            "rollouts.argoproj.io/shop/web",
        ] {
            assert_eq!(Address::parse(id).unwrap().to_string(), id);
        }
    }

    #[test]
    fn what_names_no_service_is_told_how_to() {
        for (id, says) in [
            ("1s5", "deployments/shop/web"),
            ("deployments/web", "deployments/shop/web"),
            ("pods/shop/web", "deployments/shop/web"),
            ("deployments/shop/../web", "deployments/shop/web"),
            ("deployments/../web", "deployments/shop/web"),
            ("deployments/Shop/web", "deployments/shop/web"),
            ("deployments.apps/shop/web", "write deployments/shop/web"),
        ] {
            let error = Address::parse(id).unwrap_err();
            assert!(error.contains(says), "{id}: {error}");
        }
    }
}
