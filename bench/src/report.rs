//! Where the table goes.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// A table of the reference page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Doors and control plane.
    Doors,
    /// The PKI.
    Pki,
}

impl Place {
    const fn begin(self) -> &'static str {
        match self {
            Self::Doors => "<!-- table: written by the bench with --record -->\n",
            Self::Pki => "<!-- table of the PKI: written by the bench with --record -->\n",
        }
    }
}

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

/// Puts a table into the reference page, between its two marks.
pub(crate) fn record(place: Place, text: &str) -> anyhow::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/performance.md");
    let old = fs_err::read_to_string(&page).context("read the page")?;
    let new = replaced(&old, place, text).context("the page has no place for the table")?;
    fs_err::write(&page, new).context("write the page")
}

fn replaced(page: &str, place: Place, table: &str) -> Option<String> {
    let begin = place.begin();
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let (doors, pki) = (Place::Doors.begin(), Place::Pki.begin());
        let page = format!("# Title\n{doors}old\n{END}between\n{pki}older\n{END}after\n");
        let new = replaced(&page, Place::Doors, "new").unwrap();
        assert_eq!(new, format!("# Title\n{doors}\nnew\n{END}between\n{pki}older\n{END}after\n"));
        let new = replaced(&page, Place::Pki, "new").unwrap();
        assert_eq!(new, format!("# Title\n{doors}old\n{END}between\n{pki}\nnew\n{END}after\n"));
        assert_eq!(replaced("no marks", Place::Doors, "new"), None);
    }
}
