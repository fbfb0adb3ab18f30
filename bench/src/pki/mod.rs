//! The PKI: signing, OCSP, and a server with a million certificates on record.

mod measure;
mod million;
mod ocsp;
mod signing;

pub(crate) use measure::measure;
