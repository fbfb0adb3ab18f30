//! Header names: whatever a client calls a header, none that speaks about the client survives.
#![no_main]

use countersign_edge::headers::{is_identity_header, is_provenance_header, strip_request, strip_trailers};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(100) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let mut trailers = headers.clone();
    strip_trailers(&mut trailers);
    assert!(!trailers.keys().any(speaks_about_the_client));
    if strip_request(&mut headers).is_ok() {
        assert!(!headers.keys().any(speaks_about_the_client));
    }
});

fn speaks_about_the_client(name: &HeaderName) -> bool {
    let folded = name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    is_identity_header(name)
        || is_provenance_header(name)
        || ["client-cert", "x-ssl-client-", "cf-cert-", "countersign-"]
            .iter()
            .any(|family| folded == *family || (family.ends_with('-') && folded.starts_with(family)))
}
