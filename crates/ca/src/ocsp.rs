//! What others ask about single certificates (OCSP, RFC 6960): questions read, answers signed.
//!
//! It profiles RFC 6960 as the lightweight profile (RFC 9919) does, with its nonce as in RFC 9654. It
//! decides nothing: which certificate has which status is looked up by the caller.
//!
//! Start reading at [`OcspRequest`], [`AskedIssuer`] and [`OcspResponder`].

mod asked_issuer;
mod message;
mod request;
mod responder;

pub use asked_issuer::AskedIssuer;
pub use request::{AskedCertificate, OcspRequest, OcspRequestError};
pub use responder::{
    CertificateStatus, OcspAnswer, OcspFailure, OcspPeriod, OcspResponder, OcspResponderError,
    OcspResponseError,
};
