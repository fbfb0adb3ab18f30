//! An edge that runs elsewhere: how it hears of trust from its authority, keeps it, says how far it is, and
//! hands on what devices ask the control plane.

mod feed;
mod kept;
mod link;
mod queue;
mod relay;

pub use feed::{Feed, FeedError, Staleness, Taken};
pub use kept::{Kept, KeptError};
pub use link::{Farewell, Link, LinkParts};
pub use queue::ReportQueue;
pub use relay::Relay;
