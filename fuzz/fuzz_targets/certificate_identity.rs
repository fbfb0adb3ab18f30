//! Certificates: reading one never panics, and one that names a device holds that name literally.
#![no_main]

use countersign_tls::unverified_identity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(identity) = unverified_identity(bytes) {
        let uri = identity.uri();
        assert!(bytes.windows(uri.len()).any(|window| window == uri.as_bytes()));
    }
});
