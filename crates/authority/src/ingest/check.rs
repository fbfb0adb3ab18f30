//! What a payload must be to be taken as telemetry: pure functions, in the order of the contract.

use countersign_core::ids::{SecretHash, Tenant};
use countersign_core::time::Timestamp;
use serde_json::{Map, Value};

use super::Rejection;

/// How large a payload may be, in bytes.
pub const PAYLOAD_LIMIT: usize = 64 << 10;

/// The member of a payload that proves something: nobody reads it later, whatever becomes of the message.
const TOKEN: &str = "provision_token";

/// The end of the year 9999, after which no moment can be written down.
const LAST_SECOND: i64 = 253_402_300_799;

/// Telemetry as its device tells it.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    /// When the device says it was.
    pub(super) sent_at: Option<Timestamp>,
    /// Where the device says it is.
    pub(super) site: String,
    /// All of it, without secrets.
    pub(super) members: Map<String, Value>,
    /// The hash of the token that it bore.
    pub(super) token: Option<SecretHash>,
}

/// What a payload says.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    /// Its members, without secrets.
    pub(super) members: Map<String, Value>,
    /// The hash of the token that it bore.
    pub(super) token: Option<SecretHash>,
}

/// Reads a payload.
///
/// # Errors
/// What is too large, or no JSON object.
pub(super) fn said(payload: &[u8]) -> Result<Said, Rejection> {
    if payload.len() > PAYLOAD_LIMIT {
        return Err(Rejection::PayloadTooLarge);
    }
    match serde_json::from_slice(payload) {
        Ok(Value::Object(mut members)) => {
            let token = members.remove(TOKEN);
            // One that is no text is none that was ever set.
            let token = token.map(|token| SecretHash::of(token.as_str().unwrap_or_default()));
            Ok(Said { members, token })
        }
        Ok(_) => Err(Rejection::SchemaInvalid),
        Err(_not_json) => Err(Rejection::PayloadInvalidJson),
    }
}

/// Reads what a device of this tenant tells.
///
/// # Errors
/// The first check that fails.
pub(super) fn told(payload: &[u8], tenant: &Tenant) -> Result<Told, Rejection> {
    let Said { members, token } = said(payload)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if members.contains_key("tenant_id") && text("tenant_id") != Some(tenant.as_str()) {
        return Err(Rejection::TenantMismatch);
    }
    let site = text("site_id").filter(|site| !site.is_empty()).ok_or(Rejection::MissingSiteId)?.to_owned();
    if !members.get("metrics").is_some_and(Value::is_object) {
        return Err(Rejection::SchemaInvalid);
    }
    let is_counted = members.get("seq").is_none_or(Value::is_u64);
    let sent_at = members.get("ts").map(moment).transpose()?;
    if !is_counted {
        return Err(Rejection::SchemaInvalid);
    }
    Ok(Told { sent_at, site, members, token })
}

/// RFC 3339, or seconds since 1970.
fn moment(value: &Value) -> Result<Timestamp, Rejection> {
    let said = match value {
        Value::String(text) => Timestamp::parse(text).ok(),
        Value::Number(number) => {
            number.as_i64().filter(|seconds| (0..=LAST_SECOND).contains(seconds)).map(Timestamp::from_secs)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    said.ok_or(Rejection::SchemaInvalid)
}

/// What may be kept of a payload that is set aside: no secret. Fails closed: what may hold one that cannot be
/// taken out is not kept at all.
pub(super) fn keepable(payload: &[u8]) -> Vec<u8> {
    let mut members = match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    };
    // Its name may be written with escapes.
    let kept = match members.remove(TOKEN) {
        Some(_token) => Value::Object(members).to_string().into_bytes(),
        None => payload.to_vec(),
    };
    if contains_token(&kept) { Vec::new() } else { kept }
}

fn contains_token(payload: &[u8]) -> bool {
    payload.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        "acme".parse().unwrap()
    }

    #[test]
    fn what_a_device_tells_is_taken_without_its_token() {
        let text = br#"{"ts":"2027-01-15T08:00:00Z","site_id":"hall-1","metrics":{"temp":22.5},
            "seq":7,"version":"1","tenant_id":"acme","provision_token":"s3cret"}"#;
        let told = told(text, &tenant()).unwrap();
        assert_eq!(told.sent_at.unwrap().to_string(), "2027-01-15T08:00:00Z");
        assert_eq!(told.site, "hall-1");
        assert_eq!(told.token, Some(SecretHash::of("s3cret")));
        assert!(!Value::Object(told.members).to_string().contains("s3cret"));
        let seconds = super::told(br#"{"ts":1800000000,"site_id":"a","metrics":{}}"#, &tenant()).unwrap();
        assert_eq!(seconds.sent_at, Some(Timestamp::from_secs(1_800_000_000)));
    }

    #[test]
    fn each_fault_has_its_reason_and_the_first_counts() {
        let large = format!("{{\"site_id\":\"{}\"}}", "x".repeat(PAYLOAD_LIMIT));
        let deep = "[".repeat(100_000);
        for (payload, reason) in [
            (large.as_str(), Rejection::PayloadTooLarge),
            ("", Rejection::PayloadInvalidJson),
            ("{", Rejection::PayloadInvalidJson),
            ("\u{feff}{}", Rejection::PayloadInvalidJson),
            (deep.get(..1000).unwrap(), Rejection::PayloadInvalidJson),
            ("[1]", Rejection::SchemaInvalid),
            (r#"{"tenant_id":"other"}"#, Rejection::TenantMismatch),
            (r#"{"tenant_id":7,"site_id":"a"}"#, Rejection::TenantMismatch),
            ("{}", Rejection::MissingSiteId),
            (r#"{"site_id":""}"#, Rejection::MissingSiteId),
            (r#"{"site_id":"a"}"#, Rejection::SchemaInvalid),
            (r#"{"site_id":"a","metrics":[]}"#, Rejection::SchemaInvalid),
            (r#"{"site_id":"a","metrics":{},"ts":"noon"}"#, Rejection::SchemaInvalid),
            (r#"{"site_id":"a","metrics":{},"ts":9223372036854775807}"#, Rejection::SchemaInvalid),
            (r#"{"site_id":"a","metrics":{},"seq":-1}"#, Rejection::SchemaInvalid),
        ] {
            let shown: String = payload.chars().take(60).collect();
            assert_eq!(told(payload.as_bytes(), &tenant()), Err(reason), "{shown}");
        }
    }

    #[test]
    fn no_token_is_kept_of_what_is_set_aside() {
        assert_eq!(keepable(br#"{"provision_token":"s3cret","a":1}"#), br#"{"a":1}"#);
        assert_eq!(keepable(br#"{"provision_\u0074oken":"s3cret","a":1}"#), br#"{"a":1}"#);
        assert_eq!(keepable(br#"{"provision_token":"s3cret""#), b"", "cannot be taken out");
        assert_eq!(keepable(br#"[{"provision_token":"s3cret"}]"#), b"");
        assert_eq!(keepable(b"\xff\x00abc"), b"\xff\x00abc");
    }
}
