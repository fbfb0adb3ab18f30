//! How an edge elsewhere hands a request on: the facts of a handshake that it has done, in one header.
//!
//! The header means something only on a connection on which an edge has proved who it is; from anybody
//! else it is dropped unread.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::ids::RequestId;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The header. None of the families that doors strip: it goes through the authority's own door.
pub const ENVELOPE: HeaderName = HeaderName::from_static("edge-envelope");

/// The longest header that is read: a leaf of 8 KiB, twice in base64.
const LIMIT: usize = 24 * 1024;

/// What an edge says of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The leaf that was shown, DER; `None`: none was. Empty: one that was too large to be any device's.
    #[serde(with = "leaf")]
    pub leaf: Option<Vec<u8>>,
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The request's id, also in its answer.
    pub request_id: RequestId,
    /// A rule that the edge only observes and that would have blocked the request; its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_rule: Option<String>,
}

/// A header that is no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not what an edge says of a request")]
pub struct NoEnvelope;

impl Envelope {
    /// The header's value.
    ///
    /// # Errors
    /// Never for what an edge puts into it.
    pub fn to_header(&self) -> Result<HeaderValue, NoEnvelope> {
        let text = serde_json::to_vec(self).map_err(|_json| NoEnvelope)?;
        HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(text)).map_err(|_header| NoEnvelope)
    }

    /// Reads the header's value.
    ///
    /// # Errors
    /// Fails closed: whatever is not whole.
    pub fn from_header(value: &HeaderValue) -> Result<Self, NoEnvelope> {
        if value.len() > LIMIT {
            return Err(NoEnvelope);
        }
        let text = URL_SAFE_NO_PAD.decode(value.as_bytes()).map_err(|_base64| NoEnvelope)?;
        serde_json::from_slice(&text).map_err(|_json| NoEnvelope)
    }
}

mod leaf {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(leaf: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        leaf.as_ref().map(|der| STANDARD.encode(der)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_header_comes_out_of_it() {
        for leaf in [None, Some(vec![]), Some(vec![7; 8 * 1024])] {
            let envelope = Envelope {
                observed_rule: leaf.as_ref().map(|_leaf| "closed".to_owned()),
                leaf,
                address: ([192, 0, 2, 1], 9).into(),
                request_id: RequestId::random(),
            };
            assert_eq!(Envelope::from_header(&envelope.to_header().unwrap()), Ok(envelope));
        }
    }

    #[test]
    fn fails_closed_on_anything_else() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for text in ["", "{}", &encoded("{}"), &encoded("{\"leaf\":null}"), &"A".repeat(LIMIT + 4)] {
            assert_eq!(Envelope::from_header(&HeaderValue::from_str(text).unwrap()), Err(NoEnvelope));
        }
    }
}
