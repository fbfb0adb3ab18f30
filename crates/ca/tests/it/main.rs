//! Proves that what the issuing side makes is what RFC 5280 and OpenSSL expect, and that nothing a
//! requester writes gets into it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod crl;
mod csr;
mod csr_mutation;
mod descriptions;
mod elsewhere;
mod foreign;
mod hierarchy;
mod independent_linter;
mod issuer;
mod keys_at_rest;
mod ocsp_answers;
mod ocsp_questions;
mod openssl;
mod openssl_accepts;
mod openssl_requests;
mod passphrases;
mod pkcs12;
mod tokens;
