//! The kinds of resources, and what all of them have.

use serde_json::{Value, json};

/// A kind of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Service,
    Host,
    Stack,
    GenericObject,
    /// Only ever created: what it does, it does to a host.
    ExternalHostEvent,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Service,
        Self::Host,
        Self::Stack,
        Self::GenericObject,
        Self::ExternalHostEvent,
    ];

    /// The kind's name in addresses.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Host => "hosts",
            Self::Stack => "stacks",
            Self::GenericObject => "genericObjects",
            Self::ExternalHostEvent => "externalHostEvents",
        }
    }

    /// The kind that addresses name so, in any case.
    pub(crate) fn of_plural(plural: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.plural().eq_ignore_ascii_case(plural))
    }

    /// What ids of this kind begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Service => "1s",
            Self::Host => "1h",
            Self::Stack => "1st",
            Self::GenericObject => "1go",
            Self::ExternalHostEvent => "1ehe",
        }
    }

    /// The type of a resource that says none.
    pub(crate) fn default_type(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Host => "host",
            Self::Stack => "stack",
            Self::GenericObject => "genericObject",
            Self::ExternalHostEvent => "externalHostEvent",
        }
    }

    /// What can be changed by PUT; everything else is ignored.
    pub(crate) fn writable(self) -> &'static [&'static str] {
        match self {
            Self::Service => &[
                "name",
                "description",
                "scale",
                "metadata",
                "retainIp",
                "scalePolicy",
            ],
            Self::Host => &["name", "description", "labels"],
            Self::Stack => &["name", "description"],
            Self::GenericObject => &["resourceData"],
            Self::ExternalHostEvent => &[],
        }
    }
}

/// What is kept with a resource, but not shown.
pub(crate) const HIDDEN: &str = "_";

/// The number in an id like `1s5`.
pub(crate) fn number_of(kind: Kind, id: &str) -> u64 {
    id.strip_prefix(kind.prefix())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// The resource as the API shows it: with links on `base`, and the actions that its state permits.
pub(crate) fn shown(kind: Kind, resource: &Value, base: &str) -> Value {
    let mut shown = resource.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove(HIDDEN);
    }
    let id = resource["id"].as_str().unwrap_or_default();
    let own = format!("{base}/{}/{id}", kind.plural());
    let actions: serde_json::Map<_, _> = crate::process::actions(kind, resource)
        .map(|action| (action.to_owned(), json!(format!("{own}/?action={action}"))))
        .collect();
    shown["links"] = json!({"self": own});
    shown["actions"] = json!(actions);
    shown
}
