//! A fixed pool of hosts, of which some are in service: the others are taken in one by one, and hosts that are taken
//! out wait there again. Which host was out for how long the platform knows, so a batch never does both: the order
//! would not be that of its triggers one by one.

use super::HostSeen;
use super::view::End;
use crate::domain::kind::ScaleHost;
use crate::domain::ledger::HostRef;
use crate::domain::outcome::{Code, Verdict};

/// The hosts that are out of service, and those that a batch takes in or out.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// In the order in which they are taken in.
    spares: Vec<HostSeen>,
    activated: Vec<HostRef>,
    drained: Vec<HostRef>,
}

impl Pool {
    pub(super) fn new(spares: Vec<HostSeen>) -> Self {
        Self {
            spares,
            activated: Vec::new(),
            drained: Vec::new(),
        }
    }

    /// Whether no host waits.
    pub(super) fn is_empty(&self) -> bool {
        self.spares.is_empty()
    }

    /// What the batch has taken in so far.
    pub(super) fn activated(&self) -> &[HostRef] {
        &self.activated
    }

    /// What the batch has taken out so far.
    pub(super) fn drained(&self) -> &[HostRef] {
        &self.drained
    }

    /// Takes in exactly as many hosts, or says why there are too few.
    pub(super) fn activate(
        &mut self,
        config: &ScaleHost,
        more: u32,
    ) -> Result<Result<Vec<HostSeen>, Verdict>, End> {
        if !self.drained.is_empty() {
            return Err(End);
        }
        let may_come = |host: &HostSeen| config.include_managers || !host.is_manager;
        let there = self.spares.iter().filter(|host| may_come(host)).count();
        if there < more as usize {
            let message = format!(
                "{more} more are wanted, but {there} drained hosts of the group are ready to be taken into service"
            );
            return Ok(Err(Verdict::new(Code::NoSpareHost, message)));
        }
        let mut activated = Vec::new();
        self.spares.retain(|host| {
            let is_taken = activated.len() < more as usize && may_come(host);
            if is_taken {
                activated.push(host.clone());
            }
            !is_taken
        });
        self.activated.extend(activated.iter().map(reference));
        Ok(Ok(activated))
    }

    /// Takes `host` out.
    pub(super) fn drain(&mut self, host: &HostSeen) {
        self.drained.push(reference(host));
    }
}

fn reference(host: &HostSeen) -> HostRef {
    HostRef {
        id: host.id.clone(),
        name: host.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::Wish;
    use super::super::scale_host::HostGroup;
    use super::super::{Growth, HostsSeen};
    use super::*;
    use crate::domain::kind::{DeleteOption, Scaling};
    use crate::domain::ledger::Action;
    use crate::domain::receiver::OnLimit;
    use crate::domain::scaling::{Amount, Bounds, Direction};
    use crate::domain::selector::Selector;
    use crate::domain::time::Timestamp;

    fn node(name: &str, age: i64) -> HostSeen {
        HostSeen {
            id: name.to_owned(),
            name: name.to_owned(),
            created_at: Timestamp::from_millis(1_000 - age),
            is_working: true,
            is_cloneable: false,
            is_manager: name.starts_with('m'),
        }
    }

    fn group(active: &[HostSeen], spares: &[HostSeen]) -> HostGroup {
        HostGroup::new(HostsSeen {
            hosts: active.to_vec(),
            growth: Growth::Pool {
                spares: spares.to_vec(),
            },
        })
    }

    fn config(action: Direction, amount: u32) -> ScaleHost {
        let number = |number| Amount::try_from(number).unwrap();
        ScaleHost {
            host_selector: Selector::parse("pool=web").unwrap(),
            scaling: Scaling {
                action,
                amount: number(amount),
                bounds: Bounds::new(number(1), number(9)).unwrap(),
            },
            delete_option: DeleteOption::LeastRecent,
            remove: false,
            include_managers: false,
        }
    }

    fn code(group: &mut HostGroup, config: &ScaleHost) -> Option<Code> {
        let verdict = group.decide(config, OnLimit::Reject, Wish::AsConfigured);
        verdict.ok().map(|verdict| verdict.code)
    }

    fn names(group: &HostGroup) -> [Vec<String>; 3] {
        let Some(Action::ScaleHosts {
            activate,
            drain,
            remove,
            ..
        }) = group.action()
        else {
            return [const { Vec::new() }; 3];
        };
        [activate, drain, remove].map(|hosts| hosts.into_iter().map(|host| host.name).collect())
    }

    #[test]
    fn the_first_spares_are_taken_in_and_never_a_manager_unless_told() {
        let spares = [node("m1", 1), node("b", 1), node("c", 1)];
        let mut one = group(&[node("a", 5)], &spares);
        assert_eq!(
            code(&mut one, &config(Direction::Up, 1)),
            Some(Code::HostsAdded)
        );
        assert_eq!(names(&one)[0], ["b"]);
        assert_eq!(
            code(&mut one, &config(Direction::Up, 2)),
            Some(Code::NoSpareHost)
        );
        assert_eq!(names(&one)[0], ["b"], "all of them or none");
        let mut told = config(Direction::Up, 1);
        told.include_managers = true;
        assert_eq!(code(&mut one, &told), Some(Code::HostsAdded));
        assert_eq!(names(&one)[0], ["b", "m1"]);
        assert_eq!(
            code(&mut one, &config(Direction::Down, 1)),
            None,
            "the batch ends"
        );
    }

    #[test]
    fn hosts_are_drained_or_removed_and_never_a_manager_unless_told() {
        let hosts = [node("m1", 9), node("a", 5), node("b", 4), node("c", 3)];
        let mut some = group(&hosts, &[]);
        assert_eq!(
            code(&mut some, &config(Direction::Down, 2)),
            Some(Code::HostsRemoved)
        );
        assert_eq!(names(&some)[1], ["a", "b"]);
        let mut removing = config(Direction::Down, 1);
        removing.remove = true;
        assert_eq!(code(&mut some, &removing), Some(Code::HostsRemoved));
        assert_eq!(names(&some)[2], ["c"]);
        assert_eq!(
            code(&mut some, &config(Direction::Down, 1)),
            Some(Code::BelowMin)
        );
        let mut managers = group(&[node("m1", 9), node("m2", 8), node("a", 1)], &[]);
        assert_eq!(
            code(&mut managers, &config(Direction::Down, 2)),
            Some(Code::NoRemovableHost)
        );
        assert_eq!(managers.action(), None);
    }

    #[test]
    fn a_pool_that_is_all_drained_is_still_a_group() {
        let mut drained = group(&[], &[node("a", 1)]);
        assert_eq!(
            code(&mut drained, &config(Direction::Up, 1)),
            Some(Code::HostsAdded)
        );
        let mut empty = group(&[], &[]);
        assert_eq!(
            code(&mut empty, &config(Direction::Up, 1)),
            Some(Code::NoHostsWithLabel)
        );
    }
}
