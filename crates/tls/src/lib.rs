//! The relying side of TLS: what a peer's certificate chain says, and the credentials and trust that
//! doors and clients handshake with, both replaceable while running.
//!
//! This crate can verify and cannot sign a certificate: it does not know the issuing side. It is the
//! only crate that names rustls and webpki; of their types only errors appear in its interface.
//!
//! Start reading at [`DoorTls::accept`] and [`Peer`], then `verdict.rs` for how a chain becomes a claim,
//! and [`ClientTls`] for the other direction.

mod attribute;
mod buffers;
mod cache;
mod certificate;
mod chain_check;
mod client;
mod client_verifier;
mod connector;
mod credential;
mod details;
mod distinguished_name;
mod door;
mod edge;
mod fitness;
mod guest;
mod handshake;
mod hearsay;
mod issuers;
mod name_challenges;
mod path;
mod peer;
mod pem;
mod pinned_keys;
mod policy;
mod probe;
mod provider;
mod read_ahead;
mod server_verdict;
mod server_verifier;
mod stream;
mod trust_key;
pub mod tunnel;
mod untrusted;
mod verdict;

pub use attribute::{AttributeType, AttributeTypeError, SubjectAttribute};
pub use chain_check::{AcceptedChain, ChainCheck, ChainCheckError, ChainPurpose};
pub use client::{ClientError, ClientIdentity, ClientTls, ConnectError, ServerTrust};
pub use connector::{Connecting, HttpsConnector, HttpsStream};
pub use credential::{CredentialError, ServerCredential, ServerCredentials};
pub use details::LeafDetails;
pub use door::{DoorTls, DoorTlsError};
pub use edge::{EdgeClaim, EdgeJudge};
pub use guest::Guests;
pub use handshake::HandshakeError;
pub use hearsay::Hearsay;
pub use name_challenges::{NameAnswer, NameChallenges};
pub use path::PathError;
pub use peer::{Peer, TlsProtocol, Witness};
pub use pem::{CertificateFileError, certificates_of, private_key_of, revocation_lists_of};
pub use policy::{ClientAuth, HostPolicies};
pub use probe::{ProbeError, shown_certificates};
pub use stream::{ClientStream, ServerStream};
pub use trust_key::{TrustKey, TrustKeyError};
pub use untrusted::UntrustedReason;
pub use verdict::unverified_identity;
