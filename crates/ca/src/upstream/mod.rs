//! CAs elsewhere that sign for devices of ours: Cloudflare's, over the API of a zone.
//!
//! Nothing here opens a connection: what is asked and answered are values ([`ApiRequest`],
//! [`ApiResponse`]), and who carries them is a [`Transport`]. What comes back is not believed: a
//! certificate counts once it was found to be for the key and the device that were asked for
//! ([`certified()`]).

mod answer;
mod backoff;
mod budget;
mod certified;
mod cloudflare;
mod error;
mod import;
mod request;
mod rules;
mod transport;

pub use answer::{CertificateStatus, UploadedCa, UpstreamCertificate, page_of, read_answer};
pub use backoff::backoff;
pub use budget::{BUDGET, Budget, WINDOW};
pub use certified::{Misissued, Wanted, certified, der_of};
pub use cloudflare::{Cloudflare, ZoneId, ZoneIdError};
pub use error::UpstreamError;
pub use import::{ImportedRules, NotImported, import_rules};
pub use request::signing_request;
pub use rules::{Ruleset, UpstreamRule, merged, rule_of};
pub use transport::{ApiMethod, ApiRequest, ApiResponse, Sending, Transport, TransportError};
