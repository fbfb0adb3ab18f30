//! Where the table goes.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

const BEGIN: &str = "<!-- table: written by the bench with --record -->\n";
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

/// Puts the table into the reference page, between its two marks.
pub(crate) fn record(text: &str) -> anyhow::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/performance.md");
    let old = fs_err::read_to_string(&page).context("read the page")?;
    let new = replaced(&old, text).context("the page has no place for the table")?;
    fs_err::write(&page, new).context("write the page")
}

fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("# Title\n{BEGIN}old\n{END}after\n");
        let new = replaced(&page, "new").unwrap();
        assert_eq!(new, format!("# Title\n{BEGIN}\nnew\n{END}after\n"));
        assert_eq!(replaced("no marks", "new"), None);
    }
}
