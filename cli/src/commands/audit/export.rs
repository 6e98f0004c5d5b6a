//! `stormhook audit export`: the outcome log as lines of JSON that can be checked without any server, or as a table for
//! spreadsheets.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Place, Writer};
use stormhook_shared::ports::record::Position;

use super::bar;
use crate::arguments::{ExportFormat, ExportOptions};
use crate::client::Client;

const COLUMNS: [&str; 12] = [
    "number",
    "hash",
    "at",
    "type",
    "group",
    "trigger",
    "receiver",
    "status",
    "code",
    "message",
    "access_key",
    "entry",
];

/// A page of the log.
#[derive(Deserialize)]
pub struct Page {
    after: Place,
    through: u64,
    entries: Vec<Box<RawValue>>,
    /// Where the ledger goes on after the last entry that was asked for, if that is the last one there is.
    pub position: Option<Position>,
}

/// Writes page after page.
pub async fn run(options: ExportOptions) -> Result<()> {
    let client = Client::new(&options.server)?;
    let mut range = Vec::new();
    for (name, value) in [("since", options.since), ("until", options.until)] {
        range.extend(value.map(|at| (name, at.to_string())));
    }
    let query: Vec<_> = range
        .iter()
        .map(|(name, at)| (*name, at.as_str()))
        .collect();
    let first: Page = client.get_as("audit/entries", &query).await?;
    let output: Box<dyn Write> = match &options.output {
        Some(path) => Box::new(create(path)?),
        None => Box::new(std::io::stdout()),
    };
    let output = BufWriter::new(output);
    let ended = match options.format {
        ExportFormat::Jsonl => lines(&client, first, output).await,
        ExportFormat::Csv => pages(&client, first, Table::new(output)?).await,
    };
    match ended {
        // A reader that goes away (`| head`) is no error.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        ended => ended.map(|_| ()),
    }
}

/// A new file at `path`.
pub(super) fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("create {}", path.display()))
}

/// Writes the `first` page and what follows it as lines of JSON.
pub async fn lines(client: &Client, first: Page, output: impl Write) -> Result<Place> {
    pages(client, first, Lines::new(output)).await
}

/// What an export is written as.
trait Sheet {
    fn begin(&mut self, after: Place) -> Result<()>;
    fn entry(&mut self, place: Place, entry: &str) -> Result<()>;
    fn end(&mut self, after: Place, last: Place) -> Result<()>;
}

async fn pages(client: &Client, first: Page, mut sheet: impl Sheet) -> Result<Place> {
    let (after, through) = (first.after, first.through);
    let bar = bar(through.saturating_sub(after.number))?;
    sheet.begin(after)?;
    let (mut place, mut page) = (after, first);
    loop {
        if page.after != place {
            bail!("the log changed while it was exported: export again");
        }
        for entry in &page.entries {
            place = place.next(entry.get().as_bytes());
            sheet.entry(place, entry.get())?;
        }
        bar.set_position(place.number - after.number);
        if place.number >= through {
            break;
        }
        if page.entries.is_empty() {
            bail!(
                "entry {} is missing in the log; see: stormhook audit verify",
                place.number + 1
            );
        }
        let (from, to) = (place.number.to_string(), through.to_string());
        let query = [("after", from.as_str()), ("through", to.as_str())];
        page = client.get_as("audit/entries", &query).await?;
    }
    bar.finish_and_clear();
    sheet.end(after, place)?;
    Ok(place)
}

/// Lines of JSON.
struct Lines<W: Write> {
    output: W,
    writer: Option<Writer>,
}

impl<W: Write> Lines<W> {
    fn new(output: W) -> Self {
        Self {
            output,
            writer: None,
        }
    }
}

impl<W: Write> Sheet for Lines<W> {
    fn begin(&mut self, after: Place) -> Result<()> {
        let (writer, line) = Writer::begin(after);
        self.writer = Some(writer);
        Ok(writeln!(self.output, "{line}")?)
    }

    fn entry(&mut self, _place: Place, entry: &str) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            writeln!(self.output, "{}", writer.entry(entry))?;
        }
        Ok(())
    }

    fn end(&mut self, _after: Place, _last: Place) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writeln!(self.output, "{}", writer.end())?;
        }
        Ok(self.output.flush()?)
    }
}

/// Rows for spreadsheets.
struct Table<W: Write>(csv::Writer<W>);

impl<W: Write> Table<W> {
    fn new(output: W) -> Result<Self> {
        let mut writer = csv::Writer::from_writer(output);
        writer.write_record(COLUMNS)?;
        Ok(Self(writer))
    }
}

impl<W: Write> Sheet for Table<W> {
    fn begin(&mut self, _after: Place) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, place: Place, entry: &str) -> Result<()> {
        let parsed: LogEntry = serde_json::from_str(entry)
            .with_context(|| format!("entry {} is none that this version knows", place.number))?;
        let mut row = row(&parsed);
        row[0] = place.number.to_string();
        row[1] = place.hash.to_string();
        row[2] = parsed.at().map(|at| at.to_string()).unwrap_or_default();
        entry.clone_into(&mut row[11]);
        Ok(self.0.write_record(row)?)
    }

    fn end(&mut self, _after: Place, _last: Place) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// The columns from the type on.
fn row(entry: &LogEntry) -> [String; COLUMNS.len()] {
    let mut row = [const { String::new() }; COLUMNS.len()];
    let mut set = |column: usize, value: &dyn std::fmt::Display| row[column] = value.to_string();
    match entry {
        LogEntry::Settled { group, outcome, .. } => {
            set(3, &"settled");
            set(4, group);
            set(5, &outcome.trigger.id);
            if let Some(receiver) = &outcome.trigger.receiver {
                set(6, &receiver.name);
            }
            set(7, &outcome.verdict.code.status());
            set(8, &outcome.verdict.code);
            set(9, &outcome.verdict.message);
        }
        LogEntry::Planned { group, plan } => {
            set(3, &"planned");
            set(4, group);
            set(9, &plan.action);
        }
        LogEntry::Called { group, calls, .. } => {
            set(3, &"called");
            set(4, group);
            let called: Vec<_> = calls.kept.iter().map(|call| call.what.as_str()).collect();
            set(9, &called.join(", "));
        }
        LogEntry::Abandoned { group, reason, .. } => {
            set(3, &"abandoned");
            set(4, group);
            set(9, reason);
        }
        LogEntry::Managed { call, .. } => {
            set(3, &"managed");
            set(8, &call.call);
            set(10, &call.by.access_key);
        }
        LogEntry::NotDone { reason, .. } => {
            set(3, &"notDone");
            set(9, reason);
        }
        LogEntry::Signed { head } => {
            set(3, &"signed");
            set(9, &format!("head {} is {}", head.number, head.hash));
        }
        LogEntry::Began { after, .. } => {
            set(3, &"began");
            set(9, &format!("nobody had the ledger up to {after} any more"));
        }
    }
    row
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
