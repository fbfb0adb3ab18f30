//! What comes back from where a root is, or from another PKI: reading it never panics, a CA that was read
//! has signed itself or says who did, and a list is whose signature it has.
#![no_main]

use countersign_ca::{CaCertificate, IssuerKind, SignedCrl, pem_blocks};
use libfuzzer_sys::fuzz_target;

/// The root of the seeds; its key is lost, so that nobody signs a list with it.
fn root() -> CaCertificate {
    let der = include_bytes!("../seeds/signed_elsewhere/root.der");
    CaCertificate::read(der, IssuerKind::Root).expect("a root")
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for block in pem_blocks(&text) {
        assert!(text.contains(block.text) && block.text.contains(block.label));
    }
    assert!(SignedCrl::read(bytes, &root()).is_err(), "nobody signed it");
    for kind in [IssuerKind::Root, IssuerKind::Intermediate, IssuerKind::Device, IssuerKind::Service] {
        let Ok(ca) = CaCertificate::read(bytes, kind) else { continue };
        assert_eq!(ca.der(), bytes);
        if ca.check_signed_by(&ca).is_ok() {
            assert!(ca.is_self_issued());
        }
        assert!(SignedCrl::read(bytes, &ca).is_err(), "a certificate is no list");
    }
});
