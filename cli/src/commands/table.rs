//! Tables and JSON on standard output. A reader that goes away (`| head`) is no error.

use std::fmt;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::printable::{on_one_line, printable};

/// Prints `text` for people, and a line break.
pub fn print(text: &str) -> Result<()> {
    print_as_is(&printable(text))
}

/// Prints `text` for programs, with whatever characters it has, and a line break.
pub fn print_as_is(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("write to standard output"),
    }
}

/// Prints `value` as indented JSON.
pub fn print_json(value: &Value) -> Result<()> {
    print_as_is(&serde_json::to_string_pretty(value)?)
}

/// A table for people.
pub struct Rows(Table);

impl Rows {
    /// Adds a row; each of its cells takes one line.
    pub fn add_row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells.map(|cell| on_one_line(&cell)));
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An empty table with these columns.
pub fn table(columns: &[&str]) -> Rows {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| column.to_uppercase()));
    Rows(table)
}

/// A field as a text, "-" where it is absent.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_make_up_a_row_or_speak_to_the_terminal() {
        let mut rows = table(&["name"]);
        rows.add_row(["a\nb\u{1b}[2J".to_owned()]);
        let printed = rows.to_string();
        assert_eq!(printed.lines().count(), 2, "{printed}");
        assert!(printed.contains(r"a\u{a}b\u{1b}[2J"), "{printed}");
    }
}
