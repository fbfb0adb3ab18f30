//! The console: what a person sees of all this in a browser, at `/console/` of the admin listener.
//!
//! Every page is made here, of templates that the compiler checks, and every act is a form that works
//! without a script; the one script there is keeps pages up to date. Pages call the use cases that the JSON
//! routes call, with the same evidence. Start reading at `routes.rs`, which lists every page and what it
//! takes to see it, then `gate.rs`, which lets nobody past without it, and `visit.rs`.

mod assets;
mod chart;
mod error_page;
mod flash;
mod form;
mod gate;
mod icons;
mod layout;
mod live;
mod oidc;
mod pages;
mod parts;
mod routes;
mod session;
mod visit;
mod words;

pub(crate) use error_page::Rendered;
pub(crate) use routes::router;
pub use routes::{ConsoleRoute, Needs, console_routes};
