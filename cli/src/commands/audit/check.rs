//! `stormhook audit check`: verifies an export without any server.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Checked, Checker};
use stormhook_shared::audit::head::{PublicKey, SignedHead};

use super::bar;
use crate::arguments::CheckOptions;
use crate::commands::table::print;

/// How many lines are checked between two looks at the bar.
const STEP: u64 = 1_000;

/// Checks the file line by line.
pub fn run(options: &CheckOptions) -> Result<()> {
    let mut kept = Vec::new();
    for path in &options.head {
        let head = read_head(path)?;
        trust(&head, options.key)?;
        kept.push(head);
    }
    let kept_count = kept.len();
    let path = &options.file;
    let file = File::open(path).with_context(|| format!("read {}", path.display()))?;
    let checked = check(file, options.key, kept)
        .with_context(|| format!("{} is not as it was exported", path.display()))?;
    let count = checked.ended.number - checked.began.number;
    let mut lines = vec![format!(
        "{count} entries are as they were written: {} to {}\nhead {}",
        checked.began.number + 1,
        checked.ended.number,
        checked.ended.hash
    )];
    if checked.signed_heads > 0 {
        lines.push(format!(
            "{} signed heads fit, {kept_count} of them given",
            checked.signed_heads
        ));
    }
    let unsigned = unsigned(&checked);
    if let (Some(unsigned), Some(key)) = (&unsigned, options.key)
        && checked.vouched.is_none()
    {
        bail!(
            "{} is a chain, but nothing in it is signed with key {key}: {unsigned}; give a signed head of one of its entries with \
             --head, or leave --key away to check the chain alone",
            path.display()
        );
    }
    lines.extend(unsigned);
    print(&lines.join("\n"))
}

/// What no signed head vouches for, if there is something: whoever made the file can have made that up.
fn unsigned(checked: &Checked) -> Option<String> {
    let last = checked.ended.number;
    let first = checked.vouched.unwrap_or(checked.began.number) + 1;
    (first <= last).then(|| format!("no signed head vouches for entries {first} to {last}"))
}

fn check(file: File, key: Option<PublicKey>, kept: Vec<SignedHead>) -> Result<Checked> {
    let mut reader = BufReader::new(file);
    let mut checker = Checker::new(kept)?;
    let bar = bar(0)?;
    let mut lines = 0;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = std::str::from_utf8(&line);
        let Some(text) = text.ok().and_then(|text| text.strip_suffix('\n')) else {
            bail!(
                "entry {}: its line is not as it was written, or cut off",
                checker.place().number + 1
            );
        };
        if let Some(LogEntry::Signed { head }) = checker.line(text)? {
            trust(&head, key)?;
        }
        line.clear();
        lines += 1;
        if lines % STEP == 0 {
            bar.set_length(lines);
            bar.set_position(lines);
        }
    }
    bar.finish_and_clear();
    Ok(checker.end()?)
}

fn read_head(path: &Path) -> Result<SignedHead> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is not a signed head, as `stormhook audit head --sign` prints it",
            path.display()
        )
    })
}

/// Whether the head was signed with the key that the operator names.
fn trust(head: &SignedHead, key: Option<PublicKey>) -> Result<()> {
    match key {
        Some(key) if head.public_key != key => bail!(
            "entry {}: its head was signed with key {}, not with {key}",
            head.number,
            head.public_key
        ),
        _ => Ok(()),
    }
}
