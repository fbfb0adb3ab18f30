//! OCSP requests: reading one never panics, and what was read can be asked again in the same way.
#![no_main]

use countersign_ca::ocsp::OcspRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = OcspRequest::from_der(bytes) {
        for asked in request.asked() {
            let _serial = asked.serial();
            let der = asked.to_der().expect("it was read");
            assert!(bytes.windows(der.len()).any(|part| part == der));
        }
    }
});
