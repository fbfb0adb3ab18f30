//! Commands of the control plane: which ones there are, and what was answered to them.

mod ledger;

pub(crate) use ledger::{Ledger, Offer};
