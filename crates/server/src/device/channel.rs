//! GET `/agents/:agentId/ws`: a WebSocket (RFC 6455) over which commands are pushed.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::wire::schema;
use countersign_api::{ErrorBody, OfferedUpgrade};
use countersign_core::access::Place;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::device::identify::{FromDoor, admit};
use crate::device::session::Session;
use crate::failure::{Failure, Outcome};
use crate::request::Segment;
use crate::state::ControlPlane;

const PROTOCOL: &str = "websocket";
const VERSION: &str = "13";

/// Opens the WebSocket over which the device gets its commands at once.
#[utoipa::path(get, path = "/api/v1/agents/{id}/ws", tag = "agents", operation_id = "openChannel",
    description = "Text frames of JSON, at most 64 KiB. The server sends `{\"type\": \"command\", \"command\": …}` \
        and `{\"type\": \"recorded\", \"id\": …}`, the agent `{\"type\": \"ack\", \"id\": …}` and \
        `{\"type\": \"result\", \"id\": …, \"status\": …, \"result\": …, \"error\": …}`; both ignore other types. \
        Close codes: 4001 not authorised any more, 4002 a newer connection of the device, 4008 no answer to \
        a ping, 4041 quarantined.",
    params(
        ("id" = schema::AgentId, Path),
        ("Sec-WebSocket-Key" = Option<String>, Header, description = "16 bytes in base64, by the client library"),
        ("Sec-WebSocket-Version" = Option<String>, Header, description = "13"),
    ),
    responses(
        (status = 101, description = "A WebSocket from here on"),
        (status = 400, body = ErrorBody, description = "`BAD_WEBSOCKET`: no key of 16 bytes"),
        (status = 426, body = ErrorBody, description = "`UPGRADE_REQUIRED`: not asked for a WebSocket of version 13 \
            over HTTP/1.1"),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn open(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segment(id): Segment,
    parts: Parts,
) -> Outcome<Response> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    let admitted = admit(&state, &parts, arrival, Place::Agent, Some(agent)).await?;
    let offer = parts.extensions.get::<OfferedUpgrade>();
    let offer = offer.filter(|offer| offer.protocol().trim().eq_ignore_ascii_case(PROTOCOL));
    let offer = offer.filter(|_asked| text(&parts.headers, &header::SEC_WEBSOCKET_VERSION) == Some(VERSION));
    let offer = offer.ok_or_else(upgrade_required)?;
    let accept = accept_key(&parts.headers).ok_or_else(bad_key)?;
    let channel = state.authority.open_channel(&admitted.caller).await?;
    let connection = offer.accept().ok_or_else(upgrade_required)?;
    tokio::spawn(Session { state, agent: admitted, channel }.run(connection));
    let headers = [
        (header::UPGRADE, HeaderValue::from_static(PROTOCOL)),
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The answer to a client's key (RFC 6455 section 1.3); `None` when it is none.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let key = text(headers, &header::SEC_WEBSOCKET_KEY)?;
    STANDARD.decode(key).ok().filter(|bytes| bytes.len() == 16)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

fn bad_key() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "BAD_WEBSOCKET", "Sec-WebSocket-Key must be 16 bytes in base64")
}

fn upgrade_required() -> Failure {
    Failure::new(
        StatusCode::UPGRADE_REQUIRED,
        "UPGRADE_REQUIRED",
        "Ask for a WebSocket: HTTP/1.1 with Connection: Upgrade, Upgrade: websocket and \
         Sec-WebSocket-Version: 13",
    )
    .saying(header::UPGRADE, HeaderValue::from_static(PROTOCOL))
    .saying(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(key: &str) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_KEY, key.parse().unwrap());
        accept_key(&headers)
    }

    #[test]
    fn the_example_of_rfc_6455_section_1_3() {
        assert_eq!(answer_to("dGhlIHNhbXBsZSBub25jZQ==").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn fails_closed_on_what_is_no_key() {
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE="] {
            assert!(answer_to(key).is_none(), "{key}");
        }
        assert!(accept_key(&HeaderMap::new()).is_none());
    }
}
