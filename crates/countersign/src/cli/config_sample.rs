//! `countersign config sample`.

use super::failure::Failure;
use super::output::print;
use crate::config::sample;

/// Prints the annotated sample.
pub(super) fn run() -> Result<(), Failure> {
    Ok(print(&sample())?)
}
