//! The rules of scaleHost: which hosts are cloned, which go, and what new ones are called. Every trigger of a batch
//! finds the group as the one before would have left it, so that together they are one list of hosts to add and one
//! to remove.

use super::checks::Wish;
use super::host_names::HostNames;
use super::host_pool::Pool;
use super::limits;
use super::view::End;
use super::{Growth, HostSeen, HostsSeen};
use crate::domain::kind::{DeleteOption, ScaleHost};
use crate::domain::ledger::{Action, HostRef, NewHost};
use crate::domain::outcome::{Code, Verdict};
use crate::domain::receiver::OnLimit;

/// A group of hosts as the next trigger finds it.
#[derive(Debug, Clone)]
pub(super) struct HostGroup {
    /// From the oldest to the youngest.
    hosts: Vec<Host>,
    growth: Growing,
    started_with: u32,
    removed: Vec<HostRef>,
}

#[derive(Debug, Clone)]
enum Growing {
    Clones(HostNames),
    Pool(Pool),
    Resized(HostRef),
}

#[derive(Debug, Clone)]
enum Host {
    There(HostSeen),
    /// Decided on by an earlier trigger of the batch.
    Planned(NewHost),
    /// The same, where the platform will name it.
    Coming,
}

impl Host {
    fn name(&self) -> &str {
        match self {
            Self::There(host) => &host.name,
            Self::Planned(host) => &host.name,
            Self::Coming => "",
        }
    }

    fn is_working(&self) -> bool {
        match self {
            Self::There(host) => host.is_working,
            Self::Planned(_) | Self::Coming => true,
        }
    }

    fn may_go(&self, config: &ScaleHost) -> bool {
        match self {
            Self::There(host) => config.include_managers || !host.is_manager,
            Self::Planned(_) | Self::Coming => true,
        }
    }
}

