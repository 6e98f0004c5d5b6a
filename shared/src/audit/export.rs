//! An export of the chain as lines of JSON, and the check of one: a first line that says where it begins, a line an
//! entry with its number and hash, a last line that says where it ends. Each line must stand as it is written here, so
//! that nothing in the file can change unnoticed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chain::ChainHash;
use super::entry::LogEntry;
use super::head::SignedHead;
use super::heads::KnownHeads;

/// What an export's first and last line name.
const NAME: &str = "stormhook audit log";
const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    export: String,
    format: u32,
    after: u64,
    hash: ChainHash,
}

/// The line of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    number: u64,
    hash: ChainHash,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    end: String,
    entries: u64,
    number: u64,
    hash: ChainHash,
}

/// A place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The number of the entry there; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: ChainHash,
}

impl Default for Place {
    fn default() -> Self {
        Self::START
    }
}

impl Place {
    /// Before the first entry.
    pub const START: Self = Self {
        number: 0,
        hash: ChainHash::START,
    };

    /// The place of `entry`, which comes next.
    #[must_use]
    pub fn next(self, entry: &[u8]) -> Self {
        let number = self.number + 1;
        Self {
            number,
            hash: self.hash.extend(number, entry),
        }
    }
}

/// What is wrong, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("entry {number}: {what}")]
pub struct Fault {
    /// The first entry that is not as it was.
    pub number: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Writes an export, line by line.
#[derive(Debug)]
pub struct Writer {
    began: Place,
    at: Place,
}

impl Writer {
    /// An export of what comes after `place`, and its first line.
    pub fn begin(place: Place) -> (Self, String) {
        let first = First {
            export: NAME.to_owned(),
            format: FORMAT,
            after: place.number,
            hash: place.hash,
        };
        let writer = Self {
            began: place,
            at: place,
        };
        (writer, json(&first))
    }

    /// The line of the next entry.
    pub fn entry(&mut self, entry: &str) -> String {
        self.at = self.at.next(entry.as_bytes());
        let Place { number, hash } = self.at;
        format!("{{\"number\":{number},\"hash\":\"{hash}\",\"entry\":{entry}}}")
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.at
    }

    /// The last line.
    pub fn end(self) -> String {
        json(&Last {
            end: NAME.to_owned(),
            entries: self.at.number - self.began.number,
            number: self.at.number,
            hash: self.at.hash,
        })
    }
}

/// Checks an export, line by line.
#[derive(Debug)]
pub struct Checker {
    began: Option<Place>,
    at: Place,
    is_over: bool,
    heads: KnownHeads,
}

/// What a whole export turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The place before its first entry.
    pub began: Place,
    /// The place of its last entry.
    pub ended: Place,
    /// How many signed heads in it, or given beforehand, fit it.
    pub signed_heads: u64,
    /// Up to which of its entries they vouch for it; absent where none of them is of its entries.
    pub vouched: Option<u64>,
}

impl Checker {
    /// A check of an export against `kept` heads from elsewhere.
    pub fn new(kept: Vec<SignedHead>) -> Result<Self, Fault> {
        Ok(Self {
            began: None,
            at: Place::START,
            is_over: false,
            heads: KnownHeads::new(kept)?,
        })
    }

    /// Checks the next line, without its line break. Returns the entry that stands there, if one does.
    pub fn line(&mut self, line: &str) -> Result<Option<LogEntry>, Fault> {
        if self.is_over {
            return Err(self.fault("something follows the last line"));
        }
        if self.began.is_none() {
            self.first(line)?;
            return Ok(None);
        }
        if line.starts_with("{\"end\"") {
            self.last(line)?;
            return Ok(None);
        }
        self.entry(line).map(Some)
    }

    /// How far it has come.
    pub fn place(&self) -> Place {
        self.at
    }

    /// What the export is, after its last line.
    pub fn end(self) -> Result<Checked, Fault> {
        let Some(began) = self.began.filter(|_| self.is_over) else {
            return Err(self.fault("the export is cut off here"));
        };
        let signed_heads = self.heads.fitting();
        let vouched = self.heads.vouched().filter(|number| *number > began.number);
        self.heads.end(began, self.at)?;
        Ok(Checked {
            began,
            ended: self.at,
            signed_heads,
            vouched,
        })
    }

    fn first(&mut self, line: &str) -> Result<(), Fault> {
        let not_one = || Fault {
            number: 1,
            what: "the file does not begin as an export of Stormhook's audit log does".to_owned(),
        };
        let first: First = serde_json::from_str(line).map_err(|_| not_one())?;
        if first.export != NAME || json(&first) != line {
            return Err(not_one());
        }
        if first.format != FORMAT {
            let what = format!(
                "the export has format {}, and this version knows {FORMAT}",
                first.format
            );
            return Err(Fault { number: 1, what });
        }
        self.at = Place {
            number: first.after,
            hash: first.hash,
        };
        if first.after == 0 && self.at != Place::START {
            return Err(self.fault("the first line does not name the beginning of the chain"));
        }
        self.began = Some(self.at);
        self.heads.passes(self.at)
    }

    fn entry(&mut self, line: &str) -> Result<LogEntry, Fault> {
        let unread = || self.fault("its line is not as it was written, or cut off");
        let parsed: Line<'_> = serde_json::from_str(line).map_err(|_| unread())?;
        if json(&parsed) != line {
            return Err(unread());
        }
        let next = self.at.next(parsed.entry.get().as_bytes());
        if parsed.number != next.number {
            let what = format!("number {} stands in its place", parsed.number);
            return Err(self.fault(&what));
        }
        if parsed.hash != next.hash {
            return Err(self.fault("its hash is not that of what it says and of the entry before"));
        }
        let entry = LogEntry::from_json(parsed.entry.get().as_bytes()).map_err(|error| {
            self.fault(&format!("it is no entry that this version knows: {error}"))
        })?;
        self.at = next;
        self.heads.passes(next)?;
        if let LogEntry::Signed { head } = &entry {
            self.heads.recorded(head, next.number)?;
        }
        Ok(entry)
    }

