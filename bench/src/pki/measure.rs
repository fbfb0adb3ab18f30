//! What of the PKI was asked for.

use std::path::Path;

use crate::arguments::{Arguments, Measure, Scale};
use crate::pki::{million, signing};
use crate::run::Tables;
use crate::site::Site;

/// Measures what was asked for; adds its rows.
pub(crate) async fn measure(
    site: &Site,
    program: &Path,
    (arguments, scale): (&Arguments, Scale),
    tables: &mut Tables,
) -> anyhow::Result<()> {
    if arguments.wants(Measure::Signing) {
        signing::measure(&arguments.profile, scale, tables.of(Measure::Signing))?;
    }
    if arguments.wants(Measure::Million) {
        let rows = tables.of(Measure::Million);
        million::measure(site, program, (&arguments.profile, scale), rows).await?;
    }
    Ok(())
}
