//! Why the API did not do what it was asked for.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::transport::{ApiResponse, TransportError};

/// The longest message of the API that is repeated.
const MESSAGE_LIMIT: usize = 200;

/// A call did not succeed.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// There was no answer.
    #[error("cloudflare's api gave no answer")]
    Transport(#[from] TransportError),
    /// The token is wrong, or may not do this.
    #[error("cloudflare's api does not allow it: {0}; the token needs Zone > SSL and Certificates > Edit")]
    Forbidden(String),
    /// Too many calls; ours were stopped here, or all are blocked there.
    #[error("cloudflare's api is not to be asked for {} s: too many calls", .0.as_secs())]
    Throttled(Duration),
    /// The zone has as many certificates as it may.
    #[error("the zone has no room for another certificate: {0}")]
    Quota(String),
    /// There is no such thing.
    #[error("cloudflare's api knows no such thing: {0}")]
    NotFound(String),
    /// It refuses for another reason.
    #[error("cloudflare's api refuses: {0}")]
    Refused(String),
    /// It fails itself.
    #[error("cloudflare's api fails with status {0}")]
    Failing(u16),
    /// What it answered is not what it documents.
    #[error("cannot read the answer of cloudflare's api: {0}")]
    Malformed(String),
}

impl UpstreamError {
    /// Whether the call may have had its effect all the same.
    #[must_use]
    pub const fn leaves_doubt(&self) -> bool {
        match self {
            Self::Transport(TransportError::NoAnswer { .. }) | Self::Failing(_) | Self::Malformed(_) => true,
            Self::Transport(TransportError::Unreachable { .. })
            | Self::Forbidden(_)
            | Self::Throttled(_)
            | Self::Quota(_)
            | Self::NotFound(_)
            | Self::Refused(_) => false,
        }
    }

    /// A stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Transport(_) => "no_answer",
            Self::Forbidden(_) => "forbidden",
            Self::Throttled(_) => "throttled",
            Self::Quota(_) => "quota",
            Self::NotFound(_) => "not_found",
            Self::Refused(_) => "refused",
            Self::Failing(_) => "failing",
            Self::Malformed(_) => "malformed",
        }
    }

    /// What an answer says about a failure.
    pub(super) fn of(response: &ApiResponse) -> Self {
        let said = Said::read(&response.body);
        let text = said.text();
        match response.status {
            401 | 403 => Self::Forbidden(text),
            404 => Self::NotFound(text),
            429 => Self::Throttled(response.retry_after.unwrap_or(super::budget::WINDOW)),
            500..=599 => Self::Failing(response.status),
            // What 400 means is in the codes: 6003 to 6111 and 10000 are about the token.
            400..=499 if said.errors.iter().any(Fault::is_about_the_token) => Self::Forbidden(text),
            400..=499 if said.errors.iter().any(Fault::is_about_quota) => Self::Quota(text),
            400..=499 => Self::Refused(format!("{text} (status {})", response.status)),
            other => Self::Malformed(format!("status {other}")),
        }
    }
}

/// The errors of an answer; whatever cannot be read is left out.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The messages with their codes, cut, in one line and without control characters.
    fn text(&self) -> String {
        let all: Vec<String> =
            self.errors.iter().map(|fault| format!("{} [{}]", fault.message, fault.code)).collect();
        let all = if all.is_empty() { "it does not say why".to_owned() } else { all.join("; ") };
        all.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect()
    }
}

impl Fault {
    fn is_about_the_token(&self) -> bool {
        matches!(self.code, 6003 | 6111 | 9106 | 9109 | 10000 | 10001)
    }

    /// There is no documented code for it; the words are those of Cloudflare's other quotas.
    fn is_about_quota(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["quota", "maximum number", "limit reached", "limit exceeded"]
            .iter()
            .any(|word| message.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> UpstreamError {
        UpstreamError::of(&ApiResponse { status, retry_after: None, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn every_failure_has_its_kind() {
        let error = |code: u64, message: &str| {
            format!("{{\"success\":false,\"errors\":[{{\"code\":{code},\"message\":\"{message}\"}}]}}")
        };
        for (status, body, code) in [
            (403, error(10000, "Authentication error"), "forbidden"),
            (401, String::new(), "forbidden"),
            (400, error(6003, "Invalid request headers"), "forbidden"),
            (400, error(1400, "Unable to decode the JSON request body"), "refused"),
            (400, error(1426, "You have reached the maximum number of client certificates"), "quota"),
            (404, error(1404, "not found"), "not_found"),
            (429, error(971, "Please wait"), "throttled"),
            (500, "<html>".to_owned(), "failing"),
            (502, String::new(), "failing"),
            (302, String::new(), "malformed"),
        ] {
            assert_eq!(of(status, &body).code(), code, "{status} {body}");
        }
    }

    #[test]
    fn doubt_is_left_where_something_may_have_been_signed() {
        assert!(of(502, "").leaves_doubt());
        assert!(!of(403, "").leaves_doubt());
        assert!(!of(429, "").leaves_doubt());
    }

    #[test]
    fn a_message_is_cut_and_has_no_line_breaks() {
        let long = format!("{{\"errors\":[{{\"code\":1,\"message\":\"a\\nb{}\"}}]}}", "x".repeat(500));
        let text = of(400, &long).to_string();
        assert!(!text.contains('\n') && text.len() < 300, "{text}");
    }
}
