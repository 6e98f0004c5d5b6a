//! By how much, in which direction and between which bounds a scaling receiver acts.

use serde::{Deserialize, Serialize};

/// The largest number that a scale, an amount or a bound can be: platforms count in signed 32 bits.
pub const LARGEST_SCALE: u32 = i32::MAX.unsigned_abs();

/// Up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More.
    Up,
    /// Fewer.
    Down,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// A number from 1 to [`LARGEST_SCALE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Amount(u32);

/// A number below 1 or above [`LARGEST_SCALE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not between 1 and {LARGEST_SCALE}")]
pub struct OutOfRange(pub u32);

impl Amount {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Amount {
    type Error = OutOfRange;

    fn try_from(number: u32) -> Result<Self, OutOfRange> {
        if (1..=LARGEST_SCALE).contains(&number) {
            Ok(Self(number))
        } else {
            Err(OutOfRange(number))
        }
    }
}

impl From<Amount> for u32 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

/// A minimum and a larger maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedBounds")]
pub struct Bounds {
    min: Amount,
    max: Amount,
}

/// A minimum that is not below its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("min must be below max, but {min} is not below {max}")]
pub struct EmptyBounds {
    min: u32,
    max: u32,
}

#[derive(Deserialize)]
struct UncheckedBounds {
    min: Amount,
    max: Amount,
}

impl Bounds {
    /// From `min` to `max`, both included.
    pub fn new(min: Amount, max: Amount) -> Result<Self, EmptyBounds> {
        if min < max {
            Ok(Self { min, max })
        } else {
            Err(EmptyBounds {
                min: min.get(),
                max: max.get(),
            })
        }
    }

    /// The least that a scale-down may reach.
    pub fn min(self) -> u32 {
        self.min.get()
    }

    /// The most that a scale-up may reach.
    pub fn max(self) -> u32 {
        self.max.get()
    }
}

impl TryFrom<UncheckedBounds> for Bounds {
    type Error = EmptyBounds;

    fn try_from(bounds: UncheckedBounds) -> Result<Self, EmptyBounds> {
        Self::new(bounds.min, bounds.max)
    }
}