    fn last(&mut self, line: &str) -> Result<(), Fault> {
        let last: Last = serde_json::from_str(line)
            .map_err(|_| self.fault("the last line is not as it was written"))?;
        let began = self.began.map_or(0, |place| place.number);
        let expected = Last {
            end: NAME.to_owned(),
            entries: self.at.number - began,
            number: self.at.number,
            hash: self.at.hash,
        };
        if json(&last) != line || json(&expected) != line {
            let what = format!("the last line tells of entry {} as the last", last.number);
            return Err(self.fault(&what));
        }
        self.is_over = true;
        Ok(())
    }

    /// Something is wrong with the entry that would come next.
    fn fault(&self, what: &str) -> Fault {
        Fault {
            number: self.at.number + 1,
            what: what.to_owned(),
        }
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::head::SigningKey;
    use crate::domain::group::GroupKey;
    use crate::domain::ids::Revision;
    use crate::domain::time::Timestamp;
    use proptest::prelude::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[3; 32]).unwrap()
    }

    /// An export of some entries after `place`, one of them a signed head.
    fn export(place: Place, entries: u64) -> (Vec<String>, Place) {
        let (mut writer, first) = Writer::begin(place);
        let mut lines = vec![first];
        for number in 0..entries {
            let entry = if number == 2 {
                let Place { number, hash } = writer.place();
                let head = key().sign(number, hash, Timestamp::from_millis(0));
                LogEntry::Signed { head }
            } else {
                LogEntry::Abandoned {
                    group: GroupKey::named("service/1a5/1s5"),
                    plan: Revision(number),
                    reason: "äöü \"quoted\" 10".to_owned(),
                }
            };
            lines.push(writer.entry(&serde_json::to_string(&entry).unwrap()));
        }
        let end = writer.place();
        lines.push(writer.end());
        (lines, end)
    }

    fn check(text: &[u8], kept: Vec<SignedHead>) -> Result<Checked, Fault> {
        let mut checker = Checker::new(kept)?;
        let not_text = |_| Fault {
            number: 0,
            what: "no text".to_owned(),
        };
        let text = std::str::from_utf8(text).map_err(not_text)?;
        for line in text.split('\n') {
            checker.line(line)?;
        }
        checker.end()
    }

    #[test]
    fn an_export_is_checked_and_what_it_lacks_is_told() {
        let (lines, end) = export(Place::START, 6);
        let whole = lines.join("\n");
        let checked = check(whole.as_bytes(), Vec::new()).unwrap();
        assert_eq!((checked.ended, checked.signed_heads), (end, 1));
        assert_eq!(checked.vouched, Some(2));
        let fault = check(lines[..4].join("\n").as_bytes(), Vec::new()).unwrap_err();
        assert_eq!(
            (fault.number, fault.what.as_str()),
            (4, "the export is cut off here")
        );
        let later = export(end, 3).0.join("\n");
        let checked = check(later.as_bytes(), Vec::new()).unwrap();
        assert_eq!(
            (checked.began, checked.vouched),
            (end, Some(end.number + 2))
        );
        // A head of where an export begins does not vouch for what is in it.
        let short = export(end, 2).0.join("\n");
        let head = key().sign(end.number, end.hash, Timestamp::from_millis(0));
        let checked = check(short.as_bytes(), vec![head]).unwrap();
        assert_eq!((checked.signed_heads, checked.vouched), (1, None));
    }

    #[test]
    fn a_log_that_was_rewritten_as_a_whole_is_found_out_by_a_head_that_was_kept() {
        let (_, end) = export(Place::START, 6);
        let head = key().sign(end.number, end.hash, Timestamp::from_millis(5));
        let (mut writer, first) = Writer::begin(Place::START);
        let other = LogEntry::Abandoned {
            group: GroupKey::named("service/1a5/1s5"),
            plan: Revision(1),
            reason: "another story".to_owned(),
        };
        let mut lines = vec![first];
        for _ in 0..6 {
            lines.push(writer.entry(&serde_json::to_string(&other).unwrap()));
        }
        lines.push(writer.end());
        let text = lines.join("\n");
        check(text.as_bytes(), Vec::new()).unwrap();
        let fault = check(text.as_bytes(), vec![head.clone()]).unwrap_err();
        assert!(fault.what.contains("another hash was signed"), "{fault}");
        let beyond = check(export(Place::START, 4).0.join("\n").as_bytes(), vec![head]);
        assert!(beyond.unwrap_err().what.contains("not in this export"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_flipped_bit_anywhere_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = export(Place::START, 5).0.join("\n").into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(check(&bytes, Vec::new()).is_err());
        }

        #[test]
        fn lines_dropped_swapped_or_inserted_are_found(
            one in 0_usize..7, other in 0_usize..7, how in 0_usize..3,
        ) {
            let mut lines = export(Place::START, 5).0;
            match how {
                0 => { lines.remove(one); }
                1 if one != other => lines.swap(one, other),
                _ => { let line = lines[one].clone(); lines.insert(other, line); }
            }
            prop_assert!(check(lines.join("\n").as_bytes(), Vec::new()).is_err());
        }
    }
}
