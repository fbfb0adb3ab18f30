//! Where the table goes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::arguments::Measure;

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

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/performance.md")
}

fn begin(measure: Measure) -> String {
    format!("<!-- table `{}`: written by the bench with --record -->\n", measure.name())
}

fn replaced(page: &str, measure: Measure, table: &str) -> Option<String> {
    let begin = begin(measure);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{table}\n{END}{after}"))
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
}
