//! Where a scaling leads to within its bounds: the same for containers and for hosts.

use crate::domain::kind::Scaling;
use crate::domain::outcome::{Code, Verdict};
use crate::domain::receiver::OnLimit;
use crate::domain::scaling::{Direction, LARGEST_SCALE};

use super::checks::Wish;

/// The number that `scaling` leads to from `current`, or why it leads nowhere. `what`: whose number it is.
pub(super) fn goal(
    scaling: &Scaling,
    on_limit: OnLimit,
    wish: Wish,
    current: u32,
    what: &str,
) -> Result<u32, Verdict> {
    let direction = direction(scaling, wish);
    let amount = scaling.amount.get();
    let (min, max) = (scaling.bounds.min(), scaling.bounds.max());
    let limit = match direction {
        Direction::Up => Limit {
            code: Code::AboveMax,
            sign: '+',
            is_crossed: u64::from(current) + u64::from(amount) > u64::from(max),
            is_reached: current >= max,
            bound: max,
            name: "above the maximum",
        },
        Direction::Down => Limit {
            code: Code::BelowMin,
            sign: '−',
            is_crossed: u64::from(current) < u64::from(amount) + u64::from(min),
            is_reached: current <= min,
            bound: min,
            name: "below the minimum",
        },
    };
    if !limit.is_crossed {
        return Ok(match direction {
            Direction::Up => current + amount,
            Direction::Down => current - amount,
        });
    }
    match on_limit {
        OnLimit::Reject => {
            Err(Verdict::new(limit.code, limit.sentence(current, amount)).scaling(current, current))
        }
        OnLimit::Clamp if limit.is_reached => {
            let message = format!(
                "{what} is at {current} already, with a limit of {}",
                limit.bound
            );
            Err(Verdict::new(Code::AtLimit, message).scaling(current, current))
        }
        OnLimit::Clamp => Ok(limit.bound.min(LARGEST_SCALE)),
    }
}

fn direction(scaling: &Scaling, wish: Wish) -> Direction {
    match wish {
        Wish::AsConfigured => scaling.action,
        Wish::Reversed => scaling.action.opposite(),
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
