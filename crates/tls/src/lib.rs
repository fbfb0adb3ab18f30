//! The relying side of TLS: what a peer's certificate chain says, and the credentials and trust that
//! doors and clients handshake with, both replaceable while running.
//!
//! This crate can verify and cannot sign a certificate: it does not know the issuing side. It is the
//! only crate that names rustls and webpki, and none of their types appear in its interface.
//!
//! Start reading at [`DoorTls::accept`] and [`Peer`], then `verdict` for how a chain becomes a claim,
//! and [`ClientTls`] for the other direction.

mod client;
mod credential;
mod details;
mod distinguished_name;
mod door;
mod handshake;
mod peer;
mod pem;
mod provider;
mod stream;
mod untrusted;

pub use client::{
    ClientError, ClientIdentity, ClientStream, ClientTls, ConnectError, Connecting, HttpsConnector,
    HttpsStream, ServerTrust,
};
pub use credential::{CredentialError, ServerCredential, ServerCredentials};
pub use details::LeafDetails;
pub use door::{ClientAuth, DoorTls, DoorTlsError};
pub use handshake::HandshakeError;
pub use peer::{Peer, TlsProtocol};
pub use stream::ServerStream;
pub use untrusted::UntrustedReason;
