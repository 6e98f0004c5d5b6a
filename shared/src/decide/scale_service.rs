//! The rules of scaleService.

use super::ServiceSeen;
use super::checks::Wish;
use crate::domain::outcome::{Code, Verdict};
use crate::domain::receiver::{OnLimit, ScaleService};
use crate::domain::scaling::{Direction, LARGEST_SCALE};

/// The verdict on one trigger that finds `service` as it is.
pub(super) fn decide(
    config: &ScaleService,
    on_limit: OnLimit,
    wish: Wish,
    service: &ServiceSeen,
) -> Verdict {
    let direction = match wish {
        Wish::AsConfigured => config.action,
        Wish::Reversed => config.action.opposite(),
    };
    let (current, amount) = (service.scale, config.amount.get());
    let limit = match direction {
        Direction::Up => Limit {
            code: Code::AboveMax,
            sign: '+',
            is_crossed: u64::from(current) + u64::from(amount) > u64::from(config.bounds.max()),
            is_reached: current >= config.bounds.max(),
            bound: config.bounds.max(),
            name: "above the maximum",
        },
        Direction::Down => Limit {
            code: Code::BelowMin,
            sign: '−',
            is_crossed: u64::from(current) < u64::from(amount) + u64::from(config.bounds.min()),
            is_reached: current <= config.bounds.min(),
            bound: config.bounds.min(),
            name: "below the minimum",
        },
    };
    if !limit.is_crossed {
        let to = match direction {
            Direction::Up => current + amount,
            Direction::Down => current - amount,
        };
        return scaled(service, current, to);
    }
    match on_limit {
        OnLimit::Reject => {
            Verdict::new(limit.code, limit.sentence(current, amount)).scaling(current, current)
        }
        OnLimit::Clamp if limit.is_reached => Verdict::new(
            Code::AtLimit,
            format!(
                "{} is at {current} already, with a limit of {}",
                service.name, limit.bound
            ),
        )
        .scaling(current, current),
        OnLimit::Clamp => scaled(service, current, limit.bound.min(LARGEST_SCALE)),
    }
}

struct Limit {
    code: Code,
    sign: char,
    is_crossed: bool,
    is_reached: bool,
    bound: u32,
    name: &'static str,
}

impl Limit {
    fn sentence(&self, current: u32, amount: u32) -> String {
        let Self {
            sign, name, bound, ..
        } = self;
        format!("{current} {sign} {amount} is {name} of {bound}")
    }
}

fn scaled(service: &ServiceSeen, from: u32, to: u32) -> Verdict {
    Verdict::new(
        Code::Scaled,
        format!("scaled {} from {from} to {to}", service.name),
    )
    .scaling(from, to)
}
