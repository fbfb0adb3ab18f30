//! Signing requests: reading one never panics, and DER and its PEM are judged alike.
#![no_main]

use countersign_ca::VerifiedCsr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(csr) = VerifiedCsr::from_der(bytes) {
        assert!(!csr.public_key().spki_der().is_empty());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _refused_or_read = VerifiedCsr::from_pem(text);
    }
});
