//! What anchors show, in words and as JSON.

use countersign_authority::anchor_check::{AnchorFault, Became, ChainFault};
use serde_json::{Value, json};

/// A fault as a sentence.
pub(super) fn in_words(fault: &AnchorFault) -> String {
    match fault {
        AnchorFault::KeyReplaced => "the anchor key on record is not the expected one".to_owned(),
        AnchorFault::OtherKey(number) => {
            format!("anchor {number}, as it was given, is signed by another key than this installation's")
        }
        AnchorFault::OtherInstallation(number) => format!("anchor {number} is of another installation"),
        AnchorFault::NotSigned(number) => {
            format!("anchor {number} on record is not signed by the anchor key")
        }
        AnchorFault::AnchorMissing(number) => {
            format!("anchor {number} was made and is not on record any more")
        }
        AnchorFault::AnchorReplaced(number) => {
            format!("anchor {number} on record is not the one that was made")
        }
        AnchorFault::Chain(fault) => chain_in_words(fault),
    }
}

fn chain_in_words(fault: &ChainFault) -> String {
    let ChainFault { anchor, at, sequence, from, .. } = fault;
    let chain =
        fault.tenant.as_ref().map_or_else(|| "platform".to_owned(), |tenant| format!("tenant {tenant}"));
    let vouches = format!("anchor {anchor} of {at} vouches for {sequence}");
    match fault.became {
        Became::Gone => format!("{chain}: the whole chain is gone; {vouches}"),
        Became::Cut => format!("{chain}: entries are missing from {from} on; {vouches}"),
        Became::Rewritten => {
            format!("{chain}: entries were rewritten, somewhere from {from} to {sequence}; {vouches}")
        }
    }
}

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
