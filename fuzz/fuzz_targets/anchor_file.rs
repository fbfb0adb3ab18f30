//! Anchor files and their statements: reading one never panics, and what is read is written as it was.
#![no_main]

use countersign_ca::SignedAnchor;
use countersign_core::anchor::AnchorStatement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(statement) = text.parse::<AnchorStatement>() {
        assert_eq!(statement.text(), text);
    }
    if let Ok(anchor) = SignedAnchor::from_file(text) {
        assert_eq!(SignedAnchor::from_file(&anchor.to_file()).expect("its own file"), anchor);
    }
});
