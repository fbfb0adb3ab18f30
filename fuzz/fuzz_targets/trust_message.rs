//! What an authority tells an edge, as it comes off the wire: a message is read to its end or refused, and
//! has one encoding.
#![no_main]

use countersign_core::snapshot::wire::TrustMessage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = TrustMessage::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
});
