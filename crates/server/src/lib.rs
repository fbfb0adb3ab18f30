//! The control plane over HTTP: agent routes for the doors, admin routes, the setup page and the console for
//! the admin listener, the public PKI for both.
//!
//! Handlers read a request into typed values, call one use case of the authority and write its
//! answer down; they decide nothing and know no SQL. Agent routes take their identity from the
//! [`countersign_api::Arrival`] that a door attaches and from nothing else.
//!
//! Start reading at `routers.rs`, then `device/` and `admin/`. Status codes are mapped in `failure.rs` and
//! `failure/` alone, and `answer.rs` completes every answer. What an API token needs for an admin route
//! is in the type of the extractor that lets the caller in: `request.rs` and `scopes.rs`.

mod admin;
mod answer;
mod console;
mod describe;
mod device;
mod edges;
mod failure;
mod fields;
mod guard;
mod listen;
mod page;
mod pki;
mod preconditions;
mod request;
mod routers;
mod rule_bench;
mod scopes;
mod state;

pub use admin::metrics::METRICS_TYPE;
pub use console::{ConsoleRoute, Needs, console_routes};
pub use edges::devices::{TakesMessages, Taking};
pub use guard::AllowedHosts;
pub use listen::{DoorService, ExchangedBody, door_service, serve_admin};
pub use routers::{AdminOnDoor, admin_router, door_router, openapi};
pub use rule_bench::{Imported, RuleBench, Trial, TriedRequest, TriedRule};
pub use state::{ControlPlane, Measured};
