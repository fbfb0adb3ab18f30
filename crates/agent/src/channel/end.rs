//! What the end of a WebSocket, or a refusal to open one, means for when to try again.

use std::time::Duration;

use countersign_api::client::ClientError;
use countersign_api::wire::command::close;
use serde::{Deserialize, Serialize};

use crate::renew::Setback;

/// How the WebSocket stands, for people and for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Not tried yet, or being tried.
    Connecting,
    /// Open.
    Open,
    /// Lost or out of reach; it is tried again soon.
    Lost,
    /// The control plane does not admit this device any more.
    Unauthorized,
    /// Another process connects as this device.
    Superseded,
    /// The device is quarantined.
    Quarantined,
    /// The control plane has no WebSocket; heartbeats do all.
    Unsupported,
}

/// Why there is no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It broke, or nobody answered.
    Lost {
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// The control plane refuses.
    Unauthorized,
    /// A newer connection of the same device took its place.
    Superseded,
    /// The device is quarantined.
    Quarantined,
    /// The control plane has none.
    Unsupported,
}

impl End {
    /// What a close code means; `None`: there was none.
    #[must_use]
    pub const fn of_code(code: Option<u16>) -> Self {
        match code {
            Some(close::UNAUTHORIZED) => Self::Unauthorized,
            Some(close::SUPERSEDED) => Self::Superseded,
            Some(close::QUARANTINED) => Self::Quarantined,
            Some(_) | None => Self::Lost { retry_after: None },
        }
    }

    /// What it means that a WebSocket was not opened.
    #[must_use]
    pub fn of_refusal(error: &ClientError) -> Self {
        // A server without WebSockets says that there is no such thing, or answers as ever.
        let has_none = error.answer().is_some_and(|answer| {
            matches!(answer.status.as_u16(), 404 | 405 | 426 | 501) || answer.status.is_success()
        });
        match Setback::of(error) {
            _ if has_none => Self::Unsupported,
            Setback::Outage { retry_after } => Self::Lost { retry_after },
            Setback::Quarantined => Self::Quarantined,
            Setback::Refused => Self::Unauthorized,
        }
    }

    /// How the WebSocket stands after that.
    #[must_use]
    pub const fn state(self) -> ConnectionState {
        match self {
            Self::Lost { .. } => ConnectionState::Lost,
            Self::Unauthorized => ConnectionState::Unauthorized,
            Self::Superseded => ConnectionState::Superseded,
            Self::Quarantined => ConnectionState::Quarantined,
            Self::Unsupported => ConnectionState::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::ErrorBody;
    use countersign_api::client::ApiError;

    #[test]
    fn close_codes_tell_who_has_to_act() {
        for (code, expected) in [
            (Some(4001), ConnectionState::Unauthorized),
            (Some(4002), ConnectionState::Superseded),
            (Some(4008), ConnectionState::Lost),
            (Some(4041), ConnectionState::Quarantined),
            (Some(1001), ConnectionState::Lost),
            (None, ConnectionState::Lost),
        ] {
            assert_eq!(End::of_code(code).state(), expected, "{code:?}");
        }
    }

    #[test]
    fn a_server_without_websockets_is_told_from_one_that_refuses() {
        for (status, code, expected) in [
            (404, "NOT_FOUND", ConnectionState::Unsupported),
            (404, "", ConnectionState::Unsupported),
            (200, "", ConnectionState::Unsupported),
            (401, "UNAUTHORIZED", ConnectionState::Unauthorized),
            (403, "MTLS_REQUIRED", ConnectionState::Unauthorized),
            (403, "DEVICE_QUARANTINED", ConnectionState::Quarantined),
            (429, "RATE_LIMITED", ConnectionState::Lost),
            (501, "", ConnectionState::Unsupported),
            (503, "", ConnectionState::Lost),
        ] {
            let status = status.try_into().unwrap();
            let source = Box::new(ApiError { status, body: ErrorBody::new(code, "no"), retry_after: None });
            let error = ClientError::Refused { path: "/x".to_owned(), source };
            assert_eq!(End::of_refusal(&error).state(), expected, "{status} {code}");
        }
    }
}
