//! Whether messages are stored sooner each by itself or in batches. A batch costs a server some 2.5 ms, whatever is in
//! it, and a message by itself between 0.01 ms and 0.3 ms, as the server flushes now and then or each time. That cannot
//! be asked, so both are tried, and what is faster is kept to.

use std::time::Duration;

/// How a message leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By itself.
    Alone,
    /// In a batch with others.
    Together,
}

/// What was measured lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    under_way: usize,
    /// How many were under way at most, of late.
    load: f64,
    /// How many seconds there were between two stored messages, when they left each by itself.
    alone: f64,
    /// The same when they left in batches.
    together: f64,
}

/// With fewer messages under way, there is nothing to gain.
const FEW: usize = 8;
/// How much of an average is left after a new value.
const INERTIA: f64 = 0.97;
/// How much of the load is left after another message.
const FADING: f64 = 0.99;
/// How much is left, after a message went one way, of what the other way costs, so that this is tried again.
const OBLIVION: f64 = 0.999_5;
/// How much of the load is waited for before a batch leaves.
const SHARE: f64 = 0.8;

impl Pace {
    /// From how many messages on a batch is worth its name.
    pub(super) const SMALLEST_BATCH: usize = 4;

    /// Another message is under way: how many there are with it, and how it leaves.
    pub(super) fn begin(&mut self) -> (usize, Way) {
        self.under_way += 1;
        self.load = (self.load * FADING).max(as_f64(self.under_way));
        let way = if self.load >= as_f64(FEW) && self.together < self.alone {
            Way::Together
        } else {
            Way::Alone
        };
        (self.under_way, way)
    }

    /// A message has arrived, or is lost.
    pub(super) fn end(&mut self) {
        self.under_way -= 1;
    }

    /// How many messages a batch should have.
    pub(super) fn expected(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of messages, rounded down"
        )]
        let expected = (self.load * SHARE) as usize;
        expected
    }

    /// A message that left with so many under way was stored after `time`. By Little's law, that many were stored
    /// meanwhile.
    pub(super) fn took(&mut self, way: Way, time: Duration, under_way: usize) {
        if under_way < FEW {
            return;
        }
        let each = time.as_secs_f64() / as_f64(under_way);
        let (this, other) = match way {
            Way::Alone => (&mut self.alone, &mut self.together),
            Way::Together => (&mut self.together, &mut self.alone),
        };
        *this = if *this == 0.0 {
            each
        } else {
            *this * INERTIA + each * (1.0 - INERTIA)
        };
        *other *= OBLIVION;
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are not that many")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that needs `alone` seconds for a message and `together` for a batch, with so many senders that send
    /// again when they were answered. Returns which share of 20,000 messages went in batches.
    fn play(pace: &mut Pace, senders: usize, alone: f64, together: f64) -> f64 {
        let (mut sent, mut batched) = (0.0, 0.0);
        while sent < 20_000.0 {
            let ways: Vec<_> = (0..senders).map(|_| pace.begin()).collect();
            for (place, (_, way)) in (1..).zip(ways) {
                let time = match way {
                    Way::Alone => alone * as_f64(place),
                    Way::Together => together,
                };
                pace.took(way, Duration::from_secs_f64(time), place);
                pace.end();
                sent += 1.0;
                batched += if way == Way::Together { 1.0 } else { 0.0 };
            }
        }
        batched / sent
    }

    #[test]
    fn a_server_that_flushes_now_and_then_gets_message_by_message() {
        let mut pace = Pace::default();
        assert!(play(&mut pace, 64, 0.000_01, 0.002_5) < 0.1);
        assert!(play(&mut pace, 150, 0.000_01, 0.002_5) < 0.1);
    }

    #[test]
    fn a_server_that_flushes_each_time_gets_batches_when_there_is_much() {
        let mut pace = Pace::default();
        assert!(play(&mut pace, 4, 0.000_2, 0.002_5) == 0.0);
        assert!(play(&mut pace, 64, 0.000_2, 0.002_5) > 0.9);
        assert!(play(&mut pace, 256, 0.000_2, 0.004) > 0.9);
    }

    #[test]
    fn a_hiccup_and_a_change_are_noticed() {
        let mut pace = Pace::default();
        play(&mut pace, 64, 0.000_01, 0.002_5);
        pace.took(Way::Alone, Duration::from_secs(2), 64);
        play(&mut pace, 64, 0.000_01, 0.002_5);
        assert!(play(&mut pace, 64, 0.000_01, 0.002_5) < 0.1);
        play(&mut pace, 64, 0.000_2, 0.002_5);
        assert!(play(&mut pace, 64, 0.000_2, 0.002_5) > 0.9);
    }
}
