//! An edge that runs elsewhere: how it hears of trust from its authority, keeps it, says how far it is,
//! hands on what devices ask the control plane, and hears of devices for which there is something.

mod feed;
mod kept;
mod link;
mod news;
mod queue;
mod relay;

pub use feed::{Feed, FeedError, Staleness, Taken};
pub use kept::{Kept, KeptError};
pub use link::{Farewell, Link, LinkParts};
pub use news::{Connections, Heard, News};
pub use queue::ReportQueue;
pub use relay::Relay;
