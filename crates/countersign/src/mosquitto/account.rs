//! The file in which the dynamic-security plugin finds its first account: the one that commands it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_ca::BrokerPassword;
use serde_json::{Value, json};

/// The role of that account.
const ROLE: &str = "countersign-driver";

/// The plugin's file: an account with this password that may command the plugin, and read and write below
/// `root`. Whatever no role grants is denied.
pub(crate) fn first_accounts(user: &str, password: &BrokerPassword, root: &str) -> String {
    let control = "$CONTROL/dynamic-security/#";
    let acls: Vec<Value> = [control, root]
        .into_iter()
        .flat_map(|topic| {
            ["publishClientSend", "publishClientReceive", "subscribePattern"]
                .map(|kind| json!({ "acltype": kind, "topic": topic, "priority": 0, "allow": true }))
        })
        .collect();
    let file = json!({
        "defaultACLAccess": {
            "publishClientSend": false,
            "publishClientReceive": false,
            "subscribe": false,
            "unsubscribe": true,
        },
        "clients": [{
            "username": user,
            "textname": "Countersign: keeps the accounts of devices",
            "roles": [{ "rolename": ROLE }],
            "password": STANDARD.encode(password.hash),
            "salt": STANDARD.encode(password.salt),
            "iterations": password.iterations,
        }],
        "groups": [],
        "roles": [{ "rolename": ROLE, "acls": acls }],
    });
    format!("{file:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_but_to_the_driver_and_the_password_is_not_there() {
        let password = BrokerPassword::of_random("s3cret").unwrap();
        let text = first_accounts("countersign", &password, "tenant/#");
        assert!(!text.contains("s3cret"));
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["defaultACLAccess"]["publishClientReceive"], false);
        assert_eq!(file["clients"].as_array().unwrap().len(), 1);
        assert_eq!(file["roles"][0]["acls"].as_array().unwrap().len(), 6);
    }
}
