//! What an answer of the control plane means for a renewal.

use std::time::Duration;

use countersign_api::client::{ApiError, ClientError};

/// The code of a quarantined device.
pub(crate) const QUARANTINED: &str = "DEVICE_QUARANTINED";
/// The code of a public key that will never be accepted.
pub(crate) const KEY_DENIED: &str = "KEY_DENIED";
/// The code of a certificate that was revoked.
const CERTIFICATE_REVOKED: &str = "CERTIFICATE_REVOKED";

/// Why something did not work, as far as waiting is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// Nobody is to blame: outage, overload, rate limit. Waiting helps.
    Outage {
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// An admin has to approve the device.
    Quarantined,
    /// The control plane refuses, or the answer cannot be used: a person has to act.
    Refused,
}

impl Setback {
    /// What this error means.
    #[must_use]
    pub fn of(error: &ClientError) -> Self {
        let answer = error.answer();
        if answer.is_some_and(|answer| answer.has_code(QUARANTINED)) {
            Self::Quarantined
        } else if error.is_retryable() {
            Self::Outage { retry_after: answer.and_then(|answer| answer.retry_after) }
        } else {
            Self::Refused
        }
    }
}

/// What becomes of a certificate whose confirmation was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterConfirm {
    /// It was activated already: it is the one in use.
    Adopt,
    /// The control plane does not know it: ask for one again, with the same key.
    AskAgain,
    /// It will never be activated, and its key is worth nothing: start over with a fresh one.
    StartOver,
    /// Nothing is decided; try again.
    TryAgain,
}

/// Reads the answer to a confirmation.
///
/// The new key is thrown away only when the control plane says that it counts for nothing: had the
/// certificate been activated, it is the only key that still does.
pub(super) fn after_confirm(answer: &ApiError) -> AfterConfirm {
    if answer.body.code.is_empty() {
        return AfterConfirm::TryAgain;
    }
    match (answer.status.as_u16(), answer.body.state.as_deref()) {
        (410, _) | (409, Some("revoked")) => AfterConfirm::StartOver,
        (409, Some("active" | "superseded" | "expired")) => AfterConfirm::Adopt,
        (404, _) => AfterConfirm::AskAgain,
        (403, _) if answer.has_code(CERTIFICATE_REVOKED) => AfterConfirm::StartOver,
        _ => AfterConfirm::TryAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::ErrorBody;

    fn answer(status: u16, code: &str, state: Option<&str>) -> ApiError {
        let mut body = ErrorBody::new(code, "no");
        body.state = state.map(str::to_owned);
        let status = status.try_into().unwrap();
        ApiError { status, body, retry_after: None }
    }

    #[test]
    fn a_new_key_is_thrown_away_only_when_it_counts_for_nothing() {
        use AfterConfirm as A;
        for (status, code, state, expected) in [
            (410, "CONFIRM_WINDOW_OVER", None, A::StartOver),
            (409, "CERTIFICATE_STATE", Some("revoked"), A::StartOver),
            (403, "CERTIFICATE_REVOKED", None, A::StartOver),
            (409, "CERTIFICATE_STATE", Some("superseded"), A::Adopt),
            (409, "CERTIFICATE_STATE", Some("expired"), A::Adopt),
            (409, "CERTIFICATE_STATE", Some("something_new"), A::TryAgain),
            (404, "NOT_FOUND", None, A::AskAgain),
            (404, "", None, A::TryAgain),
            (410, "", None, A::TryAgain),
            (403, "DEVICE_QUARANTINED", None, A::TryAgain),
            (401, "UNAUTHORIZED", None, A::TryAgain),
            (500, "INTERNAL", None, A::TryAgain),
        ] {
            assert_eq!(after_confirm(&answer(status, code, state)), expected, "{status} {code} {state:?}");
        }
    }

    #[test]
    fn errors_are_told_apart_by_who_has_to_act() {
        let refused = |status, code: &str| {
            let source = Box::new(answer(status, code, None));
            Setback::of(&ClientError::Refused { path: "/x".to_owned(), source })
        };
        assert_eq!(refused(403, "DEVICE_QUARANTINED"), Setback::Quarantined);
        assert_eq!(refused(503, "ISSUER_UNAVAILABLE"), Setback::Outage { retry_after: None });
        assert_eq!(refused(429, "RATE_LIMITED"), Setback::Outage { retry_after: None });
        assert_eq!(refused(401, "UNAUTHORIZED"), Setback::Refused);
        assert_eq!(refused(403, "MTLS_REQUIRED"), Setback::Refused);
    }
}
