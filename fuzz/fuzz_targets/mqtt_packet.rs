//! MQTT packets: reading one never panics, half of one is never taken for a whole, and what the door takes
//! names the same topics to two other codecs, or nothing.
#![no_main]

use countersign_edge::mqtt::wire::{Packet, Version, next_frame};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/edge/tests/it/mqtt_codecs/compare.rs"]
mod compare;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::V311, Version::V5] {
        let mut rest = bytes;
        while let Ok(Some(frame)) = next_frame(rest, 1 << 20) {
            let half = &frame.bytes[..frame.bytes.len() - 1];
            assert_eq!(next_frame(half, 1 << 20), Ok(None));
            drop(Packet::read(frame, version));
            if let Some(names) = compare::ours(frame.bytes, version) {
                for other in [compare::proto as compare::Codec, compare::bytes_crate] {
                    let theirs = other(frame.bytes, version);
                    assert!(theirs.is_none_or(|theirs| theirs == names));
                }
            }
            rest = &rest[frame.bytes.len()..];
        }
    }
});
