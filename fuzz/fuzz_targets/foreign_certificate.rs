//! Certificates that come with their keys: reading one never panics, and what is read is for the key that
//! came with it.
#![no_main]

use countersign_ca::{ForeignCertificate, SigningKey, certificate_pem, purposes_of};
use libfuzzer_sys::fuzz_target;

/// The key of the seeds, and of nothing else.
fn key() -> SigningKey {
    SigningKey::from_pkcs8_der(include_bytes!("../seeds/foreign_certificate/key.der")).expect("a key")
}

fn check(pem: &str) {
    let Ok(foreign) = ForeignCertificate::read(pem, key()) else { return };
    let of_certificate = countersign_ca::PublicKey::from_certificate_der(foreign.der()).expect("it was read");
    assert_eq!(of_certificate, *key().public_key());
    let again = format!("{}{}", certificate_pem(foreign.der()), foreign.chain_pem());
    assert!(ForeignCertificate::read(&again, key()).is_ok());
}

fuzz_target!(|bytes: &[u8]| {
    let _read = purposes_of(bytes);
    check(&certificate_pem(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
});
