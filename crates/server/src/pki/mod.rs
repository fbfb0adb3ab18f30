//! The public PKI: CA certificates and revocation lists, for anyone.

pub(crate) mod ocsp;
pub(crate) mod publish;
