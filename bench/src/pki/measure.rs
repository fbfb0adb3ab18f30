//! What of the PKI was asked for.

use std::path::Path;

use crate::arguments::{Arguments, Measure, Scale};
use crate::pki::{million, signing};
use crate::site::Site;
use crate::table::Row;

/// Measures what was asked for; appends its rows.
pub(crate) async fn measure(
    site: &Site,
    program: &Path,
    (arguments, scale): (&Arguments, Scale),
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    if arguments.wants(Measure::Signing) {
        signing::measure(&arguments.profile, scale, rows)?;
    }
    if arguments.wants(Measure::Million) {
        million::measure(site, program, (&arguments.profile, scale), rows).await?;
    }
    Ok(())
}
