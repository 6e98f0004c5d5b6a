//! Groups are the unit of serialization, partitions the unit of work sharing between workers.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ids::ProjectId;
use super::kind::Target;
use super::selector::Selector;

/// Names a scaling group, as `service/<projectId>/<serviceId>`. Triggers of one group are decided in the
/// order of the log and act one at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(String);

impl GroupKey {
    /// The group of everything that acts on `target`.
    pub fn of(project: &ProjectId, target: &Target) -> Self {
        Self(match target {
            Target::Service(id) => format!("service/{project}/{id}"),
            Target::Hosts(selector) => format!("hosts/{project}/{}", selector.to_key()),
            Target::Services(selector) => format!("upgrade/{project}/{}", selector.to_key()),
            Target::Endpoint { service_name, port } => {
                format!("forward/{project}/{service_name}:{port}")
            }
        })
    }

    /// What the group acts on.
    pub fn target(&self) -> Option<Target> {
        let (kind, rest) = self.0.split_once('/')?;
        let (_, target) = rest.split_once('/')?;
        match kind {
            "service" => Some(Target::Service(target.to_owned())),
            "hosts" => Selector::parse(target).ok().map(Target::Hosts),
            "upgrade" => Selector::parse(target).ok().map(Target::Services),
            "forward" => {
                let (service_name, port) = target.rsplit_once(':')?;
                Some(Target::Endpoint {
                    service_name: service_name.to_owned(),
                    port: port.parse().ok()?,
                })
            }
            _ => None,
        }
    }

    /// The group that takes what cannot be read from `partition`, so that it too gets an outcome.
    pub fn undecodable(partition: Partition) -> Self {
        Self(format!("undecodable//{partition}"))
    }

    /// The group with this name, for looking one up: such a group need not exist.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The project whose platform the group's actions go to; empty for [`GroupKey::undecodable`].
    pub fn project(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// A fixed hash of the name.
    pub fn hash(&self) -> GroupHash {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        GroupHash(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first eight bytes of SHA-256 of a group's name: stable across releases, as stored logs rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupHash(pub u64);

/// One bucket of groups, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How many partitions the groups are spread over. Fixed for the life of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partitions(pub NonZeroU16);

impl Partitions {
    /// 32.
    pub const DEFAULT: Self = Self(NonZeroU16::new(32).expect("32 is not zero"));

    /// The partition that `group` belongs to.
    pub fn of(self, group: GroupHash) -> Partition {
        let count = u64::from(self.0.get());
        Partition(u16::try_from(group.0 % count).expect("a remainder below a u16 fits"))
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        (0..self.0.get()).map(Partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_logs_rely_on_these_hashes() {
        let group = GroupKey::of(&"1a5".parse().unwrap(), &Target::Service("1s5".to_owned()));
        assert_eq!(group.as_str(), "service/1a5/1s5");
        assert_eq!(group.project(), "1a5");
        assert_eq!(group.hash(), GroupHash(0xf89a_b029_74f8_5b01));
        assert_eq!(Partitions::DEFAULT.of(group.hash()), Partition(1));
    }

    #[test]
    fn a_group_tells_what_it_acts_on() {
        let selector = Selector::parse("role=web&zone=a%2Fb").unwrap();
        for target in [
            Target::Service("deployments/shop/web".to_owned()),
            Target::Hosts(selector.clone()),
            Target::Services(selector),
            Target::Endpoint {
                service_name: "stack/api".to_owned(),
                port: NonZeroU16::MIN,
            },
        ] {
            let group = GroupKey::of(&"1a5".parse().unwrap(), &target);
            assert_eq!(group.target(), Some(target), "{group}");
        }
        assert_eq!(GroupKey::undecodable(Partition(1)).target(), None);
    }
}
