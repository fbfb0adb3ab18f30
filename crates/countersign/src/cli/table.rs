//! Tables and sheets for people: aligned, with colours that a terminal alone gets to see.

use clap::builder::styling::{AnsiColor, Color, Style};

use super::cert_inspect::printable;

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing in particular.
    Plain,
    /// As it should be.
    Good,
    /// Somebody should look.
    Caution,
    /// Refused, over or broken.
    Bad,
}

impl Tone {
    const fn style(self) -> Style {
        let color = match self {
            Self::Plain => return Style::new(),
            Self::Good => AnsiColor::Green,
            Self::Caution => AnsiColor::Yellow,
            Self::Bad => AnsiColor::Red,
        };
        Style::new().fg_color(Some(Color::Ansi(color)))
    }

    /// By the word for a state, whatever it is the state of.
    pub(super) fn of_state(word: &str) -> Self {
        match word {
            "online" | "active" | "enforce" | "attached" | "intact" | "running" => Self::Good,
            "pending" | "pending_activation" | "maintenance" | "quarantined" | "superseded" | "observe"
            | "silent" | "suspended" | "invited" | "waiting" | "open" | "acknowledged" => Self::Caution,
            "revoked" | "expired" | "decommissioned" | "lapsed" | "disabled" | "detached" => Self::Bad,
            _ => Self::Plain,
        }
    }
}

/// A piece of text that cannot steer a terminal, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// With a tone.
    pub(super) fn toned(text: &str, tone: Tone) -> Self {
        let text = printable(text);
        Self { text: if text.is_empty() { "-".to_owned() } else { text }, tone }
    }

    /// The word for a state, in its tone.
    pub(super) fn state(word: &str) -> Self {
        Self::toned(word, Tone::of_state(word))
    }

    /// Whatever there may not be.
    pub(super) fn maybe(value: Option<&impl ToString>) -> Self {
        Self::toned(&value.map(ToString::to_string).unwrap_or_default(), Tone::Plain)
    }
}

impl<T: ToString> From<&T> for Cell {
    fn from(value: &T) -> Self {
        Self::toned(&value.to_string(), Tone::Plain)
    }
}

/// Rows below a head.
#[derive(Clone, Debug)]
pub(super) struct Table {
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one with these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        let head = columns.iter().map(|column| Cell::from(&column.to_uppercase())).collect();
        Self { head, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The table as text, or what is said when nothing is in it.
    pub(super) fn text(&self, when_empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{when_empty}\n");
        }
        let widths = self.widths();
        let head = line(&self.head, &widths, Some(Style::new().bold()));
        let rows = self.rows.iter().map(|row| line(row, &widths, None));
        std::iter::once(head).chain(rows).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.head.len()];
        for row in std::iter::once(&self.head).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }
}

/// The last cell is not padded, so that no line ends in spaces.
fn line(cells: &[Cell], widths: &[usize], style: Option<Style>) -> String {
    let last = cells.len().saturating_sub(1);
    let mut text = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let style = style.unwrap_or_else(|| cell.tone.style());
        text.push_str(&format!("{style}{}{style:#}", cell.text));
        if index < last {
            text.push_str(&" ".repeat(width.saturating_sub(cell.text.chars().count()) + 2));
        }
    }
    text.push('\n');
    text
}

/// Names and values, a line each; what has no value is left out.
pub(super) fn sheet(rows: &[(&str, String)]) -> String {
    let rows: Vec<_> = rows.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:width$}  {}\n", printable(value))).collect()
}

/// How to get the rest of a list.
pub(super) fn more(cursor: Option<&str>) -> String {
    cursor.map(|cursor| format!("more: --cursor {}\n", printable(cursor))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_spaces() {
        let mut table = Table::new(&["name", "status"]);
        table.push(vec![Cell::from(&"a"), Cell::state("online")]);
        table.push(vec![Cell::from(&"längerer"), Cell::maybe(None::<&String>)]);
        let text = table.text("nothing");
        assert_eq!(plain(&text), "NAME      STATUS\na         online\nlängerer  -\n");
        assert!(text.contains("\u{1b}[32monline\u{1b}[0m"), "{text:?}");
        assert_eq!(Table::new(&["name"]).text("there are none"), "there are none\n");
    }

    #[test]
    fn what_a_device_says_cannot_steer_a_terminal() {
        let mut table = Table::new(&["host name"]);
        table.push(vec![Cell::from(&"\u{1b}[2Jgone")]);
        assert!(plain(&table.text("")).contains("\\u{1b}[2Jgone"));
        assert_eq!(sheet(&[("a", "x\ny".to_owned()), ("b", String::new())]), "a  x\\ny\n");
    }
}
