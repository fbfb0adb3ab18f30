//! The maps of a request: headers, arguments of the query, cookies.

use std::borrow::Cow;
use std::ops::ControlFlow;

use http::{HeaderMap, HeaderName, header};

use super::codec::percent_decoded;
use super::facts::RequestFacts;
use super::fields::MapField;
use super::read::Visit;
use super::value::Value;

/// The values of one header as one text; `None` when there is none. Several are read as one, so that a
/// second line of the same header hides from no rule.
pub(super) fn joined<'v>(headers: &'v HeaderMap, name: &HeaderName, between: &[u8]) -> Option<Cow<'v, [u8]>> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes());
    let first = values.next()?;
    let mut text = Cow::Borrowed(first);
    for value in values {
        let all = text.to_mut();
        all.extend_from_slice(between);
        all.extend_from_slice(value);
    }
    Some(text)
}

/// Shows every value that has this name. `None`: there is none.
pub(super) fn of_key<'v>(
    map: MapField,
    key: &[u8],
    facts: &'v RequestFacts<'v>,
    visit: &mut Visit<'_, 'v>,
) -> Option<()> {
    if map == MapField::Headers {
        // A name in upper case is nobody's: the map's are in lower case.
        let name =
            std::str::from_utf8(key).ok().filter(|name| !name.bytes().any(|b| b.is_ascii_uppercase()))?;
        let mut values = facts.headers.get_all(name).iter().peekable();
        values.peek()?;
        for value in values {
            if visit(Some(Value::text(value.as_bytes()))).is_break() {
                break;
            }
        }
        return Some(());
    }
    let mut is_there = false;
    pairs(map, facts, &mut |name, value| {
        if *name == *key {
            is_there = true;
            return visit(Some(Value::text(value)));
        }
        ControlFlow::Continue(())
    });
    is_there.then_some(())
}

/// Shows every value.
pub(super) fn values<'v>(map: MapField, facts: &'v RequestFacts<'v>, visit: &mut Visit<'_, 'v>) {
    pairs(map, facts, &mut |_name, value| visit(Some(Value::text(value))));
}

/// Shows every name: of headers once, of the others as often as it stands there.
pub(super) fn names<'v>(map: MapField, facts: &'v RequestFacts<'v>, visit: &mut Visit<'_, 'v>) {
    if map == MapField::Headers {
        for name in facts.headers.keys() {
            if visit(Some(Value::text(name.as_str().as_bytes()))).is_break() {
                return;
            }
        }
        return;
    }
    pairs(map, facts, &mut |name, _value| visit(Some(Value::Text(name))));
}

/// Shows names and values, in the order in which they stand.
fn pairs<'v>(
    map: MapField,
    facts: &'v RequestFacts<'v>,
    visit: &mut dyn FnMut(Cow<'v, [u8]>, &'v [u8]) -> ControlFlow<()>,
) {
    match map {
        MapField::Headers => {
            for (name, value) in facts.headers {
                if visit(Cow::Borrowed(name.as_str().as_bytes()), value.as_bytes()).is_break() {
                    return;
                }
            }
        }
        MapField::Arguments => {
            let query = facts.target.query().unwrap_or_default();
            for argument in query.split('&').filter(|argument| !argument.is_empty()) {
                let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
                if visit(Cow::Borrowed(name.as_bytes()), value.as_bytes()).is_break() {
                    return;
                }
            }
        }
        MapField::Cookies => {
            let lines = facts.headers.get_all(header::COOKIE).iter();
            let cookies = lines.flat_map(|line| line.as_bytes().split(|b| *b == b';'));
            for cookie in cookies.map(<[u8]>::trim_ascii).filter(|cookie| !cookie.is_empty()) {
                let at = cookie.iter().position(|b| *b == b'=').unwrap_or(cookie.len());
                let name = cookie.get(..at).unwrap_or_default();
                let value = cookie.get(at.saturating_add(1)..).unwrap_or_default();
                if visit(percent_decoded(name), value).is_break() {
                    return;
                }
            }
        }
    }
}
