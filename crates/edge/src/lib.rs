//! The data plane: doors that admit or refuse, and what stands behind them.
//!
//! An edge consumes one immutable `TrustSnapshot` from a `watch::Receiver` and cannot tell whether
//! the authority is in the same process. It decides nothing about trust itself: it judges what a
//! handshake showed against the snapshot, and forwards only what is [`Admitted`]. It may not issue,
//! store, or speak SQL, and only `countersign-tls` knows how a chain becomes a claim.
//!
//! Start reading at [`admit()`], the one decision; then [`HttpDoor`] for what a door is made of, `accept`
//! for how a connection gets in, `http` for how a request goes through, `tcp` for how a session does, and `registry` for how a
//! fallen identity's live connections end.

pub mod headers;
pub mod mqtt;
pub mod rules;
pub mod url;

pub mod attach;

mod accept;
mod admit;
mod audience;
mod counts;
mod door;
mod egress;
mod front;
mod guests;
mod http;
mod named_trusts;
mod ocsp_question;
mod registry;
mod report;
mod tcp;
mod trust;
mod unix;
mod watch;

pub use crate::http::body::{Body, BodyError, LocalService};
pub use crate::http::changes::{HttpChanges, PreparedHttp};
pub use crate::http::group::{
    HealthCheck, UpstreamAddress, UpstreamAddressError, UpstreamCertificate, UpstreamGroup, UpstreamProtocol,
    UpstreamRoots, UpstreamTimeouts, UpstreamTls,
};
pub use crate::http::members::UpstreamGroupError;
pub use crate::http::pace::BodyPace;
pub use crate::http::route::{Route, Upstream};
pub use crate::http::upstream_tls::UpstreamTlsError;
pub use accept::limits::Limits;
pub use admit::{Admitted, Floor, Refused, Requirement, admit};
pub use audience::{Audience, Devices, ExactName, ExactNameError, RequiredAttribute};
pub use counts::{DoorCounts, DoorMeter, DoorNumbers, Outcome, RouteClass};
pub use door::{Compat, DoorConfig, DoorError, DoorHandle, DoorInputs, HttpDoor, LocalControlPlane};
pub use egress::changes::{EgressChanges, PreparedEgress};
pub use egress::listener::{Egress, EgressError, EgressInputs, EgressSocket};
pub use egress::settings::{EgressAddress, EgressAddressError, EgressListener, EgressReach, EgressWay};
pub use egress::ways::EgressWayError;
pub use front::access_log::{AccessLog, AccessLogTarget, QueryStrings};
pub use front::challenges::{ChallengeAnswer, HttpChallenges};
pub use front::cors::{WebOrigin, WebOriginError};
pub use front::rate::{Rate, RateError};
pub use front::redirect::{Redirect, RedirectChanges, RedirectConfig};
pub use front::screen::{RequestRates, RouteScreen, SecurityHeaders};
pub use front::traces::Traces;
pub use report::{CertificateFacts, EdgeReport, RefusedRequest};
pub use tcp::changes::TcpChanges;
pub use tcp::counters::TcpCounts;
pub use tcp::door::{TcpDoor, TcpDoorConfig, TcpDoorHandle};
pub use tcp::proxy_header::ProxyHeader;
pub use tcp::upstream::TcpUpstream;
pub use trust::RuleFaults;
