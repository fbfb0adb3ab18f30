//! What codes mean, in words for people.

use countersign_core::access::Refusal;
use countersign_core::device::{DeviceStatus, QuarantineReason};

/// Why a device is in quarantine. An admin's own words stay as they are.
pub(super) fn quarantine_reason(reason: &QuarantineReason) -> &str {
    match reason.as_str() {
        QuarantineReason::EXPIRED => "Its certificate expired before it was renewed",
        QuarantineReason::REVOKED => "A revocation left it without a usable certificate",
        QuarantineReason::AWAITING_APPROVAL => "It enrolled with a key whose devices need approval",
        QuarantineReason::RESEMBLES_DENIED => "It resembles a device that was denied",
        QuarantineReason::RESTORED => "It was restored from a backup; what happened since is not known",
        QuarantineReason::APPROVAL_UNUSED => "It was approved and did not come back in time",
        other => other,
    }
}

/// What a status means for a device.
pub(super) const fn status(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Pending => "Enrolled, not heard of since",
        DeviceStatus::Online => "Heartbeats arrive",
        DeviceStatus::Offline => "No heartbeat for three minutes or more",
        DeviceStatus::Maintenance => "Set aside; heartbeats do not change it",
        DeviceStatus::Quarantined => "Refused everywhere until somebody decides",
        DeviceStatus::Decommissioned => "Final: it never comes back",
    }
}

/// What a refusal's code means.
pub(super) fn refusal(code: &str) -> &'static str {
    match code {
        "UNAUTHORIZED" => "The token or its device is not known",
        "ENROLLMENT_KEY_REFUSED" => "The enrolment key does not work",
        "INVALID_CREDENTIALS" => "Wrong e-mail address or password",
        "FORBIDDEN" | "SCOPE_MISSING" | "SESSION_REQUIRED" => "The role or the API token does not allow it",
        "RATE_LIMITED" => "Too many requests",
        "RULE_BLOCKED" => "A rule blocks it",
        "KEY_DENIED" => "The public key is denied",
        "HOST_NOT_ALLOWED" | "ORIGIN_NOT_ALLOWED" | "FORM_NOT_OURS" => "A web page from elsewhere",
        "PROOF_REQUIRED" => "Possession of the key was not proved",
        _ => Refusal::ALL.iter().find(|refusal| refusal.code() == code).map_or("", |known| known.sentence()),
    }
}

/// Why a message of a device was set aside.
pub(super) fn ingest_reason(code: &str) -> &'static str {
    match code {
        "PAYLOAD_TOO_LARGE" => "It is longer than messages may be",
        "PAYLOAD_INVALID_JSON" => "It is no JSON",
        "SCHEMA_INVALID" => "It is not what such a message says",
        "MISSING_SITE_ID" => "It does not say its site",
        "SITE_MISMATCH_REGISTRY_VS_PAYLOAD" => "It says another site than the device’s",
        "TENANT_MISMATCH_TOPIC_VS_PAYLOAD" => "It says another tenant than the device’s",
        "UNREGISTERED_DEVICE" => "Its device is not on record",
        "DEVICE_REVOKED" => "Its device has no usable certificate",
        "DEVICE_QUARANTINED" => "Its device is in quarantine",
        "TOPIC_IDENTITY_MISMATCH" => "The topic is another device’s",
        "TOPIC_NOT_ALLOWED" => "Devices may not write that topic",
        "TOKEN_NOT_SET_IN_REGISTRY" => "No provisioning token is set for its device",
        "TOKEN_MISSING" => "It bears no provisioning token",
        "TOKEN_INVALID" => "It bears another provisioning token",
        "MQTT_QUOTA_EXCEEDED" => "The device keeps too much at the broker",
        _ => "It was refused",
    }
}

/// The name of an audit event as words: `device.enrolled` is `Device enrolled`.
pub(super) fn event(name: &str) -> String {
    let capital = |word: &str| match word {
        "api" | "ca" | "crl" | "ocsp" => word.to_uppercase(),
        _ => word.to_owned(),
    };
    let words: Vec<String> = name.split(['.', '_']).map(capital).collect();
    let words = words.join(" ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `one device`, `2 devices`: a number with its noun.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", number_of(number), if number == 1 { one } else { many })
}

/// A number with its thousands apart.
pub(super) fn number_of(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_read_well() {
        let numbers = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in numbers {
            assert_eq!(number_of(number), text);
        }
        assert_eq!(count(1, "device", "devices"), "1 device");
        assert_eq!(event("enrollment_key.created"), "Enrollment key created");
        assert_eq!(event("ca.rotation_prepared"), "CA rotation prepared");
    }
}