impl HostGroup {
    pub(super) fn new(seen: HostsSeen) -> Self {
        let hosts: Vec<_> = by_age(seen.hosts).into_iter().map(Host::There).collect();
        Self {
            started_with: count(&hosts),
            hosts,
            growth: match seen.growth {
                Growth::Clones { names_in_use } => Growing::Clones(HostNames::new(names_in_use)),
                Growth::Pool { spares } => Growing::Pool(Pool::new(spares)),
                Growth::Resized { pool } => Growing::Resized(pool),
            },
            removed: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> u32 {
        count(&self.hosts)
    }

    /// What has to be done to get from what was seen to here.
    pub(super) fn action(&self) -> Option<Action> {
        let create: Vec<_> = self
            .hosts
            .iter()
            .filter_map(|host| match host {
                Host::Planned(new) => Some(new.clone()),
                Host::There(_) | Host::Coming => None,
            })
            .collect();
        let (activate, drain) = match &self.growth {
            Growing::Clones(_) | Growing::Resized(_) => (Vec::new(), Vec::new()),
            Growing::Pool(pool) => (pool.activated().to_vec(), pool.drained().to_vec()),
        };
        let pool = match &self.growth {
            Growing::Resized(pool) => Some(pool.clone()),
            Growing::Clones(_) | Growing::Pool(_) => None,
        };
        let is_needed = [&activate, &drain, &self.removed]
            .iter()
            .any(|hosts| !hosts.is_empty());
        let is_more = !create.is_empty() || self.is_growing();
        (is_needed || is_more).then(|| Action::ScaleHosts {
            from: self.started_with,
            to: self.count(),
            create,
            remove: self.removed.clone(),
            activate,
            drain,
            pool,
        })
    }

    /// Whether the platform is to make more by itself.
    fn is_growing(&self) -> bool {
        self.hosts.iter().any(|host| matches!(host, Host::Coming))
    }

    /// Whether hosts are to be cloned.
    fn is_adding(&self) -> bool {
        let mut hosts = self.hosts.iter();
        hosts.any(|host| matches!(host, Host::Planned(_)))
    }

    /// The verdict on one trigger that finds the group as it is, and leaves it as the trigger wants it. Hosts that are
    /// to go keep their names until they are gone: whoever adds others waits for that.
    pub(super) fn decide(
        &mut self,
        config: &ScaleHost,
        on_limit: OnLimit,
        wish: Wish,
    ) -> Result<Verdict, End> {
        let from = self.count();
        let is_empty = match &self.growth {
            Growing::Clones(_) => from == 0,
            Growing::Pool(pool) => from == 0 && pool.is_empty(),
            Growing::Resized(_) => false,
        };
        if is_empty {
            let message = format!("no host carries the label {}", config.host_selector);
            return Ok(Verdict::new(Code::NoHostsWithLabel, message).scaling(0, 0));
        }
        let to = match limits::goal(&config.scaling, on_limit, wish, from, "the group") {
            Ok(to) => to,
            Err(verdict) => return Ok(verdict),
        };
        let done = if to > from {
            self.grow(config, to - from)?
        } else {
            self.shrink(config, from - to)?
        };
        Ok(match done {
            Ok((code, verb, names)) => {
                let message = format!("{verb} {} ({from} → {to} hosts)", listed(&names));
                Verdict::new(code, message).scaling(from, to)
            }
            Err(verdict) => verdict.scaling(from, from),
        })
    }

    /// Adds hosts, or says why there can be none.
    fn grow(&mut self, config: &ScaleHost, more: u32) -> Result<Result<Done, Verdict>, End> {
        if !self.removed.is_empty() {
            return Err(End);
        }
        let base = self.base();
        Ok(match &mut self.growth {
            Growing::Pool(pool) => match pool.activate(config, more)? {
                Err(verdict) => Err(verdict),
                Ok(activated) => {
                    let names = activated.iter().map(|host| host.name.clone()).collect();
                    self.put_back(activated);
                    Ok((Code::HostsAdded, "activated", names))
                }
            },
            Growing::Resized(pool) => {
                let count = usize::try_from(more).unwrap_or(usize::MAX);
                let names = vec![format!("{more} machines of {}", pool.name)];
                self.hosts
                    .extend(std::iter::repeat_n((), count).map(|()| Host::Coming));
                Ok((Code::HostsAdded, "added", names))
            }
            Growing::Clones(used) => match base {
                None => {
                    let message = "all hosts of the group were added by hand, and only those that a machine driver made can be cloned";
                    Err(Verdict::new(Code::NoCloneableHost, message))
                }
                Some(base) => {
                    let mut names = Vec::new();
                    for _ in 0..more {
                        let name = used.next(&base.name, self.hosts.iter().map(Host::name));
                        names.push(name.clone());
                        let base = base.id.clone();
                        self.hosts.push(Host::Planned(NewHost { name, base }));
                    }
                    Ok((Code::HostsAdded, "added", names))
                }
            },
        })
    }

    /// Takes hosts away, exactly as many as asked for, or says why they cannot go.
    fn shrink(&mut self, config: &ScaleHost, fewer: u32) -> Result<Result<Done, Verdict>, End> {
        if let Growing::Pool(pool) = &self.growth
            && !pool.activated().is_empty()
        {
            return Err(End);
        }
        // A pool's size tells how many there are, not that some come while others go.
        if self.is_growing() {
            return Err(End);
        }
        let may_go = self.hosts.iter().filter(|host| host.may_go(config)).count();
        if may_go < fewer as usize {
            let message = format!(
                "{may_go} of the group's hosts can be taken away, as those that manage the cluster \
                 are left alone unless the receiver says includeManagers"
            );
            return Ok(Err(Verdict::new(Code::NoRemovableHost, message)));
        }
        let mut fewer_there = self.clone();
        let names: Vec<_> = (0..fewer)
            .filter_map(|_| fewer_there.remove(config))
            .collect();
        // No host that works goes for one that may never come up.
        if !fewer_there.removed.is_empty() && self.is_adding() {
            return Err(End);
        }
        *self = fewer_there;
        let verb = match &self.growth {
            Growing::Pool(_) if !config.remove => "drained",
            _ => "removed",
        };
        Ok(Ok((Code::HostsRemoved, verb, names)))
    }

    /// The oldest host that can be cloned.
    fn base(&self) -> Option<HostSeen> {
        self.hosts.iter().find_map(|host| match host {
            Host::There(host) if host.is_cloneable => Some(host.clone()),
            _ => None,
        })
    }

    /// Hosts of a pool that are in service again, each at its age's place.
    fn put_back(&mut self, hosts: Vec<HostSeen>) {
        let there = self.hosts.drain(..).filter_map(|host| match host {
            Host::There(host) => Some(host),
            // Nothing is made in a pool.
            Host::Planned(_) | Host::Coming => None,
        });
        let all = there.chain(hosts).collect();
        self.hosts = by_age(all).into_iter().map(Host::There).collect();
    }

    fn remove(&mut self, config: &ScaleHost) -> Option<String> {
        let places = (0..self.hosts.len()).filter(|place| {
            self.hosts
                .get(*place)
                .is_some_and(|host| host.may_go(config))
        });
        let places: Vec<_> = match config.delete_option {
            DeleteOption::LeastRecent => places.collect(),
            DeleteOption::MostRecent => places.rev().collect(),
        };
        let failing = places.iter().find(|place| {
            self.hosts
                .get(**place)
                .is_some_and(|host| !host.is_working())
        });
        let host = self.hosts.remove(*failing.or(places.first())?);
        let name = host.name().to_owned();
        match (host, &mut self.growth) {
            (Host::There(host), Growing::Pool(pool)) if !config.remove => pool.drain(&host),
            (Host::There(host), _) => self.removed.push(HostRef {
                id: host.id,
                name: host.name,
            }),
            (Host::Planned(host), Growing::Clones(names)) => names.free(&host.name),
            (Host::Planned(_) | Host::Coming, _) => {}
        }
        Some(name)
    }
}

/// What was done with which hosts.
type Done = (Code, &'static str, Vec<String>);

/// From the oldest to the youngest. Ids of the same age are told apart as numbers are: a longer one is larger.
fn by_age(mut hosts: Vec<HostSeen>) -> Vec<HostSeen> {
    hosts.sort_by_key(|host| (host.created_at, host.id.len(), host.id.clone()));
    hosts
}

fn count(hosts: &[Host]) -> u32 {
    u32::try_from(hosts.len()).unwrap_or(u32::MAX)
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::kind::Scaling;
    use crate::domain::scaling::{Amount, Bounds, Direction};
    use crate::domain::selector::Selector;
    use crate::domain::time::Timestamp;

    fn host(id: &str, name: &str, age: i64) -> HostSeen {
        HostSeen {
            id: id.to_owned(),
            name: name.to_owned(),
            created_at: Timestamp::from_millis(1_000_000 - age),
            is_working: true,
            is_cloneable: true,
            is_manager: false,
        }
    }

    fn group(hosts: &[HostSeen]) -> HostGroup {
        HostGroup::new(HostsSeen {
            hosts: hosts.to_vec(),
            growth: Growth::Clones {
                names_in_use: hosts.iter().map(|host| host.name.to_lowercase()).collect(),
            },
        })
    }

    fn config(action: Direction, amount: u32, delete_option: DeleteOption) -> ScaleHost {
        let number = |number| Amount::try_from(number).unwrap();
        ScaleHost {
            host_selector: Selector::parse("role=web").unwrap(),
            scaling: Scaling {
                action,
                amount: number(amount),
                bounds: Bounds::new(number(1), number(20)).unwrap(),
            },
            delete_option,
            remove: false,
            include_managers: false,
        }
    }

    fn decided(verdict: Result<Verdict, End>) -> Verdict {
        let Ok(verdict) = verdict else {
            panic!("the batch goes on");
        };
        verdict
    }

    fn up(group: &mut HostGroup, amount: u32) -> Verdict {
        let config = config(Direction::Up, amount, DeleteOption::LeastRecent);
        decided(group.decide(&config, OnLimit::Reject, Wish::AsConfigured))
    }

    fn down(group: &mut HostGroup, amount: u32, option: DeleteOption) -> Verdict {
        let config = config(Direction::Down, amount, option);
        decided(group.decide(&config, OnLimit::Reject, Wish::AsConfigured))
    }

    fn created(group: &HostGroup) -> Vec<(String, String)> {
        match group.action() {
            Some(Action::ScaleHosts { create, .. }) => create
                .into_iter()
                .map(|host| (host.name, host.base))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn removed(group: &HostGroup) -> Vec<String> {
        match group.action() {
            Some(Action::ScaleHosts { remove, .. }) => {
                remove.into_iter().map(|host| host.id).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn names_count_on_with_their_padding() {
        for (names, expected) in [
            (&["web09"][..], "web10"),
            (&["web01", "web9"], "web10"),
            (&["web99"], "web100"),
            (&["web"], "web2"),
            (&["web", "web7"], "web8"),
            (&["web1.example.org"], "web2"),
            (&["web1", "db5"], "web2"),
            (&["2"], "3"),
            (&["web007"], "web008"),
        ] {
            let hosts: Vec<_> = (1_i64..)
                .zip(names)
                .map(|(number, name)| host(&format!("1h{number}"), name, 100 - number))
                .collect();
            let mut group = group(&hosts);
            up(&mut group, 1);
            assert_eq!(created(&group)[0].0, expected, "{names:?}");
        }
    }

    #[test]
    fn a_pool_that_the_platform_fills_gets_a_size_and_loses_hosts_by_name() {
        let pool = HostRef {
            id: "fleet/web".to_owned(),
            name: "web".to_owned(),
        };
        let mut group = HostGroup::new(HostsSeen {
            hosts: vec![host("fleet/a", "a", 2), host("fleet/b", "b", 1)],
            growth: Growth::Resized { pool: pool.clone() },
        });
        let mut shrinking = group.clone();
        let verdict = up(&mut group, 2);
        assert_eq!(verdict.message, "added 2 machines of web (2 → 4 hosts)");
        assert_eq!(
            group.action(),
            Some(Action::ScaleHosts {
                from: 2,
                to: 4,
                create: Vec::new(),
                remove: Vec::new(),
                activate: Vec::new(),
                drain: Vec::new(),
                pool: Some(pool),
            })
        );
        let fewer = config(Direction::Down, 1, DeleteOption::LeastRecent);
        let next = group.decide(&fewer, OnLimit::Reject, Wish::AsConfigured);
        assert!(next.is_err(), "the growth is done first");
        down(&mut shrinking, 1, DeleteOption::LeastRecent);
        assert_eq!(removed(&shrinking), ["fleet/a"]);
    }

    #[test]
    fn a_name_in_use_anywhere_is_passed_over() {
        let mut group = HostGroup::new(HostsSeen {
            hosts: vec![host("1h1", "web1", 1)],
            growth: Growth::Clones {
                names_in_use: ["web1", "web2", "web3"].map(str::to_owned).into(),
            },
        });
        up(&mut group, 2);
        let names: Vec<_> = created(&group).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["web4", "web5"]);
    }

    #[test]
    fn the_oldest_that_a_machine_driver_made_is_cloned() {
        let by_hand = HostSeen {
            is_cloneable: false,
            ..host("1h1", "rack1", 9)
        };
        let mut mixed = group(&[
            host("1h3", "web2", 1),
            by_hand.clone(),
            host("1h2", "web1", 5),
        ]);
        assert_eq!(up(&mut mixed, 1).code, Code::HostsAdded);
        assert_eq!(created(&mixed), [("web3".to_owned(), "1h2".to_owned())]);
        assert_eq!(up(&mut group(&[by_hand]), 1).code, Code::NoCloneableHost);
        assert_eq!(up(&mut group(&[]), 1).code, Code::NoHostsWithLabel);
    }

    #[test]
    fn hosts_that_do_not_work_go_first_then_by_age() {
        let failing = |id: &str, age| HostSeen {
            is_working: false,
            ..host(id, id, age)
        };
        let hosts = [
            host("1h1", "a", 9),
            failing("1h2", 8),
            host("1h3", "c", 7),
            failing("1h4", 6),
            host("1h5", "e", 5),
        ];
        let mut oldest = group(&hosts);
        down(&mut oldest, 3, DeleteOption::LeastRecent);
        assert_eq!(removed(&oldest), ["1h2", "1h4", "1h1"]);
        let mut youngest = group(&hosts);
        down(&mut youngest, 3, DeleteOption::MostRecent);
        assert_eq!(removed(&youngest), ["1h4", "1h2", "1h5"]);
        let mut all = group(&hosts);
        assert_eq!(
            down(&mut all, 5, DeleteOption::MostRecent).code,
            Code::BelowMin
        );
        assert_eq!(removed(&all), [""; 0], "all of them or none");
    }

    #[test]
    fn what_one_trigger_adds_another_of_the_same_batch_can_take_away() {
        let mut both = group(&[host("1h1", "web1", 9)]);
        up(&mut both, 2);
        down(&mut both, 1, DeleteOption::MostRecent);
        assert_eq!(created(&both).len(), 1);
        let fewer = config(Direction::Down, 1, DeleteOption::LeastRecent);
        let next = both.decide(&fewer, OnLimit::Reject, Wish::AsConfigured);
        assert!(next.is_err(), "web1 stays until web2 has come up");
        assert_eq!((created(&both).len(), both.count()), (1, 2));
        down(&mut both, 1, DeleteOption::MostRecent);
        assert_eq!(both.action(), None);
    }

    #[test]
    fn nothing_is_added_before_what_is_to_go_is_gone() {
        let mut fewer = group(&[host("1h1", "web1", 9), host("1h2", "web2", 5)]);
        down(&mut fewer, 1, DeleteOption::LeastRecent);
        assert_eq!(removed(&fewer), ["1h1"]);
        let more = config(Direction::Up, 1, DeleteOption::MostRecent);
        let next = fewer.decide(&more, OnLimit::Reject, Wish::AsConfigured);
        assert!(next.is_err(), "web1 has its name until it is gone");
    }
}
