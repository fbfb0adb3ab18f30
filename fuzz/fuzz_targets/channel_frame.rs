//! Frames of the WebSocket between agent and control plane: reading one never panics, and what is read
//! can be said again.
#![no_main]

use countersign_api::wire::command::{FromAgent, ToAgent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(frame) = serde_json::from_str::<FromAgent>(text) {
        let said = serde_json::to_string(&frame).expect("a frame is JSON");
        serde_json::from_str::<FromAgent>(&said).expect("its own frame");
    }
    if let Ok(frame) = serde_json::from_str::<ToAgent>(text) {
        let said = serde_json::to_string(&frame).expect("a frame is JSON");
        serde_json::from_str::<ToAgent>(&said).expect("its own frame");
    }
});
