//! Reading fields from a request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use http::header;

use super::facts::{RequestFacts, Resumption, status_text};
use super::fields::{AddressField, ArrayField, BooleanField, Field, Form, IntegerField, TextField};
use super::maps;
use super::value::Value;
use crate::headers::Scheme;

/// What is shown the elements of an array, one after the other; `None` is one that is missing.
pub(super) type Visit<'f, 'v> = dyn FnMut(Option<Value<'v>>) -> ControlFlow<()> + 'f;

impl Field {
    /// Its value; `None` when the request has none, and for arrays and maps.
    pub(super) fn read<'v>(self, facts: &'v RequestFacts<'v>) -> Option<Value<'v>> {
        match self {
            Self::Boolean(field) => Some(Value::Boolean(field.read(facts))),
            Self::Text(field) => field.read(facts).map(Value::Text),
            Self::Integer(field) => field.read(facts).map(Value::Integer),
            Self::Address(field) => Some(Value::Address(field.read(facts))),
            Self::Array(_) | Self::Map(_) => None,
        }
    }

    /// Shows the elements of an array, or all values of a map. `None`: there is no such array.
    pub(super) fn each<'v>(self, facts: &'v RequestFacts<'v>, visit: &mut Visit<'_, 'v>) -> Option<()> {
        match self {
            Self::Map(map) => maps::values(map, facts, visit),
            Self::Array(ArrayField::Names(map)) => maps::names(map, facts, visit),
            Self::Array(ArrayField::Values(map)) => maps::values(map, facts, visit),
            Self::Array(ArrayField::SanUris) => texts(&facts.leaf()?.san_uris, visit),
            Self::Array(ArrayField::SanDnsNames) => texts(&facts.leaf()?.san_dns, visit),
            Self::Array(ArrayField::KeyUsages) => texts(&facts.leaf()?.ekus, visit),
            Self::Boolean(_) | Self::Text(_) | Self::Integer(_) | Self::Address(_) => return None,
        }
        Some(())
    }
}

fn texts<'v>(found: &'v [String], visit: &mut Visit<'_, 'v>) {
    for text in found {
        if visit(Some(Value::text(text.as_bytes()))).is_break() {
            return;
        }
    }
}

impl BooleanField {
    fn read(self, facts: &RequestFacts<'_>) -> bool {
        match self {
            Self::Ssl => facts.scheme == Scheme::Https,
            Self::CertificatePresented => facts.certificate.presented,
            Self::CertificateVerified => facts.certificate.verified,
            Self::CertificateRevoked => facts.certificate.revoked,
            Self::LeafTooLarge => facts.leaf_rfc9440().is_err(),
            Self::ChainTooLarge => facts.chain_rfc9440().is_err(),
            Self::Resumed => facts.tls.is_some_and(|tls| tls.resumption == Resumption::Resumed),
            Self::HeadersTruncated => false,
        }
    }
}

impl TextField {
    /// Its value; `None` when the request has none. Allocates for what stands nowhere as it is.
    pub(super) fn read<'v>(self, facts: &'v RequestFacts<'v>) -> Option<Cow<'v, [u8]>> {
        let there = |text: &'v str| Some(Cow::Borrowed(text.as_bytes()));
        let made = |text: String| Some(Cow::Owned(text.into_bytes()));
        match self {
            Self::Host => facts.host.and_then(there),
            Self::UserAgent => maps::joined(facts.headers, &header::USER_AGENT, b", "),
            Self::Cookie => maps::joined(facts.headers, &header::COOKIE, b"; "),
            Self::Referer => maps::joined(facts.headers, &header::REFERER, b", "),
            Self::ForwardedFor => facts.forwarded_for.map(Cow::Borrowed),
            Self::Method => there(facts.method),
            Self::Version => there(facts.version),
            Self::Uri(form) => there(facts.uri(form)),
            Self::Path(form) => there(facts.path(form)),
            Self::Extension(form) => Some(extension(facts.path(form))),
            Self::Query => there(facts.target.query().unwrap_or_default()),
            Self::FullUri(form) => facts.full_uri(facts.uri(form)),
            Self::RequestId => made(facts.request_id.to_string()),
            Self::TlsVersion => facts.tls.and_then(|tls| there(tls.version)),
            Self::TlsCipher => facts.tls.and_then(|tls| there(tls.cipher)),
            Self::TlsGroup => facts.tls.and_then(|tls| tls.group).and_then(there),
            Self::Certificate(text) => there(facts.certificate_text(text)),
            Self::LeafRfc9440 => made(facts.leaf_rfc9440().unwrap_or_default()),
            Self::ChainRfc9440 => made(facts.chain_rfc9440().unwrap_or_default()),
            Self::KeyType => facts.leaf().and_then(|leaf| there(&leaf.key_type)),
            Self::DeviceId => facts.device.and_then(|device| made(device.uri())),
            Self::DeviceTenant => facts.device.and_then(|device| there(device.tenant().as_str())),
            Self::DeviceName => facts.device.and_then(|device| there(device.device().as_str())),
            Self::DeviceStatus => facts.standing.and_then(status_text).and_then(there),
        }
    }
}

impl<'a> RequestFacts<'a> {
    fn uri(&self, form: Form) -> &'a str {
        match form {
            Form::Normalised => self.target.path_and_query(),
            Form::Raw => self.raw_target,
        }
    }

    fn path(&self, form: Form) -> &'a str {
        match form {
            Form::Normalised => self.target.path(),
            Form::Raw => self.raw_target.split_once('?').map_or(self.raw_target, |(path, _)| path),
        }
    }
}

/// What follows the last dot of the last part of a path, in lower case.
fn extension(path: &str) -> Cow<'_, [u8]> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let extension = last.rsplit_once('.').map_or("", |(_, extension)| extension);
    if extension.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(extension.to_ascii_lowercase().into_bytes())
    } else {
        Cow::Borrowed(extension.as_bytes())
    }
}

impl IntegerField {
    fn read(self, facts: &RequestFacts<'_>) -> Option<i64> {
        match self {
            Self::ServerPort => Some(i64::from(facts.server_port)),
            Self::TimestampSeconds => Some(facts.now.secs()),
            Self::TimestampMilliseconds => Some(facts.now.millis().rem_euclid(1000)),
            Self::AgeRatio => facts.age_ratio(),
        }
    }
}

impl AddressField {
    /// Its value; an IPv4 address on an IPv6 socket is an IPv4 address.
    fn read(self, facts: &RequestFacts<'_>) -> IpAddr {
        match self {
            Self::Source => facts.source.to_canonical(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_of_the_last_part() {
        for (path, found) in
            [("/a.b/c", ""), ("/a/b.PHP", "php"), ("/a.tar.gz", "gz"), ("/a.", ""), ("/", "")]
        {
            assert_eq!(&*extension(path), found.as_bytes(), "{path}");
        }
    }
}
