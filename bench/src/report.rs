//! Where the tables go, and their charts.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::arguments::Measure;
use crate::{chart, recorded};

const END: &str = "<!-- end of table -->\n";

/// Says how far the run is.
pub(crate) fn progress(text: &str) {
    // Whoever closed our standard error does not want to know.
    writeln!(std::io::stderr(), "{text}").unwrap_or_default();
}

/// Prints the table.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("print the table")
}

/// Puts the table of a measure into the reference page, between its two marks: those of others stay as they
/// are.
pub(crate) fn record(measure: Measure, text: &str) -> anyhow::Result<()> {
    let page = page();
    let old = fs_err::read_to_string(&page).context("read the page")?;
    let new = replaced(&old, measure, text).context("the page has no place for the table")?;
    fs_err::write(&page, new).context("write the page")
}

/// Draws the charts of all tables on the page anew.
pub(crate) fn draw() -> anyhow::Result<()> {
    let page = fs_err::read_to_string(page()).context("read the page")?;
    for measure in Measure::ALL {
        if let Some(chart) = chart_of(&page, measure)? {
            fs_err::write(chart_path(measure), chart).context("write a chart")?;
        }
    }
    Ok(())
}

/// What the chart of a measure looks like, by its table on the page; `None`: nothing in it is compared.
fn chart_of(page: &str, measure: Measure) -> anyhow::Result<Option<String>> {
    let (_, table, _) = parts(page, measure).context("the page has no place for the table")?;
    let rows = recorded::comparisons(table);
    let title = format!("The table {} of the page, as bars", measure.name());
    Ok(if rows.is_empty() { None } else { Some(chart::svg(&title, &rows).context("draw a chart")?) })
}

fn page() -> PathBuf {
    reference("performance.md")
}

fn chart_path(measure: Measure) -> PathBuf {
    reference(&format!("charts/{}.svg", measure.name()))
}

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name)
}

fn begin(measure: Measure) -> String {
    format!("<!-- table `{}`: written by the bench with --record -->\n", measure.name())
}

fn replaced(page: &str, measure: Measure, table: &str) -> Option<String> {
    let (before, _old, after) = parts(page, measure)?;
    Some(format!("{before}{}\n{table}\n{END}{after}", begin(measure)))
}

/// What is before the marks of a table, between them and after them.
fn parts(page: &str, measure: Measure) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once(&begin(measure))?;
    let (table, after) = rest.split_once(END)?;
    Some((before, table, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let (store, cut) = (begin(Measure::Store), begin(Measure::Cut));
        let page = format!("# Title\n{store}old\n{END}between\n{cut}older\n{END}after\n");
        let new = replaced(&page, Measure::Store, "new").unwrap();
        assert_eq!(new, format!("# Title\n{store}\nnew\n{END}between\n{cut}older\n{END}after\n"));
        let new = replaced(&page, Measure::Cut, "new").unwrap();
        assert_eq!(new, format!("# Title\n{store}old\n{END}between\n{cut}\nnew\n{END}after\n"));
        assert_eq!(replaced("no marks", Measure::Store, "new"), None);
    }

    #[test]
    fn every_measure_has_its_place_on_the_page() {
        let page = fs_err::read_to_string(page()).unwrap();
        for measure in Measure::ALL {
            assert!(replaced(&page, measure, "new").is_some(), "{}", measure.name());
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "as all that is compared with a file is written anew")]
    fn every_chart_is_that_of_its_table_and_on_the_page() {
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            draw().unwrap();
        }
        let page = fs_err::read_to_string(page()).unwrap();
        for measure in Measure::ALL {
            let name = measure.name();
            let Some(chart) = chart_of(&page, measure).unwrap() else { continue };
            let drawn = fs_err::read_to_string(chart_path(measure)).unwrap();
            assert_eq!(drawn, chart, "{name}: UPDATE_SNAPSHOTS=1 draws it anew");
            assert!(page.contains(&format!("](charts/{name}.svg)")), "{name}");
        }
    }
}
