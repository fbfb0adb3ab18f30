//! What anchors show, as JSON.

use countersign_authority::anchor_check::{AnchorFault, Became};
use serde_json::{Value, json};

/// A fault for programs.
pub(super) fn fault_as_json(fault: &AnchorFault) -> Value {
    let of_anchor = |word: &str, number: &u64| json!({ "fault": word, "anchor": number });
    match fault {
        AnchorFault::KeyReplaced => json!({ "fault": "key_replaced" }),
        AnchorFault::OtherKey(number) => of_anchor("other_key", number),
        AnchorFault::OtherInstallation(number) => of_anchor("other_installation", number),
        AnchorFault::NotSigned(number) => of_anchor("not_signed", number),
        AnchorFault::AnchorMissing(number) => of_anchor("anchor_missing", number),
        AnchorFault::AnchorReplaced(number) => of_anchor("anchor_replaced", number),
        AnchorFault::Chain(fault) => json!({
            "fault": match fault.became {
                Became::Gone => "gone",
                Became::Cut => "cut",
                Became::Rewritten => "rewritten",
            },
            "tenant": fault.tenant,
            "anchor": fault.anchor,
            "at": fault.at,
            "sequence": fault.sequence,
            "from": fault.from,
        }),
    }
}
